//! A plan: steps, each with its cause and with the steps that have to be done before it.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::types::Dependency;
use crate::model::values::Condition;

/// A plan. A step stands behind all that it waits for, so that no plan waits for itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
    /// What the user should know, and nothing is done about.
    pub warnings: Vec<String>,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// The steps that have to be done before.
    pub after: Vec<StepId>,
}

/// A step's place in its plan. Only [`Plan::add`] gives it, so that it is of a step that is there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct StepId(usize);

impl StepId {
    /// The index of the step among [`Plan::steps`].
    pub fn index(self) -> usize {
        self.0
    }
}

impl Plan {
    /// Adds a step behind all others.
    pub fn add(&mut self, action: Action, cause: Cause, after: impl IntoIterator<Item = StepId>) -> StepId {
        let mut after: Vec<StepId> = after.into_iter().collect();
        after.sort();
        after.dedup();
        self.steps.push(Step { action, cause, after });
        StepId(self.steps.len() - 1)
    }

    /// The steps, each behind all that it waits for.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether a step does something to the container of that name but wait for it.
    pub fn touches(&self, name: &str) -> bool {
        let is_touched = |step: &Step| match &step.action {
            Action::Create(creation) => creation.target.name == name,
            Action::Start(target)
            | Action::RunHook(target, ..)
            | Action::Kill(target, _)
            | Action::Pause(target)
            | Action::Unpause(target)
            | Action::Stop(target)
            | Action::Remove(target, _) => target.name == name,
            _ => false,
        };
        self.steps.iter().any(is_touched)
    }

    /// Whether a step runs a hook.
    pub fn runs_hooks(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::RunHook(..)))
    }

    /// The names of containers that are removed and not stopped before, because they don't run.
    pub fn removed_at_rest(&self) -> Vec<&str> {
        let is_stopped = |name: &str| {
            let is_it = |step: &Step| matches!(&step.action, Action::Stop(target) if target.name == name);
            self.steps.iter().any(is_it)
        };
        let removed = self.steps.iter().filter_map(|step| match &step.action {
            Action::Remove(target, _) => Some(target.name.as_str()),
            _ => None,
        });
        removed.filter(|name| !is_stopped(name)).collect()
    }

    /// The places of all steps that there are by now.
    pub fn ids(&self) -> impl Iterator<Item = StepId> + use<> {
        (0..self.steps.len()).map(StepId)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Makes a network. Its key in the project, and its name on the host.
    CreateNetwork(Named),
    /// Removes a network.
    RemoveNetwork(Named),
    /// Makes a volume.
    CreateVolume(Named),
    /// Removes a volume and what is in it.
    RemoveVolume(Named),
    /// Makes a container.
    Create(Creation),
    /// Starts a container.
    Start(Target),
    /// Waits for a container.
    Await(Target, Goal),
    /// Runs one of a service's hooks.
    RunHook(Target, Turn, usize),
    /// Sends a signal to a container. The signal as it was typed.
    Kill(Target, String),
    /// Freezes a container.
    Pause(Target),
    /// Lets a frozen container go on.
    Unpause(Target),
    /// Stops a container.
    Stop(Target),
    /// Removes a container, and its anonymous volumes unless another container has them now.
    Remove(Target, AnonymousVolumes),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Goal {
    /// How far the container has to be.
    pub until: Until,
    /// Whether the plan fails with a container that will never be that far. Else the user is warned.
    pub required: bool,
}

/// How far a container has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Until {
    /// Its health check says that it is healthy.
    Healthy,
    /// The same; it runs, if it has no health check.
    Ready,
    /// It has ended with 0.
    Completed,
}

impl Goal {
    /// What a dependency waits for. None: for a start alone.
    pub fn of(dependency: &Dependency) -> Option<Goal> {
        let until = match dependency.condition {
            Condition::Started => return None,
            Condition::Healthy => Until::Healthy,
            Condition::CompletedSuccessfully => Until::Completed,
        };
        Some(Goal { until, required: dependency.required })
    }
}

/// A network or a volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Its name in the project; its name on the host where the project has none for it.
    pub key: String,
    /// Its name on the host.
    pub name: String,
}

/// A container that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Creation {
    /// The container.
    pub target: Target,
    /// The anonymous volumes that it takes over, by where they are mounted.
    pub anonymous_volumes: BTreeMap<String, String>,
}

/// A container that is there, or will be.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Its number among those of its service.
    pub number: u32,
    /// How often the container of this number was replaced.
    pub generation: u64,
    /// The id of a container that is there.
    pub id: Option<String>,
}

/// What becomes of a container's anonymous volumes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnonymousVolumes {
    /// They stay.
    Keep,
    /// They go.
    Remove,
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// Before the start, in a container of its own.
    PreStart,
    /// In the container that was started.
    PostStart,
    /// In the container that is about to be stopped.
    PreStop,
}

/// Why a step is taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// It is asked for by name.
    Asked,
    /// It isn't there.
    Missing,
    /// It is there and doesn't run.
    NotRunning,
    /// Something that is started waits for it.
    Needed,
    /// It is made anew, asked for or not changed.
    Forced,
    /// Its definition has changed.
    ConfigChanged,
    /// Its image has changed.
    ImageChanged,
    /// One of its secrets or configs has changed.
    FilesChanged,
    /// This network of it is another one.
    NetworkChanged(String),
    /// This volume of it is another one.
    VolumeChanged(String),
    /// The container of this service, which it shares namespaces or mounts with, is another one.
    ParentReplaced(String),
    /// This service, on which it depends, was replaced or restarted.
    DependencyRestarted(String),
    /// The command that has made it was killed.
    Abandoned,
    /// There are more containers than wanted.
    TooMany,
    /// There is another one of the same number.
    Duplicate,
    /// Its service isn't in the project.
    Orphan,
    /// Another container takes its place.
    Replaced,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Asked => f.write_str("asked for"),
            Cause::Missing => f.write_str("not there"),
            Cause::NotRunning => f.write_str("not running"),
            Cause::Needed => f.write_str("waited for"),
            Cause::Forced => f.write_str("--force-recreate"),
            Cause::ConfigChanged => f.write_str("its definition has changed"),
            Cause::ImageChanged => f.write_str("its image has changed"),
            Cause::FilesChanged => f.write_str("its secrets or configs have changed"),
            Cause::NetworkChanged(name) => write!(f, "network {name} has changed"),
            Cause::VolumeChanged(name) => write!(f, "volume {name} has changed"),
            Cause::ParentReplaced(name) => write!(f, "{name} has another container"),
            Cause::DependencyRestarted(name) => write!(f, "{name} has restarted"),
            Cause::Abandoned => f.write_str("its command was killed"),
            Cause::TooMany => f.write_str("more than wanted"),
            Cause::Duplicate => f.write_str("there is a newer one"),
            Cause::Orphan => f.write_str("its service isn't in the project"),
            Cause::Replaced => f.write_str("another takes its place"),
        }
    }
}
