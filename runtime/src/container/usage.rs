//! What the container's cgroup tells: its processes, what they use, and when they run out of memory.

use super::Container;
use crate::apply::cgroup::readings::Readings;
use crate::apply::cgroup::{Cgroup, OomWatch};
use crate::error::Result;
use crate::probe;

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

/// What the cgroup of a container tells that another runtime may have made.
#[derive(Clone)]
pub struct Usage(Cgroup);

impl Usage {
    /// Of the container that a record describes.
    pub fn of(container: &Container) -> Usage {
        Usage(container.cgroup())
    }

    /// Of the container whose init is `pid` and hasn't been started yet: later it may have gone to a cgroup below.
    pub fn of_init(pid: i32) -> Result<Usage> {
        probe::cgroups_of(pid).map(Cgroup::open).map(Usage)
    }

    /// See [`Container::readings`].
    pub fn readings(&self) -> Result<Readings> {
        self.0.readings()
    }

    /// See [`Container::watch_oom`].
    pub fn watch_oom(&self) -> Result<OomWatch> {
        self.0.watch_oom()
    }

    /// See [`Container::cgroup_exists`].
    pub fn cgroup_exists(&self) -> bool {
        self.0.exists()
    }
}
