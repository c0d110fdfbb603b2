//! Signals: collected by a descriptor instead of a handler, and set back to their defaults.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::Named;
use crate::error::Result;

/// Blocked signals, which wait in a descriptor (`signalfd`) until they are taken.
pub struct SignalQueue {
    signals: SigSet,
    queue: SignalFd,
}

impl SignalQueue {
    /// Blocks and collects `signals`.
    pub fn of(signals: &[Signal]) -> Result<SignalQueue> {
        SignalQueue::collect(signals.iter().copied().collect())
    }

    /// Blocks and collects all signals, the real-time ones too, but not `others`.
    pub fn of_all_but(others: &[Signal]) -> Result<SignalQueue> {
        let mut signals = SigSet::all();
        others.iter().for_each(|other| signals.remove(*other));
        SignalQueue::collect(signals)
    }

    fn collect(signals: SigSet) -> Result<SignalQueue> {
        signals.thread_block().named(|| "sigprocmask(SIG_BLOCK)".into())?;
        let queue = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .named(|| "signalfd()".into())?;
        Ok(SignalQueue { signals, queue })
    }

    /// A descriptor that can be read while one of `some`, which this queue collects, has come and wasn't taken.
    pub fn of_these(&self, some: &[Signal]) -> Result<OwnedFd> {
        let some: SigSet = some.iter().copied().collect();
        SignalFd::with_flags(&some, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .named(|| "signalfd()".into())?
            .as_fd()
            .try_clone_to_owned()
            .map_err(|err| crate::error::Error::io("fcntl(F_DUPFD_CLOEXEC)", &err))
    }

    /// Takes the number of the next signal, if one has come.
    pub fn take(&self) -> Result<Option<i32>> {
        let info = self.queue.read_signal().named(|| "read(signalfd)".into())?;
        Ok(info.map(|info| info.ssi_signo as i32))
    }

    /// Unblocks the signals. A signal that was not taken acts now.
    pub fn unblock(&self) -> Result<()> {
        self.signals.thread_unblock().named(|| "sigprocmask(SIG_UNBLOCK)".into())
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// `kill(pid, signal)`; signal 0 only asks whether the process is there.
///
/// Errors: ESRCH; EPERM. The pid may be another process's by now: see [`PidFd`](super::pidfd::PidFd).
pub fn send_by_number(pid: i32, signal: Signal) -> Result<()> {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).named(|| format!("kill({pid}, {signal})"))
}

/// `sigaction(SIGCHLD, SIG_DFL)`: where it is ignored, the kernel reaps children, and nobody learns how they ended.
pub fn reset_child_signal() -> Result<()> {
    // SAFETY: the default action runs nothing of ours.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }.named(|| "sigaction(SIGCHLD)".into()).map(drop)
}

/// Gives every signal its default action again and unblocks all, because an `execve` hands both on.
pub fn reset_all() -> Result<()> {
    for number in 1..=64 {
        // SAFETY: an all-zero sigaction means SIG_DFL without flags; the kernel reads it during the call. libc keeps
        // two real-time signals to itself and SIGKILL and SIGSTOP refuse: EINVAL is the answer and changes nothing.
        unsafe {
            let default: libc::sigaction = std::mem::zeroed();
            libc::sigaction(number, &raw const default, std::ptr::null_mut());
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).named(|| "sigprocmask()".into())
}

/// `pause`: waits for a signal that ends this process.
pub fn wait_for_the_end() -> ! {
    loop {
        nix::unistd::pause();
    }
}

/// The name of a signal as kill(1) has it, with `SIG`; `signal N` for a signal without a name.
pub fn name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string())
}
