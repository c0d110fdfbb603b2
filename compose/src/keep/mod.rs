//! The keeper: one small process beside each container, from before its first byte of output until its task is gone.
//!
//! The shim starts it as the container's logger. It writes the log, shows output to whoever attaches, probes health,
//! answers names, holds published ports, and sends for a restart when the container has ended. A file for each duty.
//! Its memory is what every container costs, so it has one thread, and speaks to containerd only when it must.

mod attach;
mod control;
mod dns;
mod from_model;
mod health;
mod log;
mod names;
mod output;
mod ports;
mod probe;
mod restart;
mod revive;
mod settings;
mod state;
mod watch;

use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

use nix::sys::stat::{Mode, umask};
use nix::unistd::close;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

pub use attach::socket as attach_socket;
pub use from_model::command as check_command;
pub use health::{Health, ProbeResult, Status};
pub use log::path as log_path;
pub use restart::{History, Policy};
pub use revive::revive;
pub use settings::{Check, Log, Settings};
pub use state::{Exit, State, settled};

use crate::error::{Context, Error, Result};
use crate::net::handshake;
use attach::Clients;
use control::Keeper;
use log::Stream;
use output::Output;

/// What the shim hands over: the ends to read from of standard output and standard error, and one to close when ready.
mod handed_over {
    pub const STDOUT: i32 = 3;
    pub const STDERR: i32 = 4;
    pub const READY: i32 = 5;
}

/// Keeps the container whose directory this is, until the shim says that its task is gone, or nobody is left who could
/// write.
pub fn run(container: &Path) -> Result<()> {
    // Output may be secret, and whoever writes to a socket may be anybody else's program.
    umask(Mode::from_bits_truncate(0o077));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().at("keeper")?;
    let settings = Settings::load(container)?;
    LocalSet::new().block_on(&runtime, keep(container, settings))
}

async fn keep(container: &Path, settings: Settings) -> Result<()> {
    let mut told_to_end = signal(SignalKind::terminate()).at("SIGTERM")?;
    let (drain, drained) = oneshot::channel();
    let keeper = Keeper::new(container, settings, drain)?;
    let log = log::Log::open(log::path(container), keeper.settings.log.clone())?;
    let watchers = attach::listen(&attach::socket(&keeper.running))?;
    let hooks =
        UnixListener::from_std(attach::listen(&handshake::socket(&keeper.running))?).at("keeper.sock")?;
    let mut output = Output::to(log, Clients::of(watchers));
    output.add(Stream::Stdout, handed_over::STDOUT)?;
    output.add(Stream::Stderr, handed_over::STDERR)?;
    let (end, ended) = oneshot::channel();
    let (dry, ran_dry) = oneshot::channel();
    let output = tokio::task::spawn_local(output.copy(drained, ended, dry));
    tokio::task::spawn_local(keeper.clone().listen(hooks));
    // The container may be created from now on.
    close(handed_over::READY).at("descriptor 5")?;

    let nothing_is_left = async {
        drop(ran_dry.await);
        keeper.has_ended().await;
    };
    tokio::select! {
        _ = told_to_end.recv() => {}
        // A shim that was killed tells nothing any more.
        () = nothing_is_left => {}
    }
    drop(end);
    output.await.map_err(|err| Error::new(err.to_string()))
}

/// Starts what deletes the task and, where one is due, makes the next. A process of its own, because the task is gone
/// only once this one is.
fn send_for_restart(keeper: &Rc<Keeper>) {
    let program = Command::new("/proc/self/exe")
        .arg("revive")
        .arg(&keeper.container)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // The shim is the parent of those whose parent has gone, and containerd's restart monitor is there if all fails.
    drop(program);
}
