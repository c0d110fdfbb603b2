//! What a decision about cgroups has to know of the host. `probe` fills it in.

use std::path::PathBuf;

/// The host's cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupHost {
    /// Which kind of hierarchy containers are put into.
    pub mode: Mode,
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
