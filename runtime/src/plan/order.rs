//! The sequence of a container's start, as one table.
//!
//! The order of [`Stage`] is the order of time. Supervisor and init run at once; where one waits for the other, the
//! table says so in words, and `apply/handshake.rs` has the messages. `plan` sorts its steps by stage, so a subsystem
//! says *what* is to be done and this file alone says *when*.

use super::Step;

/// Which process performs a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The `corten` process itself, in the namespaces of its caller.
    Supervisor,
    /// The child that becomes the container's process.
    Init,
}

/// What a step leaves on the host that outlives both processes, and how it is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// It leaves nothing: it dies with the process or with the mount namespace.
    Nothing,
    /// The state directory is removed.
    RemoveStateDirectory,
    /// The cgroups are emptied and removed; the record names them before they are made.
    RemoveCgroup,
    /// Init is killed; the record has its pid, and the death of the supervisor kills it too.
    KillInit,
    /// The pid file is removed.
    RemovePidFile,
}

/// The privilege of the container's own process that a step uses up: what must still be there when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Nothing: works for any process.
    Nothing,
    /// Capabilities in the container's user namespace, such as CAP_SYS_ADMIN for mounts.
    Capabilities,
}

macro_rules! stages {
    ($($(#[doc = $doc:literal])+ $stage:ident = $name:literal, $actor:ident, $needs:ident, $undo:ident;)+) => {
        /// The stages of a start, in the order of time.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Stage { $($(#[doc = $doc])+ $stage,)+ }

        impl Stage {
            /// All stages in order.
            pub const ALL: &[Stage] = &[$(Stage::$stage),+];

            /// The name in plans, traces, errors and tests.
            pub fn name(self) -> &'static str {
                match self { $(Stage::$stage => $name,)+ }
            }

            /// Who performs it.
            pub fn actor(self) -> Actor {
                match self { $(Stage::$stage => Actor::$actor,)+ }
            }

            /// What init must still be allowed to do for it.
            pub fn needs(self) -> Needs {
                match self { $(Stage::$stage => Needs::$needs,)+ }
            }

            /// How its effect on the host is taken back.
            pub fn undo(self) -> Undo {
                match self { $(Stage::$stage => Undo::$undo,)+ }
            }
        }
    };
}

stages! {
    /// Makes the state directory and saves the record that names all that will be made.
    SaveRecord = "save-record", Supervisor, Nothing, RemoveStateDirectory;
    /// Makes the cgroup, or takes one that is there and empty. Before the clone, so that init can be born in it.
    CreateCgroup = "create-cgroup", Supervisor, Nothing, RemoveCgroup;
    /// Makes the fifo that `start` writes to. After the cgroup: that it is there tells `delete`, if no more comes of this
    /// start, that what is in the cgroup is the container's.
    MakeStartFifo = "make-start-fifo", Supervisor, Nothing, RemoveStateDirectory;
    /// Makes the directory that the container sees at /run/notify, where its socket to say that it is ready will be.
    MakeNotifyDirectory = "make-notify-directory", Supervisor, Nothing, RemoveStateDirectory;
    /// Opens a namespace to join, while the host's paths can still be seen.
    OpenNamespace = "open-namespace", Supervisor, Nothing, Nothing;
    /// Makes the time namespace and its offsets; only children that are forked afterwards enter it.
    NewTimeNamespace = "new-time-namespace", Supervisor, Nothing, Nothing;
    /// Clones init.
    CloneInit = "clone-init", Supervisor, Nothing, KillInit;
    /// Writes the id maps of init's user namespace.
    MapIds = "map-ids", Supervisor, Nothing, Nothing;
    /// Sets the OOM score of init.
    AdjustOomScore = "adjust-oom-score", Supervisor, Nothing, Nothing;
    /// Lets init go on, where it waits for its id maps.
    ReleaseInit = "release-init", Supervisor, Nothing, Nothing;
    /// Saves what `exec` will need, and prepares the record of the created container, while init builds its root.
    PrepareRecord = "prepare-record", Supervisor, Nothing, RemoveStateDirectory;
    /// Writes the resource limits, while init builds its root.
    LimitCgroup = "limit-cgroup", Supervisor, Nothing, Nothing;

    /// Joins the namespaces that were opened. The last step of an intermediate process, where there is one.
    JoinNamespaces = "join-namespaces", Init, Nothing, Nothing;
    /// Enters the cgroups of v1, where nobody is born in, and sets the CPUs that the process may use of theirs. Not in
    /// the intermediate process: there may be no more than one left of the limit of processes.
    EnterCgroup = "enter-cgroup", Init, Nothing, Nothing;
    /// Leaves the caller's session and terminal.
    NewSession = "new-session", Init, Nothing, Nothing;
    /// Makes the namespaces that belong to no root of the container's own, while the supervisor does its part.
    UnshareFirst = "unshare-first", Init, Nothing, Nothing;
    /// Waits until the supervisor has written init's id maps.
    AwaitRelease = "await-release", Init, Nothing, Nothing;
    /// Becomes root of the new user namespace.
    BecomeRoot = "become-root", Init, Nothing, Nothing;
    /// Makes the namespaces that must belong to that root.
    UnshareNamespaces = "unshare-namespaces", Init, Capabilities, Nothing;
    /// Joins a session keyring of the container's own.
    JoinKeyring = "join-keyring", Init, Nothing, Nothing;
    /// Brings the loopback device up.
    BringLoopbackUp = "bring-loopback-up", Init, Capabilities, Nothing;
    /// Sets the host name.
    SetHostname = "set-hostname", Init, Capabilities, Nothing;
    /// Sets the NIS domain name.
    SetDomainname = "set-domainname", Init, Capabilities, Nothing;
    /// Cuts the mounts off from the host's.
    SetPropagation = "set-propagation", Init, Capabilities, Nothing;
    /// Builds a mount that init, in a user namespace of its own, has no right to build, when init comes to it: its source
    /// may lie in an earlier one. In init's mount namespace: there the flags of the host's mounts, and what they hide, are
    /// locked.
    BuildMount = "build-mount", Supervisor, Nothing, Nothing;
    /// Makes the rootfs a mount of its own.
    MountRootfs = "mount-rootfs", Init, Capabilities, Nothing;
    /// Mounts a procfs of init's own that no path leads to, for all that is written through /proc.
    OpenProcfs = "open-procfs", Init, Capabilities, Nothing;
    /// Performs one entry of `mounts`.
    Mount = "mount", Init, Capabilities, Nothing;
    /// Makes one device node.
    MakeDevice = "make-device", Init, Capabilities, Nothing;
    /// Makes one of the links that every /dev has.
    MakeDeviceLink = "make-device-link", Init, Capabilities, Nothing;
    /// Makes the working directory where it is missing.
    MakeWorkingDirectory = "make-working-directory", Init, Capabilities, Nothing;
    /// Opens a terminal in the container and hands its other end to the caller.
    OpenConsole = "open-console", Init, Capabilities, Nothing;
    /// Asks the supervisor to run its hooks, and waits.
    AskForHooks = "ask-for-hooks", Init, Nothing, Nothing;
    /// Runs `prestart` and `createRuntime`, when init asks.
    RunRuntimeHooks = "run-runtime-hooks", Supervisor, Nothing, Nothing;
    /// Runs `createContainer`.
    RunContainerHooks = "run-container-hooks", Init, Capabilities, Nothing;
    /// Switches to the new root; the host's mounts are gone.
    SwitchRoot = "switch-root", Init, Capabilities, Nothing;
    /// Sets how the root passes mounts on.
    SetRootPropagation = "set-root-propagation", Init, Capabilities, Nothing;
    /// Makes a mount read-only that had to be written to until now.
    SealMount = "seal-mount", Init, Capabilities, Nothing;
    /// Makes the root read-only.
    SealRoot = "seal-root", Init, Capabilities, Nothing;
    /// Writes one sysctl.
    WriteSysctl = "write-sysctl", Init, Capabilities, Nothing;
    /// Makes one path read-only. Before the masks: a mask may lie below it.
    ProtectPath = "protect-path", Init, Capabilities, Nothing;
    /// Hides one path.
    MaskPath = "mask-path", Init, Capabilities, Nothing;
    /// Sets the scheduling policy.
    SetScheduler = "set-scheduler", Init, Capabilities, Nothing;
    /// Sets the I/O priority.
    SetIoPriority = "set-io-priority", Init, Capabilities, Nothing;
    /// Sets the execution domain. Before seccomp, which may forbid it.
    SetPersonality = "set-personality", Init, Nothing, Nothing;
    /// Asks for an AppArmor profile at the next exec.
    SetApparmorProfile = "set-apparmor-profile", Init, Nothing, Nothing;
    /// Asks for an SELinux label at the next exec.
    SetSelinuxLabel = "set-selinux-label", Init, Nothing, Nothing;
    /// Asks the supervisor for the resource limits, and waits.
    AskForLimits = "ask-for-limits", Init, Nothing, Nothing;
    /// Sets the rlimits of init from outside, since raising one needs a right on the host. When init asks: a low
    /// limit would hinder its own work.
    SetRlimits = "set-rlimits", Supervisor, Nothing, Nothing;
    /// Marks every descriptor close-on-exec that the program isn't given. Before seccomp, which may forbid it.
    MarkDescriptors = "mark-descriptors", Init, Nothing, Nothing;
    /// Forbids new privileges.
    SetNoNewPrivileges = "set-no-new-privileges", Init, Nothing, Nothing;
    /// Installs the seccomp filter where `noNewPrivileges` is not set: that needs a capability, so before they go.
    InstallSeccomp = "install-seccomp", Init, Capabilities, Nothing;
    /// Drops capabilities from the bounding set.
    LimitBoundingSet = "limit-bounding-set", Init, Capabilities, Nothing;
    /// Enters the working directory with the rights of root, which may be all that opens it.
    EnterWorkingDirectory = "enter-working-directory", Init, Nothing, Nothing;
    /// Changes to the user and groups of the process.
    ChangeUser = "change-user", Init, Capabilities, Nothing;
    /// Sets the capabilities of the process: from here on it has no more than it will keep.
    SetCapabilities = "set-capabilities", Init, Capabilities, Nothing;
    /// Makes sure that the working directory lies in the container; enters it with the rights of the process, where
    /// those of root didn't do (root squashed by NFS, a user's FUSE mount).
    VerifyWorkingDirectory = "verify-working-directory", Init, Nothing, Nothing;
    /// Finds the program, with the rights of the process.
    FindProgram = "find-program", Init, Nothing, Nothing;
    /// Installs a seccomp filter that has a listener, while the supervisor is there to fetch its descriptor.
    InstallSeccompListener = "install-seccomp-listener", Init, Nothing, Nothing;
    /// Fetches the descriptor of the filter's listener from init, and hands it to the agent.
    HandOverListener = "hand-over-listener", Supervisor, Nothing, Nothing;
    /// Tells the supervisor that the container is complete, and waits until that is on record.
    ReportCreated = "report-created", Init, Nothing, Nothing;
    /// Waits until init says so.
    AwaitCreated = "await-created", Supervisor, Nothing, Nothing;
    /// Restricts devices, when init is complete: it has made and mounted what the container itself may not.
    RestrictDevices = "restrict-devices", Supervisor, Nothing, Nothing;
    /// Saves that the container is created, and writes the pid file.
    SaveCreated = "save-created", Supervisor, Nothing, RemovePidFile;
    /// Makes the socket at which the container says that it is ready (`run`; otherwise `start` makes it).
    BindNotifySocket = "bind-notify-socket", Supervisor, Nothing, RemoveStateDirectory;
    /// Starts the container that init is about to wait for (`run`): it then needn't wait.
    StartAtOnce = "start-at-once", Supervisor, Nothing, Nothing;
    /// Lets init outlive the supervisor.
    LetInitGo = "let-init-go", Supervisor, Nothing, Nothing;
    /// Waits for `start`.
    AwaitStart = "await-start", Init, Nothing, Nothing;
    /// Installs the seccomp filter as late as can be.
    InstallSeccompLast = "install-seccomp-last", Init, Nothing, Nothing;
    /// Runs `startContainer`.
    RunStartHooks = "run-start-hooks", Init, Nothing, Nothing;
    /// Becomes the program.
    Execute = "execute", Init, Nothing, Nothing;
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
    fn nothing_after_the_capabilities_are_set_needs_one() {
        let after = Stage::ALL.iter().filter(|stage| **stage > Stage::SetCapabilities);
        for stage in after {
            assert_eq!(stage.needs(), Needs::Nothing, "{}", stage.name());
        }
    }

    #[test]
    fn every_effect_on_the_host_comes_after_the_record_that_names_it() {
        for stage in Stage::ALL.iter().filter(|stage| stage.undo() != Undo::Nothing) {
            assert_eq!(stage.actor(), Actor::Supervisor, "{}: init can't undo", stage.name());
            assert!(*stage >= Stage::SaveRecord, "{}", stage.name());
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Stage::ALL.len());
    }
}
