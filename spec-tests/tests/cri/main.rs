//! Pods: a kubelet's calls of containerd's CRI must do the same under containerd's own shim with runc and under the
//! tested shim, and leave nothing.
//!
//! The suite runs Debian's own containerd in namespaces of its own, so it needs root, and the packages that
//! `scripts/install-test-packages` installs. It touches nothing of the system's containerd. The server of streams (exec
//! and attach of `kubectl`) is left out: with the shim it does what the `containerd` suite does by `ctr`.
//!
//! ```text
//! CORTEN_BIN=/path/to/corten cargo test -p spec-tests --test cri   # the shim is beside the runtime
//! … --test cri -- pods::                                           # a theme
//! CORTEN_ROLES=tested … --test cri -- --exact exec::exit_code      # one scenario, not compared
//! ```

use std::process::ExitCode;

use spec_tests::engine::containerd::{Client, Containerd, ContainerdPool};
use spec_tests::engine::role::Runtimes;
use spec_tests::engine::suite::{self, Theme};

mod client;
mod kubelet;
mod messages;

mod containers;
mod exec;
mod logs;
mod namespaces;
mod pods;
mod resources;
mod restarts;
mod security;
mod stats;

fn themes() -> Vec<Theme<Containerd>> {
    vec![
        ("pods", pods::scenarios()),
        ("namespaces", namespaces::scenarios()),
        ("containers", containers::scenarios()),
        ("exec", exec::scenarios()),
        ("logs", logs::scenarios()),
        ("resources", resources::scenarios()),
        ("stats", stats::scenarios()),
        ("security", security::scenarios()),
        ("restarts", restarts::scenarios()),
    ]
}

fn main() -> ExitCode {
    suite::main(themes(), |sandbox, roles| {
        let runtime = Runtimes::from_environment("/usr/sbin/runc")?.tested;
        ContainerdPool::new(sandbox, Client::Kubelet, &runtime, roles)
    })
}
