//! Service and image → OCI runtime spec, as Docker makes it. Pure: what only the host knows is handed in.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::model::types::Service;
use crate::shared_memory::ANNOTATION;

mod base;
mod mounts;
mod process;
mod security;

pub mod capabilities;
pub mod check;
pub mod commit;
pub mod image;
pub mod limits;
pub mod oci;
pub mod places;
pub mod profile;
pub mod seccomp;
pub mod update;
pub mod user;

#[cfg(test)]
mod tests;

pub use mounts::Bind;
pub use process::{command, set};

/// All that a spec is made of.
pub struct Inputs<'a> {
    /// The container's id.
    pub id: &'a str,
    /// What its container is asked to be.
    pub service: &'a Service,
    /// What the image says.
    pub image: &'a image::Config,
    /// The user, as the image's passwd and group have it.
    pub user: oci::User,
    /// Its host name; the host's own in the host's UTS namespace.
    pub hostname: &'a str,
    /// The directory that has `hosts`, `hostname` and `resolv.conf`. None: the image's own are left alone.
    pub files: Option<&'a Path>,
    /// Volumes, binds, secrets and configs, each with its place on the host.
    pub binds: &'a [Bind],
    /// The processes whose namespaces are joined.
    pub joined: Joined,
    /// What runs outside of the container when it starts and ends.
    pub hooks: Option<oci::Hooks>,
    /// Beside the service's own.
    pub annotations: BTreeMap<String, String>,
    /// What the host is like.
    pub host: &'a Host,
    /// The devices at a path of the host: one, or all below a directory.
    pub devices: &'a dyn Fn(&str) -> Result<Vec<oci::Device>>,
}

/// The processes whose namespaces are joined, for `container:X` and `service:X`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Joined {
    /// Whose network.
    pub network: Option<u32>,
    /// Whose process ids.
    pub pid: Option<u32>,
    /// Whose queues and shared memory.
    pub ipc: Option<u32>,
}

/// What the host is like, as far as specs depend on it.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Whether systemd runs the host.
    pub systemd: bool,
    /// Whether the cgroups are v2's alone.
    pub unified_cgroups: bool,
    /// Whether the kernel can make a mount read-only with all below it.
    pub recursive_readonly: bool,
    /// The capabilities that this process has, a bit for each number: containerd is taken to have no others.
    pub capabilities: u64,
    /// Major and minor number of its kernel.
    pub kernel: profile::Kernel,
    /// Whether it has AppArmor.
    pub apparmor: bool,
    /// The memory nodes that containers can have, as the kernel lists them. Empty: it doesn't say.
    pub memory_nodes: String,
    /// An init, if one is installed.
    pub init: Option<String>,
}

/// The spec of a container.
///
/// Errors: a field of the service that can't be what it is.
pub fn build(inputs: &Inputs) -> Result<oci::Spec> {
    let service = inputs.service;
    let annotations = service.annotations.clone().into_iter().chain(inputs.annotations.clone());
    let capabilities = capabilities::granted(service, inputs.host.capabilities)?;
    let security = security::of(service, &capabilities, inputs.host)?;
    let namespaces = base::namespaces(inputs)?;
    // Where the UTS namespace is the host's, its names are the host's, too.
    let has_own_names = namespaces.iter().any(|namespace| namespace.kind == "uts");
    Ok(oci::Spec {
        oci_version: base::OCI_VERSION.to_owned(),
        process: process::of(inputs, &capabilities, &security)?,
        root: oci::Root { path: "rootfs".to_owned(), readonly: service.read_only },
        hostname: if has_own_names { inputs.hostname.to_owned() } else { String::new() },
        domainname: service.domainname.clone().filter(|_| has_own_names).unwrap_or_default(),
        mounts: mounts::of(inputs)?,
        hooks: inputs.hooks.clone(),
        annotations: annotations.chain(shared_memory(service, inputs.joined)).collect(),
        linux: oci::Linux {
            devices: limits::devices(inputs)?,
            sysctl: base::sysctls(inputs),
            resources: limits::resources(inputs)?,
            cgroups_path: base::cgroups_path(inputs),
            namespaces,
            seccomp: security.seccomp,
            masked_paths: security.masked_paths,
            readonly_paths: security.readonly_paths,
            rootfs_propagation: String::new(),
            mount_label: String::new(),
        },
    })
}

/// Whose /dev/shm the hook mounts: that of the IPC namespace which is joined, unless the service mounts something
/// there.
fn shared_memory(service: &Service, joined: Joined) -> Option<(String, String)> {
    let is_there = |target: &str| target.trim_end_matches('/') == "/dev/shm";
    let tmpfs = service.tmpfs.iter().map(|typed| typed.split(':').next().unwrap_or_default());
    let mut targets = service.volumes.iter().map(|mount| mount.target.as_str()).chain(tmpfs);
    let pid = joined.ipc.filter(|_| !targets.any(is_there))?;
    Some((ANNOTATION.to_owned(), pid.to_string()))
}

/// Says which field of a service is wrong, and why.
fn wrong(field: &str, why: impl std::fmt::Display) -> Error {
    Error::new(format!("{field}: {why}"))
}

/// Puts those who run now into a spec whose namespaces were joined to processes that may have ended.
pub fn rejoin(spec: &mut serde_json::Value, service: &Service, joined: Joined) {
    let of = |kind: &str| match kind {
        "network" => joined.network.map(|pid| format!("/proc/{pid}/ns/net")),
        "pid" => joined.pid.map(|pid| format!("/proc/{pid}/ns/pid")),
        "ipc" => joined.ipc.map(|pid| format!("/proc/{pid}/ns/ipc")),
        _ => None,
    };
    for namespace in spec["linux"]["namespaces"].as_array_mut().into_iter().flatten() {
        if let Some(path) = namespace["type"].as_str().and_then(of) {
            namespace["path"] = path.into();
        }
    }
    if let Some((key, pid)) = shared_memory(service, joined) {
        spec["annotations"][key] = pid.into();
    }
}
