//! The cgroup of a container whose caller isn't root.
//!
//! Such a caller makes cgroups where a directory was delegated to it, and restricts no devices: that takes a right over
//! the host. Where it may make none, a container that asks for none stays in the caller's.

use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use super::devices::Policy;
use super::host::{CgroupHost, Hierarchy, Mode};
use super::{Driver, Manager, Plan, v1};
use crate::error::Result;

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

/// As [`decide`](super::decide), for a caller who isn't root, or who may make no cgroup in `refused`.
pub fn decide_rootless(
    manager: Manager,
    id: &str,
    cgroups_path: Option<&Path>,
    resources: Option<&LinuxResources>,
    host: &CgroupHost,
    refused: Option<&Path>,
) -> Result<Plan> {
    let names_none = cgroups_path.is_none_or(|path| path.as_os_str().is_empty());
    match refused.filter(|_| manager == Manager::Cgroupfs && names_none) {
        Some(refused) => {
            let unlimited = LinuxResources::default();
            let why = format!("no right to make one in {}", refused.display());
            let mut plan = super::callers(resources.unwrap_or(&unlimited), host, &why).map_err(|err| {
                err.with_hint("`systemd-run --user --scope -p Delegate=yes` gives a user a cgroup")
            })?;
            plan.notes.push(format!("cgroup: {why}, so the container stays in the caller's"));
            Ok(plan)
        }
        None => {
            let mut plan = super::decide(manager, id, cgroups_path, resources, host)?;
            plan.devices = Policy::everything();
            let rules = resources.and_then(|resources| resources.devices().as_ref());
            if plan.driver != Driver::Caller && rules.is_some_and(|rules| !rules.is_empty()) {
                let note = "linux.resources.devices: passed over, to restrict devices takes root of the host";
                plan.notes.push(note.to_owned());
            }
            Ok(plan)
        }
    }
}
