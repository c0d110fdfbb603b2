//! Facts about the host and the caller, read once. Plans are decided by these facts; nothing in `plan` reads the host
//! itself.

mod cgroups;
mod systemd;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub use cgroups::{cgroups, cgroups_of};

use crate::error::Result;
use crate::plan::cgroup::host::{CgroupHost, Mode};
use crate::plan::cgroup::rootless;
use crate::plan::{self, Caller, Host, IdMapHelpers, Machine, Request, seccomp};
use crate::spec::{Namespace, Spec};
use crate::sys::mountinfo::{self, MountInfo};
use crate::sys::{credentials, mount, namespace, process};

/// Reads what a plan for a new container with this config depends on.
pub fn host(spec: &Spec, request: &Request) -> Result<Host> {
    let wants_resctrl = spec.linux().is_some_and(|linux| linux.intel_rdt().is_some());
    // The table of mounts can be long: a start that needs none of it doesn't read it.
    let resctrl = if wants_resctrl { resctrl()? } else { None };
    let (mut cgroup, caller) = (cgroups()?, caller());
    if plan::cgroup_asked(spec, request, caller).may_be_systemd_s() {
        cgroup.systemd = systemd::systemd()?;
    }
    if let (Some(systemd), Mode::V1 { .. }) = (&mut cgroup.systemd, &cgroup.mode) {
        systemd.drivers = systemd::drivers()?;
    }
    let may_have_none = request.rootless.allows_none(caller.is_rootless());
    let no_cgroup_in = if may_have_none { refused_parent(&cgroup) } else { None };
    let id_map_helpers = id_map_helpers(spec, caller);
    Ok(Host { cgroup, machine: machine(), caller, id_map_helpers, no_cgroup_in, resctrl })
}

/// Reads the host's cgroups, and where in them the systemd that makes units for the caller has its own.
pub fn cgroups_with_systemd() -> Result<CgroupHost> {
    Ok(CgroupHost { systemd: systemd::systemd()?, ..cgroups()? })
}

/// Finds where resctrl is mounted as a whole. A container may see one group of it at the usual place.
fn resctrl() -> Result<Option<PathBuf>> {
    let table = mountinfo::read()?;
    let whole = |mount: &MountInfo| mount.fstype == "resctrl" && mount.root() == Path::new("/");
    Ok(MountInfo::all(&table).find(whole).map(|mount| mount.point()))
}

/// Reads which user calls the runtime, whether in a user namespace, and with which rights.
pub fn caller() -> Caller {
    const EVERY_ID: [&str; 3] = ["0", "0", "4294967295"];
    // A kernel without user namespaces has no such file.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let in_user_namespace = !map.is_empty() && !map.split_whitespace().eq(EVERY_ID);
    let denied = || std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny"));
    Caller {
        uid: credentials::effective_uid(),
        gid: credentials::effective_gid(),
        in_user_namespace,
        // Whoever is in no user namespace has the host's mounts, or a copy of them.
        owns_mounts: !in_user_namespace || namespace::owns_mounts(),
        groups_denied: in_user_namespace && denied(),
        capabilities: credentials::effective_capabilities(),
    }
}

/// The first directory in which the caller may not make a container's cgroup, or not move a process into it: that takes
/// the right to write to `cgroup.procs` of the cgroup that both have above them.
fn refused_parent(host: &CgroupHost) -> Option<PathBuf> {
    let is_ours = |parent: &PathBuf| {
        process::may_write(parent).is_ok() && process::may_write(&parent.join("cgroup.procs")).is_ok()
    };
    rootless::parents(host).into_iter().find(|parent| !is_ours(parent))
}

/// Finds the programs that map ids, where the caller may not.
fn id_map_helpers(spec: &Spec, caller: Caller) -> IdMapHelpers {
    if !spec.namespaces().is_new(Namespace::User) || caller.maps_users() && caller.maps_groups() {
        return IdMapHelpers::default();
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let find = |name: &str| {
        let directories = directories.as_bytes().split(|byte| *byte == b':').map(OsStr::from_bytes);
        let mut candidates = directories.map(|directory| Path::new(directory).join(name));
        candidates.find(|path| path.is_absolute() && process::may_execute(path).is_ok())
    };
    IdMapHelpers { newuidmap: find("newuidmap"), newgidmap: find("newgidmap") }
}

/// Reads what a plan for any process depends on.
pub fn machine() -> Machine {
    Machine {
        apparmor: std::fs::read("/sys/module/apparmor/parameters/enabled")
            .is_ok_and(|text| text.starts_with(b"Y")),
        selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        native: seccomp::NATIVE,
        mount_setattr: mount::can_set_attributes(),
    }
}
