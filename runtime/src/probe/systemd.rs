//! systemd, as a maker of cgroups.

use std::path::{Component, Path, PathBuf};

use super::cgroups::memberships;
use crate::error::{Error, Result};
use crate::plan::cgroup::host::{Drivers, Systemd, SystemdManager};
use crate::sys::cgroupfs::{self, Top};
use crate::systemd;

/// Finds the systemd that makes units for the caller, and the cgroup that its units are in. `None` if there is none.
pub(super) fn systemd() -> Result<Option<Systemd>> {
    let Some(manager) = systemd::runs() else { return Ok(None) };
    let control_group = match manager {
        SystemdManager::System => of_process_1(),
        SystemdManager::User => match of_user_manager()? {
            None => return Ok(None),
            Some(found) => found,
        },
    };
    Ok(Some(Systemd { manager, control_group, drivers: Drivers::default() }))
}

/// Reads which drivers of devices there are.
pub(super) fn drivers() -> Result<Drivers> {
    let table =
        std::fs::read_to_string("/proc/devices").map_err(|err| Error::io("read(/proc/devices)", &err))?;
    let (char, block) = table.split_once("Block devices:").unwrap_or((&table, ""));
    Ok(Drivers { char: numbered(char), block: numbered(block) })
}

/// Lines of a number and a name: `  4 tty`.
fn numbered(lines: &str) -> Vec<(u32, String)> {
    let numbered = |line: &str| {
        let (number, name) = line.trim_start().split_once(' ')?;
        Some((number.parse().ok()?, name.to_owned()))
    };
    lines.lines().filter_map(numbered).collect()
}

/// The system's systemd is in a scope at the top of its own tree. The tree is a part of the host's in a container that
/// sees the host's cgroups.
fn of_process_1() -> PathBuf {
    let table = cgroupfs::read_file("/proc/1/cgroup").unwrap_or_default();
    let of_systemd = memberships(&table).filter(|(names, _)| names.is_empty() || *names == "name=systemd");
    let tops =
        of_systemd.filter_map(|(_, own)| Path::new(own).parent().filter(|_| own.ends_with("/init.scope")));
    tops.map(below).next().unwrap_or_default()
}

/// The user's systemd is a service of the system's. It is looked for above the caller first: in a user namespace the
/// caller doesn't know the number of its user.
fn of_user_manager() -> Result<Option<PathBuf>> {
    let table = cgroupfs::read_file("/proc/self/cgroup")?;
    let above = memberships(&table).find_map(|(_, own)| {
        let is_manager = |name: &str| name.starts_with("user@") && name.ends_with(".service");
        Path::new(own)
            .ancestors()
            .find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_manager))
    });
    if let Some(above) = above {
        return Ok(Some(below(above)));
    }
    let uid = crate::sys::credentials::effective_uid();
    let usual = PathBuf::from(format!("user.slice/user-{uid}.slice/user@{uid}.service"));
    let top = Top::open();
    let is_there =
        |mountpoint: &str| top.version(&Path::new(Top::PATH).join(mountpoint).join(&usual)).is_some();
    Ok(["", "systemd", "unified"].into_iter().any(is_there).then_some(usual))
}

fn below(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}
