//! How a created container is started: the fifo that init reads.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::execution::{Image, SILENCE_TRUSTED, has_executed};
use crate::error::{Errno, Error, Kind, Result};
use crate::state::{ContainerDir, Record};
use crate::sys::clock::Deadline;
use crate::sys::{file, poll};

/// How long init may take to execute the program. Afterwards `start` goes on all the same.
const EXECUTION_WAIT: Duration = Duration::from_secs(60);

/// How long init may take to end once it has closed the fifo at its end.
const END_WAIT: Duration = Duration::from_millis(100);

/// A container that has been started: init's end of the fifo closes when it executes the program.
pub struct Started {
    fifo: OwnedFd,
    /// What init executed before.
    image: Option<Image>,
}

/// Tells init, which waits at its end of the fifo or is about to, to execute the program.
///
/// The name of the fifo is removed before the write. If `start` is killed after the removal and before the write, init
/// sees the fifo close and gives up. In the opposite order, the container would count as created and couldn't be
/// started.
///
/// Errors: WrongState if init has ended, or has been started by a process that found the fifo among init's descriptors.
pub fn start(dir: &ContainerDir, record: &Record) -> Result<Started> {
    let image = Image::of(record.init_process_pid);
    let Some(fifo) = dir.open_fifo_for_start()? else { return Err(nobody_waits(dir, record)?) };
    dir.remove_fifo()?;
    match file::write_whole(fifo.as_fd(), b"0", "exec.fifo") {
        Err(err) if err.is(Errno::EPIPE) => Err(nobody_waits(dir, record)?),
        result => result.map(|()| Started { fifo, image }),
    }
}

/// Why init doesn't wait at the fifo.
fn nobody_waits(dir: &ContainerDir, record: &Record) -> Result<Error> {
    let ended = match record.init()? {
        Some(init) => init.wait_for_exit(Deadline::after(END_WAIT))?,
        None => true,
    };
    if ended {
        return Ok(has_stopped());
    }
    // The container counts as created as long as there is the name.
    if dir.fifo_exists()? {
        dir.remove_fifo()?;
    }
    Ok(runs_already())
}

impl Started {
    /// Waits until the program of the container of this record is executed, or init has ended. `startContainer` hooks
    /// may take their time.
    pub fn wait(self, record: &Record) -> Result<()> {
        let deadline = Deadline::after(EXECUTION_WAIT);
        while !poll::hung_up_by(&self.fifo, deadline.min(Deadline::after(SILENCE_TRUSTED)))? {
            let over = record.init()?.is_none() || has_executed(record.init_process_pid, self.image);
            if over || deadline.passed() {
                break;
            }
        }
        Ok(())
    }
}

/// The error of a start that comes too late.
pub fn has_stopped() -> Error {
    Error::new(Kind::WrongState, "cannot start a container that has stopped")
}

/// The error of a start after another start.
pub fn runs_already() -> Error {
    Error::new(Kind::WrongState, "cannot start an already running container")
}
