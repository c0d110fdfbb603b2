//! The table `corten` of nftables: a function of all endpoints, so that whatever was left half done is right again once
//! the table is rendered anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use ipnet::IpNet;

use super::endpoint::Endpoint;
use super::request::Port;
use crate::error::{Context, Error, Result};

/// Where a hook without PATH finds `nft`.
const PATHS: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

/// One of the two families: how nft writes it.
struct Family {
    v4: bool,
    /// The table's family, and the word before an address.
    word: &'static str,
    address_type: &'static str,
    loopback: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family { v4: true, word: "ip", address_type: "ipv4_addr", loopback: "127.0.0.0/8" },
    Family { v4: false, word: "ip6", address_type: "ipv6_addr", loopback: "::1" },
];

/// The script that makes the tables what these endpoints need, in one transaction.
pub fn render(endpoints: &[Endpoint]) -> String {
    let mut script = String::new();
    for family in &FAMILIES {
        let word = family.word;
        // Declared first, because a table that isn't there can't be deleted.
        let _ = writeln!(script, "table {word} corten\ndelete table {word} corten");
        let facts = Facts::of(family, endpoints);
        if !facts.bridges.is_empty() {
            facts.render(family, &mut script);
        }
    }
    script
}

/// The script that has names answered at 127.0.0.11, within a container's namespace.
pub fn render_names(udp: u16, tcp: u16) -> String {
    format!(
        "table ip corten_names\ndelete table ip corten_names\ntable ip corten_names {{\n\
         \tchain output {{\n\t\ttype nat hook output priority -100\n\
         \t\tip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:{udp}\n\
         \t\tip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:{tcp}\n\t}}\n}}\n"
    )
}

/// What one family's table is made from.
struct Facts {
    bridges: BTreeSet<String>,
    internal: BTreeSet<String>,
    subnets: BTreeSet<IpNet>,
    /// Protocol and port of the host → address and port of a container.
    published: BTreeMap<String, String>,
    /// The same behind an address of the host.
    published_at: BTreeMap<String, String>,
}

impl Facts {
    fn of(family: &Family, endpoints: &[Endpoint]) -> Facts {
        let of_family = |net: &&IpNet| matches!(net, IpNet::V4(_)) == family.v4;
        let mut facts = Facts {
            bridges: BTreeSet::new(),
            internal: BTreeSet::new(),
            subnets: BTreeSet::new(),
            published: BTreeMap::new(),
            published_at: BTreeMap::new(),
        };
        for endpoint in endpoints {
            let Some(bridge) = &endpoint.bridge else { continue };
            let subnets = endpoint.subnets.iter().filter(of_family).copied().collect::<Vec<_>>();
            if subnets.is_empty() {
                continue;
            }
            facts.subnets.extend(subnets);
            facts.bridges.insert(bridge.clone());
            if endpoint.internal {
                facts.internal.insert(bridge.clone());
            }
            if let Some(address) = endpoint.addresses_of(family.v4).next() {
                endpoint.ports.iter().for_each(|port| facts.publish(family, port, address));
            }
        }
        facts
    }

    fn publish(&mut self, family: &Family, port: &Port, address: IpAddr) {
        let to = format!("{address} . {}", port.container_port);
        let from = format!("{} . {}", port.protocol, port.host_port);
        match port.host_ip {
            Some(ip) if ip.is_ipv4() != family.v4 => {}
            Some(ip) if !ip.is_unspecified() => drop(self.published_at.insert(format!("{ip} . {from}"), to)),
            _ => drop(self.published.insert(from, to)),
        }
    }

    fn render(&self, family: &Family, script: &mut String) {
        let Family { word, address_type, loopback, .. } = family;
        let to = format!("{address_type} . inet_service");
        let port = "inet_proto . inet_service";
        let mut table = Table { script, word };
        table.begin();
        let quoted =
            |names: &BTreeSet<String>| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
        table.object("set bridges", "ifname", &quoted(&self.bridges));
        table.object("set nets", &format!("{address_type}; flags interval"), &texts(&self.subnets));
        table.object("map pub", &format!("{port} : {to}"), &pairs(&self.published));
        table.object("map pub_at", &format!("{address_type} . {port} : {to}"), &pairs(&self.published_at));
        // Without this a neighbour would reach what the host serves on its loopback alone: CVE-2020-8558. A port is
        // published there by a rewriting, which comes before the kernel looks for such packets.
        let martian = format!("iifname != \"lo\" {word} daddr {loopback} drop");
        table.chain("loopback", "filter hook prerouting priority -300", &[martian]);
        let destination = self.destination(family);
        table.chain("prerouting", "nat hook prerouting priority -100", &destination);
        table.chain("output", "nat hook output priority -100", &destination);
        table.chain("forward", "filter hook forward priority 0", &self.forward());
        table.chain("postrouting", "nat hook postrouting priority 100", &source(family));
        table.end();
    }

    fn destination(&self, family: &Family) -> Vec<String> {
        let word = family.word;
        // The kernel has no way from ::1 to elsewhere. There the keeper's socket answers.
        let not_loopback = if family.v4 { "" } else { "ip6 daddr != ::1 " };
        let dnat = format!("dnat {word} addr . port to");
        vec![
            format!("{not_loopback}{dnat} {word} daddr . meta l4proto . th dport map @pub_at"),
            format!("{not_loopback}fib daddr type local {dnat} meta l4proto . th dport map @pub"),
        ]
    }

    /// An internal network is closed before anything is accepted. What is published is open to all other networks,
    /// which are closed to each other. To what isn't published nobody elsewhere begins to speak.
    fn forward(&self) -> Vec<String> {
        let closed = self.internal.iter().flat_map(|bridge| {
            [
                format!("iifname \"{bridge}\" oifname != \"{bridge}\" drop"),
                format!("oifname \"{bridge}\" iifname != \"{bridge}\" drop"),
            ]
        });
        let apart = self
            .bridges
            .iter()
            .map(|bridge| format!("iifname \"{bridge}\" oifname @bridges oifname != \"{bridge}\" drop"));
        let unpublished =
            "iifname != @bridges oifname @bridges ct state != { established, related } drop".to_owned();
        closed.chain(["ct status dnat accept".to_owned()]).chain(apart).chain([unpublished]).collect()
    }
}

/// Who speaks to elsewhere speaks with the host's address. The same for those who reach a published port of their own
/// network, or one of the loopback's: the answer must come back through the host.
fn source(family: &Family) -> Vec<String> {
    let Family { word, loopback, .. } = family;
    vec![
        format!("{word} saddr @nets {word} daddr != @nets masquerade"),
        format!("{word} saddr {loopback} {word} daddr @nets masquerade"),
        format!("ct status dnat {word} saddr @nets {word} daddr @nets masquerade"),
    ]
}

fn texts(values: &BTreeSet<IpNet>) -> Vec<String> {
    values.iter().map(IpNet::to_string).collect()
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<String> {
    map.iter().map(|(from, to)| format!("{from} : {to}")).collect()
}

/// A table as it is written down.
struct Table<'a> {
    script: &'a mut String,
    word: &'a str,
}

impl Table<'_> {
    fn line(&mut self, line: &str) {
        self.script.push_str(line);
        self.script.push('\n');
    }

    fn begin(&mut self) {
        let line = format!("table {} corten {{", self.word);
        self.line(&line);
    }

    fn end(&mut self) {
        self.line("}");
    }

    fn object(&mut self, name: &str, kind: &str, elements: &[String]) {
        self.line(&format!("\t{name} {{"));
        self.line(&format!("\t\ttype {kind}"));
        if !elements.is_empty() {
            self.line(&format!("\t\telements = {{ {} }}", elements.join(", ")));
        }
        self.line("\t}");
    }

    fn chain(&mut self, name: &str, kind: &str, rules: &[String]) {
        self.line(&format!("\tchain {name} {{"));
        self.line(&format!("\t\ttype {kind}"));
        rules.iter().for_each(|rule| self.line(&format!("\t\t{rule}")));
        self.line("\t}");
    }
}

/// Where `nft` is, if it is installed.
pub fn program() -> Option<&'static str> {
    PATHS.into_iter().find(|path| std::path::Path::new(path).is_file())
}

/// Has `nft` perform a script in the calling thread's network namespace. It says nothing on its standard output.
pub fn perform(script: &str, output: Stdio) -> Result<()> {
    let program = program().ok_or_else(|| Error::new("nft: not installed"))?;
    let mut child = Command::new(program)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .at("nft")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).at("nft")?;
    }
    let output = child.wait_with_output().at("nft")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("nft: {}", said.lines().next().unwrap_or("failed without a word"))))
}

#[cfg(test)]
mod tests {
    use super::super::request::Protocol;
    use super::*;

    fn endpoint(network: &str, address: &[&str], subnet: &[&str]) -> Endpoint {
        Endpoint {
            network: network.to_owned(),
            bridge: Some(format!("br-{network}")),
            addresses: address.iter().map(|address| address.parse().unwrap()).collect(),
            subnets: subnet.iter().map(|subnet| subnet.parse().unwrap()).collect(),
            ..Endpoint::default()
        }
    }

    fn port(host_ip: Option<&str>, host_port: u16, container_port: u16, protocol: Protocol) -> Port {
        Port {
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host_port,
            host_port_last: None,
            container_port,
            protocol,
        }
    }

    #[test]
    fn without_endpoints_the_tables_go() {
        let expected = "table ip corten\ndelete table ip corten\ntable ip6 corten\ndelete table ip6 corten\n";
        assert_eq!(render(&[]), expected);
        let macvlan = Endpoint { bridge: None, ..endpoint("lan", &["10.0.0.9/24"], &["10.0.0.0/24"]) };
        assert_eq!(render(&[macvlan]), expected);
    }

    const PROJECT: &str = "\
table ip corten
delete table ip corten
table ip corten {
	set bridges {
		type ifname
		elements = { \"br-back\", \"br-front\" }
	}
	set nets {
		type ipv4_addr; flags interval
		elements = { 10.72.0.0/24, 10.72.1.0/24 }
	}
	map pub {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : 10.72.0.2 . 80 }
	}
	map pub_at {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
		elements = { 127.0.0.1 . udp . 5353 : 10.72.0.2 . 53 }
	}
	chain loopback {
		type filter hook prerouting priority -300
		iifname != \"lo\" ip daddr 127.0.0.0/8 drop
	}
	chain prerouting {
		type nat hook prerouting priority -100
		dnat ip addr . port to ip daddr . meta l4proto . th dport map @pub_at
		fib daddr type local dnat ip addr . port to meta l4proto . th dport map @pub
	}
	chain output {
		type nat hook output priority -100
		dnat ip addr . port to ip daddr . meta l4proto . th dport map @pub_at
		fib daddr type local dnat ip addr . port to meta l4proto . th dport map @pub
	}
	chain forward {
		type filter hook forward priority 0
		iifname \"br-back\" oifname != \"br-back\" drop
		oifname \"br-back\" iifname != \"br-back\" drop
		ct status dnat accept
		iifname \"br-back\" oifname @bridges oifname != \"br-back\" drop
		iifname \"br-front\" oifname @bridges oifname != \"br-front\" drop
		iifname != @bridges oifname @bridges ct state != { established, related } drop
	}
	chain postrouting {
		type nat hook postrouting priority 100
		ip saddr @nets ip daddr != @nets masquerade
		ip saddr 127.0.0.0/8 ip daddr @nets masquerade
		ct status dnat ip saddr @nets ip daddr @nets masquerade
	}
}
table ip6 corten
delete table ip6 corten
";

    #[test]
    fn a_project_of_two_networks_looks_like_this() {
        let mut web = endpoint("front", &["10.72.0.2/24"], &["10.72.0.0/24"]);
        web.ports = vec![
            port(None, 8080, 80, Protocol::Tcp),
            port(Some("127.0.0.1"), 5353, 53, Protocol::Udp),
            port(Some("::1"), 9090, 90, Protocol::Tcp),
        ];
        let mut db = endpoint("back", &["10.72.1.2/24"], &["10.72.1.0/24"]);
        db.internal = true;
        let script = render(&[web, db]);
        assert_eq!(script, PROJECT);
    }

    #[test]
    fn a_network_of_both_families_has_both_tables() {
        let mut web = endpoint("front", &["10.72.0.2/24", "fd00::2/64"], &["10.72.0.0/24", "fd00::/64"]);
        web.ports = vec![port(None, 8080, 80, Protocol::Tcp)];
        let script = render(&[web]);
        assert!(script.contains("elements = { tcp . 8080 : fd00::2 . 80 }"), "{script}");
        assert!(script.contains("ip6 daddr != ::1 fib daddr type local dnat ip6 addr . port to"), "{script}");
    }
}
