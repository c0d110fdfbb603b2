//! What is there of a project: what one look at containerd and at the disk has told.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What is there of a project.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actual {
    /// Its containers, those of `run` and of services that are no more among them.
    pub containers: Vec<Container>,
    /// The networks on the host that the project names or has made, by their names.
    pub networks: BTreeMap<String, Object>,
    /// The volumes on the host that the project names or has made, by their names.
    pub volumes: BTreeMap<String, Object>,
    /// The names or ids by which services ask for containers, of those that are there.
    pub asked: BTreeSet<String>,
}

/// A network or a volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Another one of the same name has another id.
    pub id: String,
    /// The hash of the definition that it was made by; empty for what the project hasn't made.
    pub hash: String,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name, which is its generation's before it and after it.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Its number among the containers of its service, from 1.
    pub number: u32,
    /// Whether `run` or a hook has made it: it is none of the service's own.
    pub one_off: bool,
    /// Whether a hook runs in it before the start of one of the service's own.
    pub hook: Option<Hook>,
    /// How often the container of this number was replaced. The newest one counts.
    pub generation: u64,
    /// What it does.
    pub state: State,
    /// How it feels, if it has a health check.
    pub health: Option<Health>,
    /// What it was made of.
    pub made_of: Ingredients,
    /// The container whose namespaces it has joined, if the container's process has been another one since.
    pub outlived: Option<String>,
    /// Its anonymous volumes by where they are mounted: whoever replaces it takes them over.
    pub anonymous_volumes: BTreeMap<String, String>,
}

impl Container {
    /// Whether `run` has made it.
    pub fn is_of_run(&self) -> bool {
        self.one_off && self.hook.is_none()
    }
}

/// What becomes of a hook's container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hook {
    /// A command waits for it, or it stays for the user to look at, because the hook has failed.
    Wanted,
    /// Its command was killed before it could take the container away.
    Abandoned,
}

/// What a container does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// It was never started.
    #[default]
    Created,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It waits for its next start.
    Restarting,
    /// It has ended with this exit code.
    Exited(u32),
}

impl State {
    /// Whether it has processes.
    pub fn is_up(self) -> bool {
        matches!(self, State::Running | State::Paused)
    }

    /// Whether it has processes, or will have by itself.
    pub fn is_live(self) -> bool {
        matches!(self, State::Running | State::Paused | State::Restarting)
    }
}

/// How a container feels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// No probe has told yet.
    Starting,
    /// The last probe has succeeded.
    Healthy,
    /// As many probes in a row have failed as the check allows.
    Unhealthy,
}

/// What a container is made of. If one of them differs, another container takes its place.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Ingredients {
    /// The hash of its service's definition.
    pub config: String,
    /// The digest of its image.
    pub image: String,
    /// The digest of its secrets and configs.
    pub files: String,
    /// The ids of its networks, by their names on the host.
    pub networks: BTreeMap<String, String>,
    /// The ids of its named volumes, by their names on the host.
    pub volumes: BTreeMap<String, String>,
}
