//! What the types can't say: the rules of the OCI spec and of the kernel that a config must keep.
//!
//! One function per part of the config, each naming the field that breaks a rule.

use std::collections::BTreeSet;

use super::{HookKind, Namespace, Namespaces, oci};
use crate::error::{Error, Result};

/// (uid_t)-1 means "no change" to the kernel, so it can't be an id.
const NO_ID: u32 = u32::MAX;

pub(super) fn config(spec: &oci::Spec, namespaces: &Namespaces) -> Result<()> {
    version(spec.version())?;
    match spec.root() {
        None => return Err(Error::invalid("root: is missing")),
        Some(root) if root.path().as_os_str().is_empty() => {
            return Err(Error::invalid("root.path: is empty"));
        }
        Some(_) => {}
    }
    names(spec, namespaces)?;
    if let Some(process) = spec.process() {
        self::process(process, "process.")?;
    }
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        self::mount(mount, index)?;
    }
    if let Some(linux) = spec.linux() {
        self::linux(linux, namespaces)?;
    }
    hooks(spec)
}

fn version(version: &str) -> Result<()> {
    let major = version.split('.').next().unwrap_or_default();
    // Go's callers may leave it out, and runc doesn't ask.
    if major == "1" || version.is_empty() || version.starts_with("0.") {
        return Ok(());
    }
    Err(Error::invalid(format!("ociVersion: {version:?} is no version 1 of the runtime spec")))
}

fn names(spec: &oci::Spec, namespaces: &Namespaces) -> Result<()> {
    let named = |name: &Option<String>| name.as_ref().is_some_and(|name| !name.is_empty());
    for (field, value) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
        if named(value) && !namespaces.is_private(Namespace::Uts) {
            return Err(Error::invalid(format!("{field}: needs a uts namespace of the container's own")));
        }
    }
    Ok(())
}

/// `at` is the path of the process: `process.` in config.json, empty in process.json.
pub(super) fn process(process: &oci::Process, at: &str) -> Result<()> {
    if !process.cwd().is_absolute() {
        return Err(Error::invalid(format!("{at}cwd: {:?} is not an absolute path", process.cwd())));
    }
    let user = process.user();
    id(user.uid(), &format!("{at}user.uid"))?;
    id(user.gid(), &format!("{at}user.gid"))?;
    for (index, gid) in user.additional_gids().iter().flatten().enumerate() {
        id(*gid, &format!("{at}user.additionalGids[{index}]"))?;
    }
    if let Some(umask) = user.umask().filter(|umask| *umask > 0o7777) {
        return Err(Error::invalid(format!("{at}user.umask: {umask:#o} has bits that no mode has")));
    }
    let mut seen = BTreeSet::new();
    for (index, rlimit) in process.rlimits().iter().flatten().enumerate() {
        if !seen.insert(rlimit.typ().to_string()) {
            return Err(Error::invalid(format!("{at}rlimits[{index}]: {} is listed twice", rlimit.typ())));
        }
        if rlimit.soft() > rlimit.hard() {
            return Err(Error::invalid(format!(
                "{at}rlimits[{index}]: the soft limit is above the hard one"
            )));
        }
    }
    no_nul(process.args().iter().flatten(), &format!("{at}args"))?;
    no_nul(process.env().iter().flatten(), &format!("{at}env"))?;
    env(process.env().iter().flatten(), &format!("{at}env"))?;
    if let Some(priority) = process.io_priority().as_ref().map(|io| io.priority()) {
        if !(0..=7).contains(&priority) {
            return Err(Error::invalid(format!("{at}ioPriority.priority: {priority} is not in 0 to 7")));
        }
    }
    if let Some(adjust) = process.oom_score_adj().filter(|adjust| !(-1000..=1000).contains(adjust)) {
        return Err(Error::invalid(format!("{at}oomScoreAdj: {adjust} is not in -1000 to 1000")));
    }
    scheduler(process, at)
}

/// The kernel makes nothing ambient that isn't permitted and inheritable. runc and crun go on, and buildah relies on
/// it: it makes nothing inheritable.
pub(super) fn ambient_out_of_reach(process: &oci::Process) -> Vec<String> {
    let Some(sets) = process.capabilities() else { return Vec::new() };
    let has = |set: &Option<oci::Capabilities>, wanted| set.as_ref().is_some_and(|set| set.contains(wanted));
    let ambient = sets.ambient().iter().flatten();
    let mut warnings: Vec<String> = ambient
        .filter(|wanted| !has(sets.permitted(), wanted) || !has(sets.inheritable(), wanted))
        .map(|wanted| {
            format!(
                "process.capabilities.ambient: can't raise ambient capability CAP_{wanted}: \
                 it is not both permitted and inheritable"
            )
        })
        .collect();
    // A set has no order, and what is said of it is the same each time.
    warnings.sort();
    warnings
}

fn scheduler(process: &oci::Process, at: &str) -> Result<()> {
    use oci::LinuxSchedulerPolicy as Policy;
    let Some(scheduler) = process.scheduler() else { return Ok(()) };
    let (policy, at) = (scheduler.policy(), format!("{at}scheduler"));
    if let Some(nice) = scheduler.nice().filter(|nice| !(-20..=19).contains(nice)) {
        return Err(Error::invalid(format!("{at}.nice: {nice} is not in -20 to 19")));
    }
    let priority = scheduler.priority().unwrap_or(0);
    if priority != 0 && !matches!(policy, Policy::SchedFifo | Policy::SchedRr) {
        return Err(Error::invalid(format!("{at}.priority: only SCHED_FIFO and SCHED_RR have one")));
    }
    let deadline = [*scheduler.runtime(), *scheduler.deadline(), *scheduler.period()];
    if deadline.iter().flatten().any(|ns| *ns != 0) && !matches!(policy, Policy::SchedDeadline) {
        return Err(Error::invalid(format!("{at}: runtime, deadline and period belong to SCHED_DEADLINE")));
    }
    Ok(())
}

fn id(id: u32, field: &str) -> Result<()> {
    if id == NO_ID {
        return Err(Error::invalid(format!("{field}: {id} is not a user or group id")));
    }
    Ok(())
}

fn no_nul<'a>(texts: impl Iterator<Item = &'a String>, field: &str) -> Result<()> {
    for (index, text) in texts.enumerate() {
        if text.contains('\0') {
            return Err(Error::invalid(format!("{field}[{index}]: has a NUL byte inside")));
        }
    }
    Ok(())
}

/// An entry may be a secret: its value isn't told.
fn env<'a>(entries: impl Iterator<Item = &'a String>, field: &str) -> Result<()> {
    for (index, entry) in entries.enumerate() {
        let wrong = match entry.split_once('=') {
            Some(("", _)) => "has no name before the `=`",
            Some(_) => continue,
            None => "is no NAME=VALUE",
        };
        return Err(Error::invalid(format!("{field}[{index}]: {wrong}")));
    }
    Ok(())
}

fn mount(mount: &oci::Mount, index: usize) -> Result<()> {
    if mount.destination().as_os_str().is_empty() {
        return Err(Error::invalid(format!("mounts[{index}].destination: is empty")));
    }
    if mount.uid_mappings().is_some() != mount.gid_mappings().is_some() {
        return Err(Error::invalid(format!("mounts[{index}]: uidMappings and gidMappings belong together")));
    }
    Ok(())
}

fn linux(linux: &oci::Linux, namespaces: &Namespaces) -> Result<()> {
    if !namespaces.is_private(Namespace::Mount) {
        among_the_callers_mounts(linux, namespaces)?;
    }
    id_maps(linux, namespaces)?;
    if linux.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty())
        && !namespaces.is_new(Namespace::Time)
    {
        return Err(Error::invalid("linux.timeOffsets: needs a new time namespace"));
    }
    for clock in linux.time_offsets().iter().flatten().map(|(clock, _)| clock) {
        if clock != "monotonic" && clock != "boottime" {
            return Err(Error::invalid(format!(
                "linux.timeOffsets: {clock:?} is neither monotonic nor boottime"
            )));
        }
    }
    for (index, device) in linux.devices().iter().flatten().enumerate() {
        if !device.path().is_absolute() {
            return Err(Error::invalid(format!(
                "linux.devices[{index}].path: {:?} is not absolute",
                device.path()
            )));
        }
    }
    for (field, paths) in [("maskedPaths", linux.masked_paths()), ("readonlyPaths", linux.readonly_paths())] {
        for (index, path) in paths.iter().flatten().enumerate() {
            if path.is_empty() {
                return Err(Error::invalid(format!("linux.{field}[{index}]: is empty")));
            }
        }
    }
    Ok(())
}

/// What a container without a mount namespace of its own can't have: what would change the caller's mounts, and what
/// needs rights on them.
fn among_the_callers_mounts(linux: &oci::Linux, namespaces: &Namespaces) -> Result<()> {
    let some = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(|paths| !paths.is_empty());
    let propagation = linux.rootfs_propagation().as_ref().is_some_and(|word| !word.is_empty());
    let asked = [
        (some(linux.masked_paths()), "linux.maskedPaths"),
        (some(linux.readonly_paths()), "linux.readonlyPaths"),
        (propagation, "linux.rootfsPropagation"),
        (namespaces.is_private(Namespace::User), "linux.namespaces[user]"),
    ];
    match asked.iter().find(|(is_asked, _)| *is_asked) {
        Some((_, field)) => {
            Err(Error::invalid(format!("{field}: needs a mount namespace of the container's own")))
        }
        None => Ok(()),
    }
}

fn id_maps(linux: &oci::Linux, namespaces: &Namespaces) -> Result<()> {
    let uids = linux.uid_mappings().as_deref().unwrap_or_default();
    let gids = linux.gid_mappings().as_deref().unwrap_or_default();
    if namespaces.is_new(Namespace::User) {
        if uids.is_empty() || gids.is_empty() {
            return Err(Error::invalid(
                "linux.uidMappings, linux.gidMappings: a new user namespace needs both",
            ));
        }
    } else if !namespaces.is_private(Namespace::User) && (!uids.is_empty() || !gids.is_empty()) {
        return Err(Error::invalid(
            "linux.uidMappings, linux.gidMappings: there is no user namespace to map into",
        ));
    }
    for (field, maps) in [("uidMappings", uids), ("gidMappings", gids)] {
        for (index, map) in maps.iter().enumerate() {
            if map.size() == 0 {
                return Err(Error::invalid(format!("linux.{field}[{index}].size: is 0")));
            }
        }
    }
    Ok(())
}

fn hooks(spec: &oci::Spec) -> Result<()> {
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    #[allow(deprecated)]
    let kinds = [
        (HookKind::Prestart, hooks.prestart()),
        (HookKind::CreateRuntime, hooks.create_runtime()),
        (HookKind::CreateContainer, hooks.create_container()),
        (HookKind::StartContainer, hooks.start_container()),
        (HookKind::Poststart, hooks.poststart()),
        (HookKind::Poststop, hooks.poststop()),
    ];
    for (kind, list) in kinds {
        for (index, hook) in list.iter().flatten().enumerate() {
            if !hook.path().is_absolute() {
                return Err(Error::invalid(format!(
                    "hooks.{}[{index}].path: {:?} is not absolute",
                    kind.name(),
                    hook.path()
                )));
            }
            if hook.timeout().is_some_and(|timeout_s| timeout_s <= 0) {
                return Err(Error::invalid(format!(
                    "hooks.{}[{index}].timeout: is not positive",
                    kind.name()
                )));
            }
        }
    }
    Ok(())
}
