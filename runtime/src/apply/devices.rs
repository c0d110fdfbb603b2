//! Init makes device nodes and the links beside them.
//!
//! For each of them, its directory is opened as a [workplace](super::inside::Root::workplace): by a /dev that is a
//! link, or by a link that leads a volume to /dev, an image would have the runtime make and remove files elsewhere.
//!
//! What has a node's name already stays, whatever it is: a volume may stand in for a device. Only as a mask /dev/null
//! must be the null device, and [there](Rootfs::hide) it is looked at.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag};

use super::rootfs::Rootfs;
use crate::error::{Errno, Error, Kind, Result};
use crate::plan::Device;
use crate::sys::{file, mount};

/// Makes one node. If there is a `node`, a detached mount of the host's, that is bound instead.
pub fn make(rootfs: &mut Rootfs, device: &Device, node: Option<OwnedFd>) -> Result<()> {
    let parent = device.path.parent().unwrap_or(Path::new("/"));
    let directory = rootfs.root.workplace(parent)?;
    let Some(name) = device.path.file_name().map(Path::new) else {
        return Err(Error::invalid(format!("{} names no device", device.path.display())));
    };
    match node {
        None => make_node(&directory, name, device),
        Some(node) => bind(&node, &directory, name, device),
    }
}

fn make_node(directory: &OwnedFd, name: &Path, device: &Device) -> Result<()> {
    let kind = SFlag::from_bits_truncate(device.kind);
    match file::make_node_at(directory, name, kind, device.mode, number(device)) {
        Err(err) if err.is(Errno::EEXIST) => Ok(()),
        result => {
            result?;
            // No umask has changed the mode: init's umask is 0 until it becomes the container's user.
            let made = file::open_at(directory, name, OFlag::O_PATH)?;
            check(&file::stat_of(&made)?, device)?;
            if (device.uid, device.gid) == (0, 0) {
                return Ok(());
            }
            file::change_owner(&made, device.uid, device.gid)
        }
    }
}

fn bind(node: &OwnedFd, directory: &OwnedFd, name: &Path, device: &Device) -> Result<()> {
    check(&file::stat_of(node)?, device)?;
    match file::create_at(directory, name, OFlag::O_RDONLY, 0o644) {
        Err(err) if !err.is(Errno::EEXIST) => return Err(err),
        _ => {}
    }
    let target = file::open_at(directory, name, OFlag::O_PATH)?;
    mount::attach(node.as_fd(), target.as_fd())
}

/// The host's node, and whatever has the name of the node just made, must be the device that the config asks for.
/// Somebody who shares a volume may have exchanged the latter.
fn check(stat: &FileStat, device: &Device) -> Result<()> {
    let numbered = device.kind == libc::S_IFIFO || stat.st_rdev == number(device);
    if stat.st_mode & libc::S_IFMT == device.kind && numbered {
        return Ok(());
    }
    let text = format!("{} is another thing than this device", device.path.display());
    Err(Error::new(Kind::Denied, text))
}

fn number(device: &Device) -> u64 {
    if device.kind == libc::S_IFIFO { 0 } else { file::device_number(device.major, device.minor) }
}

/// Makes one of the links that every /dev has.
pub fn make_link(rootfs: &Rootfs, target: &str, name: &str) -> Result<()> {
    let dev = rootfs.root.workplace(Path::new("/dev"))?;
    if name == "core" && rootfs.root.open(Path::new(target), OFlag::O_PATH).is_err() {
        return Ok(());
    }
    match file::make_symlink_at(Path::new(target), &dev, Path::new(name)) {
        Err(err) if err.is(Errno::EEXIST) && name == "ptmx" => replace_link(&dev, target, name),
        Err(err) if err.is(Errno::EEXIST) => Ok(()),
        result => result,
    }
}

/// /dev/ptmx must lead to the container's own instance, whatever the image has there.
fn replace_link(dev: &OwnedFd, target: &str, name: &str) -> Result<()> {
    file::unlink_at(dev, Path::new(name))?;
    file::make_symlink_at(Path::new(target), dev, Path::new(name))
}
