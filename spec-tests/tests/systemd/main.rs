//! Containers whose cgroup is a scope that systemd makes (`--systemd-cgroup`).
//!
//! The suite wants a machine where systemd runs and root asks it. `scripts/systemd` makes two, and `scripts/vm` a
//! third:
//!
//! | machine | cgroups | what is real there |
//! |---|---|---|
//! | `scripts/systemd v2` | v2 with next to no controller | units, scopes, device rules, freezing |
//! | `scripts/systemd hybrid` | v1 with all controllers, v2 beside them | these, and limits as v1 has them |
//! | `scripts/vm` | v2 with all controllers | everything, at a twentieth of the speed |
//!
//! ```text
//! cargo test -p spec-tests --test systemd --config 'target."cfg(unix)".runner = ["/CHECKOUT/scripts/systemd", "v2"]'
//! ```
//!
//! With `CORTEN_BIN=/usr/sbin/runc` or `/usr/bin/crun` the machine's own peers judge the tests.

mod bus;
mod lifecycle;
mod properties;
mod scopes;
mod strangers;
mod user;

use spec_tests::bundle::Bundle;
use spec_tests::container::Container;

/// Leaves the test where no systemd runs, or where this process may not ask it for units of the machine.
#[macro_export]
macro_rules! need_systemd {
    () => {
        spec_tests::skip_if!(!spec_tests::manager::has_systemd(), "no systemd runs here");
        spec_tests::skip_if!(!spec_tests::manager::is_root(), "only root makes units of the machine");
    };
}

/// A running container that sleeps, in its scope.
fn sleeping(configure: impl FnOnce(&mut Bundle)) -> Container {
    let container = Container::in_a_scope(|bundle| {
        bundle.args(["sleep", "1000"]);
        configure(bundle);
    });
    container.run_with(["--detach"]).output().ok();
    container
}

/// What systemd knows of the container's scope: `show(&container, "Delegate")`.
fn show(container: &Container, property: &str) -> String {
    let unit = spec_tests::manager::unit(&container.id);
    spec_tests::manager::systemctl(["show", "--value", "--property", property, &unit])
}

/// Where a process is, as the hierarchy that systemd keeps its units in has it.
fn cgroup_of(pid: u32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the cgroups of a process");
    let line = |prefix: &str| text.lines().find_map(|line| line.split_once(prefix));
    line(":name=systemd:")
        .filter(|_| !spec_tests::view::is_unified())
        .or(line("0::"))
        .expect("a hierarchy")
        .1
        .to_owned()
}

/// The units of systemd that bear the marker of this container.
fn units(container: &Container) -> Vec<String> {
    container.runtime.manager.units(&container.id)
}
