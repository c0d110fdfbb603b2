//! Sealed anonymous files.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::Named;
use crate::error::Result;

/// `memfd_create(name, ALLOW_SEALING)`, with MFD_EXEC where the kernel knows it (6.3), because the file is executed.
pub fn create(name: &str) -> Result<OwnedFd> {
    const MFD_EXEC: libc::c_uint = 0x10;
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    memfd_create(name, flags | MFdFlags::from_bits_retain(MFD_EXEC))
        .or_else(|_| memfd_create(name, flags))
        .named(|| format!("memfd_create({name:?})"))
}

/// Forbids every later change: writes, growth, shrinking, and the lifting of the seals.
pub fn seal(file: impl AsFd) -> Result<()> {
    fcntl(file, FcntlArg::F_ADD_SEALS(all_seals())).named(|| "fcntl(F_ADD_SEALS)".into()).map(drop)
}

/// Whether nothing can change the file any more. A file that takes no seals isn't sealed.
pub fn is_sealed(file: impl AsFd) -> bool {
    fcntl(file, FcntlArg::F_GET_SEALS).is_ok_and(|seals| seals & all_seals().bits() == all_seals().bits())
}

fn all_seals() -> SealFlag {
    SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE
}
