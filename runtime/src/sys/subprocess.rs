//! Children by the standard library, with what it has no method for; and the limits that children get.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::process::set_limit;
use crate::error::{Error, Result};

const FILES: Resource = Resource::RLIMIT_NOFILE;

/// The soft and the hard limit of descriptors that the caller of this process has given it, once the process has raised
/// its own.
static FILES_OF_CALLER: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises the soft limit of descriptors (RLIMIT_NOFILE) to the hard limit. Children get the caller's limit: a program
/// that waits by select(2) works with no higher number than 1023, and some programs close every number there might be.
pub fn raise_limit_of_files() -> Result<()> {
    let failed = |errno| Error::kernel("getrlimit(RLIMIT_NOFILE)", errno);
    let (soft, hard) = getrlimit(FILES).map_err(failed)?;
    setrlimit(FILES, hard, hard).map_err(|errno| Error::kernel("setrlimit(RLIMIT_NOFILE)", errno))?;
    // Only the first call has seen the caller's.
    FILES_OF_CALLER.get_or_init(|| (soft, hard));
    Ok(())
}

/// Gives a child that is executed already the limit of descriptors that it should have begun with.
pub fn give_limit_of_files(pid: i32) -> Result<()> {
    FILES_OF_CALLER.get().map_or(Ok(()), |(soft, hard)| set_limit(pid, FILES as u32, *soft, *hard))
}

/// Has the child begin with the limit of descriptors that this process has begun with.
pub fn with_limit_of_files(command: &mut Command) {
    if let Some((soft, hard)) = FILES_OF_CALLER.get() {
        // nix's call, because it allocates nothing, not even for an error.
        let limit = || setrlimit(FILES, *soft, *hard).map_err(io::Error::from);
        // SAFETY: between fork and execve the closure makes a system call only: it allocates nothing and takes no lock.
        unsafe { command.pre_exec(limit) };
    }
}

/// Has the child be killed when the thread ends that has spawned it (PR_SET_PDEATHSIG), leaves it the descriptors
/// `kept`, which are open in the parent, and blocks none of its signals. Its limit of descriptors is the caller's.
pub fn ends_with_parent(command: &mut Command, kept: Vec<RawFd>) {
    with_limit_of_files(command);
    let prepare = move || {
        // SAFETY: takes integers only.
        let told = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: takes integers only, and changes a flag of the child's own copies.
        let kept = kept.iter().all(|number| unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } == 0);
        // SAFETY: an all-zero sigset_t is the empty set.
        let none: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel reads the set, which outlives the call, and is told to write nothing.
        let unblocked =
            unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
        if told == 0 && kept && unblocked == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and execve the closure makes system calls only: it allocates nothing and takes no lock.
    unsafe { command.pre_exec(prepare) };
}
