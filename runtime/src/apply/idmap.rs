//! Id maps, and user namespaces made for their maps alone: an id-mapped mount takes its map from a user namespace.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;

use crate::error::{Context, Result};
use crate::plan::{IdMap, IdMapping};
use crate::sys::namespace::{Forked, clone3};
use crate::sys::pidfd::PidFd;
use crate::sys::process::{self, SingleThreaded};
use crate::sys::{file, signal};

/// Makes a user namespace with these maps. It lasts as long as the descriptor, or a mount that uses it, is there.
pub fn user_namespace(alone: &SingleThreaded, maps: &IdMapping) -> Result<OwnedFd> {
    let (pid, pidfd) = match clone3(alone, libc::CLONE_NEWUSER as u64, None, false)? {
        Forked::Child(_) => {
            // The child does nothing: the namespace needs a process until its maps are written. The supervisor kills
            // the child, and so does the supervisor's death.
            if process::set_parent_death_signal(Some(Signal::SIGKILL)).is_err() {
                process::exit_now(1);
            }
            signal::wait_for_the_end()
        }
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let namespace = write_maps(pid, &maps.uids, &maps.gids)
        .and_then(|()| file::open_following_links(&of(pid, "ns/user"), OFlag::O_RDONLY));
    PidFd::from(pidfd).end()?;
    namespace.doing("make a user namespace for an id-mapped mount")
}

/// Writes the maps of the user namespace that process `pid` has made.
pub fn write_maps(pid: i32, uids: &[IdMap], gids: &[IdMap]) -> Result<()> {
    file::write_following_links(&of(pid, "uid_map"), &lines(uids)).doing("write uid_map")?;
    file::write_following_links(&of(pid, "gid_map"), &lines(gids)).doing("write gid_map")
}

fn of(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

fn lines(maps: &[IdMap]) -> String {
    maps.iter().map(|map| format!("{} {} {}\n", map.container, map.host, map.size)).collect()
}
