//! For a program that manages containers for long and is the parent of their processes: the sealed image of its binary,
//! which is made once, and the children that nobody waits for.

use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::apply::seal;
use crate::error::Result;
use crate::sys::{descriptors, process, subprocess};

/// A sealed image of the calling program's binary. A child that is started from it is what
/// [`FreshProcess::ensure`] would make of it, and need not execute itself anew.
///
/// [`FreshProcess::ensure`]: super::FreshProcess::ensure
pub struct SealedImage(seal::Image);

impl SealedImage {
    /// Makes it.
    ///
    /// Errors: Denied if no sealed image can be made.
    pub fn make() -> Result<SealedImage> {
        let sealed = seal::make()?;
        // No other child gets them.
        descriptors::close_on_exec(&sealed.image)?;
        descriptors::close_on_exec(&sealed.marker)?;
        Ok(SealedImage(sealed))
    }

    /// A command that executes the image, with `name` as its word 0. The child is killed when the thread ends that has
    /// spawned it.
    pub fn command(&self, name: &str) -> Command {
        let numbers = self.numbers();
        let mut command = Command::new(format!("/dev/fd/{}", numbers[0]));
        command.arg0(name);
        subprocess::ends_with_parent(&mut command, numbers.into());
        command
    }

    fn numbers(&self) -> [RawFd; 2] {
        [self.0.image.as_raw_fd(), self.0.marker.as_raw_fd()]
    }
}

/// Has the child that `command` spawns be killed when the thread ends that has spawned it.
pub fn ends_with_parent(command: &mut Command) {
    subprocess::ends_with_parent(command, Vec::new());
}

/// Raises the soft limit of this process's descriptors to the hard limit: each container that a program watches takes a
/// few. Children get the limit that this process has begun with: those of [`SealedImage`], of [`ends_with_parent`], and
/// hooks.
///
/// Process-wide effects: that.
pub fn raise_limit_of_files() -> Result<()> {
    subprocess::raise_limit_of_files()
}

/// Gives a child that was spawned in another way the limit that it should have begun with.
pub fn give_limit_of_files(pid: i32) -> Result<()> {
    subprocess::give_limit_of_files(pid)
}

/// Makes this process the parent of the processes that its children leave (PR_SET_CHILD_SUBREAPER).
///
/// Process-wide effects: that.
pub fn become_subreaper() -> Result<()> {
    process::set_child_subreaper()
}

/// Reaps children that have ended and that nobody waits for. It stops at the first child that `is_known`: whoever waits
/// for this one reaps it, and calls again.
pub fn reap_orphans(is_known: impl Fn(i32) -> bool) -> Result<()> {
    while let Some(pid) = process::ended_child()?.filter(|pid| !is_known(*pid)) {
        process::wait(pid)?;
    }
    Ok(())
}
