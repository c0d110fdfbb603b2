//! The fifos between containerd and the shim, which containerd makes.
//!
//! A fifo for output is open in both directions here. So it has a reader and a writer whether or not containerd has it
//! open: while containerd is away, the fifo fills up, and then the process waits. The process itself is never given a
//! fifo.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};

use crate::refusal::{Code, Refusal};

/// Opens a fifo to write to.
pub(super) fn open_output(path: &Path) -> Result<OwnedFd, Refusal> {
    open_fifo(path, OFlag::O_RDWR)
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
