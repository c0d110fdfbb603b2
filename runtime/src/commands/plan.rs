//! `plan`

use super::Invocation;
use crate::cli::PlanArgs;
use crate::error::{Error, Result};

/// Carries out `plan`.
pub fn run(_invocation: &Invocation, _args: PlanArgs) -> Result<u8> {
    Err(Error::internal("plan: not built in"))
}
