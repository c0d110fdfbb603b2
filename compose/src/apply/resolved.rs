//! A service as one of its containers gets it: names of the host in place of the project's own.

use std::fmt::Display;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::container;
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
use crate::spec::{Bind, profile};

/// Permissions of a secret or config whose user says nothing else.
const FILE_MODE: u32 = 0o444;

/// Whether all is there, and can be had on this host, that a service's containers are made with.
///
/// Errors: in docker's words.
pub fn check(project: &Project, name: &str, definition: &Service) -> Result<()> {
    container::check(&service(project, name, definition)?)?;
    let secrets = definition.secrets.iter().map(|reference| origin_of_secret(project, reference));
    let configs = definition.configs.iter().map(|reference| origin_of_config(project, reference));
    secrets.chain(configs).collect::<Result<Vec<_>>>().map(drop)
}

/// Options of `security_opt` with a profile's text in place of its file, whose relative path begins in `directory`.
///
/// Errors: a file that can't be read, or isn't JSON, in the words of docker's clients.
pub fn with_profiles(options: &[String], directory: &Path) -> Result<Vec<String>> {
    let read = |option: &String| {
        let Some(file) = profile_file(option) else { return Ok(option.clone()) };
        let failed = |doing: &str, err: &dyn Display| {
            Error::new(format!("{doing} seccomp profile ({file}) failed: {err}"))
        };
        let text = input::text(&directory.join(file)).map_err(|err| failed("opening", &err))?;
        let text = profile::compact(&text).map_err(|err| failed("compacting json for", &err))?;
        Ok(format!("seccomp={text}"))
    };
    options.iter().map(read).collect()
}

/// The file of a profile, if an option names one.
fn profile_file(option: &str) -> Option<&str> {
    let (name, value) = option.split_once(['=', ':'])?;
    let is_text = value.starts_with('{');
    let is_file = name == "seccomp" && !is_text && !["", "unconfined", "builtin"].contains(&value);
    is_file.then_some(value)
}

/// The service as its containers get it.
///
/// Errors: a profile that can't be read.
pub fn service(project: &Project, name: &str, definition: &Service) -> Result<Service> {
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
    mounted_images(project, &mut service);
    for mode in [&mut service.network_mode, &mut service.pid, &mut service.ipc] {
        let shared = mode.as_deref().and_then(|mode| mode.strip_prefix("service:"));
        if let Some((parent, definition)) = shared.and_then(|key| project.services.get_key_value(key)) {
            *mode = Some(format!("container:{}", container_name(project, parent, definition, 1)));
        }
    }
    for from in service.volumes_from.iter_mut().filter(|from| !from.starts_with("container:")) {
        let (key, mode) = from.split_once(':').unwrap_or((from, ""));
        let end = if mode.is_empty() { String::new() } else { format!(":{mode}") };
        if let Some((parent, definition)) = project.services.get_key_value(key) {
            *from = format!("container:{}{end}", container_name(project, parent, definition, 1));
        }
    }
    service.image = Some(image_name(project, name, definition));
    proxies::give(&mut service);
    service.secrets.clear();
    service.configs.clear();
    service.security_opt = with_profiles(&definition.security_opt, &project.directory)?;
    Ok(service)
}

/// Names the images of services that are built, where a service mounts one by the service's name.
pub fn mounted_images(project: &Project, service: &mut Service) {
    for mount in service.volumes.iter_mut().filter(|mount| mount.kind == MountKind::Image) {
        let named = mount.source.as_ref().and_then(|key| project.services.get_key_value(key));
        if let Some((key, built)) = named.filter(|(_, named)| named.build.is_some()) {
            mount.source = Some(image_name(project, key, built));
        }
    }
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
        let target = reference.target.clone().unwrap_or_else(|| reference.source.clone());
        let target = if target.starts_with('/') { target } else { format!("/run/secrets/{target}") };
        let origin = origin_of_secret(project, reference)?;
        binds.push(bind(source(disk, project, ("secret", reference), origin)?, target));
    }
    for reference in &service.configs {
        let target = reference.target.clone().unwrap_or_else(|| format!("/{}", reference.source));
        let target = if target.starts_with('/') { target } else { format!("/{target}") };
        let origin = origin_of_config(project, reference)?;
        binds.push(bind(source(disk, project, ("config", reference), origin)?, target));
    }
    Ok(binds)
}

/// What decides whether the secrets, configs and profiles of a service are still the same.
pub fn contents(project: &Project, service: &Service) -> Vec<u8> {
    let secrets = service.secrets.iter().map(|reference| origin_of_secret(project, reference));
    let configs = service.configs.iter().map(|reference| origin_of_config(project, reference));
    let profiles = service.security_opt.iter().filter_map(|option| profile_file(option));
    let profiles = profiles.map(|file| Origin::File(project.directory.join(file)));
    let mut all = Vec::new();
    // What isn't there is told when a container is made.
    for origin in secrets.chain(configs).map(Result::ok).chain(profiles.map(Some)) {
        let content = origin.and_then(|origin| origin.bytes().ok()).unwrap_or_default();
        all.extend((content.len() as u64).to_le_bytes());
        all.extend(content);
    }
    all
}

/// Where the content of a secret or config is.
enum Origin {
    File(PathBuf),
    Text(String),
}

impl Origin {
    fn bytes(self) -> Result<Vec<u8>> {
        match self {
            Origin::File(file) => input::bytes(&file).at(file.display()),
            Origin::Text(text) => Ok(text.into_bytes()),
        }
    }
}

fn origin_of_secret(project: &Project, reference: &FileReference) -> Result<Origin> {
    let secret = project.secrets.get(&reference.source).ok_or_else(|| missing("secret", reference))?;
    if secret.external {
        return Err(Error::new(format!("unsupported external secret {}", secret.name)));
    }
    origin(project, (&secret.name, reference), secret.file.as_deref(), secret.environment.as_deref())
}

fn origin_of_config(project: &Project, reference: &FileReference) -> Result<Origin> {
    let config = project.configs.get(&reference.source).ok_or_else(|| missing("config", reference))?;
    match &config.content {
        _ if config.external => Err(Error::new(format!("unsupported external config {}", config.name))),
        Some(content) => Ok(Origin::Text(content.clone())),
        None => {
            origin(project, (&config.name, reference), config.file.as_deref(), config.environment.as_deref())
        }
    }
}

/// Errors: a file that isn't there, a variable that isn't set, in docker's words.
fn origin(
    project: &Project,
    (name, reference): (&str, &FileReference),
    file: Option<&str>,
    variable: Option<&str>,
) -> Result<Origin> {
    let of_variable = |variable: &str| {
        let unset =
            || Error::new(format!("environment variable {variable:?} required by file {name:?} is not set"));
        project.environment.get(variable).cloned().map(Origin::Text).ok_or_else(unset)
    };
    match (file, variable) {
        (Some(file), _) => container::source_is_there(file).map(|()| Origin::File(file.into())),
        (None, Some(variable)) => of_variable(variable),
        (None, None) => Err(Error::new(format!("{}: it has no content", reference.source))),
    }
}

/// A file of the user's is mounted as it is. What is no file, or has another owner there, becomes one of ours.
fn source(
    disk: &Disk,
    project: &Project,
    (kind, reference): (&str, &FileReference),
    origin: Origin,
) -> Result<PathBuf> {
    let is_plain = reference.uid.is_none() && reference.gid.is_none() && reference.mode.is_none();
    let bytes = match origin {
        Origin::File(file) if is_plain => return Ok(file),
        origin => origin.bytes()?,
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
    Bind { source, target, read_only: true, ..Bind::default() }
}

fn missing(kind: &str, reference: &FileReference) -> Error {
    Error::new(format!("{kind} {}: not in the project", reference.source))
}
