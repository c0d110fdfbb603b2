//! `network`: Docker's JSON.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::table::Column;
use crate::net::network::{Network, Subnet};
use crate::observe::Observed;

pub const COLUMNS: [Column; 4] =
    [("ID", "NETWORK ID"), ("Name", "NAME"), ("Driver", "DRIVER"), ("Scope", "SCOPE")];

/// All about a network, with the containers in it that run.
pub fn inspect(network: &Network, containers: &[Observed]) -> Value {
    let has = |v4: bool| network.subnets.iter().any(|subnet| subnet.subnet.addr().is_ipv4() == v4);
    let config: Vec<Value> = network.subnets.iter().map(subnet).collect();
    let mut about = built_in(&network.name, network.driver.name(), &network.id);
    about["Created"] = json!(network.created);
    about["EnableIPv4"] = json!(has(true));
    about["EnableIPv6"] = json!(has(false));
    about["IPAM"] = json!({ "Driver": "default", "Options": {}, "Config": config });
    about["Internal"] = json!(network.internal);
    about["Options"] = json!(network.options);
    about["Labels"] = json!(network.labels);
    about["Containers"] =
        containers.iter().filter_map(|one| member(network, one)).collect::<Map<_, _>>().into();
    about
}

/// A network of Docker's that has nothing but a name.
pub fn built_in(name: &str, driver: &str, id: &str) -> Value {
    json!({
        "Name": name,
        "Id": id,
        "Created": "0001-01-01T00:00:00Z",
        "Scope": "local",
        "Driver": driver,
        "EnableIPv4": true,
        "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": null, "Config": [] },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": {},
        "Options": {},
        "Labels": {},
    })
}

fn subnet(subnet: &Subnet) -> Value {
    let mut about = json!({ "Subnet": subnet.subnet, "Gateway": subnet.gateway });
    if let Some(range) = subnet.range {
        about["IPRange"] = json!(range);
    }
    if !subnet.reserved.is_empty() {
        about["AuxiliaryAddresses"] = json!(subnet.reserved);
    }
    about
}

fn member(network: &Network, one: &Observed) -> Option<(String, Value)> {
    let endpoint = one.endpoints.iter().find(|endpoint| endpoint.network == network.name)?;
    let address = |fits: fn(&IpAddr) -> bool| {
        let found = endpoint.addresses.iter().find(|address| fits(&address.addr()));
        found.map(IpNet::to_string).unwrap_or_default()
    };
    let about = json!({
        "Name": one.name(),
        "EndpointID": one.id(),
        "MacAddress": endpoint.mac.as_deref().unwrap_or_default(),
        "IPv4Address": address(IpAddr::is_ipv4),
        "IPv6Address": address(IpAddr::is_ipv6),
    });
    Some((one.id().to_owned(), about))
}
