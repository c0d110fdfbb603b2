//! sd_notify: hears from the container that it is ready, and tells the caller's service manager.
//!
//! The container has a socket of its own and not the manager's, so that it can't speak in the name of its caller. Of
//! its messages only `READY=1` counts, and the runtime tells the manager of it in words of its own.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::error::{Context, Errno, Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::pidfd::PidFd;
use crate::sys::poll::{self, Interest, PollFlags};
use crate::sys::socket;

/// How much of a message is read: systemd's own limit.
const MESSAGE_BYTES_MAX: usize = 4096;

/// How many messages are read at a time, so that a container that sends without end delays nothing else.
const MESSAGES_AT_ONCE_MAX: usize = 64;

/// How long the manager may take to hear that the container is ready, and to confirm.
const MANAGER_PATIENCE: Duration = Duration::from_secs(30);

/// A wait for a container to be ready, with the manager that will be told.
pub struct Readiness {
    container: OwnedFd,
    manager: OwnedFd,
    main_pid: u32,
    progress: Progress,
}

enum Progress {
    /// The container hasn't said that it is ready.
    Awaited,
    /// The container has said that it is ready. The manager is to hear these lines, the last of the list first.
    Telling { lines: Vec<String>, deadline: Deadline },
    /// The manager has the write end of the pipe, and closes it when it has dealt with all earlier messages.
    Confirming { pipe: OwnedFd, deadline: Deadline },
    /// The manager knows. What the container says from here on is read and forgotten, so that it never waits for a
    /// reader.
    Told,
}

impl Readiness {
    /// Connects to the manager at `address`; `main_pid` is the process for the manager to attend.
    pub fn of(container: OwnedFd, address: &OsStr, main_pid: u32) -> Result<Readiness> {
        let manager = socket::connect_datagram(address).doing("NOTIFY_SOCKET")?;
        Ok(Readiness { container, manager, main_pid, progress: Progress::Awaited })
    }

    /// Waits until the manager knows that the container is ready, or until `init`, the container's first process, has
    /// ended without saying so.
    pub fn settle(mut self, init: &PidFd) -> Result<()> {
        loop {
            // Asked before the messages are read, because a message from before the end counts.
            let ended = init.wait_for_exit(Deadline::Now)?;
            self.perform()?;
            let mut interests = self.interests();
            match self.progress {
                Progress::Told => return Ok(()),
                Progress::Awaited if ended => return Ok(()),
                Progress::Awaited => interests.push((init.as_fd(), PollFlags::POLLIN)),
                Progress::Telling { .. } | Progress::Confirming { .. } => {}
            }
            poll::wait(&interests, self.deadline())?;
        }
    }

    /// What to wait for before [`perform`](Self::perform).
    pub fn interests(&self) -> Vec<Interest<'_>> {
        let mut interests = vec![(self.container.as_fd(), PollFlags::POLLIN)];
        match &self.progress {
            Progress::Telling { .. } => interests.push((self.manager.as_fd(), PollFlags::POLLOUT)),
            Progress::Confirming { pipe, .. } => interests.push((pipe.as_fd(), PollFlags::POLLIN)),
            Progress::Awaited | Progress::Told => {}
        }
        interests
    }

    /// When the wait for [`interests`](Self::interests) ends.
    pub fn deadline(&self) -> Deadline {
        match self.progress {
            Progress::Telling { deadline, .. } | Progress::Confirming { deadline, .. } => deadline,
            Progress::Awaited | Progress::Told => Deadline::Never,
        }
    }

    /// Hears and tells what can be heard and told without waiting.
    ///
    /// Errors: the manager can't be told.
    pub fn perform(&mut self) -> Result<()> {
        let ready = self.hear()?;
        if ready && matches!(self.progress, Progress::Awaited) {
            let lines = vec![format!("MAINPID={}\n", self.main_pid), "READY=1\n".into()];
            self.progress = Progress::Telling { lines, deadline: Deadline::after(MANAGER_PATIENCE) };
        }
        self.tell().doing("NOTIFY_SOCKET")?;
        if let Progress::Confirming { pipe, deadline } = &self.progress {
            // A manager that doesn't know barriers closes the pipe at once, or doesn't read the message before the
            // deadline.
            if deadline.passed() || poll::readable_by(pipe, Deadline::Now)? {
                self.progress = Progress::Told;
            }
        }
        Ok(())
    }

    /// Whether the container says that it is ready.
    fn hear(&self) -> Result<bool> {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut ready = false;
        for _ in 0..MESSAGES_AT_ONCE_MAX {
            match socket::receive_datagram(self.container.as_fd(), &mut buffer)? {
                Some(len) => ready |= says_ready(&buffer[..len]),
                None => break,
            }
        }
        Ok(ready)
    }

    fn tell(&mut self) -> Result<()> {
        let Progress::Telling { lines, deadline } = &mut self.progress else { return Ok(()) };
        let deadline = *deadline;
        let later = |err: &Error| err.is(Errno::EAGAIN) && !deadline.passed();
        while let Some(line) = lines.last() {
            match socket::send(self.manager.as_fd(), line.as_bytes(), &[]) {
                Err(err) if later(&err) => return Ok(()),
                result => result?,
            }
            lines.pop();
        }
        let (pipe, managers) = socket::pipe()?;
        match socket::send(self.manager.as_fd(), b"BARRIER=1", &[managers.as_fd()]) {
            Err(err) if later(&err) => return Ok(()),
            result => result?,
        }
        self.progress = Progress::Confirming { pipe, deadline };
        Ok(())
    }
}

/// Whether a line of the message says `READY=1`. runc looks at the first line alone, and takes any value.
fn says_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::says_ready;

    #[test]
    fn ready_is_one_whole_line() {
        for message in [&b"READY=1"[..], b"READY=1\n", b"STATUS=up\nREADY=1", b"READY=1\nMAINPID=1"] {
            assert!(says_ready(message), "{message:?}");
        }
        for message in [&b""[..], b"READY=0", b"READY=10", b"STATUS=READY=1", b"STOPPING=1", b"READY=1\0"] {
            assert!(!says_ready(message), "{message:?}");
        }
    }
}
