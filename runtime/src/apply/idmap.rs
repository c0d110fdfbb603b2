//! Id maps, and user namespaces made for their maps alone: an id-mapped mount takes its map from a user namespace.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;

use super::subprocess;
use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::{IdMap, IdMapper, IdMapping, MappedIds};
use crate::sys::clock::Deadline;
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
    let namespace = write_map(pid, UIDS, &maps.uids)
        .and_then(|()| write_map(pid, GIDS, &maps.gids))
        .and_then(|()| file::open_following_links(&of(pid, "ns/user"), OFlag::O_RDONLY));
    PidFd::from(pidfd).end()?;
    namespace.doing("make a user namespace for an id-mapped mount")
}

/// Maps the ids of the user namespace that process `pid` has made.
///
/// Errors: Denied with the words of a helper that refuses.
pub fn map(pid: i32, mapped: &MappedIds) -> Result<()> {
    let MappedIds { maps, users_by, groups_by, groups_denied } = mapped;
    map_by(users_by, pid, UIDS, &maps.uids)?;
    if *groups_denied {
        file::write_following_links(&of(pid, "setgroups"), "deny").doing("deny setgroups")?;
    }
    map_by(groups_by, pid, GIDS, &maps.gids)
}

const UIDS: &str = "uid_map";
const GIDS: &str = "gid_map";

fn map_by(mapper: &IdMapper, pid: i32, file: &str, lines: &[IdMap]) -> Result<()> {
    match mapper {
        IdMapper::Supervisor => write_map(pid, file, lines),
        IdMapper::Helper(helper) => {
            run_helper(helper, pid, lines).doing_with(|| format!("write {file} by {}", helper.display()))
        }
    }
}

fn write_map(pid: i32, file: &str, lines: &[IdMap]) -> Result<()> {
    let written = file::write_following_links(&of(pid, file), &self::lines(lines));
    written.doing_with(|| format!("write {file}")).map_err(|err| match err.errno() {
        Some(Errno::EPERM) => err.with_hint("these ids of the host are not all the caller's to map"),
        _ => err,
    })
}

/// A helper may ask a directory of users on the network.
const HELPER_PATIENCE: Duration = Duration::from_secs(30);

fn run_helper(helper: &Path, pid: i32, lines: &[IdMap]) -> Result<()> {
    let numbers = lines.iter().flat_map(|line| [line.container, line.host, line.size]);
    let mut command = Command::new(helper);
    command.arg(pid.to_string()).args(numbers.map(|number| number.to_string())).stdin(Stdio::null());
    let ran = subprocess::run(&mut command, Deadline::after(HELPER_PATIENCE))?;
    if ran.succeeded() {
        return Ok(());
    }
    let how = if ran.in_time { ran.how() } else { format!("no answer in {} s", HELPER_PATIENCE.as_secs()) };
    let hint = "/etc/subuid and /etc/subgid say which ids are a user's to map";
    Err(Error::new(Kind::Denied, how + &ran.printed()).with_hint(hint))
}

fn of(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

fn lines(maps: &[IdMap]) -> String {
    maps.iter().map(|map| format!("{} {} {}\n", map.container, map.host, map.size)).collect()
}
