//! The tests' kubelet: pods and containers under one handler of containerd's, and what it takes back at the end.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::process::{Said, until};
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;
use spec_tests::engine::{Engine, Outcome, Stop, ensure, pods};
use spec_tests::view::View;

use crate::client::{Client, Refusal};
use crate::messages::*;

/// A scenario of several steps on v1's cgroups, which have every controller. What the steps make must go without a
/// trace.
pub fn scenario(
    name: &'static str,
    steps: impl Fn(&Kubelet) -> Outcome + Send + Sync + 'static,
) -> Scenario<Containerd> {
    Scenario::new(name, View::V1, move |session: &Session<Containerd>| {
        let kubelet = Kubelet::new(session, session.engine())?;
        let result = steps(&kubelet);
        let end = kubelet.end();
        result.and(end)
    })
}

/// A scenario on a containerd of its own, which the steps may end and start.
pub fn scenario_with_daemon(
    name: &'static str,
    steps: impl Fn(&Kubelet) -> Outcome + Send + Sync + 'static,
) -> Scenario<Containerd> {
    Scenario::new(name, View::V1, move |session: &Session<Containerd>| {
        let containerd = session.engine().another(&format!("{name}-{}", session.role().word()))?;
        let kubelet = Kubelet::new(session, &containerd)?;
        let result = steps(&kubelet);
        let end = kubelet.end();
        result.and(end)
    })
}

/// Drives CRI under the handler of the session's role.
pub struct Kubelet<'a> {
    session: &'a Session<'a, Containerd>,
    pub engine: &'a Containerd,
    client: Client,
    made: RefCell<Vec<Made>>,
    /// Whether a pod lost a process that it needs.
    hurt: Cell<bool>,
}

/// A pod and all that it had.
struct Made {
    id: String,
    cgroup: String,
    socket: Option<String>,
    containers: Vec<String>,
}

pub struct Pod<'a> {
    kubelet: &'a Kubelet<'a>,
    pub id: String,
    config: PodConfig,
}

pub struct Container<'a> {
    kubelet: &'a Kubelet<'a>,
    pub id: String,
    pub log: PathBuf,
    cgroup: String,
}

impl<'a> Kubelet<'a> {
    fn new(session: &'a Session<'a, Containerd>, engine: &'a Containerd) -> Outcome<Self> {
        let client = Client::of(engine)?;
        let kubelet = Kubelet { session, engine, client, made: RefCell::default(), hurt: Cell::default() };
        kubelet.awaits_cri()?;
        Ok(kubelet)
    }

    /// The socket is there before the plugin serves it.
    pub fn awaits_cri(&self) -> Outcome {
        until("CRI to answer", 30, || self.client.call(&VersionRequest {}).is_ok())
    }

    /// What most pods are: all namespaces of their own, and for each container a pid namespace.
    pub fn pod_config(&self, label: &str) -> Outcome<PodConfig> {
        let name = self.session.name(label);
        let namespaces = Namespaces { pid: NamespaceMode::Container.into(), ..Namespaces::default() };
        let cgroup_parent = format!("{}/{name}", self.engine.cgroup());
        let security = PodSecurity { namespaces, ..PodSecurity::default() };
        Ok(PodConfig {
            log_directory: self.session.dir(label)?.display().to_string(),
            metadata: Some(PodMetadata { uid: name.clone(), name, namespace: "default".into() }),
            hostname: "pod-host".into(),
            linux: LinuxPod { cgroup_parent, security, ..LinuxPod::default() },
            ..PodConfig::default()
        })
    }

    /// Runs a pod that is as most pods are.
    pub fn pod(&'a self, label: &str) -> Outcome<Pod<'a>> {
        self.run(self.pod_config(label)?)
    }

    pub fn run(&'a self, config: PodConfig) -> Outcome<Pod<'a>> {
        let cgroup = config.linux.cgroup_parent.clone();
        let runtime_handler = match self.session.role() {
            Role::Reference => "runc",
            Role::Tested => "corten",
        };
        let request =
            RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: runtime_handler.into() };
        let id = self.call(&request)?.pod_sandbox_id;
        let bundle = format!("/run/containerd/io.containerd.runtime.v2.task/{}/{id}", pods::NAMESPACE);
        let address = fs::read_to_string(self.engine.machine().path(&format!("{bundle}/address"))).ok();
        let socket = address.and_then(|text| text.strip_prefix("unix://").map(str::to_owned));
        self.made.borrow_mut().push(Made { id: id.clone(), cgroup, socket, containers: Vec::new() });
        Ok(Pod { kubelet: self, id, config })
    }

    /// The answer to a request that must be granted; not recorded.
    pub fn call<C: Call>(&self, request: &C) -> Outcome<C::Answer> {
        self.client.call(request).map_err(|Refusal { code, message }| {
            Stop::failed(format!("{}: status {code}: {message}", C::METHOD))
        })
    }

    /// The words to a request that must be refused, with gRPC's status as the code; recorded.
    pub fn refuses<C: Call>(&self, request: &C) -> Outcome<Said> {
        let said = self.refusal(request)?;
        self.session.record(Said { stderr: without_own_words(&said.stderr), ..said.clone() })?;
        Ok(said)
    }

    /// The words to a request that must be refused, not recorded.
    pub fn refusal<C: Call>(&self, request: &C) -> Outcome<Said> {
        match self.client.call(request) {
            Ok(answer) => Err(Stop::failed(format!("{} was granted: {answer:?}", C::METHOD))),
            Err(Refusal { code, message }) => {
                let stderr = self.without_ids(message);
                Ok(Said { command: C::METHOD.into(), stdout: String::new(), stderr, code })
            }
        }
    }

    /// Notes something for the comparison of both handlers.
    pub fn note(&self, what: &str, text: impl Into<String>) -> Outcome<Said> {
        let stdout = self.without_ids(text.into());
        self.session.record(Said { command: what.into(), stdout, stderr: String::new(), code: 0 })
    }

    /// A shell script on the pods' host, not recorded.
    pub fn host(&self, script: &str) -> Outcome<Said> {
        self.engine.machine().shell(script)
    }

    /// An empty directory at the same path here and on the pods' host.
    pub fn dir(&self, label: &str) -> Outcome<PathBuf> {
        self.session.dir(label)
    }

    /// Skips the scenario where containerd is older than that version, of two numbers.
    pub fn needs_containerd(&self, oldest: [u32; 2]) -> Outcome {
        let version = self.call(&VersionRequest {})?.runtime_version;
        let numbers: Vec<u32> = version
            .trim_start_matches('v')
            .split('.')
            .map_while(|number| number.parse().ok())
            .take(2)
            .collect();
        if numbers.as_slice() >= oldest.as_slice() {
            return Ok(());
        }
        Err(Stop::Skipped(format!("containerd {version} is older than {}.{}", oldest[0], oldest[1])))
    }

    /// Skips the scenario where v2's cgroups lack a controller of which containerd always sets something.
    pub fn needs_cgroup_v2(&self) -> Outcome {
        let controllers = self.host("cat /sys/fs/cgroup/cgroup.controllers")?.ok()?;
        if controllers.word().split(' ').any(|name| name == "cpu") {
            return Ok(());
        }
        Err(Stop::Skipped(
            "v1's cgroups have the cpu controller on this machine, and no pod is without".into(),
        ))
    }

    /// Skips the scenario where cgroups are not v1's, for scenarios that read its files.
    pub fn needs_cgroup_v1(&self) -> Outcome {
        self.session.needs_cgroup_v1()
    }

    /// Whether the pods' host has v2's cgroups.
    pub fn on_cgroup_v2(&self) -> bool {
        self.engine.machine().path("/sys/fs/cgroup/cgroup.procs").exists()
    }

    /// Kills a process that a pod needs, and waits for its end.
    pub fn kill(&self, pid: i32) -> Outcome {
        self.hurt.set(true);
        kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(Stop::failed)?;
        self.awaits_end(pid)
    }

    pub fn awaits_end(&self, pid: i32) -> Outcome {
        until(&format!("the end of process {pid}"), 20, || !Path::new(&format!("/proc/{pid}")).exists())
    }

    /// Whether nothing may stay of the pods. Of a pod that was hurt the Go shim leaves a socket (1.6), or processes and
    /// itself (2.1).
    pub fn leaves_nothing(&self) -> bool {
        self.session.role() == Role::Tested || !self.hurt.get()
    }

    fn without_ids(&self, text: String) -> String {
        let made = self.made.borrow();
        let containers = made.iter().flat_map(|made| &made.containers);
        let text = containers.fold(text, |text, id| text.replace(id.as_str(), "<container>"));
        made.iter().fold(text, |text, made| text.replace(&made.id, "<pod>"))
    }

    /// Takes back what was made; fails if anything stays.
    fn end(&self) -> Outcome {
        for made in self.made.take() {
            let pod_sandbox_id = made.id.clone();
            let stop = StopPodSandboxRequest { pod_sandbox_id: pod_sandbox_id.clone() };
            let remove = RemovePodSandboxRequest { pod_sandbox_id };
            if self.hurt.get() {
                // A kubelet asks again.
                until("a hurt pod's removal", 30, || {
                    self.call(&stop).and_then(|_| self.call(&remove)).is_ok()
                })?;
            } else {
                self.call(&stop)?;
                self.call(&remove)?;
            }
            self.nothing_is_left(&made)?;
        }
        Ok(())
    }

    fn nothing_is_left(&self, made: &Made) -> Outcome {
        if !self.leaves_nothing() {
            return Ok(());
        }
        until("the shim's end", 20, || processes_of(&made.id).is_empty())?;
        let ids = made.containers.iter().chain([&made.id]);
        let names: Vec<_> = ids.map(|id| format!("-name '*{id}*'")).collect();
        let (names, cgroup) = (names.join(" -o "), &made.cgroup);
        let left = self.host(&format!(
            "find /run/containerd /sys/fs/cgroup/*{cgroup} /sys/fs/cgroup{cgroup} {names} 2> /dev/null; \
             grep {} /proc/self/mountinfo; true",
            made.containers
                .iter()
                .chain([&made.id])
                .map(|id| format!("-e {id}"))
                .collect::<Vec<_>>()
                .join(" ")
        ))?;
        ensure(left.stdout.is_empty(), || format!("the pod left behind:\n{}", left.stdout))?;
        if let Some(socket) = &made.socket {
            let socket = self.engine.machine().path(socket);
            until("the end of the shim's socket", 10, || !socket.exists())?;
        }
        // A kubelet has made the pod's cgroup, and removes it.
        self.host(&format!(
            "for it in /sys/fs/cgroup/*{cgroup} /sys/fs/cgroup{cgroup}; do [ ! -d $it ] || rmdir $it; done"
        ))?
        .ok()
        .map(drop)
    }
}

impl<'a> Pod<'a> {
    /// A container of the pod that runs `command`; not yet made.
    pub fn container(&self, label: &str, command: &[&str]) -> ContainerConfig {
        let security =
            Security { namespaces: self.config.linux.security.namespaces.clone(), ..Security::default() };
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: label.into() }),
            image: Some(Image { image: pods::IMAGE.into() }),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            log_path: format!("{label}.log"),
            linux: LinuxContainer { security, ..LinuxContainer::default() },
            ..ContainerConfig::default()
        }
    }

    pub fn create(&self, config: ContainerConfig) -> Outcome<Container<'a>> {
        let log = Path::new(&self.config.log_directory).join(&config.log_path);
        let id = self.kubelet.call(&self.creation(config))?.container_id;
        let mut made = self.kubelet.made.borrow_mut();
        if let Some(made) = made.iter_mut().find(|made| made.id == self.id) {
            made.containers.push(id.clone());
        }
        let cgroup = format!("{}/{id}", self.config.linux.cgroup_parent);
        Ok(Container { kubelet: self.kubelet, id, log, cgroup })
    }

    /// The request that makes a container of the pod.
    pub fn creation(&self, config: ContainerConfig) -> CreateContainerRequest {
        CreateContainerRequest {
            pod_sandbox_id: self.id.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        }
    }

    pub fn start_with(&self, config: ContainerConfig) -> Outcome<Container<'a>> {
        let container = self.create(config)?;
        container.start()?;
        Ok(container)
    }

    pub fn start(&self, label: &str, command: &[&str]) -> Outcome<Container<'a>> {
        self.start_with(self.container(label, command))
    }

    /// A container that only waits for its end.
    pub fn idle(&self, label: &str) -> Outcome<Container<'a>> {
        self.start(label, &["sleep", "1000"])
    }

    pub fn stop(&self) -> Outcome {
        self.kubelet.call(&StopPodSandboxRequest { pod_sandbox_id: self.id.clone() }).map(drop)
    }

    pub fn remove(&self) -> Outcome {
        self.kubelet.call(&RemovePodSandboxRequest { pod_sandbox_id: self.id.clone() })?;
        let mut made = self.kubelet.made.borrow_mut();
        let Some(at) = made.iter().position(|made| made.id == self.id) else { return Ok(()) };
        let removed = made.remove(at);
        drop(made);
        self.kubelet.nothing_is_left(&removed)
    }

    pub fn status(&self) -> Outcome<PodStatus> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: self.id.clone(), verbose: false };
        Ok(self.kubelet.call(&request)?.status)
    }

    /// Waits until the pod has that state.
    pub fn awaits(&self, state: PodState) -> Outcome {
        let what = format!("the pod to be {state:?}");
        until(&what, 20, || self.status().is_ok_and(|status| status.state() == state))
    }

    pub fn stats(&self) -> Outcome<LinuxPodStats> {
        Ok(self.kubelet.call(&PodSandboxStatsRequest { pod_sandbox_id: self.id.clone() })?.stats.linux)
    }

    /// The pid of the process that holds the pod's namespaces.
    pub fn pid(&self) -> Outcome<i32> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: self.id.clone(), verbose: true };
        pid_in(&self.kubelet.call(&request)?.info)
    }

    /// The pid of the pod's shim.
    pub fn shim(&self) -> Outcome<i32> {
        parent(self.pid()?)
    }
}

impl Container<'_> {
    pub fn start(&self) -> Outcome {
        self.kubelet.call(&StartContainerRequest { container_id: self.id.clone() }).map(drop)
    }

    /// Stops the container, which has `timeout` seconds to follow the first signal.
    pub fn stop(&self, timeout: i64) -> Outcome {
        self.kubelet.call(&StopContainerRequest { container_id: self.id.clone(), timeout }).map(drop)
    }

    pub fn remove(&self) -> Outcome {
        self.kubelet.call(&RemoveContainerRequest { container_id: self.id.clone() }).map(drop)
    }

    pub fn status(&self) -> Outcome<ContainerStatus> {
        let request = ContainerStatusRequest { container_id: self.id.clone(), verbose: false };
        Ok(self.kubelet.call(&request)?.status)
    }

    /// The container's end, once it has come: its exit code, and the reason as standard output; recorded.
    pub fn ends(&self) -> Outcome<Said> {
        let end = self.end()?;
        self.kubelet.session.record(end)
    }

    /// The container's end after an OOM kill. containerd's own shim may tell of the kill after the end, when it is too
    /// late for the reason.
    pub fn ends_by_oom(&self, code: i32) -> Outcome {
        let end = self.end()?.exits(code)?;
        match self.kubelet.session.role() {
            Role::Reference => Ok(()),
            Role::Tested => end.says("OOMKilled").map(drop),
        }
    }

    fn end(&self) -> Outcome<Said> {
        until("the container's end", 30, || {
            self.status().is_ok_and(|status| status.state() == State::Exited)
        })?;
        let status = self.status()?;
        // CRI takes the time of a start when it hears of it, which may be after the end.
        ensure(status.finished_at > 0, || "an end without its time".into())?;
        let stderr = without_own_words(&self.kubelet.without_ids(status.message));
        let command = "the container's end".to_owned();
        Ok(Said { command, stdout: status.reason, stderr, code: status.exit_code })
    }

    pub fn exec_request(&self, command: &[&str]) -> ExecSyncRequest {
        let cmd = command.iter().map(|&word| word.to_owned()).collect();
        ExecSyncRequest { container_id: self.id.clone(), cmd, timeout: 0 }
    }

    /// Runs `command` in the container, recorded.
    pub fn exec(&self, command: &[&str]) -> Outcome<Said> {
        let said = self.ask(command)?;
        self.kubelet.session.record(said)
    }

    /// Runs `command` in the container, not recorded.
    pub fn ask(&self, command: &[&str]) -> Outcome<Said> {
        let answer = self.kubelet.call(&self.exec_request(command))?;
        let text = |bytes| self.kubelet.without_ids(String::from_utf8_lossy(bytes).into_owned());
        let (stdout, stderr) = (text(&answer.stdout), text(&answer.stderr));
        Ok(Said { command: command.join(" "), stdout, stderr, code: answer.exit_code })
    }

    /// The processes that the container sees and whose command line begins so, a pid on each line; recorded.
    pub fn sees(&self, command_line: &str) -> Outcome<Said> {
        let said = self.looks_for(command_line)?;
        self.kubelet.session.record(said)
    }

    /// The same, not recorded.
    pub fn looks_for(&self, command_line: &str) -> Outcome<Said> {
        let script = format!(
            "cd /proc; for it in [0-9]*; do tr '\\0' ' ' < $it/cmdline | grep -q '^{command_line}' && echo $it; done; true"
        );
        self.ask(&["sh", "-c", &script])?.ok()
    }

    /// Runs a shell script in the container, recorded.
    pub fn shell(&self, script: &str) -> Outcome<Said> {
        self.exec(&["sh", "-c", script])
    }

    pub fn pid(&self) -> Outcome<i32> {
        let request = ContainerStatusRequest { container_id: self.id.clone(), verbose: true };
        pid_in(&self.kubelet.call(&request)?.info)
    }

    pub fn update(&self, resources: Resources) -> UpdateContainerResourcesRequest {
        UpdateContainerResourcesRequest { container_id: self.id.clone(), linux: Some(resources) }
    }

    pub fn stats(&self) -> Outcome<ContainerStats> {
        Ok(self.kubelet.call(&ContainerStatsRequest { container_id: self.id.clone() })?.stats)
    }

    /// Reads a file of the container's cgroup: of that controller's hierarchy on v1, of the only one on v2.
    pub fn cgroup_file(&self, controller: &str, name: &str) -> Outcome<String> {
        let hierarchy = if self.kubelet.on_cgroup_v2() { "" } else { controller };
        let said = self.kubelet.host(&format!("cat /sys/fs/cgroup/{hierarchy}{}/{name}", self.cgroup))?;
        Ok(said.ok()?.word().to_owned())
    }

    /// What is in the log, without the times at the starts of lines.
    pub fn logged(&self) -> Outcome<String> {
        entries(&fs::read_to_string(&self.log).map_err(Stop::failed)?)
    }

    /// Waits until `entry` is in the log, without the times.
    pub fn logs(&self, entry: &str) -> Outcome {
        let what = format!("{entry:?} in the log");
        until(&what, 20, || self.logged().is_ok_and(|log| log.contains(entry)))
    }
}

/// `text` up to what a runtime says of its own failure, which is its own.
fn without_own_words(text: &str) -> String {
    let own = text.find("OCI runtime ").and_then(|at| Some(at + text[at..].find(" failed: ")?));
    text[..own.unwrap_or(text.len())].to_owned()
}

/// The lines of a log in CRI's format, without their times.
pub fn entries(log: &str) -> Outcome<String> {
    let mut text = String::new();
    for line in log.lines() {
        let (time, entry) = line.split_once(' ').unwrap_or_default();
        let dated = time.len() > 20 && time.contains('T');
        ensure(dated, || format!("a line of a log without its time: {line:?}"))?;
        text += &format!("{entry}\n");
    }
    Ok(text)
}

/// The parent of a process.
pub fn parent(pid: i32) -> Outcome<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(Stop::failed)?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let parent = after_name.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    parent.ok_or_else(|| Stop::failed(format!("no parent in {stat}")))
}

/// The processes that have `id` as a word of their command line, as a shim has.
fn processes_of(id: &str) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |process: &PathBuf| {
        fs::read(process.join("cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == id.as_bytes()))
    };
    processes.filter(named).collect()
}

/// The pid in the `info` of a verbose status.
fn pid_in(info: &std::collections::HashMap<String, String>) -> Outcome<i32> {
    let info: Option<Value> = info.get("info").and_then(|text| serde_json::from_str(text).ok());
    let pid = info.as_ref().and_then(|info| info["pid"].as_i64()).filter(|pid| *pid > 0);
    pid.map(|pid| pid as i32).ok_or_else(|| Stop::failed("a verbose status without a pid"))
}
