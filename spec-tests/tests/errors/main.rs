//! What can go wrong, made to go wrong: each time one clear line, an exit code that is not 0, and nothing left behind.
//!
//! The phrases that callers match are asked of every runtime; the step, the field and the call of Corten alone.

mod cgroups;
mod config;
mod executable;
mod ids;
mod mounts;
mod places;
mod state;
mod told;
mod tolerated;
mod unsupported;
mod waits;

use spec_tests::container::Container;
use spec_tests::runtime::Outcome;
use spec_tests::subject::subject;

/// Expects an error that says `phrases`, and that nothing is left of the container. Corten has to say `ours` too, all
/// in one line, and may add a hint.
#[track_caller]
fn refused(container: &Container, outcome: &Outcome, phrases: &[&str], ours: &[&str]) {
    let text = outcome.fails();
    let all = if subject().is_corten() { ours } else { &[] };
    for phrase in phrases.iter().chain(all) {
        assert!(text.contains(phrase), "no `{phrase}` in: {outcome}");
    }
    if subject().is_corten() {
        assert!(one_line(&text), "more than one line: {outcome}");
    }
    container.assert_nothing_left();
}

/// One line, not counting a hint.
fn one_line(text: &str) -> bool {
    text.lines().filter(|line| !line.trim_start().starts_with("hint:")).count() == 1
}
