//! `state`: what the container is and where it is in its life, as JSON.

use serde::Serialize;

use super::{Invocation, print};
use crate::cli::IdArgs;
use crate::container::State;
use crate::error::{Error, Result};

/// Prints the state of a container.
pub(super) fn run(invocation: &Invocation, args: IdArgs) -> Result<u8> {
    let container = invocation.runtime()?.find(&args.id)?;
    let view = StateView { state: container.state()?, owner: "" };
    let mut json = serde_json::to_vec_pretty(&view).map_err(|err| Error::internal(err.to_string()))?;
    json.push(b'\n');
    print(json)?;
    Ok(0)
}

/// A container as `state` and `list` show it.
#[derive(Serialize)]
pub(super) struct StateView<'a> {
    #[serde(flatten)]
    pub(super) state: State<'a>,
    /// The name of the user who created the container; `state` leaves it empty.
    pub(super) owner: &'a str,
}
