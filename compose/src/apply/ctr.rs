//! `ctr`, which knows every containerd's way to registries and archives.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use tokio::process::Command;

use super::credentials::Credentials;
use crate::engine::Engine;
use crate::engine::version::Version;
use crate::error::{Context, Error, Result};
use crate::process::child;

/// What a terminal takes as one line, without its end.
const LINE_BYTES_MAX: usize = 4095;

/// `ctr` for an engine, with these words.
pub fn command(engine: &Engine, words: &[&str]) -> Command {
    let mut command = Command::from(child::command("ctr"));
    command.args(["--address", engine.address(), "--namespace", engine.namespace()]).args(words);
    command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The words of an export, by `ctr` itself where it can be told so: by containerd's transfer service, which is the
/// default of 2.0, it ends before all is written, and leaves a lease if nobody reads. 1.6 knows only the one way.
pub async fn export(engine: &Engine) -> Result<Vec<&'static str>> {
    let version = engine.call(Version {}).await.at("the version of containerd")?.version;
    let is_oldest = version.trim_start_matches('v').starts_with("1.6.");
    Ok(["images", "export"].into_iter().chain((!is_oldest).then_some("--local")).collect())
}

/// Runs it to its end.
///
/// Errors: the last line that it says on standard error; a reader of its output that has gone.
pub async fn run(mut command: Command) -> Result<()> {
    let done = command.spawn().at("ctr")?.wait_with_output().await.at("ctr")?;
    told(done.status, &String::from_utf8_lossy(&done.stderr))
}

/// Runs it with a user and a password, which `ctr` asks a terminal for: an argument could be read by everybody.
pub async fn run_as(mut command: Command, credentials: &Credentials) -> Result<()> {
    let (master, slave) = terminal()?;
    type_in(&master, &credentials.secret)?;
    // It asks the first terminal among standard error, output and input.
    let stderr = slave.try_clone().at("a terminal")?;
    command.stdin(slave).stdout(Stdio::null()).stderr(stderr);
    let mut child = command.spawn().at("ctr")?;
    // The ends of the terminal that the command holds: reading would have no end.
    drop(command);
    let said = tokio::task::spawn_blocking(move || read_all(master));
    let status = child.wait().await.at("ctr")?;
    let said = said.await.map_err(|err| Error::new(err.to_string()))?;
    told(status, &said)
}

fn told(status: ExitStatus, said: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    // It says nothing itself when nobody reads what it writes.
    if status.signal() == Some(nix::libc::SIGPIPE) {
        return Err(Error::new("write /dev/stdout: broken pipe"));
    }
    let last = said.lines().map(str::trim).rev().find(|line| !line.is_empty()).unwrap_or("it failed");
    Err(Error::new(last.trim_start_matches("ctr: ")))
}

/// A terminal that repeats nothing of what is typed.
fn terminal() -> Result<(OwnedFd, OwnedFd)> {
    let pty = openpty(None, None).at("a terminal")?;
    for end in [&pty.master, &pty.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).at("a terminal")?;
    }
    let mut settings = tcgetattr(&pty.slave).at("a terminal")?;
    settings.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).at("a terminal")?;
    Ok((pty.master, pty.slave))
}

/// The line waits in the terminal until somebody reads it.
fn type_in(master: &OwnedFd, secret: &str) -> Result<()> {
    if secret.len() > LINE_BYTES_MAX || secret.chars().any(char::is_control) {
        return Err(Error::new(format!(
            "the registry's password can't be given to ctr: it has control characters, or more than \
             {LINE_BYTES_MAX} bytes"
        )));
    }
    let mut master = File::from(master.try_clone().at("a terminal")?);
    master.write_all(format!("{secret}\n").as_bytes()).at("a terminal")
}

/// All that is said on the terminal. Its end is an error, EIO.
fn read_all(master: OwnedFd) -> String {
    let mut said = Vec::new();
    drop(File::from(master).read_to_end(&mut said));
    String::from_utf8_lossy(&said).into_owned()
}
