//! The container's process: its user, its rights, its scheduling, its program.
//!
//! `create` and `exec` share nearly all of it.

use std::ffi::CString;
use std::ops::Range;
use std::rc::Rc;

use super::birth::Birth;
use super::seccomp::Filter;
use super::{
    Action, Caller, ForInit, ForPreparer, ForSupervisor, Host, Machine, Request, Step, memory_policy,
    namespaces, notify,
};
use crate::error::{Error, Result};
use crate::spec::{Spec, oci};
use crate::sys::credentials::{CapabilitySets, capability_number};
use crate::sys::schedule::SchedulerAttributes;

/// The umask of the runtime itself and of its hooks. Callers rely on it where the config names none.
pub const DEFAULT_UMASK: u32 = 0o022;

/// The user of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// User id, in the container's user namespace.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The process keeps the groups of its caller: setgroups(2) is denied, so that no group can be dropped or gained.
    pub keeps_groups: bool,
    /// File mode creation mask.
    pub umask: u32,
}

/// One rlimit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE`.
    pub name: String,
    /// Its number.
    pub resource: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its arguments, its own name first.
    pub args: Vec<CString>,
    /// Its environment. Of a name that is given twice, the later value counts.
    pub env: Vec<CString>,
    /// Where a name without a slash is looked for.
    pub search_path: String,
    /// Whether HOME is missing, and looked up in the container's /etc/passwd.
    pub needs_home: bool,
}

/// The terminal of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// Rows and columns.
    pub size: Option<(u16, u16)>,
    /// Whether the runtime stays in the foreground and relays what is written, line ends included.
    pub relayed: bool,
    /// Whether the process that opens it leads the session that it becomes the terminal of.
    pub controlling: bool,
}

/// What comes with a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leading {
    /// The terminal that is the standard input becomes the session's.
    pub with_terminal: bool,
}

/// The I/O priority of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_*`.
    pub class: u32,
    /// 0 to 7, the smaller the more urgent.
    pub priority: u32,
}

/// The descriptors that a program gets from the runtime's caller: the standard streams, and a number of them from 3 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// How many from 3 on.
    pub preserved: u32,
}

impl Descriptors {
    pub(super) fn of(request: &Request) -> Descriptors {
        Descriptors { preserved: request.preserve_fds + request.listen_fds }
    }

    /// The numbers of all but the standard streams.
    pub fn preserved(self) -> Range<i32> {
        3..3 + self.preserved as i32
    }
}

/// How readily the kernel ends a process when memory runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomScore {
    /// -1000 to 1000.
    pub adjust: i32,
    /// The score stays as it is if this would lower it, which takes a right over the host.
    pub unless_lower: bool,
}

pub(super) fn steps(
    process: &oci::Process,
    spec: &Spec,
    request: &Request,
    host: &Host,
    filter: Option<&Rc<Filter>>,
    birth: Birth,
) -> Result<Vec<Step>> {
    let machine = &host.machine;
    if let Some(label) = spec.linux().and_then(|linux| linux.mount_label().as_deref()) {
        if !label.is_empty() && !machine.selinux {
            return Err(Error::unsupported("linux.mountLabel: SELinux is not enabled on this host"));
        }
    }
    let groups_denied = namespaces::groups_are_denied(spec, host.caller);
    let mut steps = shared(process, spec, request, machine, filter, birth)?;
    steps.extend(oom_score(process, host.caller));
    steps.push(change_user(process, groups_denied)?);
    steps.push(Step::of("process.cwd", ForPreparer::MakeWorkingDirectory(process.cwd().clone())));
    if !request.no_new_keyring {
        steps.push(Step::always(ForPreparer::JoinKeyring(keyring_name(&request.id))));
    }
    Ok(steps)
}

/// The session keyring of a container, by the name that runc gives it.
pub(super) fn keyring_name(id: &str) -> String {
    format!("_ses.{id}")
}

/// What `create` and `exec` do alike.
pub(super) fn shared(
    process: &oci::Process,
    spec: &Spec,
    request: &Request,
    machine: &Machine,
    filter: Option<&Rc<Filter>>,
    birth: Birth,
) -> Result<Vec<Step>> {
    let mut steps = terminal(process, request, birth);
    steps.extend(scheduling(process));
    steps.extend(labels(process, machine)?);
    if let Some(personality) = spec.linux().and_then(|linux| linux.personality().as_ref()) {
        let domain = match personality.domain() {
            oci::LinuxPersonalityDomain::PerLinux => 0x0000,
            oci::LinuxPersonalityDomain::PerLinux32 => 0x0008,
        };
        steps.push(Step::of("linux.personality", ForPreparer::SetPersonality(domain)));
    }
    steps.extend(memory_policy::step(spec)?);
    steps.extend(privileges(process, filter, birth)?);
    steps.push(Step::of("process.cwd", ForPreparer::EnterWorkingDirectory(process.cwd().clone())));
    steps.push(Step::of("process.cwd", ForPreparer::VerifyWorkingDirectory(process.cwd().clone())));
    let mark = birth.while_prepared(ForPreparer::MarkDescriptors, ForPreparer::CloseDescriptors);
    steps.push(Step::always(mark(Descriptors::of(request))));
    let program = Rc::new(program(process, request)?);
    steps.push(Step::of("process.args", ForInit::FindProgram(Rc::clone(&program))));
    steps.push(Step::of("process.args", ForInit::Execute(program)));
    Ok(steps)
}

/// The supervisor adjusts the score last, if it may write to the child's files in /proc. Otherwise the child does so
/// first, while these files are its own.
pub(super) fn oom_score(process: &oci::Process, caller: Caller) -> Option<Step> {
    let score = OomScore { adjust: process.oom_score_adj()?, unless_lower: caller.is_rootless() };
    let adjust: Action = if caller.owns_procfs_of_children() {
        ForSupervisor::AdjustOomScore(score).into()
    } else {
        ForPreparer::AdjustOwnOomScore(score).into()
    };
    Some(Step::of("process.oomScoreAdj", adjust))
}

/// Errors: Unsupported for groups that the process can't get. Its own group it has in any case.
pub(super) fn change_user(process: &oci::Process, keeps_groups: bool) -> Result<Step> {
    let user = process.user();
    let mut groups = user.additional_gids().clone().unwrap_or_default();
    if keeps_groups {
        groups.retain(|group| *group != user.gid());
        if !groups.is_empty() {
            let text = "process.user.additionalGids: the user namespace denies setgroups";
            return Err(Error::unsupported(text).with_hint(
                "a user who maps no group but their own can't set any: map a range of /etc/subgid",
            ));
        }
    }
    let (uid, gid, umask) = (user.uid(), user.gid(), user.umask().unwrap_or(DEFAULT_UMASK));
    Ok(Step::of("process.user", ForPreparer::ChangeUser(User { uid, gid, groups, keeps_groups, umask })))
}

/// The terminal and the session: a process that is forked last leads one of its own.
fn terminal(process: &oci::Process, request: &Request, birth: Birth) -> Vec<Step> {
    let mut steps = Vec::new();
    let with_terminal = has_terminal(process);
    if with_terminal {
        let size = process.console_size().as_ref().map(|size| (size.height() as u16, size.width() as u16));
        let controlling = !birth.is_final();
        let console = Console { size, relayed: request.terminal_relayed, controlling };
        steps.push(Step::of("process.terminal", ForPreparer::OpenConsole(console)));
        steps.push(Step::of("process.terminal", ForSupervisor::ReceiveConsole));
        let socket = request.console_socket.clone();
        steps.extend(socket.map(|path| Step::of("--console-socket", ForSupervisor::SendConsole(path))));
    }
    if birth.is_final() {
        steps.push(Step::always(ForInit::LeadSession(Leading { with_terminal })));
    }
    steps
}

/// Whether the process has a terminal.
pub(super) fn has_terminal(process: &oci::Process) -> bool {
    process.terminal().unwrap_or(false)
}

fn scheduling(process: &oci::Process) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(scheduler) = process.scheduler() {
        steps.push(Step::of("process.scheduler", ForPreparer::SetScheduler(scheduler_attributes(scheduler))));
    }
    if let Some(io) = process.io_priority() {
        let class = match io.class() {
            oci::IOPriorityClass::IoprioClassRt => 1,
            oci::IOPriorityClass::IoprioClassBe => 2,
            oci::IOPriorityClass::IoprioClassIdle => 3,
        };
        let priority = IoPriority { class, priority: io.priority() as u32 };
        steps.push(Step::of("process.ioPriority", ForPreparer::SetIoPriority(priority)));
    }
    steps
}

fn scheduler_attributes(scheduler: &oci::Scheduler) -> SchedulerAttributes {
    use oci::{LinuxSchedulerFlag as Flag, LinuxSchedulerPolicy as Policy};
    let policy = match scheduler.policy() {
        Policy::SchedOther => libc::SCHED_OTHER,
        Policy::SchedFifo => libc::SCHED_FIFO,
        Policy::SchedRr => libc::SCHED_RR,
        Policy::SchedBatch => libc::SCHED_BATCH,
        Policy::SchedIso => 4,
        Policy::SchedIdle => libc::SCHED_IDLE,
        Policy::SchedDeadline => libc::SCHED_DEADLINE,
    };
    let flag = |flag: &Flag| -> u64 {
        match flag {
            Flag::SchedResetOnFork => 0x01,
            Flag::SchedFlagReclaim => 0x02,
            Flag::SchedFlagDLOverrun => 0x04,
            Flag::SchedFlagKeepPolicy => 0x08,
            Flag::SchedFlagKeepParams => 0x10,
            Flag::SchedFlagUtilClampMin => 0x20,
            Flag::SchedFlagUtilClampMax => 0x40,
        }
    };
    SchedulerAttributes {
        size: 0,
        policy: policy as u32,
        flags: scheduler.flags().iter().flatten().map(flag).fold(0, |all, flag| all | flag),
        nice: scheduler.nice().unwrap_or(0),
        priority: scheduler.priority().unwrap_or(0) as u32,
        runtime_ns: scheduler.runtime().unwrap_or(0),
        deadline_ns: scheduler.deadline().unwrap_or(0),
        period_ns: scheduler.period().unwrap_or(0),
    }
}

/// A label that config.json asks for is applied, or nothing starts.
fn labels(process: &oci::Process, machine: &Machine) -> Result<Vec<Step>> {
    let given = |label: &Option<String>| label.clone().filter(|label| !label.is_empty());
    let mut steps = Vec::new();
    if let Some(profile) = given(process.apparmor_profile()) {
        if !machine.apparmor {
            return Err(Error::unsupported("process.apparmorProfile: AppArmor is not enabled on this host"));
        }
        steps.push(Step::of("process.apparmorProfile", ForPreparer::SetApparmorProfile(profile)));
    }
    if let Some(label) = given(process.selinux_label()) {
        if !machine.selinux {
            return Err(Error::unsupported("process.selinuxLabel: SELinux is not enabled on this host"));
        }
        steps.push(Step::of("process.selinuxLabel", ForPreparer::SetSelinuxLabel(label)));
    }
    Ok(steps)
}

/// Who sets the rlimits. The supervisor does so from outside, at the very end; without the right to it, the process
/// limits itself as late as it can.
pub(super) fn rlimits(
    process: &oci::Process,
    filter: Option<&Filter>,
    birth: Birth,
    machine: &Machine,
    caller: Caller,
) -> Option<Step> {
    let limits: Vec<Rlimit> = process
        .rlimits()
        .iter()
        .flatten()
        .map(|limit| Rlimit {
            name: limit.typ().to_string(),
            resource: resource_number(limit.typ()),
            soft: limit.soft(),
            hard: limit.hard(),
        })
        .collect();
    if limits.is_empty() {
        return None;
    }
    let allowed = |filter: &Filter| {
        let allows = |limit: &Rlimit| {
            filter.allows(machine.native, "prlimit64", [0, limit.resource.into(), 0, 0, 0, 0])
        };
        limits.iter().all(allows)
    };
    // With no_new_privs a filter that isn't inherited comes after all that the process sets.
    let no_new_privileges = process.no_new_privileges().unwrap_or(false);
    let filter = filter.filter(|_| !no_new_privileges || birth == Birth::Final { filtered: true });
    let set: Action = if caller.limits_others() {
        ForSupervisor::SetRlimits(limits).into()
    } else if filter.is_none_or(allowed) {
        ForInit::LimitItself(limits).into()
    } else {
        ForPreparer::LimitItselfFirst(limits).into()
    };
    Some(Step::of("process.rlimits", set))
}

#[allow(clippy::unnecessary_cast, reason = "glibc's numbers are unsigned, musl's are signed")]
fn resource_number(kind: oci::PosixRlimitType) -> u32 {
    use oci::PosixRlimitType as Type;
    let number = match kind {
        Type::RlimitCpu => libc::RLIMIT_CPU,
        Type::RlimitFsize => libc::RLIMIT_FSIZE,
        Type::RlimitData => libc::RLIMIT_DATA,
        Type::RlimitStack => libc::RLIMIT_STACK,
        Type::RlimitCore => libc::RLIMIT_CORE,
        Type::RlimitRss => libc::RLIMIT_RSS,
        Type::RlimitNproc => libc::RLIMIT_NPROC,
        Type::RlimitNofile => libc::RLIMIT_NOFILE,
        Type::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        Type::RlimitAs => libc::RLIMIT_AS,
        Type::RlimitLocks => libc::RLIMIT_LOCKS,
        Type::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        Type::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        Type::RlimitNice => libc::RLIMIT_NICE,
        Type::RlimitRtprio => libc::RLIMIT_RTPRIO,
        Type::RlimitRttime => libc::RLIMIT_RTTIME,
    };
    number as u32
}

/// Capabilities, no_new_privs, and the seccomp filter at its place among them.
fn privileges(process: &oci::Process, filter: Option<&Rc<Filter>>, birth: Birth) -> Result<Vec<Step>> {
    let no_new_privileges = process.no_new_privileges().unwrap_or(false);
    let mut steps = Vec::new();
    if no_new_privileges {
        steps.push(Step::of("process.noNewPrivileges", ForPreparer::SetNoNewPrivileges));
    }
    if let Some(filter) = filter {
        let install: Action = match (no_new_privileges, &filter.listener) {
            // Only CAP_SYS_ADMIN or no_new_privs lets a process filter itself.
            (false, _) => ForPreparer::InstallSeccomp(Rc::clone(filter)).into(),
            (true, Some(_)) => ForInit::InstallSeccompListener(Rc::clone(filter)).into(),
            (true, None) if birth == (Birth::Final { filtered: true }) => {
                ForPreparer::InstallSeccompInherited(Rc::clone(filter)).into()
            }
            (true, None) => ForInit::InstallSeccompLast(Rc::clone(filter)).into(),
        };
        steps.push(Step::of("linux.seccomp", install));
        if let Some(listener) = &filter.listener {
            let hand_over = ForSupervisor::HandOverListener(listener.clone());
            steps.push(Step::of("linux.seccomp.listenerPath", hand_over));
        }
    }
    let sets = process.capabilities().as_ref().map(capability_sets).unwrap_or_default();
    steps.push(Step::of("process.capabilities.bounding", ForPreparer::LimitBoundingSet(sets.bounding)));
    steps.push(Step::of("process.capabilities", ForPreparer::SetCapabilities(sets)));
    Ok(steps)
}

fn capability_sets(sets: &oci::LinuxCapabilities) -> CapabilitySets {
    let mask = |set: &Option<oci::Capabilities>| {
        set.iter()
            .flatten()
            .filter_map(|capability| capability_number(&format!("CAP_{capability}")))
            .fold(0, |mask, number| mask | 1 << number)
    };
    let (permitted, inheritable) = (mask(sets.permitted()), mask(sets.inheritable()));
    CapabilitySets {
        bounding: mask(sets.bounding()),
        effective: mask(sets.effective()),
        inheritable,
        permitted,
        // The kernel takes only what is permitted and inheritable; runc drops the rest with a warning.
        ambient: mask(sets.ambient()) & permitted & inheritable,
    }
}

fn program(process: &oci::Process, request: &Request) -> Result<Program> {
    let args = process.args().as_deref().unwrap_or_default();
    if args.is_empty() {
        return Err(Error::invalid("process.args: is empty"));
    }
    let mut env = process.env().clone().unwrap_or_default();
    if request.notify_directory.is_some() {
        env.push(notify::variable());
    }
    let env = deduplicated(&env);
    let value = |name: &str| {
        env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=')).map(ToString::to_string)
    };
    let home = value("HOME").filter(|home| !home.is_empty());
    let words = |list: &[String]| list.iter().map(crate::sys::c_string).collect::<Result<Vec<_>>>();
    let kept: Vec<String> =
        env.iter().filter(|entry| home.is_some() || !entry.starts_with("HOME=")).cloned().collect();
    let activation = match request.listen_fds {
        0 => Vec::new(),
        count => words(&[format!("LISTEN_FDS={count}"), "LISTEN_PID=1".into()])?,
    };
    Ok(Program {
        args: words(args)?,
        env: words(&kept)?.into_iter().chain(activation).collect(),
        search_path: value("PATH").unwrap_or_default(),
        needs_home: home.is_none(),
    })
}

/// Of a name that is given twice, the later value stays, at the place of the earlier value. An entry without `=`,
/// which a config is refused for, is dropped.
fn deduplicated(env: &[String]) -> Vec<String> {
    use std::collections::HashMap;
    let mut place: HashMap<&str, usize> = HashMap::with_capacity(env.len());
    let mut kept: Vec<String> = Vec::with_capacity(env.len());
    for entry in env {
        let Some((name, _)) = entry.split_once('=') else { continue };
        match place.get(name) {
            Some(at) => kept[*at] = entry.clone(),
            None => {
                place.insert(name, kept.len());
                kept.push(entry.clone());
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::deduplicated;

    #[test]
    fn of_a_variable_given_twice_the_later_counts() {
        let env = ["A=1", "B=2", "A=3", "broken", "C="].map(String::from);
        assert_eq!(deduplicated(&env), ["A=3", "B=2", "C="]);
    }
}
