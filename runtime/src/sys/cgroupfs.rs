//! Directories and files of cgroupfs, and the ways in which the kernel tells of changes in them.
//!
//! What is said here of one directory, of its files, and of making and removing it, holds for groups of resctrl too.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Type;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::{self, Uid, fchownat};

use super::Named;
use super::clock::Deadline;
use super::poll::{self, PollFlags};
use crate::error::{Errno, Error, Result};

/// The file systems of the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `cgroup`: one hierarchy per controller, or per set of controllers.
    V1,
    /// `cgroup2`: one hierarchy.
    V2,
}

/// The whole text of the file at `path`.
pub fn read_file(path: &str) -> Result<String> {
    openat(AT_FDCWD, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .and_then(|fd| read_all(fd.as_fd()))
        .map_err(|errno| Error::kernel(format!("read({path})"), errno))
}

/// Where cgroups are mounted everywhere: v2 itself, and v1 hierarchies below it. Paths are walked from this directory,
/// opened once.
///
/// A walk from `/` leads through sysfs, and waits there for every network namespace that comes or goes at the same
/// time. The kernel adds and removes the files of a namespace's devices under the semaphore that each walk takes.
pub struct Top(Option<OwnedFd>);

impl Top {
    /// `/sys/fs/cgroup`
    pub const PATH: &str = "/sys/fs/cgroup";

    /// Opens the directory. Where it can't be opened, paths are walked from `/`, and tell what is wrong.
    pub fn open() -> Top {
        Top(openat(AT_FDCWD, Top::PATH, PLACE, Mode::empty()).ok())
    }

    /// Which cgroup file system the directory `path` is on; none if `path` is missing, or on any other file system.
    pub fn version(&self, path: &Path) -> Option<Version> {
        match fstatfs(self.open_dir(path).ok()?).ok()?.filesystem_type() {
            CGROUP_SUPER_MAGIC => Some(Version::V1),
            CGROUP2_SUPER_MAGIC => Some(Version::V2),
            _ => None,
        }
    }

    /// Opens the directory `path` as a place to name files from (`O_PATH`).
    pub fn open_dir(&self, path: &Path) -> Result<Dir> {
        let (place, inner) = self.walk(path);
        match openat(place, inner, PLACE, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path: path.to_owned() }),
            Err(errno) => Err(Error::kernel(format!("open({})", path.display()), errno)),
        }
    }

    /// Makes the directory `path`; says whether it was missing.
    pub fn make_dir(&self, path: &Path) -> Result<bool> {
        let (place, inner) = self.walk(path);
        match mkdirat(place, inner, Mode::from_bits_truncate(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(Error::kernel(format!("mkdir({})", path.display()), errno)),
        }
    }

    /// Removes the directory `path`, which may be gone already.
    pub fn remove_dir(&self, path: &Path) -> Result<()> {
        let (place, inner) = self.walk(path);
        match retrying(|| unistd::unlinkat(place, inner, unistd::UnlinkatFlags::RemoveDir)) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            // The kernel checks for a read-only mount before it looks for the directory.
            Err(Errno::EROFS) if !path.exists() => Ok(()),
            Err(errno) => Err(Error::kernel(format!("rmdir({})", path.display()), errno)),
        }
    }

    /// From where `path` is walked, and the rest of it. A hierarchy may be mounted anywhere else, too.
    fn walk<'a>(&'a self, path: &'a Path) -> (BorrowedFd<'a>, &'a Path) {
        match (&self.0, path.strip_prefix(Top::PATH)) {
            (Some(top), Ok(inner)) if inner.as_os_str().is_empty() => (top.as_fd(), Path::new(".")),
            (Some(top), Ok(inner)) => (top.as_fd(), inner),
            _ => (AT_FDCWD, path),
        }
    }
}

const PLACE: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// The directory of one cgroup in one hierarchy.
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens the directory as a place to name files from, for a command that opens no other.
    pub fn open(path: &Path) -> Result<Dir> {
        Top(None).open_dir(path)
    }

    /// Makes the directory; says whether it was missing.
    pub fn make(path: &Path) -> Result<bool> {
        Top(None).make_dir(path)
    }

    /// Removes the directory, which may be gone already.
    pub fn remove(path: &Path) -> Result<()> {
        Top(None).remove_dir(path)
    }

    /// Opens the directory above.
    pub fn parent(&self) -> Result<Dir> {
        let path = self.path.parent().unwrap_or(Path::new("/")).to_owned();
        match openat(&self.fd, "..", PLACE, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path }),
            Err(errno) => Err(Error::kernel(format!("open({})", path.display()), errno)),
        }
    }

    /// Opens a directory in it.
    pub fn child(&self, name: &OsStr) -> Result<Dir> {
        let path = self.path.join(name);
        match openat(&self.fd, name, PLACE, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path }),
            Err(errno) => Err(Error::kernel(format!("open({})", path.display()), errno)),
        }
    }

    /// The names of the directories in it.
    pub fn children(&self) -> Result<Vec<OsString>> {
        if !self.has_children()? {
            return Ok(Vec::new());
        }
        let failed = |errno| Error::kernel(format!("readdir({})", self.path.display()), errno);
        let list = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut list = nix::dir::Dir::openat(&self.fd, ".", list, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in list.iter() {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if entry.file_type() == Some(Type::Directory) && name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Removes a directory in it, which may be gone already.
    pub fn remove_child(&self, name: &OsStr) -> Result<()> {
        match retrying(|| unistd::unlinkat(&self.fd, name, unistd::UnlinkatFlags::RemoveDir)) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Error::kernel(format!("rmdir({})", self.path.join(name).display()), errno)),
        }
    }

    /// A second handle on the directory.
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

    /// Makes a user the owner of the directory, and of those of `files` that are in it. The group stays.
    pub fn give<'a>(&self, uid: u32, files: impl Iterator<Item = &'a str>) -> Result<()> {
        let owner = Some(Uid::from_raw(uid));
        let change = |file: &str, flag: AtFlags| {
            fchownat(&self.fd, file, owner, None, flag)
                .map_err(|errno| Error::kernel(format!("fchownat({file}, {uid})"), errno))
        };
        change("", AtFlags::AT_EMPTY_PATH)?;
        for file in files {
            match change(file, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Err(err) if err.is(Errno::ENOENT) => {}
                changed => changed?,
            }
        }
        Ok(())
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
        // kernfs counts subdirectories in a directory's links, on top of the two links of any directory.
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

/// Whether a call failed because the cgroup is gone: its path with ENOENT, a file that is still open with ENODEV.
pub fn is_gone(err: &Error) -> bool {
    err.is(Errno::ENOENT) || err.is(Errno::ENODEV)
}

/// Waits until the kernel says that a file (`cgroup.events`) has changed since it was last read, or until `deadline`;
/// says whether it has changed.
pub fn wait_for_change(file: BorrowedFd<'_>, deadline: Deadline) -> Result<bool> {
    Ok(!poll::wait(&[(file, PollFlags::POLLPRI)], deadline)?[0].is_empty())
}

/// The whole text of an open file, from its start.
pub fn read_from_start(file: BorrowedFd<'_>) -> Result<String> {
    unistd::lseek(file, 0, unistd::Whence::SeekSet).and_then(|_| read_all(file)).named(|| "read".to_owned())
}

/// A counter (eventfd) that the kernel adds to when a v1 cgroup is out of memory. poll(2) can wait for it.
pub struct OomCounter {
    event: EventFd,
    /// The kernel forgets the registration when this file is closed.
    _control: OwnedFd,
}

impl OomCounter {
    /// Registers a counter with the memory controller of v1.
    ///
    /// Source: Documentation/admin-guide/cgroup-v1/memory.rst, section 10.
    pub fn register(dir: &Dir) -> Result<OomCounter> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .named(|| "eventfd(0, CLOEXEC|NONBLOCK)".to_owned())?;
        let control = dir.open_file("memory.oom_control", OFlag::O_RDONLY)?;
        dir.write("cgroup.event_control", &format!("{} {}", event.as_raw_fd(), control.as_raw_fd()))?;
        Ok(OomCounter { event, _control: control })
    }

    /// Sets the counter to 0; says whether the kernel had added to it. The kernel adds, too, when the cgroup is
    /// removed.
    pub fn take(&self) -> Result<bool> {
        match retrying(|| self.event.read()) {
            Err(Errno::EAGAIN) => Ok(false),
            counted => counted.map(|_| true).named(|| "read(eventfd)".to_owned()),
        }
    }
}

impl AsFd for OomCounter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// A queue (inotify) that is readable once one of some files has been modified.
pub struct FileWatch(Inotify);

impl FileWatch {
    /// Watches `files` of `dir`.
    ///
    /// Source: inotify(7).
    pub fn of(dir: &Dir, files: &[&str]) -> Result<FileWatch> {
        let queue = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .named(|| "inotify_init1(CLOEXEC|NONBLOCK)".to_owned())?;
        for file in files {
            let path = dir.path.join(file);
            queue
                .add_watch(&path, AddWatchFlags::IN_MODIFY)
                .named(|| format!("inotify_add_watch({}, IN_MODIFY)", path.display()))?;
        }
        Ok(FileWatch(queue))
    }

    /// Empties the queue.
    pub fn take(&self) -> Result<()> {
        loop {
            match retrying(|| self.0.read_events()) {
                Err(Errno::EAGAIN) => return Ok(()),
                events => drop(events.named(|| "read(inotify)".to_owned())?),
            }
        }
    }
}

impl AsFd for FileWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
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
            result => return result,
        }
    }
}
