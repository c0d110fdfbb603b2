//! What is stored of a container, as `state.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::Hook;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::plan::cgroup::{CgroupPaths, RecordedUnit};
use crate::plan::{RdtGroup, Recorded};
use crate::sys::clock::Timestamp;
use crate::sys::pidfd::PidFd;

/// What every command after `create` needs to know of a container, in a few hundred bytes.
///
/// A key that runc's `state.json` has too is named as it is there, because tools peek at that file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The `ociVersion` of the container's config.json.
    #[serde(rename = "ociVersion")]
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Init, as the host numbers it; 0 as long as `create` has no process.
    pub init_process_pid: i32,
    /// When init started, in clock ticks since boot: with the pid, it names one process for ever.
    pub init_process_start: u64,
    /// When the container was created, as RFC 3339 text.
    pub created: String,
    /// The container's cgroup. The record names it before it is made, so that `delete` finds it half-made.
    pub cgroup_paths: CgroupPaths,
    /// The unit of systemd that the cgroup is known by, named before it is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd_unit: Option<RecordedUnit>,
    /// The container's resctrl group, named before it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intel_rdt_path: Option<PathBuf>,
    /// The container's monitoring group, named before it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intel_rdt_mon_path: Option<PathBuf>,
    /// Whether the resctrl group is the container's own, and goes with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub intel_rdt_own: bool,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The root filesystem, absolute.
    pub rootfs: PathBuf,
    /// The uid of the caller of `create`.
    pub owner: u32,
    /// The annotations of config.json.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whether the container has a pid namespace of its own. If so, the kernel ends all its processes when init ends.
    pub private_pid_namespace: bool,
    /// The `CLONE_NEW*` bits of the namespaces, new or joined, that aren't the runtime's own.
    pub namespaces: u64,
    /// `hooks.poststart`, which `start` runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// `hooks.poststop`, which `delete` runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

impl Record {
    /// The record of a container that is about to be created: it has no process yet.
    pub fn begun(recorded: &Recorded) -> Record {
        let Recorded { oci_version, id, bundle, rootfs, cgroup_paths, annotations, .. } = recorded.clone();
        let rdt_group = recorded.rdt_group.as_ref();
        Record {
            oci_version,
            id,
            init_process_pid: 0,
            init_process_start: 0,
            created: Timestamp::now().to_string(),
            cgroup_paths,
            systemd_unit: recorded.unit.clone(),
            intel_rdt_path: rdt_group.map(|group| group.path.clone()),
            intel_rdt_mon_path: rdt_group.and_then(|group| group.monitor.clone()),
            intel_rdt_own: rdt_group.is_some_and(|group| group.own),
            bundle,
            rootfs,
            owner: recorded.owner,
            annotations,
            private_pid_namespace: recorded.private_pid_namespace,
            namespaces: recorded.namespaces.0,
            poststart: recorded.poststart.clone(),
            poststop: recorded.poststop.clone(),
        }
    }

    /// The container's resctrl group.
    pub fn rdt_group(&self) -> Option<RdtGroup> {
        let (path, monitor) = (self.intel_rdt_path.clone()?, self.intel_rdt_mon_path.clone());
        Some(RdtGroup { path, own: self.intel_rdt_own, monitor })
    }

    /// A handle on init, if it still runs.
    pub fn init(&self) -> Result<Option<PidFd>> {
        match self.init_process_pid {
            0 => Ok(None),
            pid => PidFd::open_same(pid, self.init_process_start),
        }
    }
}
