//! `run` and `exec` in the foreground: hand signals and terminal on, wait for the process, and end as it did.
//!
//! In the background, too, a signal ends what a command waits for, and the command undoes what it has begun.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::Signal;

use super::readiness::Readiness;
use super::relay::{End, Relay};
use crate::error::{Error, Kind, Result, best_effort};
use crate::sys::clock::Deadline;
use crate::sys::pidfd::PidFd;
use crate::sys::poll::{self, Interest, Interruptible, PollFlags};
use crate::sys::process::{self, Ended};
use crate::sys::signal::SignalQueue;

/// The signals that reach this process while it stands in for the container's process. It hands them on, and isn't
/// ended by them itself. As long as there is no process to hand them to, those of [`ENDING`] end what this process
/// waits for.
pub struct Signals {
    queue: SignalQueue,
    interruptible: Cell<Option<Interruptible>>,
}

/// The signals by which somebody wants this process to end.
const ENDING: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

impl Signals {
    /// Blocks all signals and collects them, except the signals for faults of this process itself.
    pub fn collect() -> Result<Signals> {
        let faults = [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL];
        Signals::of(SignalQueue::of_all_but(&faults)?)
    }

    /// Blocks and collects the signals by which somebody wants this process to end: for a command that hands none on.
    pub fn collect_ending() -> Result<Signals> {
        Signals::of(SignalQueue::of(&ENDING)?)
    }

    fn of(queue: SignalQueue) -> Result<Signals> {
        let interruptible = Interruptible::by(queue.of_these(&ENDING)?);
        Ok(Signals { queue, interruptible: Cell::new(Some(interruptible)) })
    }

    /// Lets the next signal end what this process waits for, now that the process has ended. A signal that came before
    /// was the process's, or has ended the start.
    pub fn heed_again(&self) -> Result<()> {
        while self.queue.take()?.is_some() {}
        self.interruptible.set(Some(Interruptible::by(self.queue.of_these(&ENDING)?)));
        Ok(())
    }

    /// Whether somebody wants this process to end, now that there is no process to hand a signal on to.
    fn ask_for_the_end(&self) -> Result<bool> {
        while let Some(number) = self.queue.take()? {
            if is_ending(number) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_ending(number: i32) -> bool {
    Signal::try_from(number).is_ok_and(|signal| ENDING.contains(&signal))
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
    drop(signals.interruptible.take());
    let relay = terminal.map(Relay::start).transpose()?;
    let mut attendance = Attendance { process, pid, signals, relay, readiness };
    let ended = attendance.run()?;
    if let Some(relay) = attendance.relay.take() {
        relay.drain(&signals.queue, || signals.ask_for_the_end())?;
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
            let ready = self.wait()?;
            if let Some(relay) = &mut self.relay {
                ready.into_iter().for_each(|(end, ready)| relay.perform(end, ready));
                relay.look_again();
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

    /// Waits for a signal, or for something to copy or to tell. Returns what the relay can go on with.
    fn wait(&self) -> Result<Vec<(End, PollFlags)>> {
        let (ends, of_relay): (Vec<End>, Vec<Interest>) =
            self.relay.iter().flat_map(Relay::interests).unzip();
        let of_readiness = self.readiness.iter().flat_map(Readiness::interests);
        let signals = (self.signals.queue.as_fd(), PollFlags::POLLIN);
        let interests: Vec<Interest> = of_relay.into_iter().chain([signals]).chain(of_readiness).collect();
        let told = self.readiness.as_ref().map_or(Deadline::Never, Readiness::deadline);
        let deadline = self.relay.as_ref().map_or(Deadline::Never, Relay::deadline).min(told);
        let ready = poll::wait(&interests, deadline)?;
        Ok(ends.into_iter().zip(ready).filter(|(_, ready)| !ready.is_empty()).collect())
    }

    fn handle_signals(&mut self) -> Result<Option<Ended>> {
        while let Some(number) = self.signals.queue.take()? {
            match Signal::try_from(number) {
                Ok(Signal::SIGCHLD) => {
                    if let Some(ended) = self.reap() {
                        return Ok(Some(ended));
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
                // A process of the container may trace the process, and keep its end from its parent.
                _ if is_ending(number) && self.process.wait_for_exit(Deadline::Now)? => {
                    return self.reap().map(Some).ok_or_else(held_by_tracer);
                }
                _ => {
                    best_effort(self.process.send_signal(number), "it may have ended meanwhile");
                }
            }
        }
        Ok(None)
    }

    /// Reaps all children that have ended. Says how the process has, if it is among them.
    fn reap(&self) -> Option<Ended> {
        std::iter::from_fn(process::reap_any).find(|(pid, _)| *pid == self.pid).map(|(_, ended)| ended)
    }
}

fn held_by_tracer() -> Error {
    Error::new(Kind::Kernel, "the process has ended, and a process that traces it keeps how")
}
