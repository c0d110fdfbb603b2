//! What a network may be asked to be: names of interfaces, subnets with their gateways and ranges. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::pool::{first_host, overlap};
use crate::error::{Error, Result};

/// The kernel's limit for names of interfaces.
const INTERFACE_BYTES_MAX: usize = 15;
/// A subnet has room for the host and a container.
const PREFIX_MAX_V4: u8 = 30;
const PREFIX_MAX_V6: u8 = 126;

/// What is said of gateways and ranges that belong to no subnet, in Docker's words.
pub const WITHOUT_SUBNET: &str = "every ip-range or gateway must have a corresponding subnet";

/// What no container can have as its address.
const RESERVED: [(&str, &str); 8] = [
    ("0.0.0.0/8", "unspecified"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/127", "loopback"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

/// The name of a host's interface. It becomes part of the firewall's script and of paths.
pub fn interface(name: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_name = (1..=INTERFACE_BYTES_MAX).contains(&name.len())
        && name.bytes().all(fits)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if is_name { Ok(()) } else { Err(Error::new(format!("{name:?}: not a name of an interface"))) }
}

/// A subnet, with its gateway and the range that is given out, where somebody cares.
pub type Asked = (IpNet, Option<IpAddr>, Option<IpNet>);

/// Subnets with gateways and ranges: at most one of each family.
pub fn subnets(subnets: &[Asked]) -> Result<()> {
    for (at, (subnet, gateway, range)) in subnets.iter().enumerate() {
        let (longest, family) =
            if subnet.addr().is_ipv4() { (PREFIX_MAX_V4, "IPv4") } else { (PREFIX_MAX_V6, "IPv6") };
        if subnet.prefix_len() > longest {
            return Err(Error::new(format!(
                "invalid subnet {subnet}: no room for a gateway and a container"
            )));
        }
        if let Some((_, what)) = RESERVED.iter().find(|(reserved, _)| overlaps(subnet, reserved)) {
            return Err(Error::new(format!("invalid subnet {subnet}: overlaps with {what} addresses")));
        }
        let is_same = |(other, ..): &Asked| other.addr().is_ipv4() == subnet.addr().is_ipv4();
        if subnets[..at].iter().any(is_same) {
            return Err(Error::new(format!("subnet {subnet}: a second one of {family} can't be had here")));
        }
        if let Some(gateway) = gateway.filter(|gateway| !is_host(subnet, *gateway)) {
            return Err(Error::new(format!("no matching subnet for gateway {gateway}")));
        }
        if let Some(range) = range.filter(|range| !subnet.contains(range)) {
            return Err(Error::new(format!("no matching subnet for range {range}")));
        }
    }
    Ok(())
}

/// Addresses that no container gets, by what they are for: each of a subnet, and nobody else's.
pub fn reserved(subnets: &[Asked], reserved: &BTreeMap<String, IpAddr>) -> Result<()> {
    let gateway = |(subnet, gateway, _): &Asked| gateway.unwrap_or(first_host(subnet));
    let mut taken: BTreeSet<IpAddr> = subnets.iter().map(gateway).collect();
    for (name, address) in reserved {
        if name.is_empty() {
            return Err(Error::new(format!("invalid aux-address ={address}: it has no name")));
        }
        if !subnets.iter().any(|(subnet, ..)| is_host(subnet, *address)) {
            return Err(Error::new(format!("no matching subnet for aux-address {address}")));
        }
        if !taken.insert(*address) {
            return Err(Error::new(format!(
                "failed to allocate secondary ip address ({name}:{address}): Address already in use"
            )));
        }
    }
    Ok(())
}

fn overlaps(subnet: &IpNet, other: &str) -> bool {
    other.parse::<IpNet>().is_ok_and(|other| overlap(subnet, &other))
}

/// Whether a host may have that address in the subnet.
fn is_host(subnet: &IpNet, address: IpAddr) -> bool {
    let is_end = address == subnet.network() || address.is_ipv4() && address == subnet.broadcast();
    subnet.contains(&address) && !is_end
}

/// Subnets as people type them, each with the gateway and the range that lie in it.
pub fn matched(subnets: &[String], gateways: &[String], ranges: &[String]) -> Result<Vec<Asked>> {
    if subnets.is_empty() && !(gateways.is_empty() && ranges.is_empty()) {
        return Err(Error::new(WITHOUT_SUBNET));
    }
    let wrong =
        |what: &str, text: &str| Error::new(format!("invalid {what} {text}: not of the form 10.9.0.0/24"));
    let mut matched = Vec::new();
    for text in subnets {
        let subnet: IpNet = text.parse().map_err(|_| wrong("subnet", text))?;
        matched.push((subnet, None, None));
    }
    for text in gateways {
        let gateway: IpAddr =
            text.parse().map_err(|_| Error::new(format!("invalid gateway {text}: not an address")))?;
        let of = matched.iter_mut().find(|(subnet, ..)| subnet.contains(&gateway));
        let (.., given, _) =
            of.ok_or_else(|| Error::new(format!("no matching subnet for gateway {text}")))?;
        if given.replace(gateway).is_some() {
            return Err(Error::new(format!(
                "cannot configure multiple gateways ({text}) for the same subnet"
            )));
        }
    }
    for text in ranges {
        let range: IpNet = text.parse().map_err(|_| wrong("range", text))?;
        let of = matched.iter_mut().find(|(subnet, ..)| subnet.contains(&range));
        let (.., given) = of.ok_or_else(|| Error::new(format!("no matching subnet for range {text}")))?;
        if given.replace(range).is_some() {
            return Err(Error::new(format!("cannot configure multiple ranges ({text}) for the same subnet")));
        }
    }
    Ok(matched)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn said(subnet: &[&str], gateway: &[&str], range: &[&str]) -> String {
        let all = matched(&texts(subnet), &texts(gateway), &texts(range));
        match all.and_then(|all| subnets(&all)) {
            Ok(()) => String::new(),
            Err(err) => err.to_string(),
        }
    }

    #[test]
    fn gateways_and_ranges_find_their_subnets() {
        assert_eq!(said(&["10.9.0.0/24", "fd00::/64"], &["fd00::1", "10.9.0.254"], &["10.9.0.64/26"]), "");
        for (subnet, gateway, range, why) in [
            (
                &[][..],
                &["10.9.0.1"][..],
                &[][..],
                "every ip-range or gateway must have a corresponding subnet",
            ),
            (&["10.9.0.0/24"], &["10.8.0.1"], &[], "no matching subnet for gateway 10.8.0.1"),
            (&["10.9.0.0/24"], &["10.9.0.255"], &[], "no matching subnet for gateway 10.9.0.255"),
            (&["10.9.0.0/24"], &[], &["10.9.0.0/16"], "no matching subnet for range 10.9.0.0/16"),
            (&["x"], &[], &[], "invalid subnet x: not of the form 10.9.0.0/24"),
            (&["10.9.0.0/31"], &[], &[], "invalid subnet 10.9.0.0/31: no room for a gateway and a container"),
            (&["127.0.0.0/8"], &[], &[], "invalid subnet 127.0.0.0/8: overlaps with loopback addresses"),
            (&["225.1.0.0/16"], &[], &[], "invalid subnet 225.1.0.0/16: overlaps with multicast addresses"),
            (&["240.0.0.0/8"], &[], &[], "invalid subnet 240.0.0.0/8: overlaps with reserved addresses"),
            (
                &["169.254.7.0/24"],
                &[],
                &[],
                "invalid subnet 169.254.7.0/24: overlaps with link-local addresses",
            ),
            (&["::/0"], &[], &[], "invalid subnet ::/0: overlaps with loopback addresses"),
            (
                &["10.9.0.0/24", "10.10.0.0/24"],
                &[],
                &[],
                "subnet 10.10.0.0/24: a second one of IPv4 can't be had here",
            ),
        ] {
            assert_eq!(said(subnet, gateway, range), why);
        }
    }

    #[test]
    fn a_name_of_an_interface_says_nothing_else_to_the_firewall() {
        assert!(["eth0", "br-1.2", "a_b"].iter().all(|name| interface(name).is_ok()));
        let hostile = ["", "-i", "a b", "a\"", "a*", "../x", "a;b", "sixteen-letters0", "é", "."];
        assert!(hostile.iter().all(|name| interface(name).is_err()));
    }
}
