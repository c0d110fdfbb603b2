//! The life of one process: its parent's death, its descriptors, its limits, its end, and `execve`.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::OnceLock;

use nix::sys::signal::Signal;

use super::{Named, check, shown};
use crate::error::{Errno, Error, Result};

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

/// `prctl(PR_SET_CHILD_SUBREAPER)`: orphaned descendants become children of this process.
pub fn set_child_subreaper() -> Result<()> {
    nix::sys::prctl::set_child_subreaper(true).named(|| "prctl(PR_SET_CHILD_SUBREAPER)".into())
}

/// `prctl(PR_SET_NO_NEW_PRIVS)`: `execve` grants nothing from here on. It can't be taken back.
pub fn set_no_new_privileges() -> Result<()> {
    nix::sys::prctl::set_no_new_privs().named(|| "prctl(PR_SET_NO_NEW_PRIVS)".into())
}

/// `setsid`: a new session without a terminal. Being a leader already is no error.
pub fn new_session() -> Result<()> {
    match nix::unistd::setsid() {
        Ok(_) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(Error::kernel("setsid()", errno)),
    }
}

/// `umask`: returns the one before.
pub fn set_umask(mask: u32) -> u32 {
    use nix::sys::stat::{Mode, umask};
    umask(Mode::from_bits_truncate(mask)).bits()
}

/// `close_range(first, ~0, CLOSE_RANGE_CLOEXEC)`: marks every descriptor from `first` on close-on-exec.
///
/// Kernel: 5.11; before, one fcntl per descriptor that `/proc/self/fd` of `procfs` lists.
pub fn close_on_exec_from(first: RawFd, procfs: Option<BorrowedFd>) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: takes integers only, and changes nothing but the close-on-exec flags.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    match check(ret, || format!("close_range({first}, ~0, CLOEXEC)")) {
        Err(err) if err.is(Errno::ENOSYS) || err.is(Errno::EINVAL) => close_on_exec_each(first, procfs),
        result => result.map(drop),
    }
}

fn close_on_exec_each(first: RawFd, procfs: Option<BorrowedFd>) -> Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    for number in open_numbers(procfs)?.into_iter().filter(|number| *number >= first) {
        // SAFETY: the number was listed as open in this process a moment ago, and it is only borrowed for fcntl.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        match fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
            Ok(_) | Err(Errno::EBADF) => {}
            Err(errno) => return Err(Error::kernel(format!("fcntl({number}, F_SETFD)"), errno)),
        }
    }
    Ok(())
}

/// The numbers of all open descriptors.
fn open_numbers(procfs: Option<BorrowedFd>) -> Result<Vec<RawFd>> {
    use nix::fcntl::OFlag;
    let list = match procfs {
        Some(procfs) => super::file::open_beneath_following_self(procfs, "fd", OFlag::O_DIRECTORY)?,
        None => super::file::open_following_links(Path::new("/proc/self/fd"), OFlag::O_DIRECTORY)?,
    };
    let mut dir = nix::dir::Dir::from_fd(list).named(|| "fdopendir()".into())?;
    Ok(dir.iter().filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok()).collect())
}

/// In a forked child: closes every descriptor from 3 on but those in `kept`.
///
/// What owns one of the others, in the child's copy of its parent's memory, must neither be used nor dropped.
/// Kernel: 5.9 (`close_range`); before, one close per descriptor that `/proc/self/fd` lists.
pub fn close_all_but(kept: impl IntoIterator<Item = RawFd>) -> Result<()> {
    let mut kept: Vec<RawFd> = kept.into_iter().filter(|number| *number >= 3).collect();
    kept.sort_unstable();
    let mut first = 3;
    for number in &kept {
        if *number > first {
            match close_range(first, *number as libc::c_uint - 1) {
                Err(err) if err.is(Errno::ENOSYS) => return close_each_but(&kept),
                result => result?,
            }
        }
        first = number + 1;
    }
    match close_range(first, libc::c_uint::MAX) {
        Err(err) if err.is(Errno::ENOSYS) => close_each_but(&kept),
        result => result,
    }
}

fn close_range(first: RawFd, last: libc::c_uint) -> Result<()> {
    // SAFETY: the caller vouches that nothing uses a descriptor of this range again; see `close_all_but`.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    check(ret, || format!("close_range({first}, {last})")).map(drop)
}

fn close_each_but(kept: &[RawFd]) -> Result<()> {
    for number in open_numbers(None)?.into_iter().filter(|number| *number >= 3 && !kept.contains(number)) {
        // SAFETY: as in `close_range`. The descriptor of the listing is closed by now, which EBADF says.
        unsafe { libc::close(number) };
    }
    Ok(())
}

/// The lowest number above the standard streams that was not open when this was called first: what is opened later
/// takes it, and must not be mistaken for the caller's.
static FIRST_NOT_INHERITED: OnceLock<RawFd> = OnceLock::new();

/// Looks which descriptors the caller has handed down. To be called before any other is opened.
pub fn remember_inherited() {
    first_not_inherited();
}

/// The lowest number above the standard streams that the caller has not handed down.
pub fn first_not_inherited() -> RawFd {
    *FIRST_NOT_INHERITED
        .get_or_init(|| (3..RawFd::MAX).find(|number| inherited_fd(*number).is_none()).unwrap_or(RawFd::MAX))
}

/// `sigaction(SIGCHLD, SIG_DFL)`: where it is ignored, the kernel reaps children, and nobody learns how they ended.
pub fn reset_child_signal() -> Result<()> {
    // SAFETY: the default action runs nothing of ours.
    unsafe { nix::sys::signal::signal(Signal::SIGCHLD, nix::sys::signal::SigHandler::SigDfl) }
        .named(|| "sigaction(SIGCHLD)".into())
        .map(drop)
}

/// Takes an inherited descriptor by its number, if it is open.
pub fn inherited_fd(number: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: F_GETFD reads a flag; an unused number gives EBADF.
    let open = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
    // SAFETY: the number is open, and descriptors that the caller handed down are never closed by this process.
    open.then(|| unsafe { BorrowedFd::borrow_raw(number) })
}

/// Takes over an inherited descriptor by its number, if it is open.
///
/// The caller vouches that nothing else in this process owns it.
pub fn take_inherited_fd(number: RawFd) -> Option<OwnedFd> {
    inherited_fd(number)?;
    // SAFETY: the number is open, and by this function's contract it has no other owner.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Clears close-on-exec, so that the descriptor survives the next `execve`.
pub fn keep_across_exec(fd: impl AsFd) -> Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).named(|| "fcntl(F_SETFD)".into()).map(drop)
}

/// `dup3(fd, number, CLOEXEC)`.
pub fn duplicate_to(fd: impl AsFd, number: RawFd, close_on_exec: bool) -> Result<()> {
    let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
    // SAFETY: takes integers only; a descriptor that stood at `number` is closed, which the callers want.
    let ret = unsafe { libc::dup3(fd.as_fd().as_raw_fd(), number, flags) };
    check(ret.into(), || format!("dup3({number})")).map(drop)
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

/// `exit_group`: ends this process at once, running nothing more of it.
///
/// A seccomp filter may forbid even that, and libc's `_exit` would try for ever. Then an illegal instruction ends it,
/// which no process can ignore, not even the first one of a pid namespace.
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

/// `waitpid(pid)`: reaps a child and waits for it if it still runs.
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

/// Gives every signal its default action again and unblocks all: what an `execve` would otherwise hand on.
pub fn reset_signals() -> Result<()> {
    use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
    for number in 1..=64 {
        // SAFETY: an all-zero sigaction means SIG_DFL without flags; the kernel reads it during the call. libc keeps
        // two real-time signals to itself and SIGKILL and SIGSTOP refuse: EINVAL is the answer and changes nothing.
        unsafe {
            let default: libc::sigaction = std::mem::zeroed();
            libc::sigaction(number, &raw const default, std::ptr::null_mut());
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).named(|| "sigprocmask()".into())
}

/// Whether `path` may be executed by the caller's effective ids: `faccessat(X_OK, AT_EACCESS)`.
pub fn may_execute(path: &Path) -> Result<()> {
    use nix::unistd::{AccessFlags, faccessat};
    faccessat(nix::fcntl::AT_FDCWD, path, AccessFlags::X_OK, nix::fcntl::AtFlags::AT_EACCESS)
        .named(|| format!("faccessat({}, X_OK)", shown(path)))
}
