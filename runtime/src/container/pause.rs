//! `pause` and `resume`: the container's processes are frozen, and go on.

use super::{LockedContainer, not_running};
use crate::error::{Error, Kind, Result};
use crate::state::Status;

impl LockedContainer {
    /// Freezes all processes.
    ///
    /// Waits for the kernel up to 10 seconds.
    ///
    /// Errors: WrongState unless the container runs or waits to be started.
    pub fn pause(&self) -> Result<()> {
        match self.status()? {
            Status::Running | Status::Created => self.container.cgroup().freeze(),
            Status::Paused => {
                Err(Error::new(Kind::WrongState, "container not running: it is paused already"))
            }
            _ => Err(not_running()),
        }
    }

    /// Lets all processes go on.
    ///
    /// Errors: WrongState unless the container is paused.
    pub fn resume(&self) -> Result<()> {
        match self.status()? {
            Status::Paused => self.container.cgroup().thaw(),
            _ => Err(Error::new(Kind::WrongState, "container not paused")),
        }
    }
}
