//! How a created container is started: the fifo that init reads.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::error::{Errno, Error, Kind, Result};
use crate::state::ContainerDir;
use crate::sys::clock::Deadline;
use crate::sys::socket;

/// How long init may take to execute the program; then whoever waits goes on all the same.
const EXECUTION_WAIT: Duration = Duration::from_secs(60);

/// A container that has been started: init's end of the fifo closes when it executes the program.
pub struct Started {
    fifo: OwnedFd,
}

/// Tells init, which waits at its end of the fifo or is about to, to execute the program.
///
/// The fifo goes first: whoever is killed between the two steps leaves a container that init, which sees the other
/// end close, gives up, and none that counts as created and can't be started.
///
/// Errors: WrongState if init has ended.
pub fn start(dir: &ContainerDir) -> Result<Started> {
    let fifo = dir.open_fifo_for_start()?.ok_or_else(has_stopped)?;
    dir.remove_fifo()?;
    match nix::unistd::write(fifo.as_fd(), b"0") {
        Ok(_) => Ok(Started { fifo }),
        Err(Errno::EPIPE) => Err(has_stopped()),
        Err(errno) => Err(Error::kernel("write(exec.fifo)", errno)),
    }
}

impl Started {
    /// Waits until the program is executed, or init has ended. `startContainer` hooks may take their time.
    pub fn wait(self) -> Result<()> {
        socket::wait_until_unread(self.fifo.as_fd(), Deadline::after(EXECUTION_WAIT))
    }
}

/// The error of a start that comes too late.
pub fn has_stopped() -> Error {
    Error::new(Kind::WrongState, "cannot start a container that has stopped")
}
