//! `up` and `create`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::sync::watch;

use super::attended::Attending;
use super::interruption::{Interruption, asking, end_hooks, ending, unless_interrupted};
use super::{Session, facts, images, lifecycle, progress};
use crate::apply::sweep::sweep;
use crate::cli::compose::{StopServices, Up};
use crate::commands::Ended;
use crate::error::{Result, tell_lines};
use crate::model::types::Project;
use crate::net::sweep::Care;
use crate::plan;
use crate::plan::selection;
use crate::plan::up::up as planned;
use crate::plan::wanted::Wanted;
use crate::time;

/// The exit code of who is interrupted.
const INTERRUPTED: u8 = 130;

/// How it ended that containers were stopped.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Stopped {
    All,
    /// The user has no patience left: some may run.
    LetGo,
}

/// Brings a project up. In the foreground shows its output until nothing runs any more. SIGINT and SIGTERM stop all.
pub async fn up(session: &Session, project: &Project, asked: &Up) -> Ended {
    // What can't be attended to is told before anything begins.
    let attending = Attending::of(project, asked)?;
    let begun = time::now();
    if asked.detach || session.dry_run {
        return bring_up(session, project, asked).await.map(|()| 0);
    }
    let in_foreground = in_foreground(session, project, asked, (attending, begun));
    unless_interrupted(&session.hooks, ending(), in_foreground).await
}

async fn in_foreground(
    session: &Session,
    project: &Project,
    asked: &Up,
    (attending, begun): (Attending, Duration),
) -> Ended {
    let mut interruption = Interruption::listen(asking())?;
    let is_up = {
        let mut bringing = pin!(bring_up(session, project, asked));
        tokio::select! {
            up = &mut bringing => up.map(|()| true)?,
            _ = interruption.next() => {
                end_hooks(&session.hooks, bringing, &mut interruption).await;
                false
            }
        }
    };
    if !is_up {
        return stop(session, project, asked, &mut interruption).await.map(|_| INTERRUPTED);
    }
    let (interrupt, interrupted) = watch::channel(false);
    let attended = attending.run(session, project, asked, (begun, interrupted));
    tokio::pin!(attended);
    tokio::select! {
        ended = &mut attended => ended,
        _ = interruption.next() => {
            interrupt.send_replace(true);
            stop_attended(session, project, asked, (&mut interruption, attended)).await
        }
    }
}

/// Stops what was brought up, and goes on showing what it puts out meanwhile.
async fn stop_attended(
    session: &Session,
    project: &Project,
    asked: &Up,
    (interruption, mut attended): (&mut Interruption, Pin<&mut impl Future<Output = Ended>>),
) -> Ended {
    let mut ended = None;
    let stopped = {
        let stopping = stop(session, project, asked, interruption);
        tokio::pin!(stopping);
        tokio::select! {
            stopped = &mut stopping => stopped?,
            all = &mut attended => {
                ended = Some(all);
                stopping.await?
            }
        }
    };
    if ended.is_none() && stopped == Stopped::All {
        tokio::select! {
            all = &mut attended => ended = Some(all),
            _ = interruption.next() => {}
        }
    }
    ended.unwrap_or(Ok(INTERRUPTED)).map(|_| INTERRUPTED)
}

/// Stops what was brought up. Who is interrupted again kills it.
async fn stop(
    session: &Session,
    project: &Project,
    asked: &Up,
    interruption: &mut Interruption,
) -> Result<Stopped> {
    tell_lines(format_args!("Gracefully stopping... (press Ctrl+C again to force)"));
    let services = asked.plan.services.clone();
    let stop = StopServices { services, seconds: asked.stop_seconds };
    tokio::select! {
        stopped = lifecycle::stop(session, project, &stop) => stopped?,
        _ = interruption.next() => {
            tokio::select! {
                killed = lifecycle::kill(session, project, &stop.services, ("SIGKILL", false)) => killed?,
                // Who still has no patience is let go of.
                _ = interruption.next() => return Ok(Stopped::LetGo),
            }
        }
    };
    Ok(Stopped::All)
}

/// `scale`: as `up`, with other numbers.
pub async fn scale(
    session: &Session,
    project: &Project,
    counts: BTreeMap<String, u32>,
    no_deps: bool,
) -> Ended {
    let services = counts.keys().cloned().collect();
    let plan = plan::up::Options { services, scale: counts, no_deps, ..plan::up::Options::default() };
    let asked = Up { plan, detach: true, ..Up::default() };
    bring_up(session, project, &asked).await.map(|()| 0)
}

async fn bring_up(session: &Session, project: &Project, asked: &Up) -> Result<()> {
    let mut selected: BTreeSet<String> = selection::named(project, &asked.plan.services)?;
    if !asked.plan.no_deps {
        selected = selection::with_dependencies(project, selected);
    }
    let images = images::ensure_built(session, project, &selected, asked.pull, asked.building).await?;
    let facts = facts::of(session, project, &images).await?;
    let held = session.lock(project).await?;
    if !session.dry_run {
        sweep(&session.engine, &session.disk, Care::Checked).await?;
    }
    let actual = session.actual(project).await?;
    let plan = planned(Wanted { project, facts: &facts }, &actual, &asked.plan)?;
    if !session.dry_run {
        progress::tell_running(session.telling, &plan, &actual, &selected);
    }
    session.carry_out(held, project, &facts, &images, &plan, asked.stop_seconds).await
}
