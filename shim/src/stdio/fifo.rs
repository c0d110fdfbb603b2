//! The fifos between containerd and the shim, which containerd makes.
//!
//! A fifo for output is open in both directions here. So it has a reader and a writer whether or not containerd has it
//! open: while containerd is away, the fifo fills up, and then the process waits. The process itself is never given a
//! fifo.
//!
//! containerd opens its end at its leisure, maybe when a short process is long over. What is in a fifo is lost with the
//! last descriptor, and who opens it to read then waits for ever: so the last descriptor here waits for containerd's.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, SFlag, fstat};
use tokio::time::sleep;

use super::copy::{Watched, watch_unblocked};
use crate::refusal::{Code, Refusal};

/// How often a fifo is looked at that nobody has opened to read. It is so for a moment at most, in the life of a client
/// that works: too seldom for a watch of its own.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A fifo to write to.
pub(super) struct Output {
    pub(super) fd: Watched,
    /// Whether nobody else had it open to read when it was opened here.
    unread: bool,
    /// Whether anything was written: what isn't there any more has been read.
    written: AtomicBool,
}

impl Output {
    pub(super) fn open(path: &Path) -> Result<Output, Refusal> {
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        // Kept until the fifo has its lasting writer: a reader whose last writer goes takes it for the end.
        let first = open(path, flags, Mode::empty());
        let fd = watch_unblocked(open_fifo(path, OFlag::O_RDWR)?)?;
        let unread = first.as_ref().err() == Some(&Errno::ENXIO);
        Ok(Output { fd, unread, written: AtomicBool::new(false) })
    }

    /// Takes note of so many bytes that were written.
    pub(super) fn note(&self, taken: usize) {
        if taken > 0 {
            self.written.store(true, Ordering::Relaxed);
        }
    }

    /// Closes the fifo. If nobody had it open to read at first, somebody has to have it open before, or to have read
    /// what was written.
    pub(super) async fn close(self) {
        if !self.unread {
            return;
        }
        let Ok(write) = open_fifo(&same(&self.fd), OFlag::O_WRONLY) else { return };
        let written = self.written.load(Ordering::Relaxed);
        // From here on, a reader is somebody else.
        drop(self.fd);
        while !(has_reader(&write) || written && is_empty(&write)) {
            sleep(LOOK_AGAIN).await;
        }
    }
}

fn same(fd: &impl AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

fn is_empty(fifo: &OwnedFd) -> bool {
    let Ok(read) = open_fifo(&same(fifo), OFlag::O_RDONLY) else { return false };
    let mut fds = [PollFd::new(read.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO) == Ok(0)
}

/// Whether the fifo that `write` leads into is open to read.
fn has_reader(write: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(write.as_fd(), PollFlags::empty())];
    let polled = poll(&mut fds, PollTimeout::ZERO);
    polled.is_err() || !fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
}

/// Opens a fifo to read from. As long as the second descriptor is open, the fifo doesn't end: its end to write to.
pub(super) fn open_input(path: &Path) -> Result<(OwnedFd, OwnedFd), Refusal> {
    // In this order, because without a reader O_WRONLY with O_NONBLOCK fails.
    let read = open_fifo(path, OFlag::O_RDONLY)?;
    Ok((read, open_fifo(path, OFlag::O_WRONLY)?))
}

fn open_fifo(path: &Path, access: OFlag) -> Result<OwnedFd, Refusal> {
    let failed = |errno: Errno| Refusal::unknown(format!("open({path:?}): {} ({errno:?})", errno.desc()));
    let flags = access | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd = open(path, flags, Mode::empty()).map_err(failed)?;
    let mode = fstat(&fd).map_err(failed)?.st_mode;
    if SFlag::from_bits_truncate(mode) & SFlag::S_IFMT != SFlag::S_IFIFO {
        return Err(Refusal::new(Code::InvalidArgument, format!("{path:?} is not a fifo")));
    }
    Ok(fd)
}
