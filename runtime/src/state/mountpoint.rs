//! The directory that the root of a container is mounted on, where the container has no mount namespace of its own.
//!
//! Nothing else is ever mounted there, so whatever is mounted there is the container's, and goes with its directory.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::ContainerDir;
use crate::error::{Context, Errno, Result};
use crate::sys::{file, mount};

const MOUNTPOINT: &str = "rootfs";

impl ContainerDir {
    /// Makes the directory, and opens it.
    pub fn make_mountpoint(&self) -> Result<OwnedFd> {
        let make = || {
            file::make_directory_at(&self.dir, Path::new(MOUNTPOINT), 0o700)?;
            file::open_beneath(&self.dir, Path::new(MOUNTPOINT), OFlag::O_PATH | OFlag::O_DIRECTORY)
        };
        make().doing_with(|| self.shown(MOUNTPOINT))
    }

    /// Detaches all that is mounted on the directory, and removes the directory.
    pub(super) fn remove_mountpoint(&self) -> Result<()> {
        loop {
            match file::remove_directory_at(&self.dir, Path::new(MOUNTPOINT)) {
                Err(err) if err.is(Errno::ENOENT) => return Ok(()),
                // A mount is on it. Below that mount lies the caller's rootfs, so nothing is removed before it is off.
                Err(err) if err.is(Errno::EBUSY) => self.detach_mount(),
                removed => return removed.doing_with(|| self.shown(MOUNTPOINT)),
            }
            .doing_with(|| self.shown(MOUNTPOINT))?;
        }
    }

    fn detach_mount(&self) -> Result<()> {
        let dir = PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_fd().as_raw_fd()));
        mount::detach(&dir.join(MOUNTPOINT))
    }
}
