//! `port`: where on the host the ports of a container are.

use super::{Ended, Session, say};
use crate::error::{Error, Result};
use crate::net::request::{Port, Protocol};
use crate::observe::{self, Observed};

pub async fn port(session: &Session, typed: &str, port: Option<&str>) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, typed)?;
    let Some(port) = port else {
        for port in published(one) {
            let inside = format!("{}/{}", port.container_port, port.protocol);
            places(port).iter().for_each(|place| say(format_args!("{inside} -> {place}")));
        }
        return Ok(0);
    };
    let (number, protocol) = wanted(port)?;
    let found = places_of(one, number, protocol);
    if found.is_empty() {
        return Err(Error::new(format!("no public port '{number}/{protocol}' published for {typed}")));
    }
    found.iter().for_each(say);
    Ok(0)
}

/// The published ports, by their numbers inside.
pub fn published(one: &Observed) -> Vec<&Port> {
    let mut ports: Vec<&Port> = one.endpoints.iter().flat_map(|endpoint| &endpoint.ports).collect();
    ports.sort_by_key(|port| (port.container_port, port.protocol, port.host_ip, port.host_port));
    ports
}

/// Where on the host a port of the container is.
pub fn places_of(one: &Observed, number: u16, protocol: Protocol) -> Vec<String> {
    let is_it = |port: &&&Port| port.container_port == number && port.protocol == protocol;
    published(one).iter().filter(is_it).flat_map(|port| places(port)).collect()
}

/// Addresses with ports. A port of all addresses is one of both families.
fn places(port: &Port) -> Vec<String> {
    match port.host_ip {
        Some(ip) => vec![std::net::SocketAddr::new(ip, port.host_port).to_string()],
        None => vec![format!("0.0.0.0:{}", port.host_port), format!("[::]:{}", port.host_port)],
    }
}

/// `80`, `80/tcp`
fn wanted(typed: &str) -> Result<(u16, Protocol)> {
    let (number, protocol) = typed.split_once('/').unwrap_or((typed, "tcp"));
    let number = number.parse().map_err(|_| Error::new(format!("invalid port '{typed}'")))?;
    Ok((number, self::protocol(protocol)?))
}

/// Errors: not one of those that have ports.
pub fn protocol(typed: &str) -> Result<Protocol> {
    match typed.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(Error::new(format!("invalid protocol '{typed}': must be tcp, udp or sctp"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_with_or_without_a_protocol() {
        assert_eq!(wanted("80").unwrap(), (80, Protocol::Tcp));
        assert_eq!(wanted("53/UDP").unwrap(), (53, Protocol::Udp));
        for typed in ["", "/", "x", "80/", "80/x", "-1", "65536", "80/tcp/udp"] {
            assert!(wanted(typed).is_err(), "{typed}");
        }
    }
}
