//! One scenario under one runtime, and the transcript of what was said.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use super::dockerd::{Dockerd, name};
use super::machine::Machine;
use super::process::{Said, Terminal, run, until};
use super::role::Role;
use super::{Engine, Outcome, Stop};

/// Drives an engine with one of the runtimes for a scenario, and records commands with what they said.
pub struct Session<'a, E: Engine = Dockerd> {
    engine: &'a E,
    on: E::On,
    role: Role,
    /// Tells this session's containers, networks and volumes from those of any other.
    suffix: String,
    transcript: RefCell<Vec<Said>>,
    containers: RefCell<Vec<String>>,
}

impl<'a, E: Engine> Session<'a, E> {
    /// A session for the scenario `name`, which is unique among all scenarios.
    pub(super) fn new(engine: &'a E, on: E::On, role: Role, name: &str) -> Self {
        let tag = match role {
            Role::Reference => "ref",
            Role::Tested => "new",
        };
        let suffix = format!("-{}-{tag}", name.replace("::", "-"));
        Session { engine, on, role, suffix, transcript: RefCell::default(), containers: RefCell::default() }
    }

    /// The engine.
    pub fn engine(&self) -> &'a E {
        self.engine
    }

    /// The host that the engine runs on.
    pub fn machine(&self) -> &'a Machine {
        self.engine.machine()
    }

    /// Which runtime this session is for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// A name for a container, volume, network or image that no other session uses. The container of that name, if
    /// there is one, is removed at the end of the session.
    pub fn name(&self, label: &str) -> String {
        let name = format!("{label}{}", self.suffix);
        self.containers.borrow_mut().push(name.clone());
        name
    }

    /// An empty directory of the engine's user, at the same path here and on the engine's machine.
    pub fn dir(&self, label: &str) -> Outcome<PathBuf> {
        let dir = self.engine.dir().join(format!("{label}{}", self.suffix));
        let user = Some(self.engine.user());
        fs::create_dir_all(&dir).and_then(|()| chown(&dir, user, user)).map_err(Stop::failed)?;
        Ok(dir)
    }

    /// The engine's client with ARGS…, recorded.
    pub fn call(&self, args: &[&str]) -> Outcome<Said> {
        self.record(self.ask(args)?)
    }

    /// The engine's client with ARGS… and with `input` on its standard input, recorded.
    pub fn call_reading(&self, args: &[&str], input: &str) -> Outcome<Said> {
        self.record(self.perform(args, Some(input.as_bytes()))?)
    }

    /// The engine's client with ARGS…, recorded with the lines of its output sorted: for lists that come in no order.
    pub fn call_sorted(&self, args: &[&str]) -> Outcome<Said> {
        let said = self.ask(args)?;
        let mut lines: Vec<&str> = said.stdout.lines().collect();
        lines.sort_unstable();
        self.record(Said { stdout: lines.iter().map(|line| format!("{line}\n")).collect(), ..said })
    }

    /// The engine's client with ARGS…, not recorded: for what differs from run to run, and for waiting.
    pub fn ask(&self, args: &[&str]) -> Outcome<Said> {
        self.perform(args, None)
    }

    /// Repeats the client's ARGS…, not recorded, until `part` is in its standard output.
    pub fn wait_until(&self, args: &[&str], part: &str) -> Outcome {
        let what = format!("{part:?} in {} {}", E::CLIENT, args.join(" "));
        until(&what, 30, || self.ask(args).is_ok_and(|said| said.stdout.contains(part)))
    }

    /// `run --rm ARGS…` with this session's runtime, recorded.
    pub fn run(&self, args: &[&str]) -> Outcome<Said> {
        self.call(&self.with_runtime(&["run", "--rm"], args))
    }

    /// `run --rm ARGS…` with this session's runtime and `input` on its standard input, recorded.
    pub fn run_reading(&self, args: &[&str], input: &str) -> Outcome<Said> {
        self.call_reading(&self.with_runtime(&["run", "--rm"], args), input)
    }

    /// `run --detach --name LABEL… ARGS…` with this session's runtime, recorded; gives the container's name.
    pub fn start(&self, label: &str, args: &[&str]) -> Outcome<String> {
        let name = self.name(label);
        self.call(&self.with_runtime(&["run", "--detach", "--name", &name], args))?.ok()?;
        Ok(name)
    }

    /// `create --name LABEL… ARGS…` with this session's runtime, recorded; gives the container's name.
    pub fn create(&self, label: &str, args: &[&str]) -> Outcome<String> {
        let name = self.name(label);
        self.call(&self.with_runtime(&["create", "--name", &name], args))?.ok()?;
        Ok(name)
    }

    /// ARGS… of `run` or `create` after `before` and the flags that choose this session's runtime.
    pub fn with_runtime<'b>(&self, before: &[&'b str], args: &[&'b str]) -> Vec<&'b str> {
        let flags = self.engine.runtime_flags(self.on, self.role, args);
        [before, &flags, args].concat()
    }

    /// The client with ARGS… on a terminal of 30 rows and 100 columns; [`Session::close`] records it.
    pub fn terminal(&self, args: &[&str]) -> Outcome<Terminal> {
        Terminal::open(self.engine.call(self.role).args(args), 30, 100)
    }

    /// Waits for the end of what runs on `terminal`, and records it.
    pub fn close(&self, terminal: Terminal) -> Outcome<Said> {
        self.record(terminal.ends()?)
    }

    /// A shell script on the engine's machine, which is the containers' host; recorded.
    pub fn host(&self, script: &str) -> Outcome<Said> {
        self.record(self.engine.machine().shell(script)?)
    }

    /// Skips the scenario where cgroups are not v1's, for scenarios that read or write its files.
    pub fn needs_cgroup_v1(&self) -> Outcome {
        if Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
            Ok(())
        } else {
            Err(Stop::Skipped("the scenario is about cgroup v1, which this machine has not".into()))
        }
    }

    /// Skips the scenario where one of the cgroup controllers is not to be had.
    pub fn needs_controllers(&self, names: &[&str]) -> Outcome {
        let on_v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        let lacks = |name: &&&str| {
            !on_v2.split_whitespace().any(|it| it == **name)
                && !Path::new("/sys/fs/cgroup").join(name).is_dir()
        };
        match names.iter().find(lacks) {
            None => Ok(()),
            Some(name) => Err(Stop::Skipped(format!("this machine has no {name} controller"))),
        }
    }

    /// The container's process as the host sees it.
    pub fn pid(&self, container: &str) -> Outcome<String> {
        Ok(self.ask(&["inspect", "--format", "{{.State.Pid}}", container])?.ok()?.word().to_owned())
    }

    /// Carries `steps` out on another engine, as a part of this session.
    pub fn on_engine(&self, engine: &E, steps: impl Fn(&Session<E>) -> Outcome) -> Outcome {
        let session = Session {
            engine,
            on: self.on,
            role: self.role,
            suffix: self.suffix.clone(),
            transcript: RefCell::default(),
            containers: RefCell::default(),
        };
        let result = steps(&session);
        self.transcript.borrow_mut().extend(session.end());
        result
    }

    /// Removes the session's containers and gives the transcript, with this session's own names taken out.
    pub fn end(self) -> Vec<Said> {
        let names = self.containers.into_inner();
        if !names.is_empty() {
            let mut remove = E::REMOVE.to_vec();
            remove.extend(names.iter().map(String::as_str));
            drop(run(self.engine.call(self.role).args(&remove), None));
        }
        let dir = self.engine.dir().to_string_lossy().into_owned();
        let anonymous = |text: &str| text.replace(&self.suffix, "").replace(&dir, "<dir>");
        let transcript = self.transcript.into_inner().into_iter();
        transcript
            .map(|said| Said { stdout: anonymous(&said.stdout), stderr: anonymous(&said.stderr), ..said })
            .collect()
    }

    fn perform(&self, args: &[&str], input: Option<&[u8]>) -> Outcome<Said> {
        run(self.engine.call(self.role).args(args), input)
    }

    /// Puts into the transcript what was said to any other client.
    pub fn record(&self, said: Said) -> Outcome<Said> {
        self.transcript.borrow_mut().push(said.clone());
        Ok(said)
    }
}

impl Session<'_, Dockerd> {
    /// The path of the daemon's socket.
    pub fn socket(&self) -> String {
        self.engine.dir().join("docker.sock").display().to_string()
    }

    /// The runtime's name in the engine, as in `docker run --runtime NAME`.
    pub fn runtime(&self) -> &'static str {
        name(self.role)
    }

    /// `docker ARGS…`, recorded.
    pub fn docker(&self, args: &[&str]) -> Outcome<Said> {
        self.call(args)
    }

    /// `docker ARGS…` with `input` on its standard input, recorded.
    pub fn docker_reading(&self, args: &[&str], input: &str) -> Outcome<Said> {
        self.call_reading(args, input)
    }

    /// `docker ARGS…`, recorded with the lines of its output sorted: for lists that come in no order.
    pub fn docker_sorted(&self, args: &[&str]) -> Outcome<Said> {
        self.call_sorted(args)
    }

    /// Any other client of the engine, such as docker-compose, with more environment; recorded.
    pub fn client(&self, program: &str, args: &[&str], environment: &[(&str, &str)]) -> Outcome<Said> {
        self.record(run(self.engine.client(program).args(args).envs(environment.iter().copied()), None)?)
    }
}
