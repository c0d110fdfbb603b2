//! Facts about the host and the caller, read once. Plans are decided by these facts; nothing in `plan` reads the host
//! itself.

mod cgroups;
mod systemd;

use std::path::{Path, PathBuf};

pub use cgroups::cgroups;

use crate::error::Result;
use crate::plan::{self, Caller, Host, Machine, Request, seccomp};
use crate::spec::Spec;
use crate::sys::mountinfo::{self, MountInfo};
use crate::sys::{credentials, mount};

/// Reads what a plan for a new container with this config depends on.
pub fn host(spec: &Spec, request: &Request) -> Result<Host> {
    let wants_resctrl = spec.linux().is_some_and(|linux| linux.intel_rdt().is_some());
    // The table of mounts can be long: a start that needs none of it doesn't read it.
    let resctrl = if wants_resctrl { resctrl()? } else { None };
    let mut cgroup = cgroups()?;
    if plan::cgroup_asked(spec, request).may_be_systemd_s() {
        cgroup.systemd = systemd::systemd()?;
    }
    Ok(Host { cgroup, machine: machine(), caller: caller(), resctrl })
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
    Caller {
        uid: credentials::effective_uid(),
        in_user_namespace: !map.is_empty() && !map.split_whitespace().eq(EVERY_ID),
        limits_others: credentials::has_sys_resource(),
    }
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
