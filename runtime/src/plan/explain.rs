//! A plan as text: what would be done, in order, by whom, and which field of config.json asked for it.

use std::fmt::Write;

use super::mounts::{FilesystemMount, MountSource};
use super::{Action, Actor, Affinity, IdMap, Mount, Plan, Stage, Step, Undo, seccomp};
use crate::sys::credentials::capability_names;
use crate::sys::namespace::flag_names;

pub(super) fn plan(plan: &Plan) -> String {
    let mut text = format!("container {}\n  bundle {}\n", plan.request.id, plan.request.bundle.display());
    let mut actor = None;
    for step in &plan.steps {
        let now = step.stage().actor();
        if actor != Some(now) {
            text.push_str(match now {
                Actor::Supervisor => "\nsupervisor\n",
                Actor::Init => "\ninit\n",
            });
            actor = Some(now);
        }
        line(&mut text, step);
        if step.stage() == Stage::CreateCgroup {
            detail(&mut text, plan.cgroup.dirs.iter().map(ToString::to_string));
        }
        if matches!(
            step.stage(),
            Stage::InstallSeccomp | Stage::InstallSeccompListener | Stage::InstallSeccompLast
        ) {
            detail(&mut text, plan.seccomp.iter().map(filter));
        }
        if step.stage() == Stage::RestrictDevices {
            detail(&mut text, std::iter::once(plan.cgroup.devices.to_string()));
        }
        if step.stage() == Stage::LimitCgroup {
            detail(&mut text, plan.cgroup.writes.iter().map(ToString::to_string));
        }
    }
    if !plan.notes.is_empty() {
        text.push_str("\npassed over\n");
        detail(&mut text, plan.notes.iter().cloned());
    }
    text
}

/// The steps of `exec`: all are init's but what stands in the table as the supervisor's.
pub(super) fn exec(steps: &[Step]) -> String {
    let mut text = String::from("process that joins\n");
    steps.iter().for_each(|step| line(&mut text, step));
    text
}

fn filter(filter: &seccomp::Filter) -> String {
    let listener = filter.listener.as_ref().map(|to| format!(", listener to {}", to.path.display()));
    format!("{} instructions, flags {}{}", filter.program.len(), filter.flags, listener.unwrap_or_default())
}

fn line(text: &mut String, step: &Step) {
    let mut line = format!("  {:<26} {}", step.stage().name(), what(&step.action));
    if !step.field.is_empty() {
        line = format!("{line:<90}  # {}", step.field);
    }
    let undo = match step.stage().undo() {
        Undo::Nothing => "",
        Undo::RemoveStateDirectory => "  (undo: remove the state directory)",
        Undo::RemoveCgroup => "  (undo: kill what is in it, remove it)",
        Undo::KillInit => "  (undo: kill init)",
        Undo::RemovePidFile => "  (undo: remove the pid file)",
    };
    let _infallible = writeln!(text, "{}{undo}", line.trim_end());
}

fn detail(text: &mut String, lines: impl Iterator<Item = String>) {
    for line in lines {
        text.push_str("      ");
        text.push_str(&line);
        text.push('\n');
    }
}

/// What a step does, in a few words.
pub(super) fn what(action: &Action) -> String {
    match action {
        Action::OpenNamespace(joined) => format!("{} at {}", joined.namespace.name(), joined.path.display()),
        Action::BuildMount(mount) | Action::Mount(mount) => self::mount(mount),
        Action::NewTimeNamespace(offsets) => offsets
            .iter()
            .map(|offset| format!("{} {}s {}ns", offset.clock, offset.seconds, offset.nanoseconds))
            .collect::<Vec<_>>()
            .join(", "),
        Action::CloneInit(flags) | Action::UnshareFirst(flags) | Action::UnshareNamespaces(flags) => {
            flag_names(*flags)
        }
        Action::EnterCgroup(affinity) => cpus(affinity),
        Action::MapIds { uids, gids } => format!("uids {}; gids {}", maps(uids), maps(gids)),
        Action::AdjustOomScore(score) => score.to_string(),
        Action::JoinKeyring(name) | Action::SetHostname(name) | Action::SetDomainname(name) => name.clone(),
        Action::SetApparmorProfile(label) | Action::SetSelinuxLabel(label) => label.clone(),
        Action::SetPropagation(change) | Action::SetRootPropagation(change) => {
            format!("{:?}{}", change.propagation, if change.recursive { ", recursively" } else { "" })
                .to_lowercase()
        }
        Action::MakeDevice(device) => format!(
            "{} {}:{} mode {:o} owner {}:{} {:?}",
            device.path.display(),
            device.major,
            device.minor,
            device.mode,
            device.uid,
            device.gid,
            device.source
        )
        .to_lowercase(),
        Action::MakeDeviceLink { target, name } => format!("/dev/{name} → {target}"),
        Action::MakeWorkingDirectory(path)
        | Action::EnterWorkingDirectory(path)
        | Action::VerifyWorkingDirectory(path)
        | Action::SealMount(path)
        | Action::ProtectPath(path)
        | Action::MaskPath(path) => path.display().to_string(),
        Action::OpenConsole(Some((rows, columns))) => format!("{columns} columns, {rows} rows"),
        Action::RunRuntimeHooks(hooks) => {
            hooks.iter().map(|(_, hook)| hook.path().display().to_string()).collect::<Vec<_>>().join(", ")
        }
        Action::RunContainerHooks(hooks) | Action::RunStartHooks(hooks) => {
            hooks.iter().map(|hook| hook.path().display().to_string()).collect::<Vec<_>>().join(", ")
        }
        Action::WriteSysctl { path, value } => format!("{path} = {value}"),
        Action::MarkDescriptors { kept } => format!("all but the first {kept}"),
        Action::SetScheduler(attributes) => format!(
            "policy {} flags {:#x} nice {} priority {}",
            attributes.policy, attributes.flags, attributes.nice, attributes.priority
        ),
        Action::SetIoPriority { class, priority } => format!("class {class} priority {priority}"),
        Action::SetPersonality(domain) => format!("{domain:#x}"),
        Action::SetRlimits(limits) => limits
            .iter()
            .map(|limit| format!("{} {}:{}", limit.name, bound(limit.soft), bound(limit.hard)))
            .collect::<Vec<_>>()
            .join(", "),
        Action::LimitBoundingSet(mask) => capabilities(*mask),
        Action::ChangeUser(user) => {
            format!("uid {} gid {} groups {:?} umask {:03o}", user.uid, user.gid, user.groups, user.umask)
        }
        Action::SetCapabilities(sets) => format!(
            "effective {}; permitted {}; inheritable {}; ambient {}",
            capabilities(sets.effective),
            capabilities(sets.permitted),
            capabilities(sets.inheritable),
            capabilities(sets.ambient)
        ),
        Action::Execute(program) => {
            program.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

fn mount(mount: &Mount) -> String {
    let mut text = match &mount.source {
        MountSource::Bind { path, recursive } => {
            format!("{}bind of {}", if *recursive { "recursive " } else { "" }, path.display())
        }
        MountSource::Filesystem(filesystem) => self::filesystem(filesystem),
        MountSource::Remount(filesystem) => format!("change to {}", self::filesystem(filesystem)),
        MountSource::CgroupV1(cgroup) => {
            let names: Vec<&str> = cgroup.hierarchies.iter().map(|(name, _)| name.as_str()).collect();
            format!("cgroup v1 ({})", names.join(" "))
        }
    };
    let _infallible = write!(text, " on {}", mount.destination.display());
    for (attr, tree) in [(mount.attr, ""), (mount.recursive_attr, " for all below")] {
        if !attr.set.is_empty() {
            let _infallible = write!(text, " {}{tree}", attr.set);
        }
    }
    if mount.id_map.is_some() {
        text.push_str(" id-mapped");
    }
    text
}

fn filesystem(filesystem: &FilesystemMount) -> String {
    if filesystem.options.is_empty() {
        return filesystem.fstype.clone();
    }
    format!("{} ({})", filesystem.fstype, filesystem.options.join(","))
}

fn cpus(affinity: &Affinity) -> String {
    let list = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    match (list(&affinity.initial), list(&affinity.last)) {
        (initial, last) if initial.is_empty() && last.is_empty() => String::new(),
        (initial, last) => format!("CPUs {initial} before, {last} then"),
    }
}

fn maps(maps: &[IdMap]) -> String {
    let line = |map: &IdMap| format!("{}→{}+{}", map.container, map.host, map.size);
    maps.iter().map(line).collect::<Vec<_>>().join(" ")
}

fn capabilities(mask: u64) -> String {
    match capability_names(mask) {
        names if names.is_empty() => "none".into(),
        names if names.len() > 20 => format!("{} of them", names.len()),
        names => names.join(" ").replace("CAP_", "").to_lowercase(),
    }
}

fn bound(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".into() } else { limit.to_string() }
}
