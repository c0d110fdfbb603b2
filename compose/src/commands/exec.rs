//! `exec`: one more process in a container that runs.

use std::io::IsTerminal;

use serde_json::Value;

use super::{Ended, Session, code_of, complain};
use crate::apply::attach::{Ends, Outcome, Target, UNREAD};
use crate::apply::exec::{self, Addition};
use crate::apply::stdio::{Pipes, Streams};
use crate::cli::docker::Exec;
use crate::error::{Error, Result, tell_lines};
use crate::id;
use crate::observe::{self, Observed};

pub async fn exec(session: &Session, asked: &Exec) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, &asked.container)?;
    ready(one, asked)?;
    within(session, one, asked).await.or_else(|err| {
        complain(&err);
        Ok(code_of(&err))
    })
}

/// Refuses what no process of the container's could be.
pub fn ready(one: &Observed, asked: &Exec) -> Result<()> {
    exec::check_runs(one)?;
    let reads = asked.interactive && asked.process.tty && !asked.detach;
    if reads && !std::io::stdin().is_terminal() {
        return Err(Error::new("the input device is not a TTY"));
    }
    Ok(())
}

/// Adds the process to a container that is [`ready`], and gives its exit code.
///
/// Errors: it could not be started, see [`code_of`].
pub async fn within(session: &Session, one: &Observed, asked: &Exec) -> Ended {
    let process = exec::process(one, &asked.process)?;
    let target = Target { container: one.id().to_owned(), exec: id::random()? };
    if asked.detach {
        return detached(session, &target, process).await;
    }
    attached(session, asked, &target, process).await
}

async fn detached(session: &Session, target: &Target, process: Value) -> Ended {
    exec::add(&session.engine, target, process, &Streams::default()).await?;
    exec::start(&session.engine, target).await?;
    Ok(0)
}

async fn attached(session: &Session, asked: &Exec, target: &Target, process: Value) -> Ended {
    let engine = &session.engine;
    let Addition { tty, .. } = asked.process;
    let dir = session.disk.running(&target.container).join(&target.exec);
    let pipes = Pipes::new(&dir, asked.interactive, tty)?;
    let streams = pipes.fifos.streams.clone();
    let ends = Ends::of_pipes(pipes)?.detached_by(asked.detach_keys.clone());
    exec::add(engine, target, process, &streams).await?;
    match ends.tie(engine, target, exec::start(engine, target)).await {
        Ok(Outcome::Detached) => {
            tell_lines(format_args!("read escape sequence"));
            Ok(1)
        }
        Ok(Outcome::Unread) => Ok(UNREAD),
        Ok(Outcome::Ended(code)) => {
            exec::delete(engine, target).await;
            Ok(code)
        }
        Err(err) => {
            exec::delete(engine, target).await;
            Err(err)
        }
    }
}
