//! What a Compose file leaves unsaid: names, default networks, default files, and which services go before others.

use super::types::{Attachment, Dependency, Map, Project, Service};

/// The network of services that name none.
const DEFAULT_NETWORK: &str = "default";

/// Says in all services what has a default of the Compose Specification's, in those that are switched off too.
pub fn set_defaults(project: &mut Project) {
    project.services.values_mut().for_each(defaults_of_service);
}

/// Says which networks, names, Dockerfiles and dependencies are meant where a file says nothing of them.
pub fn normalize(project: &mut Project) {
    let directory = project.directory.to_string_lossy().into_owned();
    for service in project.services.values_mut() {
        normalize_service(service, &directory);
    }
    if project.services.values().any(|service| service.networks.contains_key(DEFAULT_NETWORK)) {
        project.networks.entry(DEFAULT_NETWORK.to_owned()).or_default();
    }
    let name = |name: &mut String, key: &str, external: bool| {
        if name.is_empty() {
            *name = if external { key.to_owned() } else { format!("{}_{key}", project.name) };
        }
    };
    project.networks.iter_mut().for_each(|(key, network)| name(&mut network.name, key, network.external));
    project.volumes.iter_mut().for_each(|(key, volume)| name(&mut volume.name, key, volume.external));
    project.secrets.iter_mut().for_each(|(key, secret)| name(&mut secret.name, key, secret.external));
    project.configs.iter_mut().for_each(|(key, config)| name(&mut config.name, key, config.external));
    project.models.iter_mut().for_each(|(key, model)| name(&mut model.name, key, false));
}

fn normalize_service(service: &mut Service, directory: &str) {
    if service.networks.is_empty() && service.network_mode.is_none() && service.provider.is_none() {
        service.networks.insert(DEFAULT_NETWORK.to_owned(), Attachment::default());
    }
    if let Some(build) = &mut service.build {
        build.context.get_or_insert_with(|| directory.to_owned());
        if build.dockerfile_inline.is_none() {
            build.dockerfile.get_or_insert_with(|| "Dockerfile".to_owned());
        }
        build.args.retain(|_, value| value.is_some());
    }
    service.depends_on = dependencies(service);
}

fn defaults_of_service(service: &mut Service) {
    for secret in &mut service.secrets {
        secret.target.get_or_insert_with(|| format!("/run/secrets/{}", secret.source));
    }
    for port in &mut service.ports {
        port.mode.get_or_insert_with(|| "ingress".to_owned());
        port.protocol.get_or_insert_with(|| "tcp".to_owned());
    }
    for device in &mut service.devices {
        device.target.get_or_insert_with(|| device.source.clone());
        device.permissions.get_or_insert_with(|| "rwm".to_owned());
    }
    let reservations =
        service.deploy.as_mut().and_then(|deploy| deploy.resources.as_mut()?.reservations.as_mut());
    let reserved = reservations.into_iter().flat_map(|reservations| &mut reservations.devices);
    for device in reserved.chain(&mut service.gpus) {
        if device.device_ids.is_empty() {
            device.count.get_or_insert(-1);
        }
    }
}

/// The services that go before: those that are named, and those whose names, namespaces or mounts are used.
fn dependencies(service: &Service) -> Map<Dependency> {
    let mut depends_on = service.depends_on.clone();
    let mut add = |name: &str, restart: bool| {
        let dependency = Dependency { restart, ..Dependency::default() };
        depends_on.entry(name.to_owned()).or_insert(dependency);
    };
    for link in &service.links {
        add(link.split(':').next().unwrap_or(link), true);
    }
    let modes = [&service.network_mode, &service.ipc, &service.pid, &service.uts, &service.cgroup];
    for mode in modes.into_iter().flatten() {
        if let Some(name) = mode.strip_prefix("service:") {
            add(name, true);
        }
    }
    for from in service.volumes_from.iter().filter(|from| !from.starts_with("container:")) {
        add(from.split(':').next().unwrap_or(from), false);
    }
    depends_on
}
