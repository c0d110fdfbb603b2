//! What is stored of a container for as long as it exists.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::cgroup::{self, CgroupPaths, RecordedUnit};
use super::seccomp::Filter;
use super::{Affinity, Caller, NamespaceFlags, RdtGroup, Request, affinity};
use crate::error::Result;
use crate::spec::{HookKind, Namespace, Spec, oci};

/// What later commands go by, because they don't read config.json again.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The `ociVersion` of config.json.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The rootfs, absolute.
    pub rootfs: PathBuf,
    /// The cgroup that is made, or the caller's.
    pub cgroup_paths: CgroupPaths,
    /// The unit of systemd that is started for it.
    pub unit: Option<RecordedUnit>,
    /// The resctrl group that is made or entered.
    pub rdt_group: Option<RdtGroup>,
    /// The uid of the caller of `create`.
    pub owner: u32,
    /// The annotations of config.json: hooks see them, and `state` prints them.
    pub annotations: BTreeMap<String, String>,
    /// Whether the container has a pid namespace of its own. If so, the kernel ends all its processes when init ends.
    pub private_pid_namespace: bool,
    /// The namespaces, new or joined, that aren't the runtime's own: `exec` joins them.
    pub namespaces: NamespaceFlags,
    /// `hooks.poststart`, which `start` runs.
    pub poststart: Vec<oci::Hook>,
    /// `hooks.poststop`, which `delete` runs.
    pub poststop: Vec<oci::Hook>,
}

/// What of the config is for each `exec` alone. It finds its text again, and the filter.
#[derive(Clone, Debug, Default)]
pub struct ForExec {
    /// The compiled filter.
    pub filter: Option<Rc<Filter>>,
    /// The CPUs of a process that has no process.json of its own.
    pub affinity: Affinity,
}

/// Errors: InvalidSpec for what no `exec` could carry out.
pub(super) fn for_exec(spec: &Spec, filter: Option<Rc<Filter>>) -> Result<ForExec> {
    let affinity = spec.process().map(affinity::of).transpose()?.unwrap_or_default();
    Ok(ForExec { filter, affinity })
}

pub(super) fn recorded(
    spec: &Spec,
    request: &Request,
    caller: Caller,
    cgroup: &cgroup::Plan,
    rdt_group: Option<RdtGroup>,
) -> Recorded {
    let annotations = spec.oci().annotations().iter().flatten();
    Recorded {
        oci_version: spec.oci().version().clone(),
        id: request.id.clone(),
        bundle: request.bundle.clone(),
        rootfs: request.rootfs.clone(),
        cgroup_paths: cgroup.paths(),
        unit: cgroup.unit().map(|unit| RecordedUnit { name: unit.name.clone(), manager: unit.manager }),
        rdt_group,
        owner: caller.uid,
        annotations: annotations.map(|(key, value)| (key.clone(), value.clone())).collect(),
        private_pid_namespace: spec.namespaces().is_new(Namespace::Pid),
        namespaces: NamespaceFlags(spec.namespaces().private_flags()),
        poststart: spec.hooks(HookKind::Poststart).to_vec(),
        poststop: spec.hooks(HookKind::Poststop).to_vec(),
    }
}
