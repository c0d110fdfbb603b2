//! The sockets that a container's keeper holds: those that answer names inside, and the published ports of the host.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};

use super::namespace;
use super::request::{Port, Protocol, Request};
use crate::error::{Error, Result};

/// The sockets that answer names.
pub struct Names {
    /// What most ask by.
    pub udp: UdpSocket,
    /// What is asked by when an answer is long.
    pub tcp: TcpListener,
}

/// A published port, held on the host.
pub struct Held {
    /// Which port. Its number is the one that was found where any was fine.
    pub port: Port,
    /// Its sockets, one for each family. SCTP has none.
    pub sockets: Vec<Socket>,
}

/// A socket of the host.
pub enum Socket {
    /// Of TCP, listening.
    Tcp(TcpListener),
    /// Of UDP.
    Udp(UdpSocket),
}

impl Names {
    /// Opens them in the network namespace of a process, at these ports, or at any that are free.
    pub fn open(pid: i32, ports: Option<(u16, u16)>) -> Result<Names> {
        let at = |port: u16| SocketAddr::new(Ipv4Addr::new(127, 0, 0, 11).into(), port);
        let (udp, tcp) = ports.unwrap_or_default();
        namespace::within(pid, || {
            Ok(Names { udp: UdpSocket::bind(at(udp))?, tcp: TcpListener::bind(at(tcp))? })
        })
    }

    /// The ports that they have got: UDP's and TCP's.
    pub fn ports(&self) -> Result<(u16, u16)> {
        Ok((self.udp.local_addr()?.port(), self.tcp.local_addr()?.port()))
    }
}

impl Held {
    /// Takes a port of the host; of a range the first that is free.
    ///
    /// Errors: somebody else has it; the line says who.
    pub fn take(port: &Port) -> Result<Held> {
        let numbers = port.host_port..=port.host_port_last.unwrap_or(port.host_port);
        let mut tried =
            numbers.map(|host_port| Held::take_one(Port { host_port, host_port_last: None, ..port.clone() }));
        let first =
            tried.next().unwrap_or_else(|| Err(Error::new(format!("port {port}: the range is empty"))));
        // Of a range that is all taken, the first refusal is told.
        first.or_else(|err| tried.find_map(Result::ok).ok_or(err))
    }

    fn take_one(mut port: Port) -> Result<Held> {
        let mut sockets = Vec::new();
        for address in addresses(&port) {
            match open(port.protocol, SocketAddr::new(address, port.host_port)) {
                Ok(Some(socket)) => {
                    // Where any port is fine, the second family takes the number that the first has got.
                    port.host_port = socket.port()?;
                    sockets.push(socket);
                }
                Ok(None) => {}
                // A host without IPv6 has no addresses of it.
                Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL) if port.host_ip.is_none() => {}
                Err(Errno::EADDRINUSE) => return Err(taken(&port)),
                Err(errno) => return Err(Error::new(format!("port {port}: {}", errno.desc()))),
            }
        }
        Ok(Held { port, sockets })
    }
}

impl Socket {
    fn port(&self) -> Result<u16> {
        Ok(match self {
            Socket::Tcp(listener) => listener.local_addr()?.port(),
            Socket::Udp(socket) => socket.local_addr()?.port(),
        })
    }
}

fn addresses(port: &Port) -> Vec<IpAddr> {
    match port.host_ip {
        Some(ip) => vec![ip],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    }
}

fn open(protocol: Protocol, address: SocketAddr) -> nix::Result<Option<Socket>> {
    match protocol {
        Protocol::Tcp => bound(SockType::Stream, address).map(|fd| Some(Socket::Tcp(fd.into()))),
        Protocol::Udp => bound(SockType::Datagram, address).map(|fd| Some(Socket::Udp(fd.into()))),
        Protocol::Sctp => Ok(None),
    }
}

fn bound(kind: SockType, address: SocketAddr) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    if address.is_ipv6() {
        // Else it would take the port of IPv4 as well, which has a socket of its own.
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    if kind == SockType::Stream {
        // Connections of an earlier start that are still closing are no reason to refuse.
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &SockaddrStorage::from(address))?;
    if kind == SockType::Stream {
        listen(&fd, Backlog::MAXCONN)?;
    }
    Ok(fd)
}

/// Of a container's port in Docker's words.
fn taken(port: &Port) -> Error {
    let Some(owner) = owner(port) else { return Error::new(format!("port {port}: in use")) };
    if let Some(name) = container_of(&owner) {
        let address = port.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let address = SocketAddr::new(address, port.host_port);
        return Error::new(format!(
            "Bind for {address} failed: port is already allocated (by container {name})"
        ));
    }
    let name = fs::read_to_string(owner.join("comm")).unwrap_or_default();
    let pid = owner.file_name().unwrap_or_default().to_string_lossy();
    Error::new(format!("port {port}: in use by {} (pid {pid})", name.trim()))
}

/// The container whose keeper a process is: its name. The keeper is told the container's directory.
fn container_of(process: &Path) -> Option<String> {
    let line = fs::read_to_string(process.join("cmdline")).ok()?;
    let mut words = line.split('\0').skip(1);
    let dir = words.next().filter(|word| *word == "keep").and(words.next())?;
    Request::load(Path::new(dir)).ok()?.map(|request| request.name)
}

/// The process that has a socket at the port: its directory in /proc.
fn owner(port: &Port) -> Option<PathBuf> {
    let table =
        |family: &str| fs::read_to_string(format!("/proc/net/{}{family}", port.protocol)).unwrap_or_default();
    let is_tcp = port.protocol == Protocol::Tcp;
    let inodes = [table(""), table("6")]
        .iter()
        .flat_map(|text| inodes(text, port.host_port, is_tcp))
        .collect::<Vec<_>>();
    let links = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect::<Vec<_>>();
    let numbered = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
    for process in fs::read_dir("/proc").ok()?.flatten().filter(numbered) {
        let Ok(fds) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = |fd: &fs::DirEntry| {
            fs::read_link(fd.path())
                .is_ok_and(|link| links.iter().any(|wanted| link.as_os_str() == wanted.as_str()))
        };
        if fds.flatten().any(|fd| holds(&fd)) {
            return Some(process.path());
        }
    }
    None
}

/// The sockets bound to a port: lines of number, local address, remote address, state, …, inode as the tenth field.
fn inodes(table: &str, port: u16, is_tcp: bool) -> Vec<u64> {
    const LISTENING: &str = "0A";
    let inode = |line: &str| {
        let fields = line.split_ascii_whitespace().collect::<Vec<_>>();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let is_meant =
            u16::from_str_radix(local, 16).ok()? == port && (!is_tcp || *fields.get(3)? == LISTENING);
        is_meant.then(|| fields.get(9)?.parse().ok()).flatten()
    };
    table.lines().skip(1).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host_port: u16, protocol: Protocol) -> Port {
        Port {
            host_ip: Some(Ipv4Addr::LOCALHOST.into()),
            host_port,
            host_port_last: None,
            container_port: 80,
            protocol,
        }
    }

    #[test]
    fn a_taken_port_is_refused_with_its_owner() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let held = Held::take(&port(0, protocol)).unwrap();
            assert_ne!(held.port.host_port, 0, "any port is one in the end");
            let err = Held::take(&port(held.port.host_port, protocol)).err().unwrap().to_string();
            assert!(err.contains(&format!("(pid {})", std::process::id())), "{err}");
            assert!(
                err.starts_with(&format!("port 127.0.0.1:{}/{protocol}: in use by", held.port.host_port)),
                "{err}"
            );
        }
    }

    #[test]
    fn both_families_have_the_same_port() {
        let any = Port { host_ip: None, ..port(0, Protocol::Tcp) };
        let held = Held::take(&any).unwrap();
        let ports = held.sockets.iter().map(|socket| socket.port().unwrap()).collect::<Vec<_>>();
        assert!(ports.iter().all(|port| *port == held.port.host_port), "{ports:?}");
    }

    #[test]
    fn listening_sockets_are_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1\n\
            1: 0100007F:1F90 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 4343 1\n";
        assert_eq!(inodes(table, 8080, true), [4242]);
        assert_eq!(inodes(table, 8080, false), [4242, 4343]);
        assert!(inodes(table, 80, true).is_empty());
    }
}
