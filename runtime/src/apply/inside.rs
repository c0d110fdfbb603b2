//! Paths inside the container: they become descriptors only by resolution under the rootfs, never by joining strings.
//!
//! Whatever an image or a process in a shared volume does with symlinks and renames meanwhile, what is opened or made
//! lies below the root: the kernel resolves every step with `RESOLVE_IN_ROOT`.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::FileStat;

use crate::error::{Context, Errno, Error, Kind, Result};
use crate::sys::file;

/// As many symlinks as the kernel follows in one path.
const LINKS_MAX: usize = 40;
/// A mountpoint gets the mode that runc gives it. What is mounted on it has a mode of its own.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// The root of the container.
pub struct Root {
    directory: OwnedFd,
    /// Roots of mounts that the runtime makes nothing in: see [`Root::distrust`].
    distrusted: Vec<FileStat>,
}

/// A directory to mount something on.
pub struct Mountpoint {
    /// The directory.
    pub directory: OwnedFd,
    /// A link stands in the path: the image decides which directory this is.
    pub by_link: bool,
}

impl Root {
    /// Takes the directory that is or will be `/`.
    pub fn new(directory: OwnedFd) -> Root {
        Root { directory, distrusted: Vec::new() }
    }

    /// Whether this is the directory of the root itself.
    pub fn is(&self, stat: &FileStat) -> Result<bool> {
        Ok(file::same_file(&file::stat_of(self)?, stat))
    }

    /// Opens a path, following links within the root.
    pub fn open(&self, path: &Path, flags: OFlag) -> Result<OwnedFd> {
        file::open_in_root(self, path, flags)
    }

    /// Opens a path of which no component may be a symlink.
    pub fn open_without_links(&self, path: &Path, flags: OFlag) -> Result<OwnedFd> {
        file::open_in_root_without_links(self, path, flags)
    }

    /// Opens a directory as a mountpoint, making it and all above where they are missing.
    pub fn mountpoint(&self, path: &Path) -> Result<Mountpoint> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let found = match self.open_without_links(path, flags) {
            Err(err) if err.is(Errno::ELOOP) || err.is(Errno::ENOTDIR) => {
                self.open(path, flags).map(|directory| Mountpoint { directory, by_link: true })
            }
            result => result.map(|directory| Mountpoint { directory, by_link: false }),
        };
        match found {
            Err(err) if err.is(Errno::ENOENT) => self.make_missing(path),
            result => result,
        }
        .doing_with(|| format!("make the directory {}", path.display()))
    }

    /// Opens a directory, making it and all above where they are missing.
    pub fn make_directories(&self, path: &Path) -> Result<OwnedFd> {
        self.mountpoint(path).map(|mountpoint| mountpoint.directory)
    }

    /// Keeps the runtime from making anything in a mount of the host's files, whose root has this `stat`. A link of the
    /// image has chosen the place of the mount, which may be /dev (CVE-2026-41579).
    pub fn distrust(&mut self, stat: FileStat) {
        self.distrusted.push(stat);
    }

    /// Opens a directory that the runtime itself makes devices and links in. It is made where it is missing. No
    /// component of the path may be a link, and the directory lies on no [distrusted](Root::distrust) mount.
    pub fn workplace(&self, path: &Path) -> Result<OwnedFd> {
        match self.open_without_links(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Err(err) if err.is(Errno::ENOENT) => {
                let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Err(err) };
                let above = self.workplace(above)?;
                match file::make_directory_at(&above, name.as_ref(), DIRECTORY_MODE) {
                    Err(err) if !err.is(Errno::EEXIST) => Err(err),
                    _ => file::open_at(&above, name.as_ref(), OFlag::O_PATH | OFlag::O_DIRECTORY),
                }
            }
            result => {
                let directory = result?;
                self.check_trusted(&directory, path)?;
                Ok(directory)
            }
        }
    }

    /// Walks from a directory up to the root. By descriptor: between two walks by name, somebody who shares a volume
    /// may exchange directories.
    fn check_trusted(&self, directory: &OwnedFd, path: &Path) -> Result<()> {
        if self.distrusted.is_empty() {
            return Ok(());
        }
        let mut stat = file::stat_of(directory)?;
        let mut above = file::open_at(directory, Path::new(".."), OFlag::O_PATH)?;
        while !self.is(&stat)? {
            let next = file::stat_of(&above)?;
            let is_outside = file::same_file(&stat, &next);
            if is_outside || self.distrusted.iter().any(|distrusted| file::same_file(distrusted, &stat)) {
                return Err(Error::new(
                    Kind::Denied,
                    format!("a link of the image has led a mount to {} or above", path.display()),
                ));
            }
            stat = next;
            above = file::open_at(&above, Path::new(".."), OFlag::O_PATH)?;
        }
        Ok(())
    }

    /// Opens a file as a mountpoint, making it and all directories above where they are missing.
    pub fn make_file(&self, path: &Path) -> Result<OwnedFd> {
        match self.open(path, OFlag::O_PATH) {
            Err(err) if err.is(Errno::ENOENT) => {}
            result => return result,
        }
        let mut path = path.to_path_buf();
        for _ in 0..LINKS_MAX {
            let (parent, name) = self.make_parent(&path)?;
            match file::create_at(&parent, name.as_ref(), OFlag::O_RDONLY, FILE_MODE) {
                Ok(_) => return self.open(&path, OFlag::O_PATH),
                Err(err) if err.is(Errno::EEXIST) => {}
                Err(err) => return Err(err.context(format!("make the file {}", path.display()))),
            }
            // The path is a link that leads nowhere yet, so the file belongs where the link points to.
            match file::read_link_at(&parent, name.as_ref()) {
                Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
                Err(_) => return self.open(&path, OFlag::O_PATH),
            }
        }
        Err(Error::kernel(format!("make the file {}", path.display()), Errno::ELOOP))
    }

    /// Opens the directory that a path lies in, making it where it is missing, and gives the last name beside it.
    pub fn make_parent(&self, path: &Path) -> Result<(OwnedFd, OsString)> {
        let name =
            path.file_name().ok_or_else(|| Error::invalid(format!("{} names no file", path.display())))?;
        Ok((self.make_directories(path.parent().unwrap_or(Path::new("/")))?, name.to_owned()))
    }

    fn make_missing(&self, path: &Path) -> Result<Mountpoint> {
        let mut left: VecDeque<OsString> = VecDeque::new();
        let mut done = PathBuf::from("/");
        prepend(&mut left, &mut done, path);
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == OsStr::new("..") {
                done.pop();
                continue;
            }
            let directory = self.open(&done, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
            match file::stat_at(&directory, name.as_ref()) {
                Ok(stat) if file::is_symlink(&stat) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Error::kernel(format!("follow {}", path.display()), Errno::ELOOP));
                    }
                    let target = file::read_link_at(&directory, name.as_ref())?;
                    prepend(&mut left, &mut done, &target);
                    continue;
                }
                Ok(_) => {}
                Err(err) if err.is(Errno::ENOENT) => {
                    match file::make_directory_at(&directory, name.as_ref(), DIRECTORY_MODE) {
                        Err(err) if !err.is(Errno::EEXIST) => return Err(err),
                        _ => {}
                    }
                }
                Err(err) => return Err(err),
            }
            done.push(name);
        }
        let directory = self.open_without_links(&done, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        Ok(Mountpoint { directory, by_link: links > 0 })
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Puts the components of `path` before those that are left. An absolute path starts from the root again.
fn prepend(left: &mut VecDeque<OsString>, done: &mut PathBuf, path: &Path) {
    if path.is_absolute() {
        *done = PathBuf::from("/");
    }
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => left.push_front(name.to_owned()),
            Component::ParentDir => left.push_front("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> (Tree, Root) {
            let path = std::env::temp_dir().join(format!("corten-inside-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("root")).unwrap();
            let root = file::open_following_links(&path.join("root"), OFlag::O_PATH).unwrap();
            (Tree(path), Root::new(root))
        }

        fn has(&self, path: &str) -> bool {
            self.0.join(path).exists()
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn directories_are_made_below_the_root_wherever_links_point() {
        let (tree, root) = Tree::new("links");
        symlink("../../../outside", tree.0.join("root/up")).unwrap();
        symlink("/absolute/target", tree.0.join("root/abs")).unwrap();
        root.make_directories(Path::new("/up/a")).unwrap();
        root.make_directories(Path::new("/abs/b")).unwrap();
        assert!(tree.has("root/outside/a") && tree.has("root/absolute/target/b"));
        assert!(!tree.has("outside") && !Path::new("/absolute").exists());
    }

    #[test]
    fn a_file_is_made_where_a_dangling_link_points_within_the_root() {
        let (tree, root) = Tree::new("file");
        std::fs::create_dir(tree.0.join("root/etc")).unwrap();
        symlink("/run/resolv.conf", tree.0.join("root/etc/resolv.conf")).unwrap();
        root.make_file(Path::new("/etc/resolv.conf")).unwrap();
        assert!(tree.has("root/run/resolv.conf"));
    }

    #[test]
    fn a_ring_of_links_ends() {
        let (tree, root) = Tree::new("ring");
        symlink("b", tree.0.join("root/a")).unwrap();
        symlink("a", tree.0.join("root/b")).unwrap();
        assert!(root.make_directories(Path::new("/a/x")).unwrap_err().is(Errno::ELOOP));
        assert!(root.make_file(Path::new("/a")).unwrap_err().is(Errno::ELOOP));
    }
}
