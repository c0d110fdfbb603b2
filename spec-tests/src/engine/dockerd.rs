//! A Docker engine of the test's own: Debian's dockerd, which starts containerd itself, on a [`Machine`].

use std::fs;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::image::{BUSYBOX, busybox_archive};
use super::machine::{Machine, REMAP_USER};
use super::process::{Said, run, until};
use super::role::{Role, Runtimes, lacking_capabilities};
use super::sandbox::Sandbox;
use super::scenario::On;
use super::{Engine, Outcome, Stop};
use crate::root::copy_program;
use crate::view::View;

/// The client that belongs to the engine under test. PATH may lead to another client first.
pub const CLIENT: &str = "/usr/bin/docker";

/// The directory that stands first on the daemon's PATH. containerd finds shims there.
const SHIM_PATH: &str = "path-of-shim";

/// The shim through which an engine uses the tested runtime.
#[derive(Clone, Debug)]
enum Shim {
    /// containerd's own. It executes the runtime's binary.
    OfContainerd,
    /// The tested shim, by its own name.
    Named(PathBuf),
    /// The tested shim under the name of containerd's, for both runtimes: before version 23, daemon.json has no names
    /// of shims.
    Disguised(PathBuf),
}

impl Shim {
    /// The shim that `CORTEN_DOCKER_SHIM` names, or containerd's.
    fn from_environment() -> Outcome<Self> {
        let Some(path) = std::env::var_os("CORTEN_DOCKER_SHIM").map(PathBuf::from) else {
            return Ok(Shim::OfContainerd);
        };
        Ok(if version()? < 23 { Shim::Disguised(path) } else { Shim::Named(path) })
    }

    /// The tested shim, and the name by which containerd finds it.
    fn tested(&self) -> Option<(&Path, &'static str)> {
        match self {
            Shim::OfContainerd => None,
            Shim::Named(path) => Some((path, "containerd-shim-corten-v2")),
            Shim::Disguised(path) => Some((path, "containerd-shim-runc-v2")),
        }
    }

    /// The tested runtime in daemon.json, with another binary in its place if `binary` says so.
    fn runtime(&self, runtime: &Path, binary: Option<&Path>) -> Value {
        match (self, binary) {
            (Shim::Named(_), None) => json!({ "runtimeType": RUNTIME_TYPE }),
            (Shim::Named(_), Some(binary)) => {
                json!({ "runtimeType": RUNTIME_TYPE, "options": { "BinaryName": binary } })
            }
            _ => json!({ "path": binary.unwrap_or(runtime) }),
        }
    }
}

/// The shim's name as containerd's clients write it.
const RUNTIME_TYPE: &str = "io.containerd.corten.v2";

/// The engine's major version.
fn version() -> Outcome<u32> {
    let said = run(Command::new("dockerd").arg("--version"), None)?.ok()?;
    let number = said.stdout.strip_prefix("Docker version ").and_then(|rest| rest.split('.').next());
    number.and_then(|number| number.parse().ok()).ok_or_else(|| Stop::failed(said.report()))
}

/// How an engine is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The runtime of containers and builds that name no runtime.
    pub default_runtime: Role,
    /// Whether containers get a user namespace.
    pub userns_remap: bool,
    /// Whether containers outlive the daemon.
    pub live_restore: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { default_runtime: Role::Reference, userns_remap: false, live_restore: false }
    }
}

/// A running engine. Dropping it kills the daemon; what the daemon leaves ends with the sandbox.
pub struct Dockerd {
    dir: PathBuf,
    cgroup: String,
    runtimes: Runtimes,
    shim: Shim,
    setup: Setup,
    machine: Machine,
    daemon: Mutex<Option<Child>>,
}

impl Dockerd {
    /// Starts an engine called `label` and loads the image.
    pub fn start(sandbox: &Sandbox, label: &str, runtimes: &Runtimes, setup: Setup) -> Outcome<Self> {
        let dir = sandbox.dir.join(label);
        fs::create_dir_all(&dir).map_err(Stop::failed)?;
        let engine = Dockerd {
            cgroup: format!("{}/{label}", sandbox.cgroup),
            machine: Machine::boot(View::Plain)?,
            runtimes: runtimes.clone(),
            shim: Shim::from_environment()?,
            daemon: Mutex::new(None),
            setup,
            dir,
        };
        engine.write_files().map_err(|err| Stop::failed(format!("{}: {err}", engine.dir.display())))?;
        engine.start_daemon()?;
        let archive = busybox_archive(&engine.dir)?;
        engine.docker(&["import", &archive.to_string_lossy(), BUSYBOX], None)?.ok()?;
        Ok(engine)
    }

    /// Starts the daemon and waits until it answers.
    pub fn start_daemon(&self) -> Outcome {
        let log = File::options().create(true).append(true).open(self.log_path()).map_err(Stop::failed)?;
        let mut command = self.machine.command("dockerd");
        command.args(self.daemon_flags()).env("PATH", self.daemon_path()).stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(Stop::failed)?).stderr(log);
        *self.daemon() = Some(command.spawn().map_err(|err| Stop::failed(format!("dockerd: {err}")))?);
        until("dockerd to answer", 30, || {
            let ended = self.daemon().as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            ended || self.docker(&["version"], None).is_ok_and(|said| said.code == 0)
        })?;
        self.docker(&["version"], None)?.ok().map_err(|_| Stop::failed(self.log_end()))?;
        Ok(())
    }

    /// Ends the daemon by `signal` and waits for its end.
    pub fn stop_daemon(&self, signal: Signal) -> Outcome {
        let Some(mut child) = self.daemon().take() else { return Ok(()) };
        kill(Pid::from_raw(child.id() as i32), signal).map_err(Stop::failed)?;
        until("dockerd to end", 40, || !matches!(child.try_wait(), Ok(None)))
    }

    /// Runs the engine's client to its end.
    pub fn docker(&self, args: &[&str], input: Option<&[u8]>) -> Outcome<Said> {
        run(self.client(CLIENT).args(args), input)
    }

    /// A command whose environment leads Docker's clients to this engine, and to nothing of the user's.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.join("home"))
            .env("DOCKER_CONFIG", self.dir.join("home/.docker"))
            .env("DOCKER_HOST", self.socket())
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb");
        command
    }

    /// The cgroup below which the engine puts its containers.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// The runtime to name for containers that ask for all capabilities.
    ///
    /// `--privileged` asks for all that the kernel knows, and runc can't give what its own bounding set lacks. So
    /// that the rest of `--privileged` can be tested as root of a container or of a small VM, the runtime is then
    /// called through a script that strikes those capabilities from config.json and process.json.
    pub fn privileged_runtime(&self, role: Role) -> &'static str {
        if lacking_capabilities().is_empty() { name(role) } else { lenient_name(role) }
    }

    /// What `docker info` says of the tested runtime, as JSON.
    pub fn tested_in_info(&self) -> &'static str {
        match self.shim {
            // The engine keeps the types of runtimes to itself.
            Shim::Named(_) => "{}",
            Shim::OfContainerd | Shim::Disguised(_) => r#""path":"/"#,
        }
    }

    /// The argument lists with which the engine called its `runc` from PATH, one a line.
    pub fn calls_of_runc_on_path(&self) -> String {
        fs::read_to_string(self.dir.join("calls")).unwrap_or_default()
    }

    /// The last lines of the daemon's log.
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("the end of dockerd's log:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }

    fn daemon(&self) -> MutexGuard<'_, Option<Child>> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn socket(&self) -> String {
        format!("unix://{}", self.dir.join("docker.sock").display())
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("dockerd.log")
    }

    fn daemon_flags(&self) -> Vec<String> {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let mut flags: Vec<String> = [
            ("host", self.socket()),
            ("config-file", path("daemon.json")),
            ("data-root", path("data")),
            ("pidfile", path("docker.pid")),
            ("exec-root", "/run/docker".into()),
            ("cgroup-parent", self.cgroup.clone()),
            ("default-runtime", name(self.setup.default_runtime).into()),
            ("live-restore", self.setup.live_restore.to_string()),
        ]
        .map(|(flag, value)| format!("--{flag}={value}"))
        .into();
        if self.setup.userns_remap {
            flags.push(format!("--userns-remap={REMAP_USER}"));
        }
        flags
    }

    /// BuildKit knows no named runtimes: it runs the `runc` that it finds on PATH. containerd finds its shim there,
    /// too.
    fn daemon_path(&self) -> String {
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let system = format!("{}:{system}", self.dir.join(SHIM_PATH).display());
        match self.setup.default_runtime {
            Role::Reference => system,
            Role::Tested => format!("{}:{system}", self.dir.join("path").display()),
        }
    }

    /// The runtimes of daemon.json. It has runc itself by default.
    fn named_runtimes(&self) -> Value {
        let tested = &self.runtimes.tested;
        let lenient = |role| self.dir.join(lenient_name(role));
        json!({
            name(Role::Tested): self.shim.runtime(tested, None),
            lenient_name(Role::Tested): self.shim.runtime(tested, Some(&lenient(Role::Tested))),
            lenient_name(Role::Reference): { "path": lenient(Role::Reference) },
        })
    }

    fn write_files(&self) -> std::io::Result<()> {
        fs::create_dir_all(self.dir.join("home/.docker"))?;
        fs::create_dir_all(self.dir.join("path"))?;
        fs::write(self.dir.join("daemon.json"), json!({ "runtimes": self.named_runtimes() }).to_string())?;
        for role in [Role::Reference, Role::Tested] {
            let script = lenient_script(self.runtimes.of(role));
            write_program(&self.dir.join(lenient_name(role)), &script)?;
        }
        if let Some((shim, name)) = self.shim.tested() {
            fs::create_dir_all(self.dir.join(SHIM_PATH))?;
            copy_program(shim, self.dir.join(SHIM_PATH).join(name))?;
        }
        let calls = self.dir.join("calls");
        let tested = self.runtimes.tested.display();
        let script = format!("#!/bin/sh\necho \"$@\" >> {}\nexec {tested} \"$@\"\n", calls.display());
        write_program(&self.dir.join("path/runc"), &script)
    }
}

impl Engine for Dockerd {
    type On = On;

    const CLIENT: &'static str = "docker";

    const REMOVE: &'static [&'static str] = &["rm", "--force", "--volumes"];

    fn call(&self, _: Role) -> Command {
        self.client(CLIENT)
    }

    fn runtime_flags(&self, on: On, role: Role, args: &[&str]) -> Vec<&'static str> {
        if args.contains(&"--privileged") {
            vec!["--runtime", self.privileged_runtime(role)]
        } else if matches!(on, On::DefaultRuntime) {
            vec![]
        } else {
            vec!["--runtime", name(role)]
        }
    }

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon().take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The runtime's name in the engine, as in `docker run --runtime NAME`.
pub(super) fn name(role: Role) -> &'static str {
    match role {
        Role::Reference => "runc",
        Role::Tested => "corten",
    }
}

/// The runtime's name with every capability that this machine lacks taken out of what the engine asks for.
fn lenient_name(role: Role) -> &'static str {
    match role {
        Role::Reference => "runc-lenient",
        Role::Tested => "corten-lenient",
    }
}

fn lenient_script(runtime: &Path) -> String {
    let lacking: Vec<String> = lacking_capabilities().iter().map(|name| format!("{name:?}")).collect();
    format!(
        r#"#!/bin/sh
for argument; do
    case $before in
    --bundle) file=$argument/config.json ;;
    --process) file=$argument ;;
    esac
    before=$argument
done
if [ -n "$file" ]; then
    spec=$(jq -c '(if .process then .process.capabilities else .capabilities end) |= map_values(. - [{}])' "$file")
    echo "$spec" > "$file"
fi
exec {} "$@"
"#,
        lacking.join(", "),
        runtime.display()
    )
}

fn write_program(path: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}
