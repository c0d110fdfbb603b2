//! Builds mounts, detached and with their final attributes. The caller attaches them.
//!
//! The supervisor builds the mounts that need rights on the host (see `plan::mounts`), init all others.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag};

use super::idmap;
use crate::error::{Context, Errno, Error, Result};
use crate::plan::mount_options::{AttrChange, CLEARED_BY_HABIT};
use crate::plan::{FilesystemMount, IdMapSource, Mount, MountSource};
use crate::sys::mount::{self, MountAttr};
use crate::sys::process::SingleThreaded;
use crate::sys::{file, namespace};

/// A bind mount that is built and not attached yet.
pub struct Built {
    /// The mount.
    pub mount: OwnedFd,
    /// The attributes to be set right after the mount is attached: all of them before Linux 5.12, which can't change a
    /// detached mount; none later.
    pub left: AttrChange,
}

impl Built {
    /// Sets the attributes of a detached mount. Before Linux 5.12 they are left for [`attach`](Self::attach), and
    /// `recursive` attributes, which are for all mounts below too, are an error: no older call sets them.
    pub fn of(mount: OwnedFd, attr: AttrChange, recursive: AttrChange) -> Result<Built> {
        match as_far_as_unlocked(attr, |attr| set_attributes(&mount, attr, recursive)) {
            Err(err) if err.is(Errno::ENOSYS) && recursive.is_empty() => Ok(Built { mount, left: attr }),
            result => result.map(|()| Built { mount, left: AttrChange::default() }),
        }
    }

    /// Attaches the mount. No process sees it without its attributes, unless some are `left`.
    pub fn attach(self, target: &OwnedFd) -> Result<OwnedFd> {
        mount::attach(self.mount.as_fd(), target.as_fd())?;
        if !self.left.is_empty() {
            as_far_as_unlocked(self.left, |attr| change(&self.mount, attr))?;
        }
        Ok(self.mount)
    }
}

/// Builds a bind mount from the host's path.
pub fn bind(path: &Path, recursive: bool, attr: AttrChange, recursive_attr: AttrChange) -> Result<Built> {
    Built::of(mount::clone_tree(AT_FDCWD, path, recursive)?, attr, recursive_attr)
}

/// Builds a bind mount that init, in another user namespace, will attach: with its id map and its attributes.
///
/// It is copied from `namespace`, init's mount namespace. The kernel has locked there what the host's mounts forbid and
/// hide, and no mount there propagates to the host.
pub fn for_init(alone: &SingleThreaded, planned: &Mount, namespace: &OwnedFd) -> Result<Built> {
    let MountSource::Bind { path, recursive } = &planned.source else {
        return Err(Error::internal("only bind mounts are built for init"));
    };
    let id_map = planned.id_map.as_ref().map(|(source, recursive)| {
        let users = match source {
            IdMapSource::Maps(maps) => idmap::user_namespace(alone, maps)?,
            IdMapSource::Namespace(path) => file::open_following_links(path, OFlag::O_RDONLY)?,
        };
        Ok((users, *recursive))
    });
    let id_map = id_map.transpose()?;
    let mount = namespace::in_mounts_of(alone, namespace, || mount::clone_tree(AT_FDCWD, path, *recursive))?;
    if let Some((users, recursive)) = id_map {
        mount::set_id_map(mount.as_fd(), users.as_fd(), recursive).map_err(|err| match err.errno() {
            Some(Errno::EINVAL) => err.with_hint("the filesystem of the source may not support idmap mounts"),
            _ => err,
        })?;
    }
    Built::of(mount, planned.attr, planned.recursive_attr)
}

/// Changes the attributes of an attached mount. Before Linux 5.12 it takes a remount, which has to name all attributes.
pub fn change(mounted: &OwnedFd, attr: AttrChange) -> Result<()> {
    match mount::set_attributes(mounted.as_fd(), attr.set, attr.clear, false) {
        Err(err) if err.is(Errno::ENOSYS) => {
            let all = mount::attributes_of(mounted)? & !attr.clear | attr.set;
            let flags = all.ms_flags_of_all() | libc::MS_REMOUNT | libc::MS_BIND;
            mount::mount_legacy("", &fd_path(mounted), "", flags, "")
        }
        result => result,
    }
}

/// Changes the attributes of a mount and of all below it, if there is something to change.
pub fn change_tree(mounted: &OwnedFd, attr: AttrChange) -> Result<()> {
    set_attributes(mounted, AttrChange::default(), attr)
}

/// Changes attributes, and clears [by habit](CLEARED_BY_HABIT) what the kernel lets it clear: `set` is tried with all
/// of these attributes first, and with fewer after each refusal.
fn as_far_as_unlocked(attr: AttrChange, set: impl Fn(AttrChange) -> Result<()>) -> Result<()> {
    const LOCKABLE: MountAttr = CLEARED_BY_HABIT.without(MountAttr::NOSYMFOLLOW);
    let mut by_habit = attr.clear_if_unlocked;
    loop {
        match set(AttrChange::of(attr.set, attr.clear | by_habit)) {
            Err(err) if err.is(Errno::EPERM) && by_habit.intersects(LOCKABLE) => by_habit &= !LOCKABLE,
            Err(err) if err.is(Errno::EINVAL) && by_habit.intersects(!LOCKABLE) => by_habit &= LOCKABLE,
            Err(err) if err.is(Errno::EPERM) && !attr.clear.is_empty() => {
                let hint = "a user namespace may lock flags of the source that the options take back";
                return Err(err.with_hint(hint));
            }
            result => return result,
        }
    }
}

fn set_attributes(built: &OwnedFd, attr: AttrChange, recursive: AttrChange) -> Result<()> {
    for (change, tree) in [(attr, false), (recursive, true)] {
        if !change.is_empty() {
            mount::set_attributes(built.as_fd(), change.set, change.clear, tree)?;
        }
    }
    Ok(())
}

/// A name for a descriptor, for the calls that take only paths.
pub fn fd_path(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Builds a new instance of a filesystem; `mode` is the mode of its root, for a tmpfs. Where the kernel refuses a new
/// instance, the path `instead` is bound, if the plan has such a path.
pub fn filesystem(filesystem: &FilesystemMount, attr: MountAttr, mode: Option<u32>) -> Result<OwnedFd> {
    match (new_instance(filesystem, attr, mode), &filesystem.instead) {
        (Err(err), Some(path)) if err.is(Errno::EPERM) => {
            // The bind has all that is mounted below the path, and all of it gets the attributes: what is below must
            // not be less protected than the config asks.
            let built = mount::clone_tree(AT_FDCWD, path, true)?;
            mount::set_attributes(built.as_fd(), attr, MountAttr::NONE, true)?;
            Ok(built)
        }
        (Err(err), _) if filesystem.fstype == "proc" && err.is(Errno::EPERM) => Err(err.with_hint(
            "an outer container may mask /proc; start it with its /proc unmasked; \
                 or the pid namespace is not the container's own: bind /proc then",
        )),
        (result, _) => result,
    }
}

fn new_instance(filesystem: &FilesystemMount, attr: MountAttr, mode: Option<u32>) -> Result<OwnedFd> {
    let context = mount::fsopen(&filesystem.fstype).map_err(|err| match err.errno() {
        Some(Errno::ENODEV) => err.with_hint(format!("this kernel has no filesystem {}", filesystem.fstype)),
        _ => err,
    })?;
    let context = context.as_fd();
    mount::fsconfig_set_string(context, "source", &filesystem.source)?;
    if let Some(mode) = mode {
        mount::fsconfig_set_string(context, "mode", &format!("{mode:o}"))?;
    }
    set_options(context, filesystem)?;
    mount::fsconfig_create(context)?;
    mount::fsmount(context, attr)
}

/// Sets the options of a filesystem that splits its text at commas, or whose options have none.
pub fn set_options(context: BorrowedFd, filesystem: &FilesystemMount) -> Result<()> {
    let options = filesystem.options.iter().flat_map(|option| option.split(','));
    for option in options.filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some((key, value)) => mount::fsconfig_set_string(context, key, value)?,
            None => mount::fsconfig_set_flag(context, option)?,
        }
    }
    match &filesystem.label {
        Some(label) => mount::fsconfig_set_string(context, "context", label),
        None => Ok(()),
    }
}

/// The text of all options that mount(2) takes, without the NUL that ends it: the kernel cuts off what is beyond a
/// page.
const DATA_MAX: usize = 4095;

/// Whether fsconfig(2) says all of this as mount(2) would. It takes short texts alone, one option a call. mount(2)
/// takes one text, and how that falls into options is for the filesystem to say: most split it at commas, an overlay
/// not at
/// `\,`, a tmpfs not before a digit, and a label may stand in quotes.
fn fits_fsconfig(filesystem: &FilesystemMount) -> bool {
    let is_short = |text: &str| text.len() <= mount::FSCONFIG_TEXT_MAX;
    let is_plain = |option: &String| {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        !key.is_empty() && is_short(key) && is_short(value) && !option.contains([',', '"', '\\'])
    };
    is_short(&filesystem.source) && filesystem.options.iter().all(is_plain)
}

/// Mounts a new instance of a filesystem on `target`, and returns the mount.
pub fn mount_filesystem(
    filesystem: &FilesystemMount,
    attr: MountAttr,
    mode: Option<u32>,
    target: &OwnedFd,
) -> Result<OwnedFd> {
    if fits_fsconfig(filesystem) {
        let built = self::filesystem(filesystem, attr, mode)?;
        mount::attach(built.as_fd(), target.as_fd())?;
        return Ok(built);
    }
    let mode = mode.map(|mode| format!("mode={mode:o}"));
    mount_at_once(filesystem, attr.ms_flags(), mode, target)?;
    // `..` of a root is the root itself, with all that is mounted on it.
    file::open_in_root(target, Path::new(".."), OFlag::O_PATH | OFlag::O_DIRECTORY)
}

/// Changes flags and options of what is mounted on `target`, in one call of mount(2). What becomes read-only in the end
/// is left as it is until then.
pub fn remount(filesystem: &FilesystemMount, planned: &Mount, target: &OwnedFd) -> Result<()> {
    let settles_access_times = planned.attr.clear.intersects(MountAttr::ATIME);
    let all = if settles_access_times { MountAttr::ms_flags_of_all } else { MountAttr::ms_flags };
    let mut attr = planned.attr.set;
    if planned.sealed_later {
        attr |= mount::attributes_of(target)? & MountAttr::RDONLY;
    }
    mount_at_once(filesystem, libc::MS_REMOUNT | all(attr), None, target)
        .doing_with(|| format!("remount {}", planned.destination.display()))
}

/// One call of mount(2), with `first` before the other options.
fn mount_at_once(
    filesystem: &FilesystemMount,
    flags: u64,
    first: Option<String>,
    target: &OwnedFd,
) -> Result<()> {
    let (words, data): (Vec<_>, Vec<_>) =
        filesystem.options.iter().partition(|option| mount::superblock_flag(option).is_some());
    let flags =
        words.iter().filter_map(|word| mount::superblock_flag(word)).fold(flags, |all, turn| turn(all));
    let label = filesystem.label.as_ref().map(|label| format!("context=\"{label}\""));
    let data: Vec<String> = first.into_iter().chain(data.into_iter().cloned()).chain(label).collect();
    let data = data.join(",");
    if data.len() > DATA_MAX {
        let text = format!("the options have {} bytes in all, and mount(2) takes {DATA_MAX}", data.len());
        return Err(Error::invalid(text));
    }
    mount::mount_legacy(&filesystem.source, &fd_path(target), &filesystem.fstype, flags, &data)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What is cleared in the end by a kernel that refuses `unknown` bits and holds `locked` ones.
    fn cleared(attr: AttrChange, unknown: MountAttr, locked: MountAttr) -> Result<MountAttr> {
        let done = RefCell::new(MountAttr::NONE);
        as_far_as_unlocked(attr, |attr| {
            assert!(attr.clear_if_unlocked.is_empty());
            match attr.clear {
                clear if clear.intersects(unknown) => Err(Error::kernel("mount_setattr()", Errno::EINVAL)),
                clear if clear.intersects(locked) => Err(Error::kernel("mount_setattr()", Errno::EPERM)),
                clear => {
                    done.replace(clear);
                    Ok(())
                }
            }
        })?;
        Ok(done.into_inner())
    }

    #[test]
    fn habit_gives_way_to_locks_and_to_old_kernels() {
        let habit = AttrChange { clear_if_unlocked: CLEARED_BY_HABIT, ..AttrChange::default() };
        let lockable = CLEARED_BY_HABIT & !MountAttr::NOSYMFOLLOW;
        assert_eq!(cleared(habit, MountAttr::NONE, MountAttr::NONE).unwrap(), CLEARED_BY_HABIT);
        assert_eq!(cleared(habit, MountAttr::NONE, MountAttr::NODEV).unwrap(), MountAttr::NOSYMFOLLOW);
        assert_eq!(cleared(habit, MountAttr::NOSYMFOLLOW, MountAttr::NONE).unwrap(), lockable);
        assert_eq!(cleared(habit, MountAttr::NOSYMFOLLOW, MountAttr::NODEV).unwrap(), MountAttr::NONE);
    }

    #[test]
    fn what_a_word_takes_back_is_taken_back_or_refused() {
        let clear_if_unlocked = CLEARED_BY_HABIT & !MountAttr::RDONLY;
        let named = AttrChange { clear: MountAttr::RDONLY, clear_if_unlocked, ..AttrChange::default() };
        assert_eq!(
            cleared(named, MountAttr::NONE, MountAttr::NODEV).unwrap(),
            MountAttr::RDONLY | MountAttr::NOSYMFOLLOW
        );
        for unknown in [MountAttr::NONE, MountAttr::NOSYMFOLLOW] {
            assert!(cleared(named, unknown, MountAttr::RDONLY).unwrap_err().is(Errno::EPERM));
        }
    }
}
