//! What the Model says of networks, in this module's terms. Pure.

use std::net::IpAddr;
use std::str::FromStr;

use super::check;
use super::network::{Network, Wanted};
use super::request::{Attachment, Port, Protocol, Request};
use crate::error::{Context, Error, Result};
use crate::model::addresses;
use crate::model::network_mode::DEFAULT_NETWORK;
use crate::model::types::{self as model, Service};

/// Options of drivers by Docker's names.
pub mod option {
    use std::collections::BTreeMap;

    use crate::error::{Error, Result};

    pub const BRIDGE: &str = "com.docker.network.bridge.name";
    pub const MTU: &str = "com.docker.network.driver.mtu";
    pub const PARENT: &str = "parent";

    /// What Docker's own options begin with.
    const DOCKERS: &str = "com.docker.";

    /// Options that we do, or whose only value we do.
    const KNOWN: [(&str, Option<&str>); 8] = [
        (BRIDGE, None),
        (MTU, None),
        (PARENT, None),
        ("com.docker.network.bridge.enable_icc", Some("true")),
        ("com.docker.network.bridge.enable_ip_masquerade", Some("true")),
        ("com.docker.network.bridge.host_binding_ipv4", Some("0.0.0.0")),
        ("macvlan_mode", Some("bridge")),
        ("ipvlan_mode", Some("l2")),
    ];

    /// Whether a network can have these options. As with Docker, one that means nothing to anybody is left alone.
    ///
    /// Errors: the first that can't be done.
    pub fn check(options: &BTreeMap<String, String>) -> Result<()> {
        let is_done = |key: &str, value: &str| match KNOWN.iter().find(|(known, _)| *known == key) {
            Some((_, only)) => only.is_none_or(|only| only == value),
            None => !key.starts_with(DOCKERS),
        };
        match options.iter().find(|(key, value)| !is_done(key, value)) {
            Some((key, value)) => Err(Error::new(format!("option {key}={value}: can't be done here"))),
            None => Ok(()),
        }
    }
}

impl Wanted {
    /// A network of a project.
    pub fn of(network: &model::Network, created: String) -> Result<Wanted> {
        option::check(&network.driver_opts)?;
        let option = |name: &str| network.driver_opts.get(name).cloned();
        let pools = network.ipam.iter().flat_map(|ipam| &ipam.config);
        let subnets = pools.filter_map(|pool| {
            let gateway = pool.gateway.as_deref().map(read).transpose();
            let range = pool.ip_range.as_deref().map(read).transpose();
            let parsed = match (pool.subnet.as_deref().map(read), gateway, range) {
                (None, Ok(None), Ok(None)) => return None,
                (None, Ok(_), Ok(_)) => Err(Error::new(check::WITHOUT_SUBNET)),
                (Some(Ok(subnet)), Ok(gateway), Ok(range)) => Ok((subnet, gateway, range)),
                (Some(Err(err)), ..) | (_, Err(err), _) | (.., Err(err)) => Err(err),
            };
            Some(parsed.at("ipam"))
        });
        let reserved = network.ipam.iter().flat_map(|ipam| &ipam.config).flat_map(|pool| &pool.aux_addresses);
        let reserved = reserved.map(|(name, text)| Ok((name.clone(), read(text).at("ipam.aux_addresses")?)));
        let labels = network.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        Ok(Wanted {
            name: network.name.clone(),
            driver: network.driver.clone(),
            interface: option(option::BRIDGE).or_else(|| option(option::PARENT)),
            internal: network.internal,
            ipv6: network.enable_ipv6 == Some(true),
            subnets: subnets.collect::<Result<_>>()?,
            reserved: reserved.collect::<Result<_>>()?,
            mtu: option(option::MTU).map(|mtu| read(&mtu)).transpose().at(option::MTU)?,
            labels: labels.collect(),
            created,
            options: network.driver_opts.clone(),
        })
    }
}

impl Network {
    /// Whether a container can have the addresses in the network that it insists on.
    ///
    /// Errors: in Docker's words.
    pub fn check_addresses(&self, asked: &model::Attachment) -> Result<()> {
        let has = |address: &IpAddr| self.subnets.iter().any(|subnet| subnet.subnet.contains(address));
        let is_reserved = |address: &IpAddr| {
            self.subnets.iter().any(|subnet| subnet.reserved.values().any(|reserved| reserved == address))
        };
        let mut fixed = [&asked.ipv4_address, &asked.ipv6_address].into_iter().flatten();
        fixed.try_for_each(|text| match read(text) {
            Ok(address) if is_reserved(&address) => {
                Err(Error::new(addresses::of_network(&self.name, "Address already in use")))
            }
            Ok(address) if has(&address) => Ok(()),
            Ok(address) => {
                let what = addresses::outside(&address.to_string());
                Err(Error::new(addresses::of_network(&self.name, &what)))
            }
            Err(err) => Err(err),
        })
    }
}

impl Request {
    /// What a container of the service asks. `real` gives a network's name on the host, and `service_name` is one more
    /// name in each of them.
    pub fn of(
        service: &Service,
        name: &str,
        hostname: &str,
        service_name: Option<&str>,
        real: impl Fn(&str) -> String,
    ) -> Result<Request> {
        let mut joined = service.networks.iter().collect::<Vec<_>>();
        joined.sort_by_key(|(_, network)| std::cmp::Reverse(network.priority.unwrap_or_default()));
        let mut attachments = Vec::new();
        for (network, asked) in joined {
            let aliases = service_name.map(str::to_owned).into_iter().chain(asked.aliases.iter().cloned());
            // As with Docker, the default network's containers have no name of that kind.
            let own = service.hostname.clone().filter(|own| !own.is_empty() && network != DEFAULT_NETWORK);
            let aliases = aliases.chain(own);
            let addresses = [&asked.ipv4_address, &asked.ipv6_address].into_iter().flatten();
            attachments.push(Attachment {
                network: real(network),
                aliases: aliases.collect(),
                addresses: addresses.map(|address| read(address)).collect::<Result<_>>().at(network)?,
                link_local: (asked.link_local_ips.iter().map(|address| read(address)).collect::<Result<_>>())
                    .at(network)?,
                mac: asked.mac_address.clone(),
                interface: asked.interface_name.clone(),
                gateway_priority: asked.gw_priority.unwrap_or_default(),
            });
        }
        if let (Some(first), Some(mac)) = (attachments.first_mut(), &service.mac_address) {
            first.mac.get_or_insert_with(|| mac.clone());
        }
        let links = service.links.iter().chain(&service.external_links);
        let links = links.map(|link| link.split_once(':').unwrap_or((link, link)));
        let hosts = service.extra_hosts.iter().filter_map(|host| host.split_once('='));
        Ok(Request {
            name: name.to_owned(),
            hostname: hostname.to_owned(),
            domainname: service.domainname.clone().unwrap_or_default(),
            attachments,
            links: links.map(|(container, name)| (name.to_owned(), container.to_owned())).collect(),
            ports: service.ports.iter().map(port).collect::<Result<_>>().at("ports")?,
            extra_hosts: hosts.map(|(name, address)| (name.to_owned(), address.to_owned())).collect(),
            dns: service.dns.iter().map(|server| read(server)).collect::<Result<_>>().at("dns")?,
            dns_search: service.dns_search.clone(),
            dns_options: service.dns_opt.clone(),
        })
    }
}

fn port(port: &model::Port) -> Result<Port> {
    let (first, last) = match port.published.as_deref() {
        None | Some("") => (0, None),
        Some(range) => match range.split_once('-') {
            Some((first, last)) => (read(first)?, Some(read(last)?)),
            None => (read(range)?, None),
        },
    };
    let protocol = match port.protocol.as_deref() {
        None | Some("tcp") => Protocol::Tcp,
        Some("udp") => Protocol::Udp,
        Some("sctp") => Protocol::Sctp,
        Some(other) => return Err(Error::new(format!("protocol {other:?} is none of tcp, udp, sctp"))),
    };
    let host_ip = port.host_ip.as_deref().map(read::<IpAddr>).transpose()?;
    Ok(Port { host_ip, host_port: first, host_port_last: last, container_port: port.target, protocol })
}

fn read<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.trim().parse().map_err(|err| Error::new(format!("{text:?}: {err}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_asks_in_the_order_of_priorities() {
        let attachment =
            |priority| model::Attachment { priority, aliases: vec!["db".into()], ..Default::default() };
        let service = Service {
            networks: [("a".to_owned(), attachment(None)), ("b".to_owned(), attachment(Some(9)))]
                .into_iter()
                .collect(),
            hostname: Some("h".into()),
            links: vec!["p-db-1:mysql".into()],
            extra_hosts: vec!["up=host-gateway".into()],
            ..Service::default()
        };
        let request =
            Request::of(&service, "p-db-1", "h", Some("store"), |name| format!("p_{name}")).unwrap();
        let networks =
            request.attachments.iter().map(|attachment| attachment.network.as_str()).collect::<Vec<_>>();
        assert_eq!(networks, ["p_b", "p_a"]);
        assert_eq!(request.attachments[0].aliases, ["store", "db", "h"]);
        assert_eq!(request.links, [("mysql".to_owned(), "p-db-1".to_owned())]);
        assert_eq!(request.extra_hosts, [("up".to_owned(), "host-gateway".to_owned())]);
    }

    #[test]
    fn ports_are_one_a_range_or_any() {
        let of = |published: Option<&str>| {
            let asked =
                model::Port { target: 80, published: published.map(str::to_owned), ..Default::default() };
            port(&asked).map(|port| (port.host_port, port.host_port_last))
        };
        assert_eq!(of(None).unwrap(), (0, None));
        assert_eq!(of(Some("8080")).unwrap(), (8080, None));
        assert_eq!(of(Some("8000-8010")).unwrap(), (8000, Some(8010)));
        assert!(of(Some("x")).is_err());
    }

    #[test]
    fn what_is_no_address_is_named() {
        let service = Service { dns: vec!["resolver".into()], ..Service::default() };
        let err = Request::of(&service, "n", "h", None, str::to_owned).unwrap_err().to_string();
        assert_eq!(err, "dns: \"resolver\": invalid IP address syntax");
    }
}
