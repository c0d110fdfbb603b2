//! Mounts by descriptor: a mount is built detached, gets its final attributes, and is attached once.
//!
//! Kernel: `fsopen`, `fsconfig`, `fsmount`, `open_tree` and `move_mount` are 5.2, `mount_setattr` is 5.12.

use std::fmt;
use std::io::Read;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Not};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::{Named, c_string, check, shown};
use crate::error::{Error, Result};

const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_SET_FD: libc::c_uint = 5;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;

/// Attributes of a mount, the bits of `MOUNT_ATTR_*`. Source: mount_setattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttr(u64);

impl MountAttr {
    /// No bit.
    pub const NONE: MountAttr = MountAttr(0);
    /// No writes through this mount.
    pub const RDONLY: MountAttr = MountAttr(libc::MOUNT_ATTR_RDONLY);
    /// Set-user-id bits and file capabilities don't count.
    pub const NOSUID: MountAttr = MountAttr(libc::MOUNT_ATTR_NOSUID);
    /// Device nodes can't be opened.
    pub const NODEV: MountAttr = MountAttr(libc::MOUNT_ATTR_NODEV);
    /// No program is executed.
    pub const NOEXEC: MountAttr = MountAttr(libc::MOUNT_ATTR_NOEXEC);
    /// The mask of the three settings for access times, which exclude each other.
    pub const ATIME: MountAttr = MountAttr(libc::MOUNT_ATTR__ATIME);
    /// The kernel's default for access times: no bit of the mask.
    pub const RELATIME: MountAttr = MountAttr(libc::MOUNT_ATTR_RELATIME);
    /// Access times are never updated.
    pub const NOATIME: MountAttr = MountAttr(libc::MOUNT_ATTR_NOATIME);
    /// Access times are always updated.
    pub const STRICTATIME: MountAttr = MountAttr(libc::MOUNT_ATTR_STRICTATIME);
    /// Access times of directories are never updated.
    pub const NODIRATIME: MountAttr = MountAttr(libc::MOUNT_ATTR_NODIRATIME);
    /// Symbolic links aren't followed. Kernel: 5.14.
    pub const NOSYMFOLLOW: MountAttr = MountAttr(libc::MOUNT_ATTR_NOSYMFOLLOW);

    /// Each attribute but ATIME and RELATIME, with its name and the flag that mount(2) has for it.
    const TABLE: [(MountAttr, &'static str, u64); 8] = [
        (MountAttr::RDONLY, "RDONLY", libc::MS_RDONLY),
        (MountAttr::NOSUID, "NOSUID", libc::MS_NOSUID),
        (MountAttr::NODEV, "NODEV", libc::MS_NODEV),
        (MountAttr::NOEXEC, "NOEXEC", libc::MS_NOEXEC),
        (MountAttr::NODIRATIME, "NODIRATIME", libc::MS_NODIRATIME),
        (MountAttr::NOSYMFOLLOW, "NOSYMFOLLOW", MS_NOSYMFOLLOW),
        (MountAttr::NOATIME, "NOATIME", libc::MS_NOATIME),
        (MountAttr::STRICTATIME, "STRICTATIME", libc::MS_STRICTATIME),
    ];

    /// Whether no bit is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: MountAttr) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a bit of `other` is set.
    pub const fn intersects(self, other: MountAttr) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits of both; for constants.
    pub const fn with(self, other: MountAttr) -> MountAttr {
        MountAttr(self.0 | other.0)
    }

    /// These bits without those of `other`, for constants.
    pub const fn without(self, other: MountAttr) -> MountAttr {
        MountAttr(self.0 & !other.0)
    }

    /// The flags of mount(2), for kernels without mount_setattr (before 5.12).
    pub fn ms_flags(self) -> u64 {
        self.rows().fold(0, |flags, (_, _, flag)| flags | flag)
    }

    /// The flags of mount(2) if these are all attributes that a mount is to have: without MS_RELATIME, a remount would
    /// leave the setting for access times as it is.
    pub fn ms_flags_of_all(self) -> u64 {
        let relatime = self & MountAttr::ATIME == MountAttr::RELATIME;
        self.ms_flags() | if relatime { libc::MS_RELATIME } else { 0 }
    }

    fn rows(self) -> impl Iterator<Item = &'static (MountAttr, &'static str, u64)> {
        Self::TABLE.iter().filter(move |(attr, _, _)| self.contains(*attr))
    }
}

const MS_NOSYMFOLLOW: u64 = 1 << 8;

/// What fsconfig(2) takes of a parameter's name or text at most, in bytes. Source: `strndup_user(…, 256)` in fsopen.c.
pub const FSCONFIG_TEXT_MAX: usize = 255;

/// What a word about the superblock does to the flags of mount(2): fsconfig(2) takes the word itself. The order of the
/// words counts, as `sync` and `async` are two of them.
pub fn superblock_flag(word: &str) -> Option<impl Fn(u64) -> u64 + use<>> {
    let (flag, set) = match word {
        "async" => (libc::MS_SYNCHRONOUS, false),
        "dirsync" => (libc::MS_DIRSYNC, true),
        "lazytime" => (MS_LAZYTIME, true),
        "mand" => (libc::MS_MANDLOCK, true),
        "nolazytime" => (MS_LAZYTIME, false),
        "nomand" => (libc::MS_MANDLOCK, false),
        "ro" => (libc::MS_RDONLY, true),
        "sync" => (libc::MS_SYNCHRONOUS, true),
        _ => return None,
    };
    Some(move |flags| if set { flags | flag } else { flags & !flag })
}

const MS_LAZYTIME: u64 = 1 << 25;

impl BitOr for MountAttr {
    type Output = MountAttr;

    fn bitor(self, other: MountAttr) -> MountAttr {
        self.with(other)
    }
}

impl BitAnd for MountAttr {
    type Output = MountAttr;

    fn bitand(self, other: MountAttr) -> MountAttr {
        MountAttr(self.0 & other.0)
    }
}

impl Not for MountAttr {
    type Output = MountAttr;

    fn not(self) -> MountAttr {
        MountAttr(!self.0)
    }
}

impl BitOrAssign for MountAttr {
    fn bitor_assign(&mut self, other: MountAttr) {
        *self = *self | other;
    }
}

impl BitAndAssign for MountAttr {
    fn bitand_assign(&mut self, other: MountAttr) {
        *self = *self & other;
    }
}

impl fmt::Display for MountAttr {
    /// `NOSUID|NODEV`, for errors and plans.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = self.rows().map(|(_, name, _)| *name).collect();
        if self.contains(MountAttr::ATIME) {
            names.retain(|name| !["NOATIME", "STRICTATIME"].contains(name));
            names.push("ATIME");
        }
        f.write_str(&if names.is_empty() { "0".into() } else { names.join("|") })
    }
}

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

/// `fsconfig(SET_FD)`: sets a parameter to what a descriptor is open on.
///
/// Errors: EINVAL where the filesystem doesn't know the parameter.
pub fn fsconfig_set_fd(context: BorrowedFd, key: &str, fd: BorrowedFd) -> Result<()> {
    let key_c = c_string(key)?;
    fsconfig_with(context, FSCONFIG_SET_FD, key_c.as_ptr(), std::ptr::null(), fd.as_raw_fd(), || {
        format!("fsconfig({key})")
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
    fsconfig_with(context, command, key, value, 0, call)
}

fn fsconfig_with(
    context: BorrowedFd,
    command: libc::c_uint,
    key: *const libc::c_char,
    value: *const libc::c_char,
    aux: libc::c_int,
    call: impl FnOnce() -> String,
) -> Result<()> {
    // SAFETY: `key` and `value` are null or NUL-terminated and live until the call returns; the kernel copies them.
    let ret = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, aux) };
    check(ret, call).map(drop).map_err(|err| explained(err, context))
}

/// `fsmount`: a detached mount of the configured filesystem, with its final attributes.
pub fn fsmount(context: BorrowedFd, attr: MountAttr) -> Result<OwnedFd> {
    // SAFETY: takes integers only.
    let ret = unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attr.0 as libc::c_uint)
    };
    check(ret, || format!("fsmount({attr})")).map(owned).map_err(|err| explained(err, context))
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
/// An empty `path` means `dir` itself. A last component that is a symlink is followed, so callers resolve every path
/// beforehand that isn't the host's own.
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
pub fn set_attributes(mount: BorrowedFd, set: MountAttr, clear: MountAttr, recursive: bool) -> Result<()> {
    let change = libc::mount_attr { attr_set: set.0, attr_clr: clear.0, ..NO_CHANGE };
    setattr(mount, &change, recursive, || format!("{set}, clear {clear}"))
}

/// Whether the kernel has `mount_setattr`. Asks with a `struct mount_attr` of no size, which the kernel refuses with
/// EINVAL.
pub fn can_set_attributes() -> bool {
    // SAFETY: the path is static; of a structure without a size the kernel reads nothing.
    let ret = unsafe {
        libc::syscall(libc::SYS_mount_setattr, -1, c"".as_ptr(), 0, std::ptr::null::<()>(), 0_usize)
    };
    !matches!(check(ret, String::new), Err(err) if err.is(crate::error::Errno::ENOSYS))
}

/// `mount_setattr` with a propagation type (`MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`).
pub fn set_propagation(mount: BorrowedFd, propagation: u64, recursive: bool) -> Result<()> {
    let change = libc::mount_attr { propagation, ..NO_CHANGE };
    setattr(mount, &change, recursive, || propagation_name(propagation).into())
}

/// `mount_setattr(MOUNT_ATTR_IDMAP)`: shows the ids of a detached mount through the maps of `user_namespace`.
///
/// Errors: EINVAL where the filesystem doesn't allow it. Kernel: 5.12.
pub fn set_id_map(mount: BorrowedFd, user_namespace: BorrowedFd, recursive: bool) -> Result<()> {
    let userns_fd = user_namespace.as_raw_fd() as u64;
    let change = libc::mount_attr { attr_set: libc::MOUNT_ATTR_IDMAP, userns_fd, ..NO_CHANGE };
    setattr(mount, &change, recursive, || "IDMAP".into())
}

const NO_CHANGE: libc::mount_attr =
    libc::mount_attr { attr_set: 0, attr_clr: 0, propagation: 0, userns_fd: 0 };

fn setattr(
    mount: BorrowedFd,
    change: &libc::mount_attr,
    recursive: bool,
    what: impl FnOnce() -> String,
) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the kernel reads `change` during the call and writes nothing.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const *change,
            size_of::<libc::mount_attr>(),
        )
    };
    check(ret, || format!("mount_setattr({}{})", what(), if recursive { ", recursive" } else { "" }))
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

/// The attributes of the mount that `file` lies on, its setting for access times included (`fstatfs`).
pub fn attributes_of(file: impl AsFd) -> Result<MountAttr> {
    use nix::sys::statvfs::FsFlags;
    const MAP: [(FsFlags, MountAttr); 5] = [
        (FsFlags::ST_RDONLY, MountAttr::RDONLY),
        (FsFlags::ST_NOSUID, MountAttr::NOSUID),
        (FsFlags::ST_NODEV, MountAttr::NODEV),
        (FsFlags::ST_NOEXEC, MountAttr::NOEXEC),
        (FsFlags::ST_NOATIME, MountAttr::NOATIME),
    ];
    let flags = nix::sys::statfs::fstatfs(file).named(|| "fstatfs()".into())?.flags();
    let attributes = MAP.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, attr)| *attr);
    Ok(attributes.fold(MountAttr::NONE, MountAttr::with))
}

fn propagation_name(propagation: u64) -> &'static str {
    match propagation {
        libc::MS_PRIVATE => "PRIVATE",
        libc::MS_SLAVE => "SLAVE",
        libc::MS_SHARED => "SHARED",
        libc::MS_UNBINDABLE => "UNBINDABLE",
        _ => "no propagation",
    }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: a successful call has just made this descriptor, and nothing else holds it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_names() {
        assert_eq!(MountAttr::NONE.to_string(), "0");
        assert_eq!((MountAttr::NOATIME | MountAttr::NODEV).to_string(), "NODEV|NOATIME");
        assert_eq!((MountAttr::ATIME | MountAttr::RDONLY).to_string(), "RDONLY|ATIME");
    }

    #[test]
    fn attributes_have_flags_of_mount_2() {
        let four = MountAttr::RDONLY | MountAttr::NOSUID | MountAttr::NODEV | MountAttr::NOEXEC;
        assert_eq!(four.ms_flags(), 15);
        let other = MountAttr::NOATIME | MountAttr::NODIRATIME | MountAttr::NOSYMFOLLOW;
        assert_eq!(other.ms_flags_of_all(), 1024 | 2048 | 256);
        assert_eq!(four.ms_flags_of_all(), 15 | libc::MS_RELATIME);
    }
}
