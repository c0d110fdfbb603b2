//! Who makes the cgroups of containers: the runtime, or systemd when the runtime asks it to.
//!
//! `CORTEN_CGROUP_MANAGER=systemd` has every suite go through systemd: the one of this machine, or for an ordinary user
//! that user's own. `scripts/systemd` makes a machine where both are.

use std::process::Command;

use crate::cgroup::Cgroup;

/// The slice of every test container's scope.
const SLICE: &str = "spec.slice";

/// The maker of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The runtime makes directories.
    Cgroupfs,
    /// systemd makes a scope for each container.
    Systemd,
}

impl Manager {
    /// What `CORTEN_CGROUP_MANAGER` says; the runtime by default.
    pub fn of_environment() -> Manager {
        match std::env::var("CORTEN_CGROUP_MANAGER").as_deref() {
            Err(_) | Ok("cgroupfs") => Manager::Cgroupfs,
            Ok("systemd") => Manager::Systemd,
            Ok(other) => panic!("CORTEN_CGROUP_MANAGER is neither cgroupfs nor systemd: {other}"),
        }
    }

    /// The global flags that tell a runtime.
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Manager::Cgroupfs => &[],
            Manager::Systemd => &["--systemd-cgroup"],
        }
    }

    /// The `linux.cgroupsPath` of a container.
    pub fn cgroups_path(self, id: &str) -> String {
        match self {
            Manager::Cgroupfs => format!("/{id}/c"),
            Manager::Systemd => format!("{SLICE}:spec:{id}"),
        }
    }

    /// The cgroup that this path means.
    pub fn cgroup(self, id: &str) -> Cgroup {
        match self {
            Manager::Cgroupfs => Cgroup { path: format!("/{id}/c") },
            Manager::Systemd => Cgroup { path: format!("{}/{SLICE}/{}", own_cgroup(), unit(id)) },
        }
    }

    /// The units of this manager that bear the marker of a test, one line for each; none where the runtime makes
    /// cgroups.
    pub fn units(self, marker: &str) -> Vec<String> {
        if self == Manager::Cgroupfs {
            return Vec::new();
        }
        let pattern = format!("*{marker}*");
        let listed =
            systemctl(["list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full", &pattern]);
        listed.lines().map(|line| line.split_whitespace().take(4).collect::<Vec<_>>().join(" ")).collect()
    }

    /// Takes away by hand what units a test has left.
    pub fn stop(self, marker: &str) {
        for line in self.units(marker) {
            let unit = line.split(' ').next().unwrap_or_default();
            systemctl(["kill", "--signal=KILL", unit]);
            systemctl(["stop", unit]);
            systemctl(["reset-failed", unit]);
        }
    }
}

/// The scope of the container `id` that has the path of [`Manager::cgroups_path`].
pub fn unit(id: &str) -> String {
    format!("spec-{id}.scope")
}

/// Tells whether systemd runs here and can be asked.
pub fn has_systemd() -> bool {
    std::fs::exists("/run/systemd/private").unwrap_or(false)
        && Command::new("systemctl").arg("--version").output().is_ok()
}

/// Runs systemctl for the manager that this process' runtime asks, and returns what it prints.
pub fn systemctl<'a>(args: impl IntoIterator<Item = &'a str>) -> String {
    let mut command = Command::new("systemctl");
    if !is_root() {
        command.arg("--user");
    }
    let output = command.args(args).output().expect("run systemctl");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Tells whether this process is root's, and so systemd the machine's.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The cgroup of the manager, by its path from the root of each hierarchy.
fn own_cgroup() -> String {
    let uid = rustix::process::geteuid().as_raw();
    if uid == 0 { String::new() } else { format!("/user.slice/user-{uid}.slice/user@{uid}.service") }
}
