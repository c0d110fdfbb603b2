//! A container that exists: what most commands begin with, and what several of them do with it.

use std::time::Duration;

use crate::apply::cgroup::Cgroup;
use crate::cli::Which;
use crate::error::{Context, Error, Kind, Result, best_effort};
use crate::state::{ContainerDir, ContainerId, Facts, Lock, Record, StateRoot, Status};
use crate::sys::clock::Deadline;

/// How long a process that was killed may take to end.
const DEATH_WAIT: Duration = Duration::from_secs(10);

/// A container that was created earlier: its directory and its record.
pub struct Container {
    /// Its directory.
    pub dir: ContainerDir,
    /// What is known of it.
    pub record: Record,
}

impl Container {
    /// Finds a container, for a command that only looks.
    pub fn open(root: &StateRoot, id: &ContainerId) -> Result<Container> {
        let dir = ContainerDir::open(root, id)?;
        let record = dir.load()?;
        Ok(Container { dir, record })
    }

    /// Finds a container, for a command that changes it: no other one does as long as the lock is held.
    pub fn open_locked(root: &StateRoot, id: &ContainerId) -> Result<(Container, Lock)> {
        let dir = ContainerDir::open(root, id)?;
        let lock = dir.lock()?;
        let record = dir.load()?;
        Ok((Container { dir, record }, lock))
    }

    /// Where the container is in its life, for a command that only looks.
    pub fn status(&self) -> Result<Status> {
        self.status_if(self.record.init_process_pid == 0 && self.dir.try_lock()?.is_none())
    }

    /// Where the container is in its life, for who holds its lock: `create` is not at work then.
    pub fn status_locked(&self) -> Result<Status> {
        self.status_if(false)
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

    /// Whether the cgroup that the record names is the container's. It is not if `create` died before it could see
    /// whether somebody else is in it: then it has no process, and made no fifo.
    pub fn has_cgroup(&self) -> Result<bool> {
        Ok(self.record.init_process_pid != 0 || self.dir.fifo_exists()?)
    }

    /// The container's cgroup.
    pub fn cgroup(&self) -> Cgroup {
        Cgroup::open(self.record.cgroup_paths.clone())
    }

    /// Sends `signal` to init. SIGKILL reaches a frozen container too.
    ///
    /// Errors: WrongState if init has ended.
    pub fn signal_init(&self, signal: i32) -> Result<()> {
        let Some(init) = self.record.init()? else { return Err(not_running()) };
        init.send_signal(signal).map_err(|err| match err.errno() {
            Some(crate::error::Errno::ESRCH) => not_running(),
            _ => err.context("signal init"),
        })?;
        if signal == libc::SIGKILL {
            // cgroup v1 lets no frozen process die.
            let cgroup = self.cgroup();
            if cgroup.is_frozen().unwrap_or(false) {
                best_effort(cgroup.thaw(), "on v2 the process dies as it is");
            }
        }
        Ok(())
    }

    /// Kills the container, with all its processes, and waits until init has ended.
    pub fn kill_and_wait(&self) -> Result<()> {
        let init = self.record.init()?;
        if !self.record.private_pid_namespace {
            best_effort(self.cgroup().kill_all(), "what is left is found again before the cgroup is removed");
        }
        let Some(init) = init else { return Ok(()) };
        match self.signal_init(libc::SIGKILL) {
            Err(err) if err.kind() == Kind::WrongState => return Ok(()),
            result => result?,
        }
        if init.wait_for_exit(Deadline::after(DEATH_WAIT))? {
            Ok(())
        } else {
            let waited = DEATH_WAIT.as_secs();
            Err(Error::new(
                Kind::WrongState,
                format!("container init still running {waited} seconds after it was killed"),
            ))
        }
    }
}

/// Does `act` to one container, or to all whose names match. Of several each has its turn, and the first failure is told.
pub(super) fn for_each(
    root: &StateRoot,
    which: &Which,
    mut act: impl FnMut(&ContainerId) -> Result<()>,
) -> Result<()> {
    let regex = match which {
        Which::One(id) => return act(id),
        Which::Matching(regex) => regex,
    };
    let ids = match root.list() {
        Err(err) if err.kind() == Kind::NotFound => Vec::new(),
        ids => ids?,
    };
    let matching = ids.iter().map(|(id, _)| id).filter(|id| regex.is_match(id.as_str()));
    let mut first = Ok(());
    for id in matching {
        first = first.and(act(id).doing_with(|| id.to_string()));
    }
    first
}

/// The error of a command that needs a running container; engines match its text.
pub(super) fn not_running() -> Error {
    Error::new(Kind::WrongState, "container not running")
}
