//! Init builds the container's root: the rootfs, the mounts on it, the switch to it, what is sealed and hidden.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use libc::PROC_SUPER_MAGIC;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::FileStat;

use super::build::{self, Built};
use super::inside::{Mountpoint, Root};
use crate::error::{Context, Errno, Error, Kind, Result, best_effort};
use crate::plan::mount_options::AttrChange;
use crate::plan::{
    CgroupV1Mount, FilesystemMount, Mount, MountSource, OuterPropagation, PropagationChange, covers_allowed,
};
use crate::sys::file::{self, filesystem_magic};
use crate::sys::mount::{self, MountAttr};

const MAY_NOT_ENTER: &str =
    "the user of the host whom the container's root is mapped to may not enter a directory above it";

const READ_ONLY: AttrChange = AttrChange::of(MountAttr::RDONLY, MountAttr::NONE);

/// The container's root while init builds it.
pub struct Rootfs {
    /// Paths in the container are resolved here.
    pub root: Root,
    /// Mounts that are filled before they become read-only.
    unsealed: Vec<(PathBuf, OwnedFd)>,
    /// The empty directory that covers masked directories, once there is a path to mask.
    mask: Option<OwnedFd>,
}

/// Sets whether later mounts on the host show in the new mount namespace, and mounts made there show on the host.
pub fn set_propagation(outer: &OuterPropagation) -> Result<()> {
    let root = file::open_following_links(Path::new("/"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
    propagate(&root, outer.change, Path::new("/"))?;
    outer.private.as_deref().map_or(Ok(()), make_mount_private)
}

/// Says more of an EACCES on the way to the rootfs: init is the root of a user namespace then, and so a user of the
/// host with little right.
fn may_not_enter(err: Error) -> Error {
    if err.is(Errno::EACCES) { err.with_hint(MAY_NOT_ENTER) } else { err }
}

/// Makes the mount that `path` lies on private. Only a mountpoint can be told so: a directory that is none is EINVAL.
fn make_mount_private(path: &Path) -> Result<()> {
    for place in path.ancestors() {
        let fd = file::open_following_links(place, OFlag::O_PATH).map_err(may_not_enter)?;
        match propagate(&fd, PropagationChange::private(), place) {
            Err(err) if err.is(Errno::EINVAL) => {}
            result => return result.doing_with(|| format!("make {} private", place.display())),
        }
    }
    Err(Error::internal(format!("{} lies on no mount", path.display())))
}

fn propagate(target: impl AsFd, change: PropagationChange, path: &Path) -> Result<()> {
    match mount::set_propagation(target.as_fd(), change.flag(), change.recursive) {
        Err(err) if err.is(Errno::ENOSYS) => {
            let flags = change.flag() | if change.recursive { libc::MS_REC } else { 0 };
            mount::mount_legacy("", path, "", flags, "")
        }
        result => result,
    }
}

impl Rootfs {
    /// Makes the rootfs a mount of its own, with all that is mounted in it.
    ///
    /// Errors: EACCES where init is the root of a user namespace, and so a user of the host with little right.
    pub fn mount(path: &Path) -> Result<Rootfs> {
        let tree = mount::clone_tree(AT_FDCWD, path, true).map_err(may_not_enter)?;
        let target = file::open_following_links(path, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        mount::attach(tree.as_fd(), target.as_fd())?;
        Ok(Rootfs { root: Root::new(tree), unsealed: Vec::new(), mask: None })
    }

    /// Mounts the rootfs on another directory, among the mounts of the caller. Where these are shared, this mount shows
    /// in their copies too. It is made private then, so that what is mounted in it shows nowhere else.
    pub fn mount_apart(path: &Path, on: &OwnedFd) -> Result<Rootfs> {
        let tree = mount::clone_tree(AT_FDCWD, path, true)?;
        mount::attach(tree.as_fd(), on.as_fd())?;
        let change = PropagationChange { recursive: true, ..PropagationChange::private() };
        propagate(&tree, change, &build::fd_path(&tree))?;
        Ok(Rootfs { root: Root::new(tree), unsealed: Vec::new(), mask: None })
    }

    /// Performs one entry of `mounts`, and returns what is mounted. `finished` is the mount if it has been
    /// built already.
    pub fn perform(&mut self, planned: &Mount, finished: Option<Built>) -> Result<OwnedFd> {
        let mounted = match &planned.source {
            MountSource::Bind { path, recursive } => {
                let finished = match finished {
                    Some(finished) => finished,
                    None => build::bind(path, *recursive, planned.attr, planned.recursive_attr)?,
                };
                self.bind(finished, planned)?
            }
            MountSource::Filesystem(filesystem) => self.mount_filesystem(filesystem, planned, finished)?,
            MountSource::Remount(filesystem) => {
                let target = self.root.open(&planned.destination, OFlag::O_PATH)?;
                self.check_is_not_root(&file::stat_of(&target)?, planned)?;
                build::remount(filesystem, planned, &target)?;
                build::change_tree(&target, planned.recursive_attr)?;
                target
            }
            MountSource::CgroupV1(cgroup) => {
                let built = self.attach_cgroup_v1(cgroup, planned)?;
                build::change_tree(&built, planned.recursive_attr)?;
                built
            }
        };
        for change in &planned.propagation {
            propagate(&mounted, *change, &build::fd_path(&mounted))?;
        }
        Ok(mounted)
    }

    fn bind(&mut self, built: Built, planned: &Mount) -> Result<OwnedFd> {
        let stat = file::stat_of(&built.mount)?;
        if !file::is_directory(&stat) {
            let target = self.root.make_file(&planned.destination)?;
            if file::is_directory(&file::stat_of(&target)?) {
                return Err(Error::kernel("mount a file onto another kind of thing", Errno::ENOTDIR));
            }
            self.check_target(&target, planned, || filesystem_magic(&built.mount))?;
            return built.attach(&target);
        }
        let target = self.root.mountpoint(&planned.destination)?;
        self.check_target(&target.directory, planned, || filesystem_magic(&built.mount))?;
        let mounted = built.attach(&target.directory)?;
        self.note_place(&target, &mounted)?;
        Ok(mounted)
    }

    fn mount_filesystem(
        &mut self,
        filesystem: &FilesystemMount,
        planned: &Mount,
        finished: Option<Built>,
    ) -> Result<OwnedFd> {
        let mode = self.mode_to_inherit(filesystem, &planned.destination);
        let target = self.directory_target(planned, &filesystem.fstype)?;
        let on = &target.directory;
        let mounted = match finished {
            Some(finished) => finished.attach(on)?,
            None => build::mount_filesystem(filesystem, planned.attr.set, mode, on)?,
        };
        if planned.copy_up {
            super::copy_up::contents(on, &mounted)
                .doing_with(|| format!("copy {} up", planned.destination.display()))?;
        }
        build::change_tree(&mounted, planned.recursive_attr)?;
        // A new tmpfs holds nothing of the host's.
        if filesystem.fstype != "tmpfs" {
            self.note_place(&target, &mounted)?;
        }
        Ok(mounted)
    }

    /// Keeps a mount at hand until it is filled, and [sealed](Rootfs::seal).
    pub fn keep_unsealed(&mut self, destination: &Path, mounted: OwnedFd) {
        self.unsealed.push((destination.to_owned(), mounted));
    }

    /// The mode of the directory that a tmpfs will cover, if it is there.
    fn mode_to_inherit(&self, filesystem: &FilesystemMount, destination: &Path) -> Option<u32> {
        if !filesystem.inherits_mode {
            return None;
        }
        let covered = self.root.open(destination, OFlag::O_PATH | OFlag::O_DIRECTORY);
        let stat = covered.and_then(file::stat_of);
        best_effort(stat, "the tmpfs then has the kernel's mode").map(|stat| stat.st_mode & 0o7777)
    }

    /// What a filesystem is mounted on. For procfs and sysfs it must be a directory that no link leads to, because
    /// later writes go through them.
    fn directory_target(&self, planned: &Mount, fstype: &str) -> Result<Mountpoint> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let target = if matches!(fstype, "proc" | "sysfs") {
            match self.root.open_without_links(&planned.destination, flags) {
                Err(err) if err.is(Errno::ENOENT) => self.root.mountpoint(&planned.destination)?,
                Err(err) if err.is(Errno::ELOOP) || err.is(Errno::ENOTDIR) => {
                    return Err(err.with_hint(format!(
                        "{} of the image must be a directory, not a link",
                        planned.destination.display()
                    )));
                }
                result => Mountpoint { directory: result?, by_link: false },
            }
        } else {
            self.root.mountpoint(&planned.destination)?
        };
        let magic = if fstype == "proc" { PROC_SUPER_MAGIC } else { 0 };
        self.check_target(&target.directory, planned, || Ok(magic))?;
        Ok(target)
    }

    /// Checks what anything is about to be mounted on. `magic` tells the type of what would be mounted.
    fn check_target(
        &self,
        target: &OwnedFd,
        planned: &Mount,
        magic: impl FnOnce() -> Result<i64>,
    ) -> Result<()> {
        self.check_is_not_root(&file::stat_of(target)?, planned)?;
        self.check_procfs(target, planned, magic)
    }

    /// Notes what was mounted where a link of the image has led, and holds something of the host's.
    fn note_place(&mut self, target: &Mountpoint, mounted: &OwnedFd) -> Result<()> {
        if target.by_link {
            self.root.distrust(file::stat_of(mounted)?);
        }
        Ok(())
    }

    /// A mount on the root itself would cover it for whatever joins the container, though not for init. A remount would
    /// change the host's filesystem that the root lies on. The check is by what the destination leads to: a link of the
    /// image may lead to the root.
    fn check_is_not_root(&self, target: &FileStat, planned: &Mount) -> Result<()> {
        if self.root.is(target)? {
            let text =
                format!("{} leads to the root, where nothing may be mounted", planned.destination.display());
            return Err(Error::invalid(text));
        }
        Ok(())
    }

    /// Refuses to mount anything but a procfs on /proc, or on a file of a procfs, by whatever link it was reached: init
    /// and the container's programs take what they read there for the kernel's word. A few files may be covered.
    /// `magic` tells the type of what would be mounted.
    fn check_procfs(
        &self,
        target: &OwnedFd,
        planned: &Mount,
        magic: impl FnOnce() -> Result<i64>,
    ) -> Result<()> {
        let onto_proc = planned.destination == Path::new("/proc");
        let covers_procfs = filesystem_magic(target)? == PROC_SUPER_MAGIC;
        if !onto_proc && !covers_procfs {
            return Ok(());
        }
        let below = planned.destination.strip_prefix("/proc").unwrap_or(Path::new("?"));
        if covers_procfs && covers_allowed(below) {
            return Ok(());
        }
        if magic()? == PROC_SUPER_MAGIC {
            return Ok(());
        }
        Err(Error::invalid(format!("{} must stay the kernel's own", planned.destination.display())))
    }

    fn attach_cgroup_v1(&mut self, cgroup: &CgroupV1Mount, planned: &Mount) -> Result<OwnedFd> {
        let target = self.directory_target(planned, "tmpfs")?;
        let base = FilesystemMount {
            fstype: "tmpfs".into(),
            source: "tmpfs".into(),
            options: vec!["mode=755".into()],
            ..FilesystemMount::default()
        };
        let attr = planned.attr.set & !MountAttr::RDONLY;
        let built = build::mount_filesystem(&base, attr, None, &target.directory)?;
        self.note_place(&target, &built)?;
        for (name, source) in &cgroup.hierarchies {
            let name = Path::new(name);
            file::make_directory_at(&built, name, 0o755)?;
            let below = file::open_at(&built, name, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
            let attached = match source {
                MountSource::Bind { path, recursive } => {
                    let set = AttrChange::of(planned.attr.set, MountAttr::NONE);
                    build::bind(path, *recursive, set, AttrChange::default())?.attach(&below).map(drop)
                }
                MountSource::Filesystem(filesystem) => {
                    build::mount_filesystem(filesystem, planned.attr.set, None, &below).map(drop)
                }
                _ => Err(Error::internal("a v1 hierarchy is bound or mounted")),
            };
            attached.doing_with(|| format!("attach the {} hierarchy", name.display()))?;
        }
        for (link, name) in &cgroup.links {
            file::make_symlink_at(Path::new(name), &built, Path::new(link))?;
        }
        if planned.attr.set.contains(MountAttr::RDONLY) {
            build::change(&built, READ_ONLY)?;
        }
        Ok(built)
    }

    /// Switches to the new root, and takes the old root out of the mount namespace.
    pub fn pivot(&mut self) -> Result<()> {
        let old = file::open_following_links(Path::new("/"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        file::enter_directory(&self.root)?;
        mount::pivot_root_here()?;
        // The old root lies on top of the new root now. It becomes a slave of the host's mounts first, so that
        // detaching it detaches nothing on the host.
        file::enter_directory(&old)?;
        propagate(&old, PropagationChange::slave(), Path::new("."))?;
        mount::detach(Path::new("."))?;
        file::change_directory(Path::new("/"))
    }

    /// `--no-pivot`: moves the rootfs onto `/`, for hosts whose root is a ramdisk. The host's mounts stay in the
    /// namespace. Its /proc and /sys are detached first: where such a mount is in the namespace, the kernel lets a
    /// process in a user namespace make a new one without any mask.
    pub fn move_to_root(&mut self) -> Result<()> {
        for path in ["/proc", "/sys"] {
            match mount::detach(Path::new(path)) {
                Err(err) if err.is(Errno::EINVAL) || err.is(Errno::ENOENT) => {}
                result => result?,
            }
        }
        file::enter_directory(&self.root)?;
        let root = file::open_following_links(Path::new("/"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        mount::attach(self.root.as_fd(), root.as_fd())?;
        file::change_root_here()?;
        file::change_directory(Path::new("/"))
    }

    /// Changes the root of this process alone, by chroot: the mount namespace is the caller's.
    pub fn change_root(&mut self) -> Result<()> {
        file::enter_directory(&self.root)?;
        file::change_root_here()?;
        file::change_directory(Path::new("/"))
    }

    /// Sets the propagation of the new root.
    pub fn set_root_propagation(&self, change: PropagationChange) -> Result<()> {
        propagate(&self.root, change, Path::new("/"))
    }

    /// Makes a mount read-only that had to be filled before.
    pub fn seal(&mut self, destination: &Path) -> Result<()> {
        let at = self
            .unsealed
            .iter()
            .position(|(path, _)| path == destination)
            .ok_or_else(|| Error::internal(format!("{} was not mounted", destination.display())))?;
        let (_, mounted) = self.unsealed.remove(at);
        build::change(&mounted, READ_ONLY)
    }

    /// Makes the root read-only.
    pub fn seal_root(&self) -> Result<()> {
        let root = self.root.open(Path::new("/"), OFlag::O_PATH)?;
        build::change(&root, READ_ONLY)
    }

    /// Makes one path read-only. A path that is missing needs no protection.
    pub fn protect(&self, path: &Path) -> Result<()> {
        let Some(target) = self.open_if_there(path)? else { return Ok(()) };
        if self.root.is(&file::stat_of(&target)?)? {
            return self.seal_root();
        }
        let copy = mount::clone_tree(target.as_fd(), Path::new(""), true)?;
        Built::of(copy, READ_ONLY, AttrChange::default())?.attach(&target).map(drop)
    }

    /// Hides one path: a directory behind an empty directory, a file behind /dev/null. A path that is missing needs no
    /// mask.
    pub fn hide(&mut self, path: &Path) -> Result<()> {
        let Some(target) = self.open_if_there(path)? else { return Ok(()) };
        let stat = file::stat_of(&target)?;
        if self.root.is(&stat)? {
            return Err(Error::invalid(format!(
                "{} leads to the root, which can't be hidden",
                path.display()
            )));
        }
        if !file::is_directory(&stat) {
            let null = self.null_device()?;
            let copy = mount::clone_tree(null.as_fd(), Path::new(""), false)?;
            return mount::attach(copy.as_fd(), target.as_fd());
        }
        // All masked directories share one tmpfs, because each tmpfs costs the kernel a shrinker.
        let copy = match &self.mask {
            Some(mask) => mount::clone_tree(mask.as_fd(), Path::new(""), false)?,
            None => empty_directory()?,
        };
        mount::attach(copy.as_fd(), target.as_fd())?;
        if self.mask.is_none() {
            self.mask = Some(copy);
        }
        Ok(())
    }

    /// The container's /dev/null, if it is the null device. Any other file there would become the mask, and be written
    /// to in its place.
    fn null_device(&self) -> Result<OwnedFd> {
        let null = self.root.open_without_links(Path::new("/dev/null"), OFlag::O_PATH)?;
        if !file::is_null_device(&file::stat_of(&null)?) {
            return Err(Error::new(Kind::Denied, "/dev/null is not the null device"));
        }
        Ok(null)
    }

    fn open_if_there(&self, path: &Path) -> Result<Option<OwnedFd>> {
        match self.root.open(path, OFlag::O_PATH) {
            Err(err) if err.is(Errno::ENOENT) || err.is(Errno::ENOTDIR) => Ok(None),
            result => result.map(Some),
        }
    }
}

fn empty_directory() -> Result<OwnedFd> {
    let filesystem = FilesystemMount {
        fstype: "tmpfs".into(),
        source: "tmpfs".into(),
        options: vec!["nr_blocks=1".into(), "nr_inodes=1".into(), "ro".into()],
        ..FilesystemMount::default()
    };
    build::filesystem(&filesystem, MountAttr::RDONLY, None)
}
