//! Where a container is in its life, derived from facts, and the OCI state that tells of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::Record;

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` is at work.
    Creating,
    /// Init waits for `start`.
    Created,
    /// The container's program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Init has ended, or `create` died before it had made init.
    Stopped,
}

/// What the status follows from.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// `create` holds the container's lock and has recorded no process yet.
    pub being_created: bool,
    /// Init runs.
    pub init_alive: bool,
    /// The cgroup is frozen.
    pub frozen: bool,
    /// `exec.fifo` is there: no `start` has come.
    pub fifo: bool,
}

impl Status {
    /// The status that the facts amount to.
    pub fn of(facts: Facts) -> Status {
        match facts {
            Facts { being_created: true, .. } => Status::Creating,
            Facts { init_alive: false, .. } => Status::Stopped,
            Facts { frozen: true, .. } => Status::Paused,
            Facts { fifo: true, .. } => Status::Created,
            _ => Status::Running,
        }
    }

    /// The word of the runtime specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state as the runtime specification has it: what a hook reads on its standard input, and what goes with a
/// seccomp notify fd.
#[derive(Debug, Serialize)]
pub struct OciState<'a> {
    /// The version of the specification that the container's config.json follows.
    #[serde(rename = "ociVersion")]
    pub oci_version: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// Where the container is in its life.
    pub status: Status,
    /// Init, as the host numbers it; left out when there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub pid: i32,
    /// The bundle's directory.
    pub bundle: &'a Path,
    /// The annotations of config.json.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: &'a BTreeMap<String, String>,
}

impl<'a> OciState<'a> {
    /// The state of the container of `record`.
    pub fn of(record: &'a Record, status: Status) -> Self {
        OciState {
            oci_version: &record.oci_version,
            id: &record.id,
            status,
            pid: if status == Status::Stopped { 0 } else { record.init_process_pid },
            bundle: &record.bundle,
            annotations: &record.annotations,
        }
    }

    /// The state as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // Never fails: only a path that isn't UTF-8 could, and no record has a bundle with such a path.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: Facts = Facts { being_created: false, init_alive: true, frozen: false, fifo: false };

    #[test]
    fn status_follows_from_the_facts() {
        assert_eq!(Status::of(RUNNING), Status::Running);
        assert_eq!(Status::of(Facts { fifo: true, ..RUNNING }), Status::Created);
        assert_eq!(Status::of(Facts { frozen: true, ..RUNNING }), Status::Paused);
        assert_eq!(Status::of(Facts { frozen: true, fifo: true, ..RUNNING }), Status::Paused);
        assert_eq!(
            Status::of(Facts { init_alive: false, fifo: true, frozen: true, ..RUNNING }),
            Status::Stopped
        );
        assert_eq!(Status::of(Facts { being_created: true, init_alive: false, ..RUNNING }), Status::Creating);
    }
}
