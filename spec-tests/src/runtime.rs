//! Runs the runtime under test: one command at a time, each with a deadline, its output kept in files.
//!
//! Files, not pipes: a detached container keeps the descriptors it was created with, and a pipe would be read for as
//! long as it lives.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::manager::Manager;
use crate::patience::seconds;
use crate::subject::subject;
use crate::view::View;

/// A runtime binary with a state directory of its own.
pub struct Runtime {
    /// The binary.
    pub binary: PathBuf,
    /// Passed as `--root`.
    pub root: PathBuf,
    /// How the commands find cgroups mounted.
    pub view: View,
    /// Who makes the cgroups of its containers.
    pub manager: Manager,
    outputs: PathBuf,
    marker: String,
    calls: AtomicU32,
}

impl Runtime {
    /// The runtime under test, with its state and the output of its commands under `dir`.
    ///
    /// `marker` is put into the environment of every command, and marks the processes that the command forks.
    pub fn new(dir: &Path, marker: &str) -> Runtime {
        let outputs = dir.join("outputs");
        fs::create_dir_all(&outputs).expect("make a directory for outputs");
        Runtime {
            binary: subject().path.clone(),
            root: dir.join("state"),
            view: View::Plain,
            manager: Manager::of_environment(),
            outputs,
            marker: marker.to_owned(),
            calls: AtomicU32::new(0),
        }
    }

    /// Prepares `BINARY --root ROOT ARGS…`, with the flags that name the manager of cgroups.
    pub fn call<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Call<'_> {
        let mut globals = vec!["--root".into(), self.root.clone().into()];
        globals.extend(self.manager.flags().iter().map(OsString::from));
        Call {
            runtime: self,
            globals,
            args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
            prologue: self.view.prologue().unwrap_or_default().to_owned(),
            private_mounts: self.view.prologue().is_some(),
            wrapper: Vec::new(),
            stdin: None,
            terminal: None,
            env: Vec::new(),
            deadline: seconds(30),
        }
    }
}

/// One command line, about to be run; what [`std::process::Command`] is, with a deadline.
pub struct Call<'a> {
    runtime: &'a Runtime,
    globals: Vec<OsString>,
    args: Vec<OsString>,
    prologue: String,
    private_mounts: bool,
    wrapper: Vec<OsString>,
    stdin: Option<Vec<u8>>,
    terminal: Option<File>,
    env: Vec<(OsString, OsString)>,
    deadline: Duration,
}

impl Call<'_> {
    /// Adds global flags, which stand before the command.
    pub fn global<S: AsRef<OsStr>>(mut self, flags: impl IntoIterator<Item = S>) -> Self {
        self.globals.extend(flags.into_iter().map(|flag| flag.as_ref().to_owned()));
        self
    }

    /// Drops `--root`, or other global flags given so far.
    pub fn without_globals(mut self) -> Self {
        self.globals.clear();
        self
    }

    /// Gives the command these bytes on standard input; nothing by default.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Makes a terminal the command's standard input, output and error.
    pub fn terminal(mut self, terminal: File) -> Self {
        self.terminal = Some(terminal);
        self
    }

    /// Sets a variable of the command's environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Runs these shell lines first, in the process that then becomes the runtime: redirections of further
    /// descriptors, ulimits, the working directory.
    pub fn prologue(mut self, lines: &str) -> Self {
        self.prologue = format!("{}\n{lines}", self.prologue);
        self
    }

    /// Runs the command in a mount namespace of its own, where the prologue may mount what it likes.
    pub fn private_mounts(mut self) -> Self {
        self.private_mounts = true;
        self
    }

    /// Runs the command under a program such as strace.
    pub fn by<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper = wrapper.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// Fails the test if the command takes longer; 30 seconds by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the command to its end.
    pub fn output(self) -> Outcome {
        self.spawn().wait()
    }

    /// Runs the command to its end, or kills it at the deadline and returns nothing.
    pub fn output_or_kill(self) -> Option<Outcome> {
        self.spawn().wait_or_kill().ok()
    }

    /// Starts the command.
    pub fn spawn(mut self) -> Running {
        let number = self.runtime.calls.fetch_add(1, Ordering::Relaxed);
        let file = |what: &str| self.runtime.outputs.join(format!("{number}.{what}"));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        let mut command = self.command();
        if let Some(terminal) = self.terminal.take() {
            File::create(&stdout).expect("make an output file");
            File::create(&stderr).expect("make an output file");
            let end = || Stdio::from(terminal.try_clone().expect("dup a terminal"));
            command.stdin(end()).stdout(end()).stderr(end());
        } else {
            command.stdin(stdin_of(self.stdin.take(), &file("stdin")));
            command.stdout(File::create(&stdout).expect("make an output file"));
            command.stderr(File::create(&stderr).expect("make an output file"));
        }
        let line = format!("{:?} {:?}", self.globals, self.args);
        let child = command.spawn().expect("start the runtime");
        Running { child, line, stdout, stderr, deadline: Instant::now() + self.deadline }
    }

    fn command(&self) -> Command {
        let binary = self.runtime.binary.clone().into_os_string();
        let argv: Vec<_> =
            self.wrapper.iter().chain([&binary]).chain(&self.globals).chain(&self.args).collect();
        let mut command = if self.private_mounts {
            let mut unshare = Command::new("unshare");
            unshare.args(["--mount", "--propagation", "private", "sh", "-ec"]);
            unshare.arg(format!("{}\nexec \"$@\"", self.prologue)).arg("sh").args(argv);
            unshare
        } else if !self.prologue.is_empty() {
            let mut shell = Command::new("sh");
            shell.arg("-ec").arg(format!("{}\nexec \"$@\"", self.prologue)).arg("sh").args(argv);
            shell
        } else {
            let mut plain = Command::new(argv[0]);
            plain.args(&argv[1..]);
            plain
        };
        command.env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS").env("SPEC_TEST", &self.runtime.marker);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn stdin_of(bytes: Option<Vec<u8>>, path: &Path) -> Stdio {
    let Some(bytes) = bytes else { return Stdio::null() };
    File::create(path).expect("make an input file").write_all(&bytes).expect("write an input file");
    File::open(path).expect("open an input file").into()
}

/// A command of the runtime that has started.
pub struct Running {
    child: Child,
    line: String,
    stdout: PathBuf,
    stderr: PathBuf,
    deadline: Instant,
}

impl Running {
    /// The pid of the runtime itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the command and its container have written to standard output so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).expect("read an output file")
    }

    /// Whether the command has come to its end.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait for the runtime").is_some()
    }

    /// Waits for the end of the command, and fails the test if it doesn't come in time.
    #[track_caller]
    pub fn wait(self) -> Outcome {
        match self.wait_or_kill() {
            Ok(outcome) => outcome,
            Err(outcome) => panic!("the runtime did not come to an end in time: {outcome}"),
        }
    }

    /// Waits for the end of the command. At the deadline kills it, and returns as an error how far it came.
    fn wait_or_kill(mut self) -> Result<Outcome, Outcome> {
        while Instant::now() < self.deadline {
            if let Some(status) = self.child.try_wait().expect("wait for the runtime") {
                return Ok(self.outcome(status));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let status = self.child.wait().expect("reap the runtime");
        Err(self.outcome(status))
    }

    fn outcome(&self, status: ExitStatus) -> Outcome {
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("read output")).into_owned();
        Outcome {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
            line: self.line.clone(),
            stdout_file: self.stdout.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only a test that gives up half-way needs this. For a reaped child the call fails, which does no harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command of the runtime came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    line: String,
    stdout_file: PathBuf,
}

impl Outcome {
    /// Expects success, and returns the trimmed standard output.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert_eq!(self.code, 0, "{self}");
        self.stdout.trim().to_owned()
    }

    /// Expects failure, and returns standard error. Quotes that the log's text form escapes are plain again.
    #[track_caller]
    pub fn fails(&self) -> String {
        assert_ne!(self.code, 0, "expected to fail: {self}");
        assert!(self.code < 128 || self.code == 255, "died of a signal: {self}");
        self.stderr.trim().replace("\\\"", "\"")
    }

    /// Expects failure with this text on standard error.
    #[track_caller]
    pub fn fails_with(&self, text: &str) {
        assert!(self.fails().contains(text), "expected `{text}`: {self}");
    }

    /// What has been written to the command's standard output by now, by any process that has inherited it.
    pub fn stdout_now(&self) -> String {
        fs::read_to_string(&self.stdout_file).expect("read an output file")
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} => {}\nstdout: {}\nstderr: {}", self.line, self.code, self.stdout, self.stderr)
    }
}

/// Waits until `condition` holds, and fails the test with `what` if it does not within ten seconds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + seconds(10);
    while !condition() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
