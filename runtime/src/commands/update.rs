//! `update`: changes the limits of a container.

use std::fs::File;
use std::io::Read;

use oci_spec::runtime::LinuxResources;
use serde_json::Value;

use super::container::not_running;
use super::{Container, Invocation};
use crate::cli::{UpdateArgs, UpdateSource};
use crate::error::{Context, Error, Result};
use crate::plan::cgroup::decide_update;
use crate::probe;
use crate::spec;
use crate::state::Status;

/// A description of limits is a few hundred bytes.
const RESOURCES_SIZE_MAX: u64 = 1 << 20;

/// Changes the limits of a container.
pub fn run(invocation: &Invocation, args: UpdateArgs) -> Result<u8> {
    let resources = match args.source {
        UpdateSource::Flags(resources) => *resources,
        UpdateSource::Stdin => read(std::io::stdin().lock()).doing("standard input (--resources -)")?,
        UpdateSource::File(path) => File::open(&path)
            .map_err(|err| Error::io("open", &err))
            .and_then(read)
            .doing_with(|| format!("{} (--resources)", path.display()))?,
    };
    let (container, _lock) = Container::open_locked(&invocation.root()?, &args.id)?;
    update(&container, &resources)?;
    Ok(0)
}

/// Changes the limits of a container that the caller has locked; limits that `resources` doesn't name stay, and so
/// do the devices.
///
/// Errors: WrongState if it has stopped; nothing has changed if a limit makes no sense.
pub fn update(container: &Container, resources: &LinuxResources) -> Result<()> {
    if matches!(container.status()?, Status::Stopped | Status::Creating) {
        return Err(not_running());
    }
    let writes = decide_update(&container.record.cgroup_paths, resources, &probe::cgroups()?)?;
    container.cgroup().update(&writes)
}

fn read(from: impl Read) -> Result<LinuxResources> {
    let mut json = Vec::new();
    from.take(RESOURCES_SIZE_MAX + 1).read_to_end(&mut json).map_err(|err| Error::io("read", &err))?;
    if json.len() as u64 > RESOURCES_SIZE_MAX {
        return Err(Error::invalid(format!("longer than {RESOURCES_SIZE_MAX} bytes")));
    }
    parse(&json)
}

fn parse(json: &[u8]) -> Result<LinuxResources> {
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
        let resources = parse(docker).expect("resources");
        assert_eq!(resources.memory().as_ref().and_then(|memory| memory.limit()), Some(64 << 20));
        assert!(resources.pids().is_none());
        let resources = parse(br#"{"pids":{"limit":5}}"#).expect("resources");
        assert_eq!(resources.pids().as_ref().map(|pids| pids.limit()), Some(5));
    }

    #[test]
    fn fault_names_the_field() {
        let err = parse(br#"{"cpu":{"shares":"many"}}"#).expect_err("a string").to_string();
        assert!(err.starts_with("cpu.shares: "), "{err}");
        assert!(parse(b"").is_err());
        assert!(read(std::io::repeat(b' ')).expect_err("endless").to_string().starts_with("longer than"));
    }
}
