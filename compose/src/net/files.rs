//! `hosts`, `resolv.conf` and `hostname` of a container. They are bind-mounted before its addresses are known, so they
//! are rewritten in place.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use super::endpoint::Endpoint;
use super::request::Request;
use crate::disk;
use crate::error::Result;

/// Where the host says what it resolves by.
pub const HOST_RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where a container asks for names.
pub const RESOLVER: &str = "127.0.0.11";
/// What an extra host may have as address: the host itself.
const HOST_GATEWAY: &str = "host-gateway";

const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// Writes all three into a container's directory. `answered` says whether somebody answers at 127.0.0.11.
pub fn write(container: &Path, request: &Request, endpoints: &[&Endpoint], answered: bool) -> Result<()> {
    let host = std::fs::read_to_string(HOST_RESOLV_CONF).unwrap_or_default();
    let files = [
        ("hosts", hosts(request, endpoints)),
        ("resolv.conf", resolv_conf(request, &host, answered)),
        ("hostname", format!("{}\n", request.hostname)),
    ];
    files.iter().try_for_each(|(name, text)| disk::write_in_place(&container.join(name), text.as_bytes()))
}

/// Local names, those that the user adds, and the container's own.
pub fn hosts(request: &Request, endpoints: &[&Endpoint]) -> String {
    let mut text = LOCAL_HOSTS.to_owned();
    let gateway = endpoints.iter().filter(|endpoint| !endpoint.internal).find_map(|end| end.gateways.first());
    for (name, address) in &request.extra_hosts {
        let address = match gateway {
            Some(gateway) if address == HOST_GATEWAY => gateway.to_string(),
            _ => address.clone(),
        };
        let _ = writeln!(text, "{address}\t{name}");
    }
    let names = match request.domainname.as_str() {
        "" => request.hostname.clone(),
        domain => format!("{}.{domain} {}", request.hostname, request.hostname),
    };
    for address in endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
        let _ = writeln!(text, "{}\t{names}", address.addr());
    }
    text
}

/// What the container resolves by: 127.0.0.11 where that is answered, else what the user or the host says.
pub fn resolv_conf(request: &Request, host: &str, answered: bool) -> String {
    let servers = match (answered, request.dns.as_slice()) {
        (true, _) => vec![RESOLVER.to_owned()],
        (false, []) => nameservers(host).iter().map(IpAddr::to_string).collect(),
        (false, servers) => servers.iter().map(IpAddr::to_string).collect(),
    };
    let mut text = servers.iter().fold(String::new(), |text, server| text + "nameserver " + server + "\n");
    let mut search =
        if request.dns_search.is_empty() { words(host, "search") } else { request.dns_search.clone() };
    // A single dot, or nothing, is how people say that nothing is searched.
    search.retain(|domain| !["", "."].contains(&domain.as_str()));
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    let mut options =
        if request.dns_options.is_empty() { words(host, "options") } else { request.dns_options.clone() };
    // Names of services have no dot, and are asked for as they are.
    if answered && !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push("ndots:0".to_owned());
    }
    if !options.is_empty() {
        let _ = writeln!(text, "options {}", options.join(" "));
    }
    text
}

/// The servers that a resolv.conf names.
pub fn nameservers(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    // A zone of a link-local address is for the C library, which we aren't.
    lines.filter_map(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).collect()
}

/// The words of the last line with this keyword, as the C library takes it.
fn words(text: &str, keyword: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_ascii_whitespace());
    let last = lines.rev().find(|words| words.clone().next() == Some(keyword));
    last.into_iter().flat_map(|words| words.skip(1)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# by hand\nnameserver 10.0.0.1\nnameserver fd00::1 \nsearch old\n\
        search example.org lan\noptions edns0\n";

    fn endpoint(address: &str, gateway: &str) -> Endpoint {
        Endpoint {
            addresses: vec![address.parse().unwrap()],
            gateways: vec![gateway.parse().unwrap()],
            ..Endpoint::default()
        }
    }

    #[test]
    fn the_containers_own_names_follow_the_local_ones() {
        let request = Request {
            hostname: "web".into(),
            domainname: "example.org".into(),
            extra_hosts: vec![("up".into(), "host-gateway".into()), ("db".into(), "10.9.9.9".into())],
            ..Request::default()
        };
        let (internal, outer) =
            (endpoint("10.72.1.2/24", "10.72.1.1"), endpoint("10.72.0.2/24", "10.72.0.1"));
        let internal = Endpoint { internal: true, ..internal };
        let text = hosts(&request, &[&internal, &outer]);
        let own =
            "10.72.0.1\tup\n10.9.9.9\tdb\n10.72.1.2\tweb.example.org web\n10.72.0.2\tweb.example.org web\n";
        assert_eq!(text, format!("{LOCAL_HOSTS}{own}"));
    }

    #[test]
    fn who_is_answered_asks_nobody_else() {
        let text = resolv_conf(&Request::default(), HOST, true);
        assert_eq!(text, "nameserver 127.0.0.11\nsearch example.org lan\noptions edns0 ndots:0\n");
    }

    #[test]
    fn who_is_not_answered_asks_the_hosts_servers_or_its_own() {
        let text = resolv_conf(&Request::default(), HOST, false);
        assert_eq!(text, "nameserver 10.0.0.1\nnameserver fd00::1\nsearch example.org lan\noptions edns0\n");
        let request = Request {
            dns: vec!["9.9.9.9".parse().unwrap()],
            dns_search: vec![".".into()],
            dns_options: vec!["ndots:2".into()],
            ..Request::default()
        };
        assert_eq!(resolv_conf(&request, HOST, false), "nameserver 9.9.9.9\noptions ndots:2\n");
        assert_eq!(resolv_conf(&request, HOST, true), "nameserver 127.0.0.11\noptions ndots:2\n");
    }
}
