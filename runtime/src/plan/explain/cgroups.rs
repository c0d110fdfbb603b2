//! How cgroups, units of systemd and groups of resctrl read.

use super::{Text, path, word};
use crate::plan::RdtGroup;
use crate::plan::cgroup::host::SystemdManager;
use crate::plan::cgroup::{self, Driver, OnFailure};

pub(super) fn made(cgroup: &cgroup::Plan) -> Vec<String> {
    let mut lines: Vec<String> = cgroup.dirs.iter().map(directory).collect();
    match &cgroup.driver {
        Driver::Own { enable, .. } if enable.is_empty() => {}
        Driver::Own { enable, .. } => lines.push(format!("controllers {}", enable.join(" "))),
        Driver::Caller => lines.push("the caller's".into()),
    }
    lines.extend(cgroup.before_enter.iter().map(write));
    lines
}

pub(super) fn directory(dir: &cgroup::Dir) -> String {
    let hint = if dir.optional { ", if it can be made" } else { "" };
    format!("cgroup {}{hint}", path(&dir.path))
}

pub(super) fn unit(unit: &cgroup::Unit) -> Text {
    let manager = manager(unit.manager);
    let around = if unit.is_scope { ", around the child" } else { "" };
    let moves = if unit.moves { ", which it moves there" } else { "" };
    let details = unit.properties.iter().map(|property| property.to_string()).collect();
    Text { what: format!("{} by {manager}{around}{moves}", word(&unit.name)), details }
}

pub(super) fn manager(manager: SystemdManager) -> &'static str {
    match manager {
        SystemdManager::System => "the system's manager",
        SystemdManager::User => "the user's manager",
    }
}

pub(super) fn made_rdt_group(group: &RdtGroup) -> String {
    let kind = if group.own { "" } else { ", or the one that is there, if its schemata are these" };
    format!("{}{kind}", path(&group.path))
}

pub(super) fn rdt_group(group: &RdtGroup) -> String {
    let monitor = group.monitor.as_deref().map(|at| format!(" and {}", path(at))).unwrap_or_default();
    format!("{}{monitor}", path(&group.path))
}

pub(super) fn write(write: &cgroup::Write) -> String {
    let above = write.must_exceed.map(|file| format!(", must exceed {file}")).unwrap_or_default();
    let otherwise = match &write.on_failure {
        OnFailure::Fail => String::new(),
        OnFailure::IgnoreMissing => ", if there is such a file".into(),
        OnFailure::Use(file, value) => format!(", else {file} = {value}"),
        OnFailure::RetryLast => ", again at the end if it doesn't fit yet".into(),
    };
    format!("{write}{above}{otherwise}")
}
