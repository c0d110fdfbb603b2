//! How the process that becomes the program is born.
//!
//! A process in a pid namespace that it shares with others is seen there from its first moment on. A process that has
//! CAP_SYS_PTRACE in the same user namespace may then look at its root and its descriptors, or seize it with all of its
//! rights. So whoever prepares it stays outside of that pid namespace, and it is *born final*: with no root, working
//! directory, descriptor or right that its program won't have. What it has beside these is the way to tell of a failure
//! and, in a new container, the fifo at which it waits for `start`.

use super::process::has_terminal;
use super::seccomp::Filter;
use super::{ForPreparer, ForSupervisor, Machine, NamespaceFlags, Step};
use crate::spec::{Namespace, Spec, oci};

/// How the process that becomes the program is born.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Birth {
    /// As the supervisor's own child. It prepares itself, in a pid namespace of its own.
    OfSupervisor,
    /// Of an intermediate process that has joined namespaces; then it prepares itself.
    Joined,
    /// Of an intermediate process that has prepared everything.
    Final,
}

/// How a process is born, and what a plan notes of it.
pub(super) type Decided = (Birth, Option<String>);

impl Birth {
    /// How init of a new container is born.
    pub fn of_init(
        spec: &Spec,
        process: &oci::Process,
        filter: Option<&Filter>,
        machine: &Machine,
    ) -> Decided {
        let joins =
            |namespace| spec.namespaces().is_private(namespace) && !spec.namespaces().is_new(namespace);
        if !joins(Namespace::Pid) {
            let birth = if joins(Namespace::User) { Birth::Joined } else { Birth::OfSupervisor };
            return (birth, None);
        }
        // Before 5.12 the attributes of mounts are changed by paths in a procfs that shows the process.
        let by_path = (!machine.mount_setattr).then_some("this kernel has no mount_setattr");
        Birth::in_shared_namespace(by_path.or_else(|| hindrance(process, filter, machine)))
    }

    /// How the process of an `exec` is born.
    pub fn of_exec(process: &oci::Process, filter: Option<&Filter>, machine: &Machine) -> Decided {
        Birth::in_shared_namespace(hindrance(process, filter, machine))
    }

    fn in_shared_namespace(hindrance: Option<&str>) -> Decided {
        let note = |hindrance| {
            format!(
                "{hindrance}: until the program starts, its process is seen with more rights than it will have"
            )
        };
        match hindrance.map(note) {
            Some(note) => (Birth::Joined, Some(note)),
            None => (Birth::Final, None),
        }
    }

    /// Of two steps the right one: `beside` what is prepared, or `last`, when init is forked and known.
    pub fn while_prepared<D, A>(self, beside: fn(D) -> A, last: fn(D) -> A) -> fn(D) -> A {
        match self {
            Birth::OfSupervisor | Birth::Joined => beside,
            Birth::Final => last,
        }
    }

    /// The steps that an intermediate process and its supervisor have for this; `namespaces` are those that the fork
    /// makes where nothing is prepared yet.
    pub fn steps(self, namespaces: NamespaceFlags) -> Vec<Step> {
        match self {
            Birth::OfSupervisor => Vec::new(),
            Birth::Joined => {
                vec![Step::always(ForPreparer::ForkInit(namespaces)), Step::always(ForSupervisor::AdoptInit)]
            }
            Birth::Final => {
                vec![Step::always(ForPreparer::ForkInitLast), Step::always(ForSupervisor::AdoptInitLast)]
            }
        }
    }
}

/// What forbids to prepare everything before the fork.
fn hindrance(process: &oci::Process, filter: Option<&Filter>, machine: &Machine) -> Option<&'static str> {
    if process.scheduler().as_ref().is_some_and(is_not_inherited) {
        return Some("process.scheduler is not inherited");
    }
    let filter = filter.filter(|_| !process.no_new_privileges().unwrap_or(false))?;
    // Without no_new_privs the filter needs CAP_SYS_ADMIN, so it comes before the fork.
    if filter.listener.is_some() {
        return Some("the listener of linux.seccomp would be inherited");
    }
    let calls = calls_after_the_fork(has_terminal(process));
    let forbidden = calls
        .iter()
        .any(|any_of| !any_of.iter().any(|(name, args)| filter.allows(machine.native, name, *args)));
    forbidden.then_some("linux.seccomp forbids to fork, or to lead a session")
}

/// The system calls of the fork, and of the forked process before it goes on as any init does: one of each line.
fn calls_after_the_fork(with_terminal: bool) -> Vec<Vec<(&'static str, [u64; 6])>> {
    let clone_flags = (libc::CLONE_PARENT | libc::CLONE_PIDFD) as u64;
    let death_signal = [libc::PR_SET_PDEATHSIG as u64, libc::SIGKILL as u64, 0, 0, 0, 0];
    let mut calls = vec![
        vec![("clone3", [0; 6]), ("clone", [clone_flags, 0, 0, 0, 0, 0])],
        vec![("prctl", death_signal)],
        vec![("setsid", [0; 6])],
    ];
    if with_terminal {
        calls.push(vec![("ioctl", [0, u64::from(libc::TIOCSCTTY as u32), 0, 0, 0, 0])]);
    }
    calls
}

/// The kernel forks no process of the deadline policy, and takes a policy from a child that says so.
fn is_not_inherited(scheduler: &oci::Scheduler) -> bool {
    let resets = |flag: &oci::LinuxSchedulerFlag| *flag == oci::LinuxSchedulerFlag::SchedResetOnFork;
    *scheduler.policy() == oci::LinuxSchedulerPolicy::SchedDeadline
        || scheduler.flags().iter().flatten().any(resets)
}
