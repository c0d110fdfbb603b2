//! `exec`

use super::Invocation;
use crate::cli::ExecArgs;
use crate::error::{Error, Result};

/// Carries out `exec`.
pub fn run(_invocation: &Invocation, _args: ExecArgs) -> Result<u8> {
    Err(Error::internal("exec: not built in"))
}
