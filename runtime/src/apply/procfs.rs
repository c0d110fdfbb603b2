//! The procfs that init writes sysctls and labels through: its own, or the container's before anything can lie over it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::error::{Errno, Error, Kind, Result};
use crate::sys::mount::{self, MountAttr};
use crate::sys::{descriptors, file};

const PROC_ROOT_INODE: u64 = 1;

/// A procfs that no path of the image leads to.
pub(super) struct Procfs(OwnedFd);

impl Procfs {
    /// Holds the container's procfs, which was mounted a moment ago.
    pub(super) fn of_container(mounted: OwnedFd) -> Procfs {
        Procfs(mounted)
    }

    /// Holds the procfs of the runtime's caller. A process that holds it must not be seen in a container.
    pub(super) fn of_caller() -> Result<Procfs> {
        visible_procfs().map(Procfs)
    }

    /// Mounts a procfs that is attached nowhere, so that nothing in the container can cover or replace a file of it.
    pub(super) fn open() -> Result<Procfs> {
        match detached_procfs() {
            // An outer container or an LSM may forbid new ones; the visible procfs serves if it is whole.
            Err(err) if err.is(Errno::EPERM) || err.is(Errno::EACCES) => visible_procfs().map_err(|_| err),
            result => result,
        }
        .map(Procfs)
    }

    /// Marks every descriptor from `first` on close-on-exec. Old kernels need a procfs for that: `own`, or else a new
    /// one.
    pub(super) fn close_on_exec_from(first: i32, own: Option<Procfs>) -> Result<()> {
        let procfs = || own.map_or_else(Procfs::open, Ok).map(|Procfs(procfs)| procfs);
        descriptors::close_on_exec_from(first, procfs)
    }

    /// One more descriptor of it.
    pub(super) fn try_clone(&self) -> Result<OwnedFd> {
        self.0.try_clone().map_err(|err| Error::io("fcntl(F_DUPFD)", &err))
    }

    /// Writes a file of procfs.
    pub(super) fn write(&self, path: &str, text: &str) -> Result<()> {
        file::write_beneath(&self.0, Path::new(path), text)
    }

    /// Writes a file of this process in procfs.
    pub(super) fn write_own(&self, name: &str, text: &str) -> Result<()> {
        let opened = self.open_own(name)?;
        write_label(&opened, name, text)
    }

    /// Asks for an AppArmor profile at the next exec. Before Linux 5.8 AppArmor has no directory of its own.
    pub(super) fn set_apparmor_profile(&self, profile: &str) -> Result<()> {
        let (opened, name) = match self.open_own("attr/apparmor/exec") {
            Err(err) if err.is(Errno::ENOENT) => (self.open_own("attr/exec")?, "attr/exec"),
            opened => (opened?, "attr/apparmor/exec"),
        };
        write_label(&opened, name, &format!("exec {profile}")).map_err(|err| match err.errno() {
            Some(Errno::ENOENT) => err.with_hint(format!("is the profile {profile} loaded?")),
            _ => err,
        })
    }

    fn open_own(&self, name: &str) -> Result<OwnedFd> {
        file::open_beneath_following_self(&self.0, name, OFlag::O_WRONLY)
    }
}

/// Podman knows by the quoted path that a label was refused.
fn write_label(opened: &OwnedFd, name: &str, text: &str) -> Result<()> {
    file::write_whole(opened.as_fd(), text.as_bytes(), &format!("`/proc/thread-self/{name}`"))
}

impl AsFd for Procfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn detached_procfs() -> Result<OwnedFd> {
    let context = mount::fsopen("proc")?;
    mount::fsconfig_create(context.as_fd())?;
    let attr = MountAttr::NOSUID | MountAttr::NODEV | MountAttr::NOEXEC;
    let procfs = mount::fsmount(context.as_fd(), attr)?;
    // The mount itself can't be read from; its root can.
    file::open_at(&procfs, Path::new("."), OFlag::O_PATH | OFlag::O_DIRECTORY)
}

fn visible_procfs() -> Result<OwnedFd> {
    let procfs = file::open_following_links(Path::new("/proc"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
    let inode = file::stat_of(&procfs)?.st_ino;
    if file::filesystem_magic(&procfs)? == libc::PROC_SUPER_MAGIC && inode == PROC_ROOT_INODE {
        return Ok(procfs);
    }
    Err(Error::new(Kind::Denied, "/proc is not a procfs"))
}
