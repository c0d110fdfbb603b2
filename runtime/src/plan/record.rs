//! What is stored of a container for as long as it exists.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::cgroup::{self, CgroupPaths};
use super::{Caller, NamespaceFlags, RdtGroup, Request};
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
        rdt_group,
        owner: caller.uid,
        annotations: annotations.map(|(key, value)| (key.clone(), value.clone())).collect(),
        private_pid_namespace: spec.namespaces().is_new(Namespace::Pid),
        namespaces: NamespaceFlags(spec.namespaces().private_flags()),
        poststart: spec.hooks(HookKind::Poststart).to_vec(),
        poststop: spec.hooks(HookKind::Poststop).to_vec(),
    }
}
