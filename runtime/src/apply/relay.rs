//! Copies between the caller's standard streams and the container's terminal, and never waits for any of them: whoever
//! copies has signals to hear.

use std::io::{IsTerminal, Stdin};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::error::{Errno, Result, best_effort};
use crate::sys::clock::Deadline;
use crate::sys::poll::{self, Interest, PollFlags};
use crate::sys::stream::Output;
use crate::sys::tty::Reading;
use crate::sys::{file, tty};

const BUFFER_BYTES: usize = 16 << 10;

/// How often a terminal is looked at that no process has open. The kernel calls such a terminal ready all the time, and
/// a process may open it again by its name.
const LOOK_AT_CLOSED: Duration = Duration::from_millis(100);

/// When a terminal is looked at whose input has ended, first and at the latest: the time between two looks
/// doubles. The kernel doesn't tell when a program changes how it reads.
const LOOK_AT_READER: Duration = Duration::from_millis(50);
const LOOK_AT_READER_MAX: Duration = Duration::from_secs(10);

/// How long the reader of the output may take for what the process has shown before its end.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// Copies between the caller's standard streams and the container's terminal.
pub(super) struct Relay {
    master: OwnedFd,
    stdin: Stdin,
    output: Output,
    before: Option<tty::Settings>,
    /// Output that the caller hasn't taken yet. Until it is taken, the terminal isn't read, and whoever writes to the
    /// terminal waits for the caller, as at a pipe.
    shown: Vec<u8>,
    /// Input that the terminal hasn't taken yet: the container's process may read none until its output is read.
    typed: Vec<u8>,
    input_open: bool,
    /// Set once the caller's input has ended.
    end: Option<EndOfInput>,
    /// Set while no process has the terminal open: when to look again.
    closed_until: Option<Deadline>,
}

/// The end of an input that is no terminal. The container's terminal has no end of its own: as a user would, the relay
/// types the character for it.
struct EndOfInput {
    /// How the program read at the last look. A program that changes its way of reading may drop what was typed before.
    read_by: Option<Reading>,
    next_look: Deadline,
    pause: Duration,
}

/// A place that the relay waits for.
#[derive(Clone, Copy)]
pub(super) enum End {
    Terminal,
    Input,
    Output,
}

impl Relay {
    pub(super) fn start(master: OwnedFd) -> Result<Relay> {
        file::set_nonblocking(&master)?;
        let mut relay = Relay {
            master,
            stdin: std::io::stdin(),
            output: Output::of(std::io::stdout())?,
            before: None,
            shown: Vec::new(),
            typed: Vec::new(),
            input_open: true,
            end: None,
            closed_until: None,
        };
        if relay.stdin.is_terminal() {
            relay.resize();
            // The container's terminal leaves line ends to the caller's terminal.
            relay.before = Some(tty::make_raw(&relay.stdin)?);
        }
        Ok(relay)
    }

    /// Gives the container's terminal the size of the caller's.
    pub(super) fn resize(&self) {
        if let Some((rows, columns)) = best_effort(tty::size(&self.stdin), "the caller may have no terminal")
        {
            best_effort(tty::set_size(&self.master, rows, columns), "the container may have closed it");
        }
    }

    /// What to wait for, until [`deadline`](Self::deadline).
    pub(super) fn interests(&self) -> impl Iterator<Item = (End, Interest<'_>)> {
        let mut terminal = PollFlags::empty();
        terminal.set(PollFlags::POLLIN, self.shown.is_empty());
        terminal.set(PollFlags::POLLOUT, !self.typed.is_empty());
        let looks = self.closed_until.is_none() && !terminal.is_empty();
        [
            looks.then(|| (End::Terminal, (self.master.as_fd(), terminal))),
            (self.input_open && self.typed.is_empty())
                .then(|| (End::Input, (self.stdin.as_fd(), PollFlags::POLLIN))),
            (!self.shown.is_empty()).then(|| (End::Output, (self.output.as_fd(), PollFlags::POLLOUT))),
        ]
        .into_iter()
        .flatten()
    }

    /// When there is something to do in any case.
    pub(super) fn deadline(&self) -> Deadline {
        let look = self.end.as_ref().map_or(Deadline::Never, |end| end.next_look);
        self.closed_until.unwrap_or(Deadline::Never).min(look)
    }

    /// Copies what `end` is ready for.
    pub(super) fn perform(&mut self, end: End, ready: PollFlags) {
        match end {
            End::Terminal => {
                if ready.contains(PollFlags::POLLOUT) {
                    self.feed();
                }
                if self.shown.is_empty() {
                    self.take_output();
                } else if ready.contains(PollFlags::POLLHUP) {
                    self.look_later();
                }
            }
            End::Input => self.take_input(),
            End::Output => self.show(),
        }
    }

    /// Looks at a closed terminal again when it is time, and at the program that reads.
    pub(super) fn look_again(&mut self) {
        self.closed_until = self.closed_until.filter(|moment| !moment.passed());
        if self.end.as_ref().is_some_and(|end| end.next_look.passed()) {
            self.type_end();
        }
    }

    fn take_input(&mut self) {
        let mut buffer = [0_u8; BUFFER_BYTES];
        match file::read(&self.stdin, &mut buffer) {
            Ok(len) if len > 0 => self.typed.extend_from_slice(&buffer[..len]),
            Err(err) if err.is(Errno::EAGAIN) => {}
            _ => self.end_input(),
        }
        self.feed();
    }

    /// Whoever hangs a terminal up doesn't end the input.
    fn end_input(&mut self) {
        self.input_open = false;
        if self.before.is_none() {
            self.end = Some(EndOfInput { read_by: None, next_look: Deadline::Now, pause: LOOK_AT_READER });
        }
    }

    /// Types the character for the end of input, where a program may wait for more. A program that reads by lines finds
    /// the end each time that it reads, as at the end of a file. A program that reads byte by byte finds the character
    /// once.
    fn type_end(&mut self) {
        let reading = best_effort(tty::reading(&self.master), "looked at again later");
        let Some(end) = &mut self.end else { return };
        end.next_look = Deadline::after(end.pause);
        end.pause = LOOK_AT_READER_MAX.min(2 * end.pause);
        let Some(reading) = reading.filter(|_| self.typed.is_empty()) else { return };
        let told = if reading.by_lines {
            best_effort(tty::has_unread_input(&self.master), "looked at again later") != Some(false)
        } else {
            end.read_by == Some(reading)
        };
        end.read_by = Some(reading);
        if !told {
            self.typed.extend(reading.end);
            self.feed();
        }
    }

    /// Gives the terminal as much input as it takes.
    fn feed(&mut self) {
        while !self.typed.is_empty() {
            match file::write(&self.master, &self.typed) {
                Ok(written) => drop(self.typed.drain(..written)),
                Err(err) if err.is(Errno::EAGAIN) => return,
                // Nobody reads any more; the container goes on all the same.
                Err(_) => self.typed.clear(),
            }
        }
    }

    /// Takes what the terminal shows, if it shows anything.
    fn take_output(&mut self) {
        let mut buffer = [0_u8; BUFFER_BYTES];
        match file::read(&self.master, &mut buffer) {
            Ok(len) if len > 0 => self.shown.extend_from_slice(&buffer[..len]),
            Err(err) if err.is(Errno::EAGAIN) => {}
            // The last process has closed it (EIO).
            _ => self.look_later(),
        }
    }

    fn look_later(&mut self) {
        self.closed_until = Some(Deadline::after(LOOK_AT_CLOSED));
    }

    /// Gives the caller as much output as it takes now.
    fn show(&mut self) {
        match self.output.write(&self.shown) {
            Ok(written) => drop(self.shown.drain(..written)),
            Err(err) if err.is(Errno::EAGAIN) => {}
            // Nobody reads any more; the container goes on all the same.
            Err(_) => self.shown.clear(),
        }
    }

    /// Copies what the process has shown before its end, unless somebody wants this process to end meanwhile: then
    /// `interrupts` can be read, and `interrupted` says so.
    pub(super) fn drain(
        mut self,
        interrupts: impl AsFd,
        mut interrupted: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let deadline = Deadline::after(READER_PATIENCE);
        while !deadline.passed() && !interrupted()? {
            if self.shown.is_empty() {
                self.take_output();
            }
            if self.shown.is_empty() {
                break;
            }
            let ends = [(interrupts.as_fd(), PollFlags::POLLIN), (self.output.as_fd(), PollFlags::POLLOUT)];
            if !poll::wait(&ends, deadline)?[1].is_empty() {
                self.show();
            }
        }
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let restored = tty::set(&self.stdin, before);
            best_effort(restored, "a caller whose terminal is gone needs it no more");
        }
    }
}
