//! The cgroup of a container whose caller isn't root.
//!
//! Such a caller makes cgroups where a directory was delegated to it, and restricts no devices: that takes a right over
//! the host. Where it may make none, a container that asks for none stays in the caller's.

use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use super::devices::Policy;
use super::host::{CgroupHost, Hierarchy, Mode};
use super::{Driver, Plan, v1};
use crate::error::Result;

/// What a user is told whose container would need a cgroup.
pub(super) const HOW_TO_HAVE_A_CGROUP: &str =
    "`systemd-run --user --scope -p Delegate=yes` gives a user a cgroup";

/// Whether a container may do without a cgroup that the caller may not make (`--rootless`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rootless {
    /// If the caller isn't root.
    #[default]
    Auto,
    /// In any case.
    Yes,
    /// Never.
    No,
}

impl Rootless {
    /// Whether it may, with a caller who isn't root or is.
    pub fn allows_none(self, caller_is_rootless: bool) -> bool {
        match self {
            Rootless::Auto => caller_is_rootless,
            Rootless::Yes => true,
            Rootless::No => false,
        }
    }
}

/// The directories that the cgroup of a container is made in which names none.
pub fn parents(host: &CgroupHost) -> Vec<PathBuf> {
    let own = |hierarchy: &Hierarchy| hierarchy.mountpoint.join(&hierarchy.own);
    match &host.mode {
        Mode::V1 { hierarchies } => {
            let needed = |hierarchy: &&Hierarchy| {
                hierarchy.controllers.iter().any(|name| v1::joins(name) && !v1::is_optional(name))
            };
            hierarchies.iter().filter(needed).map(own).collect()
        }
        Mode::V2 { hierarchy, .. } => {
            let beside = hierarchy.own.parent().unwrap_or(Path::new(""));
            vec![hierarchy.mountpoint.join(beside)]
        }
    }
}

/// The plan of a container that stays in its caller's cgroup, because the caller may make none in `refused`.
pub(super) fn callers(resources: &LinuxResources, host: &CgroupHost, refused: &Path) -> Result<Plan> {
    let why = format!("no right to make one in {}", refused.display());
    let mut plan =
        super::callers(resources, host, &why).map_err(|err| err.with_hint(HOW_TO_HAVE_A_CGROUP))?;
    plan.notes.push(format!("cgroup: {why}, so the container stays in the caller's"));
    Ok(plan)
}

/// Takes back what only root of the host may do.
pub(super) fn leave_devices(plan: &mut Plan, resources: &LinuxResources) {
    plan.devices = Policy::everything();
    let rules = resources.devices().as_ref();
    if plan.driver != Driver::Caller && rules.is_some_and(|rules| !rules.is_empty()) {
        let note = "linux.resources.devices: passed over, to restrict devices takes root of the host";
        plan.notes.push(note.to_owned());
    }
}
