//! A process that creates a container, or runs a process in a container, does nothing else. Here it is made fit for
//! that.

use crate::apply::seal;
use crate::error::{Error, Result};
use crate::sys::process::{self, SingleThreaded};
use crate::sys::{descriptors, signal};

/// Proof that this process is fit to be the parent of a container's process: `create` and `exec` ask for it.
///
/// A program that manages containers for long starts a process of its own for each `create` and each `exec`, which
/// begins with [`FreshProcess::ensure`].
pub struct FreshProcess(SingleThreaded);

impl FreshProcess {
    /// Makes this process fit.
    ///
    /// Process-wide effects: a process that wasn't executed from a sealed image executes itself anew from one, with the
    /// same arguments and the same environment; then this call doesn't return. SIGCHLD gets its default action. Every
    /// descriptor from 3 on is marked close-on-exec. All of these count as the caller's: `preserve_fds` may hand them
    /// to a container.
    ///
    /// Needs: a process with one thread, which has opened nothing yet.
    ///
    /// Errors: Unsupported where /proc belongs to another pid namespace; Denied if no sealed image can be made.
    pub fn ensure() -> Result<FreshProcess> {
        process::check_procfs()?;
        // A process that enters a container can be caught there as /proc/PID/exe.
        seal::ensure()?;
        descriptors::remember_inherited();
        // With SIGCHLD ignored, as a caller may have it, waiting for a child would fail.
        signal::reset_child_signal()?;
        // No hook gets the descriptors that the caller has left open. Init keeps those that the plan names for the
        // program, and closes the rest.
        descriptors::close_on_exec_from(3, descriptors::host_procfs)?;
        Ok(FreshProcess(SingleThreaded::prove()?))
    }

    /// Errors: Internal if a thread was started since.
    pub(super) fn alone(&self) -> Result<&SingleThreaded> {
        SingleThreaded::prove()?;
        Ok(&self.0)
    }
}

/// Checks that the caller has handed down `count` descriptors from 3 on. At a number that the caller has left free, the
/// runtime would open a descriptor of its own, and the container would get that.
pub(super) fn check_preserved(asked_by: &str, count: u32) -> Result<()> {
    let end = i32::try_from(count).ok().and_then(|count| count.checked_add(3)).unwrap_or(i32::MAX);
    match descriptors::first_not_inherited() {
        number if number < end => Err(Error::invalid(format!("{asked_by}: descriptor {number} is not open"))),
        _ => Ok(()),
    }
}
