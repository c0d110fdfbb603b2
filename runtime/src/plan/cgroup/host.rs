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
    /// One hierarchy per controller or set of controllers; with a unified one beside them the host is called
    /// hybrid, and containers join that too.
    V1 {
        /// All that are mounted.
        hierarchies: Vec<Hierarchy>,
    },
    /// One hierarchy for all controllers.
    V2 {
        /// The only one.
        hierarchy: Hierarchy,
        /// The controllers that its top can give to cgroups below it.
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
