//! `attach`: our streams and those of a container that runs.

use std::io::IsTerminal;

use super::{Ended, Session};
use crate::apply::attach::{Ends, Outcome, Target, UNREAD};
use crate::apply::stdio;
use crate::cli::inside::Attach;
use crate::error::{Error, Kind, Result};
use crate::keep::attach_socket;
use crate::observe::{self, Observed, State};

pub async fn attach(session: &Session, asked: &Attach) -> Ended {
    let containers = session.containers().await?;
    tied(session, observe::find(&containers, &asked.name)?, asked).await
}

/// Ties our streams to the container's until the container ends, or the user leaves it alone.
pub async fn tied(session: &Session, one: &Observed, asked: &Attach) -> Ended {
    check_runs(one)?;
    let service = &one.record()?.service;
    let reads = service.stdin_open && !asked.no_stdin;
    if reads && service.tty && !std::io::stdin().is_terminal() {
        return Err(Error::new("the input device is not a TTY"));
    }
    let running = session.disk.running(one.id());
    let input = if reads { stdio::input(&running) } else { None };
    let ends = Ends::of_running(attach_socket(&running), service.tty, input.as_deref())?;
    let ends = ends.detached_by(asked.detach_keys.clone());
    // Keys go to a terminal; what else ends this program isn't meant for the container.
    let ends = if asked.sig_proxy && !service.tty { ends } else { ends.without_signals() };
    let target = Target { container: one.id().to_owned(), exec: String::new() };
    match ends.tie(&session.engine, &target, async { Ok(()) }).await? {
        Outcome::Ended(code) => Ok(code),
        Outcome::Unread => Ok(UNREAD),
        Outcome::Detached => Err(Error::new("read escape sequence")),
    }
}

/// Errors: WrongState, in Docker's words.
fn check_runs(one: &Observed) -> Result<()> {
    let why = match one.state {
        State::Running => return Ok(()),
        State::Paused => "cannot attach to a paused container, unpause it first",
        State::Restarting { .. } => "cannot attach to a restarting container, wait until it is running",
        State::Created | State::Exited { .. } => "cannot attach to a stopped container, start it first",
    };
    Err(Error::of_kind(Kind::WrongState, why))
}
