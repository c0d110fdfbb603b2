//! containerd with the shim, for real: the same commands of `ctr` under containerd's own shim with runc, and under the
//! tested shim, must do the same.
//!
//! The suite runs Debian's own containerd in namespaces of its own, so it needs root, and the packages that
//! `scripts/install-test-packages` installs. It touches nothing of the system's containerd. `scripts/engine` runs it
//! with the containerd of a newer Debian.
//!
//! ```text
//! CORTEN_BIN=/path/to/corten cargo test -p spec-tests --test containerd   # the shim is beside the runtime
//! … --test containerd -- tasks::                                          # a theme
//! CORTEN_ROLES=tested … --test containerd -- --exact tasks::exit_code     # one scenario, not compared
//! CORTEN_SHELL=1 cargo test -p spec-tests --test containerd -- --nocapture  # a shell, to try `ctr` by hand
//! ```

use std::process::ExitCode;

use spec_tests::engine::containerd::{Client, Containerd, ContainerdPool};
use spec_tests::engine::role::Runtimes;
use spec_tests::engine::suite::{self, Theme};

mod restarts;
mod tasks;

fn themes() -> Vec<Theme<Containerd>> {
    vec![("restarts", restarts::scenarios()), ("tasks", tasks::scenarios())]
}

fn main() -> ExitCode {
    suite::main(themes(), |sandbox, roles| {
        let runtime = Runtimes::from_environment("/usr/sbin/runc")?.tested;
        ContainerdPool::new(sandbox, Client::Ctr, &runtime, roles)
    })
}
