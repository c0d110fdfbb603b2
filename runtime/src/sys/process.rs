//! The life of one process: its threads, its parent's death, its limits, its end, and `execve`.

use std::convert::Infallible;
use std::ffi::CString;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::path::Path;

use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use nix::unistd::AccessFlags;

use super::{Named, check, shown};
use crate::error::{Errno, Error, Result};

/// Proof that this process has one thread. Some calls change only the calling thread, or do harm beside a second
/// thread.
///
/// The proof holds as long as no thread is started, and nothing here starts one. A program around the library may, so
/// `create` and `exec` ask again. A forked child has one thread by construction.
#[derive(Debug)]
pub struct SingleThreaded {
    /// The proof isn't handed to another thread.
    _not_sent: PhantomData<*const ()>,
}

impl SingleThreaded {
    /// Asks the kernel: `unshare(CLONE_THREAD)` changes nothing, and fails in a process with several threads.
    ///
    /// Errors: Internal if there is another thread. Source: unshare(2).
    pub fn prove() -> Result<SingleThreaded> {
        match nix::sched::unshare(CloneFlags::CLONE_THREAD) {
            Err(Errno::EINVAL) => Err(Error::internal("this process has more than one thread")),
            result => result.named(|| "unshare(CLONE_THREAD)".into()).map(|()| SingleThreaded::of_child()),
        }
    }

    /// A child that was forked has one thread, whatever its parent had.
    pub(super) fn of_child() -> SingleThreaded {
        SingleThreaded { _not_sent: PhantomData }
    }

    /// For tests, which run beside each other: a test must do no harm to the rest.
    #[cfg(test)]
    pub fn pretended() -> SingleThreaded {
        SingleThreaded::of_child()
    }
}

/// `prctl(PR_SET_PDEATHSIG)`: the signal that this process gets when its parent dies; `None` for none.
///
/// The kernel forgets it at every change of credentials. Source: PR_SET_PDEATHSIG(2const).
pub fn set_parent_death_signal(signal: Option<Signal>) -> Result<()> {
    nix::sys::prctl::set_pdeathsig(signal).named(|| "prctl(PR_SET_PDEATHSIG)".into())
}

/// `prctl(PR_SET_DUMPABLE)`: whether other processes of the same user may trace this one and read its /proc files.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    nix::sys::prctl::set_dumpable(dumpable).named(|| "prctl(PR_SET_DUMPABLE)".into())
}

/// Does something while this process is dumpable, because its files in /proc are the user's own only then.
pub fn while_dumpable<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = nix::sys::prctl::get_dumpable().named(|| "prctl(PR_GET_DUMPABLE)".into())?;
    set_dumpable(true)?;
    let result = work();
    set_dumpable(before)?;
    result
}

/// `prctl(PR_SET_CHILD_SUBREAPER)`: orphaned descendants become children of this process.
pub fn set_child_subreaper() -> Result<()> {
    nix::sys::prctl::set_child_subreaper(true).named(|| "prctl(PR_SET_CHILD_SUBREAPER)".into())
}

/// `prctl(PR_SET_NO_NEW_PRIVS)`: `execve` grants nothing from here on. It can't be taken back.
pub fn set_no_new_privileges() -> Result<()> {
    nix::sys::prctl::set_no_new_privs().named(|| "prctl(PR_SET_NO_NEW_PRIVS)".into())
}

/// `setsid`: a new session without a terminal. It is no error if this process leads a session already.
pub fn new_session() -> Result<()> {
    match nix::unistd::setsid() {
        Ok(_) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(Error::kernel("setsid()", errno)),
    }
}

/// `umask`, of all threads: returns the mask before.
pub fn set_umask(_alone: &SingleThreaded, mask: u32) -> u32 {
    use nix::sys::stat::{Mode, umask};
    umask(Mode::from_bits_truncate(mask)).bits()
}

/// `prlimit(pid, resource, limit)`; `pid` 0 is the caller.
///
/// Errors: EPERM where a hard limit would be raised without CAP_SYS_RESOURCE.
pub fn set_limit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads `limit` during the call and writes nothing (the old limit isn't asked for).
    let ret = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, 0) };
    check(ret, || format!("prlimit({resource}, {soft}, {hard})")).map(drop)
}

/// `execve`: replaces the process; returns only an error.
pub fn execute(path: &CString, args: &[CString], env: &[CString]) -> Result<Infallible> {
    nix::unistd::execve(path, args, env).named(|| format!("execve({path:?})"))
}

/// `execveat(fd, "", AT_EMPTY_PATH)`: executes what `fd` is open on; returns only an error.
pub fn execute_fd(fd: impl AsFd, args: &[CString], env: &[CString]) -> Result<Infallible> {
    nix::unistd::execveat(fd, c"", args, env, nix::fcntl::AtFlags::AT_EMPTY_PATH)
        .named(|| "execveat(AT_EMPTY_PATH)".into())
}

/// The path that the kernel was given to execute this program: `/dev/fd/N` for a descriptor.
pub fn executed_path() -> Option<String> {
    // SAFETY: getauxval reads this process's own auxiliary vector; AT_EXECFN is a NUL-terminated text that the
    // kernel put on the initial stack, where it stays as long as the process.
    unsafe {
        let text = libc::getauxval(libc::AT_EXECFN) as *const libc::c_char;
        (!text.is_null()).then(|| std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

/// Makes sure that `/proc/<number>` is the process of that number. /proc may be the procfs of another pid namespace,
/// where the numbers that this process knows are strangers'.
///
/// Errors: Unsupported.
pub fn check_procfs() -> Result<()> {
    let own = std::process::id();
    let shown = match std::fs::read_link("/proc/self") {
        Ok(number) if number == Path::new(&own.to_string()) => return Ok(()),
        Ok(number) => format!("/proc/self is {} there, and {own} here", number.display()),
        Err(err) => Error::io("readlink(/proc/self)", &err).to_string(),
    };
    Err(Error::unsupported(format!("/proc is not the procfs of this pid namespace: {shown}"))
        .with_hint("mount a procfs of this pid namespace on /proc"))
}

/// The numbers of the children of process `pid`, in the words of the kernel; none if it has ended.
///
/// Source: proc_pid_task(5), CONFIG_PROC_CHILDREN.
pub fn children(pid: i32) -> Result<String> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    match std::fs::read_to_string(&path).map_err(|err| Error::io(format!("read({path})"), &err)) {
        Err(err) if err.is(Errno::ENOENT) || err.is(Errno::ESRCH) => Ok(String::new()),
        result => result,
    }
}

/// `exit_group`: ends this process at once, running nothing more of it.
///
/// A seccomp filter may forbid even this call, and libc's `_exit` would try for ever. In that case an illegal
/// instruction ends the process: no process can ignore it, not even the first of a pid namespace.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes an integer only.
    unsafe { libc::syscall(libc::SYS_exit_group, code) };
    loop {
        // SAFETY: the instruction does nothing but raise SIGILL, for which nothing here has a handler.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            std::arch::asm!("ud2");
        }
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            std::arch::asm!("udf #0");
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By `exit` with this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

impl Ended {
    /// The code as a shell gives it: the exit code, or 128 plus the signal.
    pub fn code(self) -> i32 {
        match self {
            Ended::Exited(code) => code,
            Ended::Signaled(signal) => 128 + signal,
        }
    }
}

// Not by nix: when a real-time signal has ended a process, its `waitpid` reaps the process and says EINVAL.

/// `waitpid(pid)`: waits for a child to end, and reaps it.
pub fn wait(pid: i32) -> Result<Ended> {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one int into `status`, which outlives the call.
        let ret = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if ret < 0 && Errno::last() == Errno::EINTR {
            continue;
        }
        check(ret.into(), || format!("waitpid({pid})"))?;
        if libc::WIFEXITED(status) {
            return Ok(Ended::Exited(libc::WEXITSTATUS(status)));
        }
        if libc::WIFSIGNALED(status) {
            return Ok(Ended::Signaled(libc::WTERMSIG(status)));
        }
    }
}

/// `waitid(P_ALL, WNOWAIT)`: a child that has ended, if there is one, which stays to be reaped.
pub fn ended_child() -> Result<Option<i32>> {
    // SAFETY: an all-zero siginfo_t is valid: it holds integers only.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: the kernel writes one siginfo_t into `info`, which outlives the call.
    let ret = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) };
    match check(ret.into(), || "waitid(P_ALL)".into()) {
        Err(err) if err.is(Errno::ECHILD) => return Ok(None),
        result => drop(result?),
    }
    // SAFETY: waitid fills in the fields of SIGCHLD, or leaves them zero if there is nothing to tell.
    let pid = unsafe { info.si_pid() };
    Ok((pid != 0).then_some(pid))
}

/// `waitpid(-1, WNOHANG)`: reaps one child that has ended, if there is one.
pub fn reap_any() -> Option<(i32, Ended)> {
    let mut status = 0;
    // SAFETY: the kernel writes one int into `status`, which outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) };
    let ended = if libc::WIFSIGNALED(status) {
        Ended::Signaled(libc::WTERMSIG(status))
    } else {
        Ended::Exited(libc::WEXITSTATUS(status))
    };
    (pid > 0).then_some((pid, ended))
}

/// Whether `path` may be executed by the caller's effective ids: `faccessat(X_OK, AT_EACCESS)`.
pub fn may_execute(path: &Path) -> Result<()> {
    may(path, AccessFlags::X_OK).named(|| format!("faccessat({}, X_OK)", shown(path)))
}

/// Whether `path` may be written by the caller's effective ids: `faccessat(W_OK, AT_EACCESS)`.
pub fn may_write(path: &Path) -> Result<()> {
    may(path, AccessFlags::W_OK).named(|| format!("faccessat({}, W_OK)", shown(path)))
}

fn may(path: &Path, access: AccessFlags) -> nix::Result<()> {
    nix::unistd::faccessat(nix::fcntl::AT_FDCWD, path, access, nix::fcntl::AtFlags::AT_EACCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::namespace::{Forked, clone3};

    #[test]
    fn a_process_with_threads_is_not_single_threaded() {
        // With the thread that waits for it there are two.
        let proof = std::thread::spawn(|| SingleThreaded::prove().map(drop)).join().unwrap();
        assert_eq!(proof.unwrap_err().to_string(), "this process has more than one thread");
    }

    #[test]
    fn a_forked_child_is_single_threaded() {
        match clone3(&SingleThreaded::pretended(), 0, None, false).unwrap() {
            // It allocates nothing: another test's thread may have held the allocator's lock.
            Forked::Child(_) => exit_now(i32::from(SingleThreaded::prove().is_err())),
            Forked::Parent { pid, .. } => assert_eq!(wait(pid).unwrap(), Ended::Exited(0)),
        }
    }

    #[test]
    fn an_end_by_a_real_time_signal_is_told() {
        match clone3(&SingleThreaded::pretended(), 0, None, false).unwrap() {
            Forked::Child(_) => crate::sys::signal::wait_for_the_end(),
            Forked::Parent { pid, pidfd } => {
                crate::sys::pidfd::PidFd::from(pidfd).send_signal(40).unwrap();
                assert_eq!(wait(pid).unwrap(), Ended::Signaled(40));
            }
        }
    }
}
