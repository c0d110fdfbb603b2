//! Waits for descriptors: all waits are this one `poll(2)`, which has a deadline and goes on after a signal.

use std::cell::Cell;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

pub use nix::poll::PollFlags;
use nix::poll::{PollFd, poll};

use super::Named;
use super::clock::Deadline;
use crate::error::{Errno, Error, Result};

/// A descriptor, and the events that are waited for.
pub type Interest<'fd> = (BorrowedFd<'fd>, PollFlags);

thread_local! {
    /// The descriptor that interrupts waits: see [`Interruptible`].
    static INTERRUPT: Cell<Option<RawFd>> = const { Cell::new(None) };
}

/// As long as there is this value, a wait of this thread that would last fails once a descriptor can be read. What is
/// ready already comes first: a program that runs is handed the signal. Only one wait fails: what takes back what was
/// begun has waits of its own.
pub struct Interruptible {
    fd: OwnedFd,
    _of_this_thread: PhantomData<*const ()>,
}

impl Interruptible {
    /// Lets waits be interrupted by `fd`.
    pub fn by(fd: OwnedFd) -> Interruptible {
        INTERRUPT.set(Some(fd.as_raw_fd()));
        Interruptible { fd, _of_this_thread: PhantomData }
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        // It may have been forgotten already.
        if INTERRUPT.get() == Some(self.fd.as_raw_fd()) {
            forget_interrupt();
        }
    }
}

/// Lets nothing interrupt waits any more: for a child, where the descriptor is closed.
pub fn forget_interrupt() {
    INTERRUPT.set(None);
}

/// Waits until a descriptor is ready, or the deadline passes; says which events each descriptor has.
///
/// An error (POLLERR) and a closed peer (POLLHUP) are always among the events.
///
/// Errors: EINTR if nothing is ready and the wait is [interrupted](Interruptible).
pub fn wait(interests: &[Interest], deadline: Deadline) -> Result<Vec<PollFlags>> {
    // SAFETY: the number is that of the descriptor in an `Interruptible`, whose drop takes the number back first.
    let interrupt = INTERRUPT.get().map(|number| unsafe { BorrowedFd::borrow_raw(number) });
    let watched = interrupt.map(|fd| (fd, PollFlags::POLLIN));
    let mut fds: Vec<PollFd> =
        interests.iter().chain(&watched).map(|(fd, wanted)| PollFd::new(*fd, *wanted)).collect();
    loop {
        match poll(&mut fds, deadline.poll_timeout()) {
            // A very late deadline is longer than the longest timeout of the call.
            Ok(0) if !deadline.passed() => {}
            Err(Errno::EINTR) => {}
            result => {
                result.named(|| format!("poll({interests:?})"))?;
                // An event that nix has no name for ends the wait, too.
                let mut ready: Vec<PollFlags> =
                    fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::POLLERR)).collect();
                let interrupted = ready.drain(interests.len()..).any(|events| !events.is_empty());
                if interrupted && ready.iter().all(PollFlags::is_empty) {
                    forget_interrupt();
                    return Err(Error::kernel("ended by a signal", Errno::EINTR));
                }
                return Ok(ready);
            }
        }
    }
}

/// For a loop in which something may always be ready: looks whether its waits are to end.
///
/// Errors: EINTR if they are.
pub fn heed_interrupt() -> Result<()> {
    wait(&[], Deadline::Now).map(drop)
}

/// Waits until one of `fds` can be read or its peer is gone, or the deadline passes; says which are ready.
pub fn wait_readable(fds: &[BorrowedFd], deadline: Deadline) -> Result<Vec<bool>> {
    let interests: Vec<Interest> = fds.iter().map(|fd| (*fd, PollFlags::POLLIN)).collect();
    Ok(wait(&interests, deadline)?.iter().map(|ready| !ready.is_empty()).collect())
}

/// Whether `fd` can be read, or its peer is gone, by the deadline.
pub fn readable_by(fd: impl AsFd, deadline: Deadline) -> Result<bool> {
    Ok(!wait(&[(fd.as_fd(), PollFlags::POLLIN)], deadline)?[0].is_empty())
}

/// Whether, by the deadline, no process has the peer's end of a socket or of a fifo open any more.
pub fn hung_up_by(fd: impl AsFd, deadline: Deadline) -> Result<bool> {
    Ok(!wait(&[(fd.as_fd(), PollFlags::empty())], deadline)?[0].is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sys::socket::pipe;

    #[test]
    fn nothing_is_ready_at_the_deadline() {
        let (read, _write) = pipe().unwrap();
        assert!(!readable_by(&read, Deadline::Now).unwrap());
        assert!(!readable_by(&read, Deadline::after(Duration::from_millis(5))).unwrap());
        assert_eq!(wait_readable(&[read.as_fd(), read.as_fd()], Deadline::Now).unwrap(), [false, false]);
    }

    #[test]
    fn only_what_is_ready_is_told() {
        let (read, write) = pipe().unwrap();
        let interests = [(read.as_fd(), PollFlags::POLLIN), (write.as_fd(), PollFlags::POLLOUT)];
        assert_eq!(wait(&interests, Deadline::Never).unwrap(), [PollFlags::empty(), PollFlags::POLLOUT]);
    }

    #[test]
    fn a_closed_end_is_told_unasked() {
        let (read, write) = pipe().unwrap();
        assert!(!hung_up_by(&write, Deadline::Now).unwrap());
        drop(read);
        assert!(hung_up_by(&write, Deadline::Never).unwrap());
    }

    #[test]
    fn what_is_ready_comes_before_an_interruption() {
        let ((signal, sender), (ready, writer), (silent, _open)) =
            (pipe().unwrap(), pipe().unwrap(), pipe().unwrap());
        let _interruptible = Interruptible::by(signal);
        heed_interrupt().unwrap();
        drop((sender, writer));
        assert!(readable_by(&ready, Deadline::Never).unwrap());
        assert!(readable_by(&silent, Deadline::Never).unwrap_err().is(Errno::EINTR));
        // Only one wait fails.
        heed_interrupt().unwrap();
    }

    #[test]
    fn a_signal_ends_no_wait() {
        use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
        extern "C" fn ignore(_: libc::c_int) {}
        // Without SA_RESTART; `poll` is never restarted anyway.
        let action = SigAction::new(SigHandler::Handler(ignore), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing, and no other test uses SIGUSR2.
        unsafe { sigaction(Signal::SIGUSR2, &action) }.unwrap();
        // SAFETY: takes nothing and touches no memory.
        let (waiting, (read, _write)) = (unsafe { libc::pthread_self() } as usize, pipe().unwrap());
        let interrupting = std::thread::spawn(move || {
            for _ in 0..20 {
                std::thread::sleep(Duration::from_millis(2));
                // SAFETY: the thread that waits ends after this one, which it joins.
                assert_eq!(unsafe { libc::pthread_kill(waiting as libc::pthread_t, libc::SIGUSR2) }, 0);
            }
        });
        let begun = std::time::Instant::now();
        assert!(!readable_by(&read, Deadline::after(Duration::from_millis(60))).unwrap());
        assert!(begun.elapsed() >= Duration::from_millis(60));
        interrupting.join().unwrap();
    }
}
