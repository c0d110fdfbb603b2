//! Children by the standard library, with what it has no method for.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the child be killed when the thread ends that has spawned it (PR_SET_PDEATHSIG), and leaves it the descriptors
/// `kept`, which are open in the parent.
pub fn ends_with_parent(command: &mut Command, kept: Vec<RawFd>) {
    let prepare = move || {
        // SAFETY: takes integers only.
        let told = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: takes integers only, and changes a flag of the child's own copies.
        let kept = kept.iter().all(|number| unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } == 0);
        if told == 0 && kept { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and execve the closure makes system calls only: it allocates nothing and takes no lock.
    unsafe { command.pre_exec(prepare) };
}
