//! containerd of the test's own, from Debian, on a [`Machine`], with its client `ctr`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::image::busybox_archive;
use super::machine::Machine;
use super::pods;
use super::process::{Said, run, until};
use super::role::Role;
use super::sandbox::Sandbox;
use super::scenario::Scenario;
use super::session::Session;
use super::suite::Pool;
use super::verdict::judge;
use super::{Engine, Outcome, Stop, ensure};
use crate::root::copy_program;
use crate::view::View;

/// The name under which containerd finds the shim.
const SHIM: &str = "containerd-shim-corten-v2";

/// `/run/containerd` is the machine's own. The plugins that are left out want what no test needs. The log tells of each
/// event that a shim forwards.
const CONFIG: &str = r#"
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
                    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]

[debug]
level = "trace"
"#;

/// Whose containers a containerd has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `ctr`'s, which need no image.
    Ctr,
    /// A kubelet's: pods, through the CRI plugin.
    Kubelet,
}

/// A containerd. Dropping it kills the daemon; what the daemon leaves ends with the sandbox.
pub struct Containerd {
    sandbox: Sandbox,
    client: Client,
    view: View,
    dir: PathBuf,
    machine: Machine,
    daemon: Mutex<Option<Child>>,
}

impl Containerd {
    /// Starts a containerd called `label` for such a client, on a machine with that view of the cgroups. `shim` is the
    /// tested shim.
    pub fn start(sandbox: &Sandbox, label: &str, client: Client, view: View, shim: &Path) -> Outcome<Self> {
        let dir = sandbox.dir.join(format!("containerd-{label}"));
        fs::create_dir_all(dir.join("path")).map_err(Stop::failed)?;
        copy_program(shim, dir.join("path").join(SHIM))
            .map_err(|err| Stop::failed(format!("{}: {err}", shim.display())))?;
        let (sandbox, machine) = (sandbox.clone(), Machine::boot(view)?);
        let containerd = Containerd { sandbox, client, view, dir, machine, daemon: Mutex::new(None) };
        let rootfs = busybox_archive(&containerd.dir)?;
        let config = match client {
            Client::Ctr => CONFIG.to_owned(),
            Client::Kubelet => pods::prepare(&containerd)?,
        };
        fs::write(containerd.dir.join("config.toml"), config).map_err(Stop::failed)?;
        containerd.start_daemon()?;
        if client == Client::Kubelet {
            pods::import_images(&containerd, &rootfs)?;
        }
        Ok(containerd)
    }

    /// Starts one more of the same kind, for who ends the daemon.
    pub fn another(&self, label: &str) -> Outcome<Self> {
        Self::start(&self.sandbox, label, self.client, self.view, &self.dir.join("path").join(SHIM))
    }

    /// Starts the daemon and waits until it answers.
    pub fn start_daemon(&self) -> Outcome {
        let path = self.log_path();
        let log = File::options().create(true).append(true).open(&path).map_err(Stop::failed)?;
        let mut command = self.command("containerd");
        command.arg("--config").arg(self.dir.join("config.toml")).arg("--root").arg(self.dir.join("root"));
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(Stop::failed)?).stderr(log);
        *self.daemon() = Some(command.spawn().map_err(|err| Stop::failed(format!("containerd: {err}")))?);
        until("containerd to answer", 30, || {
            run(self.call(Role::Reference).arg("version"), None).is_ok_and(|said| said.code == 0)
        })
        .map_err(|_| {
            let log = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            Stop::failed(format!("containerd's log:\n{}", lines[lines.len().saturating_sub(20)..].join("\n")))
        })
    }

    /// Ends the daemon by `signal`, and waits for its end.
    pub fn stop_daemon(&self, signal: Signal) -> Outcome {
        let Some(mut child) = self.daemon().take() else { return Ok(()) };
        kill(Pid::from_raw(child.id() as i32), signal).map_err(Stop::failed)?;
        until("containerd to end", 40, || !matches!(child.try_wait(), Ok(None)))
    }

    /// The namespace of all containers.
    pub fn namespace(&self) -> &str {
        match self.client {
            // containerd names the parent of its cgroups so.
            Client::Ctr => self.sandbox.cgroup.trim_start_matches('/'),
            Client::Kubelet => pods::NAMESPACE,
        }
    }

    /// The topics of the events that shims have forwarded, in their order, for as long as the log reaches back.
    pub fn forwarded(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let topic = |line: &str| Some(line.split_once("topic=")?.1.split(' ').next()?.to_owned());
        log.lines().filter(|line| line.contains("event forwarded")).filter_map(topic).collect()
    }

    /// The parent of the cgroups of all pods.
    pub fn cgroup(&self) -> &str {
        &self.sandbox.cgroup
    }

    /// The root filesystem that all containers without an image share.
    pub fn rootfs(&self) -> String {
        self.dir.join("busybox").display().to_string()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("containerd.log")
    }

    fn daemon(&self) -> MutexGuard<'_, Option<Child>> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.machine.command(program);
        let path = self.dir.join("path");
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", path.display()))
            .env("CONTAINERD_NAMESPACE", self.namespace())
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb");
        command
    }
}

impl Engine for Containerd {
    type On = View;

    const CLIENT: &'static str = "ctr";

    const REMOVE: &'static [&'static str] = &["tasks", "delete", "--force"];

    fn call(&self, _: Role) -> Command {
        self.command("ctr")
    }

    fn runtime_flags(&self, _: View, role: Role, _: &[&str]) -> Vec<&'static str> {
        match role {
            Role::Reference => vec!["--runtime", "io.containerd.runc.v2", "--env", "PATH=/bin"],
            Role::Tested => vec!["--runtime", "io.containerd.corten.v2", "--env", "PATH=/bin"],
        }
    }

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        drop(self.stop_daemon(Signal::SIGKILL));
    }
}

impl Session<'_, Containerd> {
    /// `ctr ARGS…`, recorded.
    pub fn ctr(&self, args: &[&str]) -> Outcome<Said> {
        self.call(args)
    }

    /// `ctr run --rm … FLAGS… ROOTFS ID COMMAND…`, recorded.
    pub fn run_rootfs(&self, flags: &[&str], command: &[&str]) -> Outcome<Said> {
        let (rootfs, id) = (self.engine().rootfs(), self.name("c"));
        let place = ["--rootfs", &rootfs, &id];
        self.run(&[flags, &place, command].concat())
    }

    /// `ctr run --detach … FLAGS… ROOTFS ID COMMAND…`; gives the id.
    pub fn start_rootfs(&self, flags: &[&str], command: &[&str]) -> Outcome<String> {
        let (rootfs, id) = (self.engine().rootfs(), self.name("c"));
        let place = ["--rootfs", &rootfs, &id];
        let args = [flags, &place, command].concat();
        self.call(&self.with_runtime(&["run", "--detach"], &args))?.ok()?;
        Ok(id)
    }

    /// The shell of the machine, with `ctr` on its path; recorded.
    pub fn shell(&self, script: &str) -> Outcome<Said> {
        self.record(run(self.engine().command("sh").args(["-c", script]), None)?)
    }
}

/// A scenario of several steps on v1's cgroups, which have every controller.
pub fn scenario(
    name: &'static str,
    steps: impl Fn(&Session<Containerd>) -> Outcome + Send + Sync + 'static,
) -> Scenario<Containerd> {
    Scenario::new(name, View::V1, steps)
}

/// The machines, each booted when a first scenario needs it.
pub struct ContainerdPool {
    sandbox: Sandbox,
    client: Client,
    shim: PathBuf,
    roles: Vec<Role>,
    v1: OnceLock<Result<Containerd, String>>,
    v2: OnceLock<Result<Containerd, String>>,
}

impl ContainerdPool {
    /// Machines for those roles; with a single role, scenarios are carried out and not compared.
    ///
    /// The tested shim is the one that `CORTEN_SHIM` names, or stands beside the tested runtime.
    pub fn new(sandbox: Sandbox, client: Client, runtime: &Path, roles: Vec<Role>) -> Outcome<Self> {
        let shim =
            std::env::var_os("CORTEN_SHIM").map_or_else(|| runtime.with_file_name(SHIM), PathBuf::from);
        ensure(shim.is_file(), || format!("no shim at {}", shim.display()))?;
        Ok(ContainerdPool { sandbox, client, shim, roles, v1: OnceLock::new(), v2: OnceLock::new() })
    }

    fn on(&self, view: View) -> Outcome<&Containerd> {
        let cell = if view == View::V2 { &self.v2 } else { &self.v1 };
        let started = cell.get_or_init(|| {
            Containerd::start(&self.sandbox, view.name(), self.client, view, &self.shim).map_err(|stop| {
                match stop {
                    Stop::Failed(why) | Stop::Skipped(why) => why,
                }
            })
        });
        started.as_ref().map_err(|why| Stop::failed(format!("containerd on {}: {why}", view.name())))
    }
}

impl Pool for ContainerdPool {
    type Engine = Containerd;

    fn judge(&self, scenario: &Scenario<Containerd>, name: &str) -> Outcome {
        judge(&self.roles, |role| Ok(scenario.carry_out(self.on(scenario.on)?, role, name)))
    }

    fn shared(&self) -> Outcome<&Containerd> {
        self.on(View::V1)
    }
}
