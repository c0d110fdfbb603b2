//! `kill`: sends a signal.

use super::Invocation;
use super::which::for_each;
use crate::cli::KillArgs;
use crate::error::{Kind, Result};

/// Sends a signal to a container, or to several.
pub(super) fn run(invocation: &Invocation, args: KillArgs) -> Result<u8> {
    let runtime = invocation.runtime()?;
    for_each(&runtime, &args.which, |id| {
        let container = runtime.find(id)?;
        if !args.all {
            return container.signal(args.signal);
        }
        match container.signal_all(args.signal) {
            // A container without processes is what the caller of `kill --all` wants.
            Err(err) if err.kind() == Kind::WrongState => Ok(()),
            result => result,
        }
    })?;
    Ok(0)
}
