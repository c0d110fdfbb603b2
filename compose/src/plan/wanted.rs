//! What is wanted: a project, with the hashes and digests that tell whether what is there is still that.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::model::types::{Project, Service};

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The project.
    pub project: &'a Project,
    /// What its definitions come to.
    pub facts: &'a Facts,
}

/// What the definitions of a project come to, by their names in the project.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The hashes of the services' definitions.
    pub services: BTreeMap<String, String>,
    /// The digests of the services' images, as they are on the host.
    pub images: BTreeMap<String, String>,
    /// The digests of the services' secrets and configs.
    pub files: BTreeMap<String, String>,
    /// The hashes of the networks' definitions.
    pub networks: BTreeMap<String, String>,
    /// The hashes of the volumes' definitions.
    pub volumes: BTreeMap<String, String>,
}

/// The name of a service's container of that number.
pub fn container_name(project: &Project, service: &str, definition: &Service, number: u32) -> String {
    match &definition.container_name {
        Some(name) => name.clone(),
        None => format!("{}-{service}-{number}", project.name),
    }
}

/// The names on the host of the networks that a service is on.
pub fn networks_of(project: &Project, service: &Service) -> Vec<String> {
    let names = service.networks.keys().filter_map(|key| project.networks.get(key));
    names.map(|network| network.name.clone()).collect()
}

/// The names on the host of the named volumes that a service mounts.
pub fn volumes_of(project: &Project, service: &Service) -> Vec<String> {
    let keys = service.volumes.iter().filter_map(|mount| mount.source.as_deref());
    keys.filter_map(|key| project.volumes.get(key)).map(|volume| volume.name.clone()).collect()
}

/// The services whose namespaces or mounts a service shares: with another container of theirs it is another one, too.
pub fn parents(service: &Service) -> Vec<&str> {
    let shared = [&service.network_mode, &service.pid, &service.ipc];
    let of_namespaces = shared.into_iter().flatten().filter_map(|mode| mode.strip_prefix("service:"));
    let of_mounts = service.volumes_from.iter().filter(|from| !from.starts_with("container:"));
    of_namespaces.chain(of_mounts.filter_map(|from| from.split(':').next())).collect()
}

/// The services whose namespaces it shares: with another process of theirs, its own are no more.
pub fn namespace_parents(service: &Service) -> Vec<&str> {
    let shared = [&service.network_mode, &service.pid, &service.ipc];
    shared.into_iter().flatten().filter_map(|mode| mode.strip_prefix("service:")).collect()
}

/// A name, and a port of the host, is one container's.
pub fn refuse_what_only_one_can_have(name: &str, service: &Service, count: u32) -> Result<()> {
    if count < 2 {
        return Ok(());
    }
    if let Some(own) = &service.container_name {
        return Err(Error::new(format!("services.{name}: {count} containers can't all have the name {own}")));
    }
    let fixed = service.ports.iter().filter_map(|port| port.published.as_deref());
    match fixed.into_iter().find(|port| !port.is_empty() && !port.contains('-')) {
        Some(port) => Err(Error::new(format!(
            "services.{name}: {count} containers can't all have port {port} of the host"
        ))),
        None => Ok(()),
    }
}
