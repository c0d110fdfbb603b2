//! A tree as a source of entries: each directory is entered by its descriptor, and no link is followed.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, repeat};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::entry::{About, Kind, Sink};
use crate::error::{Context, Error, Result};
use crate::input;

/// How deep directories may be: each level holds a descriptor.
const DEPTH_MAX: usize = 900;

/// A walk over a tree.
pub struct Walk<'a, S> {
    sink: &'a mut S,
    /// Where files with several names were seen first, by device and inode.
    seen: HashMap<(u64, u64), PathBuf>,
    /// The device of what the runtime has mounted for the container, and no image or volume has.
    left_out: Option<u64>,
    /// Bytes of files so far.
    pub bytes: u64,
}

/// Where a walk is.
#[derive(Clone, Copy)]
struct At {
    depth: usize,
    /// The device of the directory above; none at the beginning.
    device: Option<u64>,
}

impl<'a, S: Sink> Walk<'a, S> {
    pub fn to(sink: &'a mut S) -> Walk<'a, S> {
        Walk { sink, seen: HashMap::new(), left_out: None, bytes: 0 }
    }

    /// The same, where directories of a device are without what is in them, unless the walk begins there.
    pub fn without(self, left_out: Option<u64>) -> Walk<'a, S> {
        Walk { left_out, ..self }
    }

    /// Hands on what has that name in the directory, with all that is below it, as `path`.
    pub fn over(&mut self, dir: BorrowedFd, name: &OsStr, path: &Path) -> Result<()> {
        self.entry(dir, name, path, At { depth: 0, device: None })?;
        self.sink.finish()
    }

    fn entry(&mut self, dir: BorrowedFd, name: &OsStr, path: &Path, at: At) -> Result<()> {
        let stat = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).at(path.display())?;
        match kind_of(&stat) {
            SFlag::S_IFDIR => self.directory(dir, name, path, at),
            SFlag::S_IFLNK => {
                let to = PathBuf::from(readlinkat(dir, name).at(path.display())?);
                self.sink.take(path, &about(&stat), Kind::Symlink(to))
            }
            SFlag::S_IFREG => self.file(dir, name, path, at),
            // Nobody who is in the container could use a copy.
            SFlag::S_IFSOCK => Ok(()),
            kind => self.sink.take(path, &about(&stat), Kind::Node(kind.bits(), stat.st_rdev)),
        }
    }

    fn directory(&mut self, dir: BorrowedFd, name: &OsStr, path: &Path, at: At) -> Result<()> {
        if at.depth == DEPTH_MAX {
            return Err(Error::new(format!("{}: more than {DEPTH_MAX} directories deep", path.display())));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(dir, name, flags, Mode::empty()).at(path.display())?;
        let stat = fstat(&opened)?;
        let is_mounted = at.device != Some(stat.st_dev);
        let is_kernels = is_mounted && is_kernels(opened.as_fd()).at(path.display())?;
        if is_kernels && at.depth == 0 {
            return Err(Error::new("what the kernel shows in that directory can't be copied"));
        }
        self.sink.take(path, &about(&stat), Kind::Directory)?;
        if is_kernels || is_mounted && at.depth > 0 && self.left_out == Some(stat.st_dev) {
            return Ok(());
        }
        let below = At { depth: at.depth + 1, device: Some(stat.st_dev) };
        for name in names(opened.as_fd()).at(path.display())? {
            let path = path.join(&name);
            match self.entry(opened.as_fd(), &name, &path, below) {
                Ok(()) => {}
                // It has been removed meanwhile.
                Err(err) if is_gone(opened.as_fd(), &name) => drop(err),
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: BorrowedFd, name: &OsStr, path: &Path, at: At) -> Result<()> {
        // What is another thing by now, a fifo say, is not waited for.
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = File::from(openat(dir, name, flags, Mode::empty()).at(path.display())?);
        let stat = fstat(&file)?;
        if kind_of(&stat) != SFlag::S_IFREG {
            return Err(Error::new(format!("{}: it has just become another thing", path.display())));
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.seen.get(&(stat.st_dev, stat.st_ino)) {
                return self.sink.take(path, &about(&stat), Kind::Link(first.clone()));
            }
            self.seen.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        if at.device != Some(stat.st_dev) && is_kernels(file.as_fd()).at(path.display())? {
            // What the kernel makes up has any size, which it doesn't tell.
            let content = input::bounded(file).at(path.display())?;
            let size = content.len() as u64;
            self.bytes += size;
            return self.sink.take(path, &about(&stat), Kind::File(&mut content.as_slice(), size));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        // A file that becomes shorter meanwhile ends with zeros, and one that grows is cut.
        let mut content = file.chain(repeat(0)).take(size);
        self.bytes += size;
        self.sink.take(path, &about(&stat), Kind::File(&mut content, size))
    }
}

fn is_gone(dir: BorrowedFd, name: &OsStr) -> bool {
    fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) == Err(Errno::ENOENT)
}

/// The names in a directory, in their order.
fn names(dir: BorrowedFd) -> Result<Vec<OsString>> {
    let path = PathBuf::from(format!("/proc/thread-self/fd/{}", dir.as_raw_fd()));
    let listed: std::io::Result<Vec<OsString>> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let mut listed = listed?;
    listed.sort_unstable();
    Ok(listed)
}

/// File systems whose files the kernel makes up: proc, sysfs, cgroup, cgroup2, devpts, debugfs, tracefs, securityfs,
/// mqueue, bpf.
///
/// Source: `linux/magic.h`.
const KERNELS: [i64; 10] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x1980_0202,
    0xcafe_4a11,
];

fn is_kernels(file: BorrowedFd) -> Result<bool> {
    let about = rustix::fs::fstatfs(file).map_err(std::io::Error::from)?;
    Ok(KERNELS.contains(&about.f_type))
}

/// The type among the bits of the mode.
pub fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn about(stat: &FileStat) -> About {
    About {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        changed: (stat.st_mtime, stat.st_mtime_nsec),
    }
}
