//! What a keeper tells others: files that are there whole or not at all.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::health::Health;
use super::log::Mark;
use super::restart::History;
use super::watch;
use crate::changes::Changes;
use crate::disk;
use crate::engine::program::code_of_program;
use crate::error::{Error, Result, absent_is_fine};
use crate::process::Process;

const STATE: &str = "state.json";
const EXIT: &str = "exit.json";
const STARTING: &str = "starting";
const STOPPED: &str = "stopped";

/// What is known while the container runs, or will again. It is in the container's directory below /run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct State {
    /// Who knows it while the container runs.
    pub keeper: Option<Process>,
    /// Who deletes the task of the last end, and makes the next one. It outlives the keeper that has started it, up to
    /// the start of the next process.
    #[serde(default)]
    pub reviver: Option<Process>,
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

/// How a container has ended the last time, or could not be started. It is in the container's directory that lasts.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Exit {
    /// The exit code.
    pub code: u32,
    /// When it started the last time, if it ever has.
    pub started: Option<SystemTime>,
    /// When it ended.
    pub ended: SystemTime,
    /// Whether the kernel killed for lack of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// Why it could not be started, if it could not.
    #[serde(default)]
    pub error: String,
}

impl Default for Exit {
    fn default() -> Exit {
        Exit {
            code: 0,
            started: None,
            ended: SystemTime::UNIX_EPOCH,
            oom_killed: false,
            error: String::new(),
        }
    }
}

/// A mark in the container's directory that lasts, from before its task is made until its first process is started. A
/// process that ends meanwhile is no end of the container: its command was killed, say, and nothing of it has run.
pub mod starting {
    use super::*;

    /// The task is about to be made.
    pub fn begin(container: &Path) -> Result<()> {
        disk::write_private(&container.join(STARTING), b"")
    }

    /// The process is about to be started.
    pub fn end(container: &Path) -> Result<()> {
        disk::remove_file(&container.join(STARTING))
    }

    /// Whether the process has yet to be started.
    pub fn is_on(container: &Path) -> bool {
        container.join(STARTING).exists()
    }
}

/// A mark in the container's directory below /run, from its stop by the user until the user starts it. Whoever has
/// looked at the container before the stop may be about to start it: containerd's restart monitor, or a reviver.
pub mod stopped {
    use super::*;

    /// How long such a start may take.
    const RECENT: Duration = Duration::from_secs(5);

    /// The user stops the container. One without the directory has never run.
    pub fn begin(running: &Path) -> Result<()> {
        absent_is_fine(disk::write_private(&running.join(STOPPED), b""))
    }

    /// The user starts the container.
    pub fn end(running: &Path) -> Result<()> {
        disk::remove_file(&running.join(STOPPED))
    }

    /// Whether a start now can be by somebody who doesn't know of the stop yet.
    pub fn is_recent(running: &Path) -> bool {
        let marked = fs::metadata(running.join(STOPPED)).and_then(|mark| mark.modified());
        marked.is_ok_and(|marked| marked.elapsed().is_ok_and(|age| age < RECENT))
    }
}

impl State {
    /// Whether somebody knows what comes next.
    pub fn is_in_charge(&self) -> bool {
        self.has_keeper() || self.is_revived()
    }

    /// Whether its keeper lives.
    pub fn has_keeper(&self) -> bool {
        self.keeper.is_some_and(|keeper| keeper.is_alive())
    }

    /// Whether somebody will start the container again, or is about to.
    pub fn is_due(&self) -> bool {
        let keeper_awaits_init = || self.init.is_none() && self.restarts.count > 0 && self.has_keeper();
        self.next_restart.is_some() && self.is_revived() || keeper_awaits_init()
    }

    /// The restarts up to the process that runs, or to the next one if none does.
    pub fn restarts_so_far(&self) -> History {
        let is_up = self.init.is_some_and(|init| init.is_alive());
        match self.restarts {
            restarts if is_up || self.is_due() => restarts,
            // containerd's restart monitor is faster than whoever is busy with the end.
            History { count, pause } if self.is_ending() => History { count: count + 1, pause },
            // It is the user who starts the container.
            _ => History::default(),
        }
    }

    /// Whether there is a keeper, and no end yet: the container runs, or is being made.
    pub fn is_beginning(&self) -> bool {
        self.has_keeper() && self.init.is_none_or(|init| init.is_alive())
    }

    /// Whether somebody is busy with the end of the container's first process.
    pub fn is_ending(&self) -> bool {
        self.is_in_charge() && self.init.is_some_and(|init| !init.is_alive())
    }

    fn is_revived(&self) -> bool {
        self.reviver.is_some_and(|reviver| reviver.is_alive())
    }

    /// The last exit, `seen` unless whoever would have seen it was killed, too.
    pub fn exit_unless_seen(&self, seen: Option<Exit>) -> Option<Exit> {
        match (self.started, &seen) {
            (Some(started), Some(exit)) if exit.ended >= started => seen,
            (Some(started), _) => {
                Some(Exit { code: Exit::KILLED, started: self.started, ended: started, ..Exit::default() })
            }
            (None, _) => seen,
        }
    }

    /// Tells the keeper that nothing more is to come. A shim says nothing to the keeper of a terminal, and containerd's
    /// own says nothing when it could not create its container.
    pub fn end_keeper(&self) {
        tell_to_end(self.keeper);
    }

    /// The state of the container whose directory below /run this is, if there is one.
    ///
    /// Whoever is in charge names the next process before it ends. So where nobody lives who is named, that process may
    /// have ended since the file was read, and the file is read until it stays the same.
    pub fn load(running: &Path) -> Result<Option<State>> {
        let read = || disk::read_json::<State>(&running.join(STATE));
        let mut state = read()?;
        let names_the_dead =
            |state: &State| (state.keeper.is_some() || state.reviver.is_some()) && !state.is_in_charge();
        while state.as_ref().is_some_and(names_the_dead) {
            let before = std::mem::replace(&mut state, read()?);
            if state == before {
                break;
            }
        }
        Ok(state)
    }

    /// Writes the state.
    ///
    /// Errors: NotFound, if the directory is gone with its container. It is not made again: nobody would remove it.
    pub fn save(&self, running: &Path) -> Result<()> {
        disk::write_json(&running.join(STATE), self)
    }
}

fn tell_to_end(process: Option<Process>) {
    if let Some(process) = process.filter(Process::is_alive) {
        let _ = kill(Pid::from_raw(process.pid), Signal::SIGTERM);
    }
}

/// Waits until nobody is busy with the last end of the container any more: a task that is being deleted is in the way
/// of the next one.
pub async fn settled(running: &Path) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(3);
    // The keeper is first to know of the end, and the reviver says when all is done that follows from it.
    let is_ending = || Ok::<_, Error>(State::load(running)?.is_some_and(|state| state.is_ending()));
    if !is_ending()? {
        return Ok(());
    }
    let changes = Changes::of([running])?;
    let settled = async {
        while is_ending()? {
            changes.next().await?;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, settled).await.unwrap_or(Ok(()))
}

/// Ends what a start that has failed has left of a keeper, and cuts its words off the log, which begins at `mark` then:
/// a runtime that fails writes its error where the container would have put something out.
pub async fn not_started(container: &Path, running: &Path, mark: Mark) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let state = State::load(running)?.unwrap_or_default();
    state.end_keeper();
    if let Some(keeper) = state.keeper {
        // The log is whole all the same if the keeper writes on.
        drop(tokio::time::timeout(PATIENCE, watch::end_of(keeper)).await);
    }
    mark.cut(container)
}

/// Waits until nobody will start the container again, once the user has said so. What is being started at that moment
/// ends again.
pub async fn given_up(running: &Path) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let given_up = async {
        loop {
            settled(running).await?;
            let state = State::load(running)?.unwrap_or_default();
            let Some(reviver) = state.reviver.filter(Process::is_alive) else { return Ok(()) };
            tell_to_end(state.reviver);
            watch::end_of(reviver).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_up).await.unwrap_or(Ok(()))
}

impl Exit {
    /// Docker's exit code for a container that could not be started for another reason than its program.
    pub const NOT_STARTED: u32 = 128;
    /// The exit code of a container whose end nobody has seen.
    pub const KILLED: u32 = 137;

    /// What a failed start is told as, of a container that has last started at that moment, if ever.
    pub fn of_failed_start(reason: &Error, started: Option<SystemTime>) -> Exit {
        let code = code_of_program(reason).map_or(Exit::NOT_STARTED, u32::from);
        Exit { code, started, ended: SystemTime::now(), error: reason.to_string(), ..Exit::default() }
    }

    /// The last exit of the container whose directory this is, if it has ever ended.
    pub fn load(container: &Path) -> Result<Option<Exit>> {
        disk::read_json(&container.join(EXIT))
    }

    /// Writes the exit.
    pub fn save(&self, container: &Path) -> Result<()> {
        disk::write_json(&container.join(EXIT), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn restarts_are_counted_whoever_makes_the_next_task() {
        let own = Process::own();
        let dead = own.map(|own| Process { started: own.started + 1, ..own });
        let restarts = History { count: 2, pause: Duration::from_millis(200) };
        let so_far = |state: State| State { restarts, ..state }.restarts_so_far().count;
        let soon = Some(SystemTime::UNIX_EPOCH);
        assert_eq!(so_far(State::default()), 0, "the user starts it");
        assert_eq!(so_far(State { init: own, ..State::default() }), 2, "it runs, and its keeper is new");
        assert_eq!(so_far(State { reviver: own, next_restart: soon, ..State::default() }), 2, "the reviver");
        assert_eq!(so_far(State { reviver: own, init: dead, ..State::default() }), 3, "before the reviver");
        assert_eq!(so_far(State { keeper: own, init: dead, ..State::default() }), 3, "before the reviver");
        assert_eq!(so_far(State { keeper: own, ..State::default() }), 2, "two do so at once");
        assert_eq!(
            so_far(State { reviver: dead, next_restart: soon, ..State::default() }),
            0,
            "all were killed"
        );
    }

    #[test]
    fn a_directory_that_was_removed_is_not_made_again() {
        let dir = std::env::temp_dir().join(format!("corten-compose-state-{}", std::process::id()));
        disk::make_dir(&dir).expect("a directory");
        let state = State { keeper: Process::own(), ..State::default() };
        state.save(&dir).expect("it is saved");
        assert_eq!(State::load(&dir).expect("it is read"), Some(state.clone()));
        disk::remove_dir(&dir).expect("it is removed");
        let err = state.save(&dir).expect_err("nothing is there");
        assert_eq!((err.kind(), dir.exists()), (Kind::NotFound, false));
    }
}
