//! Descriptors by number: those that this process was started with, and those that it hands on.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

use super::{Named, check, file};
use crate::error::{Errno, Error, Result};

/// The lowest number above the standard streams that wasn't open when this was first asked for. A descriptor that is
/// opened later takes the number, and must not be mistaken for the caller's.
static FIRST_NOT_INHERITED: OnceLock<RawFd> = OnceLock::new();

/// Looks which descriptors the caller has handed down. To be called before this process opens any.
pub fn remember_inherited() {
    first_not_inherited();
}

/// The lowest number above the standard streams that the caller has not handed down.
pub fn first_not_inherited() -> RawFd {
    *FIRST_NOT_INHERITED
        .get_or_init(|| (3..RawFd::MAX).find(|number| !is_open(*number)).unwrap_or(RawFd::MAX))
}

/// A standard stream, or a descriptor that the caller has handed down, if it is open.
pub fn inherited(number: RawFd) -> Option<BorrowedFd<'static>> {
    let is_the_callers = number >= 0 && number < first_not_inherited();
    // SAFETY: the number was open before this process opened anything, so nothing here owns it and closes it:
    // `take_handed_down` refuses once such numbers are known.
    (is_the_callers && is_open(number)).then(|| unsafe { BorrowedFd::borrow_raw(number) })
}

/// Takes over two descriptors that the `execve` of this program has left open, if they are there.
///
/// To be called before anything else is opened. Only the first call gets the descriptors, and only before [`inherited`]
/// could lend them.
pub fn take_handed_down(numbers: [RawFd; 2]) -> Option<[OwnedFd; 2]> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let there = numbers[0] != numbers[1] && numbers.iter().all(|number| *number >= 3 && is_open(*number));
    if !there || FIRST_NOT_INHERITED.get().is_some() || TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    // SAFETY: both numbers are open, this process has opened nothing yet, and no other call takes or lends them.
    Some(numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) }))
}

/// Takes descriptor 3, which `start` of the shim has handed down, if it is a socket.
pub fn take_listener() -> Option<OwnedFd> {
    const LISTENER: RawFd = 3;
    // SAFETY: fstat writes into a buffer of its own, and an unused number gives EBADF.
    let borrowed = is_open(LISTENER).then(|| unsafe { BorrowedFd::borrow_raw(LISTENER) })?;
    let stat = super::file::stat_of(borrowed).ok()?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFSOCK {
        return None;
    }
    close_on_exec(borrowed).ok()?;
    // SAFETY: the caller of this process opened the descriptor, and the server, which asks once at its beginning, is
    // the only user of it.
    Some(unsafe { OwnedFd::from_raw_fd(LISTENER) })
}

/// Whether the number stands for an open descriptor.
pub fn is_open(number: RawFd) -> bool {
    // SAFETY: F_GETFD reads a flag; an unused number gives EBADF.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// Clears close-on-exec, so that the descriptor survives the next `execve`.
pub fn keep_across_exec(fd: impl AsFd) -> Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).named(|| "fcntl(F_SETFD)".into()).map(drop)
}

/// Has the next `execve` close the descriptor.
pub fn close_on_exec(fd: impl AsFd) -> Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).named(|| "fcntl(F_SETFD)".into()).map(drop)
}

/// `fcntl(F_DUPFD, lowest)`: a copy at the first free number from `lowest` on. It survives the next `execve`.
///
/// Errors: EINVAL or EMFILE past RLIMIT_NOFILE.
pub fn duplicate_from(fd: impl AsFd, lowest: RawFd) -> Result<OwnedFd> {
    let number = fcntl(fd, FcntlArg::F_DUPFD(lowest)).named(|| format!("fcntl(F_DUPFD, {lowest})"))?;
    // SAFETY: the call has just made this descriptor, and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The number that the next descriptor gets which this process opens.
///
/// `any` is a descriptor of this process, to be copied there and closed again.
pub fn next_number(any: impl AsFd) -> Result<RawFd> {
    duplicate_from(any, 0).map(|copy| copy.as_raw_fd())
}

/// `dup3`: makes `fd` standard input, output and error.
pub fn become_standard_streams(fd: impl AsFd) -> Result<()> {
    for number in 0..=2 {
        // SAFETY: takes integers only. What is closed is a standard stream, which nothing in this process owns.
        let ret = unsafe { libc::dup3(fd.as_fd().as_raw_fd(), number, 0) };
        check(ret.into(), || format!("dup3({number})"))?;
    }
    Ok(())
}

/// `close_range(first, ~0, CLOSE_RANGE_CLOEXEC)`: marks every descriptor from `first` on close-on-exec.
///
/// Kernel: 5.11; before, one fcntl per descriptor that `/proc/self/fd` lists, of the procfs which `procfs` opens then.
pub fn close_on_exec_from(first: RawFd, procfs: impl FnOnce() -> Result<OwnedFd>) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: takes integers only, and changes nothing but the close-on-exec flags.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    match check(ret, || format!("close_range({first}, ~0, CLOEXEC)")) {
        Err(err) if err.is(Errno::ENOSYS) || err.is(Errno::EINVAL) => close_on_exec_each(first, &procfs()?),
        result => result.map(drop),
    }
}

fn close_on_exec_each(first: RawFd, procfs: &OwnedFd) -> Result<()> {
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

/// What lies at /proc: for a process that is in no container.
pub fn host_procfs() -> Result<OwnedFd> {
    file::open_following_links(Path::new("/proc"), OFlag::O_PATH | OFlag::O_DIRECTORY)
}

/// The numbers of all open descriptors.
fn open_numbers(procfs: &OwnedFd) -> Result<Vec<RawFd>> {
    let list = file::open_beneath_following_self(procfs, "fd", OFlag::O_DIRECTORY)?;
    let mut dir = nix::dir::Dir::from_fd(list).named(|| "fdopendir()".into())?;
    Ok(dir.iter().filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok()).collect())
}

/// Closes every descriptor from 3 on but those in `kept`: see [`InChild::close_all_but`](super::namespace::InChild).
///
/// Kernel: 5.9 (`close_range`); before, one close per descriptor that `/proc/self/fd` lists, of the procfs which
/// `procfs` opens then.
pub(super) fn close_all_but<'fd>(
    kept: impl IntoIterator<Item = BorrowedFd<'fd>>,
    procfs: impl FnOnce() -> Result<OwnedFd>,
) -> Result<()> {
    let mut kept: Vec<RawFd> =
        kept.into_iter().map(|fd| fd.as_raw_fd()).filter(|number| *number >= 3).collect();
    kept.sort_unstable();
    let mut first = 3;
    for number in &kept {
        if *number > first {
            match close_range(first, *number as libc::c_uint - 1) {
                Err(err) if err.is(Errno::ENOSYS) => return close_each_but(&kept, &procfs()?),
                result => result?,
            }
        }
        first = number + 1;
    }
    match close_range(first, libc::c_uint::MAX) {
        Err(err) if err.is(Errno::ENOSYS) => close_each_but(&kept, &procfs()?),
        result => result,
    }
}

fn close_range(first: RawFd, last: libc::c_uint) -> Result<()> {
    // SAFETY: only a forked child comes here, and it has named all descriptors that it uses.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    check(ret, || format!("close_range({first}, {last})")).map(drop)
}

fn close_each_but(kept: &[RawFd], procfs: &OwnedFd) -> Result<()> {
    let numbers = open_numbers(procfs)?;
    for number in numbers.into_iter().filter(|number| *number >= 3 && !kept.contains(number)) {
        // SAFETY: as in `close_range`. The descriptor of the listing is closed by now, which EBADF says.
        unsafe { libc::close(number) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_at_the_start_is_inherited() {
        remember_inherited();
        let own = file::open_following_links(Path::new("/dev/null"), OFlag::O_PATH).unwrap();
        assert!(is_open(own.as_raw_fd()) && inherited(own.as_raw_fd().max(first_not_inherited())).is_none());
        assert!(inherited(-1).is_none());
        assert!(take_handed_down([own.as_raw_fd(), own.as_raw_fd()]).is_none());
    }

    #[test]
    fn a_copy_gets_the_first_free_number_or_none() {
        let null = file::open_following_links(Path::new("/dev/null"), OFlag::O_PATH).unwrap();
        let first = duplicate_from(&null, 900).unwrap();
        let second = duplicate_from(&null, first.as_raw_fd()).unwrap();
        assert!(first.as_raw_fd() >= 900 && second.as_raw_fd() > first.as_raw_fd());
        assert!(duplicate_from(&null, RawFd::MAX).unwrap_err().is(Errno::EINVAL));
    }
}
