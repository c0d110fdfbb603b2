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

/// How deep directories may be: each level holds a descriptor.
const DEPTH_MAX: usize = 900;

/// A walk over a tree.
pub struct Walk<'a, S> {
    sink: &'a mut S,
    /// Where files with several names were seen first, by device and inode.
    seen: HashMap<(u64, u64), PathBuf>,
    /// Bytes of files so far.
    pub bytes: u64,
}

impl<'a, S: Sink> Walk<'a, S> {
    pub fn to(sink: &'a mut S) -> Walk<'a, S> {
        Walk { sink, seen: HashMap::new(), bytes: 0 }
    }

    /// Hands on what has that name in the directory, with all that is below it, as `path`.
    pub fn over(&mut self, dir: BorrowedFd, name: &OsStr, path: &Path) -> Result<()> {
        self.entry(dir, name, path, 0)?;
        self.sink.finish()
    }

    fn entry(&mut self, dir: BorrowedFd, name: &OsStr, path: &Path, depth: usize) -> Result<()> {
        let stat = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).at(path.display())?;
        match kind_of(&stat) {
            SFlag::S_IFDIR => self.directory(dir, name, path, depth),
            SFlag::S_IFLNK => {
                let to = PathBuf::from(readlinkat(dir, name).at(path.display())?);
                self.sink.take(path, &about(&stat), Kind::Symlink(to))
            }
            SFlag::S_IFREG => self.file(dir, name, path),
            // Nobody who is in the container could use a copy.
            SFlag::S_IFSOCK => Ok(()),
            kind => self.sink.take(path, &about(&stat), Kind::Node(kind.bits(), stat.st_rdev)),
        }
    }

    fn directory(&mut self, dir: BorrowedFd, name: &OsStr, path: &Path, depth: usize) -> Result<()> {
        if depth == DEPTH_MAX {
            return Err(Error::new(format!("{}: more than {DEPTH_MAX} directories deep", path.display())));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(dir, name, flags, Mode::empty()).at(path.display())?;
        self.sink.take(path, &about(&fstat(&opened)?), Kind::Directory)?;
        for name in names(opened.as_fd()).at(path.display())? {
            let path = path.join(&name);
            match self.entry(opened.as_fd(), &name, &path, depth + 1) {
                Ok(()) => {}
                // It has been removed meanwhile.
                Err(err) if is_gone(opened.as_fd(), &name) => drop(err),
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: BorrowedFd, name: &OsStr, path: &Path) -> Result<()> {
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
