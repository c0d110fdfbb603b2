//! The hooks that the runtime calls: `createRuntime` once the namespaces are there, `poststop` once they are gone.
//!
//! Whoever starts the container, it gets its network here. The list of endpoints is on disk before anything is made, so
//! whatever is killed in between, the next start or the end takes it back. Before that, what the runtime has mounted of
//! volumes is looked at, and shared memory is put into its place.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::fcntl::Flock;
use serde::Deserialize;
use serde_json::Value;

use super::cni::{Client, Target};
use super::endpoint::{Endpoint, Endpoints, Made};
use super::handshake::{self, Opened};
use super::network::{self, Network, Publisher};
use super::request::{Attachment, Request};
use super::{files, firewall, flows, namespace, nft};
use crate::disk::{self, Disk};
use crate::error::{Context, Error, Kind, Result};
use crate::id;
use crate::process::Process;
use crate::shared_memory;
use crate::subpath::Subpaths;

/// The annotation that has the container's containerd namespace.
pub const NAMESPACE: &str = "corten.compose/namespace";

/// The state of a container, as runtimes give it to hooks.
#[derive(Deserialize)]
struct State {
    id: String,
    #[serde(default)]
    pid: i32,
    #[serde(default)]
    bundle: PathBuf,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Runs `hook create` or `hook delete`, with the state on stdin.
pub fn run(operation: &str) -> Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).at("stdin")?;
    let state: State = serde_json::from_str(&text).at("state on stdin")?;
    let namespace = state.annotations.get(NAMESPACE);
    let namespace =
        namespace.ok_or_else(|| Error::new(format!("{}: annotation {NAMESPACE} is missing", state.id)))?;
    if operation == "create" {
        Subpaths::of(&state.annotations)?.check_mounted(state.pid, &state.bundle)?;
        if let Some(of) = state.annotations.get(shared_memory::ANNOTATION) {
            shared_memory::share(of, state.pid, &state.bundle).at("shared memory")?;
        }
    }
    let container = Container { disk: Disk::of(namespace), id: state.id, client: Client::new() };
    match operation {
        "create" => container.create(state.pid),
        "delete" => container.delete(),
        _ => Err(Error::new(format!("hook {operation:?} is neither create nor delete"))),
    }
    .at(format!("network of {}", container.id))
}

/// A container, as far as its network goes.
pub(super) struct Container {
    pub disk: Disk,
    pub id: String,
    pub client: Client,
}

impl Container {
    fn create(&self, pid: i32) -> Result<()> {
        let _lock = self.lock()?;
        if let Err(err) = self.take_back() {
            // What is lost is no obstacle.
            if Endpoints::load(&self.disk, &self.id)?.is_some() {
                return Err(err);
            }
        }
        let init = Process::of(pid).ok_or_else(|| Error::new(format!("process {pid} is gone")))?;
        let request = Request::load(&self.disk.container(&self.id))?.unwrap_or_default();
        let mut list = self.list(&request, init)?;
        let created = self.attach(&request, &mut list);
        if created.is_err() {
            // The failure above is what the user should read.
            drop(self.take_back());
        }
        created
    }

    /// Writes down what will be made. Whoever removes a network looks at all lists under the same lock.
    fn list(&self, request: &Request, init: Process) -> Result<Endpoints> {
        let _networks = disk::lock_host(network::LOCK)?;
        let list = Endpoints { init, names_at: None, endpoints: self.plan(request)? };
        list.save(&self.disk, &self.id)?;
        Ok(list)
    }

    /// Takes back what the container has, if it has anything.
    fn delete(&self) -> Result<()> {
        if Endpoints::load(&self.disk, &self.id)?.is_some() {
            match self.lock() {
                Ok(_lock) => self.take_back()?,
                // Whoever has removed it has taken all back.
                Err(err) if err.kind() == Kind::NotFound => {}
                Err(err) => return Err(err),
            }
        }
        self.forget_removed().map(drop)
    }

    /// Removes the directory below /run of a container that is removed, unless there is something to take back. Returns
    /// whether it was removed. Whoever removes a container does so once more when its lasting directory is gone. So who
    /// has made the one below /run meanwhile sees here that the lasting one is gone, or has it removed.
    fn forget_removed(&self) -> Result<bool> {
        if self.disk.container(&self.id).exists() || Endpoints::load(&self.disk, &self.id)?.is_some() {
            return Ok(false);
        }
        disk::remove_dir(&self.disk.running(&self.id)).map(|()| true)
    }

    /// One process at a time changes what a container has.
    ///
    /// Errors: NotFound, if it is removed.
    pub fn lock(&self) -> Result<Flock<fs::File>> {
        disk::make_dir(&self.disk.running(&self.id))?;
        let lock = self.disk.lock(&self.lock_name())?;
        if self.forget_removed()? {
            return Err(Error::of_kind(Kind::NotFound, "it is removed"));
        }
        Ok(lock)
    }

    /// The name of that lock.
    pub fn lock_name(&self) -> String {
        format!("{}/network", self.id)
    }

    /// Takes back whatever the container has by its list. The caller holds the container's lock.
    ///
    /// Errors: the first one. All is tried nevertheless, and what can't succeed later either is tried once.
    pub fn take_back(&self) -> Result<()> {
        let Some(mut list) = Endpoints::load(&self.disk, &self.id)? else { return Ok(()) };
        let mut left = Vec::new();
        let mut taken = Ok(());
        for made in list.endpoints.iter().rev() {
            let Err(err) = self.take(list.init, made) else { continue };
            if !self.is_lost(made) {
                left.insert(0, made.clone());
            }
            taken = taken.and(Err(err).at(&made.endpoint.network));
        }
        firewall::follow()?;
        flows::forget(list.ports());
        if left.is_empty() {
            Endpoints::remove(&self.disk, &self.id)?;
        } else {
            list.endpoints = left;
            list.save(&self.disk, &self.id)?;
        }
        taken
    }

    fn take(&self, init: Process, made: &Made) -> Result<()> {
        made.endpoint.remove(&self.disk)?;
        let netns = init.is_alive().then(|| namespace::of(init.pid));
        let interface = &made.endpoint.interface;
        let target = Target { container: &self.id, netns: netns.as_deref(), interface };
        self.client.delete(&target, &made.plugins, &made.result)
    }

    /// Whether plugins that refuse to take an endpoint back will never do so: they haven't made it, or the network is
    /// gone. An address that it may have got all the same is freed as soon as no list names the container.
    fn is_lost(&self, made: &Made) -> bool {
        let is_gone = || match Network::load(&self.disk, &made.endpoint.network) {
            Err(err) => err.kind() == Kind::NotFound,
            Ok(network) => made.plugins.iter().any(|plugin| plugin["name"] != network.id.as_str()),
        };
        made.result.is_null() || is_gone()
    }

    /// What will be made, without addresses.
    pub fn plan(&self, request: &Request) -> Result<Vec<Made>> {
        let publisher = firewall::publisher();
        let mut networks = Vec::new();
        for attachment in &request.attachments {
            networks.push((attachment, Network::load(&self.disk, &attachment.network)?));
        }
        let outer = outer(&networks);
        let plan = networks.iter().enumerate().map(|(index, (attachment, network))| {
            let is_outer = outer == Some(index);
            let ports =
                if is_outer && network.bridge().is_some() { request.ports.clone() } else { Vec::new() };
            let mut names = vec![request.name.clone()];
            for name in attachment.aliases.iter().map(String::as_str).chain([id::short(&self.id)]) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            let endpoint = Endpoint {
                network: network.name.clone(),
                container: self.id.clone(),
                name: request.name.clone(),
                names,
                interface: attachment.interface.clone().unwrap_or_else(|| format!("eth{index}")),
                link_local: attachment.link_local.clone(),
                gateways: network.subnets.iter().map(|subnet| subnet.gateway).collect(),
                bridge: network.bridge().map(str::to_owned),
                subnets: network.subnets.iter().map(|subnet| subnet.subnet).collect(),
                internal: network.internal,
                ports,
                ..Endpoint::default()
            };
            let plugins = network.plugins(attachment, is_outer, publisher, &endpoint.ports)?;
            Ok(Made { endpoint, plugins, result: Value::Null, publisher })
        });
        plan.collect()
    }

    /// Makes what is planned. The table in the container's namespace and the interfaces need nothing of each other, so
    /// they are made at once.
    fn attach(&self, request: &Request, list: &mut Endpoints) -> Result<()> {
        let opened = handshake::ask(&self.disk.running(&self.id))?;
        if let Some(opened) = &opened {
            list.take_over(opened);
        }
        let (pid, names_at) = (list.init.pid, list.names_at);
        std::thread::scope(|scope| {
            let redirected = scope.spawn(move || redirect_names(pid, names_at));
            list.endpoints.iter_mut().try_for_each(|made| self.add(pid, made))?;
            redirected.join().unwrap_or_else(|_| Err(Error::new("the thread of the redirection failed")))
        })?;
        list.save(&self.disk, &self.id)?;
        if !list.endpoints.is_empty() {
            let endpoints = list.endpoints.iter().map(|made| &made.endpoint).collect::<Vec<_>>();
            files::write(&self.disk.container(&self.id), request, &endpoints, list.names_at.is_some())?;
            firewall::follow()?;
            flows::forget(list.ports());
        }
        Ok(())
    }

    pub fn add(&self, pid: i32, made: &mut Made) -> Result<()> {
        let endpoint = &mut made.endpoint;
        let netns = namespace::of(pid);
        let target = Target { container: &self.id, netns: Some(&netns), interface: &endpoint.interface };
        let add = || self.client.add(&target, &made.plugins);
        let added = match add() {
            // The plugin finds a bridge that its own last failure has left without an address, and gives it one.
            Err(err) if err.to_string().contains("could not set bridge's mac") => {
                self.client.delete(&target, &made.plugins, &Value::Null).and_then(|()| add())
            }
            added => added,
        };
        let added = added.at(format!("network {}", endpoint.network))?;
        endpoint.addresses = added.addresses;
        endpoint.mac = added.mac;
        made.result = added.result;
        add_local(pid, endpoint).at(format!("network {}", endpoint.network))?;
        if let (Some(bridge), Publisher::Nft) = (&endpoint.bridge, made.publisher) {
            let_loopback_through(bridge)?;
        }
        endpoint.save(&self.disk)
    }
}

impl Endpoints {
    /// What the keeper holds is what is published, under the numbers that it has found.
    fn take_over(&mut self, opened: &Opened) {
        self.names_at = opened.names_at;
        for made in &mut self.endpoints {
            if made.endpoint.ports.is_empty() {
                continue;
            }
            made.endpoint.ports.clone_from(&opened.ports);
            made.number_ports();
        }
    }
}

impl Made {
    /// Tells `portmap` the numbers that ports have got.
    fn number_ports(&mut self) {
        for plugin in self.plugins.iter_mut().filter(|plugin| plugin["type"] == "portmap") {
            for (index, port) in self.endpoint.ports.iter().enumerate() {
                plugin["runtimeConfig"]["portMappings"][index]["hostPort"] = port.host_port.into();
            }
        }
    }
}

/// The network that leads outside: the first of those with the highest priority.
fn outer(networks: &[(&Attachment, Network)]) -> Option<usize> {
    let open = networks.iter().enumerate().filter(|(_, (_, network))| !network.internal);
    open.rev().max_by_key(|(_, (attachment, _))| attachment.gateway_priority).map(|(index, _)| index)
}

/// Gives the interface its link-local addresses. They go with it.
fn add_local(pid: i32, endpoint: &Endpoint) -> Result<()> {
    if endpoint.link_local.is_empty() {
        return Ok(());
    }
    namespace::within(pid, || {
        for address in &endpoint.link_local {
            let address = format!("{address}/{}", if address.is_ipv4() { 16 } else { 64 });
            let mut command = Command::new("ip");
            command.args(["address", "add", &address, "dev", &endpoint.interface]);
            let done = command.output().at("ip")?;
            if !done.status.success() {
                let said = String::from_utf8_lossy(&done.stderr);
                return Err(Error::new(format!("link-local address {address}: {}", said.trim())));
            }
        }
        Ok(())
    })
}

/// Without `nft` the sockets are at port 53 itself.
fn redirect_names(pid: i32, names_at: Option<(u16, u16)>) -> Result<()> {
    match (names_at, firewall::publisher()) {
        (Some((udp, tcp)), Publisher::Nft) => {
            namespace::within(pid, || nft::perform(&nft::render_names(udp, tcp), Stdio::null()))
        }
        _ => Ok(()),
    }
}

/// Packets of 127.0.0.0/8 may leave by a bridge: that is how a published port is reached at localhost.
fn let_loopback_through(bridge: &str) -> Result<()> {
    let path = PathBuf::from(format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet"));
    fs::write(&path, "1").at(path.display())
}
