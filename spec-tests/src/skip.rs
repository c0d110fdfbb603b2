//! Tests that can't run here, or not against this runtime, say so: `skipped: NAME: REASON`.
//!
//! The line goes to standard error past libtest's capture, and is appended to the file that `CORTEN_SKIPPED` names, so
//! that skips can be counted.

use std::fs::OpenOptions;
use std::io::Write;
use std::panic::{UnwindSafe, catch_unwind};

use crate::subject::subject;

/// Leaves the test, with a reason in the words of `format!`, if the condition holds.
#[macro_export]
macro_rules! skip_if {
    ($condition:expr, $($reason:tt)+) => {
        if $condition {
            $crate::skip::record(&format!($($reason)+));
            return;
        }
    };
}

/// Leaves the test unless the runtime under test is Corten; `what` names what only Corten has.
#[macro_export]
macro_rules! only_corten {
    ($what:literal) => {
        $crate::skip_if!(!$crate::subject::subject().is_corten(), "{} is Corten's own", $what);
    };
}

/// Leaves the test if the runtime under test is runc 1.1; `what` names what this version lacks, or does wrong.
#[macro_export]
macro_rules! not_in_runc_1_1 {
    ($what:literal) => {
        $crate::skip_if!($crate::subject::subject().is_runc_1_1(), "runc 1.1: {}", $what);
    };
}

/// Prints and files one skip.
pub fn record(reason: &str) {
    report("skipped", reason);
}

/// Prints and files that a part of a test can't run here, while the rest of it does.
pub fn record_part(reason: &str) {
    report("skipped in part", reason);
}

/// Runs an attack that runc 1.1.5 is known not to resist. Under runc 1.1.5 its success is reported and forgiven; under
/// any other runtime it fails the test.
pub fn known_to_fail_on_runc_1_1_5(attack: impl FnOnce() + UnwindSafe) {
    if !subject().is_runc_1_1() {
        return attack();
    }
    match catch_unwind(attack) {
        Ok(()) => report("expected to fail", "resisted this time"),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("panicked");
            report("expected to fail", text.lines().next().unwrap_or_default());
        }
    }
}

fn report(what: &str, reason: &str) {
    let thread = std::thread::current();
    let line = format!("{what}: {}: {reason}\n", thread.name().unwrap_or("test"));
    // Written in one piece: tests run side by side. `eprint!` would be captured.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("CORTEN_SKIPPED") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("write CORTEN_SKIPPED");
    }
}
