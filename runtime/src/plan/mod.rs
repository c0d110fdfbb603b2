//! 2. DECISION: Spec and Host to a Plan.
//!
//! Everything here is pure: no file, no clock, no environment is read. A plan is a value: the steps of a start, each
//! with the field of config.json that asked for it. `apply` performs it, `corten plan` prints it, tests compare it.
//!
//! One file per subsystem decides *what*; `order.rs` alone decides *when*.

mod affinity;
mod birth;
mod caller;
pub mod cgroup;
mod delegation;
mod devices;
mod exec;
mod explain;
mod id_mapped;
mod memory_policy;
pub mod mount_options;
mod mounts;
mod namespaces;
mod net_devices;
pub mod notify;
pub mod order;
mod process;
mod procfs;
mod record;
pub mod resctrl;
pub mod seccomp;
mod sysctl;

use std::borrow::Cow;
use std::path::PathBuf;
use std::rc::Rc;

pub use affinity::Affinity;
pub use caller::Caller;
pub use devices::{Device, DeviceLink, DeviceSource};
pub use exec::{Attached, Birthplace, CloningInto, Exec, JoiningContainer, exec};
pub use id_mapped::{IdMapSource, IdMapping};
pub use mounts::{
    CgroupV1Mount, FilesystemMount, JoinedProcfs, Mount, MountSource, OuterPropagation, PropagationChange,
    RootSwitch, covers_allowed,
};
pub use namespaces::{
    Cloning, IdMap, IdMapHelpers, IdMapper, JoinedNamespace, MappedIds, NamespaceFlags, TimeOffset,
};
pub use net_devices::{NUMBER, NetDevice};
pub use order::{Action, Actor, ForInit, ForPreparer, ForSupervisor, Stage, Undo};
pub use process::{
    Console, DEFAULT_UMASK, Descriptors, IoPriority, Leading, OomScore, Program, Rlimit, User,
};
pub use record::{ForExec, Recorded};
pub use resctrl::RdtGroup;
pub use sysctl::Sysctl;

use self::birth::Birth;
use crate::error::{Error, Result};
use crate::spec::{HookKind, Namespace, Spec, oci};

/// What a caller of `create` or `run` wants beside the config.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The container's id.
    pub id: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The rootfs, absolute and without symlinks.
    pub rootfs: PathBuf,
    /// Who makes the container's cgroup (`--cgroup-manager`).
    pub cgroup_manager: cgroup::Manager,
    /// Whether it may do without a cgroup (`--rootless`).
    pub rootless: cgroup::Rootless,
    /// Keeps the old root below the new one's mounts (`--no-pivot`), for hosts that run from a ramdisk.
    pub no_pivot: bool,
    /// Keeps the caller's session keyring (`--no-new-keyring`).
    pub no_new_keyring: bool,
    /// The container is started as soon as it is created (`run`).
    pub start_at_once: bool,
    /// The runtime stays in the foreground and relays the container's terminal.
    pub terminal_relayed: bool,
    /// The listening socket that gets the container's terminal.
    pub console_socket: Option<PathBuf>,
    /// How many descriptors from 3 on the container gets (`--preserve-fds`).
    pub preserve_fds: u32,
    /// How many more it gets after them from a caller that activates it by sockets (LISTEN_FDS).
    pub listen_fds: u32,
    /// The directory, absolute, for the socket at which the container says that it is ready; with a caller that wants
    /// to hear of it (NOTIFY_SOCKET).
    pub notify_directory: Option<PathBuf>,
    /// `exec`: the cgroups below the container's that the process joins (`--cgroup`), by controller.
    pub cgroups: Vec<(String, PathBuf)>,
    /// Where the pid of init is written to (`--pid-file`).
    pub pid_file: Option<PathBuf>,
    /// A socket that gets the pidfd of init (`--pidfd-socket`).
    pub pidfd_socket: Option<PathBuf>,
}

/// What is true of the host; see `probe`.
#[derive(Clone, Debug)]
pub struct Host {
    /// The cgroup hierarchies.
    pub cgroup: cgroup::host::CgroupHost,
    /// What a process meets in its kernel.
    pub machine: Machine,
    /// Who calls the runtime.
    pub caller: Caller,
    /// The programs that map ids for a caller who may not. Nobody looks for them unless the config asks for that.
    pub id_map_helpers: IdMapHelpers,
    /// Set if the caller has no right to make the cgroup of a container that names none: the directory that it would
    /// be made in. Nobody looks unless the container may [do without](cgroup::Rootless).
    pub no_cgroup_in: Option<PathBuf>,
    /// Where resctrl is mounted. Nobody looks for it unless the config asks for a group in it.
    pub resctrl: Option<PathBuf>,
}

/// What is true of the kernel, for any process.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// AppArmor is enabled.
    pub apparmor: bool,
    /// SELinux is enabled.
    pub selinux: bool,
    /// The architecture whose system calls the runtime itself makes.
    pub native: oci::Arch,
    /// The kernel changes the attributes of mounts by descriptor (5.12).
    pub mount_setattr: bool,
}

/// A finished decision: every step of a start, in order.
///
/// `apply` performs the steps, and reads nothing else of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// All steps, in the order of [`Stage`].
    pub steps: Vec<Step>,
    /// What was passed over, and why.
    pub notes: Vec<String>,
    /// What will not go as its author may expect.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The plan as `corten plan` prints it: all that the steps say, so plans that read the same do the same.
    pub fn explain(&self) -> String {
        explain::plan(self)
    }
}

/// One thing that is done, and the field that asked for it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The field of config.json: `mounts[3]`. Empty where every container has this step.
    pub field: Cow<'static, str>,
    /// What is done.
    pub action: Action,
}

impl Step {
    /// A step that a field of config.json asked for.
    fn of(field: impl Into<Cow<'static, str>>, action: impl Into<Action>) -> Step {
        Step { field: field.into(), action: action.into() }
    }

    /// A step that every container has.
    fn always(action: impl Into<Action>) -> Step {
        Step::of("", action)
    }

    /// When it is done.
    pub fn stage(&self) -> Stage {
        self.action.stage()
    }

    /// The process that performs it, as one of the steps of a plan.
    pub fn performer(&self, steps: &[Step]) -> &'static str {
        explain::performer(explain::fork(steps), self)
    }

    /// What it does, in a few words.
    pub fn what(&self) -> String {
        explain::text(&self.action).what
    }
}

impl Action {
    /// The namespace that it changes as a whole, for all that are in it.
    pub fn changes(&self) -> Option<Namespace> {
        match self {
            Action::Preparer(ForPreparer::SetHostname(_) | ForPreparer::SetDomainname(_)) => {
                Some(Namespace::Uts)
            }
            Action::Preparer(ForPreparer::WriteSysctl(sysctl)) => sysctl.owner(),
            Action::Supervisor(ForSupervisor::MoveNetDevices(_)) => Some(Namespace::Network),
            _ => None,
        }
    }
}

/// Decides how the container of `spec` is created on `host`.
///
/// Errors: InvalidSpec or Unsupported, naming the field.
pub fn create(spec: &Spec, request: &Request, host: &Host) -> Result<Plan> {
    let linux = spec.linux();
    let caller = host.caller;
    let asked =
        cgroup::Asked { refused: host.no_cgroup_in.as_deref(), ..cgroup_asked(spec, request, caller) };
    let cgroup = Rc::new(cgroup::decide(asked, &host.cgroup)?);
    let profile = linux.and_then(|linux| linux.seccomp().as_ref());
    let filter =
        profile.map(|profile| seccomp::compile(profile, host.machine.native)).transpose()?.map(Rc::new);

    let Some(process) = spec.process() else {
        return Err(Error::invalid("process: is missing"));
    };
    caller::check(spec, caller)?;
    let (birth, note) = Birth::of_init(spec, process, filter.as_deref(), &host.machine);

    let mut steps = lifecycle(request);
    let rdt_group = resctrl::group(spec, &request.id, host.resctrl.as_deref())?;
    let recorded = record::recorded(spec, request, caller, &cgroup, rdt_group.clone());
    steps.push(Step::always(ForSupervisor::SaveRecord(Box::new(recorded))));
    let prepare = birth.while_prepared(ForSupervisor::PrepareRecord, ForSupervisor::PrepareRecordLast);
    steps.push(Step::always(prepare(record::for_exec(spec, filter.clone())?)));
    steps.extend(cgroup_steps(&cgroup, birth, !caller.is_rootless()));
    steps.extend(delegation::step(spec, &cgroup, caller));
    steps.extend(resctrl::steps(spec, rdt_group.as_ref())?);
    steps.extend(notify::steps(request));
    steps.extend(namespaces::steps(spec, request, host, birth, cgroup.is_moved())?);
    steps.extend(net_devices::steps(spec)?);
    steps.extend(mounts::steps(spec, request, &cgroup, caller)?);
    steps.extend(devices::steps(spec, request, caller)?);
    steps.extend(sysctl::steps(spec)?);
    steps.extend(process::steps(process, spec, request, host, filter.as_ref(), birth)?);
    steps.extend(process::rlimits(process, filter.as_deref(), birth, &host.machine, caller));
    steps.extend(hook_steps(spec));
    procfs::choose(&mut steps, birth, spec.namespaces().is_private(Namespace::User));

    let mut notes = [spec.warnings(), spec.notes()].concat();
    notes.extend(cgroup.notes.iter().cloned());
    notes.extend(filter.iter().flat_map(|filter| filter.warnings.iter().cloned()));
    notes.extend(note);
    let warnings = filter.as_deref().and_then(|filter| warning_of_execution(filter, host.machine.native));
    Ok(Plan { steps: order::sorted(steps), notes, warnings: warnings.into_iter().collect() })
}

/// What of the config and of the request decides the container's cgroup.
pub fn cgroup_asked<'a>(spec: &'a Spec, request: &'a Request, caller: Caller) -> cgroup::Asked<'a> {
    let linux = spec.linux();
    cgroup::Asked {
        manager: request.cgroup_manager,
        id: &request.id,
        path: linux.and_then(|linux| linux.cgroups_path().as_deref()),
        resources: linux.and_then(|linux| linux.resources().as_ref()),
        annotations: spec.oci().annotations().as_ref(),
        is_rootless: caller.is_rootless(),
        refused: None,
    }
}

/// Without execve there is no program, and a process that may not write either can't say so.
fn warning_of_execution(filter: &seccomp::Filter, native: oci::Arch) -> Option<String> {
    // An agent may allow it.
    let allowed = filter.listener.is_some() || filter.allows(native, "execve", [0; 6]);
    (!allowed).then(|| "linux.seccomp: doesn't allow execve, so the program can't be executed".to_owned())
}

/// The frame of every start.
fn lifecycle(request: &Request) -> Vec<Step> {
    let supervisor = [
        ForSupervisor::MakeStartFifo,
        ForSupervisor::AwaitCreated,
        ForSupervisor::SaveCreated,
        ForSupervisor::LetInitGo,
    ];
    let preparer = [ForPreparer::EnterCgroup(Affinity::default()), ForPreparer::NewSession];
    let init = [ForInit::ReportCreated, ForInit::AwaitStart];
    let mut steps: Vec<Step> = supervisor.map(Step::always).into();
    steps.extend(preparer.map(Step::always));
    steps.extend(init.map(Step::always));
    if request.start_at_once {
        steps.push(Step::always(ForSupervisor::StartAtOnce));
    }
    steps.extend(handing_out(request));
    steps
}

/// What the caller gets to know init, or the process of an `exec`, by.
fn handing_out(request: &Request) -> Vec<Step> {
    let pid_file =
        request.pid_file.clone().map(|path| Step::of("--pid-file", ForSupervisor::WritePidFile(path)));
    let socket = request.pidfd_socket.clone();
    let socket = socket.map(|path| Step::of("--pidfd-socket", ForSupervisor::SendPidfd(path)));
    pid_file.into_iter().chain(socket).collect()
}

/// What a cgroup of the container's own takes.
fn cgroup_steps(cgroup: &Rc<cgroup::Plan>, birth: Birth, restricts_devices: bool) -> Vec<Step> {
    if cgroup.driver == cgroup::Driver::Caller {
        return Vec::new();
    }
    let mut steps = vec![Step::always(ForSupervisor::CreateCgroup(Rc::clone(cgroup)))];
    if let Some(unit) = cgroup.unit() {
        let of_unit = [ForSupervisor::StartUnit(Rc::clone(unit)), ForSupervisor::AwaitUnit];
        steps.extend(of_unit.map(|action| Step::of("linux.cgroupsPath", action)));
        if unit.moves {
            let on_v1 = (!cgroup.is_v2()).then(|| ForSupervisor::MoveIntoCgroup(Rc::clone(cgroup)));
            steps.extend(on_v1.map(Step::always));
            steps.push(Step::always(ForSupervisor::ReleaseIntoCgroup));
            steps.push(Step::always(ForPreparer::AwaitCgroup));
        }
    }
    if birth.is_final() {
        steps.extend(limits_before_the_fork(cgroup));
    } else {
        let of_own = [ForSupervisor::LimitCgroup, ForSupervisor::RestrictDevices];
        steps.extend(of_own.map(|action| Step::always(action(Rc::clone(cgroup)))));
    }
    if !restricts_devices {
        let restricts = [Stage::RestrictDevices, Stage::RestrictDevicesPrepared];
        steps.retain(|step| !restricts.contains(&step.stage()));
    }
    steps
}

/// What restricts init from its first moment on, when an intermediate process in the same cgroup forks it.
fn limits_before_the_fork(cgroup: &cgroup::Plan) -> Vec<Step> {
    let (for_two, for_one) = cgroup.with_room_for_two();
    let for_two = Rc::new(for_two);
    let for_one = (!for_one.writes.is_empty()).then(|| ForSupervisor::LimitCgroupLast(Rc::new(for_one)));
    let before = [
        ForSupervisor::AwaitPrepared,
        ForSupervisor::LimitCgroupPrepared(Rc::clone(&for_two)),
        ForSupervisor::RestrictDevicesPrepared(for_two),
        ForSupervisor::ReleasePreparer,
    ];
    let ask = Step::always(ForPreparer::AskToFork);
    before.into_iter().chain(for_one).map(Step::always).chain([ask]).collect()
}

fn hook_steps(spec: &Spec) -> Vec<Step> {
    let mut steps = Vec::new();
    let runtime_hooks: Vec<(HookKind, oci::Hook)> = [HookKind::Prestart, HookKind::CreateRuntime]
        .into_iter()
        .flat_map(|kind| spec.hooks(kind).iter().map(move |hook| (kind, hook.clone())))
        .collect();
    if !runtime_hooks.is_empty() {
        let mut kinds: Vec<_> =
            runtime_hooks.iter().map(|(kind, _)| format!("hooks.{}", kind.name())).collect();
        kinds.dedup();
        let field = kinds.join(", ");
        steps.push(Step::of(field.clone(), ForPreparer::AskForHooks));
        steps.push(Step::of(field, ForSupervisor::RunRuntimeHooks(runtime_hooks)));
    }
    let hooks = spec.hooks(HookKind::CreateContainer);
    if !hooks.is_empty() {
        steps.push(Step::of("hooks.createContainer", ForPreparer::RunContainerHooks(hooks.to_vec())));
    }
    let hooks = spec.hooks(HookKind::StartContainer);
    if !hooks.is_empty() {
        steps.push(Step::of("hooks.startContainer", ForInit::RunStartHooks(hooks.to_vec())));
    }
    steps
}
