//! Answers names at 127.0.0.11 inside: those of the container's networks itself, all others by the host's resolvers.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::dns::{About, Question, Records};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::net::endpoint::{Endpoint, Endpoints};
use crate::net::files;
use crate::net::request::Request;
use crate::net::sockets;

/// How long one of the host's resolvers may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a client of TCP may be silent.
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);
/// So many questions and clients of TCP there are at once. A container that asks more is its own problem.
const ASKED_MAX: usize = 256;
/// What no message by UDP is longer than.
const MESSAGE_MAX: usize = 4096;
const PORT: u16 = 53;

/// A container's names, served until the tasks are dropped.
pub struct Names {
    disk: Disk,
    container: String,
    /// Where others begin in the list of a name's addresses.
    turn: Cell<usize>,
    asked: Semaphore,
}

impl Names {
    /// The names that a container asks for.
    pub fn of(disk: Disk, container: &str) -> Rc<Names> {
        let container = container.to_owned();
        Rc::new(Names { disk, container, turn: Cell::new(0), asked: Semaphore::new(ASKED_MAX) })
    }

    /// Serves on these sockets until the end of this local set.
    pub fn serve(self: &Rc<Names>, sockets: sockets::Names) -> Result<()> {
        sockets.udp.set_nonblocking(true)?;
        sockets.tcp.set_nonblocking(true)?;
        let udp = Rc::new(UdpSocket::from_std(sockets.udp)?);
        let tcp = TcpListener::from_std(sockets.tcp)?;
        tokio::task::spawn_local(self.clone().serve_udp(udp));
        tokio::task::spawn_local(self.clone().serve_tcp(tcp));
        Ok(())
    }

    async fn serve_udp(self: Rc<Names>, socket: Rc<UdpSocket>) {
        let mut buffer = [0; MESSAGE_MAX];
        loop {
            let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
            let message = buffer[..length].to_vec();
            let (names, socket) = (self.clone(), socket.clone());
            tokio::task::spawn_local(async move {
                // Who is too many isn't answered, and asks again.
                let Ok(_permit) = names.asked.try_acquire() else { return };
                if let Some(answer) = names.answer(&message, true).await {
                    drop(socket.send_to(&answer, client).await);
                }
            });
        }
    }

    async fn serve_tcp(self: Rc<Names>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((client, _)) => drop(tokio::task::spawn_local(self.clone().serve_client(client))),
                // Too many files are open. Some will be closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn serve_client(self: Rc<Names>, mut client: TcpStream) -> std::io::Result<()> {
        let Ok(_permit) = self.asked.try_acquire() else { return Ok(()) };
        loop {
            let message = timeout(CLIENT_PATIENCE, read_message(&mut client)).await??;
            let Some(answer) = self.answer(&message, false).await else { return Ok(()) };
            write_message(&mut client, &answer).await?;
        }
    }

    async fn answer(&self, message: &[u8], by_udp: bool) -> Option<Vec<u8>> {
        let question = Question::read(message);
        let networks = self.networks().unwrap_or_default();
        let (links, turn) = (self.request().links, self.next_turn());
        let known = question.as_ref().and_then(|question| records(&question.about, &networks, &links, turn));
        if let (Some(question), Some(records)) = (&question, known) {
            return Some(question.answer(&records, by_udp));
        }
        // What leads nowhere must not lead out by way of names either: CVE-2024-29018.
        let is_closed =
            networks.iter().flatten().filter(|end| end.container == self.container).all(|end| end.internal);
        let forwarded = if is_closed { None } else { self.forward(message, by_udp).await };
        forwarded.or_else(|| question.map(|question| question.failure()))
    }

    fn next_turn(&self) -> usize {
        self.turn.set(self.turn.get().wrapping_add(1));
        self.turn.get()
    }

    fn request(&self) -> Request {
        Request::load(&self.disk.container(&self.container)).ok().flatten().unwrap_or_default()
    }

    /// The endpoints of each of the container's networks, the container's own included.
    fn networks(&self) -> Result<Vec<Vec<Endpoint>>> {
        let list =
            Endpoints::load(&self.disk, &self.container)?.ok_or_else(|| Error::new("not in any network"))?;
        list.endpoints.iter().map(|made| Endpoint::list(&self.disk, &made.endpoint.network)).collect()
    }

    async fn forward(&self, message: &[u8], by_udp: bool) -> Option<Vec<u8>> {
        for server in self.servers() {
            let asked = async {
                if by_udp { ask_by_udp(server, message).await } else { ask_by_tcp(server, message).await }
            };
            if let Ok(Ok(answer)) = timeout(PATIENCE, asked).await {
                return Some(answer);
            }
        }
        None
    }

    /// The container's own servers, or the host's, as they are at this moment.
    fn servers(&self) -> Vec<SocketAddr> {
        let request = self.request();
        let servers = if request.dns.is_empty() {
            files::nameservers(&std::fs::read_to_string(files::HOST_RESOLV_CONF).unwrap_or_default())
        } else {
            request.dns
        };
        servers.into_iter().map(|server| SocketAddr::new(server, PORT)).collect()
    }
}

/// What the endpoints of each network say. Nothing if they don't know the name or address.
fn records(about: &About, networks: &[Vec<Endpoint>], links: &[Link], turn: usize) -> Option<Records> {
    match about {
        About::Addresses { name, v4 } => {
            let bearers = bearers(name, networks, links);
            let mut addresses = bearers.iter().flat_map(|end| end.addresses_of(*v4)).collect::<Vec<_>>();
            let begin = if addresses.is_empty() { 0 } else { turn % addresses.len() };
            addresses.rotate_left(begin);
            (!bearers.is_empty()).then_some(Records::Addresses(addresses))
        }
        About::Other { name } => {
            (!bearers(name, networks, links).is_empty()).then_some(Records::Addresses(Vec::new()))
        }
        About::Name(address) => {
            let has = |end: &&Endpoint| end.addresses.iter().any(|own| own.addr() == *address);
            let bearer = networks.iter().flatten().find(has)?;
            Some(Records::Name(format!("{}.{}", bearer.name, bearer.network)))
        }
    }
}

/// A name that only the asking container knows, and the name of the container that it leads to.
type Link = (String, String);

/// The endpoints that have the name, which may have the network's behind it. A link goes before a name that all know.
fn bearers<'a>(name: &str, networks: &'a [Vec<Endpoint>], links: &[Link]) -> Vec<&'a Endpoint> {
    let is_meant = |own: &str, end: &Endpoint| {
        let network = end.network.to_ascii_lowercase();
        let short = name.strip_suffix(network.as_str()).and_then(|name| name.strip_suffix('.'));
        own.eq_ignore_ascii_case(name) || short.is_some_and(|short| own.eq_ignore_ascii_case(short))
    };
    let is_linked = |end: &&Endpoint| {
        let leads_to = |(alias, container): &Link| *container == end.name && is_meant(alias, end);
        links.iter().any(leads_to)
    };
    let linked: Vec<_> = networks.iter().flatten().filter(is_linked).collect();
    if !linked.is_empty() {
        return linked;
    }
    let is_named = |end: &&Endpoint| end.names.iter().any(|own| is_meant(own, end));
    networks.iter().flatten().filter(is_named).collect()
}

async fn ask_by_udp(server: SocketAddr, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut answer = vec![0; MESSAGE_MAX];
    loop {
        let length = socket.recv(&mut answer).await?;
        // An answer to another question, or a forged one.
        if answer.get(..2) == message.get(..2) && length >= 2 {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn ask_by_tcp(server: SocketAddr, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, message).await?;
    read_message(&mut stream).await
}

async fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_message(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).map_err(std::io::Error::other)?;
    let mut whole = length.to_be_bytes().to_vec();
    whole.extend(message);
    stream.write_all(&whole).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(network: &str, name: &str, aliases: &[&str], addresses: &[&str]) -> Endpoint {
        Endpoint {
            network: network.to_owned(),
            name: name.to_owned(),
            names: [name].iter().chain(aliases).map(|&name| name.to_owned()).collect(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ..Endpoint::default()
        }
    }

    fn networks() -> Vec<Vec<Endpoint>> {
        let web = |number: u8| {
            endpoint("App_front", &format!("app-web-{number}"), &["web"], &[&format!("10.72.0.{number}/24")])
        };
        let db = endpoint("back", "app-db-1", &["db"], &["10.72.1.2/24", "fd00::2/64"]);
        vec![vec![web(2), web(3), web(4)], vec![db]]
    }

    fn addresses(name: &str, v4: bool, turn: usize) -> Option<Vec<String>> {
        let links = [("sql".to_owned(), "app-db-1".to_owned()), ("web".to_owned(), "gone".to_owned())];
        match records(&About::Addresses { name: name.to_owned(), v4 }, &networks(), &links, turn)? {
            Records::Addresses(addresses) => Some(addresses.iter().map(IpAddr::to_string).collect()),
            Records::Name(_) => None,
        }
    }

    #[test]
    fn replicas_take_turns() {
        assert_eq!(addresses("web", true, 0).unwrap(), ["10.72.0.2", "10.72.0.3", "10.72.0.4"]);
        assert_eq!(addresses("web", true, 1).unwrap(), ["10.72.0.3", "10.72.0.4", "10.72.0.2"]);
        assert_eq!(addresses("web", true, 5).unwrap(), ["10.72.0.4", "10.72.0.2", "10.72.0.3"]);
    }

    #[test]
    fn a_name_may_have_its_network_behind_it_but_no_other() {
        assert_eq!(addresses("app-web-1.app_front", true, 0), None);
        assert_eq!(addresses("app-web-2.app_front", true, 0).unwrap(), ["10.72.0.2"]);
        assert_eq!(addresses("db.back", false, 0).unwrap(), ["fd00::2"]);
        assert_eq!(addresses("db.app_front", true, 0), None);
        assert_eq!(addresses("example.org", true, 0), None);
    }

    #[test]
    fn a_link_leads_to_its_container_where_that_is_there() {
        assert_eq!(addresses("SQL", true, 0).unwrap(), ["10.72.1.2"]);
        assert_eq!(addresses("sql.back", true, 0).unwrap(), ["10.72.1.2"]);
        assert_eq!(addresses("sql.app_front", true, 0), None);
        assert_eq!(addresses("web", true, 0).unwrap().len(), 3);
    }

    #[test]
    fn a_known_name_has_no_other_records_which_is_no_error() {
        assert_eq!(addresses("web", false, 0).unwrap(), Vec::<String>::new());
        let other = records(&About::Other { name: "web".into() }, &networks(), &[], 0);
        assert_eq!(other, Some(Records::Addresses(Vec::new())));
    }

    #[test]
    fn an_address_has_the_containers_name() {
        let name = records(&About::Name("10.72.1.2".parse().unwrap()), &networks(), &[], 0);
        assert_eq!(name, Some(Records::Name("app-db-1.back".into())));
        assert_eq!(records(&About::Name("10.9.9.9".parse().unwrap()), &networks(), &[], 0), None);
    }
}
