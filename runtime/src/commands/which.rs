//! Commands for several containers.

use crate::cli::Which;
use crate::container::{ContainerId, Runtime};
use crate::error::{Context, Kind, Result};

/// Calls `act` for the named container, or for each container whose name matches. A failure doesn't keep `act` from the
/// next container.
///
/// Errors: the first failure.
pub(super) fn for_each(
    runtime: &Runtime,
    which: &Which,
    mut act: impl FnMut(&ContainerId) -> Result<()>,
) -> Result<()> {
    let regex = match which {
        Which::One(id) => return act(id),
        Which::Matching(regex) => regex,
    };
    let ids = match runtime.list() {
        Err(err) if err.kind() == Kind::NotFound => Vec::new(),
        ids => ids?,
    };
    let matching = ids.iter().map(|(id, _)| id).filter(|id| regex.is_match(id.as_str()));
    let mut first = Ok(());
    for id in matching {
        first = first.and(act(id).doing_with(|| id.to_string()));
    }
    first
}
