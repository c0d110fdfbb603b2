//! Namespaces, cgroup and kernel parameters.

use std::collections::BTreeMap;

use super::{Inputs, oci, wrong};
use crate::error::Result;

/// The version of the specification that the fields are of. runc 1.1 refuses a later one.
pub const OCI_VERSION: &str = "1.0.2";

/// The namespaces of a container: its own, those it joins; where it is in the host's, there is none.
pub fn namespaces(inputs: &Inputs) -> Result<Vec<oci::Namespace>> {
    let service = inputs.service;
    let joined = inputs.joined;
    // A network that the mode names is among the service's networks by now.
    let network = match mode("network_mode", service.network_mode.as_deref(), &["none"], joined.network)? {
        Mode::Host => None,
        Mode::Own => Some(own_or_joined("network", "net", joined.network)),
    };
    let pid = match mode("pid", service.pid.as_deref(), &["private"], joined.pid)? {
        Mode::Host => None,
        Mode::Own => Some(own_or_joined("pid", "pid", joined.pid)),
    };
    let ipc = match mode("ipc", service.ipc.as_deref(), &["private", "shareable", "none"], joined.ipc)? {
        Mode::Host => None,
        Mode::Own => Some(own_or_joined("ipc", "ipc", joined.ipc)),
    };
    let uts = match mode("uts", service.uts.as_deref(), &["private"], None)? {
        Mode::Host => None,
        Mode::Own => Some(own_or_joined("uts", "uts", None)),
    };
    mode("userns_mode", service.userns_mode.as_deref(), &[], None)?;
    let cgroup = has_own_cgroup_namespace(inputs)?.then(|| own_or_joined("cgroup", "cgroup", None));
    let mount = Some(own_or_joined("mount", "mnt", None));
    Ok([mount, network, uts, pid, ipc, cgroup].into_iter().flatten().collect())
}

/// On v2 the container sees its own cgroup as the root; on v1 Docker shows the host's tree.
fn has_own_cgroup_namespace(inputs: &Inputs) -> Result<bool> {
    match inputs.service.cgroup.as_deref() {
        None | Some("") => Ok(inputs.host.unified_cgroups && !inputs.service.privileged),
        Some("private") => Ok(true),
        Some("host") => Ok(false),
        Some(other) => Err(wrong("cgroup", format!("{other:?}: must be host or private"))),
    }
}

/// Parameters that a network namespace of its own makes harmless: every user may open low ports and ping.
const NETWORK_SYSCTLS: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

/// The kernel's parameters of the container's namespaces.
pub fn sysctls(inputs: &Inputs) -> BTreeMap<String, String> {
    let is_host = inputs.service.network_mode.as_deref() == Some("host");
    let has_own_network = !is_host && inputs.joined.network.is_none();
    let defaults = NETWORK_SYSCTLS.iter().filter(|_| has_own_network);
    let mut sysctls: BTreeMap<_, _> =
        defaults.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    sysctls.extend(inputs.service.sysctls.clone());
    sysctls
}

/// Where the container's cgroup is: in systemd's words where systemd owns the tree.
pub fn cgroups_path(inputs: &Inputs) -> String {
    let parent = inputs.service.cgroup_parent.as_deref().unwrap_or_default();
    let id = inputs.id;
    if inputs.host.systemd {
        format!("{}:corten:{id}", if parent.is_empty() { "system.slice" } else { parent })
    } else {
        let parent = parent.trim_matches('/');
        format!("/{}/{id}", if parent.is_empty() { "corten" } else { parent })
    }
}

enum Mode {
    Host,
    Own,
}

/// What a mode of a namespace says. A mode that joins is resolved by now.
fn mode(field: &str, mode: Option<&str>, own: &[&str], joined: Option<u32>) -> Result<Mode> {
    match mode.unwrap_or_default() {
        "" => Ok(Mode::Own),
        "host" => Ok(Mode::Host),
        mode if own.contains(&mode) || joined.is_some() => Ok(Mode::Own),
        mode => Err(wrong(field, format!("{mode:?}: no such mode is known"))),
    }
}

fn own_or_joined(kind: &'static str, file: &str, joined: Option<u32>) -> oci::Namespace {
    oci::Namespace { kind, path: joined.map(|pid| format!("/proc/{pid}/ns/{file}")) }
}
