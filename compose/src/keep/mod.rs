//! The keeper: one small process beside each container, from before its first byte of output until its task is gone.
//!
//! The shim starts it as the container's logger. It writes the log, shows output to whoever attaches, probes health,
//! answers names, holds published ports, and sends for a restart when the container has ended. A file for each duty.
//! Its memory is what every container costs, so it has one thread, and speaks to containerd only when it must.

mod attach;
mod control;
mod dns;
mod from_model;
mod further;
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

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{close, dup2_stdout};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

pub use attach::socket as attach_socket;
pub use from_model::command as check_command;
pub use further::FurtherOutput;
pub use health::Status;
pub use log::{Mark as LogMark, path as log_path};
pub use restart::End;
pub use revive::revive;
pub use settings::{Check, Log, Settings};
pub use state::{Exit, State, given_up, not_started, settled, starting, stopped};

use crate::error::{Context, Error, Result};
use crate::net::handshake;
use crate::process::Process;
use attach::Clients;
use control::Keeper;
use log::Stream;
use output::Output;

/// What a keeper is started with: where output comes from, and who waits until it is ready.
pub struct HandedOver {
    outputs: [(Stream, PathBuf); 2],
    ready: Ready,
}

/// How a keeper says that the container may be created from now on.
#[derive(Clone, Copy)]
enum Ready {
    /// To a shim, by closing a descriptor of that number.
    Descriptor(i32),
    /// To a command, by closing its standard output.
    Stdout(Process),
}

/// How long a container whose command was killed may take until its hook comes. What containerd was asked for last is
/// undone or done by then.
const UNCLAIMED: Duration = Duration::from_secs(5);

impl HandedOver {
    /// By a shim: descriptors 3 and 4 to read from, and 5 to close.
    pub fn by_shim() -> HandedOver {
        let path = |descriptor| PathBuf::from(format!("/proc/self/fd/{descriptor}"));
        HandedOver {
            outputs: [(Stream::Stdout, path(3)), (Stream::Stderr, path(4))],
            ready: Ready::Descriptor(5),
        }
    }

    /// By a command whose user types to the container: a shim lets nobody type to what it starts a keeper for.
    pub fn by_command(stdout: &Path, stderr: &Path, command: Process) -> HandedOver {
        let outputs = [(Stream::Stdout, stdout.to_owned()), (Stream::Stderr, stderr.to_owned())];
        HandedOver { outputs, ready: Ready::Stdout(command) }
    }

    fn take(&self, output: &mut Output) -> Result<()> {
        self.outputs.iter().try_for_each(|(stream, path)| output.add(*stream, path))?;
        // What a shim has handed over was opened anew.
        match self.ready {
            Ready::Descriptor(_) => [3, 4].into_iter().try_for_each(close).at("the shim's descriptors"),
            Ready::Stdout(_) => Ok(()),
        }
    }

    /// Returns once nobody is left who would have a task made for this keeper. A shim that starts a keeper is about to.
    async fn is_left_alone(&self) {
        match self.ready {
            Ready::Descriptor(_) => std::future::pending().await,
            Ready::Stdout(command) => watch::end_of(command).await,
        }
        tokio::time::sleep(UNCLAIMED).await;
    }

    fn tell_ready(&self) -> Result<()> {
        match self.ready {
            Ready::Descriptor(descriptor) => close(descriptor).at("the shim's descriptors"),
            Ready::Stdout(_) => {
                let null = File::options().write(true).open("/dev/null").at("/dev/null")?;
                dup2_stdout(null).at("standard output")
            }
        }
    }
}

/// Keeps the container whose directory this is, until the shim says that its task is gone, or nobody is left who could
/// write.
pub fn run(container: &Path, handed_over: HandedOver) -> Result<()> {
    // Output may be secret, and whoever writes to a socket may be anybody else's program.
    umask(Mode::from_bits_truncate(0o077));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().at("keeper")?;
    let settings = Settings::load(container)?;
    LocalSet::new().block_on(&runtime, keep(container, settings, handed_over))
}

async fn keep(container: &Path, settings: Settings, handed_over: HandedOver) -> Result<()> {
    let mut told_to_end = signal(SignalKind::terminate()).at("SIGTERM")?;
    let (drain, drained) = oneshot::channel();
    let keeper = Keeper::new(container, settings, drain)?;
    let log = log::Log::open(log::path(container), keeper.settings.log.clone())?;
    let watchers = attach::listen(&attach::socket(&keeper.running))?;
    let hooks =
        UnixListener::from_std(attach::listen(&handshake::socket(&keeper.running))?).at("keeper.sock")?;
    let mut output = Output::to(log, Clients::of(watchers));
    handed_over.take(&mut output)?;
    let (end, ended) = oneshot::channel();
    let (dry, ran_dry) = oneshot::channel();
    let output = tokio::task::spawn_local(output.copy(drained, ended, dry));
    tokio::task::spawn_local(keeper.clone().listen(hooks));
    handed_over.tell_ready()?;

    let nothing_is_left = async {
        drop(ran_dry.await);
        keeper.has_ended().await;
    };
    // The pipes of a task that was never made have no writer, so they never end.
    let no_task_comes = async {
        handed_over.is_left_alone().await;
        if keeper.knows_init() {
            std::future::pending().await
        }
    };
    tokio::select! {
        _ = told_to_end.recv() => {}
        () = no_task_comes => {}
        // A shim that was killed tells nothing any more.
        () = nothing_is_left => {}
    }
    drop(end);
    output.await.map_err(|err| Error::new(err.to_string()))
}

/// Starts what deletes the task and, where one is due, makes the next. A process of its own, because the task is gone
/// only once this one is.
async fn send_for_restart(keeper: &Rc<Keeper>) {
    // The last reviver is still busy with the start of this very process. If that fails it ends this keeper, and tries
    // again.
    if let Some(last) = keeper.state().await.reviver {
        watch::end_of(last).await;
    }
    // It begins at its input's end: before, it is to be named in the state, which it changes afterwards.
    let mut reviver = Command::new("/proc/self/exe")
        .arg("revive")
        .arg(&keeper.container)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // The shim is the parent of those whose parent has gone, and containerd's restart monitor is there if all fails.
    let held_back = reviver.as_mut().ok().and_then(|child| child.stdin.take());
    let reviver = reviver.ok().and_then(|child| Process::of(child.id().try_into().ok()?));
    // Whose directory is gone has been removed.
    if keeper.running.exists() {
        drop(keeper.change(|state| (state.reviver, state.next_restart) = (reviver, None)).await);
    }
    drop(held_back);
}
