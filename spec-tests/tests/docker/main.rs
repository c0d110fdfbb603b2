//! Docker, for real: the same commands under Debian's runc and under the tested runtime must do the same.
//!
//! The suite starts Debian's own dockerd and containerd in namespaces of their own, so it needs root, and the packages
//! that `scripts/install-test-packages` installs. It touches nothing of the system's engine. `scripts/engine` runs it
//! beside the engines of a newer Debian.
//!
//! ```text
//! CORTEN_DOCKER_SHIM=/path/to/containerd-shim-corten-v2 …                 # containers by that shim, as runtimeType
//! CORTEN_BIN=/path/to/corten cargo test -p spec-tests --test docker        # all (default: target/…/corten)
//! … --test docker -- volumes::                                             # a theme
//! … --test docker -- --exact exec::as_another_user                         # one scenario, both runtimes
//! CORTEN_ROLES=tested … --test docker -- --exact exec::as_another_user     # … only the tested one, not compared
//! CORTEN_ROLES=reference …                                                 # … only runc
//! CORTEN_SHELL=1 cargo test -p spec-tests --test docker -- --nocapture     # a shell with an engine, to try by hand:
//!     docker run --rm --runtime corten busybox id                          # (`exit` takes it all down)
//! ```
//!
//! A scenario passes if both runtimes did what it expects and said the same, once ids, times and addresses are taken
//! out. A scenario that can't run on this machine says why and counts as ignored.

use std::process::ExitCode;

use spec_tests::engine::dockerd::Dockerd;
use spec_tests::engine::pool::EnginePool;
use spec_tests::engine::role::Runtimes;
use spec_tests::engine::suite::{self, Theme};

mod build;
mod cleanup;
mod compose;
mod copies;
mod daemon;
mod default_runtime;
mod exec;
mod lifecycle;
mod limits;
mod namespaces;
mod network;
mod observe;
mod privileges;
mod process;
mod terminal;
mod userns_remap;
mod volumes;

fn themes() -> Vec<Theme<Dockerd>> {
    vec![
        ("build", build::scenarios()),
        ("cleanup", cleanup::scenarios()),
        ("compose", compose::scenarios()),
        ("copies", copies::scenarios()),
        ("daemon", daemon::scenarios()),
        ("default_runtime", default_runtime::scenarios()),
        ("exec", exec::scenarios()),
        ("lifecycle", lifecycle::scenarios()),
        ("limits", limits::scenarios()),
        ("namespaces", namespaces::scenarios()),
        ("network", network::scenarios()),
        ("observe", observe::scenarios()),
        ("privileges", privileges::scenarios()),
        ("process", process::scenarios()),
        ("terminal", terminal::scenarios()),
        ("userns_remap", userns_remap::scenarios()),
        ("volumes", volumes::scenarios()),
    ]
}

fn main() -> ExitCode {
    suite::main(themes(), |sandbox, roles| {
        Ok(EnginePool::new(sandbox, Runtimes::from_environment("/usr/sbin/runc")?, roles))
    })
}
