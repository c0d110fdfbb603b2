//! The shared memory of containers that share an IPC namespace: one /dev/shm for all of them.
//!
//! It is a mount of the container whose namespace is joined, and no path of the host leads to it: a mount of another
//! mount namespace can't be bound by its path. So the hook takes a copy of it there, and puts the copy into the
//! container whose start the hook is part of.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::error::{Context, Error, Result};
use crate::subpath;

/// The annotation that has the process whose /dev/shm a container shares. Whoever starts the container, the runtime
/// gives it to the hook.
pub const ANNOTATION: &str = "corten.compose/shared-memory-of";

/// Where it is in each container.
const PLACE: &str = "dev/shm";

/// Puts the /dev/shm of the process `of` over the one of the container whose first process is `init`. It has its mounts
/// by now, and its program does not run yet. The system calls are there since Linux 5.2.
///
/// Errors: a process that is gone, a place without a mount.
pub fn share(of: &str, init: i32, bundle: &Path) -> Result<()> {
    let donor = of.parse().map_err(|_| Error::new(format!("annotation {ANNOTATION}: no process: {of}")))?;
    let copy = within(donor, || {
        let no_link = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_BENEATH);
        let root = File::open("/").at("/")?;
        let shared = openat2(&root, PLACE, no_link).at(PLACE)?;
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        open_tree(&shared, "", flags).map_err(io::Error::from).at("open_tree(/dev/shm)")
    })?;
    let place = subpath::in_container(init, bundle, PLACE)?;
    within(init, || {
        let by_descriptors =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&copy, "", &place, "", by_descriptors).map_err(io::Error::from).at("move_mount(/dev/shm)")
    })
}

/// Does something in the mount namespace of a process. A thread of its own enters, which shares neither its root nor
/// its working directory with the others.
fn within<T: Send>(pid: i32, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let path = format!("/proc/{pid}/ns/mnt");
    let namespace = File::open(&path).at(&path)?;
    std::thread::scope(|scope| {
        let entered = scope.spawn(|| {
            unshare(CloneFlags::CLONE_FS).at("unshare(CLONE_FS)")?;
            setns(&namespace, CloneFlags::CLONE_NEWNS).at(&path)?;
            work()
        });
        entered.join().unwrap_or_else(|_| Err(Error::new(format!("{path}: the thread inside failed"))))
    })
}
