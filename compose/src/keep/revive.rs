//! What follows a container's end: its exit is written down, its task deleted, and the next one made where the policy
//! says so. A process of its own, which outlives the keeper.

use std::io::stdin;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use nix::unistd::setsid;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::log::Mark;
use super::restart::{End, History, Policy};
use super::settings::Settings;
use super::state::{Exit, State, not_started, starting};
use super::watch;
use crate::disk::{self, Disk};
use crate::engine::containers::{Container, GetContainer};
use crate::engine::metrics::Used;
use crate::engine::snapshots::Mounts;
use crate::engine::tasks::{CreateTask, GetTask, Kill, Metrics, Process as Task, Start, Status};
use crate::engine::types::{Any, Timestamp};
use crate::engine::{Engine, again};
use crate::error::{Context, Error, Kind, Result};
use crate::process::Process;

/// How often containerd is asked again if it can't be reached, because it is started anew itself.
const AGAIN: Duration = Duration::from_millis(500);
/// How long. Whoever starts it later than that has its restart monitor.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a keeper may take to its end.
const KEEPER_PATIENCE: Duration = Duration::from_secs(3);
/// How often a task of somebody else's is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long it may take until a task that somebody else makes has its keeper.
const SUCCESSOR_PATIENCE: Duration = Duration::from_secs(5);

/// Labels by which users say, through whatever client, that a container is to stay as it is.
const STOPPED: [(&str, &str); 2] =
    [("containerd.io/restart.explicitly-stopped", "true"), ("containerd.io/restart.status", "stopped")];

/// Does all that follows the end of the container whose directory this is.
pub fn revive(container: &Path) -> Result<()> {
    // What ends the keeper's session is not meant for this process.
    setsid().at("revive")?;
    // The keeper closes it, by its end at the latest.
    std::io::copy(&mut stdin().lock(), &mut std::io::sink()).at("revive")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().at("revive")?;
    let settings = Settings::load(container)?;
    let running = Disk::of(&settings.namespace).running(&settings.id);
    let state = State::load(&running)?.unwrap_or_default();
    let reviver = Reviver { container: container.to_owned(), running, settings, keeper: state.keeper };
    runtime.block_on(async {
        let done = reviver.run(&state).await;
        if done.is_err() {
            // Nobody is to wait for a process that nobody starts.
            reviver.end_keeper(&state).await;
            reviver.note(state.restarts, None)?;
        }
        done
    })
}

struct Reviver {
    container: PathBuf,
    running: PathBuf,
    settings: Settings,
    /// The keeper that has sent for it.
    keeper: Option<Process>,
}

impl Reviver {
    /// Does all, from the state that the keeper has left.
    async fn run(&self, state: &State) -> Result<()> {
        // It ends only where it has nothing in its hands.
        let mut told_to_end = signal(SignalKind::terminate()).at("SIGTERM")?;
        let mut task = self.task().await?;
        if task.as_ref().is_some_and(|task| !state.init.is_some_and(|init| is_of(task, init))) {
            // Somebody was faster: that is the next task already.
            self.unseen(state)?.iter().for_each(|exit| drop(self.save(exit)));
            if self.is_taken_over(state.restarts, &mut told_to_end).await? {
                return Ok(());
            }
            task = None;
        }
        let seen = if task.is_some() { self.exit(state).await? } else { None };
        let is_seen = seen.is_some();
        let Some(exit) = seen.map_or_else(|| self.unseen(state), |exit| Ok(Some(exit)))? else {
            return self.note(state.restarts, None);
        };
        // What follows doesn't wait for room on the disk.
        let has_run = self.has_run(&exit);
        let mut unsaved = (has_run && self.save(&exit).is_err()).then(|| exit.clone());
        let lived =
            state.started.and_then(|started| exit.ended.duration_since(started).ok()).unwrap_or_default();
        let mut end = End { code: exit.code, lived, stopped: self.is_stopped().await? };
        // A task that has come since is somebody else's.
        if is_seen {
            self.delete().await?;
        }
        self.end_keeper(state).await;
        if !has_run {
            self.forget_start()?;
        }
        let mut history = state.restarts;
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
            match self.start_unless_taken_over(history, task.as_ref(), &mut told_to_end).await? {
                None => return Ok(()),
                Some(Ok(())) => return self.end_if_stopped().await,
                Some(Err(err)) => {
                    not_started(&self.container, &self.running, mark).await?;
                    let stopped = self.is_stopped().await?;
                    // A start that the user's stop has kept from happening is no failure.
                    let failed = (!stopped).then(|| Exit::of_failed_start(&err, exit.started));
                    unsaved = failed.filter(|failed| self.save(failed).is_err());
                    end = End { code: Exit::NOT_STARTED, lived: Duration::ZERO, stopped };
                }
            }
        }
        unsaved.iter().for_each(|exit| drop(self.save(exit)));
        self.note(history, None)?;
        // Who has stopped the container and deleted its task removes it, too.
        let is_removed = self.settings.auto_remove && (is_seen || !end.stopped);
        if is_removed { self.remove().await } else { Ok(()) }
    }

    /// Waits until nobody is about to start the container again whom it stays for.
    async fn nobody_restarts(&self) {
        if let Some(command) = self.settings.stays_for {
            watch::end_of(command).await;
        }
    }

    /// Writes an exit down. Whose directory is gone has been removed.
    fn save(&self, exit: &Exit) -> Result<()> {
        if self.container.exists() { exit.save(&self.container) } else { Ok(()) }
    }

    /// Whether the process has run: somebody may have killed it before anybody has started it. Where nobody is to start
    /// another one, the container is what it was before then.
    fn has_run(&self, exit: &Exit) -> bool {
        let is_made = starting::is_on(&self.container);
        if is_made {
            drop(starting::end(&self.container));
        }
        !(is_made && exit.code == Exit::KILLED && self.policy() == Policy::No)
    }

    /// Whose directory is gone has been removed.
    fn forget_start(&self) -> Result<()> {
        match State::load(&self.running)? {
            Some(last) => State { started: None, ..last }.save(&self.running),
            None => Ok(()),
        }
    }

    /// The exit of a task that is gone: its shim was killed, or the restart monitor has deleted it.
    ///
    /// Nothing, if somebody who knows more has written one down.
    fn unseen(&self, state: &State) -> Result<Option<Exit>> {
        let (started, ended) = (state.started, SystemTime::now());
        let is_known = Exit::load(&self.container)?.is_some_and(|exit| Some(exit.ended) > started);
        Ok((!is_known).then(|| Exit { code: Exit::KILLED, started, ended, ..Exit::default() }))
    }

    /// Whether a task that is in the way has a keeper: the restart monitor has made it, say. This process stays until
    /// then. What a call has left that broke off, a task that nobody starts or a shim without a task, is removed,
    /// unless the user is busy with the container, or has told this process to end.
    async fn is_taken_over(&self, restarts: History, told_to_end: &mut unix::Signal) -> Result<bool> {
        let mut begun = Instant::now();
        loop {
            if disk::is_held(&self.container)? {
                begun = Instant::now();
            }
            let status = self.task().await?.map(|task| task.status());
            let has_keeper =
                || Ok::<_, Error>(State::load(&self.running)?.is_some_and(|now| self.has_successor(&now)));
            match status {
                None | Some(Status::Created) if begun.elapsed() >= SUCCESSOR_PATIENCE => break,
                None | Some(Status::Created) => {}
                // What somebody has started without a keeper stays.
                Some(_) if has_keeper()? || begun.elapsed() >= SUCCESSOR_PATIENCE => {
                    return self.note(restarts, None).map(|()| true);
                }
                Some(_) => {}
            }
            if timeout(LOOK, told_to_end.recv()).await.is_ok() {
                return self.note(restarts, None).map(|()| true);
            }
        }
        self.remove_task().await.map(|()| false)
    }

    /// Whether another keeper is there than the one that has sent for this process.
    fn has_successor(&self, state: &State) -> bool {
        state.keeper.is_some_and(|keeper| Some(keeper) != self.keeper && keeper.is_alive())
    }

    /// Removes the container, as the user would, once containerd can be reached. What somebody has started again stays.
    async fn remove(&self) -> Result<()> {
        self.nobody_restarts().await;
        if self.task().await?.is_some() {
            return Ok(());
        }
        let asked = Instant::now();
        while !self.is_removed()? && asked.elapsed() < PATIENCE {
            if self.record().await?.is_none() || self.task().await?.is_some() {
                break;
            }
            sleep(AGAIN).await;
        }
        Ok(())
    }

    fn is_removed(&self) -> Result<bool> {
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
        remove.stdout(Stdio::null()).status().at("removing it").map(|ended| ended.success())
    }

    /// Ends the keeper, and waits until it writes no state any more.
    async fn end_keeper(&self, state: &State) {
        state.end_keeper();
        if let Some(keeper) = self.keeper {
            // What hangs, in a file system say, doesn't keep the container from its restart.
            drop(timeout(KEEPER_PATIENCE, watch::end_of(keeper)).await);
        }
    }

    /// Waits for the pause. Returns whether the container is still to be started then.
    async fn wait(&self, history: History, told_to_end: &mut unix::Signal) -> Result<bool> {
        self.note(history, Some(SystemTime::now() + history.pause))?;
        let is_over = tokio::select! {
            () = sleep(history.pause) => true,
            _ = told_to_end.recv() => false,
        };
        if is_over && self.task().await?.is_some() && self.is_taken_over(history, told_to_end).await? {
            return Ok(false);
        }
        let is_awaited = is_over && !self.is_stopped().await?;
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
        // Who runs again, or did, has another keeper, which tells of it.
        if last.init.is_some_and(|init| init.is_alive()) || self.has_successor(&last) {
            return Ok(());
        }
        let reviver = next_restart.and_then(|_| Process::own());
        State { keeper: None, reviver, init: None, restarts, next_restart, ..last }.save(&self.running)
    }

    /// The user may have stopped the container while it was being started.
    async fn end_if_stopped(&self) -> Result<()> {
        if self.is_stopped().await? { self.kill().await } else { Ok(()) }
    }

    /// Ends a task whatever its state, and deletes it.
    async fn remove_task(&self) -> Result<()> {
        self.kill().await?;
        let wait = self.asked(async |engine| again::wait(engine, &self.settings.id).await);
        // What doesn't end can't be deleted, which the next call says.
        drop(timeout(SUCCESSOR_PATIENCE, wait).await);
        self.delete().await
    }

    /// Kills the first process, if there is one.
    async fn kill(&self) -> Result<()> {
        let container_id = self.settings.id.clone();
        let kill =
            || Kill { container_id: container_id.clone(), signal: Signal::SIGKILL as u32, ..Kill::default() };
        absent(self.asked(async |engine| engine.call(kill()).await).await.map(Some)).map(drop)
    }

    /// The policy, as it is by now.
    fn policy(&self) -> Policy {
        Settings::load(&self.container).map_or(self.settings.restart, |settings| settings.restart)
    }

    /// How the task has ended. Nothing, if it has been deleted meanwhile.
    async fn exit(&self, state: &State) -> Result<Option<Exit>> {
        let waited = self.asked(async |engine| again::wait(engine, &self.settings.id).await).await?;
        let Some(waited) = waited else { return Ok(None) };
        let ended = waited.exited_at.map_or_else(SystemTime::now, moment);
        let oom_killed = self.oom_killed().await;
        let (code, started) = (waited.exit_status, state.started);
        Ok(Some(Exit { code, started, ended, oom_killed, error: String::new() }))
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
        self.asked(async |engine| again::delete(engine, &self.settings.id).await).await.map(drop)
    }

    /// Makes the next task, once none is in the way that nobody takes care of. None: somebody else has made it.
    async fn start_unless_taken_over(
        &self,
        restarts: History,
        last: Option<&Task>,
        told_to_end: &mut unix::Signal,
    ) -> Result<Option<Result<()>>> {
        let started = self.start(last).await;
        if !started.as_ref().is_err_and(|err| err.kind() == Kind::AlreadyExists) {
            return Ok(Some(started));
        }
        let is_taken_over = self.is_taken_over(restarts, told_to_end).await?;
        Ok(if is_taken_over { None } else { Some(self.start(last).await) })
    }

    /// Makes a task like the last one, by which the hook and a new keeper are started too.
    async fn start(&self, last: Option<&Task>) -> Result<()> {
        let id = &self.settings.id;
        let record = self.record().await?.ok_or_else(|| Error::of_kind(Kind::NotFound, id.as_str()))?;
        let mounts = || Mounts { snapshotter: record.snapshotter.clone(), key: record.snapshot_key.clone() };
        let rootfs = match record.snapshot_key.as_str() {
            // Its root is a directory that its spec names.
            "" => Vec::new(),
            _ => self.asked(async |engine| engine.call(mounts()).await).await?.mounts,
        };
        let streams = last.map_or_else(|| self.streams(&record), |last| Ok(streams_of(last)))?;
        let create = || CreateTask { container_id: id.clone(), rootfs: rootfs.clone(), ..streams.clone() };
        self.asked(async |engine| again::create(engine, &create()).await).await?;
        let start = || Start { container_id: id.clone(), exec_id: String::new() };
        let started = self.asked(async |engine| engine.call(start()).await).await;
        if started.is_err() {
            self.remove_task().await?;
        }
        started.map(drop)
    }

    /// The streams of a container whose last task containerd knows no more.
    ///
    /// Errors: NotFound, if nobody has written down how its keeper is started.
    fn streams(&self, container: &Container) -> Result<CreateTask> {
        let spec: serde_json::Value =
            container.spec.as_ref().map_or(Ok(serde_json::Value::Null), Any::read_json)?;
        let terminal = spec["process"]["terminal"] == true;
        let input = Some(disk::input(&self.running)).filter(|input| input.exists());
        let stdin = input.map_or_else(String::new, |input| input.to_string_lossy().into_owned());
        let stdout = self.settings.log_uri.clone();
        if stdout.is_empty() {
            return Err(Error::of_kind(Kind::NotFound, "the URI of its keeper"));
        }
        let stderr = if terminal { String::new() } else { stdout.clone() };
        Ok(CreateTask { stdin, stdout, stderr, terminal, ..CreateTask::default() })
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

fn streams_of(task: &Task) -> CreateTask {
    let Task { stdin, stdout, stderr, terminal, .. } = task.clone();
    CreateTask { stdin, stdout, stderr, terminal, ..CreateTask::default() }
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
