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
    Final {
        /// If there is a seccomp filter, the process inherits it.
        filtered: bool,
    },
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
        if machine.mount_setattr {
            Birth::in_shared_namespace(process, filter, machine)
        } else {
            // Before 5.12 the attributes of mounts are changed by paths in a procfs that shows the process.
            Birth::with_too_many_rights("this kernel has no mount_setattr")
        }
    }

    /// How the process of an `exec` is born.
    pub fn of_exec(process: &oci::Process, filter: Option<&Filter>, machine: &Machine) -> Decided {
        Birth::in_shared_namespace(process, filter, machine)
    }

    fn in_shared_namespace(process: &oci::Process, filter: Option<&Filter>, machine: &Machine) -> Decided {
        if process.scheduler().as_ref().is_some_and(is_not_inherited) {
            return Birth::with_too_many_rights("process.scheduler is not inherited");
        }
        let no_new_privileges = process.no_new_privileges().unwrap_or(false);
        match filter.and_then(|filter| not_inherited(filter, process, machine)) {
            None => (Birth::Final { filtered: true }, None),
            // Without no_new_privs the filter needs CAP_SYS_ADMIN, so it comes before the fork.
            Some(why) if !no_new_privileges => Birth::with_too_many_rights(why),
            Some(why) => {
                let note = format!("{why}: until the program starts, its process is seen without the filter");
                (Birth::Final { filtered: false }, Some(note))
            }
        }
    }

    fn with_too_many_rights(why: &str) -> Decided {
        let note = format!(
            "{why}: until the program starts, its process is seen with more rights than it will have"
        );
        (Birth::Joined, Some(note))
    }

    /// Whether an intermediate process prepares everything.
    pub fn is_final(self) -> bool {
        matches!(self, Birth::Final { .. })
    }

    /// Of two steps the right one: `beside` what is prepared, or `last`, when init is forked and known.
    pub fn while_prepared<D, A>(self, beside: fn(D) -> A, last: fn(D) -> A) -> fn(D) -> A {
        match self {
            Birth::OfSupervisor | Birth::Joined => beside,
            Birth::Final { .. } => last,
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
            Birth::Final { .. } => {
                vec![Step::always(ForPreparer::ForkInitLast), Step::always(ForSupervisor::AdoptInitLast)]
            }
        }
    }
}

/// Why a filter can't be in force when the process is forked.
fn not_inherited(filter: &Filter, process: &oci::Process, machine: &Machine) -> Option<&'static str> {
    if filter.listener.is_some() {
        return Some("the listener of linux.seccomp would be inherited");
    }
    let allowed = |(name, args): &(&str, [u64; 6])| filter.allows(machine.native, name, *args);
    let forbidden = |(name, args): &(&str, [u64; 6])| filter.forbids(machine.native, name, *args);
    let terminal = LEADING_WITH_TERMINAL.iter().filter(|_| has_terminal(process));
    if !FORK.iter().any(allowed) || BORN.iter().chain(terminal).any(forbidden) {
        return Some("linux.seccomp forbids to fork, or to lead a session");
    }
    // Without no_new_privs, a process that prepares itself makes these calls under the filter too.
    let no_new_privileges = process.no_new_privileges().unwrap_or(false);
    let home = LOOKING_FOR_HOME.iter().filter(|_| !names_home(process));
    let forbidden = no_new_privileges && UNTIL_EXECVE.iter().chain(home).any(forbidden);
    forbidden.then_some("linux.seccomp forbids what the runtime calls until it executes the program")
}

/// The system calls that fork a process, the newest first: one of them will do.
const FORK: [(&str, [u64; 6]); 2] =
    [("clone3", [0; 6]), ("clone", [(libc::CLONE_PARENT | libc::CLONE_PIDFD) as u64, 0, 0, 0, 0, 0])];

/// The system calls that tell of the fork, and those of the forked process before it goes on as any init does. A name
/// that a machine doesn't have stands for the same call on another.
const BORN: [(&str, [u64; 6]); 5] = [
    ("sendmsg", [0; 6]),
    ("prctl", [libc::PR_SET_PDEATHSIG as u64, libc::SIGKILL as u64, 0, 0, 0, 0]),
    ("poll", [0; 6]),
    ("ppoll", [0; 6]),
    ("setsid", [0; 6]),
];

const LEADING_WITH_TERMINAL: [(&str, [u64; 6]); 1] =
    [("ioctl", [0, libc::TIOCSCTTY as u32 as u64, 0, 0, 0, 0])];

/// The system calls of a forked process from there on, up to those that it makes under its filter in any case: it looks
/// for the program, talks to the supervisor, and waits for `start`.
const UNTIL_EXECVE: [(&str, [u64; 6]); 15] = [
    ("stat", [0; 6]),
    ("newfstatat", [0; 6]),
    ("faccessat2", [0; 6]),
    ("write", [0; 6]),
    ("read", [0; 6]),
    ("prctl", [libc::PR_SET_PDEATHSIG as u64, 0, 0, 0, 0, 0]),
    ("rt_sigprocmask", [0; 6]),
    ("signalfd4", [0; 6]),
    ("fstat", [0; 6]),
    ("nanosleep", [0; 6]),
    ("clock_nanosleep", [0; 6]),
    ("close", [0; 6]),
    ("mmap", [0; 6]),
    ("munmap", [0; 6]),
    ("mremap", [0; 6]),
];

/// The system calls by which it reads the container's /etc/passwd, if the config names no HOME.
const LOOKING_FOR_HOME: [(&str, [u64; 6]); 4] =
    [("geteuid", [0; 6]), ("open", [0; 6]), ("openat", [0; 6]), ("fcntl", [0; 6])];

fn names_home(process: &oci::Process) -> bool {
    let home = |entry: &String| entry.strip_prefix("HOME=").is_some_and(|home| !home.is_empty());
    process.env().iter().flatten().any(home)
}

/// The kernel forks no process of the deadline policy, and takes a policy from a child that says so.
fn is_not_inherited(scheduler: &oci::Scheduler) -> bool {
    let resets = |flag: &oci::LinuxSchedulerFlag| *flag == oci::LinuxSchedulerFlag::SchedResetOnFork;
    *scheduler.policy() == oci::LinuxSchedulerPolicy::SchedDeadline
        || scheduler.flags().iter().flatten().any(resets)
}
