//! `run`: create and start; in the foreground also attend the container and delete it.

use super::create::{Console, Ready, create};
use super::{Container, Invocation, delete, start};
use crate::apply::Created;
use crate::apply::foreground::{Signals, attend};
use crate::apply::handshake::Message;
use crate::cli::RunArgs;
use crate::error::{Context, Result, best_effort};
use crate::state::ContainerDir;
use crate::sys::process;

/// Runs a container. The exit code is that of its process, or 128 and the signal that ended it.
pub fn run(invocation: &Invocation, args: RunArgs) -> Result<u8> {
    if args.detach {
        let console = Console::Handed(args.create.console_socket.clone());
        let ready = create(invocation, args.create, console)?;
        let Created { dir, record, lock: _lock, .. } = ready.created;
        return start::start(&Container { dir, record }).map(|()| 0);
    }
    let (keep, id) = (args.keep, args.create.id.clone());
    let signals = Signals::collect()?;
    if !args.no_subreaper {
        process::set_child_subreaper()?;
    }
    let console = match &args.create.console_socket {
        Some(socket) => Console::Handed(Some(socket.clone())),
        None => Console::Own,
    };
    let ready = create(invocation, args.create, console)?;
    let ended = attend_to_end(ready, &signals);
    if !keep {
        let deleted = invocation
            .root()
            .and_then(|root| ContainerDir::open(&root, &id))
            .and_then(|dir| delete::delete(dir, true, &invocation.report));
        // The container's own end is what the caller asked for; only after a good one is this the news.
        if ended.is_ok() {
            deleted.doing_with(|| format!("delete {id}"))?;
        } else {
            best_effort(deleted, "the first failure is the one to tell");
        }
    }
    ended
}

fn attend_to_end(ready: Ready, signals: &Signals) -> Result<u8> {
    let Ready { created: Created { dir, record, pidfd, mut channel, lock }, console } = ready;
    let container = Container { dir, record };
    start::start(&container)?;
    // Whoever deletes the container while it runs finds it unlocked.
    drop(lock);
    let terminal = console.map(|console| console.receive()).transpose()?;
    let ended = attend(&pidfd, container.record.init_process_pid, signals, terminal)?;
    // A program that couldn't be executed says so on the channel, which is closed otherwise.
    match channel.listen() {
        Ok(Message::Failed(err)) => Err(err),
        _ => Ok(ended.code() as u8),
    }
}
