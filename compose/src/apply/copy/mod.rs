//! `cp`: between a container's tree and the host, by the rules of Docker's.
//!
//! Both sides are trees whose paths are resolved with the tree as the root: a container's links lead nowhere else.

mod archive;
mod entry;
mod walk;
mod write;

use std::ffi::{OsStr, OsString};
use std::io::{stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstatat};

use super::mounted::Tree;
use crate::error::{Error, Result};
use walk::{Walk, kind_of};
use write::Writer;

pub use write::Owners;

/// How many links in a row are followed, as the kernel has it.
const LINKS_MAX: usize = 40;

/// A copy as it was asked for. Paths of the container are its own; `-` is a tar.
#[derive(Clone, Debug)]
pub enum Copying {
    Out { from: String, to: Host },
    In { from: Host, to: String },
}

/// The host's side of a copy.
#[derive(Clone, Debug)]
pub enum Host {
    Path(String),
    /// Standard input or output.
    Tar,
}

/// How it is copied.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Whether a link that is the source is followed.
    pub follow: bool,
    pub owners: Owners,
}

/// Copies, and tells the bytes of files. `name` is what the user calls the container.
pub fn copy(container: &Tree, name: &str, copying: &Copying, how: How) -> Result<u64> {
    let inside = Side { tree: container, container: Some(name) };
    let host = Tree::at(Path::new("/"))?;
    let host = Side { tree: &host, container: None };
    let left_out = inside.devices()?;
    match copying {
        Copying::Out { from, to: Host::Tar } => {
            let source = inside.source(&Typed::of(from, Path::new("/")), how)?;
            source.hand_to(&mut archive::Tar::to(stdout().lock()), Some(source.name.clone()), left_out)
        }
        Copying::Out { from, to: Host::Path(to) } => {
            let source = inside.source(&Typed::of(from, Path::new("/")), how)?;
            let target = host.target(&Typed::of(to, &std::env::current_dir()?), &source)?;
            let dir = host.directory(&target.base)?;
            source.hand_to(&mut Writer::on_host(dir, how.owners), target.name, left_out)
        }
        Copying::In { from: Host::Path(from), to } => {
            let source = host.source(&Typed::of(from, &std::env::current_dir()?), how)?;
            let target = inside.target(&Typed::of(to, Path::new("/")), &source)?;
            let root = inside.directory(Path::new("/"))?;
            source.hand_to(&mut Writer::in_container(root, &target.base, how.owners), target.name, None)
        }
        Copying::In { from: Host::Tar, to } => {
            let to = Typed::of(to, Path::new("/"));
            let base = inside.resolved(&to.path)?;
            if !matches!(inside.look(&base), Ok(Some(stat)) if kind_of(&stat) == SFlag::S_IFDIR) {
                return Err(Error::new(format!("destination \"{name}:{}\" must be a directory", to.text)));
            }
            let mut writer = Writer::in_container(inside.directory(Path::new("/"))?, &base, how.owners);
            archive::read(stdin().lock(), &mut writer)
        }
    }
}

/// A path as it was typed.
#[derive(Debug)]
struct Typed<'a> {
    text: &'a str,
    /// Absolute and clean.
    path: PathBuf,
    /// Whether it ends with a slash: only a directory is meant.
    is_dir: bool,
    /// Whether it ends with `/.`: what is in the directory is meant.
    is_content: bool,
}

impl<'a> Typed<'a> {
    /// A path that begins at `here`, unless it is absolute.
    fn of(text: &'a str, here: &Path) -> Typed<'a> {
        let mut path = PathBuf::from("/");
        for part in here.join(text).components() {
            match part {
                Component::Normal(name) => path.push(name),
                Component::ParentDir => drop(path.pop()),
                _ => {}
            }
        }
        let is_content = text.is_empty() || text == "." || text.ends_with("/.");
        Typed { text, path, is_dir: is_content || text.ends_with('/'), is_content }
    }
}

/// A tree, and how its paths are spoken of.
struct Side<'a> {
    tree: &'a Tree,
    /// The container whose tree it is; none: the host's.
    container: Option<&'a str>,
}

/// What is copied.
struct Source {
    /// The directory that it is in.
    dir: OwnedFd,
    /// Its name there. The root's is `.`.
    entry: OsString,
    /// Its name at the destination.
    name: OsString,
    is_dir: bool,
    is_content: bool,
}

/// Where it goes.
#[derive(Debug, PartialEq)]
struct Target {
    /// A directory that is there.
    base: PathBuf,
    /// The name in it; none: what is in the source goes into the directory itself.
    name: Option<OsString>,
}

impl Source {
    /// Hands it on, by that name, without what is in directories of the device `left_out`.
    fn hand_to(
        &self,
        sink: &mut impl entry::Sink,
        name: Option<OsString>,
        left_out: Option<u64>,
    ) -> Result<u64> {
        let mut walk = Walk::to(sink).without(left_out);
        let path = name.map(PathBuf::from).unwrap_or_default();
        walk.over(self.dir.as_fd(), &self.entry, &path)?;
        Ok(walk.bytes)
    }
}

impl Side<'_> {
    fn source(&self, typed: &Typed, how: How) -> Result<Source> {
        let follows = how.follow || typed.is_dir;
        let path = if follows { self.resolved(&typed.path)? } else { typed.path.clone() };
        let stat = self.look(&path)?.ok_or_else(|| self.not_found(typed))?;
        let is_dir = kind_of(&stat) == SFlag::S_IFDIR;
        if typed.is_dir && !is_dir {
            return Err(Error::new(format!("{}: not a directory", typed.text)));
        }
        let (parent, entry) = split(&path);
        let name = typed.path.file_name().map_or_else(OsString::new, OsStr::to_owned);
        // What is in the root has no other name.
        let is_content = typed.is_content || name.is_empty();
        Ok(Source { dir: self.directory(parent)?, entry: entry.to_owned(), name, is_dir, is_content })
    }

    fn target(&self, typed: &Typed, source: &Source) -> Result<Target> {
        let path = self.resolved(&typed.path)?;
        let (parent, name) = split(&path);
        let stat = self.look(&path)?;
        let is_dir = stat.as_ref().map(|stat| kind_of(stat) == SFlag::S_IFDIR);
        match is_dir {
            Some(true) => {
                let name = Some(source.name.clone()).filter(|_| !(source.is_dir && source.is_content));
                return Ok(Target { base: path, name });
            }
            Some(false) if source.is_dir => return Err(Error::new("cannot copy directory")),
            Some(false) if typed.is_dir => return Err(Error::new("not a directory")),
            None if typed.is_dir && !source.is_dir => return Err(Error::new("no such directory")),
            _ => {}
        }
        if let Some(kind) = stat.as_ref().map(kind_of).filter(|kind| *kind != SFlag::S_IFREG) {
            return Err(self.not_a_place(typed, kind));
        }
        match self.look(parent)?.map(|stat| kind_of(&stat)) {
            Some(SFlag::S_IFDIR) => Ok(Target { base: parent.to_owned(), name: Some(name.to_owned()) }),
            _ => Err(self.no_parent(typed, parent)),
        }
    }

    /// The device of the memory that the runtime has mounted at /dev: its nodes are no part of the container's files.
    fn devices(&self) -> Result<Option<u64>> {
        let device = |path: &str| self.look(Path::new(path)).map(|stat| stat.map(|stat| stat.st_dev));
        Ok(device("/dev")?.filter(|dev| device("/").is_ok_and(|root| root != Some(*dev))))
    }

    /// The path with a link at its end followed: what is there is no link, or nothing is there.
    fn resolved(&self, path: &Path) -> Result<PathBuf> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            let is_link = self.look(&path)?.is_some_and(|stat| kind_of(&stat) == SFlag::S_IFLNK);
            if !is_link {
                return Ok(path);
            }
            let (parent, name) = split(&path);
            let link = PathBuf::from(readlinkat(self.directory(parent)?, name)?);
            path = parent.join(link);
        }
        Err(Error::new(format!("{}: too many links", path.display())))
    }

    /// What is at the path; a link at its end is not followed.
    fn look(&self, path: &Path) -> Result<Option<FileStat>> {
        let (parent, name) = split(path);
        let found = self
            .tree
            .open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY)
            .and_then(|dir| fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW));
        match found {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(Error::new(format!("{}: {}", path.display(), std::io::Error::from(errno)))),
        }
    }

    fn directory(&self, path: &Path) -> Result<OwnedFd> {
        let opened = self.tree.open(path, OFlag::O_PATH | OFlag::O_DIRECTORY);
        opened.map_err(|errno| Error::new(format!("{}: {}", path.display(), std::io::Error::from(errno))))
    }

    fn not_found(&self, typed: &Typed) -> Error {
        Error::new(match self.container {
            Some(name) => format!("Could not find the file {} in container {name}", typed.text),
            None => format!("lstat {}: no such file or directory", typed.path.display()),
        })
    }

    fn no_parent(&self, typed: &Typed, parent: &Path) -> Error {
        let parent = parent.display();
        Error::new(match self.container {
            Some(name) => format!("Could not find the file {parent} in container {name}"),
            None => format!("invalid output path: directory {:?} does not exist", self.shown(typed)),
        })
    }

    fn shown(&self, typed: &Typed) -> String {
        split(&typed.path).0.display().to_string()
    }

    fn not_a_place(&self, typed: &Typed, kind: SFlag) -> Error {
        let kind = match kind {
            SFlag::S_IFIFO => "got a named pipe",
            SFlag::S_IFSOCK => "got a socket",
            _ => "got a device",
        };
        let place = match self.container {
            Some(name) => format!("{name}:{}", typed.text),
            None => typed.text.to_owned(),
        };
        Error::new(format!("destination \"{place}\" must be a directory or a regular file: {kind}"))
    }
}

/// The directory that a path is in, and the name there. The root is in itself.
fn split(path: &Path) -> (&Path, &OsStr) {
    match (path.parent(), path.components().next_back()) {
        (Some(parent), Some(last @ (Component::Normal(_) | Component::ParentDir))) => {
            (parent, last.as_os_str())
        }
        _ => (path, OsStr::new(".")),
    }
}

#[cfg(test)]
mod tests;
