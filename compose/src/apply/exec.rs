//! Processes that are added to a container that runs.

use serde_json::{Value, json};

use super::attach::Target;
use super::stdio::Streams;
use super::{host, task, user};
use crate::engine::Engine;
use crate::engine::program::code_of_program;
use crate::engine::tasks::{self, DeleteProcess, Start};
use crate::engine::types::Any;
use crate::error::{Error, Kind, Result};
use crate::model::types::Service;
use crate::observe::{Observed, State};
use crate::spec::{self, capabilities};

const PROCESS_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// Whatever Docker's daemon would refuse.
pub const REFUSED: u8 = 125;

/// A process to be added: what differs from the container's own one.
#[derive(Clone, Debug, Default)]
pub struct Addition {
    pub command: Vec<String>,
    pub tty: bool,
    pub privileged: bool,
    pub user: Option<String>,
    pub directory: Option<String>,
    /// `KEY=VALUE` each.
    pub environment: Vec<String>,
}

/// Makes sure that a process can be added to the container.
///
/// Errors: WrongState, in Docker's words.
pub fn check_runs(one: &Observed) -> Result<()> {
    match one.state {
        State::Running => Ok(()),
        State::Paused => {
            let why = format!("Container {} is paused, unpause the container before exec", one.id());
            Err(Error::of_kind(Kind::WrongState, why))
        }
        _ => Err(task::not_running(one)),
    }
}

/// Adds a process. [`start`] starts it.
pub async fn add(engine: &Engine, target: &Target, process: Value, streams: &Streams) -> Result<()> {
    let Target { container, exec } = target.clone();
    let Streams { stdin, stdout, stderr, terminal } = streams.clone();
    let spec = Some(Any::json(PROCESS_TYPE, &process)?);
    let add = tasks::Exec { container_id: container, stdin, stdout, stderr, terminal, spec, exec_id: exec };
    engine.call(add).await.map(drop)
}

/// Starts a process that was added.
pub async fn start(engine: &Engine, target: &Target) -> Result<()> {
    let Target { container, exec } = target.clone();
    engine.call(Start { container_id: container, exec_id: exec }).await.map(drop)
}

/// Deletes a process that has ended.
pub async fn delete(engine: &Engine, target: &Target) {
    let Target { container, exec } = target.clone();
    // With the container's end, its processes are gone too.
    drop(engine.call(DeleteProcess { container_id: container, exec_id: exec }).await);
}

/// The container's own process, with what was asked for in its place.
pub fn process(one: &Observed, addition: &Addition) -> Result<Value> {
    let spec: Value = one.container.spec.as_ref().map(Any::read_json).transpose()?.unwrap_or_default();
    let mut process = spec["process"].clone();
    process["args"] = json!(addition.command);
    process["terminal"] = addition.tty.into();
    let own = process["env"].as_array().cloned().unwrap_or_default();
    let mut environment: Vec<String> = own.iter().filter_map(|set| set.as_str().map(str::to_owned)).collect();
    if addition.tty {
        spec::set(&mut environment, "TERM=xterm".to_owned());
    }
    addition.environment.iter().for_each(|variable| spec::set(&mut environment, variable.clone()));
    process["env"] = json!(environment);
    if let Some(directory) = &addition.directory {
        process["cwd"] = directory.clone().into();
    }
    if let Some(typed) = &addition.user {
        let pid = one.task.as_ref().map_or(0, |task| task.pid);
        process["user"] = json!(user::in_process(pid, typed)?);
    }
    if addition.privileged {
        let service = Service { privileged: true, ..Service::default() };
        process["capabilities"]["bounding"] =
            json!(capabilities::granted(&service, host::look().capabilities)?);
    }
    hold(&mut process);
    Ok(process)
}

/// Root holds what it may have; nobody else holds any.
fn hold(process: &mut Value) {
    let bounding = process["capabilities"]["bounding"].clone();
    let held = if process["user"]["uid"] == 0 { bounding } else { json!([]) };
    process["capabilities"]["effective"] = held.clone();
    process["capabilities"]["permitted"] = held;
}

/// Docker's exit code for what could not be started, by what the runtime says.
pub fn code_of(err: &Error) -> u8 {
    code_of_program(err).unwrap_or(REFUSED)
}
