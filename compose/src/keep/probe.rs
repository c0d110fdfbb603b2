//! Probes a container's health by its check's program, as one more process of the task.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::control::Keeper;
use super::further::FurtherOutput;
use super::health::{OUTPUT_MAX, ProbeResult, Status, TOO_SLOW};
use super::settings::Check;
use crate::engine::Engine;
use crate::engine::announce::Done;
use crate::engine::containers::GetContainer;
use crate::engine::tasks::{DeleteProcess, Exec, GetTask, Kill, Start, Status as TaskStatus, Wait};
use crate::engine::types::Any;
use crate::error::{Error, Kind, Result};

/// How long a probe may take to start.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long a killed probe may take to end, and a probe that has ended to be deleted.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// How long the verdict waits for the rest of the output of a probe that has ended, and of one that is killed. A child
/// of the probe's that holds its output holds its deletion up for longer.
const LAST_WORDS: Duration = Duration::from_secs(1);
const LAST_WORDS_KILLED: Duration = Duration::from_millis(200);
const PROCESS_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// Probes for as long as the keeper lives.
pub async fn repeat(keeper: Rc<Keeper>, check: Check) {
    for number in 0_u64.. {
        let state = keeper.state().await;
        let started = state.started.unwrap_or(SystemTime::UNIX_EPOCH);
        let lived = started.elapsed().unwrap_or_default();
        sleep(state.health.unwrap_or_default().pause(&check, lived)).await;
        // Where nobody could be asked, nothing is known.
        if let Ok(Some(result)) = probe(&keeper, &check, number).await {
            let before = keeper.state().await.health.map(|health| health.status);
            let noted = keeper.change(|state| {
                state.health.get_or_insert_default().note(&check, started, result);
            });
            drop(noted.await);
            let now = keeper.state().await.health.map(|health| health.status);
            if let Some(status) = now.filter(|_| now != before) {
                announce(&keeper, status).await;
            }
        }
    }
}

/// Says to all who listen to containerd's events that the health is another one.
async fn announce(keeper: &Keeper, status: Status) {
    let settings = &keeper.settings;
    // Whoever is not reached reads it in the state.
    if let Ok(engine) = Engine::connect(&settings.address, &settings.namespace).await {
        let word = status.word();
        Done::to(&settings.id, format!("health_status: {word}")).announce(&engine).await;
    }
}

/// Nothing if the task doesn't run.
async fn probe(keeper: &Keeper, check: &Check, number: u64) -> Result<Option<ProbeResult>> {
    let settings = &keeper.settings;
    let engine = Engine::connect(&settings.address, &settings.namespace).await?;
    let task = engine.call(GetTask { container_id: settings.id.clone(), exec_id: String::new() }).await?;
    if task.process.is_none_or(|process| process.status != TaskStatus::Running as i32) {
        return Ok(None);
    }
    let container =
        engine.call(GetContainer { id: settings.id.clone() }).await?.container.unwrap_or_default();
    let process = process(&container.spec.unwrap_or_default(), &check.args)?;
    let exec = Execution {
        engine,
        container: settings.id.clone(),
        // A process of an earlier keeper may be left.
        id: format!("health-{}-{number}", std::process::id()),
    };
    let output = FurtherOutput::open(&keeper.running, &exec.id)?;
    let start = SystemTime::now();
    let started = timeout(START_PATIENCE, exec.start(process, output.path())).await;
    let result = match started {
        Ok(Err(err)) if err.kind() == Kind::Unavailable => Err(err),
        Ok(Err(err)) => exec.failed(start, err.to_string()).await,
        Err(_) => exec.failed(start, "the probe did not start".to_owned()).await,
        Ok(Ok(())) => verdict(exec, output, start, check.timeout).await,
    };
    result.map(Some)
}

/// The container's own process with other arguments, and without its terminal.
fn process(spec: &Any, args: &[String]) -> Result<Any> {
    let mut spec: Value = spec.read_json()?;
    let mut process = spec["process"].take();
    if !process.is_object() {
        return Err(Error::new("the container's spec has no process"));
    }
    process["args"] = args.into();
    process["terminal"] = false.into();
    Any::json(PROCESS_TYPE, &process)
}

/// The result of a probe that runs, with the beginning of its output. It is there at the probe's end or when its time
/// is over: the rest of the work is done beside what follows.
async fn verdict(
    exec: Execution,
    output: FurtherOutput,
    start: SystemTime,
    patience: Duration,
) -> Result<ProbeResult> {
    let mut kept = Vec::new();
    let mut take = |chunk: &[u8]| {
        let room = OUTPUT_MAX - kept.len();
        kept.extend(chunk.iter().take(room));
    };
    let ended = output.read_while(timeout(patience, exec.wait()), &mut take).await;
    let end = SystemTime::now();
    let is_late = ended.is_err();
    let mut going = Box::pin(exec.go(is_late));
    // The shim has handed on all output once the process is deleted.
    let last_words = if is_late { LAST_WORDS_KILLED } else { LAST_WORDS };
    if output.read_while(timeout(last_words, &mut going), &mut take).await.is_err() {
        tokio::task::spawn_local(async move { output.read_while(going, |_| ()).await });
    }
    let said = String::from_utf8_lossy(&kept).into_owned();
    match ended {
        Ok(waited) => {
            let exit_code = i32::try_from(waited?).unwrap_or(i32::MAX);
            Ok(ProbeResult { start, end, exit_code, output: said })
        }
        Err(_) => Ok(ProbeResult::too_slow(start, end, patience, &said)),
    }
}

/// One more process of the task.
struct Execution {
    engine: Engine,
    container: String,
    id: String,
}

impl Execution {
    async fn start(&self, process: Any, output: &Path) -> Result<()> {
        let output = output.to_string_lossy().into_owned();
        let exec = Exec {
            container_id: self.container.clone(),
            exec_id: self.id.clone(),
            stdout: output.clone(),
            stderr: output,
            spec: Some(process),
            ..Exec::default()
        };
        self.engine.call(exec).await?;
        self.engine.call(Start { container_id: self.container.clone(), exec_id: self.id.clone() }).await?;
        Ok(())
    }

    /// The result of a probe that has never run.
    async fn failed(&self, start: SystemTime, output: String) -> Result<ProbeResult> {
        self.delete().await;
        Ok(ProbeResult { start, end: SystemTime::now(), exit_code: TOO_SLOW, output })
    }

    /// Kills a process that is late, and deletes it.
    async fn go(self, is_late: bool) {
        if is_late {
            let kill = Kill {
                container_id: self.container.clone(),
                exec_id: self.id.clone(),
                signal: Signal::SIGKILL as u32,
                all: false,
            };
            drop(timeout(END_PATIENCE, self.engine.call(kill)).await);
            drop(timeout(END_PATIENCE, self.wait()).await);
        }
        self.delete().await;
    }

    async fn wait(&self) -> Result<u32> {
        let wait = Wait { container_id: self.container.clone(), exec_id: self.id.clone() };
        Ok(self.engine.call(wait).await?.exit_status)
    }

    async fn delete(&self) {
        let delete = DeleteProcess { container_id: self.container.clone(), exec_id: self.id.clone() };
        // A process that has never been is gone as well.
        drop(timeout(END_PATIENCE, self.engine.call(delete)).await);
    }
}
