//! `start`: lets the program of a created container run.

use std::ffi::OsStr;

use super::create::notify_socket;
use super::{Container, Invocation};
use crate::apply::hooks::{DefaultEnv, run_hooks};
use crate::apply::readiness::Readiness;
use crate::apply::starting::{self, Started};
use crate::cli::IdArgs;
use crate::error::{Error, Kind, Result, best_effort};
use crate::state::{Lock, OciState, Status};

/// Starts a container.
pub fn run(invocation: &Invocation, args: IdArgs) -> Result<u8> {
    let (container, lock) = Container::open_locked(&invocation.root()?, &args.id)?;
    match notify_socket() {
        Some(address) => start_and_wait_until_ready(&container, lock, &address)?,
        None => start(&container)?,
    }
    Ok(0)
}

/// Starts a container, and returns when the service manager at `address` has been told that it is ready, or when it has
/// ended.
///
/// Errors: as [`start`]; and if the manager can't be told, as in runc, the container running nevertheless.
fn start_and_wait_until_ready(container: &Container, lock: Lock, address: &OsStr) -> Result<()> {
    check_created(container)?;
    let socket = container.dir.bind_notify_socket()?;
    let init = container.record.init()?.ok_or_else(starting::has_stopped)?;
    complete(container, starting::start(&container.dir)?)?;
    // Whoever looks at the container, or ends it, while it is getting ready, finds it unlocked.
    drop(lock);
    Readiness::of(socket, address, container.record.init_process_pid.unsigned_abs())?.settle(&init)
}

/// Starts a container that the caller has locked, and runs its poststart hooks.
///
/// Errors: WrongState unless it is in the created state; Hook, and then the container is killed.
pub fn start(container: &Container) -> Result<()> {
    check_created(container)?;
    complete(container, starting::start(&container.dir)?)
}

fn check_created(container: &Container) -> Result<()> {
    match container.status_locked()? {
        Status::Created => Ok(()),
        Status::Stopped => Err(starting::has_stopped()),
        Status::Running => Err(wrong_state("cannot start an already running container")),
        status => Err(wrong_state(format!("cannot start a container in the {status} state"))),
    }
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
