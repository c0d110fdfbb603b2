//! `run`

use super::Invocation;
use crate::cli::RunArgs;
use crate::error::{Error, Result};

/// Carries out `run`.
pub fn run(_invocation: &Invocation, _args: RunArgs) -> Result<u8> {
    Err(Error::internal("run: not built in"))
}
