//! `ps`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::filters::{check, has_label, is_named, is_refused, passes, ports, truth};
use super::{Ended, Session, print, say};
use crate::apply::image::{self, Image};
use crate::apply::room;
use crate::cli::docker::Ps;
use crate::error::Result;
use crate::keep::Status;
use crate::model::values::MountKind;
use crate::net::network::Network;
use crate::observe::{self, Observed, State};
use crate::reference::familiar;
use crate::view::{self, table};
use crate::{id, time};

/// What `--filter` takes.
const KEYS: [&str; 14] = [
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "name", "network",
    "publish", "since", "status", "volume",
];

pub async fn ps(session: &Session, ps: &Ps) -> Ended {
    check(&ps.filters, &KEYS)?;
    let all = session.containers().await?;
    let facts = Facts::of(session, &all, &ps.filters).await?;
    // As with Docker, a status is looked for among all of them, and nothing else is.
    let is_of_all = ps.all || ps.last.is_some() || ps.filters.iter().any(|(key, _)| key == "status");
    let mut shown = Vec::new();
    for one in all {
        if (is_of_all || one.state.is_listed())
            && passes(&ps.filters, |key, value| facts.fits(&one, key, value))?
        {
            shown.push(one);
        }
    }
    shown.truncate(ps.last.unwrap_or(usize::MAX));
    if ps.quiet {
        shown.iter().for_each(|one| say(if ps.no_trunc { one.id() } else { id::short(one.id()) }));
        return Ok(0);
    }
    let now = time::now();
    let mut rows: Vec<_> = shown.iter().map(|one| view::ps::row(one, now, ps.no_trunc)).collect();
    let mut columns = view::ps::COLUMNS.to_vec();
    if ps.size {
        columns.push(view::ps::SIZE);
    }
    if ps.size || ps.format.as_ref().is_some_and(|format| format.contains(".Size")) {
        let images = image::all(&session.engine).await?;
        for (row, one) in rows.iter_mut().zip(&shown) {
            let (own, whole) = room::of_root(&session.engine, one, &images).await;
            row["Size"] = json!(view::ps::size(own, whole));
        }
    }
    print(&table::list(&rows, &columns, &view::ps::HEADINGS, ps.format.as_deref())?)?;
    Ok(0)
}

/// What the filters ask for beside the containers.
#[derive(Default)]
struct Facts {
    /// The ids of the containers, the newest first.
    order: Vec<String>,
    /// The places in this order of those that are named by `before` and `since`.
    places: BTreeMap<String, usize>,
    /// The images that are named by `ancestor`.
    ancestors: BTreeMap<String, String>,
    /// The ports that images expose, by their ids: `80/tcp`.
    exposed: BTreeMap<String, Vec<String>>,
    /// The names of networks with their ids.
    networks: Vec<(String, String)>,
}

impl Facts {
    /// Errors: a container that isn't there, in Docker's words.
    async fn of(session: &Session, all: &[Observed], filters: &[(String, String)]) -> Result<Facts> {
        let keys: BTreeSet<&str> = filters.iter().map(|(key, _)| key.as_str()).collect();
        let values = |key: &'static str| {
            filters.iter().filter(move |(other, _)| other == key).map(|(_, value)| value.clone())
        };
        let mut facts =
            Facts { order: all.iter().map(|one| one.id().to_owned()).collect(), ..Facts::default() };
        for value in values("before").chain(values("since")) {
            let found = observe::find(all, &value)?.id().to_owned();
            let place = facts.order.iter().position(|id| *id == found).unwrap_or_default();
            facts.places.insert(value, place);
        }
        for value in values("ancestor") {
            // Docker finds nothing by an image that isn't there.
            if let Ok(found) = image::find(&session.engine, &value, None).await {
                facts.ancestors.insert(value, found.id);
            }
        }
        if keys.contains("expose") {
            let ports = |image: Image| (image.id, image.document.config.exposed_ports.into_keys().collect());
            facts.exposed = image::all(&session.engine).await?.into_iter().map(ports).collect();
        }
        if keys.contains("network") {
            let networks = Network::list(&session.disk)?.into_iter();
            facts.networks = networks.map(|network| (network.name, network.id)).collect();
        }
        Ok(facts)
    }

    fn fits(&self, one: &Observed, key: &str, value: &str) -> Result<bool> {
        let place = || self.order.iter().position(|id| id == one.id());
        Ok(match key {
            "id" => one.id().starts_with(value),
            "name" => is_named(one.name(), value),
            "label" => has_label(one.container.labels.iter(), value),
            "status" => one.state.name() == value,
            "health" => health(one) == value,
            "exited" => matches!(one.state, State::Exited { code, .. } if code.to_string() == value),
            "ancestor" => self.is_of(one, value),
            "before" => place() > self.places.get(value).copied(),
            "since" => place() < self.places.get(value).copied(),
            "network" => self.is_in(one, value),
            "volume" => has_mount(one, value),
            "publish" => self.has_port(one, (key, value), false)?,
            "expose" => self.has_port(one, (key, value), true)?,
            // Nothing here is a task of a swarm.
            "is-task" => !truth(key, value)?,
            _ => return Err(is_refused(key)),
        })
    }

    fn is_of(&self, one: &Observed, image: &str) -> bool {
        let own = one.record.as_ref().map(|record| &record.image_id);
        let found = self.ancestors.get(image);
        familiar(&one.container.image) == familiar(image) || found.is_some() && own == found
    }

    /// Whether a container is in a network of this name, or whose id begins so.
    fn is_in(&self, one: &Observed, network: &str) -> bool {
        let by_id = self.networks.iter().filter(|(_, id)| !network.is_empty() && id.starts_with(network));
        let names: Vec<&str> = by_id.map(|(name, _)| name.as_str()).chain([network]).collect();
        let asked = one.record.iter().flat_map(|record| match &record.service.network_mode {
            Some(mode) => vec![mode.as_str()],
            None => record.service.networks.keys().map(String::as_str).collect(),
        });
        let joined = one.endpoints.iter().map(|endpoint| endpoint.network.as_str());
        asked.chain(joined).any(|own| names.contains(&own))
    }

    fn has_port(&self, one: &Observed, (key, value): (&str, &str), exposed: bool) -> Result<bool> {
        let (first, last, protocol) = ports(key, value)?;
        let Some(record) = &one.record else { return Ok(false) };
        let is_it = |port: u16, other: &str| (first..=last).contains(&port) && protocol == other;
        let published = record.service.ports.iter();
        let mut published = published.map(|port| (port.target, port.protocol.as_deref().unwrap_or("tcp")));
        let is_exposed = |text: &String| {
            ports(key, text).is_ok_and(|(from, to, other)| (from..=to).any(|port| is_it(port, &other)))
        };
        let of_image = self.exposed.get(&record.image_id).into_iter().flatten();
        Ok(published.any(|(port, other)| is_it(port, other))
            || exposed && record.service.expose.iter().chain(of_image).any(is_exposed))
    }
}

fn health(one: &Observed) -> &'static str {
    match one.kept.health.as_ref().map(|health| health.status) {
        None => "none",
        Some(Status::Starting) => "starting",
        Some(Status::Healthy) => "healthy",
        Some(Status::Unhealthy) => "unhealthy",
    }
}

/// Whether a container has a volume of this name, a path of the host, or something at this place.
fn has_mount(one: &Observed, value: &str) -> bool {
    let Some(record) = &one.record else { return false };
    let mut binds = record.service.volumes.iter().filter(|mount| mount.kind == MountKind::Bind);
    record.volumes.iter().any(|(target, name)| target == value || name == value)
        || binds.any(|bind| bind.target == value || bind.source.as_deref() == Some(value))
}
