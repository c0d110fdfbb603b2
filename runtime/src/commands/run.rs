//! `run`: create and start; in the foreground also attend the container and delete it.

use std::os::fd::OwnedFd;

use super::create::{Console, Ready, Then, create, notify_socket};
use super::{Container, Invocation, delete, start};
use crate::apply::Created;
use crate::apply::foreground::{Signals, attend};
use crate::apply::handshake::{Channel, Message};
use crate::apply::readiness::Readiness;
use crate::apply::starting::Started;
use crate::cli::RunArgs;
use crate::error::{Context, Error, Result, best_effort};
use crate::state::{ContainerDir, ContainerId};
use crate::sys::process;

/// Runs a container. The exit code is that of its process, or 128 and the signal that ended it.
pub fn run(invocation: &Invocation, args: RunArgs) -> Result<u8> {
    let (keep, id) = (args.keep, args.create.id.clone());
    if args.detach {
        let console = Console::Handed(args.create.console_socket.clone());
        let created = create(invocation, args.create, Then::Start, console)?.created;
        let Created { dir, record, started, lock, mut channel, notify_socket, pidfd } = created;
        let main_pid = record.init_process_pid.unsigned_abs();
        let ran = complete(&Container { dir, record }, started).and_then(|()| said_at_the_end(&mut channel));
        // Whoever looks at the container, or ends it, while it is getting ready, finds it unlocked.
        drop(lock);
        ran.inspect_err(|_| {
            if !keep {
                best_effort(delete_what_is_left(invocation, &id), "the first failure is the one to tell");
            }
        })?;
        if let Some(readiness) = readiness(invocation, notify_socket, main_pid) {
            or_warn(invocation, readiness.settle(&pidfd));
        }
        return Ok(0);
    }
    let signals = Signals::collect()?;
    if !args.no_subreaper {
        process::set_child_subreaper()?;
    }
    let console = match &args.create.console_socket {
        Some(socket) => Console::Handed(Some(socket.clone())),
        None => Console::Own,
    };
    let ready = create(invocation, args.create, Then::Start, console)?;
    let ended = attend_to_end(invocation, ready, &signals);
    if !keep {
        let deleted = delete_what_is_left(invocation, &id);
        // The container's own end is what the caller asked for; only after a good one is this the news.
        if ended.is_ok() {
            deleted.doing_with(|| format!("delete {id}"))?;
        } else {
            best_effort(deleted, "the first failure is the one to tell");
        }
    }
    ended
}

fn delete_what_is_left(invocation: &Invocation, id: &ContainerId) -> Result<()> {
    delete::delete(ContainerDir::open(&invocation.root()?, id)?, true, &invocation.report)
}

/// What hears from the container at `socket` that it is ready. A service manager that can't be told keeps no container
/// from running, as in runc; and nobody listens to the container then, so that it doesn't wait for a reader.
fn readiness(invocation: &Invocation, socket: Option<OwnedFd>, main_pid: u32) -> Option<Readiness> {
    let (socket, address) = socket.zip(notify_socket())?;
    or_warn(invocation, Readiness::of(socket, &address, main_pid))
}

fn or_warn<T>(invocation: &Invocation, told: Result<T>) -> Option<T> {
    told.inspect_err(|err| invocation.report.warning(&err.to_string())).ok()
}

fn attend_to_end(invocation: &Invocation, ready: Ready, signals: &Signals) -> Result<u8> {
    let Ready { created, console } = ready;
    let Created { dir, record, pidfd, mut channel, started, notify_socket, lock } = created;
    let container = Container { dir, record };
    complete(&container, started)?;
    // Whoever deletes the container while it runs finds it unlocked.
    drop(lock);
    let terminal = console.map(|console| console.receive()).transpose()?;
    // What the manager attends is this process, which stands in for the container's.
    let readiness = readiness(invocation, notify_socket, std::process::id());
    let ended = attend(&pidfd, container.record.init_process_pid, signals, terminal, readiness)?;
    said_at_the_end(&mut channel).map(|()| ended.code() as u8)
}

fn complete(container: &Container, started: Option<Started>) -> Result<()> {
    let started = started.ok_or_else(|| Error::internal("the plan started no container"))?;
    start::complete(container, started)
}

/// A program that couldn't be executed says so on the channel, which is closed otherwise.
fn said_at_the_end(channel: &mut Channel) -> Result<()> {
    match channel.listen() {
        Ok(Message::Failed(err)) => Err(err),
        _ => Ok(()),
    }
}
