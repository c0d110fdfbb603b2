//! An image's or a container's tree, for as long as a closure looks at it.
//!
//! The tree is mounted in a mount namespace that a thread of its own makes and that ends with the thread: a process
//! that is killed leaves no mount behind. Nothing of a tree is trusted: a path in it is resolved with the tree as
//! the root.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};

use crate::disk;
use crate::engine::types::Mount;
use crate::error::{Context, Error, Result};
use crate::subpath::Subpath;

/// A tree that is mounted, for this thread and its children alone.
pub struct Tree {
    root: OwnedFd,
}

/// What is at a path, as far as overlays tell things apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Directory,
    /// A layer's mark that the layers below have nothing here any more.
    Whiteout,
    Other,
}

/// Mounts a tree on the directory `at`, which is made and stays, and looks at it.
pub async fn look<T: Send + 'static>(
    mounts: Vec<Mount>,
    at: &Path,
    see: impl FnOnce(&Tree) -> Result<T> + Send + 'static,
) -> Result<T> {
    look_at_all(mounts, Vec::new(), at, see).await
}

/// A directory or a file of the host that is a part of a tree.
pub struct Part {
    pub source: PathBuf,
    /// Its place in the tree.
    pub target: String,
    pub read_only: bool,
    /// What the source is of a volume, if it isn't all of it: no link may lead out of the volume.
    pub subpath: Option<Subpath>,
}

/// The same with parts of the host in it, whose places are made.
pub async fn look_at_all<T: Send + 'static>(
    mounts: Vec<Mount>,
    parts: Vec<Part>,
    at: &Path,
    see: impl FnOnce(&Tree) -> Result<T> + Send + 'static,
) -> Result<T> {
    let at = at.to_owned();
    let (done, answer) = tokio::sync::oneshot::channel();
    // Not one of tokio's threads: they live on and would take the namespace along to other work.
    let thread = std::thread::Builder::new().name("tree".to_owned()).spawn(move || {
        let whole = mounted(&mounts, &at).and_then(|tree| {
            parts.iter().try_for_each(|part| tree.add(part).at(&part.target)).map(|()| tree)
        });
        let seen = whole.and_then(|tree| see(&tree));
        // Nobody waits any more: the command was cancelled.
        drop(done.send(seen));
    });
    thread.at("a thread")?;
    answer.await.map_err(|_| Error::new("looking at a container's tree: the thread ended"))?
}

fn mounted(mounts: &[Mount], at: &Path) -> Result<Tree> {
    disk::make_dir(at)?;
    unshare(CloneFlags::CLONE_NEWNS).at("a mount namespace")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).at("private mounts")?;
    mounts.iter().try_for_each(|layer| mount_layer(layer, at)).at(at.display())?;
    Tree::at(at)
}

fn mount_layer(layer: &Mount, at: &Path) -> Result<()> {
    let mut flags = MsFlags::empty();
    let mut data = Vec::new();
    for option in &layer.options {
        match option.as_str() {
            "ro" => flags |= MsFlags::MS_RDONLY,
            "rw" => {}
            "bind" => flags |= MsFlags::MS_BIND,
            "rbind" => flags |= MsFlags::MS_BIND | MsFlags::MS_REC,
            "nosuid" => flags |= MsFlags::MS_NOSUID,
            "nodev" => flags |= MsFlags::MS_NODEV,
            "noexec" => flags |= MsFlags::MS_NOEXEC,
            option => data.push(option.to_owned()),
        }
    }
    let data = shortened(data)?;
    mount(Some(layer.source.as_str()), at, Some(layer.kind.as_str()), flags, Some(data.as_str()))
        .at(format_args!("mount {}", layer.kind))
}

/// The kernel takes a page of options. The directories of many layers are named from their common parent, which this
/// thread goes to.
fn shortened(options: Vec<String>) -> Result<String> {
    const PAGE: usize = 4096;
    let whole = options.join(",");
    let Some(lower) = options.iter().find_map(|option| option.strip_prefix("lowerdir=")) else {
        return Ok(whole);
    };
    if whole.len() < PAGE {
        return Ok(whole);
    }
    let dirs: Vec<&Path> = lower.split(':').map(Path::new).collect();
    let is_common = |parent: &&Path| dirs.iter().all(|dir| dir.starts_with(parent));
    let Some(parent) = dirs[0].ancestors().skip(1).find(is_common) else { return Ok(whole) };
    nix::unistd::chdir(parent).at(parent.display())?;
    let relative = dirs.iter().filter_map(|dir| dir.strip_prefix(parent).ok()?.to_str());
    let relative = relative.collect::<Vec<_>>().join(":");
    let rest = options.iter().filter(|option| !option.starts_with("lowerdir="));
    let rest: Vec<&str> = rest.map(String::as_str).collect();
    Ok([&[format!("lowerdir={relative}").as_str()], rest.as_slice()].concat().join(","))
}

impl Tree {
    /// The tree below a directory.
    pub fn at(root: &Path) -> Result<Tree> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Tree { root: open(root, flags, Mode::empty()).at(root.display())? })
    }

    /// The tree that a process is in.
    pub fn of_process(pid: u32) -> Result<Tree> {
        Tree::at(Path::new(&format!("/proc/{pid}/root")))
    }

    /// Opens a path of the tree. A symbolic link in it leads nowhere but within the tree.
    pub fn open<P: NixPath + ?Sized>(&self, path: &P, flags: OFlag) -> nix::Result<OwnedFd> {
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        openat2(&self.root, path, how)
    }

    /// Reads a file. One that isn't there is empty.
    ///
    /// Errors: a file that is longer than `bytes_max`: no image may fill the memory of who reads it.
    pub fn read(&self, path: &str, bytes_max: u64) -> Result<String> {
        // A fifo would wait for ever, and a device would do what it does.
        let file = match self.open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(String::new()),
            Err(errno) => return Err(errno).at(path),
        };
        if !file.metadata().at(path)?.is_file() {
            return Err(Error::new(format!("{path}: not a file")));
        }
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes).at(path)?;
        if bytes.len() as u64 > bytes_max {
            return Err(Error::new(format!("{path}: longer than {bytes_max} bytes")));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Opens a path itself: nothing if a part of it isn't there, or is a symbolic link to somewhere else.
    fn itself(&self, path: &str, flags: OFlag) -> Result<Option<OwnedFd>> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
        match openat2(&self.root, if path.is_empty() { "." } else { path }, how) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno).at(path),
        }
    }

    /// What is at a path, if anything is.
    pub fn kind(&self, path: &str) -> Result<Option<Kind>> {
        let Some(file) = self.itself(path, OFlag::O_PATH)? else { return Ok(None) };
        let about = fstat(&file).at(path)?;
        Ok(Some(match SFlag::from_bits_truncate(about.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFCHR if about.st_rdev == 0 => Kind::Whiteout,
            _ => Kind::Other,
        }))
    }

    /// The names in a directory, in their order. Of a directory that isn't there: none.
    pub fn names(&self, path: &str) -> Result<Vec<String>> {
        let Some(dir) = self.itself(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)? else {
            return Ok(Vec::new());
        };
        let entries = std::fs::read_dir(format!("/proc/self/fd/{}", dir.as_raw_fd())).at(path)?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<std::io::Result<Vec<_>>>().at(path)?;
        names.sort();
        Ok(names)
    }

    /// Whether an overlay's directory hides what the layers below have in it.
    pub fn is_opaque(&self, path: &str) -> Result<bool> {
        let Some(dir) = self.itself(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)? else { return Ok(false) };
        let mut value = [0_u8; 2];
        let length = rustix::fs::fgetxattr(&dir, "trusted.overlay.opaque", &mut value[..]);
        Ok(length.is_ok_and(|length| value.get(..length) == Some(b"y")))
    }

    /// Whether a directory is as that of the other tree: of the same owner, rights and time.
    pub fn is_same(&self, other: &Tree, path: &str) -> Result<bool> {
        let about = |tree: &Tree| -> Result<_> {
            let file = tree.itself(path, OFlag::O_PATH)?;
            let about = file.map(|file| fstat(&file)).transpose().at(path)?;
            Ok(about.map(|it| (it.st_mode, it.st_uid, it.st_gid, it.st_mtime, it.st_mtime_nsec)))
        };
        Ok(about(self)? == about(other)?)
    }

    /// A directory of the tree, if it is there.
    pub fn directory(&self, path: &str) -> Result<Option<OwnedFd>> {
        match self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(errno).at(path),
        }
    }

    /// Mounts a part into the tree. What is not there on the host, or has no place in a tree that can't be written to,
    /// is left out.
    fn add(&self, part: &Part) -> Result<()> {
        let opened = part.subpath.as_ref().map(Subpath::open).transpose()?;
        let source = opened.as_ref().map_or_else(|| part.source.clone(), path_of);
        let is_dir = match std::fs::metadata(&source) {
            Ok(about) => about.is_dir(),
            Err(_) => return Ok(()),
        };
        if is_dir && self.make_dirs(&part.target).is_err() {
            return Ok(());
        }
        let Ok(place) = self.open(part.target.as_str(), OFlag::O_PATH) else { return Ok(()) };
        let none = None::<&str>;
        let bind = MsFlags::MS_BIND;
        mount(Some(&source), &path_of(&place), none, bind | MsFlags::MS_REC, none)?;
        if part.read_only {
            let place = self.open(part.target.as_str(), OFlag::O_PATH)?;
            mount(none, &path_of(&place), none, bind | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none)?;
        }
        Ok(())
    }

    /// Makes a directory, and those above it, where they aren't there.
    fn make_dirs(&self, path: &str) -> nix::Result<()> {
        let mut done = PathBuf::from("/");
        for name in Path::new(path).components() {
            let Component::Normal(name) = name else { continue };
            let parent = self.open(&done, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
            match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(nix::errno::Errno::EEXIST) => done.push(name),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

/// The path by which the kernel knows a descriptor of this thread.
fn path_of(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/thread-self/fd/{}", fd.as_raw_fd()))
}
