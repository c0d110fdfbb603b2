//! A procfs of a pid namespace that the process which mounts it is outside of.

use std::os::fd::{AsFd, OwnedFd};

use super::build;
use crate::error::Result;
use crate::plan::FilesystemMount;
use crate::sys::mount::{self, MountAttr};
use crate::sys::process::SingleThreaded;

/// Builds a procfs of the pid namespace.
pub fn build(
    _alone: &SingleThreaded,
    filesystem: &FilesystemMount,
    attr: MountAttr,
    namespace: &OwnedFd,
) -> Result<OwnedFd> {
    let context = mount::fsopen(&filesystem.fstype)?;
    let context = context.as_fd();
    mount::fsconfig_set_string(context, "source", &filesystem.source)?;
    mount::fsconfig_set_fd(context, "pidns", namespace.as_fd())?;
    build::set_options(context, filesystem)?;
    mount::fsconfig_create(context)?;
    mount::fsmount(context, attr)
}
