//! Pipes between the shim and a process.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, fchown, pipe2};

use crate::refusal::Refusal;

/// The end to read from and the end to write to; both wait.
pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd), Refusal> {
    pipe2(OFlag::O_CLOEXEC).map_err(|errno| failed("pipe2()", errno))
}

/// Gives a pipe to the user who is root in the container: processes there may open it anew by `/dev/stderr`.
pub(super) fn give(pipe: &OwnedFd, owner: Option<(u32, u32)>) -> Result<(), Refusal> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    let given = fchown(pipe, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    given.map_err(|errno| failed(&format!("fchown({uid}, {gid})"), errno))
}

/// `/dev/null`.
pub(super) fn null() -> Result<OwnedFd, Refusal> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/null");
    opened.map(OwnedFd::from).map_err(|err| Refusal::unknown(format!("open(\"/dev/null\"): {err}")))
}

fn failed(call: &str, errno: Errno) -> Refusal {
    Refusal::unknown(format!("{call}: {} ({errno:?})", errno.desc()))
}
