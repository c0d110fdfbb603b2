//! Processes that tests put into cgroups.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::fixture::Test;

/// Moves a process into the cgroup at `path`.
pub fn move_into(path: &Path, pid: i32) {
    let procs = path.join("cgroup.procs");
    std::fs::write(&procs, pid.to_string()).unwrap_or_else(|err| panic!("{}: {err}", procs.display()));
}

/// Runs `script` in the cgroup, from its first command on.
pub fn run_in(test: &Test, script: &str) -> ExitStatus {
    let mut process = Process(shell(script).spawn().unwrap());
    test.enter(process.id());
    process.go_on();
    process.wait()
}

/// A shell that waits for a line before it runs `script`.
pub fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("read go; {script}")).stdin(Stdio::piped());
    // Its children, if it has any, end with it.
    command.process_group(0);
    command
}

pub fn sleeper() -> Process {
    Process(Command::new("sleep").arg("1000").spawn().unwrap())
}

/// A child that doesn't outlive its test.
pub struct Process(pub Child);

impl Process {
    pub fn id(&self) -> i32 {
        self.0.id() as i32
    }

    pub fn go_on(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    pub fn wait_for_line(&mut self) {
        self.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return status,
                None if Instant::now() > deadline => panic!("process {} doesn't end", self.id()),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
