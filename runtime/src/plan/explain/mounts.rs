//! How a mount reads.

use std::fmt::Write;

use super::{Text, list, mapping, path, propagation, word};
use crate::plan::IdMapSource;
use crate::plan::Mount;
use crate::plan::mount_options::AttrChange;
use crate::plan::mounts::{CgroupV1Mount, FilesystemMount, JoinedProcfs, MountSource};

pub(super) fn text(mount: &Mount) -> Text {
    let mut what = format!("{} on {}", self::source(&mount.source), path(&mount.destination));
    for (attr, tree) in [(mount.attr, ""), (mount.recursive_attr, " for all below")] {
        if !attr.set.is_empty() {
            let _infallible = write!(what, " {}{tree}", attr.set);
        }
    }
    if mount.id_map.is_some() {
        what.push_str(" id-mapped");
    }
    Text { what, details: mount_details(mount) }
}

fn source(source: &MountSource) -> String {
    match source {
        MountSource::Bind { path, recursive: true } => format!("recursive bind of {}", self::path(path)),
        MountSource::Bind { path, recursive: false } => format!("bind of {}", self::path(path)),
        MountSource::Filesystem(filesystem) => self::filesystem(filesystem),
        MountSource::Remount(filesystem) => format!("change to {}", self::filesystem(filesystem)),
        MountSource::CgroupV1(cgroup) => {
            format!("cgroup v1 ({})", list(&cgroup.hierarchies, " ", |(name, _)| name.clone()))
        }
    }
}

fn filesystem(filesystem: &FilesystemMount) -> String {
    let label = filesystem.label.as_ref().map(|label| format!("context={label}"));
    let options: Vec<&String> = filesystem.options.iter().chain(&label).collect();
    let mut text = word(&filesystem.fstype).into_owned();
    if !options.is_empty() {
        let _infallible = write!(text, " ({})", list(&options, ",", |option| word(option).into_owned()));
    }
    text
}

fn mount_details(mount: &Mount) -> Vec<String> {
    let mut lines = Vec::new();
    match &mount.source {
        MountSource::Filesystem(filesystem) | MountSource::Remount(filesystem) => {
            lines.extend(filesystem_details(filesystem));
        }
        MountSource::CgroupV1(cgroup) => lines.extend(hierarchies(cgroup)),
        MountSource::Bind { .. } => {}
    }
    lines.extend(cleared(mount.attr, ""));
    lines.extend(cleared(mount.recursive_attr, " for all below"));
    lines.extend(mount.id_map.as_ref().map(|(map, tree)| id_map(map, *tree)));
    lines.extend(mount.propagation.iter().map(|change| format!("then {}", propagation(*change))));
    let facts = [
        (mount.copy_up, "copies up what the mountpoint holds"),
        (mount.built_by_supervisor, "built by the supervisor"),
        (mount.sealed_later, "read-only in the end"),
        (mount.written_through, "sysctls and labels are written through it"),
    ];
    lines.extend(facts.iter().filter(|(holds, _)| *holds).map(|(_, text)| (*text).to_owned()));
    lines
}

fn filesystem_details(filesystem: &FilesystemMount) -> Vec<String> {
    let mut lines = Vec::new();
    if filesystem.source != filesystem.fstype {
        lines.push(format!("from {}", word(&filesystem.source)));
    }
    if filesystem.inherits_mode {
        lines.push("with the mode of its mountpoint".into());
    }
    if let Some(JoinedProcfs { in_user_namespace }) = filesystem.joined {
        let mounted = if in_user_namespace { ", mounted in the user namespace" } else { "" };
        lines.push(format!("of the pid namespace that is joined{mounted}"));
    }
    lines.extend(filesystem.instead.as_ref().map(|host| format!("or the host's {}", path(host))));
    lines
}

fn hierarchies(cgroup: &CgroupV1Mount) -> Vec<String> {
    let mounts =
        cgroup.hierarchies.iter().map(|(name, source)| format!("{} on {name}", self::source(source)));
    let links = cgroup.links.iter().map(|(link, target)| format!("link {link} → {target}"));
    mounts.chain(links).collect()
}

fn cleared(attr: AttrChange, tree: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if !attr.clear.is_empty() {
        lines.push(format!("takes {} back{tree}", attr.clear));
    }
    if !attr.clear_if_unlocked.is_empty() {
        lines.push(format!("loses {}{tree}, unless that is locked", attr.clear_if_unlocked));
    }
    lines
}

fn id_map(source: &IdMapSource, tree: bool) -> String {
    let depth = if tree { ", for all below too" } else { "" };
    match source {
        IdMapSource::Maps(mapping) => format!("id map {}{depth}", self::mapping(mapping)),
        IdMapSource::Namespace(at) => format!("id map of {}{depth}", path(at)),
    }
}
