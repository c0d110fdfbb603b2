//! What a keeper tells others: files that are there whole or not at all.

use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::health::Health;
use super::restart::History;
use crate::changes::Changes;
use crate::disk;
use crate::error::Result;
use crate::process::Process;

const STATE: &str = "state.json";
const EXIT: &str = "exit.json";

/// What is known while the container runs, or will again. It is in the container's directory below /run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct State {
    /// Who knows it. If that process is gone, so is the knowledge of what comes next.
    pub keeper: Option<Process>,
    /// The container's first process.
    #[serde(default)]
    pub init: Option<Process>,
    /// When it started.
    #[serde(default)]
    pub started: Option<SystemTime>,
    /// Its health, if there is a check.
    #[serde(default)]
    pub health: Option<Health>,
    /// What restarts there have been.
    #[serde(default)]
    pub restarts: History,
    /// When the container is started again, if it has ended and will be.
    #[serde(default)]
    pub next_restart: Option<SystemTime>,
}

/// How a container has ended the last time. It is in the container's directory that lasts.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Exit {
    /// The exit code.
    pub code: u32,
    /// When it started.
    pub started: Option<SystemTime>,
    /// When it ended.
    pub ended: SystemTime,
    /// Whether the kernel killed for lack of memory.
    #[serde(default)]
    pub oom_killed: bool,
}

impl State {
    /// Tells the keeper, or whoever is about to start the container again, that nothing more is to come. A shim says
    /// nothing to the keeper of a terminal, and containerd's own says nothing when it could not create its container.
    pub fn end_keeper(&self) {
        if let Some(keeper) = self.keeper.filter(Process::is_alive) {
            let _ = kill(Pid::from_raw(keeper.pid), Signal::SIGTERM);
        }
    }

    /// The state of the container whose directory below /run this is, if there is one.
    pub fn load(running: &Path) -> Result<Option<State>> {
        disk::read_json(&running.join(STATE))
    }

    /// Writes the state.
    pub fn save(&self, running: &Path) -> Result<()> {
        disk::make_dir(running)?;
        disk::write_json(&running.join(STATE), self)
    }
}

/// Waits until nobody is busy with the last end of the container any more: a task that is being deleted is in the way
/// of the next one. Of whom nobody takes care, because the keeper was killed too, isn't waited for long.
pub async fn settled(running: &Path) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(3);
    let is_busy = |state: State| state.init.is_some_and(|init| !init.is_alive());
    if !State::load(running)?.is_some_and(is_busy) {
        return Ok(());
    }
    let changes = Changes::of([running])?;
    let settled = async {
        while State::load(running)?.is_some_and(is_busy) {
            changes.next().await?;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, settled).await.unwrap_or(Ok(()))
}

impl Exit {
    /// The last exit of the container whose directory this is, if it has ever ended.
    pub fn load(container: &Path) -> Result<Option<Exit>> {
        disk::read_json(&container.join(EXIT))
    }

    /// Writes the exit.
    pub fn save(&self, container: &Path) -> Result<()> {
        disk::write_json(&container.join(EXIT), self)
    }
}
