//! What is wanted: a project, with the hashes and digests that tell whether what is there is still that.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::model::network_mode::{self, is_built_in};
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

/// The names on the host of the networks that a service is on, without those that need no record.
pub fn networks_of(project: &Project, service: &Service) -> Vec<String> {
    let defined = service.networks.keys().filter_map(|key| project.networks.get(key));
    let names = defined.map(|network| network.name.as_str()).chain(network_mode::network(service));
    names.filter(|name| !is_built_in(name)).map(str::to_owned).collect()
}

/// The mode, `host` or `none`, that a service is in by the name of a network.
pub fn mode_by_network<'a>(project: &'a Project, service: &Service) -> Option<&'a str> {
    let defined = service.networks.keys().filter_map(|key| project.networks.get(key));
    defined.map(|network| network.name.as_str()).find(|name| is_built_in(name))
}

/// The names on the host of the named volumes that a service mounts.
pub fn volumes_of(project: &Project, service: &Service) -> Vec<String> {
    let keys = service.volumes.iter().filter_map(|mount| mount.source.as_deref());
    keys.filter_map(|key| project.volumes.get(key)).map(|volume| volume.name.clone()).collect()
}

/// The services whose namespaces or mounts a service shares: with another container of theirs it is another one, too.
pub fn parents<'a>(project: &'a Project, service: &'a Service) -> Vec<&'a str> {
    let of_mounts = service.volumes_from.iter().filter(|from| !from.starts_with("container:"));
    let of_mounts = of_mounts.filter_map(|from| from.split(':').next());
    namespace_parents(project, service).into_iter().chain(of_mounts).collect()
}

/// The services whose namespaces it shares: with another process of theirs, its own are no more.
pub fn namespace_parents<'a>(project: &'a Project, service: &'a Service) -> Vec<&'a str> {
    let owner = |mode: &'a str| match mode.strip_prefix("service:") {
        Some(name) => Some(name),
        None => service_of(project, mode.strip_prefix("container:")?),
    };
    modes(service).filter_map(owner).collect()
}

/// The service that has, or will have, a container of that name.
pub fn service_of<'a>(project: &'a Project, container: &str) -> Option<&'a str> {
    let has = |(key, service): &(&String, &Service)| {
        (1..=service.replicas()).any(|number| container_name(project, key, service, number) == container)
    };
    project.services.iter().find(has).map(|(key, _)| key.as_str())
}

/// The containers that a service asks for by their names or ids: it shares their namespaces, or links them.
pub fn containers_asked(service: &Service) -> impl Iterator<Item = &str> {
    let shared = modes(service).filter_map(|mode| mode.strip_prefix("container:"));
    shared.chain(service.external_links.iter().map(|link| link.split(':').next().unwrap_or(link)))
}

fn modes(service: &Service) -> impl Iterator<Item = &str> {
    [&service.network_mode, &service.pid, &service.ipc].into_iter().flatten().map(String::as_str)
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
