//! `update`: other limits for a container.

use oci_spec::runtime::LinuxResources;
use serde_json::Value;

use super::{LockedContainer, not_running};
use crate::error::{Error, Result};
use crate::plan::cgroup::decide_update;
use crate::probe;
use crate::spec;
use crate::state::Status;

impl LockedContainer {
    /// Changes limits. A limit that `resources` doesn't name stays, and so do the devices.
    ///
    /// Errors: WrongState if the container has stopped; nothing has changed if a limit makes no sense.
    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        if matches!(self.status()?, Status::Stopped | Status::Creating) {
            return Err(not_running());
        }
        let paths = &self.container.record.cgroup_paths;
        let writes = decide_update(paths, resources, &probe::cgroups()?)?;
        self.container.cgroup().update(&writes)
    }
}

/// Limits as engines write them: the JSON of `linux.resources`.
///
/// Errors: InvalidSpec, naming the field.
pub fn resources_from_json(json: &[u8]) -> Result<LinuxResources> {
    let invalid = |err: serde_json::Error| Error::invalid(err.to_string());
    let mut value: Value = serde_json::from_slice(json).map_err(invalid)?;
    if !spec::limits_pids(&value) {
        value.as_object_mut().map(|resources| resources.remove("pids"));
    }
    serde_path_to_error::deserialize(value).map_err(|err| Error::invalid(err.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_an_engine_are_read() {
        let docker = br#"{"memory":{"limit":67108864,"swap":-1},"cpu":{"shares":512},"pids":{},"unknown":1}"#;
        let resources = resources_from_json(docker).expect("resources");
        assert_eq!(resources.memory().as_ref().and_then(|memory| memory.limit()), Some(64 << 20));
        assert!(resources.pids().is_none());
        let resources = resources_from_json(br#"{"pids":{"limit":5}}"#).expect("resources");
        assert_eq!(resources.pids().as_ref().map(|pids| pids.limit()), Some(5));
    }

    #[test]
    fn fault_names_the_field() {
        let err = resources_from_json(br#"{"cpu":{"shares":"many"}}"#).expect_err("a string").to_string();
        assert!(err.starts_with("cpu.shares: "), "{err}");
        assert!(resources_from_json(b"").is_err());
    }
}
