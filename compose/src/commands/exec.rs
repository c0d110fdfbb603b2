//! `exec`: one more process in a container that runs.

use serde_json::{Value, json};

use super::{Ended, Session, code_of, complain};
use crate::apply::attach::{Ends, Target};
use crate::apply::stdio::{Fifos, Streams};
use crate::apply::{host, user};
use crate::cli::docker::Exec;
use crate::engine::Engine;
use crate::engine::tasks::{self, DeleteProcess, Start};
use crate::engine::types::Any;
use crate::error::{Error, Kind, Result};
use crate::observe::{self, Observed, State};
use crate::spec::{self, capabilities};
use crate::{id, model};

const PROCESS_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

pub async fn exec(session: &Session, exec: &Exec) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, &exec.container)?;
    match one.state {
        State::Running => {}
        State::Paused => {
            let why = format!("Container {} is paused, unpause the container before exec", one.id());
            return Err(Error::of_kind(Kind::WrongState, why));
        }
        _ => return Err(Error::of_kind(Kind::WrongState, format!("container {} is not running", one.id()))),
    }
    let process = process(one, exec)?;
    let target = Target { container: one.id().to_owned(), exec: id::random()? };
    let ended = if exec.detach {
        detached(&session.engine, &target, process).await
    } else {
        attached(session, exec, &target, process).await
    };
    ended.or_else(|err| {
        complain(&err);
        Ok(code_of(&err))
    })
}

async fn detached(engine: &Engine, target: &Target, process: Value) -> Ended {
    add(engine, target, process, &Streams::default()).await?;
    start(engine, target).await?;
    Ok(0)
}

async fn attached(session: &Session, exec: &Exec, target: &Target, process: Value) -> Ended {
    if exec.interactive && exec.tty && !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return Err(Error::new("the input device is not a TTY"));
    }
    let engine = &session.engine;
    let dir = session.disk.running(&target.container).join(&target.exec);
    let fifos = Fifos::for_all(&dir, exec.interactive, exec.tty)?;
    let streams = fifos.streams.clone();
    let ends = Ends::of_fifos(fifos)?;
    add(engine, target, process, &streams).await?;
    let ended = ends.tie(engine, target, start(engine, target)).await;
    let delete = DeleteProcess { container_id: target.container.clone(), exec_id: target.exec.clone() };
    // With the container's end, its processes are gone too.
    drop(engine.call(delete).await);
    ended.map(|code| u8::try_from(code).unwrap_or(u8::MAX))
}

async fn add(engine: &Engine, target: &Target, process: Value, streams: &Streams) -> Result<()> {
    let Target { container, exec } = target.clone();
    let Streams { stdin, stdout, stderr, terminal } = streams.clone();
    let spec = Some(Any::json(PROCESS_TYPE, &process)?);
    let add = tasks::Exec { container_id: container, stdin, stdout, stderr, terminal, spec, exec_id: exec };
    engine.call(add).await.map(drop)
}

async fn start(engine: &Engine, target: &Target) -> Result<()> {
    let Target { container, exec } = target.clone();
    engine.call(Start { container_id: container, exec_id: exec }).await.map(drop)
}

/// The container's own process, with what was asked for in its place.
fn process(one: &Observed, exec: &Exec) -> Result<Value> {
    let spec: Value = one.container.spec.as_ref().map(Any::read_json).transpose()?.unwrap_or_default();
    let mut process = spec["process"].clone();
    process["args"] = json!(exec.command);
    process["terminal"] = exec.tty.into();
    let own = process["env"].as_array().cloned().unwrap_or_default();
    let mut environment: Vec<String> = own.iter().filter_map(|set| set.as_str().map(str::to_owned)).collect();
    if exec.tty {
        spec::set(&mut environment, "TERM=xterm".to_owned());
    }
    exec.environment.iter().for_each(|variable| spec::set(&mut environment, variable.clone()));
    process["env"] = json!(environment);
    if let Some(directory) = &exec.directory {
        process["cwd"] = directory.clone().into();
    }
    if let Some(typed) = &exec.user {
        let pid = one.task.as_ref().map_or(0, |task| task.pid);
        process["user"] = json!(user::in_process(pid, typed)?);
    }
    if exec.privileged {
        let service = model::types::Service { privileged: true, ..Default::default() };
        process["capabilities"]["bounding"] =
            json!(capabilities::granted(&service, host::look().last_capability)?);
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
