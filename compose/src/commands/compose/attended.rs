//! What `up` does once all has started: it shows output, and stops all at the end of a container if it is told to.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use super::logs::{self, Ends};
use super::{Session, lifecycle};
use crate::actual::{member_of, members};
use crate::apply::task;
use crate::cli::attended::{Attended, OnExit};
use crate::cli::compose::{Logs, StopServices, Up};
use crate::cli::docker;
use crate::commands::Ended;
use crate::error::{Error, Result, tell_lines};
use crate::keep;
use crate::model::types::Project;
use crate::observe::{self, Observed, State};
use crate::plan::selection;
use crate::time;

/// Whose output is shown, and whose ends count.
pub struct Attending {
    shown: BTreeSet<String>,
    watched: BTreeSet<String>,
}

impl Attending {
    /// Errors: a service that isn't there, in docker compose's words.
    pub fn of(project: &Project, asked: &Up) -> Result<Attending> {
        let Attended { exit_code_from, attach, no_attach, attach_dependencies, .. } = &asked.attended;
        if let Some(unknown) = exit_code_from.as_ref().filter(|name| !project.services.contains_key(*name)) {
            return Err(Error::new(format!("no such service: {unknown}")));
        }
        let unknown = attach.iter().filter(|name| !project.services.contains_key(*name));
        let unknown: Vec<&str> = unknown.map(String::as_str).collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            return Err(Error::new(format!("cannot attach to services not included in up: {unknown}")));
        }
        let named = selection::named(project, &asked.plan.services)?;
        let mut shown = named.clone();
        if *attach_dependencies {
            shown = selection::with_dependencies(project, shown);
        }
        shown.retain(|name| project.services[name].attach != Some(false));
        if !attach.is_empty() {
            shown = attach.iter().cloned().collect();
        }
        shown.retain(|name| !no_attach.contains(name));
        // As docker compose has it: who names nobody, means those whose output is shown.
        let watched = if asked.plan.services.is_empty() && !shown.is_empty() { shown.clone() } else { named };
        Ok(Attending { shown, watched })
    }

    /// Shows output until no container runs any more. `begun` is when `up` has begun, since 1970. Whoever has
    /// interrupted it stops the containers without it.
    pub async fn run(
        self,
        session: &Session,
        project: &Project,
        asked: &Up,
        (begun, mut interrupted): (Duration, watch::Receiver<bool>),
    ) -> Ended {
        let stop = StopServices { services: asked.plan.services.clone(), seconds: asked.stop_seconds };
        let shown = Logs {
            no_prefix: asked.attended.no_prefix,
            logs: docker::Logs {
                follow: true,
                timestamps: asked.attended.timestamps,
                // What a container has put out at an earlier start was shown then.
                since: Some(time::rfc3339(begun.as_secs() as i64, begun.subsec_nanos())),
                ..docker::Logs::default()
            },
            ..Logs::default()
        };
        let (ends, mut told) = Ends::since(begun);
        let show = logs::show(session, project, &shown, (&self.shown, &self.watched), Some(ends));
        let attend = async {
            if asked.attended.on_exit == OnExit::Ignore {
                return Ok(None);
            }
            let end = self.first_end(session, project, asked.attended.on_exit, begun).await?;
            let Some((id, code)) = end.filter(|_| !*interrupted.borrow()) else { return Ok(None) };
            // Its end is told before what becomes of the others, if it is told at all.
            while !told.borrow_and_update().contains(&id) && told.changed().await.is_ok() {}
            tell_lines(format_args!("Aborting on container exit..."));
            tokio::select! {
                stopped = lifecycle::stop(session, project, &stop) => drop(stopped?),
                _ = interrupted.wait_for(|is| *is) => {}
            }
            Ok::<_, Error>(Some(code))
        };
        let (shown, end) = tokio::join!(show, attend);
        let (code, end) = (shown?, end?);
        match (&asked.attended.exit_code_from, end) {
            (Some(service), _) => code_of(session, project, service).await,
            (None, Some(end)) => Ok(u8::try_from(end).unwrap_or(u8::MAX)),
            (None, None) => Ok(code),
        }
    }

    /// Waits for the first end that stops all, and gives the container's id and its exit code. None: all have ended,
    /// and none so.
    async fn first_end(
        &self,
        session: &Session,
        project: &Project,
        on_exit: OnExit,
        begun: Duration,
    ) -> Result<Option<(String, u32)>> {
        let counts = |code: u32| on_exit == OnExit::Stop || code != 0;
        let mut containers = members(&session.engine, &project.name).await?;
        containers.retain(|one| {
            member_of(one).is_some_and(|member| !member.one_off && self.watched.contains(&member.service))
        });
        // Whoever has ended before we could wait for it. What has ended before `up` doesn't count.
        let over = containers.iter().filter_map(|one| match one.state {
            State::Exited { code, at } if at >= begun => Some((at, code, one.id())),
            _ => None,
        });
        if let Some((_, code, id)) = over.filter(|(_, code, _)| counts(*code)).min() {
            return Ok(Some((id.to_owned(), code)));
        }
        let running = containers.iter().filter(|one| one.state.is_listed());
        let end_of = async |one: &Observed| (one.id().to_owned(), code_of_end(session, one).await);
        let mut ends: FuturesUnordered<_> = running.map(end_of).collect();
        while let Some((id, code)) = ends.next().await {
            if let Some(code) = code?.filter(|code| counts(*code)) {
                return Ok(Some((id, code)));
            }
        }
        Ok(None)
    }
}

/// Waits for the end of a container, and gives its exit code as its keeper has written it down. None: it is gone.
async fn code_of_end(session: &Session, one: &Observed) -> Result<Option<u32>> {
    let waited = task::wait(&session.engine, one.id()).await?;
    if waited.is_some() {
        return Ok(waited);
    }
    keep::settled(&session.disk.running(one.id())).await?;
    let all = observe::containers(&session.engine).await?;
    let found = all.iter().find(|other| other.id() == one.id());
    Ok(found.and_then(|one| match one.state {
        State::Exited { code, .. } | State::Restarting { code } => Some(code),
        _ => None,
    }))
}

/// The exit code of a service's first container. One that has not ended has none, which is 0.
async fn code_of(session: &Session, project: &Project, service: &str) -> Ended {
    let containers = super::chosen::of_service(session, project, service, false).await?;
    for one in &containers {
        keep::settled(&session.disk.running(one.id())).await?;
    }
    let containers = super::chosen::of_service(session, project, service, false).await?;
    let ended = containers.iter().filter_map(|one| match one.state {
        State::Exited { code, at } => Some((at, code)),
        _ => None,
    });
    Ok(ended.min().map_or(0, |(_, code)| u8::try_from(code).unwrap_or(u8::MAX)))
}
