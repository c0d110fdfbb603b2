//! `pause` and `resume`: freezes all processes of a container, and lets them go on.

use super::Invocation;
use crate::cli::IdArgs;
use crate::error::Result;

/// Freezes a container.
pub(super) fn run(invocation: &Invocation, args: IdArgs) -> Result<u8> {
    invocation.runtime()?.lock(&args.id)?.pause().map(|()| 0)
}

/// Lets a frozen container go on.
pub(super) fn resume(invocation: &Invocation, args: IdArgs) -> Result<u8> {
    invocation.runtime()?.lock(&args.id)?.resume().map(|()| 0)
}
