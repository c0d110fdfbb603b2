//! The steps of a start, as one table: what each is called, what it has to know, who performs it, how it is undone.
//!
//! The order of the rows is the order of time. The supervisor and its child run at once; where one waits for the
//! other, a row says so, and `apply/handshake.rs` has the messages. `plan` sorts its steps by this table, so a
//! subsystem says *what* is to be done, and this file alone says *when* and *by whom*.
//!
//! The child prepares, and then becomes the program. Where the container has a pid namespace of its own, one process
//! does both: init. Where it joins one, an *intermediate process* outside of it prepares, and forks init last
//! (`fork-init-last`). Where it joins a user namespace, the intermediate process only joins (`fork-init`).
//!
//! A row becomes a variant of [`Stage`] and a variant of the enum of its actor: [`ForSupervisor`], [`ForPreparer`]
//! or [`ForInit`]. The text of a plan (`explain.rs`) matches each enum without a wildcard, and so does the process that
//! performs it (`apply/supervisor.rs`, `apply/init.rs`). A row without its text or its deed doesn't compile, nor does a
//! step that is given to the wrong process.

use std::path::PathBuf;
use std::rc::Rc;

use super::cgroup;
use super::seccomp::{Filter, Listener};
use super::{
    Affinity, Attached, Cloning, CloningInto, Console, Descriptors, Device, DeviceLink, ForExec, IoPriority,
    JoinedNamespace, JoiningContainer, Leading, MappedIds, Mount, NamespaceFlags, NetDevice, OomScore,
    OuterPropagation, Program, PropagationChange, RdtGroup, Recorded, Rlimit, RootSwitch, Step, Sysctl,
    TimeOffset, User,
};
use crate::spec::{HookKind, Namespace, oci};
use crate::sys::credentials::CapabilitySets;
use crate::sys::memory_policy::MemoryPolicy;
use crate::sys::schedule::SchedulerAttributes;

/// Which process performs a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The `corten` process itself, in the namespaces of its caller.
    Supervisor,
    /// The child that makes ready what the program will find: init itself or, as far as the plan's step that forks
    /// init, the intermediate process.
    Preparer,
    /// The process that becomes the program. Its steps need no right.
    Init,
}

/// How what a step leaves on the host is taken back, where that outlives both processes.
///
/// `apply/undo.rs` performs these, the latest first, for all steps that were begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// The state directory is removed.
    RemoveStateDirectory,
    /// The cgroups are emptied and removed, and systemd stops the unit; the record names them before they are made.
    RemoveCgroup,
    /// The resctrl groups that this start has made are removed; the record names them before they are made.
    RemoveRdtGroup,
    /// Init is killed; the record has its pid, and the death of the supervisor kills it too.
    KillInit,
    /// The pid file is removed.
    RemovePidFile,
}

impl Undo {
    /// What is done, in a few words.
    pub fn what(self) -> &'static str {
        match self {
            Undo::RemoveStateDirectory => "remove the state directory",
            Undo::RemoveCgroup => "kill what is in it, remove it",
            Undo::RemoveRdtGroup => "remove it, if it was made",
            Undo::KillInit => "kill init",
            Undo::RemovePidFile => "remove the pid file",
        }
    }
}

/// Sorts the rows by actor: the first list has all, the others those of supervisor, intermediate process and init.
macro_rules! steps {
    (@sort [$($all:tt)*] [$($s:tt)*] [$($m:tt)*] [$($i:tt)*]
     $(#[doc = $doc:literal])+ $name:ident $(($data:ty))? by Supervisor = $text:literal $(undo $undo:ident)?; $($rest:tt)*) => {
        steps!(@sort [$($all)* { $($doc)+ $name Supervisor $text $($undo)? }]
                     [$($s)* { $($doc)+ $name $(($data))? }] [$($m)*] [$($i)*] $($rest)*);
    };
    (@sort [$($all:tt)*] [$($s:tt)*] [$($m:tt)*] [$($i:tt)*]
     $(#[doc = $doc:literal])+ $name:ident $(($data:ty))? by Preparer = $text:literal; $($rest:tt)*) => {
        steps!(@sort [$($all)* { $($doc)+ $name Preparer $text }]
                     [$($s)*] [$($m)* { $($doc)+ $name $(($data))? }] [$($i)*] $($rest)*);
    };
    (@sort [$($all:tt)*] [$($s:tt)*] [$($m:tt)*] [$($i:tt)*]
     $(#[doc = $doc:literal])+ $name:ident $(($data:ty))? by Init = $text:literal; $($rest:tt)*) => {
        steps!(@sort [$($all)* { $($doc)+ $name Init $text }]
                     [$($s)*] [$($m)*] [$($i)* { $($doc)+ $name $(($data))? }] $($rest)*);
    };
    (@sort [$({ $($doc:literal)+ $name:ident $actor:ident $text:literal $($undo:ident)? })+]
     [$($s:tt)*] [$($m:tt)*] [$($i:tt)*]) => {
        /// When a step is done: the rows of the table, in the order of time.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Stage { $($(#[doc = $doc])+ $name,)+ }

        impl Stage {
            /// All stages in order.
            pub const ALL: &[Stage] = &[$(Stage::$name),+];

            /// The name in plans, traces, errors and tests.
            pub fn name(self) -> &'static str {
                match self { $(Stage::$name => $text,)+ }
            }

            /// Who performs it.
            pub fn actor(self) -> Actor {
                match self { $(Stage::$name => Actor::$actor,)+ }
            }

            /// How what it leaves on the host is taken back. Only a step of the supervisor leaves anything.
            pub fn undo(self) -> Option<Undo> {
                match self { $(Stage::$name => None $(.or(Some(Undo::$undo)))?,)+ }
            }
        }

        /// What one step does, with all that has to be known for it.
        #[derive(Clone, Debug)]
        pub enum Action {
            /// By the supervisor.
            Supervisor(ForSupervisor),
            /// By whoever prepares.
            Preparer(ForPreparer),
            /// By init.
            Init(ForInit),
        }

        impl Action {
            /// When it is done.
            pub fn stage(&self) -> Stage {
                match self {
                    Action::Supervisor(action) => action.stage(),
                    Action::Preparer(action) => action.stage(),
                    Action::Init(action) => action.stage(),
                }
            }
        }

        steps!(@actor Supervisor ForSupervisor "What the supervisor does." $($s)*);
        steps!(@actor Preparer ForPreparer "What the intermediate process does, and init where there is none or once it is forked." $($m)*);
        steps!(@actor Init ForInit "What init does in the end, when all is prepared." $($i)*);
    };
    (@actor $actor:ident $enum:ident $about:literal $({ $($doc:literal)+ $name:ident $(($data:ty))? })+) => {
        #[doc = $about]
        #[derive(Clone, Debug)]
        pub enum $enum { $($(#[doc = $doc])+ $name $(($data))?,)+ }

        impl $enum {
            /// When it is done: every action has the stage of its name.
            pub fn stage(&self) -> Stage {
                match self { $($enum::$name { .. } => Stage::$name,)+ }
            }
        }

        impl From<$enum> for Action {
            fn from(action: $enum) -> Action {
                Action::$actor(action)
            }
        }
    };
    ($(#[doc = $doc:literal])+ $($rest:tt)*) => { steps!(@sort [] [] [] [] $(#[doc = $doc])+ $($rest)*); };
}

steps! {
    /// Makes the state directory and saves the record that names all that will be made.
    SaveRecord(Box<Recorded>) by Supervisor = "save-record" undo RemoveStateDirectory;
    /// Makes the cgroup, or takes one that is there and empty. Before the clone, so that init can be born in it.
    CreateCgroup(Rc<cgroup::Plan>) by Supervisor = "create-cgroup" undo RemoveCgroup;
    /// Makes the resctrl group, or takes a shared one that is there.
    MakeRdtGroup(RdtGroup) by Supervisor = "make-rdt-group" undo RemoveRdtGroup;
    /// Writes lines into `schemata` of the resctrl group. A group that was there must have these values.
    WriteSchemata(String) by Supervisor = "write-schemata";
    /// Makes the monitoring group of the container below its resctrl group.
    MakeRdtMonitor(PathBuf) by Supervisor = "make-rdt-monitor" undo RemoveRdtGroup;
    /// Makes the fifo that `start` writes to. After the groups: the fifo tells `delete`, if no more comes of this
    /// start, that what is in them is the container's.
    MakeStartFifo by Supervisor = "make-start-fifo" undo RemoveStateDirectory;
    /// Makes the directory that the container sees at /run/notify, where its socket to say that it is ready will be.
    MakeNotifyDirectory by Supervisor = "make-notify-directory" undo RemoveStateDirectory;
    /// Makes the directory that the root is mounted on, where the container has no mount namespace of its own: what the
    /// caller has mounted stays as it is.
    MakeMountpoint by Supervisor = "make-mountpoint" undo RemoveStateDirectory;
    /// Opens a namespace to join, while the host's paths can still be seen.
    OpenNamespace(JoinedNamespace) by Supervisor = "open-namespace";
    /// Makes the time namespace and its offsets; only children that are forked afterwards enter it.
    NewTimeNamespace(Vec<TimeOffset>) by Supervisor = "new-time-namespace";
    /// Opens the way into the resctrl group for a process that is born outside of it.
    OpenRdtGroup(RdtGroup) by Supervisor = "open-rdt-group";
    /// Clones init.
    CloneInit(Cloning) by Supervisor = "clone-init" undo KillInit;
    /// Clones the process that joins a running container, by way of an intermediate process (`exec`).
    CloneIntoContainer(CloningInto) by Supervisor = "clone-into-container" undo KillInit;
    /// Takes init for the intermediate process, which has forked init and ended.
    AdoptInit by Supervisor = "adopt-init";
    /// Asks systemd to start a unit around the cgroup, with the child in it. The answer is awaited later: systemd takes
    /// longer than all else.
    StartUnit(Rc<cgroup::Unit>) by Supervisor = "start-unit" undo RemoveCgroup;
    /// Has systemd move the process into the unit of a running container (`exec`), where the kernel lets nobody else
    /// do so.
    AttachToUnit(Attached) by Supervisor = "attach-to-unit";
    /// Waits until the intermediate process is in a user namespace of its own.
    AwaitUserNamespace by Supervisor = "await-user-namespace";
    /// Writes the id maps of init's user namespace.
    MapIds(MappedIds) by Supervisor = "map-ids";
    /// Lets init go on, where it waits for its id maps.
    ReleaseInit by Supervisor = "release-init";
    /// Saves what `exec` will need, and prepares the record of the created container, while init builds its root.
    PrepareRecord(ForExec) by Supervisor = "prepare-record" undo RemoveStateDirectory;
    /// Waits until systemd has started the unit. Before the limits: systemd writes some of them too, and not as
    /// exactly.
    AwaitUnit by Supervisor = "await-unit";
    /// v1: makes what systemd has left out of the cgroup, and moves init there.
    MoveIntoCgroup(Rc<cgroup::Plan>) by Supervisor = "move-into-cgroup";
    /// Lets init go on, which is in its cgroup now.
    ReleaseIntoCgroup by Supervisor = "release-into-cgroup";
    /// v2: makes a user of the host the owner of the cgroup, but not of its limits.
    DelegateCgroup(u32) by Supervisor = "delegate-cgroup";
    /// Writes the resource limits, while init builds its root.
    LimitCgroup(Rc<cgroup::Plan>) by Supervisor = "limit-cgroup";
    /// Holds the procfs of the caller, which shows the intermediate process itself: sysctls and labels are written
    /// through it. No container sees the intermediate process, nor what it holds.
    HoldProcfs by Preparer = "hold-procfs";
    /// Sets the OOM score of this process, where the supervisor may not write to its files in /proc. Before anybody in
    /// the container sees the process.
    AdjustOwnOomScore(OomScore) by Preparer = "adjust-own-oom-score";
    /// Joins the namespaces that the supervisor has opened.
    JoinNamespaces(Vec<Namespace>) by Preparer = "join-namespaces";
    /// Enters the root of the running container, where there is no mount namespace to join it by (`exec`).
    EnterRoot by Preparer = "enter-root";
    /// Joins the namespaces of a running container (`exec`).
    JoinContainer(JoiningContainer) by Preparer = "join-container";
    /// The intermediate process forks init into namespaces, and ends: init's pid namespace then belongs to the user
    /// namespace that was joined, as a procfs in it demands.
    ForkInit(NamespaceFlags) by Preparer = "fork-init";
    /// Enters the cgroups of v1, into which no process is born, and sets the CPUs that the process may use of theirs.
    EnterCgroup(Affinity) by Preparer = "enter-cgroup";
    /// Enters the resctrl group, and the monitoring group if there is one, before anything is forked.
    EnterRdtGroup by Preparer = "enter-rdt-group";
    /// Leaves the caller's session and terminal.
    NewSession by Preparer = "new-session";
    /// Makes the namespaces that belong to no root of the container's own, while the supervisor does its part.
    UnshareFirst(NamespaceFlags) by Preparer = "unshare-first";
    /// Moves into a new user namespace, where a pid namespace had to be joined first, with the rights of the host.
    UnshareUser by Preparer = "unshare-user";
    /// Waits until the supervisor has written init's id maps.
    AwaitRelease by Preparer = "await-release";
    /// Becomes root of the new user namespace.
    BecomeRoot by Preparer = "become-root";
    /// Waits until this process is moved into its cgroup, the top of the cgroup namespace to come.
    AwaitCgroup by Preparer = "await-cgroup";
    /// Makes the namespaces that must belong to that root, and what must wait for the cgroup.
    UnshareNamespaces(NamespaceFlags) by Preparer = "unshare-namespaces";
    /// Joins a session keyring of the container's own.
    JoinKeyring(String) by Preparer = "join-keyring";
    /// Brings the loopback device up.
    BringLoopbackUp by Preparer = "bring-loopback-up";
    /// Asks the supervisor for network devices of the caller's, and waits.
    AskForNetDevices by Preparer = "ask-for-net-devices";
    /// Moves network devices of the caller's into init's network namespace. No undo: the kernel moves physical devices
    /// back when the namespace ends, which may be another's.
    MoveNetDevices(Vec<NetDevice>) by Supervisor = "move-net-devices";
    /// Sets the host name.
    SetHostname(String) by Preparer = "set-hostname";
    /// Sets the NIS domain name.
    SetDomainname(String) by Preparer = "set-domainname";
    /// Cuts the mounts off from the host's.
    SetPropagation(OuterPropagation) by Preparer = "set-propagation";
    /// Builds a mount that init, in a user namespace of its own, has no right to build, when init comes to it: its
    /// source may lie in an earlier one. In init's mount namespace: there the flags of the host's mounts, and what they
    /// hide, are locked.
    BuildMount(Box<Mount>) by Supervisor = "build-mount";
    /// Makes the rootfs a mount of its own.
    MountRootfs(PathBuf) by Preparer = "mount-rootfs";
    /// Mounts the rootfs apart from where it is, among the caller's mounts.
    MountRootfsApart(PathBuf) by Preparer = "mount-rootfs-apart";
    /// Mounts a procfs of init's own that no path leads to, where init writes through procfs and the container's own
    /// doesn't serve.
    OpenProcfs by Preparer = "open-procfs";
    /// Performs one entry of `mounts`.
    Mount(Box<Mount>) by Preparer = "mount";
    /// Makes one device node.
    MakeDevice(Device) by Preparer = "make-device";
    /// Makes one of the links that every /dev has.
    MakeDeviceLink(DeviceLink) by Preparer = "make-device-link";
    /// Makes the working directory where it is missing.
    MakeWorkingDirectory(PathBuf) by Preparer = "make-working-directory";
    /// Opens a terminal in the container and gives the supervisor the terminal's master.
    OpenConsole(Console) by Preparer = "open-console";
    /// Takes the master of the terminal from init, and keeps it.
    ReceiveConsole by Supervisor = "receive-console";
    /// Asks the supervisor to run its hooks, and waits.
    AskForHooks by Preparer = "ask-for-hooks";
    /// Runs `prestart` and `createRuntime`, when init asks.
    RunRuntimeHooks(Vec<(HookKind, oci::Hook)>) by Supervisor = "run-runtime-hooks";
    /// Runs `createContainer`.
    RunContainerHooks(Vec<oci::Hook>) by Preparer = "run-container-hooks";
    /// Says that children are born in the pid namespace to join. After the hooks: they have rights that no process in
    /// that namespace may see.
    JoinPidNamespace by Preparer = "join-pid-namespace";
    /// Switches to the new root; the host's mounts are gone.
    SwitchRoot(RootSwitch) by Preparer = "switch-root";
    /// Sets how the root passes mounts on.
    SetRootPropagation(PropagationChange) by Preparer = "set-root-propagation";
    /// Makes a mount read-only that had to be written to until now.
    SealMount(PathBuf) by Preparer = "seal-mount";
    /// Makes the root read-only.
    SealRoot by Preparer = "seal-root";
    /// Writes one sysctl.
    WriteSysctl(Sysctl) by Preparer = "write-sysctl";
    /// Makes one path read-only. Before the masks: a mask may lie below it.
    ProtectPath(PathBuf) by Preparer = "protect-path";
    /// Hides one path.
    MaskPath(PathBuf) by Preparer = "mask-path";
    /// Sets the scheduling policy.
    SetScheduler(SchedulerAttributes) by Preparer = "set-scheduler";
    /// Sets the I/O priority.
    SetIoPriority(IoPriority) by Preparer = "set-io-priority";
    /// Sets the execution domain. Before seccomp, which may forbid it.
    SetPersonality(u64) by Preparer = "set-personality";
    /// Sets the memory policy. In its cgroup, of which the cpuset is complete: the kernel would map the nodes onto
    /// those of a cpuset that comes later. Before seccomp, which may forbid it.
    SetMemoryPolicy(MemoryPolicy) by Preparer = "set-memory-policy";
    /// Asks for an AppArmor profile at the next exec.
    SetApparmorProfile(String) by Preparer = "set-apparmor-profile";
    /// Asks for an SELinux label at the next exec.
    SetSelinuxLabel(String) by Preparer = "set-selinux-label";
    /// Marks every descriptor close-on-exec that the program isn't given. Before seccomp, which may forbid it.
    MarkDescriptors(Descriptors) by Preparer = "mark-descriptors";
    /// Closes every descriptor that init isn't to be born with. Before seccomp, which may forbid it.
    CloseDescriptors(Descriptors) by Preparer = "close-descriptors";
    /// Forbids new privileges.
    SetNoNewPrivileges by Preparer = "set-no-new-privileges";
    /// Sets the rlimits of this process where the filter that comes next forbids to do so later.
    LimitItselfFirst(Vec<Rlimit>) by Preparer = "limit-itself-first";
    /// Installs the seccomp filter where `noNewPrivileges` is not set: that needs a capability, so before they go.
    InstallSeccomp(Rc<Filter>) by Preparer = "install-seccomp";
    /// Drops capabilities from the bounding set.
    LimitBoundingSet(u64) by Preparer = "limit-bounding-set";
    /// Enters the working directory with the rights of root, which may be all that opens it.
    EnterWorkingDirectory(PathBuf) by Preparer = "enter-working-directory";
    /// Changes to the user and groups of the process.
    ChangeUser(User) by Preparer = "change-user";
    /// Sets the capabilities of the process: from here on it has no more than it will keep.
    SetCapabilities(CapabilitySets) by Preparer = "set-capabilities";
    /// Makes sure that the working directory lies in the container; enters it with the rights of the process, where
    /// those of root didn't do (root squashed by NFS, a user's FUSE mount).
    VerifyWorkingDirectory(PathBuf) by Preparer = "verify-working-directory";
    /// Says that all is prepared, and waits until the cgroup restricts what is forked in it.
    AskToFork by Preparer = "ask-to-fork";
    /// Waits until the intermediate process has prepared everything.
    AwaitPrepared by Supervisor = "await-prepared";
    /// Writes the resource limits before init is there to be seized. Not while the intermediate process prepares: that
    /// may need more than the program will have.
    LimitCgroupPrepared(Rc<cgroup::Plan>) by Supervisor = "limit-cgroup-prepared";
    /// Restricts devices before init is there to be seized.
    RestrictDevicesPrepared(Rc<cgroup::Plan>) by Supervisor = "restrict-devices-prepared";
    /// Lets the intermediate process go on, which forks init.
    ReleasePreparer by Supervisor = "release-preparer";
    /// Installs the seccomp filter for init to inherit, where `noNewPrivileges` is set: it needs no capability then, so
    /// after they are gone.
    InstallSeccompInherited(Rc<Filter>) by Preparer = "install-seccomp-inherited";
    /// The intermediate process forks init into the pid namespace that it has joined, and ends. Init is born final:
    /// what sees it there finds no root, no descriptor and no right that the program won't have. From here on no step
    /// needs a right.
    ForkInitLast by Preparer = "fork-init-last";
    /// Takes init for the intermediate process, which has done all that needs a right.
    AdoptInitLast by Supervisor = "adopt-init-last";
    /// Does so where init is known only now.
    PrepareRecordLast(ForExec) by Supervisor = "prepare-record-last" undo RemoveStateDirectory;
    /// Writes a pids limit of one, which has no room for the intermediate process beside init.
    LimitCgroupLast(Rc<cgroup::Plan>) by Supervisor = "limit-cgroup-last";
    /// Leads a session, where the intermediate process has done so for itself alone. With the terminal, if there is
    /// one.
    LeadSession(Leading) by Init = "lead-session";
    /// Finds the program and the home of its user, with the rights of the process, and where the container's own /proc
    /// shows the process: its path may go through `/proc/self`. Before a filter that comes
    /// last, which may forbid to look.
    FindProgram(Rc<Program>) by Init = "find-program";
    /// Sets the rlimits of this process where the supervisor has no right to: to lower a limit of its own needs none.
    LimitItself(Vec<Rlimit>) by Init = "limit-itself";
    /// Installs a seccomp filter that has a listener, while the supervisor is there to fetch its descriptor.
    InstallSeccompListener(Rc<Filter>) by Init = "install-seccomp-listener";
    /// Fetches the descriptor of the filter's listener from init, and hands it to the agent.
    HandOverListener(Listener) by Supervisor = "hand-over-listener";
    /// Tells the supervisor that the container is complete, and waits until that is on record.
    ReportCreated by Init = "report-created";
    /// Waits until init says so.
    AwaitCreated by Supervisor = "await-created";
    /// Sets the OOM score of init.
    AdjustOomScore(OomScore) by Supervisor = "adjust-oom-score";
    /// Sets the rlimits of init from outside, by the right that raising one needs anyway (CAP_SYS_RESOURCE). While init
    /// waits: a low limit would hinder its own work.
    SetRlimits(Vec<Rlimit>) by Supervisor = "set-rlimits";
    /// Restricts devices, when init is complete: it has made and mounted what the container itself may not.
    RestrictDevices(Rc<cgroup::Plan>) by Supervisor = "restrict-devices";
    /// Connects the caller's console socket and sends the master of the terminal. As late as can be: a listener with a
    /// connection counts on a terminal, and may hide the error of a start that failed before it sent the terminal.
    SendConsole(PathBuf) by Supervisor = "send-console";
    /// Saves that the container is created.
    SaveCreated by Supervisor = "save-created";
    /// Makes the socket at which the container says that it is ready (`run`; otherwise `start` makes it).
    BindNotifySocket by Supervisor = "bind-notify-socket" undo RemoveStateDirectory;
    /// Starts the container that init is about to wait for (`run`): it then needn't wait.
    StartAtOnce by Supervisor = "start-at-once";
    /// Lets init outlive the supervisor.
    LetInitGo by Supervisor = "let-init-go";
    /// Waits until the process has become its program (`exec`; otherwise `start` does).
    AwaitExecution by Supervisor = "await-execution";
    /// Writes the pid of init into a file of the caller's.
    WritePidFile(PathBuf) by Supervisor = "write-pid-file" undo RemovePidFile;
    /// Sends the pidfd of init to a socket of the caller's.
    SendPidfd(PathBuf) by Supervisor = "send-pidfd";
    /// Waits for `start`.
    AwaitStart by Init = "await-start";
    /// Installs the seccomp filter as late as can be, where init doesn't inherit it.
    InstallSeccompLast(Rc<Filter>) by Init = "install-seccomp-last";
    /// Runs `startContainer`.
    RunStartHooks(Vec<oci::Hook>) by Init = "run-start-hooks";
    /// Becomes the program.
    Execute(Rc<Program>) by Init = "execute";
}

/// Puts steps into the order of the table; steps of one stage keep the order of the config.
pub(super) fn sorted(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_by_key(|step| step.stage());
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_effect_on_the_host_comes_after_the_record_that_names_it() {
        for stage in Stage::ALL.iter().filter(|stage| stage.undo().is_some()) {
            assert!(*stage >= Stage::SaveRecord, "{}", stage.name());
        }
    }

    #[test]
    fn all_is_prepared_when_init_is_forked_last() {
        let last = Stage::ALL.iter().rfind(|stage| stage.actor() == Actor::Preparer);
        let first = Stage::ALL.iter().find(|stage| stage.actor() == Actor::Init);
        assert_eq!((last, first), (Some(&Stage::ForkInitLast), Some(&Stage::LeadSession)));
    }

    #[test]
    fn the_cgroup_restricts_init_before_init_is_forked_last() {
        let before =
            [Stage::LimitCgroupPrepared, Stage::RestrictDevicesPrepared, Stage::InstallSeccompInherited];
        assert!(before.iter().all(|stage| *stage < Stage::ForkInitLast));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Stage::ALL.len());
    }
}
