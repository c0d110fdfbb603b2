//! What is wanted: a project, with the hashes and digests that tell whether what is there is still that.

use std::collections::{BTreeMap, BTreeSet};

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

/// The services that a service is started behind, and stopped before: those that it depends on, that it links, and
/// whose namespaces or mounts it shares.
pub fn goes_behind<'a>(project: &'a Project, service: &'a Service) -> BTreeSet<&'a str> {
    let named = service.depends_on.keys().map(String::as_str);
    named.chain(linked(project, service)).chain(parents(project, service)).collect()
}

/// The services with which a service starts again: those of which it says so, and those whose namespaces it shares.
pub fn restarts_with<'a>(project: &'a Project, service: &'a Service) -> impl Iterator<Item = &'a str> {
    let asked = service.depends_on.iter().filter(|(_, dependency)| dependency.restart);
    asked.map(|(name, _)| name.as_str()).chain(namespace_parents(project, service))
}

/// The services that a service links: by their names, or by those of their containers.
pub fn linked<'a>(project: &'a Project, service: &'a Service) -> Vec<&'a str> {
    let names = service.links.iter().map(|link| before_colon(link));
    let of = |name: &'a str| {
        if project.services.contains_key(name) { Some(name) } else { service_of(project, name) }
    };
    names.filter_map(of).collect()
}

/// The services whose namespaces or mounts a service shares: with another container of theirs it is another one, too.
pub fn parents<'a>(project: &'a Project, service: &'a Service) -> Vec<&'a str> {
    let lender = |from: &'a String| match from.strip_prefix("container:") {
        Some(container) => service_of(project, before_colon(container)),
        None => Some(before_colon(from)),
    };
    let of_mounts = service.volumes_from.iter().filter_map(lender);
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

/// The containers that a service asks for by their names or ids: it shares their namespaces or mounts, or links them.
pub fn containers_asked(service: &Service) -> impl Iterator<Item = &str> {
    let shared = modes(service).filter_map(|mode| mode.strip_prefix("container:"));
    let lenders = service.volumes_from.iter().filter_map(|from| from.strip_prefix("container:"));
    shared.chain(lenders.chain(service.external_links.iter().map(String::as_str)).map(before_colon))
}

fn before_colon(text: &str) -> &str {
    text.split(':').next().unwrap_or(text)
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
