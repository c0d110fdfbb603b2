//! What is there: the containers of a namespace with their tasks, by one List of each.

use crate::apply::record::{self, Record};
use crate::engine::Engine;
use crate::engine::containers::{Container, ListContainers};
use crate::engine::tasks::{ListTasks, Process, Status};
use crate::engine::types::Timestamp;
use crate::error::{Error, Kind, Result};

/// A container, whoever made it.
#[derive(Clone, Debug)]
pub struct Observed {
    pub container: Container,
    pub task: Option<Process>,
    /// What we know of it beside, if it is one of ours.
    pub record: Option<Record>,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Created,
    Running,
    Paused,
    Exited { code: u32, at: Option<Timestamp> },
}

impl State {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Running => "running",
            State::Paused => "paused",
            State::Exited { .. } => "exited",
        }
    }

    /// Whether there is a process.
    pub fn is_up(self) -> bool {
        matches!(self, State::Running | State::Paused)
    }
}

impl Observed {
    pub fn id(&self) -> &str {
        &self.container.id
    }

    /// Its name. Those that others made have one of theirs, or their id.
    pub fn name(&self) -> &str {
        let labels = &self.container.labels;
        let named = labels.get(record::NAME).or_else(|| labels.get("nerdctl/name"));
        named.map_or(&self.container.id, String::as_str)
    }

    pub fn state(&self) -> State {
        match &self.task {
            None => State::Created,
            Some(task) => match task.status() {
                Status::Running | Status::Unknown => State::Running,
                Status::Paused | Status::Pausing => State::Paused,
                Status::Created => State::Created,
                Status::Stopped => State::Exited { code: task.exit_status, at: task.exited_at },
            },
        }
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
    let (containers, tasks) =
        tokio::join!(engine.call(ListContainers { filters: Vec::new() }), engine.call(ListTasks {}));
    let mut tasks = tasks?.tasks;
    let mut observed = Vec::new();
    for container in containers?.containers {
        let task = tasks.iter().position(|task| task.id == container.id).map(|at| tasks.swap_remove(at));
        // A record that a later version wrote is as good as none.
        let record = Record::of(&container).ok().flatten();
        observed.push(Observed { container, task, record });
    }
    observed.sort_by_key(|one| std::cmp::Reverse(one.container.created_at));
    Ok(observed)
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
        (None, None, _) => Err(Error::of_kind(Kind::NotFound, format!("No such container: {typed}"))),
    }
}
