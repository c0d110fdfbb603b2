//! `start`: a created container's program runs.

use std::ffi::OsStr;

use super::{Container, LockedContainer};
use crate::apply::hooks::{DefaultEnv, Surroundings, run_hooks};
use crate::apply::readiness::Readiness;
use crate::apply::starting::{self, Started};
use crate::error::{Error, Kind, Result, best_effort};
use crate::state::{OciState, Status};

impl LockedContainer {
    /// Starts the container, and runs its poststart hooks once its program is executed.
    ///
    /// Waits for that up to 60 seconds, and for the hooks as long as they take.
    ///
    /// Process-wide effects: the hooks are children of this process as long as they run. A program that ignores
    /// SIGCHLD, or waits for any child, takes away how they ended.
    ///
    /// Errors: WrongState unless it is in the created state; Hook, and then the container is killed.
    pub fn start(self) -> Result<Container> {
        self.check_created()?;
        self.complete_start(starting::start(&self.container.dir, &self.container.record)?)?;
        Ok(self.unlock())
    }

    /// Starts the container, and returns when the service manager at `address` has been told that it is ready, or when
    /// it has ended. The wait for the container has no deadline.
    ///
    /// Process-wide effects: as [`start`](Self::start).
    ///
    /// Errors: as [`start`](Self::start); and if the manager can't be told. The container then runs nevertheless, as
    /// with runc.
    pub fn start_and_wait_until_ready(self, address: &OsStr) -> Result<()> {
        self.check_created()?;
        let socket = self.container.dir.bind_notify_socket()?;
        let init = self.container.record.init()?.ok_or_else(starting::has_stopped)?;
        self.complete_start(starting::start(&self.container.dir, &self.container.record)?)?;
        // Other commands find the container unlocked while it is getting ready.
        let container = self.unlock();
        Readiness::of(socket, address, container.record.init_process_pid.unsigned_abs())?.settle(&init)
    }

    /// Waits until the program of a container that was just started is executed, and runs its poststart hooks.
    ///
    /// Errors: Hook, and then the container is killed.
    pub(super) fn complete_start(&self, started: Started) -> Result<()> {
        started.wait(&self.container.record)?;
        self.run_poststart_hooks()
    }

    fn check_created(&self) -> Result<()> {
        match self.status()? {
            Status::Created => Ok(()),
            Status::Stopped => Err(starting::has_stopped()),
            Status::Running => Err(starting::runs_already()),
            status => {
                let text = format!("cannot start a container in the {status} state");
                Err(Error::new(Kind::WrongState, text))
            }
        }
    }

    fn run_poststart_hooks(&self) -> Result<()> {
        let Container { record, .. } = &self.container;
        if record.poststart.is_empty() {
            return Ok(());
        }
        let state = OciState::of(record, Status::Running).to_json();
        let surroundings =
            Surroundings { state: &state, env: DefaultEnv::Empty, directory: Some(&record.bundle) };
        run_hooks("poststart", &record.poststart, surroundings).inspect_err(|_| {
            best_effort(self.container.kill_and_wait(), "the hook's failure is what is reported");
        })
    }
}
