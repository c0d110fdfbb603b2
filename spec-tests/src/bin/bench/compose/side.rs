//! Who brings projects up, and on which machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use spec_tests::engine::containerd::{Client, Containerd};
use spec_tests::engine::dockerd::{CLIENT, Dockerd, Setup};
use spec_tests::engine::image::{BUSYBOX, image_archive};
use spec_tests::engine::process::run;
use spec_tests::engine::role::Runtimes;
use spec_tests::engine::sandbox::Sandbox;
use spec_tests::engine::{Engine, Outcome, Stop};
use spec_tests::view::View;

use super::at_hand;
use crate::runtime::on_path;
use crate::{Result, process};

/// The image's whole name.
const IMAGE: &str = "docker.io/library/busybox:latest";

/// State of programs that no flag moves, on the machine's own.
const PREPARE: &str = "
set -e
mount -t tmpfs tmpfs /var/lib
mkdir -p /etc/cni/net.d
";

/// A program of Compose's commands.
pub struct Side<'a> {
    pub name: &'static str,
    pub version: String,
    pub program: PathBuf,
    pub image: String,
    /// The parent of the containers' cgroups.
    pub cgroup: String,
    /// No two sides publish the same ports, whatever machine they are on.
    pub first_port: usize,
    dir: PathBuf,
    compose: Box<dyn Fn() -> Command + 'a>,
    plain: Box<dyn Fn() -> Command + 'a>,
}

impl Side<'_> {
    /// Writes the file of a project.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Times a command of the project in `file`.
    pub fn compose(&self, file: &Path, words: &[&str]) -> Result<Duration> {
        let mut command = (self.compose)();
        command.arg("-f").arg(file).args(words);
        process::time(command, &self.dir.join("errors"))
    }

    /// Does a command of the project in `file`, however long it takes.
    pub fn arrange(&self, file: &Path, words: &[&str]) -> Result<()> {
        let output = (self.compose)().arg("-f").arg(file).args(words).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(said.lines().last().unwrap_or("failed").into()) }
    }

    /// Times a command of single containers.
    pub fn plain(&self, words: &[&str]) -> Result<Duration> {
        let mut command = (self.plain)();
        command.args(words);
        process::time(command, &self.dir.join("errors"))
    }
}

/// A containerd with the image.
pub struct OnContainerd {
    containerd: Containerd,
    program: PathBuf,
}

impl OnContainerd {
    pub fn start(sandbox: &Sandbox, shim: &Path, program: PathBuf) -> Outcome<OnContainerd> {
        let containerd = Containerd::start(sandbox, "projects", Client::Ctr, View::Plain, shim)?;
        containerd.machine().shell(PREPARE)?.ok()?;
        // What the rootfs of containers without an image was made from.
        let archive = image_archive(&containerd.dir().join("busybox.tar"), IMAGE, &["sh"])?;
        let import = ["-n", "default", "images", "import", &archive.to_string_lossy()].map(String::from);
        run(containerd.machine().command("ctr").args(import), None)?.ok()?;
        // The name of the program decides whose commands it has.
        let link = containerd.dir().join("path").join("cortenctl");
        std::os::unix::fs::symlink(&program, link).map_err(Stop::failed)?;
        Ok(OnContainerd { containerd, program })
    }

    pub fn corten(&self) -> Side<'_> {
        let link = self.containerd.dir().join("path").join("cortenctl");
        Side {
            compose: Box::new(|| self.on_machine(&self.program)),
            plain: Box::new(move || self.on_machine(&link)),
            ..self.side("corten", &self.program, 18000)
        }
    }

    /// nerdctl, if it is on PATH.
    pub fn nerdctl(&self) -> Option<Side<'_>> {
        let program = on_path("nerdctl")?;
        let command = move || {
            let mut command = self.on_machine(Path::new("nerdctl"));
            command.env("CNI_PATH", "/usr/lib/cni");
            command
        };
        let compose = move || {
            let mut command = command();
            command.arg("compose");
            command
        };
        Some(Side {
            compose: Box::new(compose),
            plain: Box::new(command),
            ..self.side("nerdctl", &program, 18200)
        })
    }

    /// The pids of the keepers, by what they say of themselves.
    pub fn keepers(&self) -> Result<Vec<i32>> {
        let running = self.containerd.machine().path("/run/corten-compose/default");
        let mut pids = Vec::new();
        for entry in fs::read_dir(running)? {
            let Ok(text) = fs::read_to_string(entry?.path().join("state.json")) else { continue };
            let state: Value = serde_json::from_str(&text)?;
            let keeper = state["keeper"]["pid"].as_i64().ok_or("a state without a keeper")?;
            pids.push(i32::try_from(keeper)?);
        }
        Ok(pids)
    }

    fn side(&self, name: &'static str, program: &Path, first_port: usize) -> Side<'_> {
        Side {
            name,
            version: version(Command::new(program).arg("version")),
            program: program.to_owned(),
            image: IMAGE.to_owned(),
            cgroup: format!("{}/projects", self.containerd.cgroup()),
            first_port,
            dir: self.containerd.dir().to_owned(),
            compose: Box::new(|| Command::new("false")),
            plain: Box::new(|| Command::new("false")),
        }
    }

    /// A command that finds the tested shim, as containerd does.
    fn on_machine(&self, program: &Path) -> Command {
        let mut command = self.containerd.machine().command(&program.to_string_lossy());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.containerd.dir().join("path").display()));
        command
    }
}

/// A dockerd with the image.
pub struct OnDocker {
    dockerd: Dockerd,
}

impl OnDocker {
    /// None where there is no dockerd, or no `docker compose`.
    pub fn start(sandbox: &Sandbox) -> Outcome<Option<OnDocker>> {
        let there =
            run(Command::new(CLIENT).args(["compose", "version"]), None).is_ok_and(|said| said.code == 0);
        if !there || on_path("dockerd").is_none() {
            eprintln!("bench: docker compose isn't measured: it isn't here");
            return Ok(None);
        }
        let Some(runtimes) = at_hand(Runtimes::from_environment("/usr/sbin/runc"))? else { return Ok(None) };
        let dockerd = Dockerd::start(sandbox, "docker", &runtimes, Setup::default())?;
        Ok(Some(OnDocker { dockerd }))
    }

    pub fn docker(&self) -> Side<'_> {
        let compose = || {
            let mut command = self.dockerd.client(CLIENT);
            command.arg("compose");
            command
        };
        let plugins = ["/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins"];
        let program =
            plugins.iter().map(|dir| Path::new(dir).join("docker-compose")).find(|file| file.is_file());
        Side {
            name: "docker",
            version: version(self.dockerd.client(CLIENT).args(["compose", "version", "--short"])),
            program: program.unwrap_or_else(|| PathBuf::from(CLIENT)),
            image: BUSYBOX.to_owned(),
            cgroup: self.dockerd.cgroup().to_owned(),
            first_port: 18100,
            dir: self.dockerd.dir().to_owned(),
            compose: Box::new(compose),
            plain: Box::new(|| self.dockerd.client(CLIENT)),
        }
    }
}

/// The last word of what a program says of its version.
fn version(command: &mut Command) -> String {
    let said = run(command, None).map(|said| said.stdout).unwrap_or_default();
    said.lines().next().and_then(|line| line.split_whitespace().last()).unwrap_or_default().to_owned()
}
