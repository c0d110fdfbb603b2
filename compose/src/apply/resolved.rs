//! A service as one of its containers gets it: names of the host in place of the project's own.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::client_config::proxies;
use crate::disk::{self, Disk};
use crate::error::{Context, Error, Result};
use crate::input;
use crate::model::effective::image_name;
use crate::model::network_mode;
use crate::model::types::{Attachment, FileReference, Map, Project, Service};
use crate::model::values::MountKind;
use crate::observe::{self, Observed};
use crate::plan::wanted::{container_name, mode_by_network};
use crate::record::member::Member;
use crate::spec::Bind;

/// Permissions of a secret or config whose user says nothing else.
const FILE_MODE: u32 = 0o444;

/// The service as its containers get it.
pub fn service(project: &Project, name: &str, definition: &Service) -> Service {
    let mut service = definition.clone();
    service.networks = definition
        .networks
        .iter()
        .map(|(key, attachment)| {
            let network = project.networks.get(key).map_or(key, |network| &network.name);
            let mut attachment = attachment.clone();
            attachment.aliases.insert(0, name.to_owned());
            (network.clone(), attachment)
        })
        .collect();
    if let Some(mode) = mode_by_network(project, definition) {
        (service.network_mode, service.networks) = (Some(mode.to_owned()), Map::new());
    }
    if let Some(network) = network_mode::network(definition) {
        service.networks = [(network.to_owned(), Attachment::default())].into();
        service.network_mode = None;
    }
    for mount in service.volumes.iter_mut().filter(|mount| mount.kind == MountKind::Volume) {
        let named = mount.source.as_ref().and_then(|key| project.volumes.get(key));
        mount.source = named.map(|volume| volume.name.clone()).or(mount.source.take());
    }
    for mode in [&mut service.network_mode, &mut service.pid, &mut service.ipc] {
        let shared = mode.as_deref().and_then(|mode| mode.strip_prefix("service:"));
        if let Some((parent, definition)) = shared.and_then(|key| project.services.get_key_value(key)) {
            *mode = Some(format!("container:{}", container_name(project, parent, definition, 1)));
        }
    }
    service.image = Some(image_name(project, name, definition));
    proxies::give(&mut service);
    service.secrets.clear();
    service.configs.clear();
    service
}

/// Gives a service's links the names of the containers that they lead to: `CONTAINER:NAME`.
///
/// Errors: NotFound, if a container of others isn't there.
pub fn link(service: &mut Service, project: &Project, containers: &[Observed]) -> Result<()> {
    let mut links = Vec::new();
    for link in &service.links {
        let (linked, alias) = link.split_once(':').unwrap_or((link, link));
        for one in containers {
            let member = one.record.as_ref().and_then(|record| record.member.as_ref());
            let is_linked = |member: &&Member| {
                member.project == project.name && member.service == linked && !member.one_off
            };
            let Some(member) = member.filter(is_linked) else { continue };
            let names = [alias.to_owned(), format!("{linked}-{}", member.number)];
            links.extend(names.map(|name| format!("{}:{name}", one.name())));
        }
    }
    links.sort();
    links.dedup();
    service.links = links;
    for link in &mut service.external_links {
        let (linked, alias) = link.split_once(':').unwrap_or((link, link));
        *link = format!("{}:{alias}", observe::find(containers, linked)?.name());
    }
    Ok(())
}

/// The secrets and configs of a service, with their places on the host.
pub fn files(disk: &Disk, project: &Project, service: &Service) -> Result<Vec<Bind>> {
    let mut binds = Vec::new();
    for reference in &service.secrets {
        let secret = project.secrets.get(&reference.source).ok_or_else(|| missing("secret", reference))?;
        let content = content(project, secret.environment.as_deref(), None);
        let target = reference.target.clone().unwrap_or_else(|| reference.source.clone());
        let target = if target.starts_with('/') { target } else { format!("/run/secrets/{target}") };
        let source = source(disk, project, ("secret", reference), secret.file.as_deref(), content)?;
        binds.push(bind(source, target));
    }
    for reference in &service.configs {
        let config = project.configs.get(&reference.source).ok_or_else(|| missing("config", reference))?;
        let content = content(project, config.environment.as_deref(), config.content.as_deref());
        let target = reference.target.clone().unwrap_or_else(|| format!("/{}", reference.source));
        let target = if target.starts_with('/') { target } else { format!("/{target}") };
        let source = source(disk, project, ("config", reference), config.file.as_deref(), content)?;
        binds.push(bind(source, target));
    }
    Ok(binds)
}

/// What decides whether the secrets and configs of a service are still the same.
pub fn contents(project: &Project, service: &Service) -> Vec<u8> {
    let mut all = Vec::new();
    let secrets = service.secrets.iter().filter_map(|reference| project.secrets.get(&reference.source));
    let secrets = secrets.map(|secret| (secret.file.as_deref(), secret.environment.as_deref(), None));
    let configs = service.configs.iter().filter_map(|reference| project.configs.get(&reference.source));
    let configs = configs
        .map(|config| (config.file.as_deref(), config.environment.as_deref(), config.content.as_deref()));
    for (file, environment, text) in secrets.chain(configs) {
        let read = file.and_then(|file| input::bytes(file.as_ref()).ok());
        let content =
            read.or(content(project, environment, text).map(String::into_bytes)).unwrap_or_default();
        all.extend((content.len() as u64).to_le_bytes());
        all.extend(content);
    }
    all
}

fn content(project: &Project, environment: Option<&str>, text: Option<&str>) -> Option<String> {
    let of_variable = environment.and_then(|name| project.environment.get(name)).cloned();
    of_variable.or(text.map(str::to_owned))
}

/// A file of the user's is mounted as it is. What is no file, or has another owner there, becomes one of ours.
fn source(
    disk: &Disk,
    project: &Project,
    (kind, reference): (&str, &FileReference),
    file: Option<&str>,
    content: Option<String>,
) -> Result<PathBuf> {
    let is_plain = reference.uid.is_none() && reference.gid.is_none() && reference.mode.is_none();
    let bytes = match (file, content) {
        (Some(file), _) if is_plain => return Ok(file.into()),
        (Some(file), _) => input::bytes(file.as_ref()).at(file)?,
        (None, Some(content)) => content.into_bytes(),
        (None, None) => return Err(Error::new(format!("{kind} {}: it has no content", reference.source))),
    };
    let dir = disk.project(&project.name);
    disk::make_dir(&dir)?;
    let wrong = |id: &str| Error::new(format!("{kind} {}: {id:?} is no number", reference.source));
    let owner =
        |id: &Option<String>| id.as_deref().map(|id| id.parse::<u32>().map_err(|_| wrong(id))).transpose();
    let (uid, gid) = (owner(&reference.uid)?, owner(&reference.gid)?);
    let mode = reference.mode.map_or(FILE_MODE, |mode| mode.0);
    let path = dir.join(format!(
        "{kind}-{}-{}-{}-{mode:o}",
        reference.source,
        uid.unwrap_or_default(),
        gid.unwrap_or_default()
    ));
    disk::write_private(&path, &bytes)?;
    std::os::unix::fs::chown(&path, uid, gid).at(path.display())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).at(path.display())?;
    Ok(path)
}

fn bind(source: PathBuf, target: String) -> Bind {
    let source = source.to_string_lossy().into_owned();
    Bind { source, target, read_only: true, propagation: None, recursive: None }
}

fn missing(kind: &str, reference: &FileReference) -> Error {
    Error::new(format!("{kind} {}: not in the project", reference.source))
}
