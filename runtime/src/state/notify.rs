//! The directory that a container sees as /run/notify, and the socket for sd_notify in it.
//!
//! The container may be able to write there, and so may hooks: no path that leads through the directory is trusted.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::{ContainerDir, ContainerId, StateRoot};
use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::notify::SOCKET_NAME;
use crate::sys::{file, socket};

const DIRECTORY: &str = "notify";
const SOCKET_UNFINISHED: &str = ".notify.sock.new";

impl StateRoot {
    /// The absolute path of the directory that [`ContainerDir::make_notify_directory`] will make.
    pub fn notify_directory(&self, id: &ContainerId) -> Result<PathBuf> {
        let path = self.path.join(id).join(DIRECTORY);
        std::path::absolute(&path)
            .map_err(|err| Error::io(format!("find the current directory for {}", path.display()), &err))
    }
}

impl ContainerDir {
    /// Makes the directory. Every user of the container may look into it, whatever the caller's umask is.
    pub fn make_notify_directory(&self) -> Result<()> {
        let make = || {
            file::make_directory_at(&self.dir, Path::new(DIRECTORY), 0o755)?;
            file::change_mode(self.open_notify_directory()?, 0o755)
        };
        make().doing_with(|| self.shown(DIRECTORY))
    }

    /// Makes the socket in the directory, where every process that can reach it may write to it. What has the socket's
    /// name already is replaced and never followed.
    ///
    /// Errors: WrongState if there is no such directory.
    pub fn bind_notify_socket(&self) -> Result<OwnedFd> {
        let dir = self.open_notify_directory().map_err(|err| match err.errno() {
            Some(Errno::ENOENT) => {
                Error::new(Kind::WrongState, "NOTIFY_SOCKET: the container was created without it")
            }
            _ => err,
        })?;
        let (unfinished, finished) = (Path::new(SOCKET_UNFINISHED), Path::new(SOCKET_NAME));
        // The socket gets its mode before it comes to where a name may be changed by others. The umask would give it
        // the mode at once, but belongs to the whole process.
        self.remove_file(unfinished.as_os_str())?;
        let bind = || {
            let socket = socket::bind_datagram_at(self.dir.as_fd(), SOCKET_UNFINISHED)?;
            file::change_mode_at_following_links(&self.dir, unfinished, 0o777)?;
            file::move_to(&self.dir, unfinished, &dir, finished)?;
            Ok(socket)
        };
        bind().doing_with(|| self.shown(DIRECTORY))
    }

    /// Removes the directory with all that is in it, if it is there.
    pub(super) fn remove_notify_directory(&self) -> Result<()> {
        let remove = || file::remove_directory_at(&self.dir, Path::new(DIRECTORY));
        let removed = match remove() {
            Err(err) if err.is(Errno::ENOENT) => Ok(()),
            Err(err) if err.is(Errno::ENOTEMPTY) => self
                .open_notify_directory()
                .and_then(|dir| file::empty_directory(&dir))
                .and_then(|()| remove()),
            result => result,
        };
        removed.doing_with(|| self.shown(DIRECTORY))
    }

    fn open_notify_directory(&self) -> Result<OwnedFd> {
        file::open_at(&self.dir, Path::new(DIRECTORY), OFlag::O_RDONLY | OFlag::O_DIRECTORY)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::testing::{TestRoot, id, record};
    use super::*;

    #[test]
    fn notify_socket_takes_the_place_of_a_link_and_follows_none() -> Result<()> {
        let root = TestRoot::new();
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        assert_eq!(dir.bind_notify_socket().expect_err("no directory").kind(), Kind::WrongState);
        dir.make_notify_directory()?;
        let (link, victim) = (dir.path.join("notify/notify.sock"), root.0.path.join("victim"));
        symlink(&victim, &link).expect("a link");
        let _socket = dir.bind_notify_socket()?;
        assert!(!victim.exists());
        let metadata = fs::symlink_metadata(&link).expect("the socket");
        assert_eq!(metadata.permissions().mode(), libc::S_IFSOCK | 0o777);
        dir.remove()
    }

    #[test]
    fn notify_directory_is_removed_whatever_is_in_it() -> Result<()> {
        let root = TestRoot::new();
        let kept = root.0.path.join("kept");
        fs::create_dir(&kept).expect("a directory");
        fs::write(kept.join("file"), "").expect("a file");
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        dir.save(&record())?;
        dir.make_notify_directory()?;
        let top = dir.path.join("notify");
        symlink(&kept, top.join("link")).expect("a link");
        fs::write(top.join("moved-1"), "").expect("a file where something will be moved to");
        // Deeper than a path is long, and than there are descriptors.
        let mut at = File::open(&top).expect("the directory").into();
        for _ in 0..3000 {
            file::make_directory_at(&at, Path::new("deep"), 0o755)?;
            let next = file::open_at(&at, Path::new("deep"), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
            symlink(&kept, format!("/proc/self/fd/{}/link", next.as_raw_fd())).expect("a link");
            at = next;
        }
        dir.remove()?;
        assert!(!dir.path.exists());
        assert!(kept.join("file").exists());
        Ok(())
    }
}
