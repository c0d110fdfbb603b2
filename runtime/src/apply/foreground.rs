//! `run` and `exec` in the foreground: hand signals and terminal on, wait for the process, and end as it did.

use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::Signal;

use super::readiness::Readiness;
use crate::error::{Errno, Error, Result, best_effort};
use crate::sys::clock::Deadline;
use crate::sys::pidfd::PidFd;
use crate::sys::poll::{self, PollFlags};
use crate::sys::process::{self, Ended};
use crate::sys::signal::SignalQueue;
use crate::sys::{file, socket, tty};

const BUFFER_BYTES: usize = 16 << 10;

/// The signals that reach this process while it stands in for the container's process. It hands them on, and isn't
/// ended by them itself.
pub struct Signals(SignalQueue);

impl Signals {
    /// Blocks all signals and collects them, except the signals for faults of this process itself.
    pub fn collect() -> Result<Signals> {
        let faults = [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL];
        SignalQueue::of_all_but(&faults).map(Signals)
    }
}

/// The runtime's own console socket, where the terminal of a foreground process arrives.
pub struct OwnConsole(OwnedFd);

impl OwnConsole {
    /// The end that the runtime keeps, and the end that init gets.
    pub fn pair() -> Result<(OwnConsole, OwnedFd)> {
        socket::message_pair().map(|(own, init)| (OwnConsole(own), init))
    }

    /// Takes the terminal that init has opened.
    pub fn receive(self) -> Result<OwnedFd> {
        let mut name = [0_u8; 64];
        let (_, mut fds) = socket::receive(self.0.as_fd(), &mut name)?;
        fds.pop().ok_or_else(|| Error::internal("init sent no terminal"))
    }
}

/// Waits for the process and returns how it ended. Meanwhile hands on signals, the terminal if there is one, and the
/// message that the container is ready.
pub fn attend(
    process: &PidFd,
    pid: i32,
    signals: &Signals,
    terminal: Option<OwnedFd>,
    readiness: Option<Readiness>,
) -> Result<Ended> {
    let relay = terminal.map(Relay::start).transpose()?;
    let mut attendance = Attendance { process, pid, signals, relay, readiness };
    let ended = attendance.run()?;
    if let Some(relay) = attendance.relay.take() {
        relay.drain();
    }
    if let Some(readiness) = attendance.readiness.take() {
        best_effort(readiness.settle(process), READINESS_UNTOLD);
    }
    Ok(ended)
}

/// Why a failure to tell the service manager is ignored.
const READINESS_UNTOLD: &str = "the container itself is well; the service manager has a timeout of its own";

struct Attendance<'a> {
    process: &'a PidFd,
    pid: i32,
    signals: &'a Signals,
    relay: Option<Relay>,
    readiness: Option<Readiness>,
}

impl Attendance<'_> {
    fn run(&mut self) -> Result<Ended> {
        loop {
            let (terminal, input) = self.wait()?;
            if let Some(relay) = &mut self.relay {
                relay.perform(terminal, input);
            }
            if let Some(readiness) = &mut self.readiness {
                if best_effort(readiness.perform(), READINESS_UNTOLD).is_none() {
                    self.readiness = None;
                }
            }
            if let Some(ended) = self.handle_signals()? {
                return Ok(ended);
            }
        }
    }

    /// Waits for a signal, or for something to copy or to tell. Returns what the terminal and the input are ready for.
    fn wait(&self) -> Result<(PollFlags, PollFlags)> {
        let stdin = std::io::stdin();
        let mut interests = vec![(self.signals.0.as_fd(), PollFlags::POLLIN)];
        if let Some(relay) = &self.relay {
            interests.push((relay.master.as_fd(), relay.wanted()));
            if relay.takes_input() {
                interests.push((stdin.as_fd(), PollFlags::POLLIN));
            }
        }
        let of_relay = interests.len();
        interests.extend(self.readiness.iter().flat_map(Readiness::interests));
        let deadline = self.readiness.as_ref().map_or(Deadline::Never, Readiness::deadline);
        let ready = poll::wait(&interests, deadline)?;
        let ready = |at: usize| ready[..of_relay].get(at).copied().unwrap_or(PollFlags::empty());
        Ok((ready(1), ready(2)))
    }

    fn handle_signals(&mut self) -> Result<Option<Ended>> {
        while let Some(number) = self.signals.0.take()? {
            match Signal::try_from(number) {
                Ok(Signal::SIGCHLD) => {
                    while let Some((pid, ended)) = process::reap_any() {
                        if pid == self.pid {
                            return Ok(Some(ended));
                        }
                    }
                }
                Ok(Signal::SIGWINCH) => {
                    if let Some(relay) = &self.relay {
                        relay.resize();
                    }
                }
                // Go's runtime interrupts itself with SIGURG. A parent that is written in Go must not wake the
                // container.
                Ok(Signal::SIGURG) => {}
                // SIGPIPE says that the reader of the runtime's output has gone. The container hears of its own pipes
                // from the kernel.
                Ok(Signal::SIGPIPE) => {}
                _ => {
                    best_effort(self.process.send_signal(number), "it may have ended meanwhile");
                }
            }
        }
        Ok(None)
    }
}

/// Copies between the caller's standard streams and the container's terminal.
struct Relay {
    master: OwnedFd,
    before: Option<tty::Settings>,
    /// Input that the terminal hasn't taken yet. The relay never waits for the terminal to take it: the container's
    /// process may read no input until its output is read, and the relay reads that.
    waiting: Vec<u8>,
    input_open: bool,
}

impl Relay {
    fn start(master: OwnedFd) -> Result<Relay> {
        let stdin = std::io::stdin();
        file::set_nonblocking(&master)?;
        let mut relay = Relay { master, before: None, waiting: Vec::new(), input_open: true };
        if stdin.is_terminal() {
            relay.resize();
            // The container's terminal leaves line ends to the caller's terminal.
            relay.before = Some(tty::make_raw(&stdin)?);
        }
        Ok(relay)
    }

    /// Gives the container's terminal the size of the caller's.
    fn resize(&self) {
        if let Some((rows, columns)) =
            best_effort(tty::size(std::io::stdin()), "the caller may have no terminal")
        {
            best_effort(tty::set_size(&self.master, rows, columns), "the container may have closed it");
        }
    }

    /// What to wait for at the terminal.
    fn wanted(&self) -> PollFlags {
        if self.waiting.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT }
    }

    fn takes_input(&self) -> bool {
        self.input_open && self.waiting.is_empty()
    }

    fn perform(&mut self, terminal: PollFlags, input: PollFlags) {
        if terminal.contains(PollFlags::POLLOUT) {
            self.feed();
        }
        if terminal.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
            && self.show() == 0
        {
            // The last process has closed the terminal, which counts as ready from then on. The pause keeps this loop
            // from spinning until SIGCHLD tells of the end.
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        if !input.is_empty() {
            self.take_input();
        }
    }

    fn take_input(&mut self) {
        let mut buffer = [0_u8; BUFFER_BYTES];
        match file::read(std::io::stdin(), &mut buffer) {
            Ok(len) if len > 0 => self.waiting.extend_from_slice(&buffer[..len]),
            Err(err) if err.is(Errno::EAGAIN) => {}
            _ => self.input_open = false,
        }
        self.feed();
    }

    /// Gives the terminal as much input as it takes.
    fn feed(&mut self) {
        while !self.waiting.is_empty() {
            match file::write(&self.master, &self.waiting) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(err) if err.is(Errno::EAGAIN) => return,
                // Nobody reads any more; the container goes on all the same.
                Err(_) => self.waiting.clear(),
            }
        }
    }

    /// Copies what the terminal shows; returns how much it was.
    fn show(&self) -> usize {
        let mut buffer = [0_u8; BUFFER_BYTES];
        let read = file::read(&self.master, &mut buffer);
        let len = best_effort(read, "nothing is there, or the last process has closed it").unwrap_or(0);
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            match file::write(std::io::stdout(), rest) {
                Ok(written) => rest = &rest[written..],
                // Standard output is full, and the caller has made it non-blocking.
                Err(err) if err.is(Errno::EAGAIN) => {
                    let stdout = std::io::stdout();
                    let writable = poll::wait(&[(stdout.as_fd(), PollFlags::POLLOUT)], Deadline::Never);
                    best_effort(writable, "the next write tells");
                }
                // Nobody reads any more; the container goes on all the same.
                Err(_) => return len,
            }
        }
        len
    }

    /// Copies what the process has written before its end.
    fn drain(&self) {
        let there = || {
            let interest = (self.master.as_fd(), PollFlags::POLLIN);
            let ready =
                best_effort(poll::wait(&[interest], Deadline::Now), "what can't be asked shows nothing");
            ready.is_some_and(|ready| ready[0].contains(PollFlags::POLLIN))
        };
        while there() && self.show() > 0 {}
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let restored = tty::set(std::io::stdin(), before);
            best_effort(restored, "a caller whose terminal is gone needs it no more");
        }
    }
}
