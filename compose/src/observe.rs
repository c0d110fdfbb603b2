//! What is there: the containers of a namespace with their tasks, by one List of each.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::disk::Disk;
use crate::engine::Engine;
use crate::engine::containers::{Container, GetContainer};
use crate::engine::tasks::{GetTask, ListTasks, Process, Status};
use crate::engine::types::Timestamp;
use crate::error::{Context, Error, Kind, Result};
use crate::net::endpoint::{Endpoint, Endpoints};
use crate::record::{self, Record};
use crate::{keep, process};

/// A container, whoever made it.
#[derive(Clone, Debug)]
pub struct Observed {
    pub container: Container,
    pub task: Option<Process>,
    pub state: State,
    /// What we know of it beside, if it is one of ours.
    pub record: Option<Record>,
    /// What its keeper says.
    pub kept: keep::State,
    /// How it ended the last time.
    pub exit: Option<keep::Exit>,
    /// What it has got of networks, while it runs.
    pub endpoints: Vec<Endpoint>,
}

/// What a container is doing. Moments are since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Created,
    Running,
    Paused,
    Restarting { code: u32 },
    Exited { code: u32, at: Duration },
}

impl State {
    fn of(task: Option<&Process>, is_awaited: bool, exit: Option<&keep::Exit>) -> State {
        match (task.map(Process::status), task, exit) {
            (Some(Status::Running | Status::Unknown), _, _) => State::Running,
            (Some(Status::Paused | Status::Pausing), _, _) => State::Paused,
            (Some(Status::Created), _, Some(exit)) if is_awaited => State::Restarting { code: exit.code },
            // Its next process is being made, and isn't started yet.
            (Some(Status::Created), _, Some(exit)) if exit.started.is_some() => State::of_exit(exit),
            (Some(Status::Created), _, _) => State::Created,
            (_, Some(task), _) if is_awaited => State::Restarting { code: task.exit_status },
            (_, Some(task), _) => State::Exited { code: task.exit_status, at: moment(task.exited_at) },
            (_, None, Some(exit)) if is_awaited => State::Restarting { code: exit.code },
            // It could not be started, and never has been before.
            (_, None, Some(exit)) if exit.started.is_none() => State::Created,
            (_, None, Some(exit)) => State::of_exit(exit),
            (_, None, None) => State::Created,
        }
    }

    fn of_exit(exit: &keep::Exit) -> State {
        State::Exited { code: exit.code, at: since_1970(exit.ended) }
    }

    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Running => "running",
            State::Paused => "paused",
            State::Restarting { .. } => "restarting",
            State::Exited { .. } => "exited",
        }
    }

    /// Whether it is in the list of those that run.
    pub fn is_listed(self) -> bool {
        self.is_up() || matches!(self, State::Restarting { .. })
    }

    /// Whether there is a process.
    pub fn is_up(self) -> bool {
        matches!(self, State::Running | State::Paused)
    }
}

/// Whether it is between two processes: its last one has ended, somebody is there to start the next one, and the user
/// hasn't stopped it meanwhile.
fn is_awaited(
    container: &Container,
    record: Option<&Record>,
    kept: &keep::State,
    end: Option<(u32, Duration)>,
) -> bool {
    let is_stopped = container.labels.get(record::STOPPED_BY_USER).is_some_and(|stopped| stopped == "true");
    if is_stopped || !kept.is_in_charge() {
        return false;
    }
    let was_restarted = kept.restarts.count > 0;
    let Some((code, at)) = end else { return was_restarted };
    let started = kept.started.map(since_1970).unwrap_or_default();
    if started > at {
        // The next process has begun since the task was looked at.
        return was_restarted;
    }
    // Whoever starts it again says so at last when it deletes the task. Before, the policy tells.
    let comes_back = |record: &Record| {
        let end = keep::End { code, lived: at.saturating_sub(started), stopped: false };
        kept.restarts.after(record.service.restart_policy().into(), end).is_some()
    };
    kept.is_due() || kept.init.is_some() && record.is_some_and(comes_back)
}

/// A moment of containerd's.
pub fn moment(at: Option<Timestamp>) -> Duration {
    let at = at.unwrap_or_default();
    Duration::new(u64::try_from(at.seconds).unwrap_or_default(), u32::try_from(at.nanos).unwrap_or_default())
}

pub fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Observed {
    pub fn id(&self) -> &str {
        &self.container.id
    }

    /// Its name. What others made has a name of theirs, or its id.
    pub fn name(&self) -> &str {
        let labels = &self.container.labels;
        let named = labels.get(record::NAME).or_else(|| labels.get("nerdctl/name"));
        named.map_or(&self.container.id, String::as_str)
    }

    /// When its process started, or has last been started. Of a process without a keeper the kernel knows it.
    pub fn started(&self) -> Option<Duration> {
        let last = self.exit.as_ref().and_then(|exit| exit.started);
        if !self.state.is_up() {
            return last.map(since_1970);
        }
        let of_process = || process::Process::of(self.task.as_ref()?.pid.try_into().ok()?)?.start();
        self.kept.started.or_else(of_process).or(last).map(since_1970)
    }

    /// Whether it runs without anybody who probes it and writes its log.
    pub fn lacks_keeper(&self) -> bool {
        self.state.is_up() && !self.kept.has_keeper()
    }

    /// What we know of it.
    ///
    /// Errors: a container that we didn't make.
    pub fn record(&self) -> Result<&Record> {
        self.record.as_ref().ok_or_else(|| Error::new(format!("{}: not made by cortenctl", self.name())))
    }
}

/// All containers of the namespace, the newest first.
pub async fn containers(engine: &Engine) -> Result<Vec<Observed>> {
    let (containers, tasks) = tokio::join!(engine.containers(), engine.call(ListTasks {}));
    let disk = Disk::of(engine.namespace());
    let mut tasks: HashMap<String, Process> =
        tasks?.tasks.into_iter().map(|task| (task.id.clone(), task)).collect();
    let mut observed: Vec<Observed> = containers?
        .into_iter()
        .map(|container| {
            let task = tasks.remove(&container.id);
            observed_as(&disk, container, task)
        })
        .collect();
    observed.sort_by_key(|one| std::cmp::Reverse(one.container.created_at));
    Ok(observed)
}

/// The container of that id.
///
/// Errors: NotFound, in Docker's words.
pub async fn one(engine: &Engine, id: &str) -> Result<Observed> {
    let get = GetContainer { id: id.to_owned() };
    let (container, task) = tokio::join!(engine.call(get), task(engine, id));
    let container = match container {
        Err(err) if err.kind() == Kind::NotFound => None,
        answer => answer.at(id)?.container,
    };
    let container = container.ok_or_else(|| no_such(id))?;
    Ok(observed_as(&Disk::of(engine.namespace()), container, task?))
}

/// A container and its task, with what is on disk of both.
fn observed_as(disk: &Disk, mut container: Container, task: Option<Process>) -> Observed {
    // What a later version wrote is as good as nothing.
    let record = Record::of(&container).ok().flatten();
    record.iter().for_each(|record| record.complete(&mut container));
    let kept = keep::State::load(&disk.running(&container.id)).ok().flatten().unwrap_or_default();
    let exit = keep::Exit::load(&disk.container(&container.id)).ok().flatten();
    let exit = if task.is_none() && !kept.is_in_charge() { kept.exit_unless_seen(exit) } else { exit };
    let end = match (&task, &exit) {
        (Some(task), _) => {
            (task.status() == Status::Stopped).then(|| (task.exit_status, moment(task.exited_at)))
        }
        (None, exit) => exit.as_ref().map(|exit| (exit.code, since_1970(exit.ended))),
    };
    let is_awaited = is_awaited(&container, record.as_ref(), &kept, end);
    let state = State::of(task.as_ref(), is_awaited, exit.as_ref());
    let endpoints = state.is_up().then(|| Endpoints::load(disk, &container.id).ok().flatten()).flatten();
    let endpoints = endpoints.into_iter().flat_map(|list| list.endpoints).map(|made| made.endpoint).collect();
    Observed { container, task, state, record, kept, exit, endpoints }
}

fn no_such(typed: &str) -> Error {
    Error::of_kind(Kind::NotFound, format!("No such container: {typed}"))
}

/// The container of that id or name, or the only one whose id begins so.
///
/// Errors: NotFound, in Docker's words.
pub fn find<'a>(observed: &'a [Observed], typed: &str) -> Result<&'a Observed> {
    let typed = typed.strip_prefix('/').unwrap_or(typed);
    let exact = observed.iter().find(|one| one.id() == typed || one.name() == typed);
    let mut beginning = observed.iter().filter(|one| !typed.is_empty() && one.id().starts_with(typed));
    match (exact, beginning.next(), beginning.next()) {
        (Some(one), _, _) | (None, Some(one), None) => Ok(one),
        (None, Some(_), Some(_)) => {
            Err(Error::new(format!("multiple IDs found with provided prefix: {typed}")))
        }
        (None, None, _) => Err(no_such(typed)),
    }
}

/// The task of a container, if there is one.
pub async fn task(engine: &Engine, id: &str) -> Result<Option<Process>> {
    match engine.call(GetTask { container_id: id.to_owned(), ..GetTask::default() }).await {
        Ok(answer) => Ok(answer.process),
        Err(err) if err.kind() == Kind::NotFound => Ok(None),
        Err(err) => Err(err).at(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_is_not_started_yet_leaves_its_container_as_it_was() {
        let created = Process { status: Status::Created as i32, ..Process::default() };
        let ended = UNIX_EPOCH + Duration::from_secs(7);
        let failed_start = keep::Exit { code: 128, ended, ..keep::Exit::default() };
        let exit = keep::Exit { code: 3, started: Some(UNIX_EPOCH), ..failed_start.clone() };
        let of = |is_awaited, exit| State::of(Some(&created), is_awaited, exit);
        assert_eq!(of(false, None), State::Created);
        assert_eq!(of(false, Some(&failed_start)), State::Created);
        assert_eq!(of(false, Some(&exit)), State::Exited { code: 3, at: Duration::from_secs(7) });
        assert_eq!(of(true, Some(&exit)), State::Restarting { code: 3 });
    }
}
