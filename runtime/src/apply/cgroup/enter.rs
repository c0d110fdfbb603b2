//! How a new process gets into its cgroups.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use crate::error::{Context, Errno, Error, Result};
use crate::sys::cgroupfs::{Dir, File};
use crate::sys::namespace::{Forked, clone3};
use crate::sys::process::SingleThreaded;

/// Why a fork is to be tried again.
pub const PIDS_LIMIT_REACHED: &str = "the pids limit of the cgroup or of the user is reached";

/// The way into a cgroup, opened while its paths and the right to use them are there.
///
/// In the unified hierarchy a process is born in its cgroup. Into a cgroup of v1 the process moves itself, by writing
/// `0` to `tasks`. A move by pid, or of a whole process, takes a lock against every fork and exit of the machine, and
/// waits milliseconds for the lock.
#[derive(Default)]
pub struct Entrance {
    birthplace: Option<Birthplace>,
    hierarchies: Vec<Hierarchy>,
}

struct Birthplace {
    dir: OwnedFd,
    path: PathBuf,
    optional: bool,
}

/// The cgroup in a hierarchy of v1.
struct Hierarchy {
    tasks: File,
    path: PathBuf,
    optional: bool,
}

impl Entrance {
    /// Adds the cgroup's directory in the unified hierarchy. If it is optional, a process that can't be born in it is
    /// born in the cgroup of its parent.
    pub(super) fn add_unified(&mut self, dir: &Dir, optional: bool) -> Result<()> {
        self.birthplace = Some(Birthplace { dir: dir.try_clone()?, path: dir.path().to_owned(), optional });
        Ok(())
    }

    /// Adds the cgroup's directory in a hierarchy of v1. If it is optional, a process that can't enter it goes on.
    pub(super) fn add_v1(&mut self, dir: &Dir, optional: bool) -> Result<()> {
        match dir.open_to_write("tasks") {
            Err(_) if optional => Ok(()),
            tasks => {
                let tasks = tasks.doing_with(|| format!("enter the cgroup {}", dir.path().display()))?;
                self.hierarchies.push(Hierarchy { tasks, path: dir.path().to_owned(), optional });
                Ok(())
            }
        }
    }

    /// Clones a child into namespaces and into the unified hierarchy's cgroup. The cgroups of v1 the child has to
    /// [`enter`](Self::enter) by itself.
    ///
    /// Errors: those of [`clone3`].
    pub fn clone_child(&mut self, alone: &SingleThreaded, flags: u64) -> Result<Forked> {
        let forked = match &self.birthplace {
            None => clone3(alone, flags, None, false),
            Some(Birthplace { dir, optional, .. }) => match clone3(alone, flags, Some(dir.as_fd()), false) {
                Err(_) if *optional => clone3(alone, flags, None, false),
                forked => forked,
            },
        };
        if matches!(forked, Ok(Forked::Child(_))) {
            // The child mustn't keep the directory open: it is the host's, and a program of the container could leave
            // by it.
            self.birthplace = None;
        }
        forked.map_err(|err| self.explained(err))
    }

    fn explained(&self, err: Error) -> Error {
        match (err.errno(), &self.birthplace) {
            (Some(Errno::EAGAIN), _) => err.with_hint(PIDS_LIMIT_REACHED),
            (Some(Errno::EBUSY | Errno::EOPNOTSUPP), Some(Birthplace { path, .. })) => {
                err.with_hint(format!("the cgroup {} takes no processes", path.display()))
            }
            _ => err,
        }
    }

    /// Moves the calling process, which has one thread, into its cgroups in the hierarchies of v1.
    pub fn enter(self) -> Result<()> {
        for Hierarchy { tasks, path, optional } in self.hierarchies {
            match tasks.write("0").doing_with(|| format!("enter the cgroup {}", path.display())) {
                Err(_) if optional => {}
                entered => entered?,
            }
        }
        Ok(())
    }

    /// The descriptors that a process needs until it has entered.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.hierarchies.iter().map(|hierarchy| hierarchy.tasks.as_fd())
    }
}
