//! podman and buildah of the test's own, from Debian, on a [`Machine`] with its own configuration and storage.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::image::{BUSYBOX, busybox_archive};
use super::machine::Machine;
use super::process::{Said, run};
use super::role::{Role, Runtimes};
use super::sandbox::Sandbox;
use super::scenario::{Expected, Scenario};
use super::session::Session;
use super::suite::Pool;
use super::verdict::judge;
use super::{Engine, Outcome, Stop, ensure};
use crate::view::View;

/// What README tells to write into containers.conf, but for what the two compared runtimes are called; and settings
/// that save time (`netns`) or that need systemd otherwise.
const CONTAINERS_CONF: &str = r#"
[containers]
netns = "none"
log_driver = "k8s-file"
pids_limit = PIDS_LIMIT
[network]
network_backend = "netavark"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime_supports_json = ["crun", "runc", "corten"]
runtime_supports_nocgroup = ["crun", "runc", "corten"]
[engine.runtimes]
"#;

/// `/etc` is the machine's own. podman keeps its locks in `/dev/shm`, under a name that no setting moves. crun makes
/// directories where a hybrid machine has its cgroup2, mounted or not.
const PREPARE: &str = r#"
set -e
mkdir -p /etc/containers
cp "$DIR/containers.conf" "$DIR/storage.conf" /etc/containers/
echo 'containers:2000000:1000000' | tee -a /etc/subuid >> /etc/subgid
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs tmpfs /sys/fs/cgroup/unified
"#;

/// The peer on v2. crun raises a limit before it loads the rules for devices, and ends where it may not.
const PEER_ON_V2: &str = "/usr/sbin/runc";

/// The machine that a scenario runs on, by its cgroups. No other machine is shared with this one.
pub type On = View;

/// A machine with podman and buildah. There is no daemon.
pub struct Podman {
    dir: PathBuf,
    machine: Machine,
    runtimes: Runtimes,
}

impl Podman {
    /// Boots a machine with that view of the cgroups and loads the image.
    pub fn start(sandbox: &Sandbox, view: View, runtimes: &Runtimes) -> Outcome<Self> {
        let dir = sandbox.dir.join(format!("podman-{}", view.name()));
        let podman = Podman { machine: Machine::boot(view)?, runtimes: runtimes.clone(), dir };
        podman.write_files(view).map_err(|err| Stop::failed(format!("{}: {err}", podman.dir.display())))?;
        let prepare = podman.machine.shell(&format!("DIR={}\n{PREPARE}", podman.dir.display()))?;
        ensure(prepare.code == 0, || prepare.report())?;
        let archive = busybox_archive(&podman.dir)?;
        let import = ["import", &archive.to_string_lossy(), BUSYBOX];
        run(podman.call(Role::Reference).args(import), None)?.ok()?;
        Ok(podman)
    }

    /// buildah, with what tells it the runtime of `role`.
    fn buildah(&self, role: Role) -> Command {
        let mut command = self.command("buildah");
        command.env("BUILDAH_RUNTIME", self.runtimes.of(role));
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.machine.command(program);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.join("home"))
            .env("TMPDIR", self.dir.join("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb");
        command
    }

    fn write_files(&self, view: View) -> std::io::Result<()> {
        for name in ["home", "tmp"] {
            fs::create_dir_all(self.dir.join(name))?;
        }
        let dir = self.dir.display();
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{dir}/storage\"\nrunroot = \"/run/containers/storage\"\n"
        );
        fs::write(self.dir.join("storage.conf"), storage)?;
        let runtimes = [Role::Reference, Role::Tested].map(|role| self.runtimes.of(role));
        let lines = runtimes.map(|path| format!("{} = [{path:?}]\n", name(path)));
        // v2 without controllers has no limit on processes to offer.
        let settings = CONTAINERS_CONF.replace("PIDS_LIMIT", if view == View::V2 { "0" } else { "2048" });
        fs::write(self.dir.join("containers.conf"), format!("{settings}{}", lines.concat()))
    }
}

impl Engine for Podman {
    type On = On;

    const CLIENT: &'static str = "podman";

    const REMOVE: &'static [&'static str] = &["rm", "--force", "--volumes", "--ignore", "--time", "0"];

    fn call(&self, role: Role) -> Command {
        let mut command = self.command("podman");
        command.args(["--runtime", &name(self.runtimes.of(role))]);
        command
    }

    fn runtime_flags(&self, _: On, _: Role, _: &[&str]) -> Vec<&'static str> {
        vec![]
    }

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Session<'_, Podman> {
    /// `podman ARGS…`, recorded.
    pub fn podman(&self, args: &[&str]) -> Outcome<Said> {
        self.call(args)
    }

    /// `podman ARGS…` with `input` on its standard input, recorded.
    pub fn podman_reading(&self, args: &[&str], input: &str) -> Outcome<Said> {
        self.call_reading(args, input)
    }

    /// `buildah ARGS…`, recorded.
    pub fn buildah(&self, args: &[&str]) -> Outcome<Said> {
        self.record(run(self.engine().buildah(self.role()).args(args), None)?)
    }

    /// podman, in a shell script on the machine, as `$PODMAN`; recorded.
    pub fn shell(&self, script: &str) -> Outcome<Said> {
        let podman = format!("podman --runtime {}", name(self.engine().runtimes.of(self.role())));
        let mut command = self.engine().command("sh");
        self.record(run(command.env("PODMAN", podman).args(["-c", script]), None)?)
    }
}

/// A scenario of several steps on v1's cgroups, which have every controller.
pub fn scenario(
    name: &'static str,
    steps: impl Fn(&Session<Podman>) -> Outcome + Send + Sync + 'static,
) -> Scenario<Podman> {
    Scenario::new(name, View::V1, steps)
}

/// A scenario that is one `podman run --rm ARGS…`.
pub fn run_once(name: &'static str, args: &'static [&'static str], expected: Expected) -> Scenario<Podman> {
    scenario(name, move |session| expected.check(session.run(args)?))
}

/// The machines, each booted when a first scenario needs it.
pub struct PodmanPool {
    sandbox: Sandbox,
    runtimes: Runtimes,
    roles: Vec<Role>,
    v1: OnceLock<Result<Podman, String>>,
    v2: OnceLock<Result<Podman, String>>,
}

impl PodmanPool {
    /// Machines for those roles; with a single role, scenarios are carried out and not compared.
    pub fn new(sandbox: Sandbox, runtimes: Runtimes, roles: Vec<Role>) -> Self {
        PodmanPool { sandbox, runtimes, roles, v1: OnceLock::new(), v2: OnceLock::new() }
    }

    fn on(&self, view: View) -> Outcome<&Podman> {
        let cell = if view == View::V2 { &self.v2 } else { &self.v1 };
        let podman = cell.get_or_init(|| {
            let mut runtimes = self.runtimes.clone();
            if view == View::V2 {
                runtimes.reference = PEER_ON_V2.into();
            }
            Podman::start(&self.sandbox, view, &runtimes).map_err(|stop| match stop {
                Stop::Failed(why) | Stop::Skipped(why) => why,
            })
        });
        podman.as_ref().map_err(|why| Stop::failed(format!("podman on {}: {why}", view.name())))
    }
}

impl Pool for PodmanPool {
    type Engine = Podman;

    fn judge(&self, scenario: &Scenario<Podman>, name: &str) -> Outcome {
        judge(&self.roles, |role| Ok(scenario.carry_out(self.on(scenario.on)?, role, name)))
    }

    fn shared(&self) -> Outcome<&Podman> {
        self.on(View::V1)
    }
}

/// podman knows what a runtime can do by its file's name.
fn name(runtime: &Path) -> String {
    runtime.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
