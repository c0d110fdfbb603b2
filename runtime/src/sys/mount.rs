//! Mounts by descriptor: a mount is built detached, gets its final attributes, and is attached once.
//!
//! Kernel: `fsopen`, `fsconfig`, `fsmount`, `open_tree` and `move_mount` are 5.2, `mount_setattr` is 5.12.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::{Named, c_string, check, shown};
use crate::error::{Error, Result};

pub use libc::{
    MOUNT_ATTR__ATIME, MOUNT_ATTR_IDMAP, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME,
};

const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;

/// `fsopen(fstype)`: starts the configuration of a new filesystem instance.
///
/// Errors: ENODEV for a type the kernel doesn't have. Kernel: 5.2. Source: fsopen(2).
pub fn fsopen(fstype: &str) -> Result<OwnedFd> {
    let name = c_string(fstype)?;
    // SAFETY: the kernel reads the NUL-terminated name during the call and keeps a copy.
    let ret = unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), FSOPEN_CLOEXEC) };
    check(ret, || format!("fsopen({fstype:?})")).map(owned)
}

/// `fsconfig(SET_FLAG)`: sets a parameter that has no value.
pub fn fsconfig_set_flag(context: BorrowedFd, key: &str) -> Result<()> {
    let key_c = c_string(key)?;
    fsconfig(context, FSCONFIG_SET_FLAG, key_c.as_ptr(), std::ptr::null(), || format!("fsconfig({key})"))
}

/// `fsconfig(SET_STRING)`: sets a parameter to a text.
pub fn fsconfig_set_string(context: BorrowedFd, key: &str, value: &str) -> Result<()> {
    let (key_c, value_c) = (c_string(key)?, c_string(value)?);
    fsconfig(context, FSCONFIG_SET_STRING, key_c.as_ptr(), value_c.as_ptr(), || {
        format!("fsconfig({key}={value})")
    })
}

/// `fsconfig(CMD_CREATE)`: makes the superblock.
pub fn fsconfig_create(context: BorrowedFd) -> Result<()> {
    fsconfig(context, FSCONFIG_CMD_CREATE, std::ptr::null(), std::ptr::null(), || "fsconfig(CREATE)".into())
}

fn fsconfig(
    context: BorrowedFd,
    command: libc::c_uint,
    key: *const libc::c_char,
    value: *const libc::c_char,
    call: impl FnOnce() -> String,
) -> Result<()> {
    // SAFETY: `key` and `value` are null or NUL-terminated and live until the call returns; the kernel copies them.
    let ret = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) };
    check(ret, call).map(drop).map_err(|err| explained(err, context))
}

/// `fsmount`: a detached mount of the configured filesystem, with its final attributes.
pub fn fsmount(context: BorrowedFd, attributes: u64) -> Result<OwnedFd> {
    // SAFETY: takes integers only.
    let ret = unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes as libc::c_uint)
    };
    check(ret, || format!("fsmount({})", attribute_names(attributes)))
        .map(owned)
        .map_err(|err| explained(err, context))
}

/// Adds what the filesystem itself wrote about its failure into the configuration descriptor.
fn explained(err: Error, context: BorrowedFd) -> Error {
    let Ok(copy) = context.try_clone_to_owned() else { return err };
    let mut said = [0_u8; 512];
    match std::fs::File::from(copy).read(&mut said) {
        Ok(len) if len > 2 => {
            let text = String::from_utf8_lossy(&said[..len]);
            let text = text.trim_end().trim_start_matches(|c: char| "ewi ".contains(c)).to_string();
            err.with_hint(format!("the kernel says: {text}"))
        }
        _ => err,
    }
}

/// `open_tree(OPEN_TREE_CLONE)`: a detached copy of the mount at `path` (of all below it too, if `recursive`).
///
/// An empty `path` means `dir` itself. A last component that is a symlink is followed: the callers resolve
/// beforehand wherever the path isn't the host's own.
pub fn clone_tree(dir: BorrowedFd, path: &Path, recursive: bool) -> Result<OwnedFd> {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= libc::AT_RECURSIVE as libc::c_uint;
    }
    if path.as_os_str().is_empty() {
        flags |= libc::AT_EMPTY_PATH as libc::c_uint;
    }
    let path_c = c_string(path)?;
    // SAFETY: the kernel reads the path during the call and keeps nothing of it.
    let ret = unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path_c.as_ptr(), flags) };
    check(ret, || format!("open_tree({}, CLONE{})", shown(path), if recursive { "|RECURSIVE" } else { "" }))
        .map(owned)
}

/// `move_mount`: attaches a detached mount on top of what `target` is open on.
///
/// Errors: ENOTDIR for a directory on a file or the other way round; ELOOP for an unbindable tree.
pub fn attach(mount: BorrowedFd, target: BorrowedFd) -> Result<()> {
    // SAFETY: both paths are the static empty string.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    };
    check(ret, || "move_mount()".into()).map(drop)
}

/// `mount_setattr`: changes the attributes of a mount, or of its whole tree.
///
/// Errors: ENOSYS before 5.12. Source: mount_setattr(2).
pub fn set_attributes(mount: BorrowedFd, set: u64, clear: u64, recursive: bool) -> Result<()> {
    setattr(mount, set, clear, 0, None, recursive)
}

/// `mount_setattr` with a propagation type (`MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`).
pub fn set_propagation(mount: BorrowedFd, propagation: u64, recursive: bool) -> Result<()> {
    setattr(mount, 0, 0, propagation, None, recursive)
}

/// `mount_setattr(MOUNT_ATTR_IDMAP)`: shows the ids of a detached mount through the maps of `user_namespace`.
///
/// Errors: EINVAL where the filesystem doesn't allow it. Kernel: 5.12.
pub fn set_id_map(mount: BorrowedFd, user_namespace: BorrowedFd, recursive: bool) -> Result<()> {
    setattr(mount, MOUNT_ATTR_IDMAP, 0, 0, Some(user_namespace), recursive)
}

fn setattr(
    mount: BorrowedFd,
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: Option<BorrowedFd>,
    recursive: bool,
) -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: set,
        attr_clr: clear,
        propagation,
        userns_fd: user_namespace.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the kernel reads `attr` during the call and writes nothing.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    check(ret, || {
        format!(
            "mount_setattr({}, clear {}{}{})",
            attribute_names(set),
            attribute_names(clear),
            propagation_name(propagation),
            if recursive { ", recursive" } else { "" }
        )
    })
    .map(drop)
}

/// `mount(2)` on what `path` names: for propagation and remounts on kernels without `mount_setattr`, and for
/// filesystems that take their options only as one text.
pub fn mount_legacy(source: &str, target: &Path, fstype: &str, flags: u64, data: &str) -> Result<()> {
    let unless_empty = |text: &str| (!text.is_empty()).then(|| c_string(text)).transpose();
    let (source_c, fstype_c, data_c) = (unless_empty(source)?, unless_empty(fstype)?, unless_empty(data)?);
    nix::mount::mount(
        source_c.as_deref(),
        c_string(target)?.as_c_str(),
        fstype_c.as_deref(),
        nix::mount::MsFlags::from_bits_retain(flags as libc::c_ulong),
        data_c.as_deref(),
    )
    .named(|| format!("mount({source:?}, {}, {fstype:?}, {flags:#x}, {data:?})", shown(target)))
}

/// `pivot_root(".", ".")`: the current directory becomes the root, and the old root lies on top of it.
pub fn pivot_root_here() -> Result<()> {
    nix::unistd::pivot_root(".", ".").named(|| "pivot_root(\".\", \".\")".into())
}

/// `umount2(path, MNT_DETACH)`.
pub fn detach(path: &Path) -> Result<()> {
    nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH)
        .named(|| format!("umount2({}, MNT_DETACH)", shown(path)))
}

/// The `MOUNT_ATTR_*` bits that the mount under `file` has (`fstatfs`; atime modes and all).
pub fn attributes_of(file: impl AsFd) -> Result<u64> {
    use nix::sys::statvfs::FsFlags;
    const MAP: [(FsFlags, u64); 5] = [
        (FsFlags::ST_RDONLY, MOUNT_ATTR_RDONLY),
        (FsFlags::ST_NOSUID, MOUNT_ATTR_NOSUID),
        (FsFlags::ST_NODEV, MOUNT_ATTR_NODEV),
        (FsFlags::ST_NOEXEC, MOUNT_ATTR_NOEXEC),
        (FsFlags::ST_NOATIME, MOUNT_ATTR_NOATIME),
    ];
    let flags = nix::sys::statfs::fstatfs(file).named(|| "fstatfs()".into())?.flags();
    Ok(MAP.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, attr)| attr).sum())
}

/// `NOSUID|NODEV`, for errors and plans.
pub fn attribute_names(bits: u64) -> String {
    const NAMES: [(u64, &str); 8] = [
        (MOUNT_ATTR_RDONLY, "RDONLY"),
        (MOUNT_ATTR_NOSUID, "NOSUID"),
        (MOUNT_ATTR_NODEV, "NODEV"),
        (MOUNT_ATTR_NOEXEC, "NOEXEC"),
        (MOUNT_ATTR_NODIRATIME, "NODIRATIME"),
        (MOUNT_ATTR_NOSYMFOLLOW, "NOSYMFOLLOW"),
        (MOUNT_ATTR_IDMAP, "IDMAP"),
        (0, ""),
    ];
    let mut names: Vec<&str> =
        NAMES.iter().filter(|(bit, _)| *bit != 0 && bits & bit != 0).map(|(_, name)| *name).collect();
    match bits & MOUNT_ATTR__ATIME {
        MOUNT_ATTR_NOATIME => names.push("NOATIME"),
        MOUNT_ATTR_STRICTATIME => names.push("STRICTATIME"),
        MOUNT_ATTR__ATIME => names.push("ATIME"),
        _ => {}
    }
    if names.is_empty() { "0".into() } else { names.join("|") }
}

fn propagation_name(propagation: u64) -> &'static str {
    match propagation {
        libc::MS_PRIVATE => ", PRIVATE",
        libc::MS_SLAVE => ", SLAVE",
        libc::MS_SHARED => ", SHARED",
        libc::MS_UNBINDABLE => ", UNBINDABLE",
        _ => "",
    }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: a successful call has just made this descriptor, and nothing else holds it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}
