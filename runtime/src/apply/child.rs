//! The supervisor's side of its child: init, or the process that joins a container.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::cgroup::Cgroup;
use super::handshake::{Channel, Message, OfIntermediate, PATIENCE};
use crate::error::{Errno, Error, Kind, Result};
use crate::sys::clock::Deadline;
use crate::sys::pidfd::PidFd;
use crate::sys::process::Ended;
use crate::sys::{poll, signal};

/// How often to look for a descriptor that the child is about to have.
const LOOK_AT_DESCRIPTOR: Duration = Duration::from_millis(1);

/// How long the intermediate process may take to end once it has forked init.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// More messages than a child leaves unheard when it ends.
const UNHEARD_MAX: usize = 16;

/// A child that performs its own steps of the plan, and says what it needs.
pub(super) struct Child {
    pub pid: i32,
    pub pidfd: PidFd,
    pub channel: Channel,
}

/// Why the child's expected message doesn't come.
pub(super) enum Silence {
    /// The child ended without a word: by a signal, or by a defect. `None` if nobody can say how.
    Ended(Option<Ended>),
    /// The child said what it failed at, or the channel failed.
    Err(Error),
}

impl From<Error> for Silence {
    fn from(err: Error) -> Silence {
        Silence::Err(err)
    }
}

impl Child {
    /// Lets the child go on. If the child has ended, its last message says why.
    pub(super) fn go(&mut self) -> Result<(), Silence> {
        match self.channel.go() {
            Err(err) if err.is(Errno::EPIPE) => self.expect(Err::<(), _>).and(Err(err.into())),
            result => Ok(result?),
        }
    }

    /// Waits for the child's next message. `wanted` takes out what it wants, or gives back a message that it doesn't
    /// want.
    pub(super) fn expect<T>(
        &mut self,
        wanted: impl FnOnce(Message) -> Result<T, Message>,
    ) -> Result<T, Silence> {
        match wanted(self.channel.listen(&self.pidfd)?) {
            Ok(wanted) => Ok(wanted),
            Err(Message::Failed(err)) => Err(err.into()),
            // Without its channel it can't go on, whether it has ended or a tracer has taken the channel from it.
            Err(Message::Gone) => Err(Silence::Ended(self.pidfd.end()?)),
            Err(other) => Err(out_of_turn(&other).into()),
        }
    }

    /// What the child has failed at, if it has ended and nobody has heard of its failure yet.
    pub(super) fn failure(&mut self) -> Option<Error> {
        let ended = poll::wait_readable(&[self.pidfd.as_fd()], Deadline::Now).ok()?;
        if !ended.contains(&true) {
            return None;
        }
        // Not for ever: a process of the container that traces the child may hold its end of the channel, and speak.
        for _ in 0..UNHEARD_MAX {
            match self.channel.listen(&self.pidfd) {
                Ok(Message::Failed(err)) => return Some(err),
                Ok(Message::Gone) | Err(_) => return None,
                Ok(_) => {}
            }
        }
        None
    }

    /// Waits until the child has executed its program, or has ended: the caller sees an end by the exit status.
    pub(super) fn await_execution(&mut self) -> Result<(), Silence> {
        match self.channel.await_execution(&self.pidfd, self.pid)? {
            Message::Gone => Ok(()),
            Message::Failed(err) => Err(err.into()),
            other => Err(out_of_turn(&other).into()),
        }
    }

    /// A copy of the child's descriptor of this number, as soon as the child has it. The child says nothing before,
    /// unless it fails.
    pub(super) fn fetch_fd(&mut self, number: i32) -> Result<OwnedFd, Silence> {
        let deadline = Deadline::after(PATIENCE);
        while !deadline.passed() {
            match self.pidfd.fetch_fd(number) {
                // Not yet; or the child has ended.
                Err(err) if err.is(Errno::EBADF) || err.is(Errno::ESRCH) => {}
                result => return Ok(result?),
            }
            let ends = [self.channel.as_fd(), self.pidfd.as_fd()];
            if poll::wait_readable(&ends, Deadline::after(LOOK_AT_DESCRIPTOR))?.contains(&true) {
                self.expect(Err::<(), _>)?;
            }
        }
        Err(Error::internal(format!("init has no descriptor {number}")).into())
    }

    /// Takes init for the intermediate process, when the latter has forked init.
    ///
    /// The pids limit of a running container, `room`, may allow one more process, which the intermediate process uses
    /// up. On v1 the intermediate process then goes out of the pids cgroup, and init is moved into it. On v2 it fails.
    pub(super) fn adopt_forked(&mut self, room: Option<&Cgroup>) -> Result<(), Silence> {
        let mut said = self.channel.listen_to_intermediate(&self.pidfd)?;
        let left = room.filter(|cgroup| matches!(said, OfIntermediate::NoRoom) && cgroup.counts_pids_apart());
        if matches!(said, OfIntermediate::NoRoom) {
            left.map(|cgroup| cgroup.make_room(self.pid)).transpose()?;
            // It tries once more.
            self.channel.go()?;
            said = self.channel.listen_to_intermediate(&self.pidfd)?;
        }
        let OfIntermediate::Forked(pidfd) = said else { return Err(Silence::Ended(self.pidfd.end()?)) };
        // The intermediate process does nothing more but end.
        self.pidfd.reap_by(Deadline::after(END_PATIENCE))?;
        let init = PidFd::from(pidfd);
        // Init runs already, and whoever may trace it can speak in its place and in that of the intermediate process.
        if !init.is_child()? {
            return Err(Error::internal("what was said to be init is no child of this process").into());
        }
        self.pidfd = init;
        // The pidfd tells init's pid as this process counts it; the intermediate process may be in another pid
        // namespace.
        self.pid = self.pidfd.pid()?;
        left.map(|cgroup| cgroup.take_in(self.pid)).transpose()?;
        Ok(())
    }
}

fn out_of_turn(said: &Message) -> Error {
    Error::internal(format!("init said {said:?} out of turn"))
}

/// The error of a child that has ended.
pub(super) fn died(who: &str, ended: Option<Ended>, oom_kills: Option<u64>) -> Error {
    match ended {
        None => Error::new(Kind::Kernel, format!("{who} has ended, and a process that traces it keeps how")),
        Some(Ended::Signaled(number)) => {
            let name = signal::name(number);
            // The supervisor notices the death at some step of its own. This step has no part in it and isn't named.
            let err = Error::new(Kind::Kernel, format!("{who} was killed by {name}")).without_step();
            match oom_kills {
                _ if number == libc::SIGILL => err.with_hint(
                    "does the seccomp profile (linux.seccomp) forbid what the runtime itself has to do?",
                ),
                Some(1..) => {
                    err.with_hint("the memory limit (linux.resources.memory.limit) is too low to start")
                }
                _ => err,
            }
        }
        Some(Ended::Exited(code)) => Error::internal(format!("{who} exited with {code} and said nothing")),
    }
}
