//! `update`: other limits for a container.

use oci_spec::runtime::LinuxResources;

use super::{LockedContainer, not_running};
use crate::apply::cgroup::Cgroup;
use crate::apply::resctrl;
use crate::error::{Context, Error, Kind, Result};
use crate::plan;
use crate::plan::cgroup::{RecordedUnit, Write, decide_update};
use crate::probe;
use crate::spec;
use crate::state::Status;
use crate::systemd::Manager;

impl LockedContainer {
    /// Changes limits. A limit that `resources` doesn't name stays, and so do the devices.
    ///
    /// Errors: WrongState if the container has stopped; nothing has changed if a limit makes no sense.
    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        self.refuse_without_process()?;
        let paths = &self.container.record.cgroup_paths;
        let writes = decide_update(paths, resources, &probe::cgroups()?)?;
        let cgroup = self.container.cgroup();
        let Some(unit) = &self.container.record.systemd_unit else {
            return cgroup.update(&writes, || Ok(()));
        };
        // The kernel judges first.
        cgroup.update(&writes, || match change_unit(unit, &cgroup, &writes) {
            // A limit below what is in use has ended the container, and systemd has forgotten its unit.
            Err(_) if self.status().is_ok_and(|status| status == Status::Stopped) => Ok(()),
            result => result,
        })
    }

    /// Changes what the container's resctrl group gets of caches and of memory bandwidth; so do all containers that
    /// share the group. A schema that is empty stays.
    ///
    /// Errors: WrongState if the container has stopped, or has no such group.
    pub fn update_schemata(&self, schemata: &Schemata) -> Result<()> {
        let writes = plan::resctrl::decide_update(&schemata.l3_cache, &schemata.mem_bw)?;
        self.refuse_without_process()?;
        for (flag, lines) in writes {
            let Some(group) = self.container.record.rdt_group() else {
                let cause = format!("{flag}: the container has no resctrl group (linux.intelRdt)");
                return Err(Error::new(Kind::WrongState, cause));
            };
            resctrl::write_schemata(&group.path, lines).doing(flag)?;
        }
        Ok(())
    }

    fn refuse_without_process(&self) -> Result<()> {
        match self.status()? {
            Status::Stopped | Status::Creating => Err(not_running()),
            Status::Created | Status::Running | Status::Paused => Ok(()),
        }
    }
}

/// Tells systemd of limits that hold already, for it to keep them. It writes too, and not as exactly: it knows no
/// period without a quota. So all is written once more.
fn change_unit(unit: &RecordedUnit, cgroup: &Cgroup, writes: &[Write]) -> Result<()> {
    let in_force = cgroup.in_force(writes)?;
    if in_force.properties.is_empty() {
        return Ok(());
    }
    let set = Manager::connect(unit.manager)
        .and_then(|mut manager| manager.set_properties(&unit.name, &in_force.properties));
    set.doing_with(|| format!("change the unit {}", unit.name))?;
    cgroup.write_again(&in_force)
}

/// Shares of caches and of memory bandwidth, as lines of a resctrl group's `schemata`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schemata {
    /// Lines of the L3 cache: `L3:0=ff`.
    pub l3_cache: String,
    /// The line of the memory bandwidth: `MB:0=50`.
    pub mem_bw: String,
}

/// Limits as engines write them: the JSON of `linux.resources`.
///
/// Errors: InvalidSpec, naming the field.
pub fn resources_from_json(json: &[u8]) -> Result<LinuxResources> {
    spec::load_resources(json)
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

    #[test]
    fn null_and_an_object_without_members_change_nothing() {
        for text in ["null", "{}", r#"{"memory":null,"pids":{"limit":null}}"#] {
            let resources = resources_from_json(text.as_bytes()).expect("resources");
            assert!(resources.memory().is_none() && resources.pids().is_none(), "{text}");
        }
    }
}
