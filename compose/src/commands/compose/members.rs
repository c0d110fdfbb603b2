//! The commands that look at a project's containers while they run.

use std::collections::BTreeSet;

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value, json};

use super::{Session, down};
use crate::actual::{member_of, members};
use crate::apply::image;
use crate::apply::volume;
use crate::cli::compose::Down;
use crate::cli::members::{Events, Port};
use crate::cli::observe::Stats;
use crate::commands::events::Span;
use crate::commands::{Ended, lifecycle, port, print, say, stats, top, written};
use crate::disk;
use crate::error::{Error, Result};
use crate::happenings::Happenings;
use crate::model::types::Project;
use crate::observe::Observed;
use crate::plan::selection;
use crate::record::member;
use crate::reference::Reference;
use crate::view::table::{self, Column};
use crate::{id, time};

/// The project's containers of those services, or of all.
async fn chosen(session: &Session, project: &Project, services: &[String]) -> Result<Vec<Observed>> {
    let selected = selection::named(project, services)?;
    let mut containers = members(&session.engine, &project.name).await?;
    containers.retain(|one| services.is_empty() || selected.contains(service_of(one)));
    Ok(containers)
}

fn service_of(one: &Observed) -> &str {
    member_of(one).map(|member| member.service.as_str()).unwrap_or_default()
}

fn number_of(one: &Observed) -> u32 {
    member_of(one).map(|member| member.number).unwrap_or_default()
}

pub async fn top(session: &Session, project: &Project, services: &[String]) -> Ended {
    let mut lines = Vec::new();
    for one in chosen(session, project, services).await?.iter().filter(|one| one.state.is_up()) {
        // One that ends meanwhile has no processes to list.
        let Ok(processes) = top::processes(&session.engine, one, &[]).await else { continue };
        let (service, number) = (service_of(one).to_owned(), number_of(one).to_string());
        for (at, cells) in processes.into_iter().enumerate() {
            let before = if at == 0 {
                ["SERVICE".to_owned(), "#".to_owned()]
            } else {
                [service.clone(), number.clone()]
            };
            // The headings are the same for all.
            if at > 0 || lines.is_empty() {
                lines.push(before.into_iter().chain(cells).collect::<Vec<_>>());
            }
        }
    }
    print(&table::aligned(&lines))?;
    Ok(0)
}

pub async fn stats(session: &Session, project: &Project, asked: &Stats) -> Ended {
    let services = &asked.containers;
    selection::named(project, services)?;
    stats::show(&session.engine, asked, async || {
        let containers = chosen(session, project, services).await?.into_iter();
        let shown = containers.filter(|one| asked.all || one.state.is_up());
        Ok(shown.map(|one| (one.name().to_owned(), one)).collect())
    })
    .await
}

/// What is docker compose's own to say, and no label of the user's.
const OWN_LABELS: &str = "com.docker.compose.";

pub async fn events(session: &Session, project: &Project, asked: &Events) -> Ended {
    let selected = selection::named(project, &asked.services)?;
    let span = Span::of(&asked.since, &asked.until)?;
    let mut happenings = Happenings::of(&session.engine).await?;
    while let Some(mut event) = span.next(&mut happenings).await? {
        let own = |name: &str| event.attributes.get(&format!("{OWN_LABELS}{name}")).cloned();
        let service = own("service").unwrap_or_default();
        let is_meant = asked.services.is_empty() || selected.contains(&service);
        if own("project").as_ref() != Some(&project.name)
            || own("oneoff").is_some_and(|is| is == "True")
            || !is_meant
        {
            continue;
        }
        event.attributes.retain(|name, _| !name.starts_with(OWN_LABELS));
        let line = if asked.json { event.compose_json(&service).to_string() } else { event.compose_line() };
        if !written(&line) {
            break;
        }
    }
    Ok(0)
}

const IMAGE_COLUMNS: [Column; 7] = [
    ("ContainerName", "CONTAINER"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Platform", "PLATFORM"),
    ("ShortID", "IMAGE ID"),
    ("ShownSize", "SIZE"),
    ("CreatedSince", "CREATED"),
];

pub async fn images(
    session: &Session,
    project: &Project,
    services: &[String],
    (quiet, format): (bool, Option<&str>),
) -> Ended {
    let images = image::all(&session.engine).await?;
    let containers = chosen(session, project, services).await?;
    let rows: Vec<Value> = containers.iter().map(|one| image_row(one, &images)).collect();
    if quiet {
        let ids: BTreeSet<&str> = rows.iter().filter_map(|row| row["ID"].as_str()).collect();
        ids.iter().for_each(|id| say(id.trim_start_matches("sha256:")));
        return Ok(0);
    }
    if format == Some("json") {
        let fields = ["ID", "ContainerName", "Repository", "Tag", "Platform", "Size", "Created"];
        let short = |row: &Value| -> Value {
            fields.iter().map(|field| ((*field).to_owned(), row[*field].clone())).collect()
        };
        say(Value::from(rows.iter().map(short).collect::<Vec<_>>()));
        return Ok(0);
    }
    let format = format.filter(|format| *format != "table");
    print(&table::list(&rows, &IMAGE_COLUMNS, &IMAGE_COLUMNS, format)?)?;
    Ok(0)
}

/// The image of a container, as far as it is still there.
fn image_row(one: &Observed, images: &[image::Image]) -> Value {
    const NONE: &str = "<none>";
    let record = one.record.clone().unwrap_or_default();
    let found = images.iter().find(|image| image.id == record.image_id);
    let named = Reference::parse(&one.container.image).ok();
    let created = found.and_then(|image| image.document.created.clone());
    let seconds = created.as_deref().and_then(time::parse_rfc3339).map(|(seconds, _)| seconds);
    let since = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(|seconds| {
        let age = time::now().saturating_sub(std::time::Duration::from_secs(seconds));
        format!("{} ago", time::words(age))
    });
    let size = found.map_or(0, image::Image::size);
    json!({
        "ID": record.image_id,
        "ContainerName": one.name(),
        "Repository": named.as_ref().map_or_else(|| NONE.to_owned(), Reference::repository),
        "Tag": named.as_ref().and_then(Reference::tag).unwrap_or(NONE),
        "Platform": found.map(|image| format!("{}/{}", image.document.os, image.document.architecture)),
        "Size": size,
        "Created": created,
        "ShortID": id::short(record.image_id.trim_start_matches("sha256:")),
        "ShownSize": table::bytes(size),
        "CreatedSince": since.unwrap_or_else(|| "N/A".to_owned()),
    })
}

pub async fn port(session: &Session, project: &Project, asked: &Port) -> Ended {
    let protocol = port::protocol(&asked.protocol)?;
    let service = &asked.service;
    let containers = chosen(session, project, std::slice::from_ref(service)).await?;
    let is_one_off = |one: &Observed| member_of(one).is_some_and(|member| member.one_off);
    let mut up = containers.iter().filter(|one| one.state.is_up() && !is_one_off(one));
    let one = match asked.index {
        None => up.next().ok_or_else(|| Error::new(format!("service {service:?} is not running")))?,
        Some(index) => up
            .find(|one| number_of(one) == index)
            .ok_or_else(|| Error::new(format!("service {service:?} is not running container #{index}")))?,
    };
    let places = port::places_of(one, asked.number, protocol);
    let Some(place) = places.first() else {
        let published = port::published(one).into_iter();
        let published: Vec<String> =
            published.map(|port| format!("{}/{}", port.container_port, port.protocol)).collect();
        return Err(Error::new(format!(
            "no port {}/{protocol} for container {}: {}",
            asked.number,
            one.name(),
            published.join(", ")
        )));
    };
    say(place);
    Ok(0)
}

/// Ends with the exit code of the container that has ended last, or first if the project goes then.
pub async fn wait(session: &Session, project: &Project, services: &[String], is_down: bool) -> Ended {
    let containers = chosen(session, project, services).await?;
    if containers.is_empty() {
        return Err(Error::new(format!("no containers for project {:?}", project.name)));
    }
    let ends =
        containers.iter().map(|one| async { (one.id(), lifecycle::code_of_end(&session.engine, one).await) });
    let mut ends: FuturesUnordered<_> = ends.collect();
    let mut last = 0;
    while let Some((id, code)) = ends.next().await {
        last = code?;
        say(format_args!("container {id:?} exited with status code {last}"));
        if is_down {
            down::down(session, project, &Down::default()).await?;
            break;
        }
    }
    Ok(u8::try_from(last).unwrap_or(u8::MAX))
}

const VOLUME_COLUMNS: [Column; 2] = [("Driver", "DRIVER"), ("Name", "VOLUME NAME")];

pub fn volumes(
    session: &Session,
    project: &Project,
    services: &[String],
    (quiet, format): (bool, Option<&str>),
) -> Ended {
    let selected = selection::named(project, services)?;
    let used = selected.iter().flat_map(|name| &project.services[name].volumes);
    let used: BTreeSet<&str> = used.filter_map(|mount| mount.source.as_deref()).collect();
    let is_used = |name: &str| {
        let mut keys = project.volumes.iter().filter(|(_, volume)| volume.name == name);
        services.is_empty() || keys.any(|(key, _)| used.contains(key.as_str()))
    };
    let mut rows = Vec::new();
    for path in disk::list(&session.disk.volumes())? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(found) = volume::find(&session.disk, name)? else { continue };
        if member::is_of(&project.name, &found.labels) && is_used(name) {
            let labels: Vec<String> =
                found.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            rows.push(json!({
                "Driver": found.driver,
                "Labels": labels.join(","),
                "Mountpoint": volume::data(&session.disk, name),
                "Name": name,
                "Scope": "local",
            }));
        }
    }
    if quiet {
        rows.iter().filter_map(|row| row["Name"].as_str()).for_each(say);
        return Ok(0);
    }
    let format = format.filter(|format| *format != "table");
    print(&table::list(&rows, &VOLUME_COLUMNS, &VOLUME_COLUMNS, format)?)?;
    Ok(0)
}

pub fn version(short: bool, format: Option<&str>) -> Ended {
    let version = env!("CARGO_PKG_VERSION");
    match format {
        Some("json") => say(json!({ "version": version })),
        None | Some("" | "pretty") if short => say(version),
        None | Some("" | "pretty") => say(format_args!("corten-compose version {version}")),
        Some(other) => return Err(Error::new(format!("--format {other}: must be pretty or json"))),
    }
    Ok(0)
}
