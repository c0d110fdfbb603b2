//! A plan as text: what would be done, in order, by whom, and which field of config.json asked for it.
//!
//! The text says all that the steps say: two plans of which `apply` would do different things never read the same. A
//! property over random configs holds this (`tests/plan_text.rs`), and the matches below have no wildcard.

mod cgroups;
mod mounts;

use std::borrow::Cow;
use std::ffi::{CStr, OsStr};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use self::cgroups::{directory, made, made_rdt_group, manager, rdt_group, unit, write};
use super::id_mapped::IdMapping;
use super::seccomp::{Filter, Listener};
use super::{
    Action, Actor, Affinity, Attached, Birthplace, Cloning, CloningInto, Console, Descriptors, Device,
    DeviceSource, ForExec, ForInit, ForPreparer, ForSupervisor, IdMap, IdMapper, JoiningContainer, Leading,
    MappedIds, NamespaceFlags, NetDevice, OomScore, OuterPropagation, Plan, Program, PropagationChange,
    Recorded, Rlimit, RootSwitch, Stage, Step, Sysctl, TimeOffset, User,
};
use crate::spec::{HookKind, oci};
use crate::sys::credentials::{CapabilitySets, capability_names};
use crate::sys::schedule::SchedulerAttributes;

pub(super) fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    let fork = fork(&plan.steps);
    let mut process = "";
    for step in &plan.steps {
        let now = performer(fork, step);
        if now != process {
            process = now;
            heading(&mut text, process);
        }
        line(&mut text, step);
    }
    if !plan.warnings.is_empty() {
        text.push_str("\nwarnings\n");
        lines(&mut text, &plan.warnings);
    }
    if !plan.notes.is_empty() {
        text.push_str("\npassed over\n");
        lines(&mut text, &plan.notes);
    }
    text
}

/// The stage at which an intermediate process forks init, if the steps have one.
pub(super) fn fork(steps: &[Step]) -> Option<Stage> {
    steps.iter().map(Step::stage).find(|stage| [Stage::ForkInit, Stage::ForkInitLast].contains(stage))
}

/// The process that performs a step of a plan: up to the fork of init, if there is one, the intermediate process
/// prepares.
pub(super) fn performer(fork: Option<Stage>, step: &Step) -> &'static str {
    match step.stage().actor() {
        Actor::Supervisor => "supervisor",
        Actor::Preparer if fork.is_some_and(|fork| step.stage() <= fork) => "intermediate process",
        Actor::Preparer | Actor::Init => "init",
    }
}

fn heading(text: &mut String, process: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(process);
    text.push('\n');
}

fn line(text: &mut String, step: &Step) {
    let Text { what, details } = self::text(&step.action);
    let mut line = format!("  {:<26} {what}", step.stage().name());
    if !step.field.is_empty() {
        line = format!("{line:<90}  # {}", step.field);
    }
    let undo = step.stage().undo().map(|undo| format!("  (undo: {})", undo.what())).unwrap_or_default();
    let _infallible = writeln!(text, "{}{undo}", line.trim_end());
    lines(text, &details);
}

fn lines(text: &mut String, lines: &[String]) {
    for line in lines {
        let _infallible = writeln!(text, "      {line}");
    }
}

/// What a step does.
pub(super) struct Text {
    /// In a few words: errors and traces have them too.
    pub what: String,
    /// The rest, a line for each item.
    pub details: Vec<String>,
}

impl From<String> for Text {
    fn from(what: String) -> Text {
        Text { what, details: Vec::new() }
    }
}

impl From<Vec<String>> for Text {
    fn from(details: Vec<String>) -> Text {
        Text { what: String::new(), details }
    }
}

pub(super) fn text(action: &Action) -> Text {
    match action {
        Action::Supervisor(action) => of_supervisor(action),
        Action::Preparer(action) => of_preparer(action),
        Action::Init(action) => of_init(action),
    }
}

fn of_supervisor(action: &ForSupervisor) -> Text {
    match action {
        ForSupervisor::SaveRecord(recorded) => {
            Text { what: recorded.id.clone(), details: self::recorded(recorded) }
        }
        ForSupervisor::CreateCgroup(cgroup) => made(cgroup).into(),
        ForSupervisor::MoveIntoCgroup(cgroup) => cgroup.dirs.iter().map(directory).collect::<Vec<_>>().into(),
        ForSupervisor::StartUnit(unit) => self::unit(unit),
        ForSupervisor::AttachToUnit(attached) => self::attached(attached).into(),
        ForSupervisor::MakeRdtGroup(group) => made_rdt_group(group).into(),
        ForSupervisor::WriteSchemata(lines) => word(lines).into_owned().into(),
        ForSupervisor::MakeRdtMonitor(at) => path(at).into(),
        ForSupervisor::OpenRdtGroup(group) => rdt_group(group).into(),
        ForSupervisor::OpenNamespace(joined) => {
            format!("{} at {}", joined.namespace.name(), path(&joined.path)).into()
        }
        ForSupervisor::NewTimeNamespace(offsets) => list(offsets, ", ", time_offset).into(),
        ForSupervisor::CloneInit(cloning) => self::cloning(cloning).into(),
        ForSupervisor::CloneIntoContainer(cloning) => cloning_into(cloning).into(),
        ForSupervisor::MapIds(mapped) => mapped_ids(mapped),
        ForSupervisor::AdjustOomScore(score) => oom_score(*score).into(),
        ForSupervisor::PrepareRecord(kept) | ForSupervisor::PrepareRecordLast(kept) => for_exec(kept).into(),
        ForSupervisor::DelegateCgroup(uid) => format!("to uid {uid} of the host").into(),
        ForSupervisor::LimitCgroup(cgroup)
        | ForSupervisor::LimitCgroupPrepared(cgroup)
        | ForSupervisor::LimitCgroupLast(cgroup) => {
            cgroup.writes.iter().map(write).collect::<Vec<_>>().into()
        }
        ForSupervisor::MoveNetDevices(devices) => list(devices, ", ", net_device).into(),
        ForSupervisor::BuildMount(mount) => mounts::text(mount),
        ForSupervisor::SetRlimits(limits) => list(limits, ", ", rlimit).into(),
        ForSupervisor::HandOverListener(listener) => self::listener(listener).into(),
        ForSupervisor::RestrictDevices(cgroup) | ForSupervisor::RestrictDevicesPrepared(cgroup) => {
            vec![cgroup.devices.to_string()].into()
        }
        ForSupervisor::SendConsole(to) | ForSupervisor::WritePidFile(to) | ForSupervisor::SendPidfd(to) => {
            path(to).into()
        }
        ForSupervisor::RunRuntimeHooks(hooks) => {
            hooks.iter().map(|(kind, hook)| self::hook(*kind, hook)).collect::<Vec<_>>().into()
        }
        ForSupervisor::MakeStartFifo
        | ForSupervisor::MakeNotifyDirectory
        | ForSupervisor::MakeMountpoint
        | ForSupervisor::AdoptInit
        | ForSupervisor::AwaitUserNamespace
        | ForSupervisor::AwaitUnit
        | ForSupervisor::ReleaseIntoCgroup
        | ForSupervisor::AwaitPrepared
        | ForSupervisor::ReleasePreparer
        | ForSupervisor::AdoptInitLast
        | ForSupervisor::ReleaseInit
        | ForSupervisor::ReceiveConsole
        | ForSupervisor::AwaitCreated
        | ForSupervisor::SaveCreated
        | ForSupervisor::BindNotifySocket
        | ForSupervisor::StartAtOnce
        | ForSupervisor::LetInitGo
        | ForSupervisor::AwaitExecution => nothing(),
    }
}

fn of_preparer(action: &ForPreparer) -> Text {
    match action {
        ForPreparer::EnterCgroup(affinity) => cpus(affinity).into(),
        ForPreparer::JoinNamespaces(joined) => list(joined, ", ", |each| each.name().into()).into(),
        ForPreparer::AdjustOwnOomScore(score) => oom_score(*score).into(),
        ForPreparer::JoinContainer(joining) => joining_container(*joining).into(),
        ForPreparer::ForkInit(flags)
        | ForPreparer::UnshareFirst(flags)
        | ForPreparer::UnshareNamespaces(flags) => flags.to_string().into(),
        ForPreparer::JoinKeyring(text)
        | ForPreparer::SetHostname(text)
        | ForPreparer::SetDomainname(text)
        | ForPreparer::SetApparmorProfile(text)
        | ForPreparer::SetSelinuxLabel(text) => word(text).into_owned().into(),
        ForPreparer::SetPropagation(outer) => outer_propagation(outer).into(),
        ForPreparer::Mount(mount) => mounts::text(mount),
        ForPreparer::MakeDevice(device) => self::device(device).into(),
        ForPreparer::MakeDeviceLink(link) => format!("/dev/{} → {}", link.name, link.target).into(),
        ForPreparer::MountRootfs(at)
        | ForPreparer::MountRootfsApart(at)
        | ForPreparer::MakeWorkingDirectory(at)
        | ForPreparer::EnterWorkingDirectory(at)
        | ForPreparer::VerifyWorkingDirectory(at)
        | ForPreparer::SealMount(at)
        | ForPreparer::ProtectPath(at)
        | ForPreparer::MaskPath(at) => path(at).into(),
        ForPreparer::OpenConsole(console) => self::console(*console).into(),
        ForPreparer::RunContainerHooks(hooks) => each_hook(HookKind::CreateContainer, hooks).into(),
        ForPreparer::SwitchRoot(switch) => root_switch(*switch).into(),
        ForPreparer::SetRootPropagation(change) => propagation(*change).into(),
        ForPreparer::WriteSysctl(sysctl) => self::sysctl(sysctl).into(),
        ForPreparer::SetScheduler(attributes) => scheduler(attributes).into(),
        ForPreparer::SetIoPriority(io) => format!("class {} priority {}", io.class, io.priority).into(),
        ForPreparer::SetPersonality(domain) => format!("{domain:#x}").into(),
        ForPreparer::SetMemoryPolicy(policy) => policy.to_string().into(),
        ForPreparer::MarkDescriptors(kept) | ForPreparer::CloseDescriptors(kept) => {
            format!("from {} on", kept.preserved().end).into()
        }
        ForPreparer::LimitItselfFirst(limits) => list(limits, ", ", rlimit).into(),
        ForPreparer::InstallSeccomp(to) | ForPreparer::InstallSeccompInherited(to) => filter(to).into(),
        ForPreparer::LimitBoundingSet(mask) => capabilities(*mask).into(),
        ForPreparer::ChangeUser(user) => self::user(user).into(),
        ForPreparer::SetCapabilities(sets) => capability_sets(sets).into(),
        ForPreparer::NewSession
        | ForPreparer::AwaitRelease
        | ForPreparer::AwaitCgroup
        | ForPreparer::BecomeRoot
        | ForPreparer::BringLoopbackUp
        | ForPreparer::AskForNetDevices
        | ForPreparer::OpenProcfs
        | ForPreparer::AskForHooks
        | ForPreparer::SealRoot
        | ForPreparer::SetNoNewPrivileges
        | ForPreparer::HoldProcfs
        | ForPreparer::EnterRdtGroup
        | ForPreparer::EnterRoot
        | ForPreparer::UnshareUser
        | ForPreparer::JoinPidNamespace
        | ForPreparer::AskToFork
        | ForPreparer::ForkInitLast => nothing(),
    }
}

fn of_init(action: &ForInit) -> Text {
    match action {
        ForInit::LeadSession(Leading { with_terminal: true }) => String::from("with the terminal").into(),
        ForInit::InstallSeccompListener(filter) | ForInit::InstallSeccompLast(filter) => {
            self::filter(filter).into()
        }
        ForInit::FindProgram(program) => name(program).into(),
        ForInit::LimitItself(limits) => list(limits, ", ", rlimit).into(),
        ForInit::RunStartHooks(hooks) => each_hook(HookKind::StartContainer, hooks).into(),
        ForInit::Execute(program) => {
            Text { what: list(&program.args, " ", |arg| argument(arg)), details: environment(program) }
        }
        ForInit::LeadSession(Leading { with_terminal: false })
        | ForInit::ReportCreated
        | ForInit::AwaitStart => nothing(),
    }
}

/// The step's name says it all.
fn nothing() -> Text {
    String::new().into()
}

fn recorded(recorded: &Recorded) -> Vec<String> {
    let mut lines = vec![
        format!("bundle {}, rootfs {}", path(&recorded.bundle), path(&recorded.rootfs)),
        format!("ociVersion {}", word(&recorded.oci_version)),
    ];
    let pids = if recorded.private_pid_namespace { ", ends with init" } else { "" };
    lines.push(format!("owner {}, exec joins {}{pids}", recorded.owner, recorded.namespaces));
    lines.extend(
        recorded.annotations.iter().map(|(key, value)| format!("annotation {} = {}", word(key), word(value))),
    );
    lines.extend(each_hook(HookKind::Poststart, &recorded.poststart));
    lines.extend(each_hook(HookKind::Poststop, &recorded.poststop));
    lines
}

fn for_exec(kept: &ForExec) -> String {
    let filter = kept.filter.as_ref().map(|_| "with the filter, for exec".to_owned());
    let cpus = Some(self::cpus(&kept.affinity)).filter(|cpus| !cpus.is_empty());
    let cpus = cpus.map(|cpus| format!("exec has {cpus}"));
    filter.into_iter().chain(cpus).collect::<Vec<_>>().join("; ")
}

fn each_hook(kind: HookKind, hooks: &[oci::Hook]) -> Vec<String> {
    hooks.iter().map(|hook| self::hook(kind, hook)).collect()
}

fn hook(kind: HookKind, hook: &oci::Hook) -> String {
    let mut text = format!("{} {}", kind.name(), path(hook.path()));
    if let Some(args) = hook.args() {
        let _infallible = write!(text, " args [{}]", list(args, " ", |arg| word(arg).into_owned()));
    }
    if let Some(env) = hook.env() {
        let _infallible = write!(text, " env [{}]", list(env, " ", |entry| word(entry).into_owned()));
    }
    if let Some(seconds) = hook.timeout() {
        let _infallible = write!(text, " timeout {seconds}s");
    }
    text
}

fn environment(program: &Program) -> Vec<String> {
    let mut lines: Vec<String> = program.env.iter().map(|entry| format!("env {}", argument(entry))).collect();
    if program.needs_home {
        lines.push("env HOME= as /etc/passwd of the container has it".into());
    }
    lines
}

fn cloning(cloning: &Cloning) -> String {
    let kept = match cloning.descriptors.preserved {
        0 => String::new(),
        _ => format!(", with {}", descriptors(cloning.descriptors)),
    };
    let dumpable = if cloning.dumpable { ", its files in /proc the caller's until it is root" } else { "" };
    match cloning.namespaces {
        NamespaceFlags(0) => format!("no new namespaces{kept}{dumpable}"),
        new => format!("{new}{kept}{dumpable}"),
    }
}

fn cloning_into(cloning: &CloningInto) -> String {
    let cgroup = |(controller, below): &(String, PathBuf)| {
        let of = if controller.is_empty() { String::new() } else { format!(" of {}", word(controller)) };
        format!(", into the cgroup {}{of} below the container's", path(below))
    };
    let cgroups: String = cloning.cgroups.iter().map(cgroup).collect();
    let birth = match cloning.birth {
        Birthplace::Container => "",
        Birthplace::ContainerIfAllowed => ", or in the caller's cgroup where the kernel forbids the move",
        Birthplace::Caller => ", born in the caller's cgroup",
    };
    format!("with {}{cgroups}{birth}", descriptors(cloning.descriptors))
}

fn attached(attached: &Attached) -> String {
    let Attached { unit, below } = attached;
    let below = if below.as_os_str().is_empty() { String::new() } else { format!(", at {}", path(below)) };
    format!("{} by {}{below}", word(&unit.name), manager(unit.manager))
}

fn joining_container(joining: JoiningContainer) -> String {
    let first = if joining.user_first { ", by the right of the user namespace" } else { "" };
    format!("{}{first}", joining.namespaces)
}

fn oom_score(score: OomScore) -> String {
    let unless = if score.unless_lower { ", unless that is lower than now" } else { "" };
    format!("{}{unless}", score.adjust)
}

fn descriptors(kept: Descriptors) -> String {
    match kept.preserved() {
        none if none.is_empty() => "descriptors 0 to 2".into(),
        more => format!("descriptors 0 to {}", more.end - 1),
    }
}

fn console(console: Console) -> String {
    let size = console.size.map(|(rows, columns)| format!("{columns} columns, {rows} rows"));
    let relayed = console.relayed.then(|| "relayed, with the size of the caller's".to_owned());
    let controlling = console.controlling.then(|| "of its session at once".to_owned());
    size.into_iter().chain(relayed).chain(controlling).collect::<Vec<_>>().join(", ")
}

fn filter(filter: &Filter) -> String {
    let listener = filter.listener.as_ref().map(|to| format!(", {}", self::listener(to))).unwrap_or_default();
    let optional = match filter.optional_flags.bits() {
        0 => String::new(),
        _ => format!(", {} if the kernel knows it", filter.optional_flags),
    };
    let (length, fingerprint) = (filter.program.len(), fingerprint(filter));
    format!("{length} instructions ({fingerprint:016x}), flags {}{optional}{listener}", filter.flags)
}

/// Tells two programs apart of which nobody would read the instructions: FNV-1a of 64 bits.
fn fingerprint(filter: &Filter) -> u64 {
    let bytes = filter.program.iter().flat_map(|insn| {
        let [c0, c1] = insn.code.to_le_bytes();
        let [k0, k1, k2, k3] = insn.k.to_le_bytes();
        [c0, c1, insn.jt, insn.jf, k0, k1, k2, k3]
    });
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn listener(listener: &Listener) -> String {
    let metadata =
        listener.metadata.as_deref().map(|text| format!(" with {}", word(text))).unwrap_or_default();
    format!("listener to {}{metadata}", path(&listener.path))
}

fn outer_propagation(outer: &OuterPropagation) -> String {
    let all = propagation(outer.change);
    match &outer.private {
        Some(of) => format!("{all}; the mount of {} private", path(of)),
        None => all,
    }
}

fn root_switch(switch: RootSwitch) -> String {
    match switch {
        RootSwitch::Pivot => "by pivot_root",
        RootSwitch::Move => "by moving it over the old root",
        RootSwitch::Change => "by chroot",
    }
    .to_owned()
}

fn sysctl(sysctl: &Sysctl) -> String {
    format!("{} = {}", word(&sysctl.path), word(&sysctl.value))
}

/// The program's own name.
fn name(program: &Program) -> String {
    program.args.first().map(|name| argument(name)).unwrap_or_default()
}

fn propagation(change: PropagationChange) -> String {
    let depth = if change.recursive { ", recursively" } else { "" };
    format!("{:?}{depth}", change.propagation).to_lowercase()
}

fn device(device: &Device) -> String {
    let Device { major, minor, mode, uid, gid, .. } = device;
    let kind = match device.kind {
        libc::S_IFBLK => 'b',
        libc::S_IFIFO => 'p',
        _ => 'c',
    };
    let source = match device.source {
        DeviceSource::Made => "made",
        DeviceSource::BoundBySupervisor => "bound by the supervisor",
        DeviceSource::Bound => "bound",
    };
    format!("{} {kind} {major}:{minor} mode {mode:o} owner {uid}:{gid} {source}", path(&device.path))
}

fn mapping(mapping: &IdMapping) -> String {
    let line = |map: &IdMap| format!("{}→{}+{}", map.container, map.host, map.size);
    format!("uids {}; gids {}", list(&mapping.uids, " ", line), list(&mapping.gids, " ", line))
}

fn mapped_ids(mapped: &MappedIds) -> Text {
    let by = |what: &str, mapper: &IdMapper| match mapper {
        IdMapper::Supervisor => None,
        IdMapper::Helper(at) => Some(format!("{what} by {}", path(at))),
    };
    let denied = mapped.groups_denied.then(|| "setgroups denied".to_owned());
    let helpers = by("users", &mapped.users_by).into_iter().chain(by("groups", &mapped.groups_by));
    Text { what: mapping(&mapped.maps), details: helpers.chain(denied).collect() }
}

fn time_offset(offset: &TimeOffset) -> String {
    format!("{} {}s {}ns", offset.clock, offset.seconds, offset.nanoseconds)
}

fn cpus(affinity: &Affinity) -> String {
    let parts = [(&affinity.initial, "before"), (&affinity.last, "then")].into_iter();
    let given = parts.filter(|(cpus, _)| !cpus.is_empty());
    let texts = given.map(|(cpus, when)| format!("CPUs {} {when}", list(cpus, ",", usize::to_string)));
    texts.collect::<Vec<_>>().join(", ")
}

fn scheduler(attributes: &SchedulerAttributes) -> String {
    let SchedulerAttributes { size: _, policy, flags, nice, priority, runtime_ns, deadline_ns, period_ns } =
        attributes;
    let mut text = format!("policy {policy} flags {flags:#x} nice {nice} priority {priority}");
    if [runtime_ns, deadline_ns, period_ns] != [&0; 3] {
        let _infallible = write!(text, " runtime {runtime_ns} deadline {deadline_ns} period {period_ns} ns");
    }
    text
}

fn net_device(device: &NetDevice) -> String {
    format!("{} as {}", word(&device.name), word(&device.inside))
}

fn rlimit(limit: &Rlimit) -> String {
    let bound = |limit: u64| if limit == u64::MAX { "unlimited".into() } else { limit.to_string() };
    format!("{} {}:{}", limit.name, bound(limit.soft), bound(limit.hard))
}

fn user(user: &User) -> String {
    let groups = if user.keeps_groups { "as they are".into() } else { format!("{:?}", user.groups) };
    format!("uid {} gid {} groups {groups} umask {:03o}", user.uid, user.gid, user.umask)
}

fn capability_sets(sets: &CapabilitySets) -> String {
    format!(
        "effective {}; permitted {}; inheritable {}; ambient {}",
        capabilities(sets.effective),
        capabilities(sets.permitted),
        capabilities(sets.inheritable),
        capabilities(sets.ambient)
    )
}

/// The capabilities of a set or, where that is shorter, those that it lacks.
fn capabilities(mask: u64) -> String {
    let text = |names: Vec<String>| names.join(" ").replace("CAP_", "").to_lowercase();
    let (has, lacks) = (capability_names(mask), capability_names(!mask));
    if has.is_empty() {
        "none".into()
    } else if lacks.is_empty() {
        "all".into()
    } else if lacks.len() < has.len() {
        format!("all but {}", text(lacks))
    } else {
        text(has)
    }
}

fn list<T>(items: &[T], between: &str, text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(between)
}

fn path(path: &Path) -> String {
    // In quotes, a byte that is no text stands by its number.
    path.to_str().map_or_else(|| format!("{path:?}"), |text| word(text).into_owned())
}

fn argument(text: &CStr) -> String {
    path(Path::new(OsStr::from_bytes(text.to_bytes())))
}

/// A word as it is or, where it could be taken for several, for none, or for another word, in quotes.
fn word(text: &str) -> Cow<'_, str> {
    let quoted = format!("{text:?}");
    let has_escapes = quoted.len() != text.len() + 2;
    let is_plain = |c: char| !c.is_whitespace() && !",[]()".contains(c);
    if text.is_empty() || has_escapes || !text.chars().all(is_plain) { quoted.into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_like_no_other() {
        assert_eq!(word("a=b:c"), "a=b:c");
        for text in ["", "a b", "a,b", "(a)", "\"", "a\\", "a\n", "a\u{200b}", "a\u{202e}b", "\u{a0}"] {
            assert!(word(text).starts_with('"'), "{text:?}");
        }
        let other = |bytes: &[u8]| path(Path::new(OsStr::from_bytes(bytes)));
        assert_ne!(other(b"/a\xff"), other(b"/a\xfe"));
        assert_ne!(other(b"/a\xff"), other("/a\u{fffd}".as_bytes()));
    }
}
