//! A host, a neighbour outside of it, and containers that are nothing but a process in a network namespace.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::host::{CONTAINERS, Process, RUNNING, Shim, program, record, sh, until, within};

/// The host's address, and the neighbour's.
pub const HOST: &str = "192.0.2.1";
pub const OUTSIDE: &str = "192.0.2.2";
pub const HOST_V6: &str = "2001:db8::1";

/// What is outside of the host.
pub struct Outside(Process);

impl Outside {
    /// Connects the host to it.
    pub fn new() -> Outside {
        let outside = Outside(in_new_namespace());
        let pid = outside.0.pid();
        sh(&format!(
            "ip link add out0 type veth peer name in0 netns {pid}
             ip addr add {HOST}/24 dev out0 && ip addr add {HOST_V6}/64 dev out0 nodad && ip link set out0 up
             nsenter -t {pid} -n sh -ec 'ip addr add {OUTSIDE}/24 dev in0; ip addr add 2001:db8::2/64 dev in0 nodad
             ip link set in0 up; ip route add default via {HOST}'"
        ));
        outside
    }

    pub fn get(&self, url: &str) -> Option<String> {
        get(Some(self.0.pid()), url)
    }

    /// Does something there.
    pub fn within(&self, work: impl FnOnce() + Send) {
        within(self.0.pid(), work);
    }

    /// Serves the client's address to the outside's clients.
    pub fn serve(&self) -> Process {
        serve(self.0.pid())
    }
}

/// A network as `corten-compose` has written it down.
pub fn network(name: &str, octet: u8, internal: bool) {
    let subnets = json!([
        {"subnet": format!("10.72.{octet}.0/24"), "gateway": format!("10.72.{octet}.1")},
        {"subnet": format!("fd00:{octet}::/64"), "gateway": format!("fd00:{octet}::1")},
    ]);
    record(
        format!("/var/lib/corten-compose/default/networks/{name}.json"),
        &json!({"name": name, "id": format!("id-of-{name}"), "driver": "bridge", "bridge": format!("br-{name}"),
            "internal": internal, "subnets": subnets}),
    );
}

/// A container whose program serves its client's address at port 80.
pub struct Container {
    pub id: String,
    init: Option<Process>,
    server: Option<Process>,
    pub shim: Option<Shim>,
}

impl Container {
    /// What `docker run --network … -p …` would start, keeper included.
    pub fn start(id: &str, networks: &[&str], ports: Value) -> Container {
        let mut container = Container::created(id, networks, ports);
        container.shim = Some(Shim::start(id, json!({})));
        let output = container.hook("create");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        container.server = Some(serve(container.pid()));
        container
    }

    /// A container without a keeper, before its hook.
    pub fn created(id: &str, networks: &[&str], ports: Value) -> Container {
        let attachments =
            networks.iter().map(|name| json!({"network": name, "aliases": ["web"]})).collect::<Vec<_>>();
        let container =
            Container { id: id.to_owned(), init: Some(in_new_namespace()), server: None, shim: None };
        container.ask(&json!({"name": id, "hostname": id, "attachments": attachments, "ports": ports}));
        container
    }

    /// Writes down what it asks of the network.
    pub fn ask(&self, request: &Value) {
        record(Path::new(CONTAINERS).join(&self.id).join("network.json"), request);
    }

    /// Does something in its network.
    pub fn within(&self, work: impl FnOnce() + Send) {
        within(self.pid(), work);
    }

    pub fn pid(&self) -> i32 {
        self.init.as_ref().unwrap().pid()
    }

    /// Runs a hook as the runtime does.
    pub fn hook(&self, operation: &str) -> Output {
        let mut hook = self.begin_hook(operation);
        let mut stderr = Vec::new();
        hook.0.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        Output { status: hook.0.wait().unwrap(), stdout: Vec::new(), stderr }
    }

    /// Starts a hook.
    pub fn begin_hook(&self, operation: &str) -> Process {
        let pid = if operation == "create" { self.pid() } else { 0 };
        let state = json!({"ociVersion": "1.0.2", "id": self.id, "status": "created", "pid": pid, "bundle": "/",
            "annotations": {"corten.compose/namespace": "default"}});
        let mut hook = Command::new(program())
            .args(["hook", operation])
            .env_clear()
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        hook.stdin.take().unwrap().write_all(state.to_string().as_bytes()).unwrap();
        Process(hook)
    }

    /// Ends the program, and has the runtime run the last hook.
    pub fn stop(&mut self) {
        self.server = None;
        self.init = None;
        if let Some(mut shim) = self.shim.take() {
            shim.end();
        }
        let output = self.hook("delete");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn get(&self, url: &str) -> Option<String> {
        get(Some(self.pid()), url)
    }

    /// Its addresses in a network: of IPv4 and of IPv6.
    pub fn addresses(&self, network: &str) -> [String; 2] {
        let endpoint = fs::read_to_string(format!("{RUNNING}/net/{network}/{}", self.id)).unwrap();
        let endpoint: Value = serde_json::from_str(&endpoint).unwrap();
        let address = |index: usize| {
            endpoint["addresses"][index].as_str().unwrap().split('/').next().unwrap().to_owned()
        };
        [address(0), address(1)]
    }

    /// Runs a line of shell in the container's network.
    pub fn sh(&self, line: &str) -> String {
        sh(&format!("nsenter -t {} -n sh -c '{line}'", self.pid()))
    }

    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(Path::new(CONTAINERS).join(&self.id).join(name)).unwrap()
    }
}

/// What a server answers, by HTTP: the address of its client. Nothing if it can't be reached.
pub fn get(from: Option<i32>, url: &str) -> Option<String> {
    let enter = from.map(|pid| format!("nsenter -t {pid} -n ")).unwrap_or_default();
    let output =
        crate::host::try_sh(&format!("{enter}busybox timeout 2 busybox wget -qO- {url}/cgi-bin/client"));
    let client = String::from_utf8_lossy(&output.stdout).trim().trim_matches(['[', ']']).to_owned();
    // The server has one socket for both families.
    output.status.success().then(|| client.trim_start_matches("::ffff:").to_owned())
}

/// What stands for a container's first process.
pub fn in_new_namespace() -> Process {
    let process =
        Command::new("unshare").args(["-n", "sh", "-c", "ip link set lo up; exec sleep 1000"]).spawn();
    let process = Process(process.unwrap());
    until("a process is in its namespace", || {
        fs::read(format!("/proc/{}/cmdline", process.pid())).is_ok_and(|line| line.starts_with(b"sleep"))
    });
    process
}

fn serve(pid: i32) -> Process {
    let script = Path::new("/run/www/cgi-bin/client");
    fs::create_dir_all(script.parent().unwrap()).unwrap();
    if !script.exists() {
        fs::write(script, "#!/bin/sh\necho\necho $REMOTE_ADDR\n").unwrap();
        sh("chmod +x /run/www/cgi-bin/client");
    }
    let server = Command::new("nsenter")
        .args(["-t", &pid.to_string(), "-n", "busybox", "httpd", "-f", "-p", "80", "-h", "/run/www"])
        .spawn();
    let server = Process(server.unwrap());
    until("the server listens", || get(Some(pid), "http://127.0.0.1").is_some());
    server
}
