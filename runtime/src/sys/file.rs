//! Files by descriptor: opening in a root, making nodes relative to a directory, reading and writing small files.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{self, AtFlags, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{self, FileStat, Mode, SFlag};
use nix::unistd;

use super::{Named, check, shown};
use crate::error::{Errno, Error, Result};

/// How often a walk is tried again after a rename in the tree made the kernel give up.
const RESOLVE_TRIES_MAX: usize = 128;

/// `open(path)`, following links: for the host's own paths only.
pub fn open_following_links(path: &Path, flags: OFlag) -> Result<OwnedFd> {
    fcntl::open(path, flags | OFlag::O_CLOEXEC, Mode::empty()).named(|| format!("open({})", shown(path)))
}

/// `open(path, O_CREAT)`: for the host's own paths only.
pub fn create_following_links(path: &Path, flags: OFlag, mode: u32) -> Result<OwnedFd> {
    fcntl::open(path, flags | OFlag::O_CLOEXEC | OFlag::O_CREAT, Mode::from_bits_truncate(mode))
        .named(|| format!("open({}, O_CREAT)", shown(path)))
}

/// `flock(LOCK_EX|LOCK_NB)`: says whether the caller holds the lock now. The lock belongs to the open file and all
/// copies of its descriptor.
pub fn try_lock(file: impl AsFd) -> Result<bool> {
    match flock(file.as_fd(), libc::LOCK_EX | libc::LOCK_NB) {
        Err(err) if err.is(Errno::EWOULDBLOCK) => Ok(false),
        result => result.map(|()| true),
    }
}

/// `flock(LOCK_UN)`, for all copies of the descriptor.
pub fn unlock(file: impl AsFd) -> Result<()> {
    flock(file.as_fd(), libc::LOCK_UN)
}

fn flock(file: BorrowedFd, operation: i32) -> Result<()> {
    // SAFETY: takes integers only.
    let ret = unsafe { libc::flock(file.as_raw_fd(), operation) };
    check(ret.into(), || "flock()".into()).map(drop)
}

/// `openat(dir, name, O_NOFOLLOW)` of one path component.
pub fn open_at(dir: impl AsFd, name: &Path, flags: OFlag) -> Result<OwnedFd> {
    fcntl::openat(dir, name, flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
        .named(|| format!("openat({})", shown(name)))
}

/// `openat(dir, name, O_CREAT|O_EXCL|O_NOFOLLOW)`.
pub fn create_at(dir: impl AsFd, name: &Path, flags: OFlag, mode: u32) -> Result<OwnedFd> {
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_CREAT | OFlag::O_EXCL;
    fcntl::openat(dir, name, flags, Mode::from_bits_truncate(mode))
        .named(|| format!("openat({}, O_CREAT|O_EXCL)", shown(name)))
}

/// `openat2(root, path, RESOLVE_IN_ROOT)`: `/`, `..` and every symlink stay within `root`; magic links are refused.
///
/// Errors: ELOOP for a magic link; ENOENT. Kernel: 5.6. Source: openat2(2).
pub fn open_in_root(root: impl AsFd, path: &Path, flags: OFlag) -> Result<OwnedFd> {
    openat2(root, path, flags, ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

/// As [`open_in_root`], but any symlink on the way is ELOOP.
pub fn open_in_root_without_links(root: impl AsFd, path: &Path, flags: OFlag) -> Result<OwnedFd> {
    openat2(root, path, flags, ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS)
}

/// `openat2(RESOLVE_BENEATH|NO_XDEV|NO_SYMLINKS)`: a path that stays on the filesystem of `dir`, without any link.
/// For trusted trees such as procfs, where a mount or a link on the way would be an attack.
pub fn open_beneath(dir: impl AsFd, path: &Path, flags: OFlag) -> Result<OwnedFd> {
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS;
    openat2(dir, path, flags, resolve)
}

/// Opens `/proc/self/NAME` below a procfs: only the link `self` is followed, because procfs made it.
pub fn open_beneath_following_self(procfs: impl AsFd, name: &str, flags: OFlag) -> Result<OwnedFd> {
    let path = PathBuf::from(format!("self/{name}"));
    openat2(
        procfs,
        &path,
        flags,
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    )
}

fn openat2(dir: impl AsFd, path: &Path, flags: OFlag, resolve: ResolveFlag) -> Result<OwnedFd> {
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    for _ in 0..RESOLVE_TRIES_MAX {
        match fcntl::openat2(dir.as_fd(), path, how) {
            // There was a rename or a mount during the walk, so the kernel can't vouch for the root and asks for
            // another try.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            result => return result.named(|| format!("openat2({}, {resolve:?})", shown(path))),
        }
    }
    Err(Error::kernel(format!("openat2({}): renamed under our feet", shown(path)), Errno::EAGAIN))
}

/// `fstat`.
pub fn stat_of(file: impl AsFd) -> Result<FileStat> {
    stat::fstat(file).named(|| "fstat()".into())
}

/// `fstatat(AT_SYMLINK_NOFOLLOW)`.
pub fn stat_at(dir: impl AsFd, name: &Path) -> Result<FileStat> {
    stat::fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).named(|| format!("fstatat({})", shown(name)))
}

/// `stat`, following links: for the host's own paths, or within the container once it is the root.
pub fn stat_following_links(path: &Path) -> Result<FileStat> {
    stat::stat(path).named(|| format!("stat({})", shown(path)))
}

/// `makedev`: the number of a device as `st_rdev` has it.
pub fn device_number(major: u32, minor: u32) -> u64 {
    stat::makedev(major.into(), minor.into())
}

/// Whether a mode is that of a directory.
pub fn is_directory(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

/// Whether a mode is that of a symbolic link.
pub fn is_symlink(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK
}

/// Whether `stat` is of a fifo or a character device: what is written there is read or lost, and not kept.
pub fn is_stream(stat: &FileStat) -> bool {
    [SFlag::S_IFCHR, SFlag::S_IFIFO].iter().any(|kind| stat.st_mode & SFlag::S_IFMT.bits() == kind.bits())
}

/// Whether `stat` is of the null device, whatever the file's name.
pub fn is_null_device(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR
        && stat.st_rdev == device_number(1, 3)
}

/// Whether `file`, of which this is the `stat`, is a pipe without a name or a socket. An open socket is never the file
/// that names it.
pub fn is_pipe_or_socket(file: impl AsFd, stat: &FileStat) -> bool {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFSOCK => true,
        SFlag::S_IFIFO => filesystem_magic(file).is_ok_and(|magic| magic == PIPEFS_MAGIC),
        _ => false,
    }
}

/// The kernel's own filesystem of pipes (`linux/magic.h`).
const PIPEFS_MAGIC: i64 = 0x5049_5045;

/// The magic number of the filesystem that `file` is on (`fstatfs`).
pub fn filesystem_magic(file: impl AsFd) -> Result<i64> {
    let fs = nix::sys::statfs::fstatfs(file).named(|| "fstatfs()".into())?;
    Ok(fs.filesystem_type().0 as i64)
}

/// `mkdirat`.
pub fn make_directory_at(dir: impl AsFd, name: &Path, mode: u32) -> Result<()> {
    stat::mkdirat(dir, name, Mode::from_bits_truncate(mode)).named(|| format!("mkdirat({})", shown(name)))
}

/// `mknodat`. `kind` is `S_IFCHR`, `S_IFBLK` or `S_IFIFO`.
pub fn make_node_at(dir: impl AsFd, name: &Path, kind: SFlag, mode: u32, device: u64) -> Result<()> {
    stat::mknodat(dir, name, kind, Mode::from_bits_truncate(mode), device)
        .named(|| format!("mknodat({}, {kind:?}, {device:#x})", shown(name)))
}

/// `symlinkat`.
pub fn make_symlink_at(target: &Path, dir: impl AsFd, name: &Path) -> Result<()> {
    unistd::symlinkat(target, dir, name).named(|| format!("symlinkat({}, {})", shown(target), shown(name)))
}

/// `unlinkat` of a file.
pub fn unlink_at(dir: impl AsFd, name: &Path) -> Result<()> {
    unistd::unlinkat(dir, name, unistd::UnlinkatFlags::NoRemoveDir)
        .named(|| format!("unlinkat({})", shown(name)))
}

/// `unlinkat(AT_REMOVEDIR)`.
pub fn remove_directory_at(dir: impl AsFd, name: &Path) -> Result<()> {
    unistd::unlinkat(dir, name, unistd::UnlinkatFlags::RemoveDir)
        .named(|| format!("unlinkat({}, REMOVEDIR)", shown(name)))
}

/// `renameat` within one directory: replaces the file `to`.
pub fn rename_at(dir: impl AsFd, from: &Path, to: &Path) -> Result<()> {
    fcntl::renameat(&dir, from, &dir, to).named(|| format!("renameat({}, {})", shown(from), shown(to)))
}

/// Removes all that is in `dir`. Links are removed and not followed.
///
/// An attacker may have filled the directory. Directories that lie deeper are moved up before they are removed, so that
/// a deep tree takes two descriptors and no stack.
pub fn empty_directory(dir: impl AsFd) -> Result<()> {
    let mut moved = 0_u64;
    loop {
        let names = some_names_in(&dir)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            let name = Path::new(&name);
            if !removed_unless_directory(&dir, name)? {
                // What is mounted there belongs to somebody else.
                let below = open_beneath(&dir, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
                move_up(&below, &dir, &mut moved)?;
                remove_directory_at(&dir, name)?;
            }
        }
    }
}

/// Removes the files in `below`, and moves its directories to `dir`.
fn move_up(below: &OwnedFd, dir: impl AsFd, moved: &mut u64) -> Result<()> {
    loop {
        let names = some_names_in(below)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            let name = Path::new(&name);
            while !removed_unless_directory(below, name)? {
                *moved += 1;
                match fcntl::renameat(below, name, &dir, Path::new(&format!("moved-{moved}"))) {
                    Ok(()) => break,
                    // The name is taken, so the next number is tried: there are more numbers than names.
                    Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR) => {}
                    Err(errno) => return Err(Error::kernel(format!("renameat({})", shown(name)), errno)),
                }
            }
        }
    }
}

/// Removes `name` unless it is a directory; says whether it is gone.
fn removed_unless_directory(dir: impl AsFd, name: &Path) -> Result<bool> {
    match unlink_at(dir, name) {
        Err(err) if err.is(Errno::EISDIR) => Ok(false),
        Err(err) if err.is(Errno::ENOENT) => Ok(true),
        result => result.map(|()| true),
    }
}

/// Names in a directory, as many as are worth remembering at a time; none only if the directory is empty.
fn some_names_in(dir: impl AsFd) -> Result<Vec<OsString>> {
    const NAMES_MAX: usize = 1024;
    names_in(dir, NAMES_MAX)
}

/// `getdents`: the names in a directory, at most `count_max`.
pub fn names_in(dir: impl AsFd, count_max: usize) -> Result<Vec<OsString>> {
    let mut list =
        Dir::openat(dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .named(|| "openat(\".\")".into())?;
    let names = list.iter().map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()));
    let others = names.filter(|name| !matches!(name, Ok(name) if name == "." || name == ".."));
    others.take(count_max).collect::<nix::Result<_>>().named(|| "getdents()".into())
}

/// `readlinkat`.
pub fn read_link_at(dir: impl AsFd, name: &Path) -> Result<PathBuf> {
    fcntl::readlinkat(dir, name).named(|| format!("readlinkat({})", shown(name))).map(PathBuf::from)
}

/// `fchownat(AT_SYMLINK_NOFOLLOW)`.
pub fn change_owner_at(dir: impl AsFd, name: &Path, uid: u32, gid: u32) -> Result<()> {
    let (owner, group) = (Some(unistd::Uid::from_raw(uid)), Some(unistd::Gid::from_raw(gid)));
    unistd::fchownat(dir, name, owner, group, AtFlags::AT_SYMLINK_NOFOLLOW)
        .named(|| format!("fchownat({}, {uid}, {gid})", shown(name)))
}

/// `fchownat(AT_EMPTY_PATH)`: changes the owner of the open file, even if it is open only as a place (`O_PATH`).
pub fn change_owner(file: impl AsFd, uid: u32, gid: u32) -> Result<()> {
    let (owner, group) = (Some(unistd::Uid::from_raw(uid)), Some(unistd::Gid::from_raw(gid)));
    unistd::fchownat(file, "", owner, group, AtFlags::AT_EMPTY_PATH).named(|| format!("fchown({uid}, {gid})"))
}

/// `fchmod`.
pub fn change_mode(file: impl AsFd, mode: u32) -> Result<()> {
    stat::fchmod(file, Mode::from_bits_truncate(mode)).named(|| format!("fchmod({mode:o})"))
}

/// `fchmodat`, which follows links: for a name in `dir` that no other process can have replaced by a link.
pub fn change_mode_at_following_links(dir: impl AsFd, name: &Path, mode: u32) -> Result<()> {
    stat::fchmodat(dir, name, Mode::from_bits_truncate(mode), stat::FchmodatFlags::FollowSymlink)
        .named(|| format!("fchmodat({}, {mode:o})", shown(name)))
}

/// `renameat`: replaces the file `to` in `to_dir`, unless it is a directory. No link is followed.
pub fn move_to(from_dir: impl AsFd, from: &Path, to_dir: impl AsFd, to: &Path) -> Result<()> {
    nix::fcntl::renameat(from_dir, from, to_dir, to)
        .named(|| format!("renameat({}, {})", shown(from), shown(to)))
}

/// `fchdir`.
pub fn enter_directory(dir: impl AsFd) -> Result<()> {
    unistd::fchdir(dir).named(|| "fchdir()".into())
}

/// `chdir`.
pub fn change_directory(path: &Path) -> Result<()> {
    unistd::chdir(path).named(|| format!("chdir({})", shown(path)))
}

/// `chroot(".")`: the current directory becomes the root of this process.
pub fn change_root_here() -> Result<()> {
    unistd::chroot(".").named(|| "chroot(\".\")".into())
}

/// The current directory as the kernel sees it from the current root; a path that starts with `(unreachable)`
/// lies outside.
pub fn current_directory() -> Result<PathBuf> {
    let mut buffer = vec![0_u8; libc::PATH_MAX as usize];
    // glibc's getcwd turns an unreachable directory into ENOENT, or looks for another name. The system call itself
    // tells the truth. SAFETY: the kernel writes at most `len` bytes into the buffer, which outlives the call.
    let ret = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    let len = check(ret, || "getcwd()".into())? as usize;
    buffer.truncate(len.saturating_sub(1));
    Ok(PathBuf::from(OsString::from_vec(buffer)))
}

/// `write`: how many of `bytes` were taken.
pub fn write(file: impl AsFd, bytes: &[u8]) -> Result<usize> {
    retrying(|| unistd::write(&file, bytes)).named(|| format!("write(…, {})", bytes.len()))
}

/// `write` of all `bytes` in one call, because files of /proc and cgroupfs take each call as a whole.
pub fn write_whole(file: BorrowedFd, bytes: &[u8], name: &str) -> Result<()> {
    match retrying(|| unistd::write(file, bytes)).named(|| format!("write({name})"))? {
        len if len == bytes.len() => Ok(()),
        len => Err(Error::internal(format!("write({name}): took {len} of {} bytes", bytes.len()))),
    }
}

fn retrying<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// Opens `path` below `dir` without following any link and writes `text` in one call.
pub fn write_beneath(dir: impl AsFd, path: &Path, text: &str) -> Result<()> {
    let file = open_beneath(dir, path, OFlag::O_WRONLY)?;
    write_whole(file.as_fd(), text.as_bytes(), &path.to_string_lossy())
}

/// Writes `text` in one call to a file of the host.
pub fn write_following_links(path: &Path, text: &str) -> Result<()> {
    let file = open_following_links(path, OFlag::O_WRONLY)?;
    write_whole(file.as_fd(), text.as_bytes(), &path.to_string_lossy())
}

/// `read`: how many bytes were read; 0 at the end.
pub fn read(file: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    retrying(|| unistd::read(&file, buffer)).named(|| "read()".into())
}

/// Reads a file that is at most `size_max` bytes long.
///
/// Errors: InvalidSpec past that size.
pub fn read_limited(file: impl AsFd, size_max: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(16 << 10);
    let mut chunk = [0_u8; 16 << 10];
    loop {
        match read(&file, &mut chunk)? {
            0 => return Ok(bytes),
            len if bytes.len() + len > size_max => {
                return Err(Error::invalid(format!("longer than {size_max} bytes")));
            }
            len => bytes.extend_from_slice(&chunk[..len]),
        }
    }
}

/// `sendfile`: copies `len` bytes of `from` to `to` within the kernel.
///
/// Errors: Internal if `from` ends before.
pub fn copy(from: impl AsFd, to: impl AsFd, len: u64) -> Result<()> {
    let mut left = len as usize;
    while left > 0 {
        match nix::sys::sendfile::sendfile(&to, &from, None, left).named(|| "sendfile()".into())? {
            0 => return Err(Error::internal("sendfile(): the file became shorter")),
            copied => left -= copied,
        }
    }
    Ok(())
}

/// `fcntl(F_SETFL, O_NONBLOCK)`: no read or write of the open file waits.
pub fn set_nonblocking(file: impl AsFd) -> Result<()> {
    fcntl::fcntl(file, fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .named(|| "fcntl(F_SETFL, O_NONBLOCK)".into())
        .map(drop)
}

/// Whether two stats are of one file.
pub fn same_file(a: &FileStat, b: &FileStat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}
