//! A tree as a sink of entries.
//!
//! Whoever runs in the container may change the tree meanwhile. So each entry's directory is opened anew with the tree
//! as the root, and in that directory no call follows a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{
    Mode, SFlag, UtimensatFlags, fchmod, fstatat, futimens, mkdirat, mknodat, umask, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, unlinkat};

use super::entry::{About, Kind, Sink};
use super::walk::kind_of;
use crate::error::{Context, Error, Result};

/// Whose the entries are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owners {
    /// As they were at the source.
    Kept,
    /// Whoever runs this program.
    Caller,
}

/// A directory that entries are written below.
pub struct Writer {
    root: OwnedFd,
    /// The directory, below the root.
    base: PathBuf,
    resolve: ResolveFlag,
    owners: Owners,
    /// Directories, whose times are set when nothing is written into them any more.
    dated: Vec<(PathBuf, About)>,
}

impl Writer {
    /// Below a directory of a container. Links there lead nowhere but within its tree.
    pub fn in_container(root: OwnedFd, base: &Path, owners: Owners) -> Writer {
        Writer::of(root, base.to_owned(), ResolveFlag::RESOLVE_IN_ROOT, owners)
    }

    /// Below a directory of the host. Links below it are not followed.
    pub fn on_host(dir: OwnedFd, owners: Owners) -> Writer {
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        Writer::of(dir, PathBuf::from("."), resolve, owners)
    }

    fn of(root: OwnedFd, base: PathBuf, resolve: ResolveFlag, owners: Owners) -> Writer {
        Writer { root, base, resolve, owners, dated: Vec::new() }
    }

    /// The directory that an entry is in, and the entry's name.
    fn place<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or_else(|| Error::new(format!("{}: not a name", path.display())))?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.directory(parent)?, name))
    }

    fn directory(&self, path: &Path) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat2(&self.root, &self.base.join(path), OpenHow::new().flags(flags).resolve(self.resolve))
    }

    /// The directory that an entry is in. Archives may leave directories out.
    fn made_place<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        let mut done = PathBuf::new();
        for name in path.parent().into_iter().flat_map(Path::components) {
            let parent = self.directory(&done)?;
            match mkdirat(&parent, name.as_os_str(), Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EEXIST) => done.push(name),
                Err(errno) => return Err(errno).at(done.join(name).display()),
            }
        }
        self.place(path)
    }

    fn own(&self, about: &About) -> Option<(Uid, Gid)> {
        match self.owners {
            Owners::Kept => Some((Uid::from_raw(about.uid), Gid::from_raw(about.gid))),
            Owners::Caller => None,
        }
    }

    /// Gives a file or directory that is open its owner, its permissions and its time.
    fn dress(&self, fd: impl AsFd, about: &About) -> Result<()> {
        if let Some((uid, gid)) = self.own(about) {
            fchown(&fd, Some(uid), Some(gid))?;
        }
        // After the owner, whose change takes the set-user-id bit away.
        fchmod(&fd, Mode::from_bits_truncate(about.mode))?;
        Ok(futimens(&fd, &KEPT, &time(about))?)
    }

    /// The same for what can't be opened.
    fn dress_name(&self, dir: &OwnedFd, name: &OsStr, about: &About) -> Result<()> {
        if let Some((uid, gid)) = self.own(about) {
            fchownat(dir, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        Ok(utimensat(dir, name, &KEPT, &time(about), UtimensatFlags::NoFollowSymlink)?)
    }
}

/// The time of the last access stays.
const KEPT: TimeSpec = TimeSpec::UTIME_OMIT;

fn time(about: &About) -> TimeSpec {
    TimeSpec::new(about.changed.0, about.changed.1)
}

impl Sink for Writer {
    fn take(&mut self, path: &Path, about: &About, kind: Kind) -> Result<()> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let (dir, name) = self.made_place(path)?;
        let is_dir = matches!(kind, Kind::Directory);
        let there = match fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(kind_of(&stat) == SFlag::S_IFDIR),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(errno).at(path.display()),
        };
        let conflict = |which: &str, with: &str| {
            Err(Error::new(format!("cannot overwrite {which} {:?} with {with}", path.display().to_string())))
        };
        match (there, is_dir) {
            (Some(true), false) => return conflict("directory", "non-directory"),
            (Some(false), true) => return conflict("non-directory", "directory"),
            _ => {}
        }
        match kind {
            Kind::Directory => {
                if there.is_none() {
                    mkdirat(&dir, name, Mode::S_IRWXU).at(path.display())?;
                }
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let opened = openat(&dir, name, flags, Mode::empty()).at(path.display())?;
                self.dress(&opened, about).at(path.display())?;
                self.dated.push((path.to_owned(), *about));
                Ok(())
            }
            Kind::File(content, _) => {
                let mut file = new_file(&dir, name).at(path.display())?;
                std::io::copy(content as &mut dyn Read, &mut file).at(path.display())?;
                self.dress(&file, about).at(path.display())
            }
            Kind::Symlink(to) => {
                unlink(&dir, name)?;
                symlinkat(&to, &dir, name).at(path.display())?;
                self.dress_name(&dir, name, about).at(path.display())
            }
            Kind::Link(first) => {
                let (from, first) = self.place(&first)?;
                unlink(&dir, name)?;
                linkat(&from, first, &dir, name, AtFlags::empty()).at(path.display())
            }
            Kind::Node(kind, number) => {
                unlink(&dir, name)?;
                node(&dir, name, (kind, number), about.mode).at(path.display())?;
                self.dress_name(&dir, name, about).at(path.display())
            }
        }
    }

    fn finish(&mut self) -> Result<()> {
        for (path, about) in std::mem::take(&mut self.dated).into_iter().rev() {
            let (dir, name) = self.place(&path)?;
            let dated = utimensat(&dir, name, &KEPT, &time(&about), UtimensatFlags::NoFollowSymlink);
            dated.at(path.display())?;
        }
        Ok(())
    }
}

/// A new file in the place of what was there. What is mounted there can't go, and gets the content itself.
fn new_file(dir: &OwnedFd, name: &OsStr) -> Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match unlink(dir, name) {
        Ok(()) => {
            let new = flags | OFlag::O_CREAT | OFlag::O_EXCL;
            Ok(openat(dir, name, new, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
        }
        Err(Errno::EBUSY) => {
            let there = flags | OFlag::O_TRUNC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
            Ok(openat(dir, name, there, Mode::empty())?.into())
        }
        Err(errno) => Err(errno.into()),
    }
}

fn unlink(dir: &OwnedFd, name: &OsStr) -> nix::Result<()> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        done => done,
    }
}

/// No call changes the permissions of a device without following a link, so that it is made with them.
fn node(dir: &OwnedFd, name: &OsStr, (kind, number): (u32, u64), mode: u32) -> nix::Result<()> {
    let before = umask(Mode::empty());
    let made = mknodat(dir, name, SFlag::from_bits_truncate(kind), Mode::from_bits_truncate(mode), number);
    umask(before);
    made
}
