//! The library under the commands: containers, for a program that manages them.
//!
//! Creating a container takes three values, each made from the value before: a [`Bundle`] is loaded, a
//! [`PlannedContainer`] is decided, a [`NewContainer`] is made. `exec` does the same with a [`Joinable`], a
//! [`PlannedProcess`] and a [`NewProcess`]. Nothing is done before the third. All other operations are methods of a
//! [`Container`] or, where no other command may work on it at the same time, of a [`LockedContainer`].
//!
//! Nothing here prints, logs, or decides by the environment. A warning is part of a result. An error is an [`Error`],
//! the only error type of this crate. What an operation changes for the whole calling process stands in its
//! documentation, under *Process-wide effects*. An operation without that paragraph may be called from any thread of
//! any process.

mod bundle;
mod create;
mod delete;
mod exec;
mod features;
mod fresh;
mod options;
mod parent;
mod pause;
mod signal;
mod start;
mod state;
mod update;
mod usage;

use std::path::PathBuf;

pub use bundle::Bundle;
pub use create::{NewContainer, PlannedContainer, Running};
pub use delete::Remains;
pub use exec::{ExecProcess, Joinable, NewProcess, PlannedProcess};
pub use features::features;
pub use fresh::FreshProcess;
pub use options::{Console, CreateOptions, ExecOptions};
pub use parent::{
    SealedImage, become_subreaper, ends_with_parent, give_limit_of_files, raise_limit_of_files, reap_orphans,
};
pub use state::State;
pub use update::{Schemata, resources_from_json};
pub use usage::Usage;

pub use crate::apply::Tracer;
pub use crate::apply::cgroup::readings::{self, Readings};
pub use crate::apply::cgroup::{OomEvent, OomWatch};
pub use crate::apply::readiness::Readiness;
pub use crate::plan::cgroup::{Manager as CgroupManager, Rootless};
pub use crate::spec::oci::{LinuxResources, Process};
pub use crate::state::{ContainerId, Status};
pub use crate::sys::pidfd::PidFd;
pub use crate::sys::process::Ended;

use crate::apply::cgroup::Cgroup;
use crate::error::{Error, Kind, Result};
use crate::state::{ContainerDir, Facts, Lock, Record, StateRoot};
use crate::sys::process;

/// All containers whose state is kept below one directory.
#[derive(Clone, Debug)]
pub struct Runtime {
    root: PathBuf,
}

impl Runtime {
    /// The containers below `root`, which is made when the first of them is created.
    pub fn at(root: impl Into<PathBuf>) -> Runtime {
        Runtime { root: root.into() }
    }

    /// The ids of all containers, sorted, each with the uid that created it.
    ///
    /// Errors: NotFound if the directory isn't there.
    pub fn list(&self) -> Result<Vec<(ContainerId, u32)>> {
        self.root()?.list()
    }

    /// Finds a container, to look at it.
    ///
    /// Errors: NotFound.
    pub fn find(&self, id: &ContainerId) -> Result<Container> {
        let dir = ContainerDir::open(&self.root()?, id)?;
        let record = dir.load()?;
        Ok(Container { dir, record })
    }

    /// Finds a container, to change it, once the command that is working on it is done.
    ///
    /// Waits for that command up to 30 seconds.
    ///
    /// Errors: NotFound; WrongState if that command is still at work after 30 seconds.
    pub fn lock(&self, id: &ContainerId) -> Result<LockedContainer> {
        let dir = ContainerDir::open(&self.root()?, id)?;
        let lock = dir.lock()?;
        let record = dir.load()?;
        Ok(LockedContainer { container: Container { dir, record }, lock })
    }

    /// The absolute path of the directory for a container's sd_notify socket: [`CreateOptions::notify_directory`].
    pub fn notify_directory(&self, id: &ContainerId) -> Result<PathBuf> {
        StateRoot::at(&self.root).notify_directory(id)
    }

    /// Where to find containers. Each of them is known by the number of its init, and looked at in /proc.
    ///
    /// Errors: Unsupported where /proc belongs to another pid namespace.
    fn root(&self) -> Result<StateRoot> {
        process::check_procfs()?;
        Ok(StateRoot::at(&self.root))
    }
}

/// A container that was created earlier. Other commands may change it at any time.
pub struct Container {
    dir: ContainerDir,
    record: Record,
}

impl Container {
    /// Its name.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// The pid of its init, as the caller's pid namespace numbers it; the process may have ended.
    pub fn pid(&self) -> i32 {
        self.record.init_process_pid
    }

    /// Where it is in its life.
    pub fn status(&self) -> Result<Status> {
        // A container without an init is being created if it is locked: `create` holds the lock.
        self.status_if(self.record.init_process_pid == 0 && self.dir.try_lock()?.is_none())
    }

    fn status_if(&self, being_created: bool) -> Result<Status> {
        let init_alive = self.record.init()?.is_some();
        Ok(Status::of(Facts {
            being_created,
            init_alive,
            frozen: init_alive && self.cgroup().is_frozen()?,
            fifo: init_alive && self.dir.fifo_exists()?,
        }))
    }

    fn cgroup(&self) -> Cgroup {
        Cgroup::open(self.record.cgroup_paths.clone())
    }
}

/// A container that no other command changes as long as this value lives.
///
/// It is not a [`Container`] and hands none out while it is locked. [`Container::status`] asks whether another command
/// holds the lock, and would take the holder of this value for such a command.
pub struct LockedContainer {
    container: Container,
    lock: Lock,
}

impl LockedContainer {
    /// Its name.
    pub fn id(&self) -> &str {
        self.container.id()
    }

    /// The pid of its init, as the caller's pid namespace numbers it; the process may have ended.
    pub fn pid(&self) -> i32 {
        self.container.pid()
    }

    /// Where it is in its life.
    pub fn status(&self) -> Result<Status> {
        // `create` is not at work, because this process holds the lock.
        self.container.status_if(false)
    }

    /// Lets other commands change it again.
    pub fn unlock(self) -> Container {
        drop(self.lock);
        self.container
    }
}

/// The error of an operation that needs a running container; engines match its text.
fn not_running() -> Error {
    Error::new(Kind::WrongState, "container not running")
}
