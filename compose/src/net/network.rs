//! Networks: their records on disk, and what CNI plugins are told of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use ipnet::IpNet;
use nix::net::if_::if_nametoindex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::endpoint::{Endpoint, Endpoints};
use super::pool::{self, Pool};
use super::request::{Attachment, Port};
use super::{check, cni, sweep};
use crate::disk::{self, Disk};
use crate::error::{Context, Error, Kind, Result};
use crate::id;

/// The host's lock under which networks are made, removed, and given to containers.
pub const LOCK: &str = "networks";

/// The host's directory of the addresses that are taken, with one directory for each network, named by its id. It is
/// forgotten with the boot, as the interfaces are.
pub const ADDRESSES: &str = "addresses";

/// A network, as its record says.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Network {
    /// Its name, unique in the namespace.
    pub name: String,
    /// What it is known by beside its name.
    pub id: String,
    /// How containers are connected.
    #[serde(flatten)]
    pub driver: Driver,
    /// Whether it leads nowhere but to its containers.
    #[serde(default)]
    pub internal: bool,
    /// At most one of each family.
    pub subnets: Vec<Subnet>,
    /// The largest packet, unless the default is right.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// What its creator says of it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it was created, as RFC 3339.
    #[serde(default)]
    pub created: String,
    /// The driver's options as its creator gave them.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// How containers are connected, by which interface of the host.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum Driver {
    /// By a bridge that is the network's own.
    Bridge {
        /// The bridge.
        bridge: String,
    },
    /// By interfaces with hardware addresses of their own upon one of the host.
    Macvlan {
        /// The interface of the host.
        parent: String,
    },
    /// By interfaces with the hardware address of the host's.
    Ipvlan {
        /// The interface of the host.
        parent: String,
    },
}

/// Addresses that a network may give.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Subnet {
    /// All addresses.
    pub subnet: IpNet,
    /// The host's own.
    pub gateway: IpAddr,
    /// The addresses that are given to containers that don't insist on one, unless all.
    #[serde(default)]
    pub range: Option<IpNet>,
    /// Addresses that no container gets, by what they are for.
    #[serde(default)]
    pub reserved: BTreeMap<String, IpAddr>,
}

/// A network that somebody wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// How containers are connected: nothing or `bridge`, `macvlan`, `ipvlan`.
    pub driver: Option<String>,
    /// The host's interface: a bridge's name, or what macvlan and ipvlan build upon.
    pub interface: Option<String>,
    /// Whether it leads nowhere.
    pub internal: bool,
    /// Whether it has addresses of IPv6.
    pub ipv6: bool,
    /// Subnets, with gateway and range where somebody cares.
    pub subnets: Vec<check::Asked>,
    /// Addresses of the subnets that no container gets, by what they are for.
    pub reserved: BTreeMap<String, IpAddr>,
    /// The largest packet.
    pub mtu: Option<u32>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it is created, as RFC 3339.
    pub created: String,
    /// The driver's options as they were given.
    pub options: BTreeMap<String, String>,
}

/// What publishes ports and masquerades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Publisher {
    /// The table of nftables.
    Nft,
    /// The plugins, by iptables.
    Plugins,
}

impl Wanted {
    /// Whether there can be such a network, wherever it is made.
    pub fn check(&self) -> Result<()> {
        let id = id_of(&self.name, &self.created);
        check::interface(driver(self.driver.as_deref(), self.interface.clone(), &id)?.interface())?;
        check::subnets(&self.subnets)?;
        check::reserved(&self.subnets, &self.reserved)
    }
}

impl Network {
    /// The network's record.
    ///
    /// Errors: `NotFound` if there is none.
    pub fn load(disk: &Disk, name: &str) -> Result<Network> {
        let record = disk::read_json(&path(disk, name)?)?;
        record.ok_or_else(|| Error::of_kind(Kind::NotFound, format!("network {name} not found")))
    }

    /// All networks of the namespace, by name.
    pub fn list(disk: &Disk) -> Result<Vec<Network>> {
        let mut networks = Vec::new();
        for path in disk::list(&disk.networks())? {
            if path.extension().is_some_and(|extension| extension == "json") {
                networks.extend(disk::read_json(&path)?);
            }
        }
        networks.sort_by(|one: &Network, other: &Network| one.name.cmp(&other.name));
        Ok(networks)
    }

    /// Creates the network, with subnets of the pool where it names none. Nothing but the record is made: interfaces
    /// come with the first container.
    ///
    /// Errors: `AlreadyExists`; a subnet that a network or a route of the host has already.
    pub fn create(disk: &Disk, wanted: Wanted, pool: &Pool) -> Result<Network> {
        let path = path(disk, &wanted.name)?;
        // Over all namespaces, because the host's addresses are.
        let _lock = disk::lock_host(LOCK)?;
        if path.exists() {
            let line = format!("network with name {} already exists", wanted.name);
            return Err(Error::of_kind(Kind::AlreadyExists, line));
        }
        let mut taken = pool::host_routes()?;
        for disk in disk::namespaces()? {
            let networks = Network::list(&disk)?;
            refuse_shared(wanted.interface.as_deref(), &networks)
                .at(format_args!("network {}", wanted.name))?;
            taken.extend(networks.iter().flat_map(|network| &network.subnets).map(|subnet| subnet.subnet));
        }
        let object = format!("network {}", wanted.name);
        let id = id_of(&path.display().to_string(), &wanted.created);
        let network = Network::planned(wanted, id, pool, &taken).at(&object)?;
        // A bridge goes with its network, so it must not be somebody's interface.
        if let Some(bridge) = network.bridge().filter(|bridge| if_nametoindex(*bridge).is_ok()) {
            return Err(Error::new(format!("interface {bridge} is there already"))).at(object);
        }
        disk::make_dir(&disk.networks())?;
        disk::write_json(&path, &network)?;
        Ok(network)
    }

    /// The network that is wanted, where these subnets are taken.
    fn planned(wanted: Wanted, id: String, pool: &Pool, taken: &[IpNet]) -> Result<Network> {
        wanted.check()?;
        let driver = driver(wanted.driver.as_deref(), wanted.interface, &id)?;
        let mut subnets = Vec::new();
        for (subnet, gateway, range) in wanted.subnets {
            // What macvlan and ipvlan have is the network of the host's interface, to which the host has a route.
            let is_own = matches!(driver, Driver::Bridge { .. });
            if let Some(other) = taken.iter().find(|other| is_own && pool::overlap(&subnet, other)) {
                return Err(Error::new(format!("subnet {subnet} overlaps with {other}, which is in use")));
            }
            let subnet = subnet.trunc();
            let gateway = gateway.unwrap_or(pool::first_host(&subnet));
            let reserved = wanted.reserved.iter().filter(|(_, address)| subnet.contains(*address));
            let reserved = reserved.map(|(name, address)| (name.clone(), *address)).collect();
            subnets.push(Subnet { subnet, gateway, range, reserved });
        }
        let of_pool = |subnet: IpNet| Subnet {
            subnet,
            gateway: pool::first_host(&subnet),
            range: None,
            reserved: BTreeMap::new(),
        };
        if !subnets.iter().any(|subnet| is_v4(&subnet.subnet)) {
            subnets.insert(0, of_pool(pool.free_v4(taken)?));
        }
        if wanted.ipv6 && subnets.iter().all(|subnet| is_v4(&subnet.subnet)) {
            subnets.push(of_pool(pool::v6_of(&id)));
        }
        let Wanted { name, internal, mtu, labels, created, options, .. } = wanted;
        Ok(Network { name, id, driver, internal, subnets, mtu, labels, created, options })
    }

    /// The network of that name or id, or the only one whose id begins so.
    ///
    /// Errors: `NotFound` if there is none.
    pub fn find(disk: &Disk, typed: &str) -> Result<Network> {
        let networks = Network::list(disk)?;
        let exact = networks.iter().find(|one| one.name == typed || one.id == typed);
        let mut beginning = networks.iter().filter(|one| !typed.is_empty() && one.id.starts_with(typed));
        match (exact, beginning.next(), beginning.next()) {
            (Some(one), _, _) | (None, Some(one), None) => Ok(one.clone()),
            (None, Some(_), Some(_)) => {
                Err(Error::new(format!("network {typed} is ambiguous: several have ids that begin so")))
            }
            (None, None, _) => Err(Error::of_kind(Kind::NotFound, format!("network {typed} not found"))),
        }
    }

    /// What containers that run have got of the network, or are about to get.
    pub fn endpoints(disk: &Disk, name: &str) -> Result<Vec<Endpoint>> {
        let mut endpoints = Vec::new();
        for id in sweep::containers(disk)? {
            let list = Endpoints::load(disk, &id)?.filter(|list| list.init.is_alive());
            let all = list.into_iter().flat_map(|list| list.endpoints).map(|made| made.endpoint);
            endpoints.extend(all.filter(|endpoint| endpoint.network == name));
        }
        Ok(endpoints)
    }

    /// Removes the record, and the bridge if it is the network's own.
    ///
    /// Errors: `NotFound`; `WrongState` if a container that runs has it, in Docker's words.
    pub fn remove(disk: &Disk, name: &str) -> Result<()> {
        let _lock = disk::lock_host(LOCK)?;
        let network = Network::load(disk, name)?;
        let endpoints = Network::endpoints(disk, name)?;
        if !endpoints.is_empty() {
            let users = endpoints
                .iter()
                .map(|one| format!("name:\"{}\" id:\"{}\"", one.name, id::short(&one.container)));
            let users = users.collect::<Vec<_>>().join(", ");
            let line = format!("network {name} id {} has active endpoints ({users})", network.id);
            return Err(Error::of_kind(Kind::WrongState, line)).at("error while removing network");
        }
        if let Some(bridge) = network.bridge() {
            // A bridge that isn't there is as it should be.
            drop(Command::new("ip").args(["link", "delete", bridge]).output());
        }
        disk::remove_dir(&disk.endpoints().join(name))?;
        disk::remove_dir(&disk::of_host(ADDRESSES).join(&network.id))?;
        disk::remove_file(&path(disk, name)?)
    }

    /// The network's own bridge.
    pub fn bridge(&self) -> Option<&str> {
        match &self.driver {
            Driver::Bridge { bridge } => Some(bridge),
            Driver::Macvlan { .. } | Driver::Ipvlan { .. } => None,
        }
    }

    /// What the plugins are told for one container.
    ///
    /// Errors: all addresses are reserved, in Docker's words.
    pub fn plugins(
        &self,
        attachment: &Attachment,
        has_default_route: bool,
        publisher: Publisher,
        ports: &[Port],
    ) -> Result<Vec<Value>> {
        let mut main = match &self.driver {
            Driver::Bridge { bridge } => json!({
                "type": "bridge",
                "bridge": bridge,
                "isGateway": true,
                "hairpinMode": true,
                "ipMasq": publisher == Publisher::Plugins && !self.internal,
            }),
            Driver::Macvlan { parent } => json!({"type": "macvlan", "master": parent, "mode": "bridge"}),
            Driver::Ipvlan { parent } => json!({"type": "ipvlan", "master": parent, "mode": "l2"}),
        };
        main["cniVersion"] = cni::VERSION.into();
        main["name"] = self.id.as_str().into();
        main["ipam"] = self.addresses(has_default_route, &attachment.addresses)?;
        if let Some(mtu) = self.mtu {
            main["mtu"] = mtu.into();
        }
        if let Some(mac) = &attachment.mac {
            main["runtimeConfig"] = json!({"mac": mac});
        }
        if !attachment.addresses.is_empty() {
            main["args"] = json!({"cni": {"ips": attachment.addresses}});
        }
        let mut plugins = vec![main];
        if publisher == Publisher::Plugins && self.bridge().is_some() && !ports.is_empty() {
            plugins.push(self.port_map(ports));
        }
        Ok(plugins)
    }

    fn addresses(&self, has_default_route: bool, fixed: &[IpAddr]) -> Result<Value> {
        let range = |subnet: &Subnet| {
            let whole = json!({"subnet": subnet.subnet, "gateway": subnet.gateway});
            // A container that insists on an address may have one beside the range. The plugin knows by the address
            // alone whether another container has it.
            let is_fixed = fixed.iter().any(|address| subnet.subnet.contains(address));
            if is_fixed || subnet.range.is_none() && subnet.reserved.is_empty() {
                return Ok(json!([whole]));
            }
            let part = |(first, last): (IpAddr, IpAddr)| {
                let mut part = whole.clone();
                part["rangeStart"] = json!(first);
                part["rangeEnd"] = json!(last);
                part
            };
            let given = pool::hosts(&subnet.subnet, &subnet.range.unwrap_or(subnet.subnet));
            if subnet.reserved.is_empty() {
                return Ok(json!([part(given)]));
            }
            // The plugin gives out the addresses of several ranges as if they were one.
            let taken = subnet.reserved.values().copied().chain([subnet.gateway]).collect();
            let left = pool::without(given, &taken);
            if left.is_empty() {
                return Err(self.exhausted(subnet));
            }
            Ok(json!(left.into_iter().map(part).collect::<Vec<_>>()))
        };
        let route = |subnet: &Subnet| match subnet.subnet {
            IpNet::V4(_) => json!({"dst": "0.0.0.0/0"}),
            IpNet::V6(_) => json!({"dst": "::/0"}),
        };
        let routes = self.subnets.iter().filter(|_| has_default_route).map(route).collect::<Vec<_>>();
        let ranges = self.subnets.iter().map(range).collect::<Result<Vec<_>>>()?;
        let data = disk::of_host(ADDRESSES);
        Ok(json!({"type": "host-local", "dataDir": data, "ranges": ranges, "routes": routes}))
    }

    /// No address of the subnet can be given out.
    fn exhausted(&self, subnet: &Subnet) -> Error {
        let family = if is_v4(&subnet.subnet) { "IPv4" } else { "IPv6" };
        let (name, id) = (&self.name, &self.id);
        Error::new(format!("no available {family} addresses on this network's address pools: {name} ({id})"))
    }

    fn port_map(&self, ports: &[Port]) -> Value {
        let mapping = |port: &Port| {
            json!({
                "hostPort": port.host_port,
                "containerPort": port.container_port,
                "protocol": port.protocol,
                "hostIP": port.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
            })
        };
        json!({
            "cniVersion": cni::VERSION,
            "name": self.id,
            "type": "portmap",
            "snat": true,
            "runtimeConfig": {"portMappings": ports.iter().map(mapping).collect::<Vec<_>>()},
        })
    }
}

impl Driver {
    /// The host's interface.
    fn interface(&self) -> &str {
        match self {
            Driver::Bridge { bridge } => bridge,
            Driver::Macvlan { parent } | Driver::Ipvlan { parent } => parent,
        }
    }

    /// Docker's word.
    pub fn name(&self) -> &'static str {
        match self {
            Driver::Bridge { .. } => "bridge",
            Driver::Macvlan { .. } => "macvlan",
            Driver::Ipvlan { .. } => "ipvlan",
        }
    }
}

/// Two networks with one bridge would be one.
fn refuse_shared(interface: Option<&str>, networks: &[Network]) -> Result<()> {
    let shares = |network: &&Network| network.bridge().is_some_and(|bridge| Some(bridge) == interface);
    match networks.iter().find(shares) {
        Some(other) => Err(Error::new(format!("its bridge is that of the network {}", other.name))),
        None => Ok(()),
    }
}

fn is_v4(net: &IpNet) -> bool {
    matches!(net, IpNet::V4(_))
}

fn driver(wanted: Option<&str>, interface: Option<String>, id: &str) -> Result<Driver> {
    let parent = |driver: &str| {
        Error::new(format!("driver {driver} needs the option parent: an interface of the host"))
    };
    match wanted {
        None | Some("bridge" | "default") => {
            Ok(Driver::Bridge { bridge: interface.unwrap_or_else(|| format!("ct-{}", &id[..12])) })
        }
        Some("macvlan") => Ok(Driver::Macvlan { parent: interface.ok_or_else(|| parent("macvlan"))? }),
        Some("ipvlan") => Ok(Driver::Ipvlan { parent: interface.ok_or_else(|| parent("ipvlan"))? }),
        Some(driver) => Err(Error::new(format!("driver {driver} is none of bridge, macvlan, ipvlan"))),
    }
}

/// A name becomes part of a path, so it is checked wherever it comes from.
fn path(disk: &Disk, name: &str) -> Result<PathBuf> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || !name.bytes().all(fits) {
        return Err(Error::new(format!("network {name:?}: a name has letters, digits, and inside _ . -")));
    }
    Ok(disk.networks().join(format!("{name}.json")))
}

fn id_of(name: &str, created: &str) -> String {
    let digest = Sha256::digest(format!("{name} {created}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub mod tests {
    use super::super::request::Protocol;
    use super::*;

    fn planned(wanted: Wanted, taken: &[&str]) -> Result<Network> {
        let taken: Vec<IpNet> = taken.iter().map(|net| net.parse().unwrap()).collect();
        Network::planned(wanted, id_of("app_default", ""), &Pool::default(), &taken)
    }

    #[test]
    fn a_network_without_a_subnet_gets_one_of_the_pool() {
        let network = planned(Wanted { ipv6: true, ..Wanted::default() }, &["10.72.0.0/24"]).unwrap();
        assert_eq!(network.subnets[0].subnet.to_string(), "10.72.1.0/24");
        assert_eq!(network.subnets[0].gateway.to_string(), "10.72.1.1");
        assert_eq!(network.subnets[1].subnet.prefix_len(), 64);
        assert!(network.bridge().unwrap().len() <= 15, "the kernel takes no longer names of interfaces");
    }

    #[test]
    fn a_subnet_in_use_is_refused_with_what_uses_it() {
        let wanted =
            Wanted { subnets: vec![("10.1.0.0/16".parse().unwrap(), None, None)], ..Wanted::default() };
        let err = planned(wanted.clone(), &["10.1.2.0/24"]).unwrap_err().to_string();
        assert_eq!(err, "subnet 10.1.0.0/16 overlaps with 10.1.2.0/24, which is in use");
        let macvlan = Wanted { driver: Some("macvlan".into()), interface: Some("eth0".into()), ..wanted };
        planned(macvlan, &["10.1.2.0/24"]).unwrap();
    }

    #[test]
    fn what_is_reserved_is_in_no_range_that_is_given_out() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let wanted = Wanted {
            subnets: vec![("10.9.0.0/29".parse().unwrap(), None, None)],
            reserved: [("printer".to_owned(), address("10.9.0.3"))].into(),
            ..Wanted::default()
        };
        let network = planned(wanted.clone(), &[]).unwrap();
        let ranges = network.addresses(true, &[]).unwrap()["ranges"][0].to_string();
        let range = |first: &str, last: &str| {
            format!(
                r#"{{"gateway":"10.9.0.1","rangeEnd":"{last}","rangeStart":"{first}","subnet":"10.9.0.0/29"}}"#
            )
        };
        assert_eq!(ranges, format!("[{},{}]", range("10.9.0.2", "10.9.0.2"), range("10.9.0.4", "10.9.0.6")));
        let fixed = network.addresses(true, &[address("10.9.0.5")]).unwrap();
        assert_eq!(fixed["ranges"][0][0].get("rangeStart"), None);
        for (names, err) in [
            (&[("far", "10.8.0.3")][..], "no matching subnet for aux-address 10.8.0.3"),
            (
                &[("host", "10.9.0.1")],
                "failed to allocate secondary ip address (host:10.9.0.1): Address already in use",
            ),
            (
                &[("a", "10.9.0.3"), ("b", "10.9.0.3")],
                "failed to allocate secondary ip address (b:10.9.0.3): Address already in use",
            ),
            (&[("", "10.9.0.3")], "invalid aux-address =10.9.0.3: it has no name"),
        ] {
            let reserved = names.iter().map(|(name, text)| ((*name).to_owned(), address(text))).collect();
            let refused = planned(Wanted { reserved, ..wanted.clone() }, &[]).unwrap_err();
            assert_eq!(refused.to_string(), err);
        }
    }

    #[test]
    fn a_network_whose_addresses_are_all_reserved_gives_none() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let wanted = Wanted {
            name: "full".into(),
            subnets: vec![("10.9.0.0/30".parse().unwrap(), None, None)],
            reserved: [("a".to_owned(), address("10.9.0.2"))].into(),
            ..Wanted::default()
        };
        let network = planned(wanted, &[]).unwrap();
        let refused = network.plugins(&Attachment::default(), true, Publisher::Nft, &[]).unwrap_err();
        let why = "no available IPv4 addresses on this network's address pools: full";
        assert_eq!(refused.to_string(), format!("{why} ({})", network.id));
    }

    #[test]
    fn drivers_that_we_do_not_have_are_named() {
        let err = planned(Wanted { driver: Some("overlay".into()), ..Wanted::default() }, &[]).unwrap_err();
        assert_eq!(err.to_string(), "driver overlay is none of bridge, macvlan, ipvlan");
    }

    #[test]
    fn names_that_would_leave_the_directory_are_refused() {
        for name in ["", "..", "../x", "a/b", "-x", "a b"] {
            assert!(Network::load(&Disk::of("default"), name).unwrap_err().kind() == Kind::Other, "{name:?}");
        }
    }

    #[test]
    fn plugins_publish_only_where_the_table_does_not() {
        let network = planned(Wanted::default(), &[]).unwrap();
        let port = Port {
            host_ip: None,
            host_port: 8080,
            host_port_last: None,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        let ports = [port];
        let attachment =
            Attachment { addresses: vec!["10.72.0.9".parse().unwrap()], ..Attachment::default() };
        let plugins = network.plugins(&attachment, true, Publisher::Nft, &ports).unwrap();
        assert_eq!(plugins.len(), 1);
        assert_eq!(plugins[0]["ipMasq"], false);
        assert_eq!(plugins[0]["args"]["cni"]["ips"][0], "10.72.0.9");
        assert_eq!(plugins[0]["ipam"]["routes"][0]["dst"], "0.0.0.0/0");
        let plugins = network.plugins(&attachment, false, Publisher::Plugins, &ports).unwrap();
        assert_eq!(plugins[0]["ipMasq"], true);
        assert_eq!(plugins[0]["ipam"]["routes"], json!([]));
        assert_eq!(plugins[1]["runtimeConfig"]["portMappings"][0]["hostPort"], 8080);
    }
}
