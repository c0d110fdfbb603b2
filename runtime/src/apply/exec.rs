//! The supervisor of `exec`: brings one more process into a running container.

use std::os::fd::{AsFd, OwnedFd};

use super::cgroup::{Cgroup, Entrance};
use super::handshake::{Channel, Message};
use super::init::{self, Inherited};
use super::supervisor::died;
use super::trace::Tracer;
use super::{limits, listener};
use crate::error::{Context, Errno, Error, Kind, Result, best_effort};
use crate::plan::seccomp::Filter;
use crate::plan::{Action, Request, Rlimit, Step};
use crate::state::{Record, Status};
use crate::sys::namespace::Forked;
use crate::sys::pidfd::PidFd;
use crate::sys::process::{self, SingleThreaded};

/// What `exec` is given.
pub struct Joining<'a> {
    /// The container.
    pub record: &'a Record,
    /// The cgroup that the process joins.
    pub cgroup: &'a Cgroup,
    /// What the process does, in order.
    pub steps: &'a [Step],
    /// The seccomp filter.
    pub filter: Option<&'a Filter>,
    /// The id, and the descriptors to keep.
    pub request: &'a Request,
    /// The caller's console socket, connected.
    pub console_socket: Option<OwnedFd>,
    /// Times the steps.
    pub tracer: &'a Tracer,
}

/// A process in the container that has executed its program.
pub struct Joined {
    /// Its pid, for the host.
    pub pid: i32,
    /// Its handle.
    pub pidfd: PidFd,
}

/// Starts a process in the container of the record, and returns once it has become its program.
///
/// Errors: WrongState if the container doesn't run; otherwise what the failing step says, and no process is left.
pub fn exec(mut joining: Joining) -> Result<Joined> {
    let Some(container) = joining.record.init()? else {
        return Err(Error::new(Kind::WrongState, "cannot exec in a stopped container"));
    };
    // Whatever is in the container must not trace this process once it has joined, nor look into its descriptors.
    process::set_dumpable(false)?;
    let alone = SingleThreaded::prove()?;
    let (mut channel, process) = fork(&alone, &mut joining, &container)?;
    match supervise(&joining, &mut channel, &process) {
        Ok(()) => Ok(process),
        Err(err) => {
            best_effort(process.pidfd.send_signal(libc::SIGKILL), "it may have ended already");
            best_effort(process::wait(process.pid), "it may be reaped already");
            Err(err)
        }
    }
}

/// Forks the process into the cgroup or, where that takes no processes, into the one below it that init is in: a
/// container that manages cgroups of its own (systemd, an engine) gives its controllers on, and must move its processes
/// down first.
fn fork(alone: &SingleThreaded, joining: &mut Joining, container: &PidFd) -> Result<(Channel, Joined)> {
    let forked = fork_by_another(alone, joining, container, joining.cgroup.entrance()?);
    let forked = match forked {
        Err(err) if err.is(Errno::EBUSY) || err.is(Errno::EOPNOTSUPP) => {
            let below = joining.cgroup.below_with(joining.record.init_process_pid)?.ok_or(err)?;
            fork_by_another(alone, joining, container, below.entrance()?)
        }
        forked => forked,
    };
    joining.console_socket = None;
    forked
}

/// Forks the process by an intermediate one that has joined the container's namespaces before.
///
/// So it is born with no root, working directory or descriptor of the host's: from the moment when the container's
/// processes can see it, those that may trace others (CAP_SYS_PTRACE) look at it.
fn fork_by_another(
    alone: &SingleThreaded,
    joining: &mut Joining,
    container: &PidFd,
    mut entrance: Entrance,
) -> Result<(Channel, Joined)> {
    let (mut channel, process_channel) = Channel::pair()?;
    // It is this one that is born in a cgroup of the unified hierarchy: the way in is a directory of the host's, which
    // nobody may have open who can be seen in the container.
    match entrance.clone_child(alone, 0)? {
        Forked::Child(child) => {
            let inherited = Inherited {
                child,
                steps: joining.steps,
                request: joining.request,
                filter: joining.filter,
                record: joining.record,
                channel: process_channel,
                entrance,
                namespaces: Vec::new(),
                container: Some((container.as_fd(), joining.record.namespaces)),
                console_socket: joining.console_socket.take(),
                start_fifo: None,
                tracer: joining.tracer,
            };
            init::fork_and_run(inherited, 0)
        }
        Forked::Parent { pid, pidfd } => {
            drop(process_channel);
            let said = channel.listen_for_forked(&PidFd::from(pidfd));
            let ended = process::wait(pid)?;
            let pidfd = PidFd::from(said?.ok_or_else(|| died(ended, joining.cgroup.oom_kills()))?);
            Ok((channel, Joined { pid: pidfd.pid()?, pidfd }))
        }
    }
}

/// Does for the process what takes rights on the host, and waits until it has executed its program.
fn supervise(joining: &Joining, channel: &mut Channel, process: &Joined) -> Result<()> {
    for step in joining.steps {
        if let Action::AdjustOomScore(score) = &step.action {
            limits::adjust_oom_score(process.pid, *score).doing("process.oomScoreAdj")?;
        }
    }
    let mut created = false;
    loop {
        match channel.listen()? {
            Message::Limits => limits::set_rlimits(process.pid, rlimits(joining.steps))?,
            Message::Listener(fd) => hand_over_listener(joining, process, fd)?,
            Message::Created => created = true,
            Message::Independent => continue,
            Message::Failed(err) => return Err(err),
            // The channel closes when the program is executed, and not before `Created`, save for one that was killed.
            Message::Gone if created => return Ok(()),
            Message::Gone => return Err(died(process::wait(process.pid)?, joining.cgroup.oom_kills())),
            other => return Err(Error::internal(format!("the process said {} out of turn", other.name()))),
        }
        channel.go()?;
    }
}

fn hand_over_listener(joining: &Joining, process: &Joined, fd: i32) -> Result<()> {
    match joining.filter.and_then(|filter| filter.listener.as_ref()) {
        Some(to) => listener::hand_over(&process.pidfd, fd, to, joining.record, Status::Running, process.pid),
        None => Err(Error::internal("the filter has no listener")),
    }
}

fn rlimits(steps: &[Step]) -> &[Rlimit] {
    steps
        .iter()
        .find_map(|step| match &step.action {
            Action::SetRlimits(rlimits) => Some(rlimits.as_slice()),
            _ => None,
        })
        .unwrap_or_default()
}
