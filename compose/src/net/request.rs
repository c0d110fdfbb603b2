//! What a container asks of the network. It is written when the container is created, and read at each start.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::Result;

/// The file's name in the container's directory.
const FILE: &str = "network.json";

/// All that a container asks.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Request {
    /// The container's name, which resolves in each of its networks.
    pub name: String,
    /// What `gethostname` returns.
    pub hostname: String,
    /// What comes after the host name.
    #[serde(default)]
    pub domainname: String,
    /// The networks in order. One of those that lead outside has the default route and the published ports.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// Names that only this container knows, each with the name of another container in one of its networks.
    #[serde(default)]
    pub links: Vec<(String, String)>,
    /// What the host listens to for the container.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Names and addresses for `/etc/hosts`. `host-gateway` as address is the host.
    #[serde(default)]
    pub extra_hosts: Vec<(String, String)>,
    /// Where other names are asked for, instead of the host's resolvers.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// What `resolv.conf` says of `search`, instead of what the host's says.
    #[serde(default)]
    pub dns_search: Vec<String>,
    /// What `resolv.conf` says of `options`.
    #[serde(default)]
    pub dns_options: Vec<String>,
}

/// One network as a container asks for it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// More names there: the service, its aliases, the host name.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Addresses that the container insists on, at most one of each family.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Further addresses of its interface, link-local.
    #[serde(default)]
    pub link_local: Vec<IpAddr>,
    /// The hardware address that it insists on.
    #[serde(default)]
    pub mac: Option<String>,
    /// The interface's name inside, instead of `ethN`.
    #[serde(default)]
    pub interface: Option<String>,
    /// The default route is the network's where this is highest, the first of those.
    #[serde(default)]
    pub gateway_priority: i64,
}

/// A port of the container that the host listens to.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The host's address. Without one: all addresses of both families.
    #[serde(default)]
    pub host_ip: Option<IpAddr>,
    /// The host's port, or 0 for any that is free.
    pub host_port: u16,
    /// If the port is any of a range, the last of them.
    #[serde(default)]
    pub host_port_last: Option<u16>,
    /// The container's port.
    pub container_port: u16,
    /// The protocol of both.
    pub protocol: Protocol,
}

/// What has ports.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP, which is published by rules alone.
    Sctp,
}

impl Request {
    /// The request of the container whose directory this is, if it has one.
    pub fn load(container: &Path) -> Result<Option<Request>> {
        disk::read_json(&container.join(FILE))
    }

    /// Whether the container whose directory this is has a request: whoever makes a container writes it before the
    /// container's record.
    pub fn is_in(container: &Path) -> bool {
        container.join(FILE).exists()
    }

    /// Writes the request into the container's directory.
    pub fn save(&self, container: &Path) -> Result<()> {
        disk::write_json(&container.join(FILE), self)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = self.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        write!(f, "{}/{}", std::net::SocketAddr::new(ip, self.host_port), self.protocol)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}
