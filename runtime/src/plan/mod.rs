//! 2. DECISION: Spec and Host to a Plan.
//!
//! Everything here is pure: no file, no clock, no environment is read. A plan is a value: the steps of a start, each
//! with the field of config.json that asked for it. `apply` performs it, `corten plan` prints it, tests compare it.
//!
//! One file per subsystem decides *what*; `order.rs` alone decides *when*.

mod affinity;
pub mod cgroup;
mod devices;
mod explain;
pub mod mount_options;
mod mounts;
mod namespaces;
mod notify;
pub mod order;
mod process;
pub mod seccomp;
mod sysctl;

use std::borrow::Cow;
use std::path::PathBuf;

pub use affinity::Affinity;
pub use devices::{Device, DeviceSource};
pub use mounts::{
    CgroupV1Mount, FilesystemMount, IdMapSource, IdMapping, Mount, MountSource, PropagationChange,
    covers_allowed, inside as clean,
};
pub use namespaces::{IdMap, JoinedNamespace, TimeOffset};
pub use order::{Actor, Stage, Undo};
pub use process::{DEFAULT_UMASK, Program, Rlimit, User};

use crate::error::{Error, Result};
use crate::spec::{HookKind, Namespace, Spec, oci};
use crate::sys::credentials::CapabilitySets;
use crate::sys::schedule::SchedulerAttributes;

/// What a caller of `create` or `run` wants beside the config.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The container's id.
    pub id: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The rootfs, absolute and without symlinks.
    pub rootfs: PathBuf,
    /// Makes no cgroup: the container stays in its caller's (`--cgroup-manager disabled`).
    pub no_cgroup: bool,
    /// Keeps the old root below the new one's mounts (`--no-pivot`), for hosts that run from a ramdisk.
    pub no_pivot: bool,
    /// Keeps the caller's session keyring (`--no-new-keyring`).
    pub no_new_keyring: bool,
    /// The container is started as soon as it is created (`run`).
    pub start_at_once: bool,
    /// The runtime stays in the foreground and relays the container's terminal.
    pub terminal_relayed: bool,
    /// How many descriptors from 3 on the container gets (`--preserve-fds`).
    pub preserve_fds: u32,
    /// How many more it gets after them from a caller that activates it by sockets (LISTEN_FDS).
    pub listen_fds: u32,
    /// The directory, absolute, for the socket at which the container says that it is ready; with a caller that wants to
    /// hear of it (NOTIFY_SOCKET).
    pub notify_directory: Option<PathBuf>,
}

impl Request {
    /// The numbers of the descriptors that the container gets, beside its standard streams.
    pub fn preserved(&self) -> std::ops::Range<i32> {
        3..3 + (self.preserve_fds + self.listen_fds) as i32
    }
}

/// What is true of the host; see `probe`.
#[derive(Clone, Debug)]
pub struct Host {
    /// The cgroup hierarchies.
    pub cgroup: cgroup::host::CgroupHost,
    /// What a process meets in its kernel.
    pub machine: Machine,
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
}

/// A finished decision: every step of a start, in order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the caller asked for.
    pub request: Request,
    /// All steps, in the order of [`Stage`].
    pub steps: Vec<Step>,
    /// The cgroup that is made and limited.
    pub cgroup: cgroup::Plan,
    /// The seccomp filter, if there is one.
    pub seccomp: Option<seccomp::Filter>,
    /// The `CLONE_NEW*` bits of the namespaces that aren't the runtime's own.
    pub private_namespaces: u64,
    /// Init is forked by an intermediate process that has joined the user namespace first.
    pub intermediate: bool,
    /// What was passed over, and why.
    pub notes: Vec<String>,
}

impl Plan {
    /// The steps that `actor` performs.
    pub fn steps_of(&self, actor: Actor) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.stage().actor() == actor)
    }

    /// The plan as `corten plan` prints it.
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

/// What one step does, with all that it needs to know.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each is the stage of the same name, which is documented in order.rs")]
pub enum Action {
    SaveRecord,
    CreateCgroup,
    MakeStartFifo,
    MakeNotifyDirectory,
    OpenNamespace(JoinedNamespace),
    NewTimeNamespace(Vec<TimeOffset>),
    /// `CLONE_NEW*` bits.
    CloneInit(u64),
    MapIds {
        uids: Vec<IdMap>,
        gids: Vec<IdMap>,
    },
    AdjustOomScore(i32),
    ReleaseInit,
    PrepareRecord,
    LimitCgroup,

    JoinNamespaces,
    EnterCgroup(Affinity),
    NewSession,
    /// `CLONE_NEW*` bits.
    UnshareFirst(u64),
    AwaitRelease,
    BecomeRoot,
    /// `CLONE_NEW*` bits.
    UnshareNamespaces(u64),
    JoinKeyring(String),
    BringLoopbackUp,
    SetHostname(String),
    SetDomainname(String),
    SetPropagation(PropagationChange),
    /// The mount at this place of `Plan::steps`' mounts and devices, by its destination.
    BuildMount(Box<Mount>),
    MountRootfs,
    OpenProcfs,
    Mount(Box<Mount>),
    MakeDevice(Device),
    MakeDeviceLink {
        target: &'static str,
        name: &'static str,
    },
    MakeWorkingDirectory(PathBuf),
    /// Rows and columns.
    OpenConsole(Option<(u16, u16)>),
    AskForHooks,
    RunRuntimeHooks(Vec<(HookKind, oci::Hook)>),
    RunContainerHooks(Vec<oci::Hook>),
    SwitchRoot,
    SetRootPropagation(PropagationChange),
    /// The destination of the mount.
    SealMount(PathBuf),
    SealRoot,
    WriteSysctl {
        path: String,
        value: String,
    },
    ProtectPath(PathBuf),
    MaskPath(PathBuf),
    SetScheduler(SchedulerAttributes),
    SetIoPriority {
        class: u32,
        priority: u32,
    },
    SetPersonality(u64),
    SetApparmorProfile(String),
    SetSelinuxLabel(String),
    AskForLimits,
    SetRlimits(Vec<Rlimit>),
    HandOverListener,
    /// The program gets the first so many.
    MarkDescriptors {
        kept: u32,
    },
    SetNoNewPrivileges,
    InstallSeccomp,
    /// A bit mask by capability number.
    LimitBoundingSet(u64),
    EnterWorkingDirectory(PathBuf),
    ChangeUser(User),
    SetCapabilities(CapabilitySets),
    VerifyWorkingDirectory(PathBuf),
    FindProgram,
    InstallSeccompListener,
    ReportCreated,
    AwaitCreated,
    RestrictDevices,
    SaveCreated,
    BindNotifySocket,
    StartAtOnce,
    LetInitGo,
    AwaitStart,
    InstallSeccompLast,
    RunStartHooks(Vec<oci::Hook>),
    Execute(Program),
}

impl Step {
    /// A step that a field of config.json asked for.
    fn of(field: impl Into<Cow<'static, str>>, action: Action) -> Step {
        Step { field: field.into(), action }
    }

    /// A step that every container has.
    fn always(action: Action) -> Step {
        Step::of("", action)
    }

    /// When it is done.
    pub fn stage(&self) -> Stage {
        self.action.stage()
    }

    /// What it does, in a few words.
    pub fn what(&self) -> String {
        explain::what(&self.action)
    }
}

macro_rules! stage_of {
    ($action:expr, $($name:ident),+ $(,)?) => {
        match $action { $(Action::$name { .. } => Stage::$name,)+ }
    };
}

impl Action {
    /// The namespace that it changes as a whole, for all that are in it.
    pub fn changes(&self) -> Option<Namespace> {
        match self {
            Action::SetHostname(_) | Action::SetDomainname(_) => Some(Namespace::Uts),
            Action::WriteSysctl { path, .. } => sysctl::owner(path),
            _ => None,
        }
    }

    /// When it is done: every action has the stage of its name.
    pub fn stage(&self) -> Stage {
        stage_of!(
            self,
            SaveRecord,
            CreateCgroup,
            MakeStartFifo,
            MakeNotifyDirectory,
            OpenNamespace,
            NewTimeNamespace,
            CloneInit,
            MapIds,
            AdjustOomScore,
            ReleaseInit,
            PrepareRecord,
            LimitCgroup,
            JoinNamespaces,
            EnterCgroup,
            NewSession,
            UnshareFirst,
            AwaitRelease,
            BecomeRoot,
            UnshareNamespaces,
            JoinKeyring,
            BringLoopbackUp,
            SetHostname,
            SetDomainname,
            SetPropagation,
            BuildMount,
            MountRootfs,
            OpenProcfs,
            Mount,
            MakeDevice,
            MakeDeviceLink,
            MakeWorkingDirectory,
            OpenConsole,
            AskForHooks,
            RunRuntimeHooks,
            RunContainerHooks,
            SwitchRoot,
            SetRootPropagation,
            SealMount,
            SealRoot,
            WriteSysctl,
            ProtectPath,
            MaskPath,
            SetScheduler,
            SetIoPriority,
            SetPersonality,
            SetApparmorProfile,
            SetSelinuxLabel,
            AskForLimits,
            SetRlimits,
            HandOverListener,
            MarkDescriptors,
            SetNoNewPrivileges,
            InstallSeccomp,
            LimitBoundingSet,
            EnterWorkingDirectory,
            ChangeUser,
            SetCapabilities,
            VerifyWorkingDirectory,
            FindProgram,
            InstallSeccompListener,
            ReportCreated,
            AwaitCreated,
            RestrictDevices,
            SaveCreated,
            BindNotifySocket,
            StartAtOnce,
            LetInitGo,
            AwaitStart,
            InstallSeccompLast,
            RunStartHooks,
            Execute,
        )
    }
}

/// Decides how the container of `spec` is created on `host`.
///
/// Errors: InvalidSpec or Unsupported, naming the field.
pub fn create(spec: &Spec, request: Request, host: &Host) -> Result<Plan> {
    let linux = spec.linux();
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let cgroup = if request.no_cgroup {
        cgroup::stay(resources, &host.cgroup)?
    } else {
        let path = linux.and_then(|linux| linux.cgroups_path().as_deref());
        cgroup::decide(&request.id, path, resources, &host.cgroup)?
    };
    let seccomp = match linux.and_then(|linux| linux.seccomp().as_ref()) {
        Some(profile) => Some(seccomp::compile(profile, host.machine.native)?),
        None => None,
    };
    let mut steps = lifecycle();
    if cgroup.is_own {
        steps.extend(cgroup_steps());
    }
    if request.start_at_once {
        steps.push(Step::always(Action::StartAtOnce));
    }
    steps.extend(notify::steps(&request));
    steps.extend(namespaces::steps(spec));
    steps.extend(mounts::steps(spec, &request, &cgroup)?);
    steps.extend(devices::steps(spec)?);
    steps.extend(sysctl::steps(spec)?);
    steps.extend(process::steps(spec, &request, &host.machine, seccomp.as_ref())?);
    steps.extend(hook_steps(spec));

    let mut notes = spec.warnings().to_vec();
    notes.extend(cgroup.notes.iter().cloned());
    notes.extend(seccomp.iter().flat_map(|filter| filter.warnings.iter().cloned()));
    Ok(Plan {
        request,
        steps: order::sorted(steps),
        cgroup,
        seccomp,
        private_namespaces: spec.namespaces().private_flags(),
        intermediate: namespaces::needs_intermediate(spec.namespaces()),
        notes,
    })
}

/// What joins a running container: `exec`.
#[derive(Clone, Debug)]
pub struct Joining<'a> {
    /// The process to run.
    pub process: &'a oci::Process,
    /// The config of the container, for what a process.json doesn't say.
    pub spec: &'a Spec,
    /// The container whose session keyring it joins; `None` keeps the caller's.
    pub keyring: Option<&'a str>,
    /// What the caller wants beside the process.
    pub request: &'a Request,
}

/// Decides how a process joins a running container.
///
/// Errors: InvalidSpec or Unsupported, naming the field; Internal if the container was created with a filter, and it is
/// not `filter`.
pub fn exec(joining: &Joining, filter: Option<&seccomp::Filter>, machine: &Machine) -> Result<Vec<Step>> {
    let filtered = joining.spec.linux().is_some_and(|linux| linux.seccomp().is_some());
    if filtered != filter.is_some() {
        return Err(Error::internal("linux.seccomp: the container's filter is not on record"));
    }
    process::exec_steps(joining, machine, filter).map(order::sorted)
}

/// The steps of `exec` as text, for `--debug`.
pub fn explain_exec(steps: &[Step]) -> String {
    explain::exec(steps)
}

/// The frame of every start.
fn lifecycle() -> Vec<Step> {
    [
        Action::SaveRecord,
        Action::MakeStartFifo,
        Action::PrepareRecord,
        Action::EnterCgroup(Affinity::default()),
        Action::NewSession,
        Action::MountRootfs,
        Action::OpenProcfs,
        Action::SwitchRoot,
        Action::ReportCreated,
        Action::AwaitCreated,
        Action::SaveCreated,
        Action::LetInitGo,
        Action::AwaitStart,
    ]
    .into_iter()
    .map(Step::always)
    .collect()
}

/// What a cgroup of the container's own takes.
fn cgroup_steps() -> [Step; 3] {
    [Action::CreateCgroup, Action::LimitCgroup, Action::RestrictDevices].map(Step::always)
}

fn hook_steps(spec: &Spec) -> Vec<Step> {
    let mut steps = Vec::new();
    let runtime_hooks: Vec<(HookKind, oci::Hook)> = [HookKind::Prestart, HookKind::CreateRuntime]
        .into_iter()
        .flat_map(|kind| spec.hooks(kind).iter().map(move |hook| (kind, hook.clone())))
        .collect();
    if !runtime_hooks.is_empty() {
        let field = "hooks.prestart, hooks.createRuntime";
        steps.push(Step::of(field, Action::AskForHooks));
        steps.push(Step::of(field, Action::RunRuntimeHooks(runtime_hooks)));
    }
    let hooks = spec.hooks(HookKind::CreateContainer);
    if !hooks.is_empty() {
        steps.push(Step::of("hooks.createContainer", Action::RunContainerHooks(hooks.to_vec())));
    }
    let hooks = spec.hooks(HookKind::StartContainer);
    if !hooks.is_empty() {
        steps.push(Step::of("hooks.startContainer", Action::RunStartHooks(hooks.to_vec())));
    }
    steps
}
