//! A cord between two processes: a pull at one end kills the process at the other. Only in builds with `faults`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{Named, check};
use crate::error::Result;

/// The two ends of the cord.
pub struct Cord {
    /// While this end is open, a pull reaches the process that tied the cord.
    _tied: OwnedFd,
    pulled: OwnedFd,
}

impl Cord {
    /// Ties this process to a cord: `fcntl(F_SETOWN, F_SETSIG, O_ASYNC)` on a pipe.
    ///
    /// A pidfd won't do: the kernel lets no process of an inner pid namespace signal a process of an outer.
    pub fn tie() -> Result<Cord> {
        let (tied, pulled) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).named(|| "pipe2()".into())?;
        let own = std::process::id() as libc::c_int;
        for (command, argument) in
            [(libc::F_SETOWN, own), (F_SETSIG, libc::SIGKILL), (libc::F_SETFL, libc::O_ASYNC)]
        {
            // SAFETY: takes integers only.
            let ret = unsafe { libc::fcntl(tied.as_raw_fd(), command, argument) };
            check(ret.into(), || format!("fcntl({command})"))?;
        }
        Ok(Cord { _tied: tied, pulled })
    }

    /// Kills the process that tied the cord.
    pub fn pull(&self) -> Result<()> {
        nix::unistd::write(&self.pulled, b"!").named(|| "write(cord)".into()).map(drop)
    }
}

impl AsFd for Cord {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pulled.as_fd()
    }
}

const F_SETSIG: libc::c_int = 10;
