//! `features`: what this build of the runtime can do.

use super::print;
use crate::container;
use crate::error::Result;

/// Prints the features, and nothing else on any stream: CRI-O parses standard output and standard error as a single
/// text.
pub(super) fn run() -> Result<u8> {
    print(container::features()?)?;
    Ok(0)
}
