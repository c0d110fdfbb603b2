//! `pause`: freezes all processes of a container.

use super::container::not_running;
use super::{Container, Invocation};
use crate::cli::IdArgs;
use crate::error::Result;
use crate::state::Status;

/// Freezes a container.
pub fn run(invocation: &Invocation, args: IdArgs) -> Result<u8> {
    let (container, _lock) = Container::open_locked(&invocation.root()?, &args.id)?;
    pause(&container)?;
    Ok(0)
}

/// Freezes a container that the caller has locked.
///
/// Errors: WrongState unless it runs or waits to be started.
pub fn pause(container: &Container) -> Result<()> {
    match container.status()? {
        Status::Running | Status::Created => container.cgroup().freeze(),
        _ => Err(not_running()),
    }
}
