//! How a created container is started: the fifo that init reads.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::error::{Errno, Error, Kind, Result};
use crate::state::ContainerDir;
use crate::sys::clock::Deadline;
use crate::sys::{file, poll};

/// How long init may take to execute the program. Afterwards `start` goes on all the same.
const EXECUTION_WAIT: Duration = Duration::from_secs(60);

/// A container that has been started: init's end of the fifo closes when it executes the program.
pub struct Started {
    fifo: OwnedFd,
}

/// Tells init, which waits at its end of the fifo or is about to, to execute the program.
///
/// The name of the fifo is removed before the write. If `start` is killed after the removal and before the write, init
/// sees the fifo close and gives up. In the opposite order, the container would count as created and couldn't be
/// started.
///
/// Errors: WrongState if init has ended.
pub fn start(dir: &ContainerDir) -> Result<Started> {
    let fifo = dir.open_fifo_for_start()?.ok_or_else(has_stopped)?;
    dir.remove_fifo()?;
    match file::write_whole(fifo.as_fd(), b"0", "exec.fifo") {
        Err(err) if err.is(Errno::EPIPE) => Err(has_stopped()),
        result => result.map(|()| Started { fifo }),
    }
}

impl Started {
    /// Waits until the program is executed, or init has ended. `startContainer` hooks may take their time.
    pub fn wait(self) -> Result<()> {
        poll::hung_up_by(&self.fifo, Deadline::after(EXECUTION_WAIT)).map(drop)
    }
}

/// The error of a start that comes too late.
pub fn has_stopped() -> Error {
    Error::new(Kind::WrongState, "cannot start a container that has stopped")
}
