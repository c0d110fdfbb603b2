//! Children by the standard library, with what it has no method for.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the child be killed when the thread ends that has spawned it (PR_SET_PDEATHSIG), leaves it the descriptors
/// `kept`, which are open in the parent, and blocks none of its signals.
pub fn ends_with_parent(command: &mut Command, kept: Vec<RawFd>) {
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
