//! `delete`: takes away all that is left of a container.

use super::Invocation;
use super::which::for_each;
use crate::cli::DeleteArgs;
use crate::error::{Kind, Result};

/// Deletes a container, or several.
pub(super) fn run(invocation: &Invocation, args: DeleteArgs) -> Result<u8> {
    let runtime = invocation.runtime()?;
    for_each(&runtime, &args.which, |id| {
        let warnings = if args.force {
            match runtime.delete_by_force(id) {
                Err(err) if err.kind() == Kind::NotFound => return Ok(()),
                result => result?,
            }
        } else {
            runtime.delete(id)?
        };
        invocation.report.warnings(&warnings);
        Ok(())
    })?;
    Ok(0)
}
