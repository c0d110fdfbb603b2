//! What containers have got of networks: a record in each network's directory, which names and the firewall are made
//! from, and the container's own list, by which everything is taken back.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::network::Publisher;
use super::request::Port;
use crate::disk::{self, Disk};
use crate::error::Result;
use crate::process::Process;

/// The name of a container's own list in its directory below /run.
const LIST: &str = "endpoints.json";

/// A container in a network.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Endpoint {
    /// The network.
    pub network: String,
    /// The container's id.
    pub container: String,
    /// Its name, which its addresses resolve to.
    pub name: String,
    /// All its names in this network.
    pub names: Vec<String>,
    /// The interface's name inside.
    pub interface: String,
    /// The interface's addresses.
    pub addresses: Vec<IpNet>,
    /// Further addresses of the interface, link-local.
    #[serde(default)]
    pub link_local: Vec<IpAddr>,
    /// Its hardware address.
    #[serde(default)]
    pub mac: Option<String>,
    /// The host's addresses in the network.
    #[serde(default)]
    pub gateways: Vec<IpAddr>,
    /// The network's bridge, if it has one. Only bridges are the firewall's concern.
    #[serde(default)]
    pub bridge: Option<String>,
    /// The network's subnets.
    #[serde(default)]
    pub subnets: Vec<IpNet>,
    /// Whether the network leads nowhere.
    #[serde(default)]
    pub internal: bool,
    /// What is published by way of this network.
    #[serde(default)]
    pub ports: Vec<Port>,
}

/// All that a container has got, and what takes it back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoints {
    /// The container's first process, by which its namespace is reached.
    pub init: Process,
    /// Where names are answered inside: the ports of UDP and TCP.
    #[serde(default)]
    pub names_at: Option<(u16, u16)>,
    /// In the order in which they were made.
    pub endpoints: Vec<Made>,
}

/// An endpoint, with what the plugins were told and answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Made {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The plugins' configurations.
    pub plugins: Vec<Value>,
    /// Their result, until then null.
    #[serde(default)]
    pub result: Value,
    /// What publishes its ports.
    pub publisher: Publisher,
}

impl Endpoint {
    /// The addresses of one family.
    pub fn addresses_of(&self, v4: bool) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(IpNet::addr).filter(move |address| address.is_ipv4() == v4)
    }

    /// Makes the endpoint known to the network.
    pub fn save(&self, disk: &Disk) -> Result<()> {
        let network = disk.endpoints().join(&self.network);
        disk::make_dir(&network)?;
        disk::write_json(&network.join(&self.container), self)
    }

    /// Takes the endpoint off the network.
    pub fn remove(&self, disk: &Disk) -> Result<()> {
        disk::remove_file(&disk.endpoints().join(&self.network).join(&self.container))
    }

    /// The endpoints of a network, by container.
    pub fn list(disk: &Disk, network: &str) -> Result<Vec<Endpoint>> {
        let mut endpoints = Vec::new();
        for path in disk::list(&disk.endpoints().join(network))? {
            // A record that goes while we look is none any more.
            endpoints.extend(disk::read_json(&path)?);
        }
        Ok(endpoints)
    }

    /// The endpoints of all networks of all namespaces.
    pub fn list_all() -> Result<Vec<Endpoint>> {
        let mut endpoints = Vec::new();
        for disk in disk::namespaces()? {
            for network in disk::list(&disk.endpoints())? {
                if let Some(name) = network.file_name().and_then(|name| name.to_str()) {
                    endpoints.extend(Endpoint::list(&disk, name)?);
                }
            }
        }
        Ok(endpoints)
    }
}

impl Endpoints {
    /// The container's list, if it has one.
    pub fn load(disk: &Disk, container: &str) -> Result<Option<Endpoints>> {
        disk::read_json(&disk.running(container).join(LIST))
    }

    /// Whether a container's directory below /run has a list.
    pub fn is_in(running: &Path) -> bool {
        running.join(LIST).exists()
    }

    /// Writes the list.
    ///
    /// Errors: NotFound, if the directory is gone with its container. It is not made again: nobody would remove it.
    pub fn save(&self, disk: &Disk, container: &str) -> Result<()> {
        disk::write_json(&disk.running(container).join(LIST), self)
    }

    /// Forgets the list.
    pub fn remove(disk: &Disk, container: &str) -> Result<()> {
        disk::remove_file(&disk.running(container).join(LIST))
    }

    /// What the host listens to for the container.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.endpoints.iter().flat_map(|made| &made.endpoint.ports)
    }
}
