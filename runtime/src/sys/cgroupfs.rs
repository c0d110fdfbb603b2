//! Directories and files of cgroupfs, and the two ways in which it tells of changes.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd;

use crate::error::{Errno, Error, Result};

/// The two file systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `cgroup`: one hierarchy per controller, or per set of controllers.
    V1,
    /// `cgroup2`: one hierarchy.
    V2,
}

/// Which cgroup file system `path` is on, if it is there and on one.
pub fn version(path: &Path) -> Option<Version> {
    match statfs(path).ok()?.filesystem_type() {
        CGROUP_SUPER_MAGIC => Some(Version::V1),
        CGROUP2_SUPER_MAGIC => Some(Version::V2),
        _ => None,
    }
}

/// The whole text of the file at `path`.
pub fn read_file(path: &str) -> Result<String> {
    nix::fcntl::open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .and_then(|fd| read_all(fd.as_fd()))
        .map_err(|errno| Error::kernel(format!("read({path})"), errno))
}

/// The directory of one cgroup in one hierarchy.
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens the directory as a place to name files from (`O_PATH`).
    pub fn open(path: &Path) -> Result<Dir> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match nix::fcntl::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path: path.to_owned() }),
            Err(errno) => Err(Error::kernel(format!("open({})", path.display()), errno)),
        }
    }

    /// The directory once more.
    pub fn try_clone(&self) -> Result<OwnedFd> {
        self.fd.try_clone().map_err(|err| Error::io("dup", &err))
    }

    /// Where the directory was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text of a file.
    pub fn read(&self, file: &str) -> Result<String> {
        let fd = self.open_file(file, OFlag::O_RDONLY)?;
        read_all(fd.as_fd()).map_err(|errno| Error::kernel(format!("read({file})"), errno))
    }

    /// Writes `value` to a file, with one call.
    pub fn write(&self, file: &str, value: &str) -> Result<()> {
        self.open_to_write(file)?.write(value)
    }

    /// Opens a file for several writes.
    pub fn open_to_write(&self, file: &str) -> Result<File> {
        let fd = self.open_file(file, OFlag::O_WRONLY)?;
        Ok(File { fd, name: file.to_owned() })
    }

    /// Opens a file that [`wait_for_change`] can wait on.
    pub fn open_to_watch(&self, file: &str) -> Result<OwnedFd> {
        self.open_file(file, OFlag::O_RDONLY)
    }

    /// Whether the cgroup has cgroups below it.
    pub fn has_children(&self) -> Result<bool> {
        // kernfs counts a directory's subdirectories in its links, on top of the two of any directory.
        let stat = fstat(&self.fd)
            .map_err(|errno| Error::kernel(format!("fstat({})", self.path.display()), errno))?;
        Ok(stat.st_nlink > 2)
    }

    fn open_file(&self, file: &str, access: OFlag) -> Result<OwnedFd> {
        openat(&self.fd, file, access | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|errno| Error::kernel(format!("open({}/{file})", self.path.display()), errno))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A file of a cgroup, open for writing.
pub struct File {
    fd: OwnedFd,
    name: String,
}

impl File {
    /// Writes `value`, with one call: the kernel takes each as a command of its own.
    pub fn write(&self, value: &str) -> Result<()> {
        match retrying(|| unistd::write(&self.fd, value.as_bytes())) {
            Ok(written) if written == value.len() => Ok(()),
            Ok(_) => Err(Error::internal(format!("write({}): the kernel took only a part", self.name))),
            Err(errno) => Err(Error::kernel(format!("write({})", self.name), errno)),
        }
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes the directory `path`; whether it was missing.
pub fn make_dir(path: &Path) -> Result<bool> {
    match unistd::mkdir(path, Mode::from_bits_truncate(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(Error::kernel(format!("mkdir({})", path.display()), errno)),
    }
}

/// Removes the directory `path`, which may be gone already.
pub fn remove_dir(path: &Path) -> Result<()> {
    match retrying(|| unistd::unlinkat(nix::fcntl::AT_FDCWD, path, unistd::UnlinkatFlags::RemoveDir)) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        // A read-only mount says so before it looks whether there is anything to remove.
        Err(Errno::EROFS) if !path.exists() => Ok(()),
        Err(errno) => Err(Error::kernel(format!("rmdir({})", path.display()), errno)),
    }
}

/// Waits until the kernel says that a file (`cgroup.events`) has changed since it was last read, or until
/// `deadline`; whether it has changed.
pub fn wait_for_change(file: BorrowedFd<'_>, deadline: Instant) -> Result<bool> {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(file, PollFlags::POLLPRI)];
    retrying(|| poll(&mut fds, timeout))
        .map(|ready| ready > 0)
        .map_err(|errno| Error::kernel("poll(cgroup.events)", errno))
}

/// The whole text of an open file, from its start.
pub fn read_from_start(file: BorrowedFd<'_>) -> Result<String> {
    unistd::lseek(file, 0, unistd::Whence::SeekSet)
        .and_then(|_| read_all(file))
        .map_err(|errno| Error::kernel("read", errno))
}

/// A number that the kernel adds to and that poll(2) can wait for (`eventfd`).
///
/// Kernel: 2.6.27. Source: eventfd(2).
pub fn event_fd() -> Result<OwnedFd> {
    // SAFETY: the call takes numbers only.
    own(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }, "eventfd")
}

/// Empties an [`event_fd`]; whether the kernel had added to it.
pub fn take_events(event: BorrowedFd<'_>) -> Result<bool> {
    match retrying(|| unistd::read(event, &mut [0u8; 8])) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN) => Ok(false),
        Err(errno) => Err(Error::kernel("read(eventfd)", errno)),
    }
}

/// A queue that is readable once one of `files` in `dir` has been modified.
///
/// Source: inotify(7).
pub fn watch_files(dir: &Path, files: &[&str]) -> Result<OwnedFd> {
    // SAFETY: the call takes numbers only.
    let queue = own(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) }, "inotify_init1")?;
    files.iter().try_for_each(|file| watch(queue.as_fd(), &dir.join(file)))?;
    Ok(queue)
}

/// Empties a queue of [`watch_files`].
pub fn take_modifications(queue: BorrowedFd<'_>) -> Result<()> {
    let mut events = [0u8; 4096];
    loop {
        match retrying(|| unistd::read(queue, &mut events)) {
            Ok(_) => {}
            Err(Errno::EAGAIN) => return Ok(()),
            Err(errno) => return Err(Error::kernel("read(inotify)", errno)),
        }
    }
}

fn watch(queue: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let call = || format!("inotify_add_watch({}, IN_MODIFY)", path.display());
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| Error::kernel(call(), Errno::EINVAL))?;
    // SAFETY: the kernel reads the string at `name`, which lives until the call returns, and keeps the inode
    // that it names, not the string.
    let watch = unsafe { libc::inotify_add_watch(queue.as_raw_fd(), name.as_ptr(), libc::IN_MODIFY) };
    if watch < 0 { Err(Error::kernel(call(), Errno::last())) } else { Ok(()) }
}

fn own(fd: i32, call: &str) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Error::kernel(call, Errno::last()));
    }
    // SAFETY: the call that gave `fd` succeeded, so it is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn read_all(file: BorrowedFd<'_>) -> Result<String, Errno> {
    let mut text = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        match retrying(|| unistd::read(file, &mut buffer))? {
            0 => return String::from_utf8(text).map_err(|_| Errno::EILSEQ),
            len => text.extend_from_slice(&buffer[..len]),
        }
    }
}

fn retrying<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => continue,
            outcome => return outcome,
        }
    }
}
