//! The server.

use corten::error::{Error, Result};

use crate::args::Args;

/// Serves a group of containers on descriptor 3 until none is left.
pub fn serve(_args: &Args) -> Result<()> {
    Err(Error::unsupported("the server is not built yet"))
}
