//! Ending a container: `stop` and `kill`. The container is held while it is looked at and told, and let go of while its
//! end is waited for: nobody else waits for a grace.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::hold::{Hold, hold};
use super::task;
use super::want::want;
use crate::disk::Disk;
use crate::engine::announce::Done;
use crate::engine::tasks::Status;
use crate::engine::{Engine, again};
use crate::error::{Error, Kind, Result, absent_is_fine};
use crate::model::values::Restart;
use crate::observe::{self, Observed, State};
use crate::record::{Record, STOPPED_BY_USER, Wanted};
use crate::{keep, signals};

/// What every stop of a process is by, unless somebody says otherwise.
pub const SIGNAL: &str = "SIGTERM";

/// How long a process that was killed may take to its end.
const KILLED: Duration = Duration::from_secs(2);

/// How long a task that is made may take to its start.
const STARTED: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// How many processes of a container are ended, each of which was started though the container is to be stopped.
const PROCESSES_MAX: usize = 10;

/// How a container is stopped: by its own signal and with its own patience, unless somebody says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct How<'a> {
    pub signal: Option<&'a str>,
    /// Seconds from the signal to SIGKILL; -1: for ever.
    pub seconds: Option<i64>,
}

impl How<'_> {
    fn signal(&self, record: &Record) -> Result<u32> {
        let own = Some(record.stop_signal.as_str()).filter(|signal| !signal.is_empty());
        signals::number(self.signal.or(own).unwrap_or(SIGNAL))
    }

    fn seconds(&self, record: &Record) -> Option<u64> {
        self.seconds.map_or(Some(record.stop_seconds()), |seconds| u64::try_from(seconds).ok())
    }
}

/// Stops a container, and returns when nothing of it runs any more. One that is removed meanwhile is stopped.
pub async fn stop(engine: &Engine, disk: &Disk, id: &str, how: How<'_>) -> Result<()> {
    absent_is_fine(stopped(engine, disk, id, how).await.map(drop))
}

/// Stops a container, and holds it from the moment at which nothing of it runs any more. It runs nevertheless if
/// somebody else has started it again since its process has ended.
///
/// Errors: NotFound, if it is removed.
pub async fn stopped(engine: &Engine, disk: &Disk, id: &str, how: How<'_>) -> Result<(Hold, Observed)> {
    let mut told = None;
    for _ in 0..PROCESSES_MAX {
        let held = hold(disk, id).await?;
        let one = observe::one(engine, id).await?;
        let record = one.record.clone().unwrap_or_default();
        if told.is_some() && runs_anew(&one, told) {
            return Ok((held, one));
        }
        // Before the signal: nobody may take the end for one that calls for a restart.
        if told.is_none() || !is_stopped(&one) {
            want(engine, &one.container, &record, Wanted::Stopped).await?;
        }
        let one = if one.state.is_up() { one } else { after_starts(engine, disk, one, &record).await? };
        if !one.state.is_up() {
            return Ok((held, one));
        }
        if one.state == State::Paused {
            task::resume(engine, id).await?;
        }
        let ending = task::tell(engine, id, how.signal(&record)?).await?;
        drop(held);
        match ending {
            Some(ending) => ending.within(how.seconds(&record)).await?,
            // Its end is known to all in a moment.
            None => drop(timeout(KILLED, task::wait(engine, id)).await),
        }
        if told.is_none() {
            Done::to(id, "stop").announce(engine).await;
        }
        told = pid(&one);
    }
    Err(Error::new(format!("{id}: it is started again and again while it is stopped")))
}

fn pid(one: &Observed) -> Option<u32> {
    one.task.as_ref().map(|task| task.pid)
}

/// Whether another process runs than the one that was told to end, and by a user's will.
fn runs_anew(one: &Observed, told: Option<u32>) -> bool {
    one.state.is_up() && pid(one) != told && !is_stopped(one)
}

fn is_stopped(one: &Observed) -> bool {
    one.container.labels.get(STOPPED_BY_USER).is_some_and(|stopped| stopped == "true")
}

/// Looks at a container once nobody starts it any more. What was being started at that moment may run for a moment.
async fn after_starts(engine: &Engine, disk: &Disk, one: Observed, record: &Record) -> Result<Observed> {
    if record.service.restart_policy() == Restart::No {
        return Ok(one);
    }
    let running = disk.running(one.id());
    keep::given_up(&running).await?;
    let now = started_or_gone(engine, one.id()).await?;
    if now.state.is_up() || now.task.is_none() {
        return Ok(now);
    }
    // A process that has ended at once is just being taken away.
    keep::given_up(&running).await?;
    started_or_gone(engine, one.id()).await
}

/// Looks at a container once no task of it is about to be started: containerd's restart monitor may have made one.
async fn started_or_gone(engine: &Engine, id: &str) -> Result<Observed> {
    let begun = Instant::now();
    loop {
        let now = observe::one(engine, id).await?;
        let is_made =
            now.task.as_ref().map_or(now.kept.is_beginning(), |task| task.status() == Status::Created);
        if !is_made || begun.elapsed() > STARTED {
            return Ok(now);
        }
        sleep(LOOK).await;
    }
}

/// Sends a signal to a container. One that is meant to end it is the user's stop: nobody starts the container again.
/// Returns after SIGKILL when the process has ended.
///
/// Errors: in Docker's words, if it doesn't run.
pub async fn kill(engine: &Engine, disk: &Disk, id: &str, signal: u32) -> Result<()> {
    let held = hold(disk, id).await?;
    let one = observe::one(engine, id).await?;
    if !one.state.is_listed() {
        return Err(task::not_running(&one));
    }
    let record = one.record.clone().unwrap_or_default();
    let is_stop = signals::number(&record.stop_signal).is_ok_and(|stop| stop == signal);
    let ends = signal == task::SIGKILL || is_stop;
    if let State::Restarting { .. } = one.state {
        drop(held);
        // There is no process that could have the signal.
        return if ends { stop(engine, disk, id, How::default()).await } else { Ok(()) };
    }
    if !ends {
        return task::kill(engine, id, signal).await;
    }
    // Before the signal: nobody may take the end for one that calls for a restart.
    want(engine, &one.container, &record, Wanted::Stopped).await?;
    let ending = task::Ending::of(engine, id);
    match task::kill(engine, id, signal).await {
        // It has ended by itself just now, and would have come back.
        Err(err) if err.kind() == Kind::NotFound && record.service.restart_policy() != Restart::No => {
            drop(held);
            return stop(engine, disk, id, How::default()).await;
        }
        killed => killed?,
    }
    // What is frozen would end only once it goes on.
    if one.state == State::Paused {
        if let Err(err) = task::resume(engine, id).await {
            // The kernel ends by SIGKILL what is frozen, too, where the cgroup is of v2.
            timeout(KILLED, again::wait(engine, id)).await.map_or(Err(err), |ended| ended.map(drop))?;
        }
    }
    drop(held);
    if signal == task::SIGKILL { ending.of_killed().await } else { Ok(()) }
}
