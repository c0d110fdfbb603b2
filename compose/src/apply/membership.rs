//! Which networks a container is in: changed in its record and in what its hook reads, and at once if it runs.

use crate::disk::Disk;
use crate::engine::Engine;
use crate::engine::containers::{GetContainer, UpdateContainer};
use crate::engine::types::FieldMask;
use crate::error::{Context, Error, Kind, Result};
use crate::model::types::{Attachment, Service};
use crate::net::connect;
use crate::net::network::Network;
use crate::net::request::Request;
use crate::observe::Observed;
use crate::record::Record;

/// Puts a container into a network.
///
/// Errors: WrongState, in Docker's words, if it is there already, or has no network of its own.
pub async fn join(
    engine: &Engine,
    disk: &Disk,
    one: &Observed,
    network: &Network,
    attachment: Attachment,
) -> Result<()> {
    let record = one.record()?;
    let service = &record.service;
    refuse_joined(record)?;
    if service.networks.contains_key(&network.name) {
        let line = format!("endpoint with name {} already exists in network {}", one.name(), network.name);
        return Err(Error::of_kind(Kind::WrongState, line));
    }
    network.check_addresses(&attachment)?;
    let mut changed = service.clone();
    changed.networks.insert(network.name.clone(), attachment);
    if record.has_left_networks {
        changed.network_mode = None;
    }
    let changed = Changed { service: changed, has_left_networks: false };
    change(engine, disk, one, &changed, |request| connect::connect(disk, one.id(), request, &network.name))
        .await
}

/// Takes a container out of a network. One that is gone may be left, too.
pub async fn leave(engine: &Engine, disk: &Disk, one: &Observed, network: &str) -> Result<()> {
    let mut changed = one.record()?.service.clone();
    if changed.networks.remove(network).is_none() {
        let line = format!("container {} is not connected to the network {network}", one.id());
        return Err(Error::of_kind(Kind::WrongState, line));
    }
    let has_left_networks = changed.networks.is_empty();
    if has_left_networks {
        // Without a network it would be given the default one.
        changed.network_mode = Some("none".to_owned());
    }
    let changed = Changed { service: changed, has_left_networks };
    change(engine, disk, one, &changed, |request| connect::disconnect(disk, one.id(), request, network)).await
}

/// What a container is from now on.
struct Changed {
    service: Service,
    has_left_networks: bool,
}

fn refuse_joined(record: &Record) -> Result<()> {
    match record.service.network_mode.as_deref() {
        None | Some("bridge" | "default") => Ok(()),
        // What has left its last network may come back.
        Some("none") if record.has_left_networks => Ok(()),
        Some("none") => Err(Error::of_kind(
            Kind::WrongState,
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        )),
        Some(_) => Err(Error::of_kind(
            Kind::WrongState,
            "container sharing network namespace with another container or host cannot be connected to any other \
             network",
        )),
    }
}

/// Writes down what the container is from now on, and does it. A failure leaves what was.
async fn change(
    engine: &Engine,
    disk: &Disk,
    one: &Observed,
    changed: &Changed,
    at_once: impl FnOnce(&Request) -> Result<()>,
) -> Result<()> {
    let dir = disk.container(one.id());
    let before = Request::load(&dir)?.unwrap_or_default();
    let after = Request::of(&changed.service, &before.name, &before.hostname, None, str::to_owned)?;
    after.save(&dir)?;
    let is_up = one.state.is_up();
    let done = if is_up { at_once(&after) } else { Ok(()) };
    let done = match done {
        Ok(()) => record(engine, one, changed).await,
        Err(err) => Err(err),
    };
    if done.is_err() {
        before.save(&dir)?;
    }
    done
}

/// The record with the service as it is from now on.
async fn record(engine: &Engine, one: &Observed, changed: &Changed) -> Result<()> {
    // Its labels may have changed since it was seen.
    let answer = engine.call(GetContainer { id: one.id().to_owned() }).await.at(one.name())?;
    let mut container = answer.container.unwrap_or_default();
    let Changed { service, has_left_networks } = changed;
    let (service, has_left_networks) = (service.clone(), *has_left_networks);
    let record = Record { service, has_left_networks, ..one.record()?.clone() };
    container.extensions.extend(record.extensions()?);
    let update = UpdateContainer { container: Some(container), update_mask: FieldMask::of(&["extensions"]) };
    engine.call(update).await.at(one.name()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_left_its_last_network_may_come_back() {
        let record = |mode: &str, has_left_networks| {
            let service = Service { network_mode: Some(mode.to_owned()), ..Service::default() };
            Record { service, has_left_networks, ..Record::default() }
        };
        assert!(refuse_joined(&record("none", true)).is_ok());
        assert!(refuse_joined(&Record::default()).is_ok());
        assert!(refuse_joined(&record("none", false)).is_err());
        assert!(refuse_joined(&record("host", false)).is_err());
    }
}
