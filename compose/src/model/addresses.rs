//! Addresses that containers insist on, and what is wrong with them, in docker's words.

use super::check::Problem;
use super::node::Path;
use super::types::{Attachment, Network, Project};
use ipnet::IpNet;
use std::net::IpAddr;

/// The addresses that hosts give themselves.
const LINK_LOCAL: [&str; 2] = ["169.254.0.0/16", "fe80::/10"];

/// An address that none of a network's subnets has.
pub fn outside(address: &str) -> String {
    format!("no configured subnet contains IP address {address}")
}

/// What is wrong with what a container asks of a network.
pub fn of_network(network: &str, what: &str) -> String {
    format!("invalid config for network {network}: invalid endpoint settings: {what}")
}

/// The addresses of an attachment alone.
pub fn attachment(attachment: &Attachment) -> Result<(), String> {
    let families = [("IPv4", &attachment.ipv4_address, true), ("IPv6", &attachment.ipv6_address, false)];
    for (family, asked, v4) in families {
        let is_of = |text: &&String| text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() == v4);
        if let Some(text) = asked.as_ref().filter(|text| !is_of(text)) {
            return Err(format!("invalid {family} address: {text}"));
        }
    }
    let is_in = |net: &str, address: IpAddr| net.parse::<IpNet>().is_ok_and(|net| net.contains(&address));
    let is_local =
        |text: &&String| text.parse().is_ok_and(|address| LINK_LOCAL.iter().any(|net| is_in(net, address)));
    if let Some(text) = attachment.link_local_ips.iter().find(|text| !is_local(text)) {
        return Err(format!("invalid link-local IP address: {text}"));
    }
    attachment.mac_address.as_deref().map_or(Ok(()), hardware)
}

/// A hardware address of six bytes: `02:42:ac:11:00:02`, `02-42-ac-11-00-02`, `0242.ac11.0002`.
pub fn hardware(text: &str) -> Result<(), String> {
    let is_list = |separator: char, digits: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        let is_part = |part: &&str| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        parts.len() * digits == 12 && parts.iter().all(is_part)
    };
    if is_list(':', 2) || is_list('-', 2) || is_list('.', 4) {
        Ok(())
    } else {
        Err(format!("{text} is not a valid mac address"))
    }
}

/// What of a project's networks can't be had, as far as the project alone tells.
pub fn problems(project: &Project, problems: &mut Vec<Problem>) {
    for (name, _) in project.networks.iter().filter(|(_, network)| network.enable_ipv4 == Some(false)) {
        let what = "can't be done here: each network has addresses of IPv4".to_owned();
        problems.push((Path::of(&["networks", name, "enable_ipv4"]), what));
    }
    for (service, definition) in &project.services {
        for (key, asked) in &definition.networks {
            let Some(network) = project.networks.get(key).filter(|network| !network.external) else {
                continue;
            };
            let fixed = [&asked.ipv4_address, &asked.ipv6_address].into_iter().flatten();
            if let Some(what) = fixed.filter_map(|text| text.parse().ok()).find_map(|at| misfit(network, at))
            {
                let path = Path::of(&["services", service, "networks", key]);
                problems.push((path, of_network(&network.name, &what)));
            }
        }
    }
}

/// Why the network has no such address, if it hasn't.
fn misfit(network: &Network, address: IpAddr) -> Option<String> {
    let pools = network.ipam.iter().flat_map(|ipam| &ipam.config);
    let subnets: Vec<&str> = pools.filter_map(|pool| pool.subnet.as_deref()).collect();
    // What is no subnet is told when the network is made.
    let subnets = subnets.iter().map(|text| text.parse::<IpNet>()).collect::<Result<Vec<_>, _>>().ok()?;
    let is_same = |subnet: &&IpNet| subnet.addr().is_ipv4() == address.is_ipv4();
    if !subnets.iter().any(|subnet| is_same(&subnet)) {
        let only = "only when connecting to networks with user configured subnets";
        return Some(format!("user specified IP address is supported {only}"));
    }
    (!subnets.iter().any(|subnet| subnet.contains(&address))).then(|| outside(&address.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::types::{Ipam, IpamPool, Service};
    use super::*;

    #[test]
    fn hardware_addresses_have_six_bytes() {
        for text in ["02:42:ac:11:00:02", "02-42-AC-11-00-02", "0242.ac11.0002"] {
            assert_eq!(hardware(text), Ok(()), "{text}");
        }
        for text in
            ["bad", "", "02:42:ac:11:00", "02:42:ac:11:00:0g", "02:42-ac:11:00:02", "02:42:ac:11:00:02:03"]
        {
            assert_eq!(hardware(text), Err(format!("{text} is not a valid mac address")));
        }
    }

    #[test]
    fn an_address_is_in_a_subnet_that_somebody_has_chosen() {
        let told = |subnets: &[&str], asked: Attachment| {
            let pool = |subnet: &&str| IpamPool { subnet: Some((*subnet).into()), ..IpamPool::default() };
            let config = subnets.iter().map(pool).collect();
            let network = Network {
                name: "p_n".into(),
                ipam: Some(Ipam { config, ..Ipam::default() }),
                ..Network::default()
            };
            let service = Service { networks: [("n".to_owned(), asked)].into(), ..Service::default() };
            let project = Project {
                networks: [("n".to_owned(), network)].into(),
                services: [("a".to_owned(), service)].into(),
                ..Project::default()
            };
            let mut found = Vec::new();
            problems(&project, &mut found);
            found.pop().map(|(path, what)| format!("{path}: {what}"))
        };
        let v4 = |text: &str| Attachment { ipv4_address: Some(text.into()), ..Attachment::default() };
        let v6 = |text: &str| Attachment { ipv6_address: Some(text.into()), ..Attachment::default() };
        assert_eq!(told(&["10.8.0.0/24", "fd00::/64"], v4("10.8.0.9")), None);
        assert_eq!(told(&["10.8.0.0/24", "fd00::/64"], v6("fd00::9")), None);
        let begin = "services.a.networks.n: invalid config for network p_n: invalid endpoint settings: ";
        let outside = format!("{begin}no configured subnet contains IP address 10.9.9.9");
        assert_eq!(told(&["10.8.0.0/24"], v4("10.9.9.9")), Some(outside));
        let given = told(&["10.8.0.0/24"], v6("fd00::9")).unwrap();
        assert!(
            given.ends_with("supported only when connecting to networks with user configured subnets"),
            "{given}"
        );
        let local = |text: &str| {
            attachment(&Attachment { link_local_ips: vec![text.into()], ..Attachment::default() })
        };
        assert_eq!((local("169.254.7.7"), local("fe80::7")), (Ok(()), Ok(())));
        assert_eq!(local("10.8.0.9"), Err("invalid link-local IP address: 10.8.0.9".to_owned()));
        assert_eq!(attachment(&v4("fd00::9")), Err("invalid IPv4 address: fd00::9".to_owned()));
    }
}
