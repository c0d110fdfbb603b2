//! `kill`: sends a signal.

use super::container::for_each;
use super::{Container, Invocation};
use crate::cli::KillArgs;
use crate::error::{Kind, Result};

/// Sends a signal to a container, or to several.
pub fn run(invocation: &Invocation, args: KillArgs) -> Result<u8> {
    let root = invocation.root()?;
    for_each(&root, &args.which, |id| {
        let container = Container::open(&root, id)?;
        match if args.all { kill_all(&container, args.signal) } else { kill(&container, args.signal) } {
            // Who wants no process of it to go on has nothing to complain about.
            Err(err) if args.all && err.kind() == Kind::WrongState => Ok(()),
            result => result,
        }
    })?;
    Ok(0)
}

/// Sends `signal` to the container's init.
///
/// In a pid namespace of the container's own, SIGKILL for init ends all processes: the kernel sees to it. In a
/// shared one it would leave the others running without a parent, so there it is sent to all, init or no init.
///
/// Errors: WrongState, "container not running".
pub fn kill(container: &Container, signal: i32) -> Result<()> {
    if signal == libc::SIGKILL && !container.record.private_pid_namespace {
        kill_all(container, signal)
    } else {
        container.signal_init(signal)
    }
}

/// Sends `signal` to all processes of the container.
///
/// Errors: WrongState, "container not running", if there are none.
pub fn kill_all(container: &Container, signal: i32) -> Result<()> {
    let cgroup = container.cgroup();
    if cgroup.pids().is_ok_and(|pids| !pids.is_empty()) {
        cgroup.signal_all(signal)
    } else {
        container.signal_init(signal)
    }
}
