//! `state`: what a container is and where it is in its life.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::Container;
use crate::error::Result;
use crate::state::Status;

/// A container at one moment: the specification's state with some fields of runc's, in runc's order.
#[derive(Clone, Debug, Serialize)]
pub struct State<'a> {
    /// The version of the specification that its config.json follows.
    #[serde(rename = "ociVersion")]
    pub oci_version: &'a str,
    /// Its name.
    pub id: &'a str,
    /// Its init, as the caller's pid namespace numbers it; 0 once it has stopped.
    pub pid: i32,
    /// Where it is in its life.
    pub status: Status,
    /// The bundle's directory.
    pub bundle: &'a Path,
    /// The root filesystem.
    pub rootfs: &'a Path,
    /// When it was created, as RFC 3339 text.
    pub created: &'a str,
    /// The annotations of its config.json.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: &'a BTreeMap<String, String>,
}

impl Container {
    /// What it is, and where it is in its life.
    pub fn state(&self) -> Result<State<'_>> {
        let record = &self.record;
        let status = self.status()?;
        Ok(State {
            oci_version: &record.oci_version,
            id: &record.id,
            pid: if status == Status::Stopped { 0 } else { record.init_process_pid },
            status,
            bundle: &record.bundle,
            rootfs: &record.rootfs,
            created: &record.created,
            annotations: &record.annotations,
        })
    }
}
