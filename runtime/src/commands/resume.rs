//! `resume`: lets a paused container go on.

use super::{Container, Invocation};
use crate::cli::IdArgs;
use crate::error::{Error, Kind, Result};
use crate::state::Status;

/// Thaws a container.
pub fn run(invocation: &Invocation, args: IdArgs) -> Result<u8> {
    let (container, _lock) = Container::open_locked(&invocation.root()?, &args.id)?;
    resume(&container)?;
    Ok(0)
}

/// Thaws a container that the caller has locked.
///
/// Errors: WrongState unless it is paused.
pub fn resume(container: &Container) -> Result<()> {
    match container.status()? {
        Status::Paused => container.cgroup().thaw(),
        _ => Err(Error::new(Kind::WrongState, "container not paused")),
    }
}
