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

/// The user has subordinate ids, a directory for what runs, and on v2 a cgroup, whose child `session` its commands are
/// in.
const PREPARE_USER: &str = r#"
echo "$USER:x:$USER_ID:$USER_ID::$DIR/home:/bin/sh" >> /etc/passwd
echo "$USER:x:$USER_ID:" >> /etc/group
echo "$USER:3000000:65536" | tee -a /etc/subuid >> /etc/subgid
install -d -o "$USER" -g "$USER" -m 700 "/run/user/$USER_ID"
chown "$USER:$USER" "$DIR/home" "$DIR/tmp"
if [ -n "$CGROUP" ]; then
    mkdir -p "$CGROUP/session"
    chown -R "$USER:$USER" "$CGROUP"
fi
"#;

/// Runs a command as the user, in the user's cgroup.
const AS_USER: &str = r#"
[ -z "$CGROUP" ] || echo 0 > "$CGROUP/session/cgroup.procs"
exec setpriv --reuid "$USER" --regid "$USER" --init-groups "$@"
"#;

/// The ordinary user whose podman some scenarios run.
const USER: &str = "podman-user";
const USER_ID: u32 = 4242;

/// The peer on v2. crun raises a limit before it loads the rules for devices, and ends where it may not.
const PEER_ON_V2: &str = "/usr/sbin/runc";

/// The machine that a scenario runs on: whose podman it is, and over which cgroups. Machines share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Root's, on v1 with every controller.
    V1,
    /// Root's, on v2 without controllers.
    V2,
    /// An ordinary user's on v1, where such a user has no cgroup.
    UserV1,
    /// An ordinary user's on v2, in a cgroup that is the user's.
    UserV2,
}

impl On {
    /// The machine with the same cgroups whose podman is an ordinary user's.
    pub fn of_the_user(self) -> Self {
        match self {
            On::V1 | On::UserV1 => On::UserV1,
            On::V2 | On::UserV2 => On::UserV2,
        }
    }

    fn view(self) -> View {
        match self {
            On::V1 | On::UserV1 => View::V1,
            On::V2 | On::UserV2 => View::V2,
        }
    }

    fn user(self) -> u32 {
        match self {
            On::V1 | On::V2 => 0,
            On::UserV1 | On::UserV2 => USER_ID,
        }
    }
}

/// A machine with podman and buildah. There is no daemon.
pub struct Podman {
    dir: PathBuf,
    /// The user's cgroup, where the user has one.
    cgroup: String,
    user: u32,
    machine: Machine,
    runtimes: Runtimes,
}

impl Podman {
    /// Boots such a machine and loads the image.
    pub fn start(sandbox: &Sandbox, on: On, runtimes: &Runtimes) -> Outcome<Self> {
        let dir = sandbox.dir.join(format!("podman-{on:?}"));
        let cgroup = match on {
            On::UserV2 => format!("/sys/fs/cgroup{}/user", sandbox.cgroup),
            _ => String::new(),
        };
        let machine = Machine::boot(on.view())?;
        let podman = Podman { dir, cgroup, user: on.user(), machine, runtimes: runtimes.clone() };
        podman
            .write_files(on.view())
            .map_err(|err| Stop::failed(format!("{}: {err}", podman.dir.display())))?;
        podman.prepare()?;
        let archive = busybox_archive(&podman.dir)?;
        let import = ["import", &archive.to_string_lossy(), BUSYBOX];
        run(podman.call(Role::Reference).args(import), None)?.ok()?;
        Ok(podman)
    }

    fn prepare(&self) -> Outcome {
        let Podman { dir, cgroup, user, .. } = self;
        let names = format!("DIR={} CGROUP={cgroup} USER={USER} USER_ID={user}", dir.display());
        let for_user = if *user == 0 { "" } else { PREPARE_USER };
        let said = self.machine.shell(&format!("{names}\n{PREPARE}\n{for_user}"))?;
        ensure(said.code == 0, || said.report())
    }

    /// buildah, with what tells it the runtime of `role`.
    fn buildah(&self, role: Role) -> Command {
        let mut command = self.command("buildah");
        command.env("BUILDAH_RUNTIME", self.runtimes.of(role));
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.program(program);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.join("home"))
            .env("TMPDIR", self.dir.join("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb");
        if self.user != 0 {
            let runtime_dir = format!("/run/user/{USER_ID}");
            command.envs([("USER", USER), ("CGROUP", &self.cgroup), ("XDG_RUNTIME_DIR", &runtime_dir)]);
        }
        command
    }

    fn program(&self, program: &str) -> Command {
        if self.user == 0 {
            return self.machine.command(program);
        }
        let mut command = self.machine.command("sh");
        command.args(["-c", AS_USER, "sh", program]);
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

    fn user(&self) -> u32 {
        self.user
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
    Scenario::new(name, On::V1, steps)
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
    /// By the numbers of [`On`].
    machines: [OnceLock<Result<Podman, String>>; 4],
}

impl PodmanPool {
    /// Machines for those roles; with a single role, scenarios are carried out and not compared.
    pub fn new(sandbox: Sandbox, runtimes: Runtimes, roles: Vec<Role>) -> Self {
        PodmanPool { sandbox, runtimes, roles, machines: Default::default() }
    }

    fn on(&self, on: On) -> Outcome<&Podman> {
        let podman = self.machines[on as usize].get_or_init(|| {
            let mut runtimes = self.runtimes.clone();
            if on.view() == View::V2 {
                runtimes.reference = PEER_ON_V2.into();
            }
            Podman::start(&self.sandbox, on, &runtimes).map_err(|stop| match stop {
                Stop::Failed(why) | Stop::Skipped(why) => why,
            })
        });
        podman.as_ref().map_err(|why| Stop::failed(format!("podman on {on:?}: {why}")))
    }
}

impl Pool for PodmanPool {
    type Engine = Podman;

    fn judge(&self, scenario: &Scenario<Podman>, name: &str) -> Outcome {
        judge(&self.roles, |role| Ok(scenario.carry_out(self.on(scenario.on)?, role, name)))
    }

    fn shared(&self) -> Outcome<&Podman> {
        self.on(On::V1)
    }
}

/// podman knows what a runtime can do by its file's name.
fn name(runtime: &Path) -> String {
    runtime.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
