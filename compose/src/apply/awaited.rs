//! A container that a step of a plan waits for.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::hold::hold;
use super::task;
use super::walk::Progress;
use crate::changes::Changes;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::error::{Context, Error, Kind, Result, tell};
use crate::keep::{Settings, Status};
use crate::observe::{self, State};
use crate::plan::graph::{Goal, Target, Until};

/// How often the container is looked at, though nothing has told of a change.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a container without a health check has to run until it is ready: as long as docker compose waits until it
/// looks for the first time. An end that takes less, because somebody restarts the container, doesn't count: docker
/// compose looks no more often. Nor does an end at which somebody holds the container, and starts it again.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// The container, by what the plan calls it.
pub struct Awaited<'a> {
    pub engine: &'a Engine,
    pub disk: &'a Disk,
    pub target: &'a Target,
    pub id: &'a str,
}

impl Awaited<'_> {
    /// Waits until it is that far.
    ///
    /// Errors: in docker compose's words, when it will never be that far and has to.
    pub async fn wait_for(&self, goal: Goal) -> Result<Progress> {
        let Some(why) = self.why_never(goal.until).await? else { return Ok(Progress::Done) };
        let service = &self.target.service;
        let (failed, skipped) = match goal.until {
            Until::Completed => (format!("service {service:?} {why}"), why),
            Until::Healthy => {
                (format!("dependency failed to start: {why}"), format!("failed to start: {why}"))
            }
            Until::Ready => (why.clone(), format!("is not running or is unhealthy: {why}")),
        };
        if goal.required {
            return Err(Error::new(failed));
        }
        tell(format_args!("warning: optional dependency {service:?} {skipped}"));
        Ok(Progress::Skipped)
    }

    /// Waits until it is that far, or says why it will never be.
    async fn why_never(&self, until: Until) -> Result<Option<String>> {
        let (running, lasting) = (self.disk.running(self.id), self.disk.container(self.id));
        let is_checked = Settings::load(&lasting)?.health.is_some();
        let changes = Changes::of([running.as_path(), lasting.as_path()])?;
        // The end of a task that has no keeper is told by nobody but the task.
        let ended = task::wait(self.engine, self.id);
        tokio::pin!(ended);
        let mut has_ended = false;
        if until == Until::Ready && !is_checked {
            // What ends at once isn't ready, though it has run.
            has_ended = timeout(FIRST_LOOK, &mut ended).await.is_ok();
        }
        let mut doubts = Doubts::default();
        let mut is_let_go_of = false;
        let says = |what: &str| Ok(Some(format!("container {} {what}", self.target.name)));
        loop {
            // Since the first look there may be a directory that there wasn't.
            changes.watch(&running)?;
            let one = match observe::one(self.engine, self.id).await {
                Err(err) if err.kind() == Kind::NotFound => return says("was removed"),
                found => found.at(&self.target.name)?,
            };
            let lacks_keeper = is_checked && one.lacks_keeper();
            let last = doubts.take(one.state, lacks_keeper);
            if last && !is_let_go_of {
                // Whoever restarts the container holds it until it runs again.
                hold(self.disk, self.id).await.map(drop)?;
                is_let_go_of = true;
                continue;
            }
            is_let_go_of = last;
            let health = one.kept.health.as_ref().map(|health| health.status).filter(|_| !lacks_keeper);
            match (until, one.state, health) {
                (Until::Completed, State::Exited { code: 0, .. }, _) => return Ok(None),
                (_, State::Exited { code, .. }, _) if last => match until {
                    Until::Completed => {
                        return Ok(Some(format!("didn't complete successfully: exit {code}")));
                    }
                    Until::Ready | Until::Healthy => return says(&format!("exited ({code})")),
                },
                (Until::Ready | Until::Healthy, _, _) if last => {
                    return says("has an unknown health: its keeper is gone");
                }
                (Until::Ready, State::Running, _) if !is_checked => return Ok(None),
                (Until::Healthy, State::Running, _) if !is_checked => {
                    return says("has no healthcheck configured");
                }
                (Until::Ready | Until::Healthy, _, Some(Status::Healthy)) if one.state.is_up() => {
                    return Ok(None);
                }
                (Until::Ready | Until::Healthy, _, Some(Status::Unhealthy)) if one.state.is_up() => {
                    return says("is unhealthy");
                }
                _ => tokio::select! {
                    changed = changes.next() => changed?,
                    _ = &mut ended, if !has_ended => has_ended = true,
                    () = sleep(doubts.pause()) => {}
                },
            }
        }
    }
}

/// What is taken for true once it has been so for a while: somebody may be about to start the container again.
#[derive(Debug, Default)]
struct Doubts(Option<Instant>);

impl Doubts {
    /// Takes a look. Returns whether the container has ended, or lacks its keeper, for so long that it stays so.
    fn take(&mut self, state: State, lacks_keeper: bool) -> bool {
        if !lacks_keeper && !matches!(state, State::Exited { .. }) {
            self.0 = None;
            return false;
        }
        self.0.get_or_insert_with(Instant::now).elapsed() >= FIRST_LOOK
    }

    /// When to look again.
    fn pause(&self) -> Duration {
        self.0.map_or(LOOK_AGAIN, |since| FIRST_LOOK.saturating_sub(since.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_counts_once_it_has_lasted() {
        let exited = State::Exited { code: 137, at: Duration::ZERO };
        let mut doubts = Doubts::default();
        assert!(!doubts.take(exited, false) && doubts.pause() <= FIRST_LOOK);
        assert!(!doubts.take(State::Running, false));
        assert_eq!(doubts.pause(), LOOK_AGAIN);
        doubts.0 = Instant::now().checked_sub(FIRST_LOOK);
        assert!(doubts.take(exited, false));
        assert!(doubts.take(State::Running, true), "nobody probes it");
    }
}
