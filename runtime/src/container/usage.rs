//! What the container's cgroup tells: its processes, what they use, and when they run out of memory.

use super::Container;
use crate::apply::cgroup::OomWatch;
use crate::apply::cgroup::readings::Readings;
use crate::error::Result;

impl Container {
    /// The pids of all processes, those in cgroups below the container's included.
    pub fn pids(&self) -> Result<Vec<i32>> {
        self.cgroup().pids()
    }

    /// What the container uses at this moment, as the kernel counts it.
    pub fn readings(&self) -> Result<Readings> {
        self.cgroup().readings()
    }

    /// A descriptor to wait on, which tells when the container is out of memory and when its cgroup is gone.
    pub fn watch_oom(&self) -> Result<OomWatch> {
        self.cgroup().watch_oom()
    }

    /// Whether the cgroup that the record names is there.
    pub fn cgroup_exists(&self) -> bool {
        self.cgroup().exists()
    }
}
