//! `NetworkSettings`: what a container has of networks.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::config;
use crate::id;
use crate::model::network_mode::DEFAULT_NETWORK;
use crate::net::endpoint::Endpoint;
use crate::net::network::Network;
use crate::observe::Observed;
use crate::record::Record;
use crate::spec::image;

/// What it has of each network, and beside it once more what it has of the default one.
pub fn settings(observed: &Observed, record: &Record, image: &image::Config, networks: &[Network]) -> Value {
    let endpoint = |name: &str| observed.endpoints.iter().find(|endpoint| endpoint.network == name);
    let id = |name: &str| networks.iter().find(|network| network.name == name).map(|network| &network.id);
    let names: Vec<String> = match (&record.service.network_mode, observed.endpoints.as_slice()) {
        // One that doesn't run is in its networks, too.
        (None, []) if record.service.networks.is_empty() => vec![DEFAULT_NETWORK.to_owned()],
        (None, []) => record.service.networks.keys().cloned().collect(),
        (Some(mode), []) if ["host", "none", DEFAULT_NETWORK].contains(&mode.as_str()) => vec![mode.clone()],
        (_, endpoints) => endpoints.iter().map(|endpoint| endpoint.network.clone()).collect(),
    };
    let of_each = names.iter().map(|name| {
        let mut about = addresses(endpoint(name));
        let more = json!({
            "IPAMConfig": ipam(record, name),
            "Links": links(record),
            "Aliases": aliases(observed, record, name),
            "DriverOpts": null,
            "GwPriority": record.service.networks.get(name).and_then(|of| of.gw_priority).unwrap_or_default(),
            "NetworkID": id(name),
            "DNSNames": endpoint(name).map(|endpoint| &endpoint.names),
            "EndpointID": endpoint(name).map_or("", |_| observed.id()),
        });
        if let (Some(about), Value::Object(more)) = (about.as_object_mut(), more) {
            about.extend(more);
        }
        (name.clone(), about)
    });
    let mut settings = addresses(endpoint(DEFAULT_NETWORK));
    let more = json!({
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": sandbox(observed),
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": endpoint(DEFAULT_NETWORK).map_or("", |_| observed.id()),
        "Networks": of_each.collect::<Map<_, _>>(),
        "Ports": ports(observed, record, image),
    });
    if let (Some(settings), Value::Object(more)) = (settings.as_object_mut(), more) {
        settings.extend(more);
    }
    settings
}

/// Where the kernel shows the network namespace.
fn sandbox(observed: &Observed) -> String {
    let task = observed.task.as_ref().filter(|_| observed.state.is_up());
    task.map_or_else(String::new, |task| format!("/proc/{}/ns/net", task.pid))
}

/// The addresses that were asked for.
fn ipam(record: &Record, network: &str) -> Value {
    let Some(of) = record.service.networks.get(network) else { return Value::Null };
    let asked = [("IPv4Address", &of.ipv4_address), ("IPv6Address", &of.ipv6_address)];
    let asked =
        asked.into_iter().filter_map(|(key, address)| Some((key.to_owned(), json!(address.as_ref()?))));
    let local = Some(&of.link_local_ips).filter(|local| !local.is_empty());
    let local = local.map(|local| ("LinkLocalIPs".to_owned(), json!(local)));
    let asked: Map<String, Value> = asked.chain(local).collect();
    if asked.is_empty() { Value::Null } else { Value::Object(asked) }
}

/// The further names. As docker compose has it, the container's own is among those of a project's.
fn aliases(observed: &Observed, record: &Record, network: &str) -> Value {
    let of = record.service.networks.get(network);
    let name = record.member.as_ref().map(|_| observed.name().to_owned());
    let further = of.into_iter().flat_map(|of| of.aliases.clone());
    let aliases: Vec<String> =
        name.into_iter().chain(further.filter(|alias| alias != id::short(observed.id()))).collect();
    if aliases.is_empty() { Value::Null } else { json!(aliases) }
}

/// The containers that only this one knows by further names.
fn links(record: &Record) -> Value {
    let links: Vec<&String> = record.service.links.iter().chain(&record.service.external_links).collect();
    if links.is_empty() { Value::Null } else { json!(links) }
}

fn addresses(endpoint: Option<&Endpoint>) -> Value {
    let addresses = endpoint.map(|endpoint| endpoint.addresses.as_slice()).unwrap_or_default();
    let address = |is_v4: bool| addresses.iter().find(|address| address.addr().is_ipv4() == is_v4);
    let gateways = endpoint.map(|endpoint| endpoint.gateways.as_slice()).unwrap_or_default();
    let gateway = |is_v4: bool| gateways.iter().find(|gateway| gateway.is_ipv4() == is_v4);
    let text = |address: Option<&IpNet>| address.map(|net| net.addr().to_string()).unwrap_or_default();
    let length = |address: Option<&IpNet>| address.map_or(0, IpNet::prefix_len);
    json!({
        "IPAddress": text(address(true)),
        "IPPrefixLen": length(address(true)),
        "GlobalIPv6Address": text(address(false)),
        "GlobalIPv6PrefixLen": length(address(false)),
        "Gateway": gateway(true).map(IpAddr::to_string).unwrap_or_default(),
        "IPv6Gateway": gateway(false).map(IpAddr::to_string).unwrap_or_default(),
        "MacAddress": endpoint.and_then(|endpoint| endpoint.mac.as_deref()).unwrap_or_default(),
    })
}

/// By the container's ports, where each is on the host. One that is exposed and not published is nowhere.
fn ports(observed: &Observed, record: &Record, image: &image::Config) -> Value {
    let mut ports = Map::new();
    if observed.state.is_up() {
        let exposed = config::exposed(&record.service, image).into_iter();
        ports.extend(exposed.filter(|(port, _)| !port.contains('-')).map(|(port, _)| (port, Value::Null)));
    }
    for port in observed.endpoints.iter().flat_map(|endpoint| &endpoint.ports) {
        let target = format!("{}/{}", port.container_port, port.protocol);
        let addresses = port
            .host_ip
            .map_or_else(|| vec!["0.0.0.0".to_owned(), "::".to_owned()], |ip| vec![ip.to_string()]);
        let places =
            addresses.iter().map(|ip| json!({ "HostIp": ip, "HostPort": port.host_port.to_string() }));
        match ports.entry(target).or_insert(Value::Null) {
            Value::Array(there) => there.extend(places),
            nowhere => *nowhere = Value::Array(places.collect()),
        }
    }
    Value::Object(ports)
}
