//! The published ports, held on the host so that nobody else takes them, and served where no rule of the firewall
//! leads: from `::1`, from IPv6 to a container without it, and without `nft` from everywhere.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::disk::Disk;
use crate::error::Result;
use crate::net::endpoint::Endpoints;
use crate::net::sockets::{Held, Socket};

/// How long a flow of UDP lives without a packet.
const FLOW_IDLE: Duration = Duration::from_secs(90);
/// So many flows of UDP a port has at most.
const FLOWS_MAX: usize = 1024;
const DATAGRAM_MAX: usize = 65_536;

/// Where a port leads: the container's address is asked for at each connection, because it comes after the socket.
#[derive(Clone)]
struct Target {
    disk: Disk,
    container: String,
    port: u16,
}

/// Serves a port of a container until the end of this local set.
pub fn serve(disk: &Disk, container: &str, held: Held) -> Result<()> {
    let target =
        Target { disk: disk.clone(), container: container.to_owned(), port: held.port.container_port };
    for socket in held.sockets {
        match socket {
            Socket::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                tokio::task::spawn_local(serve_tcp(listener, target.clone()));
            }
            Socket::Udp(socket) => {
                let socket = UdpSocket::from_std(socket)?;
                tokio::task::spawn_local(serve_udp(Rc::new(socket), target.clone()));
            }
        }
    }
    Ok(())
}

impl Target {
    fn address(&self) -> Option<SocketAddr> {
        let list = Endpoints::load(&self.disk, &self.container).ok()??;
        let publishing =
            list.endpoints.iter().map(|made| &made.endpoint).find(|end| !end.ports.is_empty())?;
        let address = publishing.addresses_of(true).chain(publishing.addresses_of(false)).next()?;
        Some(SocketAddr::new(address, self.port))
    }
}

async fn serve_tcp(listener: TcpListener, target: Target) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::task::spawn_local(connect(client, target.address()))),
            // Too many files are open. Some will be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connect(mut client: TcpStream, target: Option<SocketAddr>) -> std::io::Result<()> {
    if let Some(target) = target {
        let mut server = TcpStream::connect(target).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    }
    Ok(())
}

async fn serve_udp(socket: Rc<UdpSocket>, target: Target) {
    let mut flows: HashMap<SocketAddr, Rc<UdpSocket>> = HashMap::new();
    loop {
        // Allocated when there is something to read: a container that nobody asks this way pays nothing.
        if socket.readable().await.is_err() {
            continue;
        }
        let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
        let Ok((_, client)) = socket.try_recv_buf_from(&mut datagram) else { continue };
        // Who alone holds a flow's socket has lost its task.
        flows.retain(|_, flow| Rc::strong_count(flow) > 1);
        if !flows.contains_key(&client) && flows.len() < FLOWS_MAX {
            if let Some(flow) = open_flow(target.address()).await {
                tokio::task::spawn_local(answer(socket.clone(), client, flow.clone()));
                flows.insert(client, flow);
            }
        }
        if let Some(flow) = flows.get(&client) {
            // A datagram may always be lost.
            drop(flow.send(&datagram).await);
        }
    }
}

async fn open_flow(target: Option<SocketAddr>) -> Option<Rc<UdpSocket>> {
    let target = target?;
    let any: IpAddr = match target {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let flow = UdpSocket::bind((any, 0)).await.ok()?;
    flow.connect(target).await.ok()?;
    Some(Rc::new(flow))
}

/// Brings a flow's answers back until there are none for a while.
async fn answer(socket: Rc<UdpSocket>, client: SocketAddr, flow: Rc<UdpSocket>) {
    while let Ok(Ok(())) = timeout(FLOW_IDLE, flow.readable()).await {
        let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
        match flow.try_recv_buf(&mut datagram) {
            Ok(_) => drop(socket.send_to(&datagram, client).await),
            Err(err) if err.kind() == std::io::ErrorKind::WouldBlock => {}
            // Nobody listens in the container.
            Err(_) => return,
        }
    }
}
