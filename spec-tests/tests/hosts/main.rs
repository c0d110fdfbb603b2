//! A host as it comes: Debian's engines with the configuration of their packages, each command under the runtime that
//! the engine runs by default, and under the tested one. Both must do the same, and leave nothing.
//!
//! The suite changes the host (a runtime more in daemon.json, images), so it runs only on the machine of `scripts/vm`:
//!
//! ```text
//! cargo test -p spec-tests --no-run --test hosts
//! CORTEN_BIN=/path/to/corten scripts/vm --booted 'target/debug/deps/hosts-… rootless_podman::'
//! CORTEN_BIN=/path/to/corten scripts/vm --booted 'CORTEN_BIN=/usr/sbin/runc target/debug/deps/hosts-… podman::'
//! ```

mod engine;
mod host;
mod scenarios;

/// The scenarios on one engine: `ENGINE::SCENARIO`.
macro_rules! on {
    ($engine:ident: $($scenario:ident)*) => {
        mod $engine {
            $(#[test]
            fn $scenario() {
                crate::host::compare(crate::engine::$engine(), crate::scenarios::$scenario);
            })*
        }
    };
}

on!(docker: readme run exit_codes exec terminal limits update devices pause stats signals restart scope labels);
on!(podman: readme run exit_codes exec terminal limits update devices pause stats signals restart scope labels);
on!(rootless_docker: readme run exit_codes exec terminal limits update pause stats signals restart scope labels);
on!(rootless_podman: readme run exit_codes exec terminal limits update pause stats signals restart scope labels);
