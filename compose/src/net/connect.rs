//! A network more, or one less, for a container that runs.

use super::cni::{Client, Target};
use super::endpoint::{Endpoints, Made};
use super::hook::Container;
use super::network::{self, Network};
use super::request::Request;
use super::{files, firewall, namespace};
use crate::disk::{self, Disk};
use crate::error::{Context, Error, Kind, Result};

/// Gives a container that runs what its request says of a network.
///
/// Errors: `WrongState` if the container has ended meanwhile.
pub fn connect(disk: &Disk, id: &str, request: &Request, network: &str) -> Result<()> {
    let container = Container { disk: disk.clone(), id: id.to_owned(), client: Client::new() };
    let _lock = container.lock()?;
    let mut list = running(disk, id)?;
    if list.endpoints.iter().any(|made| made.endpoint.network == network) {
        // It was started meanwhile, with the request that names the network.
        return Ok(());
    }
    let mut made = {
        let _networks = disk::lock_host(network::LOCK)?;
        let planned = container.plan(request)?.into_iter().find(|made| made.endpoint.network == network);
        let mut made = planned.ok_or_else(|| Error::new(format!("network {network}: not asked for")))?;
        made.endpoint.interface = free_interface(&list, &made.endpoint.interface);
        // The default route and the published ports stay where they are until the next start.
        made.endpoint.ports = Vec::new();
        made.plugins = plugins(disk, request, network, &made)?;
        list.endpoints.push(made.clone());
        list.save(disk, id)?;
        made
    };
    let done = container.add(list.init.pid, &mut made).and_then(|()| {
        if let Some(last) = list.endpoints.last_mut() {
            *last = made.clone();
        }
        list.save(disk, id)?;
        tell(disk, id, request, &list)
    });
    if done.is_err() {
        list.endpoints.pop();
        // The failure above is what the user should read.
        drop(take(&container, &list, &made));
    }
    done
}

/// Takes a network from a container that runs.
///
/// Errors: the network by which the container's ports are published.
pub fn disconnect(disk: &Disk, id: &str, request: &Request, network: &str) -> Result<()> {
    let container = Container { disk: disk.clone(), id: id.to_owned(), client: Client::new() };
    let _lock = container.lock()?;
    let mut list = running(disk, id)?;
    let at = list.endpoints.iter().position(|made| made.endpoint.network == network);
    let at =
        at.ok_or_else(|| Error::new(format!("container {id} is not connected to the network {network}")))?;
    if !list.endpoints[at].endpoint.ports.is_empty() {
        return Err(Error::of_kind(
            Kind::WrongState,
            format!(
                "network {network}: the container's ports are published by way of it: stop the container first"
            ),
        ));
    }
    let made = list.endpoints.remove(at);
    take(&container, &list, &made)?;
    tell(disk, id, request, &list)
}

/// The list of a container that runs.
fn running(disk: &Disk, id: &str) -> Result<Endpoints> {
    let list = Endpoints::load(disk, id)?.filter(|list| list.init.is_alive());
    list.ok_or_else(|| Error::of_kind(Kind::WrongState, format!("container {id} is not running")))
}

fn take(container: &Container, list: &Endpoints, made: &Made) -> Result<()> {
    let Container { disk, id, client } = container;
    made.endpoint.remove(disk)?;
    let netns = namespace::of(list.init.pid);
    let target = Target { container: id, netns: Some(&netns), interface: &made.endpoint.interface };
    client.delete(&target, &made.plugins, &made.result).at(&made.endpoint.network)?;
    // After the plugins: whoever is killed in between leaves a list that says all.
    list.save(disk, id)?;
    firewall::follow()
}

/// Writes the files inside anew, and has the firewall follow.
fn tell(disk: &Disk, id: &str, request: &Request, list: &Endpoints) -> Result<()> {
    let endpoints: Vec<_> = list.endpoints.iter().map(|made| &made.endpoint).collect();
    files::write(&disk.container(id), request, &endpoints, list.names_at.is_some())?;
    firewall::follow()
}

/// What the plugins are told: without a default route, which the container has or hasn't.
fn plugins(disk: &Disk, request: &Request, network: &str, made: &Made) -> Result<Vec<serde_json::Value>> {
    let attachment = request.attachments.iter().find(|attachment| attachment.network == network);
    let attachment = attachment.cloned().unwrap_or_default();
    Network::load(disk, network)?.plugins(&attachment, false, made.publisher, &[])
}

/// The wanted name, or the first `ethN` that no other endpoint has.
fn free_interface(list: &Endpoints, wanted: &str) -> String {
    let is_free = |name: &str| list.endpoints.iter().all(|made| made.endpoint.interface != name);
    if is_free(wanted) {
        return wanted.to_owned();
    }
    let mut names = (0..=list.endpoints.len()).map(|number| format!("eth{number}"));
    names.find(|name| is_free(name)).unwrap_or_else(|| wanted.to_owned())
}
