//! `run`: create and start; in the foreground also attend the container and delete it.

use super::create::{Console, Ready, Then, create};
use super::{Container, Invocation, delete, start};
use crate::apply::Created;
use crate::apply::foreground::{Signals, attend};
use crate::apply::handshake::{Channel, Message};
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
        let Created { dir, record, started, lock, mut channel, .. } = created;
        let ran = complete(&Container { dir, record }, started).and_then(|()| said_at_the_end(&mut channel));
        return ran.map(|()| 0).inspect_err(|_| {
            drop(lock);
            if !keep {
                best_effort(delete_what_is_left(invocation, &id), "the first failure is the one to tell");
            }
        });
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
    let ended = attend_to_end(ready, &signals);
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

fn attend_to_end(ready: Ready, signals: &Signals) -> Result<u8> {
    let Ready { created: Created { dir, record, pidfd, mut channel, started, lock }, console } = ready;
    let container = Container { dir, record };
    complete(&container, started)?;
    // Whoever deletes the container while it runs finds it unlocked.
    drop(lock);
    let terminal = console.map(|console| console.receive()).transpose()?;
    let ended = attend(&pidfd, container.record.init_process_pid, signals, terminal)?;
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
