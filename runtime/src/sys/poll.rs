//! Waits for descriptors: all waits are this one `poll(2)`, which has a deadline and goes on after a signal.

use std::os::fd::{AsFd, BorrowedFd};

pub use nix::poll::PollFlags;
use nix::poll::{PollFd, poll};

use super::Named;
use super::clock::Deadline;
use crate::error::{Errno, Result};

/// A descriptor, and the events that are waited for.
pub type Interest<'fd> = (BorrowedFd<'fd>, PollFlags);

/// Waits until a descriptor is ready, or the deadline passes; says which events each descriptor has.
///
/// An error (POLLERR) and a closed peer (POLLHUP) are always among the events.
pub fn wait(interests: &[Interest], deadline: Deadline) -> Result<Vec<PollFlags>> {
    let mut fds: Vec<PollFd> = interests.iter().map(|(fd, wanted)| PollFd::new(*fd, *wanted)).collect();
    loop {
        match poll(&mut fds, deadline.poll_timeout()) {
            // A very late deadline is longer than the longest timeout of the call.
            Ok(0) if !deadline.passed() => {}
            Err(Errno::EINTR) => {}
            result => {
                result.named(|| format!("poll({interests:?})"))?;
                // An event that nix has no name for ends the wait, too.
                return Ok(fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::POLLERR)).collect());
            }
        }
    }
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
