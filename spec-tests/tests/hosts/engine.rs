//! An engine as a user of the host has it, prepared as README tells.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use spec_tests::engine::image::{BUSYBOX, busybox_archive};
use spec_tests::engine::process::{Said, run, until};
use spec_tests::engine::role::Role;
use spec_tests::engine::{Outcome, Stop};
use spec_tests::subject::subject;

/// Where README installs the tested runtime.
const INSTALLED: &str = "/usr/local/bin/corten";

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));

/// What a user of rootless Docker does once; Debian's script ends with an error after all is done.
const SET_UP_ROOTLESS_DOCKER: &str = "PATH=$PATH:/usr/sbin:/usr/share/docker.io/contrib
                                      dockerd-rootless-setuptool.sh install || true";

/// An engine with a user, root or `u`.
pub struct Engine {
    program: &'static str,
    rootless: bool,
    /// The runtime that the engine runs by default.
    peer: &'static str,
    prepared: OnceLock<Result<(), String>>,
}

impl Engine {
    const fn new(program: &'static str, peer: &'static str, rootless: bool) -> Engine {
        Engine { program, rootless, peer, prepared: OnceLock::new() }
    }

    /// The runtime of that role, as the engine knows it.
    pub fn runtime(&self, role: Role) -> &'static str {
        match role {
            Role::Reference => self.peer,
            Role::Tested if self.is_docker() => "corten",
            Role::Tested => INSTALLED,
        }
    }

    /// Starts what has to run, makes the runtime known, and loads the image; once.
    pub fn prepare(&self) -> Outcome {
        let prepared = self.prepared.get_or_init(|| {
            self.first_time().map_err(|stop| match stop {
                Stop::Failed(why) | Stop::Skipped(why) => why,
            })
        });
        prepared.clone().map_err(|why| Stop::failed(format!("prepare the engine: {why}")))
    }

    /// What README tells to type, with `hello` as the container's word.
    pub fn of_readme(&self) -> Vec<Vec<&'static str>> {
        let hello = ["run", "--rm", "busybox", "echo", "hello"];
        if self.is_docker() {
            let line = README.lines().find_map(|line| line.strip_prefix("# docker "));
            vec![line.expect("README has a command for Docker").split_whitespace().collect()]
        } else {
            // With the runtime named, and with the lines of containers.conf alone.
            vec![[&["--runtime", INSTALLED], &hello[..]].concat(), hello.to_vec()]
        }
    }

    /// Calls the engine's command.
    pub fn call(&self, args: &[&str], input: Option<&[u8]>) -> Outcome<Said> {
        run(&mut self.command(args), input)
    }

    /// The engine's command, about to be run.
    pub fn command(&self, args: &[&str]) -> Command {
        self.by_user(self.program, args)
    }

    /// Calls the systemctl of the user's manager.
    pub fn systemctl(&self, args: &[&str]) -> Outcome<Said> {
        let user: &[&str] = if self.rootless { &["--user"] } else { &[] };
        run(&mut self.by_user("systemctl", &[user, args].concat()), None)
    }

    fn first_time(&self) -> Outcome {
        let binary = subject().path.display();
        shell(&format!("install -m 755 {binary} {INSTALLED}"))?;
        if self.rootless {
            shell("systemctl start user@1000.service")?;
        }
        if self.is_docker() {
            self.start_docker()?;
        } else {
            let config = readme_block("`/etc/containers/containers.conf`", "toml");
            fs::create_dir_all("/etc/containers").map_err(Stop::failed)?;
            fs::write("/etc/containers/containers.conf", config).map_err(Stop::failed)?;
        }
        let dir = Path::new("/var/tmp/image");
        drop(fs::remove_dir_all(dir));
        fs::create_dir_all(dir).map_err(Stop::failed)?;
        let archive = busybox_archive(dir)?;
        self.call(&["import", &archive.to_string_lossy(), BUSYBOX], None)?.ok().map(drop)
    }

    fn start_docker(&self) -> Outcome {
        let daemon_json = readme_block("`/etc/docker/daemon.json`", "json");
        if self.rootless {
            // The set-up asks for this module, which root has to load.
            shell("modprobe ip_tables")?;
            let config =
                format!("mkdir -p ~/.config/docker; echo '{daemon_json}' > ~/.config/docker/daemon.json");
            let script = format!("{config}\n{SET_UP_ROOTLESS_DOCKER}");
            run(&mut self.by_user("sh", &["-c", &script]), None)?.ok()?;
        } else {
            shell(&format!("echo '{daemon_json}' > /etc/docker/daemon.json; systemctl restart docker"))?;
        }
        let knows = |said: Said| said.stdout.contains("corten");
        until("the runtime to be known", 60, || self.call(&["info"], None).is_ok_and(knows))
    }

    fn is_docker(&self) -> bool {
        self.program == "docker"
    }

    /// A program as the user would call it after a login.
    fn by_user(&self, program: &str, args: &[&str]) -> Command {
        if !self.rootless {
            let mut command = Command::new(program);
            command.args(args);
            return command;
        }
        let mut login = Command::new("su");
        // A command of `--command` would have no terminal.
        let script = r#"export DOCKER_HOST=unix://$XDG_RUNTIME_DIR/docker.sock; exec "$@""#;
        login.args(["--session-command", script, "--", "-", "u", "sh", program]).args(args);
        login
    }
}

pub fn docker() -> &'static Engine {
    static ENGINE: Engine = Engine::new("docker", "runc", false);
    &ENGINE
}

pub fn podman() -> &'static Engine {
    static ENGINE: Engine = Engine::new("podman", "crun", false);
    &ENGINE
}

pub fn rootless_docker() -> &'static Engine {
    static ENGINE: Engine = Engine::new("docker", "runc", true);
    &ENGINE
}

pub fn rootless_podman() -> &'static Engine {
    static ENGINE: Engine = Engine::new("podman", "crun", true);
    &ENGINE
}

/// README's first block of that language after `words`.
fn readme_block(words: &str, language: &str) -> &'static str {
    let block = README.split_once(words).and_then(|(_, after)| after.split_once(&format!("```{language}\n")));
    block.and_then(|(_, after)| after.split_once("```")).expect("README has these lines").0
}

/// Runs a shell script as root.
fn shell(script: &str) -> Outcome<Said> {
    run(Command::new("sh").args(["-ec", script]), None)?.ok()
}
