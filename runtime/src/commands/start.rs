//! `start`: lets the program of a created container run.

use std::os::fd::AsFd;
use std::time::Duration;

use super::{Container, Invocation};
use crate::apply::hooks::{DefaultEnv, run_hooks};
use crate::cli::IdArgs;
use crate::error::{Errno, Error, Kind, Result, best_effort};
use crate::state::{OciState, Status};
use crate::sys::clock::Deadline;
use crate::sys::socket;

/// How long `start` waits for init to execute the program before it returns all the same.
const EXECUTION_WAIT: Duration = Duration::from_secs(60);

/// Starts a container.
pub fn run(invocation: &Invocation, args: IdArgs) -> Result<u8> {
    let (container, _lock) = Container::open_locked(&invocation.root()?, &args.id)?;
    start(&container)?;
    Ok(0)
}

/// Starts a container that the caller has locked, and runs its poststart hooks.
///
/// Errors: WrongState unless it is in the created state; Hook, and then the container is killed.
pub fn start(container: &Container) -> Result<()> {
    match container.status()? {
        Status::Created => {}
        Status::Stopped => return Err(has_stopped()),
        Status::Running => return Err(wrong_state("cannot start an already running container")),
        status => return Err(wrong_state(format!("cannot start a container in the {status} state"))),
    }
    release_init(container)?;
    run_poststart_hooks(container)
}

/// Tells init, which waits at its end of the fifo, to execute the program.
///
/// The fifo goes first: whoever is killed between the two steps leaves a container that init, which sees the other
/// end close, gives up, and none that counts as created and can't be started.
fn release_init(container: &Container) -> Result<()> {
    let fifo = container.dir.open_fifo_for_start()?.ok_or_else(has_stopped)?;
    container.dir.remove_fifo()?;
    match nix::unistd::write(fifo.as_fd(), b"0") {
        // Init keeps its end until it executes the program; startContainer hooks may take their time.
        Ok(_) => socket::wait_until_unread(fifo.as_fd(), Deadline::after(EXECUTION_WAIT)),
        Err(Errno::EPIPE) => Err(has_stopped()),
        Err(errno) => Err(Error::kernel("write(exec.fifo)", errno)),
    }
}

fn run_poststart_hooks(container: &Container) -> Result<()> {
    if container.record.poststart.is_empty() {
        return Ok(());
    }
    let state = OciState::of(&container.record, Status::Running).to_json();
    run_hooks("poststart", &container.record.poststart, &state, DefaultEnv::Empty).inspect_err(|_| {
        best_effort(container.kill_and_wait(), "the hook's failure is what is reported");
    })
}

fn has_stopped() -> Error {
    wrong_state("cannot start a container that has stopped")
}

fn wrong_state(text: impl Into<String>) -> Error {
    Error::new(Kind::WrongState, text)
}
