//! `state`: what the container is and where it is in its life, as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{Container, Invocation, print};
use crate::cli::IdArgs;
use crate::error::{Error, Result};
use crate::state::Status;

/// Prints the state of a container.
pub fn run(invocation: &Invocation, args: IdArgs) -> Result<u8> {
    let container = Container::open(&invocation.root()?, &args.id)?;
    let view = StateView::of(&container, container.status()?, "");
    let mut json = serde_json::to_vec_pretty(&view).map_err(|err| Error::internal(err.to_string()))?;
    json.push(b'\n');
    print(json)?;
    Ok(0)
}

/// A container as `state` and `list` show it: the specification's state with some fields of runc's, in its order.
#[derive(Debug, Serialize)]
pub struct StateView<'a> {
    #[serde(rename = "ociVersion")]
    oci_version: &'a str,
    pub(super) id: &'a str,
    /// 0 once the container has stopped.
    pub(super) pid: i32,
    pub(super) status: Status,
    pub(super) bundle: &'a Path,
    rootfs: &'a Path,
    pub(super) created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    /// The name of the user who created the container; `state` leaves it empty.
    pub(super) owner: &'a str,
}

impl<'a> StateView<'a> {
    /// The container at a moment when it has `status`.
    pub fn of(container: &'a Container, status: Status, owner: &'a str) -> Self {
        let record = &container.record;
        StateView {
            oci_version: &record.oci_version,
            id: &record.id,
            pid: if status == Status::Stopped { 0 } else { record.init_process_pid },
            status,
            bundle: &record.bundle,
            rootfs: &record.rootfs,
            created: &record.created,
            annotations: &record.annotations,
            owner,
        }
    }
}
