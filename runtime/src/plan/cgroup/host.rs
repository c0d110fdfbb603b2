//! What a decision about cgroups has to know of the host. `probe` fills it in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The host's cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupHost {
    /// Which kind of hierarchy containers are put into.
    pub mode: Mode,
    /// systemd, if it runs and is wanted: nobody looks for it otherwise.
    pub systemd: Option<Systemd>,
}

impl CgroupHost {
    /// Whether there is one hierarchy for all controllers.
    pub fn is_v2(&self) -> bool {
        matches!(self.mode, Mode::V2 { .. })
    }
}

/// The instance of systemd that makes units for this caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Systemd {
    /// Which one.
    pub manager: SystemdManager,
    /// The cgroup that its slices are in, relative to the top of each hierarchy; empty for the top.
    pub control_group: PathBuf,
    /// v1: the drivers of devices, whose names systemd knows a whole major number by.
    pub drivers: Drivers,
}

/// The drivers of devices (`/proc/devices`), each with its major number. Drivers may share a number, and a driver may
/// have several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drivers {
    /// The drivers of character devices.
    pub char: Vec<(u32, String)>,
    /// The drivers of block devices.
    pub block: Vec<(u32, String)>,
}

impl Systemd {
    /// Whether a process of the caller's may be born in a cgroup of a unit. Into those of a user's systemd nobody but
    /// root brings processes from outside: so the kernel has it, and a login session is outside. On v1 systemd takes
    /// away what it finds and knows nothing of, and moves processes.
    pub(super) fn may_clone_into(&self, host: &CgroupHost) -> bool {
        let within = |hierarchy: &Hierarchy| hierarchy.own.starts_with(&self.control_group);
        match (self.manager, &host.mode) {
            (_, Mode::V1 { .. }) => false,
            (SystemdManager::System, Mode::V2 { .. }) => true,
            (SystemdManager::User, Mode::V2 { hierarchy, .. }) => within(hierarchy),
        }
    }
}

/// An instance of systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SystemdManager {
    /// The host's, which is process 1.
    System,
    /// The user's who calls the runtime.
    User,
}

/// The kind of hierarchy that containers are put into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One hierarchy per controller or set of controllers. A host that has a unified hierarchy beside them is called
    /// hybrid, and containers join the unified hierarchy too.
    V1 {
        /// All hierarchies that are mounted.
        hierarchies: Vec<Hierarchy>,
    },
    /// One hierarchy for all controllers.
    V2 {
        /// The only hierarchy.
        hierarchy: Hierarchy,
        /// The controllers that the top of the hierarchy can give to cgroups below it.
        controllers: Vec<String>,
    },
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its controllers: `["cpu", "cpuacct"]`, `["name=systemd"]`; `[""]` for the unified one.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// The cgroup of this process, relative to the mount point; empty for the top.
    pub own: PathBuf,
}
