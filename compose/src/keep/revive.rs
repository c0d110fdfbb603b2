//! What follows a container's end: its exit is written down, its task deleted, and the next one made where the policy
//! says so. A process of its own, which outlives the keeper.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use nix::unistd::setsid;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::sleep;

use super::log::Mark;
use super::restart::{End, History, Policy};
use super::settings::Settings;
use super::state::{Exit, State, not_started};
use crate::disk::Disk;
use crate::engine::Engine;
use crate::engine::containers::{Container, GetContainer};
use crate::engine::metrics::Used;
use crate::engine::snapshots::Mounts;
use crate::engine::tasks::{CreateTask, DeleteTask, GetTask, Kill, Metrics, Process as Task, Start, Wait};
use crate::engine::types::Timestamp;
use crate::error::{Context, Error, Kind, Result};
use crate::process::Process;

/// How often containerd is asked again if it can't be reached, because it is started anew itself.
const AGAIN: Duration = Duration::from_millis(500);
/// How long. Whoever starts it later than that has its restart monitor.
const PATIENCE: Duration = Duration::from_secs(300);
/// The exit code of a container whose end nobody has seen.
const KILLED: u32 = 137;
/// The exit code of a container that could not be started.
const NOT_STARTED: u32 = 128;

/// Labels by which users say, through whatever client, that a container is to stay as it is.
const STOPPED: [(&str, &str); 2] =
    [("containerd.io/restart.explicitly-stopped", "true"), ("containerd.io/restart.status", "stopped")];

/// Does all that follows the end of the container whose directory this is.
pub fn revive(container: &Path) -> Result<()> {
    // What ends the keeper's session is not meant for this process.
    setsid().at("revive")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().at("revive")?;
    let settings = Settings::load(container)?;
    let running = Disk::of(&settings.namespace).running(&settings.id);
    runtime.block_on(Reviver { container: container.to_owned(), running, settings }.run())
}

struct Reviver {
    container: PathBuf,
    running: PathBuf,
    settings: Settings,
}

impl Reviver {
    async fn run(self) -> Result<()> {
        // It ends only where it has nothing in its hands.
        let mut told_to_end = signal(SignalKind::terminate()).at("SIGTERM")?;
        let state = State::load(&self.running)?.unwrap_or_default();
        // A task of another process isn't the one that has ended: somebody was faster.
        let Some(task) = self.task().await?.filter(|task| state.init.is_some_and(|init| is_of(task, init)))
        else {
            return self.note_unseen(&state);
        };
        let exit = self.exit(&state).await?;
        exit.save(&self.container)?;
        let lived =
            state.started.and_then(|started| exit.ended.duration_since(started).ok()).unwrap_or_default();
        let mut end = End { code: exit.code, lived, stopped: self.is_stopped().await? };
        let mut history = state.restarts;
        self.delete().await?;
        state.end_keeper();
        while let Some(next) = history.after(self.policy(), end) {
            history = next;
            if !self.wait(history, &mut told_to_end).await? {
                return Ok(());
            }
            // The user may have changed the policy meanwhile.
            if self.policy() == Policy::No {
                break;
            }
            let mark = Mark::of(&self.container);
            match self.start(&task).await {
                Ok(()) => return self.end_if_stopped().await,
                // Somebody has started it meanwhile.
                Err(err) if err.kind() == Kind::AlreadyExists => return Ok(()),
                Err(_) => {
                    if self.task().await?.is_none() {
                        not_started(&self.container, &self.running, mark).await?;
                    }
                    end = End { code: NOT_STARTED, lived: Duration::ZERO, stopped: self.is_stopped().await? }
                }
            }
        }
        self.note(history, None)?;
        if self.settings.auto_remove { self.remove() } else { Ok(()) }
    }

    /// The task has gone with its shim, or somebody has deleted it and knows how it has ended. The rest is the restart
    /// monitor's.
    fn note_unseen(&self, state: &State) -> Result<()> {
        let (started, ended) = (state.started, SystemTime::now());
        let is_known = Exit::load(&self.container)?.is_some_and(|exit| Some(exit.ended) > started);
        if !is_known && self.container.exists() {
            Exit { code: KILLED, started, ended, ..Exit::default() }.save(&self.container)?;
        }
        let is_last = State::load(&self.running)?.is_some_and(|now| now.init == state.init);
        if is_last { self.note(state.restarts, None) } else { Ok(()) }
    }

    /// Removes the container, as the user would.
    fn remove(&self) -> Result<()> {
        let Settings { namespace, address, id, .. } = &self.settings;
        let mut remove = Command::new("/proc/self/exe");
        remove.arg0("cortenctl").args([
            "--namespace",
            namespace,
            "--address",
            address,
            "rm",
            "--volumes",
            id,
        ]);
        remove.stdout(Stdio::null()).status().at("removing it").map(drop)
    }

    /// Waits for the pause. Returns whether the container is still to be started then.
    async fn wait(&self, history: History, told_to_end: &mut unix::Signal) -> Result<bool> {
        self.note(history, Some(SystemTime::now() + history.pause))?;
        let is_over = tokio::select! {
            () = sleep(history.pause) => true,
            _ = told_to_end.recv() => false,
        };
        let is_awaited = is_over && !self.is_stopped().await? && self.task().await?.is_none();
        if !is_awaited && State::load(&self.running)?.is_some_and(|state| state.reviver == Process::own()) {
            self.note(history, None)?;
        }
        Ok(is_awaited)
    }

    fn note(&self, restarts: History, next_restart: Option<SystemTime>) -> Result<()> {
        // Whose directory is gone has been removed.
        if !self.running.exists() {
            return Ok(());
        }
        let last = State::load(&self.running)?.unwrap_or_default();
        // Who runs again has a keeper, which tells of it.
        if last.init.is_some_and(|init| init.is_alive()) {
            return Ok(());
        }
        let reviver = next_restart.and_then(|_| Process::own());
        State { keeper: None, reviver, init: None, restarts, next_restart, ..last }.save(&self.running)
    }

    /// The user may have stopped the container while it was being started.
    async fn end_if_stopped(&self) -> Result<()> {
        if !self.is_stopped().await? {
            return Ok(());
        }
        let container_id = self.settings.id.clone();
        let kill =
            || Kill { container_id: container_id.clone(), signal: Signal::SIGKILL as u32, ..Kill::default() };
        absent(self.asked(async |engine| engine.call(kill()).await).await.map(Some)).map(drop)
    }

    /// The policy, as it is by now.
    fn policy(&self) -> Policy {
        Settings::load(&self.container).map_or(self.settings.restart, |settings| settings.restart)
    }

    async fn exit(&self, state: &State) -> Result<Exit> {
        let wait = || Wait { container_id: self.settings.id.clone(), exec_id: String::new() };
        let waited = self.asked(async |engine| engine.call(wait()).await).await?;
        let ended = waited.exited_at.map_or_else(SystemTime::now, moment);
        let oom_killed = self.oom_killed().await;
        Ok(Exit { code: waited.exit_status, started: state.started, ended, oom_killed, error: String::new() })
    }

    /// Whether the kernel has killed for lack of memory. The cgroup counts until the task is deleted. A shim without
    /// counts doesn't hold up what follows.
    async fn oom_killed(&self) -> bool {
        let metrics = || Metrics { filters: vec![format!("id=={:?}", self.settings.id)] };
        let answer = self.asked(async |engine| engine.call(metrics()).await).await;
        let counted = answer.map(|answer| answer.metrics).unwrap_or_default();
        counted.iter().filter_map(|one| Used::of(one.data.as_ref()?)).any(|used| used.oom_kills > 0)
    }

    async fn task(&self) -> Result<Option<Task>> {
        let get = || GetTask { container_id: self.settings.id.clone(), exec_id: String::new() };
        absent(self.asked(async |engine| engine.call(get()).await).await.map(|answer| answer.process))
    }

    async fn record(&self) -> Result<Option<Container>> {
        let get = || GetContainer { id: self.settings.id.clone() };
        absent(self.asked(async |engine| engine.call(get()).await).await.map(|answer| answer.container))
    }

    /// Whether the user wants it to stay as it is, or has removed it.
    async fn is_stopped(&self) -> Result<bool> {
        let Some(container) = self.record().await? else { return Ok(true) };
        let has = |(key, value): &(&str, &str)| container.labels.get(*key).is_some_and(|own| own == value);
        Ok(STOPPED.iter().any(has))
    }

    async fn delete(&self) -> Result<()> {
        let delete = || DeleteTask { container_id: self.settings.id.clone() };
        absent(self.asked(async |engine| engine.call(delete()).await).await.map(Some)).map(drop)
    }

    /// Makes a task like the last one, by which the hook and a new keeper are started too.
    async fn start(&self, last: &Task) -> Result<()> {
        let id = &self.settings.id;
        let record = self.record().await?.ok_or_else(|| Error::of_kind(Kind::NotFound, id.as_str()))?;
        let mounts = || Mounts { snapshotter: record.snapshotter.clone(), key: record.snapshot_key.clone() };
        let rootfs = match record.snapshot_key.as_str() {
            // Its root is a directory that its spec names.
            "" => Vec::new(),
            _ => self.asked(async |engine| engine.call(mounts()).await).await?.mounts,
        };
        let create = || CreateTask {
            container_id: id.clone(),
            rootfs: rootfs.clone(),
            stdin: last.stdin.clone(),
            stdout: last.stdout.clone(),
            stderr: last.stderr.clone(),
            terminal: last.terminal,
            options: None,
        };
        self.asked(async |engine| engine.call(create()).await).await?;
        let start = || Start { container_id: id.clone(), exec_id: String::new() };
        let started = self.asked(async |engine| engine.call(start()).await).await;
        if started.is_err() {
            self.delete().await?;
        }
        started.map(drop)
    }

    /// Asks containerd, until it can be reached.
    async fn asked<T>(&self, ask: impl AsyncFn(&Engine) -> Result<T>) -> Result<T> {
        let asked = Instant::now();
        loop {
            let answer = match Engine::connect(&self.settings.address, &self.settings.namespace).await {
                Ok(engine) => ask(&engine).await,
                Err(err) => Err(err),
            };
            match answer {
                Err(err) if err.kind() == Kind::Unavailable && asked.elapsed() < PATIENCE => {
                    sleep(AGAIN).await
                }
                answer => return answer,
            }
        }
    }
}

fn is_of(task: &Task, init: Process) -> bool {
    i32::try_from(task.pid) == Ok(init.pid)
}

/// What isn't there is nothing, and no error.
fn absent<T>(answer: Result<Option<T>>) -> Result<Option<T>> {
    match answer {
        Err(err) if err.kind() == Kind::NotFound => Ok(None),
        answer => answer,
    }
}

fn moment(timestamp: Timestamp) -> SystemTime {
    let seconds = Duration::from_secs(timestamp.seconds.try_into().unwrap_or(0));
    SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(timestamp.nanos.try_into().unwrap_or(0))
}
