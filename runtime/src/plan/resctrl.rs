//! The resctrl group of a container's processes (`linux.intelRdt`): the share of caches and of memory bandwidth that
//! they get.
//!
//! Source: config-linux.md, *IntelRdt*; Documentation/filesystems/resctrl.rst.

use std::path::{Path, PathBuf};

use super::{ForPreparer, ForSupervisor, Step};
use crate::error::{Error, Result};
use crate::spec::{Spec, oci};

const FIELD: &str = "linux.intelRdt";
/// The name of the group that every process is in by default: the top of the filesystem.
const DEFAULT_GROUP: &str = "/";
/// What stands beside the groups at the top of the filesystem.
const RESERVED: [&str; 3] = ["info", "mon_data", "mon_groups"];

/// Where in resctrl a container's processes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdtGroup {
    /// The group's directory.
    pub path: PathBuf,
    /// Whether the group is the container's own: `create` makes it, and `delete` removes it. A group that config.json
    /// names is shared, and stays.
    pub own: bool,
    /// The directory of the container's own monitoring group, below the group's.
    pub monitor: Option<PathBuf>,
}

/// The group of the container `id`, if the config asks for one. `resctrl` is where that filesystem is mounted.
pub(super) fn group(spec: &Spec, id: &str, resctrl: Option<&Path>) -> Result<Option<RdtGroup>> {
    let Some(asked) = asked(spec) else { return Ok(None) };
    let Some(top) = resctrl else {
        return Err(Error::unsupported(format!("{FIELD}: no resctrl filesystem is mounted")));
    };
    let path = match class(asked) {
        Some(DEFAULT_GROUP) => top.to_owned(),
        Some(name) => top.join(checked(name, "closID")?),
        None => top.join(checked(id, "closID (the container's id, since there is none)")?),
    };
    let monitored = asked.enable_monitoring().unwrap_or(false);
    let monitor = monitored.then(|| path.join("mon_groups").join(id));
    Ok(Some(RdtGroup { path, own: class(asked).is_none(), monitor }))
}

/// Makes the group, or looks whether it is what the config wants, and has init enter it.
pub(super) fn steps(spec: &Spec, group: Option<&RdtGroup>) -> Result<Vec<Step>> {
    let (Some(asked), Some(group)) = (asked(spec), group) else { return Ok(Vec::new()) };
    let schemata = schemata(asked)?;
    let mut steps = entering(group);
    // Without schemata, a group that has a name is one that somebody else has prepared.
    if group.own || !schemata.is_empty() {
        steps.push(Step::of(FIELD, ForSupervisor::MakeRdtGroup(group.clone())));
    }
    steps.extend(
        schemata
            .into_iter()
            .map(|(field, lines)| Step::of(format!("{FIELD}.{field}"), ForSupervisor::WriteSchemata(lines))),
    );
    if let Some(monitor) = &group.monitor {
        let field = format!("{FIELD}.enableMonitoring");
        steps.push(Step::of(field, ForSupervisor::MakeRdtMonitor(monitor.clone())));
    }
    Ok(steps)
}

/// Has a process enter a group that is there.
pub(super) fn entering(group: &RdtGroup) -> Vec<Step> {
    vec![
        Step::of(FIELD, ForSupervisor::OpenRdtGroup(group.clone())),
        Step::of(FIELD, ForPreparer::EnterRdtGroup),
    ]
}

/// The lines that `update` writes, each text under the name of its flag.
pub fn decide_update<'a>(l3_cache: &'a str, mem_bw: &'a str) -> Result<Vec<(&'static str, &'a str)>> {
    let schemata = [("--l3-cache-schema", l3_cache_schema(l3_cache)), ("--mem-bw-schema", mem_bw)];
    if !mem_bw.is_empty() {
        mem_bw_schema(mem_bw, "--mem-bw-schema")?;
    }
    Ok(schemata.into_iter().filter(|(_, lines)| !lines.is_empty()).collect())
}

fn asked(spec: &Spec) -> Option<&oci::LinuxIntelRdt> {
    spec.linux()?.intel_rdt().as_ref()
}

fn class(asked: &oci::LinuxIntelRdt) -> Option<&str> {
    asked.clos_id().as_deref().filter(|name| !name.is_empty())
}

/// A name that a group can have.
fn checked<'a>(name: &'a str, field: &str) -> Result<&'a str> {
    if name.contains(['/', '\n']) || matches!(name, "." | "..") || RESERVED.contains(&name) {
        return Err(Error::invalid(format!("{FIELD}.{field}: no resctrl group can be called {name:?}")));
    }
    Ok(name)
}

/// What is written, in the order of the specification: each text with its field.
fn schemata(asked: &oci::LinuxIntelRdt) -> Result<Vec<(&'static str, String)>> {
    let l3_cache = l3_cache_schema(asked.l3_cache_schema().as_deref().unwrap_or_default());
    let mem_bw = asked.mem_bw_schema().as_deref().unwrap_or_default();
    if !mem_bw.is_empty() {
        mem_bw_schema(mem_bw, &format!("{FIELD}.memBwSchema"))?;
    }
    let lines = asked.schemata().as_deref().unwrap_or_default();
    if let Some(at) = lines.iter().position(|line| line.contains('\n')) {
        return Err(Error::invalid(format!("{FIELD}.schemata[{at}]: {:?} is not one line", lines[at])));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.is_empty()).collect();
    let texts =
        [("l3CacheSchema", l3_cache.into()), ("memBwSchema", mem_bw.into()), ("schemata", lines.join("\n"))];
    Ok(texts.into_iter().filter(|(_, text): &(_, String)| !text.is_empty()).collect())
}

/// The specification leaves it open whether the field has several lines: code and data may each have their own.
fn l3_cache_schema(lines: &str) -> &str {
    lines.trim_end_matches('\n')
}

fn mem_bw_schema(line: &str, field: &str) -> Result<()> {
    if line.contains('\n') || !line.starts_with("MB:") {
        return Err(Error::invalid(format!("{field}: {line:?} is not one line that begins with MB:")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, order};

    const TOP: &str = "/sys/fs/resctrl";

    fn planned(asked: &str) -> Result<(Option<RdtGroup>, Vec<String>)> {
        planned_for("web1", asked, Some(Path::new(TOP)))
    }

    fn planned_for(id: &str, asked: &str, top: Option<&Path>) -> Result<(Option<RdtGroup>, Vec<String>)> {
        let config = format!(
            r#"{{"ociVersion":"1.3.0","root":{{"path":"r"}},"process":{{"cwd":"/","args":["a"]}},
                "linux":{{"namespaces":[{{"type":"mount"}}],"intelRdt":{asked}}}}}"#
        );
        let spec = Spec::load(config.as_bytes()).unwrap();
        let group = group(&spec, id, top)?;
        let steps = order::sorted(steps(&spec, group.as_ref())?);
        let said = steps.iter().map(|step| match &step.action {
            Action::Supervisor(ForSupervisor::WriteSchemata(lines)) => format!("{}={lines}", step.field),
            action => action.stage().name().to_owned(),
        });
        Ok((group, said.collect()))
    }

    fn group_of(asked: &str) -> RdtGroup {
        planned(asked).unwrap().0.unwrap()
    }

    #[test]
    fn without_the_field_there_is_no_group_and_nothing_to_know_of_the_host() {
        assert_eq!(planned_for("web1", "null", None).unwrap(), (None, vec![]));
    }

    #[test]
    fn without_resctrl_the_field_is_refused_even_if_it_is_empty() {
        let err = planned_for("web1", "{}", None).unwrap_err();
        assert_eq!(err.to_string(), "linux.intelRdt: no resctrl filesystem is mounted");
    }

    #[test]
    fn without_a_class_the_group_is_the_containers_own() {
        for asked in [
            "{}",
            r#"{"closID":null}"#,
            r#"{"closID":"","l3CacheSchema":"","memBwSchema":null,"schemata":["",""]}"#,
            r#"{"schemata":[],"enableMonitoring":false,"enableCMT":true,"enableMBM":true}"#,
        ] {
            let (group, steps) = planned(asked).unwrap();
            let own = RdtGroup { path: "/sys/fs/resctrl/web1".into(), own: true, monitor: None };
            assert_eq!(group, Some(own), "{asked}");
            assert_eq!(steps, ["make-rdt-group", "open-rdt-group", "enter-rdt-group"], "{asked}");
        }
    }

    #[test]
    fn a_class_without_schemata_is_there_already() {
        let (group, steps) = planned(r#"{"closID":"gold"}"#).unwrap();
        let shared = RdtGroup { path: "/sys/fs/resctrl/gold".into(), own: false, monitor: None };
        assert_eq!(group, Some(shared));
        assert_eq!(steps, ["open-rdt-group", "enter-rdt-group"]);
        assert_eq!(group_of(r#"{"closID":"/"}"#).path, Path::new(TOP));
    }

    #[test]
    fn schemata_are_written_in_the_order_of_the_specification() {
        let asked = r#"{"closID":"gold","schemata":["L3:0=3","L2:0=1"],"memBwSchema":"MB:0=20",
            "l3CacheSchema":"L3CODE:0=f\nL3DATA:0=f\n","enableMonitoring":true}"#;
        let expected = [
            "make-rdt-group",
            "linux.intelRdt.l3CacheSchema=L3CODE:0=f\nL3DATA:0=f",
            "linux.intelRdt.memBwSchema=MB:0=20",
            "linux.intelRdt.schemata=L3:0=3\nL2:0=1",
            "make-rdt-monitor",
            "open-rdt-group",
            "enter-rdt-group",
        ];
        assert_eq!(planned(asked).unwrap().1, expected);
        let monitor = group_of(asked).monitor.unwrap();
        assert_eq!(monitor, Path::new("/sys/fs/resctrl/gold/mon_groups/web1"));
    }

    #[test]
    fn a_name_that_is_no_group_is_refused() {
        for name in [".", "..", "a/b", "/a", "//", "a\\n", "info", "mon_groups", "mon_data"] {
            let err = planned(&format!(r#"{{"closID":"{name}"}}"#)).unwrap_err().to_string();
            assert!(err.starts_with("linux.intelRdt.closID: no resctrl group"), "{name}: {err}");
        }
        let err = planned_for("info", "{}", Some(Path::new(TOP))).unwrap_err().to_string();
        assert!(err.contains("the container's id"), "{err}");
    }

    #[test]
    fn no_field_brings_a_line_in_that_belongs_to_another() {
        for (asked, field) in [
            (r#"{"memBwSchema":"MB:0=1\nL3:0=f"}"#, "memBwSchema"),
            (r#"{"memBwSchema":"L3:0=f"}"#, "memBwSchema"),
            (r#"{"schemata":["L3:0=f","L2:0=1\nMB:0=1"]}"#, "schemata[1]"),
        ] {
            let err = planned(asked).unwrap_err().to_string();
            assert!(err.starts_with(&format!("linux.intelRdt.{field}: ")), "{err}");
        }
    }

    #[test]
    fn update_writes_what_it_is_given() {
        assert_eq!(decide_update("", "").unwrap(), []);
        let both = [("--l3-cache-schema", "L3:0=f"), ("--mem-bw-schema", "MB:0=10")];
        assert_eq!(decide_update("L3:0=f", "MB:0=10").unwrap(), both);
        assert!(decide_update("", "L3:0=f").unwrap_err().to_string().starts_with("--mem-bw-schema: "));
    }
}
