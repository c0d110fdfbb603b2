//! `create`

use super::Invocation;
use crate::cli::CreateArgs;
use crate::error::{Error, Result};

/// Carries out `create`.
pub fn run(_invocation: &Invocation, _args: CreateArgs) -> Result<u8> {
    Err(Error::internal("create: not built in"))
}
