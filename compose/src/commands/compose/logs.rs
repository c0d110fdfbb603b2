//! `logs`: the output of a project's containers, each line behind its container's name.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;

use super::Session;
use crate::actual::{member_of, members};
use crate::changes::Changes;
use crate::cli::compose::Logs;
use crate::cli::docker;
use crate::commands::logs::{Log, Show};
use crate::commands::{Ended, print};
use crate::engine::events::Subscription;
use crate::error::Result;
use crate::keep;
use crate::model::types::Project;
use crate::observe::{Observed, State, since_1970};
use crate::plan::selection;

/// Shows the output, and if it is followed until no container is left that can write more.
pub async fn logs(session: &Session, project: &Project, asked: &Logs) -> Ended {
    let selected = selection::named(project, &asked.services)?;
    show(session, project, asked, (&selected, &selected), None).await
}

/// Shows the output of the services `shown`, and if it is followed until no container of `watched` is left. Who attends
/// to `ends` hears which containers those are, and of their ends.
pub async fn show(
    session: &Session,
    project: &Project,
    asked: &Logs,
    (shown, watched): (&BTreeSet<String>, &BTreeSet<String>),
    mut ends: Option<Ends>,
) -> Ended {
    let is_of = |one: &Observed, services: &BTreeSet<String>| {
        let is_number = |number: u32| asked.index.is_none_or(|index| index == number);
        member_of(one).is_some_and(|member| {
            !member.one_off && services.contains(&member.service) && is_number(member.number)
        })
    };
    let changes = Changes::new()?;
    // From before the first look, so that no container is missed.
    let mut events = if asked.logs.follow { Some(session.engine.subscribe().await?) } else { None };
    let mut output = Shown { asked, tail: asked.logs.tail, logs: Vec::new() };
    loop {
        let mut containers = settled(session, project).await?;
        containers.retain(|one| is_of(one, shown) || is_of(one, watched));
        for one in &containers {
            changes.watch(&session.disk.container(one.id()))?;
            changes.watch(&session.disk.running(one.id()))?;
        }
        let is_over = !containers.iter().any(|one| is_of(one, watched) && may_write(one));
        containers.retain(|one| is_of(one, shown));
        if let Some(ends) = &mut ends {
            ends.begin(&containers)?;
        }
        let is_read = output.show(session, &containers)?;
        if let Some(ends) = &mut ends {
            ends.tell(&containers)?;
        }
        let Some(events) = events.as_mut().filter(|_| is_read && !is_over) else { return Ok(0) };
        if !output.follow(session, &containers, &changes, events).await? {
            return Ok(0);
        }
    }
}

/// Whether it runs, or will again.
fn may_write(one: &Observed) -> bool {
    one.state.is_listed()
}

/// The project's containers, none of which has a keeper that is busy with its end.
async fn settled(session: &Session, project: &Project) -> Result<Vec<Observed>> {
    let containers = members(&session.engine, &project.name).await?;
    let mut busy = containers.iter().filter(|one| !one.state.is_up() && one.kept.init.is_some()).peekable();
    if busy.peek().is_none() {
        return Ok(containers);
    }
    for one in busy {
        keep::settled(&session.disk.running(one.id())).await?;
    }
    members(&session.engine, &project.name).await
}

/// What docker compose puts before a line: the name without the project.
fn label(one: &Observed) -> String {
    member_of(one).map(|member| format!("{}-{}", member.service, member.number)).unwrap_or_default()
}

/// Which ends of containers have been told of.
pub struct Ends {
    /// Ends before this moment don't count. Since 1970.
    since: Duration,
    /// Whether it is told whose output is shown.
    has_begun: bool,
    /// The containers' ids, and when they have ended.
    told: Vec<(String, Duration)>,
    /// Who hears the ids of containers whose ends have been told.
    heard: watch::Sender<Vec<String>>,
}

impl Ends {
    /// Ends from this moment on, since 1970, and what tells the ids of containers whose ends have been told.
    pub fn since(since: Duration) -> (Ends, watch::Receiver<Vec<String>>) {
        let (heard, hears) = watch::channel(Vec::new());
        (Ends { since, has_begun: false, told: Vec::new(), heard }, hears)
    }

    /// Tells once whose output is shown.
    fn begin(&mut self, containers: &[Observed]) -> Result<()> {
        if std::mem::replace(&mut self.has_begun, true) || containers.is_empty() {
            return Ok(());
        }
        let mut labels: Vec<String> = containers.iter().map(label).collect();
        labels.sort();
        print(&format!("Attaching to {}\n", labels.join(", ")))
    }

    /// Tells of new ends.
    fn tell(&mut self, containers: &[Observed]) -> Result<()> {
        for one in containers {
            let Some((code, at)) = end_of(one).filter(|(_, at)| *at >= self.since) else { continue };
            let end = (one.id().to_owned(), at);
            if !self.told.contains(&end) {
                self.told.push(end);
                print(&format!("{} exited with code {code}\n", label(one)))?;
                self.heard.send_modify(|heard| heard.push(one.id().to_owned()));
            }
        }
        Ok(())
    }
}

/// The last end of a container: its exit code, and when it was, since 1970.
fn end_of(one: &Observed) -> Option<(u32, Duration)> {
    match (one.state, &one.exit) {
        (State::Exited { code, at }, _) => Some((code, at)),
        (_, exit) => exit.as_ref().map(|exit| (exit.code, since_1970(exit.ended))),
    }
}

/// The logs that have been shown up to some place, by the containers' ids.
struct Shown<'a> {
    asked: &'a Logs,
    /// How many lines of a container are shown that is there from the beginning.
    tail: Option<usize>,
    logs: Vec<(String, Log)>,
}

impl Shown<'_> {
    /// Shows new lines until a container begins, ends or goes. Returns whether somebody still reads them.
    async fn follow(
        &mut self,
        session: &Session,
        containers: &[Observed],
        changes: &Changes,
        events: &mut Subscription,
    ) -> Result<bool> {
        loop {
            tokio::select! {
                changed = changes.next() => changed?,
                event = events.next() => {
                    let topic = event?.topic;
                    if topic.starts_with("/containers/") || topic.starts_with("/tasks/") {
                        return Ok(true);
                    }
                    continue;
                }
            }
            if !self.show(session, containers)? {
                return Ok(false);
            }
        }
    }

    /// Shows the lines that weren't shown yet. Returns whether somebody still reads them.
    fn show(&mut self, session: &Session, containers: &[Observed]) -> Result<bool> {
        let width = containers.iter().map(|one| label(one).len()).max().unwrap_or_default();
        for one in containers {
            let known = self.logs.iter().position(|(id, _)| id == one.id());
            let at = known.unwrap_or(self.logs.len());
            if known.is_none() {
                let log = Log::of(keep::log_path(&session.disk.container(one.id())));
                self.logs.push((one.id().to_owned(), log));
            }
            let log = &mut self.logs[at].1;
            let begins = docker::Logs { tail: self.tail, ..self.asked.logs.clone() };
            let entries = if known.is_none() { log.begin(&begins)? } else { log.rest()? };
            let prefix =
                if self.asked.no_prefix { String::new() } else { format!("{:width$}  | ", label(one)) };
            if !Show::of(&self.asked.logs, one)?.last_behind(&prefix, &entries, self.tail) {
                return Ok(false);
            }
        }
        self.tail = None;
        Ok(true)
    }
}
