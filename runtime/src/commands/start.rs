//! `start`: lets the program of a created container run.

use super::{Invocation, caller};
use crate::cli::IdArgs;
use crate::error::Result;

/// Starts a container, and waits until it is ready if a service manager wants to hear of that.
pub(super) fn run(invocation: &Invocation, args: IdArgs) -> Result<u8> {
    let container = invocation.runtime()?.lock(&args.id)?;
    match caller::notify_socket() {
        Some(manager) => container.start_and_wait_until_ready(&manager)?,
        None => drop(container.start()?),
    }
    Ok(0)
}
