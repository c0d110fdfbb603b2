//! `kill`: signals for init, or for all processes.

use std::path::PathBuf;
use std::time::Duration;

use super::{Container, not_running};
use crate::apply::cgroup::Cgroup;
use crate::error::{Errno, Error, Kind, Result, best_effort};
use crate::state::ContainerDir;
use crate::sys::clock::Deadline;

/// How long a process that was killed may take to end.
const DEATH_WAIT: Duration = Duration::from_secs(10);

impl Container {
    /// Sends `signal` to init.
    ///
    /// If the container has a pid namespace of its own, the kernel ends all processes in it with init. In a shared pid
    /// namespace the processes would go on without init. SIGKILL is then sent to all of them, even if init has ended.
    /// SIGKILL ends a frozen container too.
    ///
    /// Errors: WrongState, "container not running".
    pub fn signal(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL && !self.record.private_pid_namespace {
            self.signal_all(signal)
        } else {
            self.signal_init(signal)
        }
    }

    /// Sends `signal` to all processes.
    ///
    /// Errors: WrongState, "container not running", if there are none.
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        let cgroup = self.cgroup();
        if cgroup.pids().is_ok_and(|pids| !pids.is_empty()) {
            cgroup.signal_all(signal)
        } else {
            self.signal_init(signal)
        }
    }

    fn signal_init(&self, signal: i32) -> Result<()> {
        let Some(init) = self.record.init()? else { return Err(not_running()) };
        init.send_signal(signal).map_err(|err| match err.errno() {
            Some(Errno::ESRCH) => not_running(),
            _ => err.context("signal init"),
        })?;
        if signal == libc::SIGKILL {
            // cgroup v1 lets no frozen process die.
            best_effort(self.thaw_own(), "on v2 the process dies as it is");
        }
        Ok(())
    }

    /// Thaws what is frozen of the container's cgroup and of the cgroups below it, but nothing of other containers.
    pub(super) fn thaw_own(&self) -> Result<()> {
        let mut frozen = self.cgroup().frozen()?;
        if !frozen.is_empty() {
            let others = self.neighbours()?;
            frozen.retain(|path| !others.iter().any(|other| path.starts_with(other)));
        }
        frozen.iter().try_for_each(|path| Cgroup::thaw_at(path))
    }

    /// The cgroups of other containers that run in this container's cgroup or below it, by their records.
    pub(super) fn neighbours(&self) -> Result<Vec<PathBuf>> {
        let (root, cgroup) = (self.dir.root(), self.cgroup());
        let mut found = Vec::new();
        for (id, _) in root.list()?.iter().filter(|(id, _)| id != self.dir.id()) {
            // A container that is just being deleted, or has a broken record, is nobody's neighbour.
            let record = ContainerDir::open(&root, id).and_then(|dir| dir.load());
            let Some(record) = best_effort(record, "it can't be told where it lives") else { continue };
            let inside = cgroup.paths_within(&record.cgroup_paths);
            if !inside.is_empty() && record.init()?.is_some() {
                found.extend(inside);
            }
        }
        Ok(found)
    }

    /// Kills all processes, and waits until init has ended.
    pub(super) fn kill_and_wait(&self) -> Result<()> {
        if !self.record.private_pid_namespace {
            best_effort(self.cgroup().kill_all(), "what is left is found again by `delete`");
        }
        self.kill_init_and_wait()
    }

    /// Kills init, and waits until it has ended.
    pub(super) fn kill_init_and_wait(&self) -> Result<()> {
        let Some(init) = self.record.init()? else { return Ok(()) };
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
