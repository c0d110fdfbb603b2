//! `kill`: signals for init, or for all processes.

use std::time::Duration;

use super::{Container, not_running};
use crate::error::{Errno, Error, Kind, Result, best_effort};
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
            let cgroup = self.cgroup();
            if cgroup.is_frozen().unwrap_or(false) {
                best_effort(cgroup.thaw(), "on v2 the process dies as it is");
            }
        }
        Ok(())
    }

    /// Kills all processes, and waits until init has ended.
    pub(super) fn kill_and_wait(&self) -> Result<()> {
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
