//! podman, for real: the same commands under crun and under the tested runtime must do the same.
//!
//! The suite runs Debian 12's own podman and buildah in namespaces of their own, so it needs root, and the packages
//! that `scripts/install-test-packages` installs. It touches nothing of the system's podman.
//!
//! ```text
//! CORTEN_BIN=/path/to/corten cargo test -p spec-tests --test podman        # all (default: target/…/corten)
//! … --test podman -- pods::                                                # a theme
//! CORTEN_ROLES=tested … --test podman -- --exact run::exit_code            # one scenario, not compared
//! CORTEN_PEER=/usr/sbin/runc …                                             # compared with runc instead
//! CORTEN_SHELL=1 cargo test -p spec-tests --test podman -- --nocapture     # a shell with podman, to try by hand:
//!     podman --runtime corten run --rm busybox id                          # (`exit` takes it all down)
//! ```
//!
//! A scenario passes if both runtimes did what it expects and said the same, once ids, times and addresses are taken
//! out. A scenario that can't run on this machine says why and counts as ignored.

use std::process::ExitCode;

use spec_tests::engine::podman::{Podman, PodmanPool};
use spec_tests::engine::role::Runtimes;
use spec_tests::engine::suite::{self, Theme};

mod builds;
mod cleanup;
mod exec;
mod lifecycle;
mod limits;
mod namespaces;
mod pods;
mod privileges;
mod process;
mod rootless;
mod volumes;

fn themes() -> Vec<Theme<Podman>> {
    let of_root = vec![
        ("builds", builds::scenarios()),
        ("cleanup", cleanup::scenarios()),
        ("exec", exec::scenarios()),
        ("lifecycle", lifecycle::scenarios()),
        ("limits", limits::scenarios()),
        ("namespaces", namespaces::scenarios()),
        ("pods", pods::scenarios()),
        ("privileges", privileges::scenarios()),
        ("process", process::scenarios()),
        ("volumes", volumes::scenarios()),
    ];
    of_root.into_iter().chain(rootless::themes()).collect()
}

fn main() -> ExitCode {
    suite::main(themes(), |sandbox, roles| {
        Ok(PodmanPool::new(sandbox, Runtimes::from_environment("/usr/bin/crun")?, roles))
    })
}
