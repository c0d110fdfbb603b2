//! The engines of this host, and the comparison of two runtimes under one of them.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use spec_tests::engine::process::{Said, Terminal, until};
use spec_tests::engine::role::Role;
use spec_tests::engine::verdict::judge;
use spec_tests::engine::{Outcome, Stop};
use spec_tests::skip;

use crate::engine::Engine;

/// What limits stand in. Not memory.swap.max, where crun 1.21 puts memory and swap together, nor cpu.weight, which runc
/// 1.1 and crun 1.21 compute from shares in the old way.
const FILES: [&str; 7] =
    ["memory.max", "memory.low", "memory.high", "cpu.max", "pids.max", "cgroup.freeze", "cgroup.type"];

/// What every runtime asks systemd for.
const PROPERTIES: &str =
    "MemoryMax,MemoryLow,CPUQuotaPerSecUSec,TasksMax,Delegate,ActiveState,SubState,Slice";

/// Carries `steps` out under the runtime that the engine has by default and under the tested one, and fails the test
/// unless both said the same.
pub fn compare(engine: &Engine, steps: fn(&Session) -> Outcome) {
    if std::env::var_os("CORTEN_VM").is_none() {
        return skip::record("only on the machine of scripts/vm");
    }
    // What is left behind is looked for among all scopes of the engine.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let compared = || {
        engine.prepare()?;
        judge(&Role::from_environment()?, |role| Ok(carry_out(engine, engine.runtime(role), steps)))
    };
    match compared() {
        Ok(()) => {}
        Err(Stop::Skipped(why)) => skip::record(&why),
        Err(Stop::Failed(why)) => panic!("{why}"),
    }
}

fn carry_out(engine: &Engine, runtime: &str, steps: fn(&Session) -> Outcome) -> (Outcome, Vec<Said>) {
    let session = Session { engine, runtime, containers: RefCell::default(), transcript: RefCell::default() };
    let result = steps(&session).and_then(|()| session.remove()).and_then(|()| session.nothing_left());
    drop(session.remove());
    (result, session.transcript.into_inner())
}

/// One scenario under one runtime, and what was said.
pub struct Session<'a> {
    engine: &'a Engine,
    runtime: &'a str,
    containers: RefCell<Vec<String>>,
    transcript: RefCell<Vec<Said>>,
}

impl Session<'_> {
    /// For `--runtime`.
    pub fn runtime(&self) -> &str {
        self.runtime
    }

    /// The engine's commands in README.
    pub fn of_readme(&self) -> Vec<Vec<&'static str>> {
        self.engine.of_readme()
    }

    /// The engine's command, recorded.
    pub fn engine(&self, args: &[&str]) -> Outcome<Said> {
        self.record(self.ask(args)?)
    }

    /// The engine's command, not recorded.
    pub fn ask(&self, args: &[&str]) -> Outcome<Said> {
        self.engine.call(args, None)
    }

    /// `run --rm ARGS…`, recorded.
    pub fn run(&self, args: &[&str]) -> Outcome<Said> {
        self.engine(&[&["run", "--rm", "--runtime", self.runtime], args].concat())
    }

    /// `run --rm ARGS…` with this standard input, recorded.
    pub fn run_reading(&self, args: &[&str], input: &str) -> Outcome<Said> {
        let args = [&["run", "--rm", "--runtime", self.runtime], args].concat();
        self.record(self.engine.call(&args, Some(input.as_bytes()))?)
    }

    /// `run --detach ARGS…`; gives the container's name.
    pub fn start(&self, args: &[&str]) -> Outcome<String> {
        let name = format!("c{}", self.containers.borrow().len());
        self.containers.borrow_mut().push(name.clone());
        let run = ["run", "--detach", "--stop-timeout", "1", "--name", &name, "--runtime", self.runtime];
        self.ask(&[&run, args].concat())?.ok()?;
        Ok(name)
    }

    /// The engine's command on a terminal, recorded.
    pub fn on_terminal(&self, args: &[&str]) -> Outcome<Said> {
        self.record(Terminal::open(&mut self.engine.command(args), 30, 100)?.ends()?)
    }

    /// The limits of the container's scope, recorded.
    pub fn cgroup_files(&self, name: &str) -> Outcome {
        let scope = self.scope(name)?;
        FILES.iter().try_for_each(|file| self.file(&scope.join(file)))
    }

    /// Whether the container is frozen, recorded. crun freezes a cgroup below the scope.
    pub fn is_frozen(&self, name: &str) -> Outcome {
        self.file(&self.cgroup(name)?.join("cgroup.events"))
    }

    fn file(&self, path: &Path) -> Outcome {
        let stdout =
            fs::read_to_string(path).map_err(|err| Stop::failed(format!("{}: {err}", path.display())))?;
        let command = format!("cat {}", path.file_name().unwrap_or_default().to_string_lossy());
        self.record(Said { command, stdout, stderr: String::new(), code: 0 })?;
        Ok(())
    }

    /// What systemd says of the container's scope, recorded.
    pub fn unit_properties(&self, name: &str) -> Outcome {
        let said = self.systemctl(&["show", "--property", PROPERTIES, &self.unit(name)?])?.ok()?;
        self.record(said)?;
        Ok(())
    }

    /// The name of the container's scope.
    pub fn unit(&self, name: &str) -> Outcome<String> {
        let scope = self.scope(name)?;
        Ok(scope.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    /// `systemctl ARGS…` of the engine's user, not recorded.
    pub fn systemctl(&self, args: &[&str]) -> Outcome<Said> {
        self.engine.systemctl(args)
    }

    /// Has systemd read its units anew, and write what it has to write.
    pub fn daemon_reload(&self) -> Outcome {
        self.systemctl(&["daemon-reload"])?.ok().map(drop)
    }

    /// Fails if a scope of the engine is there after a moment.
    pub fn nothing_left(&self) -> Outcome {
        let units = || {
            let list = ["list-units", "--all", "--plain", "--no-legend", "docker-*.scope", "libpod-*"];
            Ok(self.systemctl(&list)?.ok()?.stdout)
        };
        let mut left = units()?;
        until("the end of all scopes", 20, || {
            units().inspect(|now| left.clone_from(now)).is_ok_and(|now| now.is_empty())
        })
        .map_err(|_: Stop| Stop::failed(format!("left behind: {left}")))
    }

    /// The cgroup of the container's scope: a runtime may put the container below.
    fn scope(&self, name: &str) -> Outcome<PathBuf> {
        let cgroup = self.cgroup(name)?;
        let scope = cgroup.ancestors().find(|dir| dir.extension().is_some_and(|it| it == "scope"));
        scope.map(Path::to_owned).ok_or_else(|| Stop::failed(format!("no scope in {}", cgroup.display())))
    }

    /// The cgroup that the container's first process is in.
    fn cgroup(&self, name: &str) -> Outcome<PathBuf> {
        let pid = self.ask(&["inspect", "--format", "{{.State.Pid}}", name])?.ok()?.word().to_owned();
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).map_err(Stop::failed)?;
        let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"));
        let path = path.ok_or_else(|| Stop::failed(&cgroup))?;
        Ok(Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/')))
    }

    fn remove(&self) -> Outcome {
        let names = self.containers.take();
        if names.is_empty() {
            return Ok(());
        }
        let args: Vec<&str> = ["rm", "--force"].into_iter().chain(names.iter().map(String::as_str)).collect();
        self.ask(&args)?.ok().map(drop)
    }

    fn record(&self, said: Said) -> Outcome<Said> {
        self.transcript.borrow_mut().push(said.clone());
        Ok(said)
    }
}
