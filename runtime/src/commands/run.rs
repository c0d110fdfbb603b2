//! `run`: create and start; in the foreground also attend the container and delete it.

use super::create::{Then, create};
use super::{Invocation, caller};
use crate::apply::foreground::{Signals, attend};
use crate::cli::RunArgs;
use crate::container::{Console, NewContainer, Readiness, Remains, Running};
use crate::error::{Context, Result, best_effort};
use crate::sys::process;

/// Runs a container. The exit code is that of its process, or 128 and the signal that ended it.
///
/// Process-wide effects: in the foreground, all signals are blocked, and orphans among the descendants of this process
/// become its children (PR_SET_CHILD_SUBREAPER); else the signals that end this process are blocked.
pub(super) fn run(invocation: &Invocation, args: RunArgs) -> Result<u8> {
    if args.detach { in_the_background(invocation, args) } else { in_the_foreground(invocation, args) }
}

fn in_the_background(invocation: &Invocation, args: RunArgs) -> Result<u8> {
    let _signals = Signals::collect_ending()?;
    let console = args.create.console_socket.clone().map_or(Console::Nobody, Console::Socket);
    let created = create(invocation, args.create, Then::Start, console)?;
    let remains = created.remains();
    let running = created.wait_until_running().and_then(|mut running| {
        running.check_executed()?;
        Ok(running)
    });
    let mut running = running.inspect_err(|_| {
        if !args.keep {
            best_effort(delete(invocation, remains), "the first failure is the one to tell");
        }
    })?;
    let main_pid = running.container.pid().unsigned_abs();
    if let Some(readiness) = readiness(invocation, &mut running, main_pid) {
        or_warn(invocation, readiness.settle(&running.init));
    }
    Ok(0)
}

fn in_the_foreground(invocation: &Invocation, args: RunArgs) -> Result<u8> {
    let id = args.create.id.clone();
    let signals = Signals::collect()?;
    if !args.no_subreaper {
        process::set_child_subreaper()?;
    }
    let console = args.create.console_socket.clone().map_or(Console::Relayed, Console::Socket);
    let created = create(invocation, args.create, Then::Start, console)?;
    let remains = created.remains();
    let ended = attend_to_end(invocation, created, &signals);
    if !args.keep {
        best_effort(signals.heed_again(), "no signal then ends the deletion");
        let deleted = delete(invocation, remains);
        // A failure to delete the container is told only if nothing failed before it.
        if ended.is_ok() {
            deleted.doing_with(|| format!("delete {id}"))?;
        } else {
            best_effort(deleted, "the first failure is the one to tell");
        }
    }
    ended
}

fn attend_to_end(invocation: &Invocation, created: NewContainer, signals: &Signals) -> Result<u8> {
    let mut running = created.wait_until_running()?;
    let terminal = running.terminal.take();
    // The manager attends this process, which stands in for the container's.
    let readiness = readiness(invocation, &mut running, std::process::id());
    let ended = attend(&running.init, running.container.pid(), signals, terminal, readiness)?;
    running.check_executed().map(|()| ended.code() as u8)
}

/// Deletes what this process has made. Another command may have done so, and have given the id to another container.
fn delete(invocation: &Invocation, remains: Remains) -> Result<()> {
    let warnings = remains.delete_by_force()?;
    invocation.report.warnings(&warnings);
    Ok(())
}

/// Hears from the container that it is ready. The container runs even if the service manager can't be told, as with
/// runc.
fn readiness(invocation: &Invocation, running: &mut Running, main_pid: u32) -> Option<Readiness> {
    let address = caller::notify_socket()?;
    or_warn(invocation, running.readiness(&address, main_pid)).flatten()
}

fn or_warn<T>(invocation: &Invocation, told: Result<T>) -> Option<T> {
    told.inspect_err(|err| invocation.report.warning(&err.to_string())).ok()
}
