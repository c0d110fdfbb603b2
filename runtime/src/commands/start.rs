//! `start`: lets the program of a created container run.

use super::{Container, Invocation};
use crate::apply::hooks::{DefaultEnv, run_hooks};
use crate::apply::starting::{self, Started};
use crate::cli::IdArgs;
use crate::error::{Error, Kind, Result, best_effort};
use crate::state::{OciState, Status};

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
    match container.status_locked()? {
        Status::Created => {}
        Status::Stopped => return Err(starting::has_stopped()),
        Status::Running => return Err(wrong_state("cannot start an already running container")),
        status => return Err(wrong_state(format!("cannot start a container in the {status} state"))),
    }
    let started = starting::start(&container.dir)?;
    complete(container, started)
}

/// Waits until the program of a container that was just started is executed, and runs its poststart hooks.
///
/// Errors: Hook, and then the container is killed.
pub fn complete(container: &Container, started: Started) -> Result<()> {
    started.wait()?;
    run_poststart_hooks(container)
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

fn wrong_state(text: impl Into<String>) -> Error {
    Error::new(Kind::WrongState, text)
}
