//! A container's task: made, started, waited for, stopped, deleted.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::stdio::Streams;
use crate::engine::Engine;
use crate::engine::again;
use crate::engine::announce::Done;
use crate::engine::containers::Container;
use crate::engine::snapshots::Mounts;
use crate::engine::tasks::{CreateTask, DeleteResponse, Kill, PauseTask, ResumeTask, Start, Status};
use crate::error::{Context, Error, Kind, Result};
use crate::observe::{self, Observed, State};

/// How long a process may take to be gone after SIGKILL. One that waits for a disk takes its time.
const KILLED_SECONDS: u64 = 10;

/// When containerd is asked again that could not be reached, because it is started anew itself, say.
const ASKED_AGAIN: Duration = Duration::from_millis(200);

pub const SIGKILL: u32 = 9;

/// Makes the task. The process is there, and waits for its start.
pub async fn create(engine: &Engine, container: &Container, streams: &Streams) -> Result<u32> {
    let Container { id, snapshotter, snapshot_key, .. } = container.clone();
    let rootfs = engine.call(Mounts { snapshotter, key: snapshot_key }).await?.mounts;
    let Streams { stdin, stdout, stderr, terminal } = streams.clone();
    let create = CreateTask { container_id: id, rootfs, stdin, stdout, stderr, terminal, options: None };
    let created = again::create(engine, &create).await;
    created.map(|created| created.pid).map_err(|err| said_by_hook(&err).unwrap_or(err))
}

/// What our own hook has to say of the network, without what the shim and the runtime say around it.
fn said_by_hook(err: &Error) -> Option<Error> {
    let said = err.to_string();
    let (_, said) = said.split_once("stderr: corten-compose: network of ")?;
    let (_, said) = said.split_once(": ")?;
    let said = said.trim_end().trim_end_matches(": unknown").trim_end();
    Some(Error::of_kind(err.kind(), said))
}

pub async fn start(engine: &Engine, id: &str) -> Result<()> {
    engine.call(Start { container_id: id.to_owned(), exec_id: String::new() }).await.map(drop)
}

/// Waits for the end, and gives the exit code. A task that isn't there has ended before.
pub async fn wait(engine: &Engine, id: &str) -> Result<Option<u32>> {
    Ok(again::wait(engine, id).await.at(id)?.map(|exited| exited.exit_status))
}

/// Freezes the processes of a container.
///
/// Errors: in Docker's words, if there is nothing to freeze.
pub async fn pause(engine: &Engine, one: &Observed) -> Result<()> {
    match one.state {
        State::Running => engine.call(PauseTask { container_id: one.id().to_owned() }).await.map(drop),
        State::Paused => {
            Err(Error::of_kind(Kind::WrongState, format!("Container {} is already paused", one.id())))
        }
        _ => Err(not_running(one)),
    }
}

/// Lets the frozen processes of a container go on.
///
/// Errors: in Docker's words, if there is nothing frozen.
pub async fn unpause(engine: &Engine, one: &Observed) -> Result<()> {
    match one.state {
        State::Paused => resume(engine, one.id()).await,
        _ => Err(Error::of_kind(Kind::WrongState, format!("Container {} is not paused", one.id()))),
    }
}

/// What Docker says of a container without processes.
pub fn not_running(one: &Observed) -> Error {
    if let State::Restarting { .. } = one.state {
        let words = format!("Container {} is restarting, wait until the container is running", one.id());
        return Error::of_kind(Kind::WrongState, words);
    }
    Error::of_kind(Kind::WrongState, format!("container {} is not running", one.id()))
}

/// Lets a frozen task go on.
pub async fn resume(engine: &Engine, id: &str) -> Result<()> {
    engine.call(ResumeTask { container_id: id.to_owned() }).await.map(drop)
}

/// Sends a signal to the first process.
///
/// Errors: NotFound, if the process has ended.
pub async fn kill(engine: &Engine, id: &str, signal: u32) -> Result<()> {
    let kill = Kill { container_id: id.to_owned(), exec_id: String::new(), signal, all: false };
    engine.call(kill).await?;
    Done::to(id, "kill").with("signal", signal).announce(engine).await;
    Ok(())
}

/// Stops the process: by `signal`, and by SIGKILL if it is still there after `seconds`. None: it may take for ever.
pub async fn stop(engine: &Engine, id: &str, signal: u32, seconds: Option<u64>) -> Result<()> {
    match tell(engine, id, signal).await? {
        Some(ending) => ending.within(seconds).await,
        None => Ok(()),
    }
}

/// Sends a signal to the first process, whose end is waited for from before that. None: it has ended already.
pub async fn tell(engine: &Engine, id: &str, signal: u32) -> Result<Option<Ending>> {
    let ending = Ending::of(engine, id);
    let has_ended = ended_already(kill(engine, id, signal).await)?;
    Ok((!has_ended).then_some(ending))
}

/// The end of a process that is waited for.
pub struct Ending {
    engine: Engine,
    id: String,
    ended: JoinHandle<Result<()>>,
}

impl Ending {
    /// Waits from now on for the process that a container has now.
    pub fn of(engine: &Engine, id: &str) -> Ending {
        let ended = tokio::spawn({
            let (engine, id) = (engine.clone(), id.to_owned());
            async move { ended(&engine, &id).await }
        });
        Ending { engine: engine.clone(), id: id.to_owned(), ended }
    }

    /// Waits so many seconds, and ends the process by SIGKILL then.
    pub async fn within(mut self, seconds: Option<u64>) -> Result<()> {
        let patience = seconds.map_or(Duration::MAX, Duration::from_secs);
        if let Ok(ended) = timeout(patience, &mut self.ended).await {
            return ended.map_err(|err| Error::new(err.to_string()))?;
        }
        if ended_already(kill(&self.engine, &self.id, SIGKILL).await)? {
            return Ok(());
        }
        self.of_killed().await
    }

    /// Waits for the end of a process that was killed.
    pub async fn of_killed(self) -> Result<()> {
        let gone = timeout(Duration::from_secs(KILLED_SECONDS), self.ended).await;
        let still = || Error::new(format!("{}: still there {KILLED_SECONDS} s after SIGKILL", self.id));
        gone.map_err(|_| still())?.map_err(|err| Error::new(err.to_string()))?
    }
}

/// Waits for the end, and asks again where the connection breaks off: that is no end of the process.
async fn ended(engine: &Engine, id: &str) -> Result<()> {
    loop {
        match wait(engine, id).await {
            Err(err) if err.kind() == Kind::Unavailable => sleep(ASKED_AGAIN).await,
            waited => return waited.map(drop),
        }
    }
}

fn ended_already(killed: Result<()>) -> Result<bool> {
    match killed {
        Ok(()) => Ok(false),
        Err(err) if err.kind() == Kind::NotFound => Ok(true),
        Err(err) => Err(err),
    }
}

/// Deletes a task that has ended. None: there was none.
pub async fn delete(engine: &Engine, id: &str) -> Result<Option<DeleteResponse>> {
    again::delete(engine, id).await.at(id)
}

/// Ends a task of whatever state, and deletes it.
pub async fn remove(engine: &Engine, id: &str) -> Result<()> {
    if observe::task(engine, id).await?.is_some_and(|task| task.status() != Status::Stopped) {
        stop(engine, id, SIGKILL, Some(KILLED_SECONDS)).await?;
    }
    delete(engine, id).await.map(drop)
}
