//! Subnets for networks that don't name one: the first of the pool that no network and no route of the host has.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Result};

/// Ranges, each cut into subnets of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    ranges: Vec<Range>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    base: Ipv4Net,
    prefix: u8,
}

impl Default for Pool {
    /// 512 subnets which neither Docker, podman, nerdctl nor the usual Kubernetes networks take.
    fn default() -> Pool {
        let base = Ipv4Net::new_assert(Ipv4Addr::new(10, 72, 0, 0), 15);
        Pool { ranges: vec![Range { base, prefix: 24 }] }
    }
}

impl FromStr for Pool {
    type Err = Error;

    /// `BASE:SIZE,…`, for example `10.72.0.0/15:24`.
    fn from_str(text: &str) -> Result<Pool> {
        let range = |text: &str| {
            let (base, prefix) = text.trim().split_once(':')?;
            let (base, prefix) = (base.parse::<Ipv4Net>().ok()?, prefix.parse().ok()?);
            (base.prefix_len() <= prefix && prefix <= 30).then_some(Range { base: base.trunc(), prefix })
        };
        let refused =
            |part: &str| Error::new(format!("address pool {part:?}: not of the form 10.72.0.0/15:24"));
        let ranges = text.split(',').map(|part| range(part).ok_or_else(|| refused(part)));
        Ok(Pool { ranges: ranges.collect::<Result<_>>()? })
    }
}

impl Pool {
    /// The first subnet that overlaps with nothing that is taken.
    pub fn free_v4(&self, taken: &[IpNet]) -> Result<IpNet> {
        let mut all =
            self.ranges.iter().flat_map(|range| range.base.subnets(range.prefix).into_iter().flatten());
        let free = all.find(|subnet| !taken.iter().any(|other| overlap(&IpNet::V4(*subnet), other)));
        free.map(IpNet::V4)
            .ok_or_else(|| Error::new("address pool: no subnet is free, name one in the network"))
    }
}

/// A subnet of the local range of IPv6 that follows from a name.
pub fn v6_of(name: &str) -> IpNet {
    let digest = Sha256::digest(name);
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..8].copy_from_slice(&digest[..7]);
    IpNet::V6(Ipv6Net::new_assert(octets.into(), 64))
}

/// Whether two subnets have an address in common.
pub fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// What the host has routes to. The default route, which is everything, isn't among them.
pub fn host_routes() -> Result<Vec<IpNet>> {
    let read = |path: &str| std::fs::read_to_string(path).at(path);
    let mut routes = routes_v4(&read("/proc/net/route")?);
    // A kernel without IPv6 has no such file.
    routes.extend(routes_v6(&read("/proc/net/ipv6_route").unwrap_or_default()));
    Ok(routes)
}

/// Lines of interface, destination, gateway, flags, …, mask, in hexadecimal of the machine's byte order.
fn routes_v4(table: &str) -> Vec<IpNet> {
    let route = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let address =
            |hex: &str| u32::from_str_radix(hex, 16).ok().map(|bits| Ipv4Addr::from(bits.to_ne_bytes()));
        let destination = address(fields.nth(1)?)?;
        let mask = address(fields.nth(5)?)?;
        Ipv4Net::with_netmask(destination, mask).ok()
    };
    let routes = table.lines().skip(1).filter_map(route);
    routes.filter(|route| route.prefix_len() > 0).map(IpNet::V4).collect()
}

/// Lines of destination, prefix length, …, in hexadecimal.
fn routes_v6(table: &str) -> Vec<IpNet> {
    let route = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let destination = Ipv6Addr::from(u128::from_str_radix(fields.next()?, 16).ok()?);
        Ipv6Net::new(destination, u8::from_str_radix(fields.next()?, 16).ok()?).ok()
    };
    let routes = table.lines().filter_map(route);
    // Only what may be a network's: neither the default route nor single addresses, link-local or multicast.
    routes.filter(|route| (8..128).contains(&route.prefix_len())).map(IpNet::V6).collect()
}

/// The first address of a subnet that a host may have: its gateway, unless somebody says otherwise.
pub fn first_host(subnet: &IpNet) -> IpAddr {
    match subnet {
        IpNet::V4(net) => Ipv4Addr::from(u32::from(net.network()).saturating_add(1)).into(),
        IpNet::V6(net) => Ipv6Addr::from(u128::from(net.network()).saturating_add(1)).into(),
    }
}

/// The first and the last address of a range that hosts of the subnet may have.
pub fn hosts(subnet: &IpNet, range: &IpNet) -> (IpAddr, IpAddr) {
    let first = if range.network() == subnet.network() { first_host(subnet) } else { range.network() };
    let last = match range.broadcast() {
        IpAddr::V4(last) if IpAddr::V4(last) == subnet.broadcast() => {
            Ipv4Addr::from(u32::from(last) - 1).into()
        }
        last => last,
    };
    (first, last)
}

/// The ranges that are left of one without some addresses.
pub fn without((first, last): (IpAddr, IpAddr), taken: &BTreeSet<IpAddr>) -> Vec<(IpAddr, IpAddr)> {
    let mut left = Vec::new();
    let mut begin = Some(first);
    for address in taken.iter().filter(|address| (first..=last).contains(*address)) {
        if let (Some(from), Some(to)) = (begin, next_to(*address, false)) {
            left.extend((from <= to).then_some((from, to)));
        }
        begin = next_to(*address, true);
    }
    left.extend(begin.filter(|from| *from <= last).map(|from| (from, last)));
    left
}

/// The next address, or the one before.
fn next_to(address: IpAddr, up: bool) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => {
            let bits = u32::from(address);
            Ipv4Addr::from(if up { bits.checked_add(1)? } else { bits.checked_sub(1)? }).into()
        }
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            Ipv6Addr::from(if up { bits.checked_add(1)? } else { bits.checked_sub(1)? }).into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|net| net.parse().unwrap()).collect()
    }

    #[test]
    fn the_first_subnet_without_an_overlap_is_taken() {
        let pool: Pool = "10.1.0.0/16:24, 10.2.0.0/24:25".parse().unwrap();
        assert_eq!(pool.free_v4(&[]).unwrap().to_string(), "10.1.0.0/24");
        assert_eq!(pool.free_v4(&nets(&["10.1.0.0/23", "10.1.2.7/32"])).unwrap().to_string(), "10.1.3.0/24");
        assert_eq!(pool.free_v4(&nets(&["10.1.0.0/16"])).unwrap().to_string(), "10.2.0.0/25");
        let err = pool.free_v4(&nets(&["10.0.0.0/8"])).unwrap_err().to_string();
        assert!(err.starts_with("address pool: no subnet is free"), "{err}");
    }

    #[test]
    fn a_pool_that_is_none_is_refused() {
        for text in ["", "10.1.0.0/16", "10.1.0.0/16:8", "10.1.0.0/16:31", "fd00::/8:64", "x:24"] {
            assert!(text.parse::<Pool>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn routes_are_read_without_the_default_route() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\nbroken\n";
        assert_eq!(routes_v4(table), nets(&["172.17.0.0/16"]));
    }

    #[test]
    fn routes_of_ipv6_are_those_of_networks() {
        let zeros = "0".repeat(32);
        let rest = format!("{zeros} 00 {zeros} 00000100 00000001 00000000 00000001 eth0");
        let table = format!(
            "fd120000000000000000000000000000 40 {rest}\n{zeros} 00 {rest}\n\
             fd120000000000000000000000000001 80 {rest}\n"
        );
        assert_eq!(routes_v6(&table), nets(&["fd12::/64"]));
    }

    #[test]
    fn a_network_has_the_same_local_subnet_each_time() {
        assert_eq!(v6_of("a"), v6_of("a"));
        assert_ne!(v6_of("a"), v6_of("b"));
        assert!(v6_of("a").to_string().starts_with("fd"));
    }

    #[test]
    fn a_range_is_without_the_ends_of_its_subnet() {
        let of = |subnet: &str, range: &str| {
            let (first, last) = hosts(&subnet.parse().unwrap(), &range.parse().unwrap());
            format!("{first}-{last}")
        };
        assert_eq!(of("10.6.0.0/24", "10.6.0.0/24"), "10.6.0.1-10.6.0.254");
        assert_eq!(of("10.6.0.0/24", "10.6.0.128/25"), "10.6.0.128-10.6.0.254");
        assert_eq!(of("10.6.0.0/24", "10.6.0.64/26"), "10.6.0.64-10.6.0.127");
        assert_eq!(of("10.6.0.0/24", "10.6.0.9/32"), "10.6.0.9-10.6.0.9");
        assert_eq!(of("fd00::/64", "fd00::/127"), "fd00::1-fd00::1");
    }

    #[test]
    fn what_is_taken_parts_a_range() {
        let of = |first: &str, last: &str, taken: &[&str]| {
            let address = |text: &str| text.parse::<IpAddr>().unwrap();
            let taken = taken.iter().map(|text| address(text)).collect();
            let left = without((address(first), address(last)), &taken).into_iter();
            left.map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("10.0.0.1", "10.0.0.9", &[]), "10.0.0.1-10.0.0.9");
        assert_eq!(of("10.0.0.1", "10.0.0.9", &["10.0.0.1", "10.0.0.2", "9.9.9.9"]), "10.0.0.3-10.0.0.9");
        assert_eq!(
            of("10.0.0.1", "10.0.0.9", &["10.0.0.9", "10.0.0.5"]),
            "10.0.0.1-10.0.0.4 10.0.0.6-10.0.0.8"
        );
        assert_eq!(of("10.0.0.1", "10.0.0.1", &["10.0.0.1"]), "");
        assert_eq!(of("fd00::1", "fd00::f", &["fd00::8"]), "fd00::1-fd00::7 fd00::9-fd00::f");
        assert_eq!(
            of("255.255.255.254", "255.255.255.255", &["255.255.255.255"]),
            "255.255.255.254-255.255.255.254"
        );
    }

    #[test]
    fn the_gateway_is_the_first_host() {
        assert_eq!(first_host(&"10.1.2.0/24".parse().unwrap()).to_string(), "10.1.2.1");
        assert_eq!(first_host(&"fd00::/64".parse().unwrap()).to_string(), "fd00::1");
    }
}
