//! A runtime by its command line: another runtime for everything, and this file itself for what takes a fresh process.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::time::Duration;

use corten::container::ends_with_parent;
use corten::error::Error;
use futures_util::future::{Either, select};
use serde::Deserialize;
use tokio::net::unix::pipe::Receiver;

use super::{Driver, Site, failed, library};
use crate::args;
use crate::bundle::Bundle;
use crate::children::{Child, Hold};
use crate::machine::call::{Exit, RootfsMount};
use crate::refusal::Refusal;
use crate::stdio::ForProcess;

/// What is read of a runtime's log.
const LOG_BYTES_MAX: u64 = 64 * 1024;
/// What is read of a command's output at once.
const CHUNK_BYTES: usize = 4096;
/// What a pipe holds, unless somebody has asked for more.
const PIPE_BYTES: usize = 64 * 1024;
/// How long a command may take to undo what it has begun.
const UNDOING: Duration = Duration::from_secs(5);
/// The statuses of commands that a signal has ended: 128 and its number. A runtime may refuse with 255.
const BY_SIGNAL: RangeInclusive<u32> = 129..=192;

impl Site {
    /// `create`; gives the pid of init.
    pub async fn create(&self, streams: ForProcess) -> Result<i32, Refusal> {
        let pid_file = Bundle::at(&self.bundle).init_pid_file();
        let mut args: Vec<OsString> = vec!["create".into(), "--bundle".into(), self.bundle.clone().into()];
        args.extend(["--pid-file".into(), pid_file.clone().into()]);
        if self.options.no_pivot_root {
            args.push("--no-pivot".into());
        }
        if self.options.no_new_keyring {
            args.push("--no-new-keyring".into());
        }
        let (command, log) = self.bringing_in(args, "init", streams);
        let ended = self.end_of_making(command).await.map_err(|refusal| failed("create", refusal))?;
        let created = log.verdict(ended).map_err(|refusal| failed("create", refusal));
        let created = created.and_then(|()| read_pid(&pid_file));
        // A runtime that refuses has undone what it has made; and what it has found is another's.
        if created.is_err() && (ended.status == 0 || BY_SIGNAL.contains(&ended.status)) {
            self.undo().await;
        }
        created
    }

    /// `exec` of the process that `spec` describes, under the name `exec`; gives its pid.
    pub async fn exec(&self, exec: &str, spec: &[u8], streams: ForProcess) -> Result<i32, Refusal> {
        let process = File::new(self.bundle.join(format!("{exec}-process.json")), spec)?;
        // No name of an exec is that of a file of the container's own.
        let name = format!("exec.{exec}");
        let pid_file = self.bundle.join(format!("{name}.pid"));
        let mut args: Vec<OsString> = vec!["exec".into(), "--process".into(), process.0.clone().into()];
        args.extend(["--detach".into(), "--pid-file".into(), pid_file.clone().into()]);
        let (command, log) = self.bringing_in(args, &name, streams);
        self.spawn(command, &log).await.map_err(|refusal| failed("exec", refusal))?;
        let pid = read_pid(&pid_file);
        drop(std::fs::remove_file(&pid_file));
        pid
    }

    /// Mounts the root filesystem, whoever the runtime is: in a fresh process of this file.
    pub async fn mount_id_mapped(&self, mounts: &[RootfsMount]) -> Result<(), Refusal> {
        let json = serde_json::to_vec(mounts).map_err(|err| Refusal::unknown(err.to_string()))?;
        let json = File::new(self.bundle.join("rootfs.json"), &json)?;
        let stdin = std::fs::File::open(&json.0)
            .map_err(|err| Refusal::unknown(format!("{}: {err}", json.0.display())))?;
        let (output, input) = Output::pipe()?;
        let mut command = self.this_file(args::MOUNTER);
        command.current_dir(&self.bundle).stdin(stdin).stdout(Stdio::null()).stderr(input);
        let (ended, said) = output.read_until(self.end_of_making(command)).await;
        let ended = ended?;
        match ended.status {
            0 => Ok(()),
            status => Err(Refusal::unknown(format!("rootfs: exit status {status}: {}", said.trim()))),
        }
    }

    /// Any other command of another runtime, to its end.
    pub async fn run(&self, args: Vec<OsString>) -> Result<String, Refusal> {
        let log = Log(self.bundle.join(format!("log.{}.json", self.next_log())));
        let (output, input) = Output::pipe()?;
        let mut command = self.command(&log, args);
        command.stdin(Stdio::null()).stdout(input).stderr(Stdio::null());
        let (ended, said) = output.read_until(self.spawn(command, &log)).await;
        ended.map(|()| said)
    }

    /// A command that brings a process into the container, and its log.
    fn bringing_in(&self, mut args: Vec<OsString>, name: &str, streams: ForProcess) -> (Command, Log) {
        let log = Log(self.bundle.join(format!("log.{name}.json")));
        let streams: [Stdio; 3] = match streams {
            ForProcess::Streams(streams) => streams.map(Stdio::from),
            ForProcess::Terminal(socket) => {
                args.extend(["--console-socket".into(), socket.into()]);
                [Stdio::null(), Stdio::null(), Stdio::null()]
            }
        };
        args.push(self.id.clone().into());
        let mut command = self.command(&log, args);
        let [stdin, stdout, stderr] = streams;
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        (command, log)
    }

    fn command(&self, log: &Log, args: Vec<OsString>) -> Command {
        let mut command = match &self.driver {
            Driver::Library => self.this_file("corten"),
            Driver::Binary(path) => {
                let mut command = Command::new(path);
                ends_with_parent(&mut command);
                command
            }
        };
        command.current_dir(&self.bundle);
        // They are containerd's own.
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
            command.env_remove(name);
        }
        command.arg("--root").arg(&self.root).args(log.flags());
        if self.options.systemd_cgroup {
            command.arg("--systemd-cgroup");
        }
        command.args(args);
        command
    }

    /// This file anew, by another name.
    fn this_file(&self, name: &str) -> Command {
        if let Some(image) = self.image.as_ref() {
            return image.command(name);
        }
        let mut command = Command::new("/proc/self/exe");
        ends_with_parent(&mut command);
        std::os::unix::process::CommandExt::arg0(&mut command, name);
        command
    }

    /// Runs a command to its end.
    ///
    /// Errors: what the runtime has put into its log.
    async fn spawn(&self, command: Command, log: &Log) -> Result<(), Refusal> {
        log.verdict(self.end_of(command).await?)
    }

    /// Runs a command, and waits for its end.
    async fn end_of(&self, command: Command) -> Result<Exit, Refusal> {
        let (child, _hold) = self.begin(command)?;
        child.end().await.map_err(|err| library::refusal(&err))
    }

    /// Runs a command that makes a part of the container. If nobody wants the container any more, the command is told
    /// to end, and to undo what it has begun.
    async fn end_of_making(&self, command: Command) -> Result<Exit, Refusal> {
        let (child, _hold) = self.begin(command)?;
        let mut told = self.abandoned.subscribe();
        let abandoned = async { drop(told.wait_for(|abandoned| *abandoned).await) };
        let ended = match select(pin!(child.end()), pin!(abandoned)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(((), ended)) => end_early(&child, ended).await,
        };
        ended.map_err(|err| library::refusal(&err))
    }

    /// Begins a command, whose end nobody but the [`Child`] waits for.
    fn begin(&self, mut command: Command) -> Result<(Child, Hold), Refusal> {
        let hold = self.children.hold();
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|err| {
            let of_options = if matches!(self.driver, Driver::Binary(_)) { " (BinaryName)" } else { "" };
            let err = Error::io(format!("execute {program}{of_options}"), &err);
            Refusal::unknown(err.to_string())
        })?;
        // Its ends of the container's pipes must not stay open here.
        drop(command);
        let child = self.children.know(child.id() as i32).map_err(|err| library::refusal(&err))?;
        Ok((child, hold))
    }
}

/// Tells a command to end, and ends it if it doesn't.
async fn end_early(
    command: &Child,
    ended: impl Future<Output = corten::error::Result<Exit>> + Unpin,
) -> corten::error::Result<Exit> {
    command.signal(libc::SIGTERM);
    match select(ended, pin!(tokio::time::sleep(UNDOING))).await {
        Either::Left((ended, _)) => ended,
        Either::Right(((), ended)) => {
            command.signal(libc::SIGKILL);
            ended.await
        }
    }
}

/// What a child puts out.
struct Output(Receiver);

impl Output {
    /// Returns the end for the child, too.
    fn pipe() -> Result<(Output, OwnedFd), Refusal> {
        let (output, input) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
            .map_err(|errno| Refusal::unknown(format!("pipe: {}", errno.desc())))?;
        let output = Receiver::from_owned_fd(output);
        Ok((Output(output.map_err(|err| Refusal::unknown(format!("pipe: {err}")))?), input))
    }

    /// Reads until the child has ended, and then what is there still. Its end of the pipe may stay open: a hook of its
    /// may have left a process behind that holds it.
    async fn read_until<T>(self, ended: impl Future<Output = T>) -> (T, String) {
        let mut said = Vec::new();
        let mut ended = pin!(ended);
        let result = loop {
            let readable = pin!(self.0.readable());
            match select(ended.as_mut(), readable).await {
                Either::Left((result, _)) => break result,
                Either::Right(_) => match self.read_into(&mut said) {
                    Err(err) if err.kind() == ErrorKind::WouldBlock => {}
                    Ok(read) if read > 0 => {}
                    // Nobody has the other end any more.
                    _ => break ended.await,
                },
            }
        };
        self.read_rest(&mut said);
        (result, String::from_utf8_lossy(&said).into_owned())
    }

    /// The kernel is asked: the runtime may not yet have heard that there is something.
    fn read_rest(&self, said: &mut Vec<u8>) {
        // No more than a pipe holds: what is left behind may write for ever.
        let mut chunk = vec![0; PIPE_BYTES];
        let mut left = PIPE_BYTES;
        while let Ok(read @ 1..) = nix::unistd::read(&self.0, &mut chunk[..left]) {
            said.extend_from_slice(&chunk[..read]);
            left -= read;
        }
    }

    fn read_into(&self, said: &mut Vec<u8>) -> std::io::Result<usize> {
        said.reserve(CHUNK_BYTES);
        self.0.try_read_buf(said)
    }
}

/// The log of one command, which goes with this value.
pub(super) struct Log(PathBuf);

impl Log {
    /// Of the command that takes away what a dead server has left.
    pub(super) fn of_deletion(bundle: &Path) -> Log {
        Log(bundle.join("log.delete.json"))
    }

    /// The flags by which runtimes are told of it.
    pub(super) fn flags(&self) -> [&OsStr; 4] {
        ["--log".as_ref(), self.0.as_os_str(), "--log-format".as_ref(), "json".as_ref()]
    }

    /// Whether the command has succeeded; else its last error.
    fn verdict(&self, ended: Exit) -> Result<(), Refusal> {
        match ended.status {
            0 => Ok(()),
            status => {
                let said = self.last_error();
                Err(Refusal::unknown(said.unwrap_or_else(|| format!("exit status {status}"))))
            }
        }
    }

    /// The last error in it: a record a line.
    pub(super) fn last_error(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Line {
            #[serde(default)]
            level: String,
            msg: String,
        }
        let mut text = String::new();
        std::fs::File::open(&self.0).ok()?.take(LOG_BYTES_MAX).read_to_string(&mut text).ok()?;
        let mut records = text.lines().rev().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        records.find(|record| record.level == "error").map(|record| record.msg)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// A file that goes with this value.
struct File(PathBuf);

impl File {
    fn new(path: PathBuf, text: &[u8]) -> Result<File, Refusal> {
        let written = std::fs::write(&path, text);
        let file = File(path);
        match written {
            Ok(()) => Ok(file),
            Err(err) => {
                Err(Refusal::unknown(Error::io(format!("write({})", file.0.display()), &err).to_string()))
            }
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn read_pid(path: &Path) -> Result<i32, Refusal> {
    let pid = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    pid.filter(|pid| *pid > 0)
        .ok_or_else(|| Refusal::unknown(format!("the runtime has left no pid in {}", path.display())))
}
