//! The ids and capabilities of the container's process. Each change takes a right away, so their order is such that
//! each is still allowed.

use nix::sys::signal::Signal;

use crate::error::{Context, Errno, Result};
use crate::plan::User;
use crate::sys::credentials::{self, CapabilitySets};
use crate::sys::process::{self, SingleThreaded};
use crate::sys::{descriptors, file};

/// Becomes root of the user namespace, if the namespace has an id 0.
///
/// The groups of the caller go too: they are the host's. Returns whether the namespace denies setgroups(2): then groups
/// can be neither dropped nor gained, which is safe.
pub fn become_root(alone: &SingleThreaded) -> Result<bool> {
    // In a namespace without an id 0 (EINVAL), the process keeps its id. It has all capabilities in the namespace.
    ignoring_unmapped(credentials::set_gid(alone, 0))?;
    ignoring_unmapped(credentials::set_uid(alone, 0))?;
    let groups_denied = match credentials::set_groups(alone, &[]) {
        Err(err) if err.is(Errno::EPERM) => true,
        result => result.map(|()| false)?,
    };
    rearm()?;
    Ok(groups_denied)
}

fn ignoring_unmapped(result: Result<()>) -> Result<()> {
    match result {
        Err(err) if err.is(Errno::EINVAL) => Ok(()),
        result => result,
    }
}

/// Changes to the user of the process; its permitted capabilities stay until [`set_capabilities`]. The user namespace
/// may deny setgroups(2), as [`become_root`] has seen.
pub fn change_user(alone: &SingleThreaded, user: &User, groups_denied: bool) -> Result<()> {
    give_standard_streams(user.uid)?;
    credentials::keep_capabilities(true)?;
    if !(user.keeps_groups || groups_denied && user.groups.is_empty()) {
        credentials::set_groups(alone, &user.groups).map_err(|err| match err.errno() {
            Some(Errno::EINVAL) => err.with_hint("a group of process.user.additionalGids has no mapping"),
            Some(Errno::EPERM) if groups_denied => err.with_hint("the user namespace denies setgroups"),
            _ => err,
        })?;
    }
    credentials::set_gid(alone, user.gid).map_err(|err| unmapped(err, "process.user.gid"))?;
    credentials::set_uid(alone, user.uid).map_err(|err| unmapped(err, "process.user.uid"))?;
    credentials::keep_capabilities(false)?;
    process::set_umask(alone, user.umask);
    rearm()
}

/// Lets the user of the process reopen its standard streams by name (`/dev/stdout`): they were opened by root.
///
/// Only pipes without a name and sockets change their owner. A file, a fifo, a device node or a terminal of the caller
/// has a name on the host: it would be the user's from then on, and of any process of the host with the same id.
fn give_standard_streams(uid: u32) -> Result<()> {
    for stream in (0..=2).filter_map(descriptors::inherited) {
        let stat = file::stat_of(stream)?;
        if stat.st_uid == uid || !file::is_pipe_or_socket(stream, &stat) {
            continue;
        }
        match file::change_owner(stream, uid, stat.st_gid) {
            // A pipe of another user namespace, or on a read-only filesystem: it stays as it is.
            Err(err) if [Errno::EINVAL, Errno::EPERM, Errno::EROFS].iter().any(|errno| err.is(*errno)) => {}
            result => result?,
        }
    }
    Ok(())
}

fn unmapped(err: crate::error::Error, field: &str) -> crate::error::Error {
    match err.errno() {
        Some(Errno::EINVAL) => err.with_hint(format!("{field} has no mapping in the user namespace")),
        _ => err,
    }
}

/// Sets all capability sets but the bounding one.
pub fn set_capabilities(sets: &CapabilitySets) -> Result<()> {
    credentials::set_capabilities(sets).map_err(|err| match err.errno() {
        Some(Errno::EPERM) => err.with_hint(if sets.effective & !sets.permitted != 0 {
            "process.capabilities.effective has capabilities that process.capabilities.permitted lacks"
        } else if sets.inheritable & !sets.bounding != 0 {
            "process.capabilities.inheritable has capabilities that process.capabilities.bounding lacks"
        } else {
            "the runtime itself lacks one of these capabilities"
        }),
        _ => err,
    })?;
    credentials::set_ambient(sets.ambient)?;
    rearm()
}

/// Sets anew what a change of credentials undoes: the kernel forgets the parent death signal, and may make the process
/// dumpable.
fn rearm() -> Result<()> {
    process::set_parent_death_signal(Some(Signal::SIGKILL)).doing("keep dying with the supervisor")?;
    process::set_dumpable(false)
}
