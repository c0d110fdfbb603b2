//! `network …`

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Ended, Session, complain, now, print, say};
use crate::apply::keeper::ensure_network;
use crate::apply::membership;
use crate::cli::manage::{Connect, List, NewNetwork};
use crate::commands::filters::{
    check as check_filters, has_label, is_named, is_refused, passes, shown, truth,
};
use crate::commands::inspect::tell;
use crate::error::{Context, Error, Kind, Result};
use crate::id;
use crate::model::addresses::hardware;
use crate::model::network_mode::DEFAULT_NETWORK;
use crate::model::refused::alias;
use crate::model::types::Attachment;
use crate::net::check;
use crate::net::from_model::option;
use crate::net::network::{Network, Wanted};
use crate::net::pool::Pool;
use crate::observe::{self, Observed};
use crate::view::{self, table};

/// Networks that need no record, with their drivers.
const BUILT_IN: [(&str, &str); 2] = [("host", "host"), ("none", "null")];

pub fn create(session: &Session, new: NewNetwork) -> Ended {
    if new.name == DEFAULT_NETWORK || is_built_in(&new.name) {
        let line = format!("operation is not permitted on predefined {} network", new.name);
        return Err(Error::new(line));
    }
    let options: BTreeMap<String, String> = new.options.into_iter().collect();
    option::check(&options)?;
    let option = |name: &str| options.get(name).cloned();
    let mtu = option(option::MTU).map(|mtu| mtu.parse().map_err(|_| Error::new(format!("no size: {mtu:?}"))));
    let wanted = Wanted {
        name: new.name,
        driver: Some(new.driver),
        interface: option(option::BRIDGE).or_else(|| option(option::PARENT)),
        internal: new.internal,
        ipv6: new.ipv6,
        subnets: check::matched(&new.subnets, &new.gateways, &new.ranges)?,
        reserved: new.reserved.into_iter().map(reserved).collect::<Result<_>>()?,
        mtu: mtu.transpose().at(option::MTU)?,
        labels: new.labels.into_iter().collect(),
        created: now(),
        options: options.clone(),
    };
    say(Network::create(&session.disk, wanted, &Pool::default())?.id);
    Ok(0)
}

/// An address that no container gets.
fn reserved((name, address): (String, String)) -> Result<(String, IpAddr)> {
    let wrong = || Error::new(format!("invalid aux-address {name}={address}: not of the form NAME=10.9.0.2"));
    let address = address.parse().map_err(|_| wrong())?;
    Ok((name, address))
}

pub async fn list(session: &Session, list: &List) -> Ended {
    check_filters(&list.filters, &["dangling", "driver", "id", "label", "name", "scope", "type"])?;
    list.filters
        .iter()
        .filter(|(key, _)| key == "type")
        .try_for_each(|(_, kind)| is_custom(kind).map(drop))?;
    // As with Docker it is always there. If it can't be made, the list is without it.
    drop(ensure_network(&session.disk, DEFAULT_NETWORK));
    let containers = session.containers().await?;
    let mut rows = Vec::new();
    for about in all(session)? {
        let is_used = users(&containers, text(&about, "Name")).next().is_some();
        if passes(&list.filters, |key, value| fits(&about, is_used, key, value))? {
            rows.push(about);
        }
    }
    if list.quiet {
        rows.iter().for_each(|row| say(shortened(text(row, "Id"), list.no_trunc)));
        return Ok(0);
    }
    let rows: Vec<Value> = rows.iter().map(|about| row(about, list.no_trunc)).collect();
    let columns = &view::network::COLUMNS;
    print(&table::list(&rows, columns, columns, list.format.as_deref())?)?;
    Ok(0)
}

/// What `inspect` says of all networks, by name.
fn all(session: &Session) -> Result<Vec<Value>> {
    let recorded = Network::list(&session.disk)?;
    let mut all: Vec<Value> = recorded.iter().map(|network| view::network::inspect(network, &[])).collect();
    all.extend(BUILT_IN.map(|(name, driver)| view::network::built_in(name, driver, &id_of(name))));
    all.sort_by(|one, other| text(one, "Name").cmp(text(other, "Name")));
    Ok(all)
}

fn text<'a>(about: &'a Value, key: &str) -> &'a str {
    about[key].as_str().unwrap_or_default()
}

fn row(about: &Value, no_trunc: bool) -> Value {
    let labels: BTreeMap<String, String> =
        serde_json::from_value(about["Labels"].clone()).unwrap_or_default();
    json!({
        "ID": shortened(text(about, "Id"), no_trunc),
        "Name": about["Name"],
        "Driver": about["Driver"],
        "Scope": about["Scope"],
        "CreatedAt": about["Created"],
        "IPv4": about["EnableIPv4"].to_string(),
        "IPv6": about["EnableIPv6"].to_string(),
        "Internal": about["Internal"].to_string(),
        "Labels": shown(&labels),
    })
}

fn shortened(whole: &str, no_trunc: bool) -> String {
    if no_trunc { whole.to_owned() } else { id::short(whole).to_owned() }
}

fn fits(about: &Value, is_used: bool, key: &str, value: &str) -> Result<bool> {
    let name = text(about, "Name");
    let is_own = name != DEFAULT_NETWORK && !is_built_in(name);
    let labels: BTreeMap<String, String> =
        serde_json::from_value(about["Labels"].clone()).unwrap_or_default();
    Ok(match key {
        "driver" => text(about, "Driver") == value,
        "id" => text(about, "Id").contains(value),
        "name" => is_named(name, value),
        "scope" => text(about, "Scope") == value,
        "label" => has_label(labels.iter(), value),
        "dangling" => truth(key, value)? == (is_own && !is_used),
        "type" => is_custom(value)? == is_own,
        _ => return Err(is_refused(key)),
    })
}

/// Which of the two kinds of networks is meant.
///
/// Errors: in Docker's words.
fn is_custom(kind: &str) -> Result<bool> {
    match kind {
        "custom" => Ok(true),
        "builtin" => Ok(false),
        _ => Err(Error::new(format!("invalid filter: 'type'='{kind}'"))),
    }
}

pub async fn inspect(session: &Session, names: &[String], format: Option<&str>) -> Ended {
    let containers = session.containers().await?;
    tell(names.iter().map(|name| about(session, &containers, name)), format)
}

/// All about a network.
///
/// Errors: NotFound.
pub fn about(session: &Session, containers: &[Observed], name: &str) -> Result<Value> {
    if let Some((name, driver)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
        return Ok(view::network::built_in(name, driver, &id_of(name)));
    }
    match (find(session, name), built_in_by_id(name)) {
        (Err(err), Some((name, driver))) if err.kind() == Kind::NotFound => {
            Ok(view::network::built_in(name, driver, &id_of(name)))
        }
        (found, _) => found.map(|network| view::network::inspect(&network, containers)),
    }
}

/// The network without a record of that id, or whose id begins so, and its driver.
pub fn built_in_by_id(typed: &str) -> Option<(&'static str, &'static str)> {
    BUILT_IN.into_iter().find(|(name, _)| !typed.is_empty() && id_of(name).starts_with(typed))
}

/// The network of a name or an id. The default one is made when somebody asks for it.
fn find(session: &Session, typed: &str) -> Result<Network> {
    if typed == DEFAULT_NETWORK {
        ensure_network(&session.disk, typed)?;
    }
    Network::find(&session.disk, typed)
}

pub fn remove(session: &Session, names: &[String], force: bool) -> Ended {
    let mut code = 0;
    for name in names {
        match remove_one(session, name) {
            Ok(()) => say(name),
            // As with Docker, what isn't there is not told.
            Err(err) if force && err.kind() == Kind::NotFound => {}
            Err(err) => {
                complain(&err);
                code = 1;
            }
        }
    }
    Ok(code)
}

fn remove_one(session: &Session, typed: &str) -> Result<()> {
    if typed == DEFAULT_NETWORK || is_built_in(typed) {
        return Err(Error::new(format!("{typed} is a pre-defined network and cannot be removed")));
    }
    let network = Network::find(&session.disk, typed)?;
    Network::remove(&session.disk, &network.name)
}

pub async fn connect(session: &Session, asked: Connect) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, &asked.container)?;
    let network = named(session, &asked.network)?;
    asked.aliases.iter().try_for_each(|name| alias(name)).map_err(Error::new)?;
    asked.mac.as_deref().map_or(Ok(()), hardware).map_err(Error::new)?;
    let attachment = Attachment {
        aliases: asked.aliases,
        ipv4_address: asked.ip,
        ipv6_address: asked.ip6,
        mac_address: asked.mac,
        gw_priority: asked.gateway_priority,
        ..Attachment::default()
    };
    membership::join(&session.engine, &session.disk, one, &network, attachment).await?;
    Ok(0)
}

pub async fn disconnect(session: &Session, network: &str, container: &str, force: bool) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, container)?;
    // A network that is gone may be left.
    let name = match named(session, network) {
        Ok(network) => network.name,
        Err(err) if err.kind() == Kind::NotFound && force => network.to_owned(),
        Err(err) => return Err(err),
    };
    membership::leave(&session.engine, &session.disk, one, &name).await?;
    Ok(0)
}

fn named(session: &Session, typed: &str) -> Result<Network> {
    match typed {
        "host" => {
            Err(Error::new("container cannot be disconnected from host network or connected to host network"))
        }
        "none" => Err(Error::new("container cannot be connected to or disconnected from the network none")),
        typed => find(session, typed),
    }
}

/// The containers of a network, that run or not.
pub fn users<'a>(containers: &'a [Observed], network: &'a str) -> impl Iterator<Item = &'a Observed> {
    containers.iter().filter(move |one| {
        let asks = |record: &crate::record::Record| {
            let is_default = record.service.networks.is_empty() && record.service.network_mode.is_none();
            record.service.networks.contains_key(network) || is_default && network == DEFAULT_NETWORK
        };
        one.record.as_ref().is_some_and(asks) || one.endpoints.iter().any(|end| end.network == network)
    })
}

fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|(built_in, _)| *built_in == name)
}

/// The same at each call, as nothing else is.
fn id_of(name: &str) -> String {
    Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_without_a_record_are_known_by_their_ids() {
        for built_in in BUILT_IN {
            let id = id_of(built_in.0);
            assert_eq!(built_in_by_id(&id), Some(built_in));
            assert_eq!(built_in_by_id(id::short(&id)), Some(built_in));
        }
        assert_eq!(built_in_by_id("host"), None);
        assert_eq!(built_in_by_id(""), None);
    }
}
