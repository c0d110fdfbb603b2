//! Tables of inputs and effects, in words: `start a => begin start a`.
//!
//! `a` is the init of container a, `a/x` its added process x. An operation's end names the operation: `ok start a`,
//! `fail start a`. A reply names its call: `start a: pid 1`. Pids count from 1, as they are told.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::super::Machine;
use super::super::call::{
    Addition, Call, CallId, Checkpoint, Creation, Exit, Input, OperationId, ProcessKey, Streams,
};
use super::super::operation::{Effect, Event, NEVER, Operation, Outcome, Reply};
use crate::refusal::{Code, Refusal};

/// A machine, and what it was told by name.
pub struct Table {
    machine: Machine,
    calls: Vec<String>,
    at_work: Vec<(OperationId, String)>,
    pids: i32,
}

/// Checks a table on a machine without containers.
pub fn check(table: &str) {
    Table::default().check(table);
}

/// A machine with the container a, whose init has the pid 1 and runs in a pid namespace of its own.
pub fn running() -> Table {
    let mut table = Table::default();
    table.told("create a");
    table.told("ok create a");
    table.told("start a");
    table.told("ok start a");
    table
}

/// The same, with the added process x, which has the pid 2 and runs.
pub fn running_exec() -> Table {
    let mut table = running();
    table.told("exec a/x");
    table.told("start a/x");
    table.told("ok start a/x");
    table
}

/// The same, in the pid namespace of others.
pub fn shared() -> Table {
    let mut table = Table::default();
    table.told("create a");
    table.told("ok create a shared");
    table.told("start a");
    table.told("ok start a");
    table
}

/// A machine with the container a, which has ended with 7.
pub fn stopped() -> Table {
    let mut table = running();
    table.told("exit a 7");
    table.told("ok look a");
    table
}

impl Default for Table {
    fn default() -> Table {
        Table { machine: Machine::new(), calls: Vec::new(), at_work: Vec::new(), pids: 0 }
    }
}

impl Table {
    /// Tells the machine each line's input and compares the effects.
    #[track_caller]
    pub fn check(&mut self, table: &str) {
        let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
        let (mut expected, mut actual) = (String::new(), String::new());
        for line in lines {
            let (input, effects) = line.split_once("=>").unwrap_or((line, ""));
            let effects: Vec<&str> = effects.split(',').map(str::trim).collect();
            expected += &format!("{} => {}\n", input.trim(), effects.join(", "));
            actual += &format!("{} => {}\n", input.trim(), self.told(input.trim()));
        }
        assert!(expected == actual, "expected:\n{expected}\nactual:\n{actual}");
    }

    /// Tells the machine one input. Returns its effects.
    fn told(&mut self, input: &str) -> String {
        let words: Vec<&str> = input.split_whitespace().collect();
        let input = match words[..] {
            ["ok", ref operation @ ..] => self.end(operation, true),
            ["fail", ref operation @ ..] => self.end(operation, false),
            ["exit", process, status] => Input::Exited(key(process), exit(status.parse().unwrap())),
            ["oom", container] => Input::OutOfMemory(container.to_string()),
            ["deserted"] => Input::Deserted,
            ["forget", ref call @ ..] => Input::Forgotten(self.call_named(&call.join(" "))),
            _ => {
                self.calls.push(input.to_string());
                Input::Call(CallId(self.calls.len() as u64), call(&words))
            }
        };
        let effects = self.machine.handle(input);
        let effects: Vec<String> = effects.into_iter().map(|effect| self.words(effect)).collect();
        effects.join(", ")
    }

    fn call_named(&self, name: &str) -> CallId {
        let index = self.calls.iter().rposition(|call| call == name).unwrap();
        CallId(index as u64 + 1)
    }

    fn end(&mut self, words: &[&str], is_ok: bool) -> Input {
        let is_meant = |(_, name): &(_, String)| words.join(" ").starts_with(name.as_str());
        let index =
            self.at_work.iter().position(is_meant).unwrap_or_else(|| panic!("not at work: {words:?}"));
        let (id, _) = self.at_work.remove(index);
        if !is_ok {
            let code = if words.contains(&"gone") { Code::NotFound } else { Code::Unknown };
            return Input::Done(id, Err(Refusal::new(code, "fault")));
        }
        let outcome = match words {
            ["create", _, "restored"] => Outcome::Created { pid: 0, shares_pid_namespace: false },
            ["create", _, rest @ ..] => {
                Outcome::Created { pid: self.next_pid(), shares_pid_namespace: !rest.is_empty() }
            }
            ["start", process] if process.contains('/') => Outcome::Began { pid: self.next_pid() },
            ["start", _, "restored"] => Outcome::Began { pid: self.next_pid() },
            ["look", _, rest @ ..] => Outcome::OutOfMemory(!rest.is_empty()),
            ["pids", _] => Outcome::Pids((1..=self.pids + 1).collect()),
            ["stats", _] => Outcome::Metrics("metrics".into(), Vec::new()),
            _ => Outcome::Done,
        };
        Input::Done(id, Ok(outcome))
    }

    fn next_pid(&mut self) -> i32 {
        self.pids += 1;
        self.pids
    }

    fn words(&mut self, effect: Effect) -> String {
        match effect {
            Effect::Begin(id, operation) => {
                let name = operation_words(&operation);
                self.at_work.push((id, name.clone()));
                format!("begin {name}")
            }
            Effect::Reply(CallId(call), reply) => {
                let reply =
                    reply.map_or_else(|refusal| format!("{:?} {}", refusal.code, refusal.text), reply_words);
                format!("{}: {reply}", self.calls[call as usize - 1])
            }
            Effect::Publish(event) => event_words(event),
            Effect::StoreExit(container, exit) => format!("store {container} {}", exit.status),
            Effect::Abandon(id) => format!("abandon {id}"),
            Effect::Quit => "quit".into(),
        }
    }
}

/// The exit of a process; its time follows from its status.
pub fn exit(status: u32) -> Exit {
    Exit { status, at: SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + u64::from(status)) }
}

/// `a` or `a/x`.
pub fn key(words: &str) -> ProcessKey {
    match words.split_once('/') {
        None => ProcessKey::init(words),
        Some((container, exec)) => ProcessKey { container: container.into(), exec: Some(exec.into()) },
    }
}

/// A container that is to be created.
pub fn creation(id: &str) -> Box<Creation> {
    Box::new(Creation { id: id.into(), bundle: PathBuf::from("/bundle"), ..Creation::default() })
}

/// A process that is to be added.
pub fn addition(process: ProcessKey) -> Box<Addition> {
    Box::new(Addition { process, streams: Streams::default(), spec: b"{}".to_vec() })
}

fn call(words: &[&str]) -> Call {
    match *words {
        ["create", id] => Call::Create(creation(id)),
        ["create", id, "terminal"] => {
            let mut creation = creation(id);
            creation.streams.terminal = true;
            Call::Create(creation)
        }
        ["create", id, _number] => Call::Create(creation(id)),
        ["start", process] => Call::Start(key(process)),
        ["exec", process] => Call::Exec(addition(key(process))),
        ["delete", process] => Call::Delete(key(process)),
        ["state", process] => Call::State(key(process)),
        ["wait", process, ..] => Call::Wait(key(process)),
        ["kill", process, signal, ref all @ ..] => {
            Call::Kill { process: key(process), signal: signal.parse().unwrap(), all: !all.is_empty() }
        }
        ["pause", id] => Call::Pause(id.into()),
        ["resume", id] => Call::Resume(id.into()),
        ["pids", id] => Call::Pids(id.into()),
        ["stats", id] => Call::Stats(id.into()),
        ["update", id] => Call::Update(id.into(), Vec::new()),
        ["checkpoint", id] => {
            Call::Checkpoint(id.into(), Box::new(Checkpoint { path: "/there".into(), options: None }))
        }
        ["resize", process] => Call::ResizePty(key(process), 80, 25),
        ["close", process] => Call::CloseStdin(key(process)),
        ["connect", id] => Call::Connect(id.into()),
        ["shutdown"] => Call::Shutdown,
        _ => panic!("no such call: {words:?}"),
    }
}

fn operation_words(operation: &Operation) -> String {
    match operation {
        Operation::Create(creation) => format!("create {}", creation.id),
        Operation::Start(id) => format!("start {id}"),
        Operation::StartExec(addition) => format!("start {}", key_words(&addition.process)),
        Operation::Signal { process, signal, all } => {
            format!("signal {} {signal}{}", key_words(process), if *all { " all" } else { "" })
        }
        Operation::KillAll(id) => format!("kill-all {id}"),
        Operation::Pause(id) => format!("pause {id}"),
        Operation::Resume(id) => format!("resume {id}"),
        Operation::Pids(id) => format!("pids {id}"),
        Operation::Stats(id) => format!("stats {id}"),
        Operation::Update(id, _) => format!("update {id}"),
        Operation::Checkpoint(id, _) => format!("checkpoint {id}"),
        Operation::ResizePty(process, ..) => format!("resize {}", key_words(process)),
        Operation::CloseStdin(process) => format!("close {}", key_words(process)),
        Operation::LookForOutOfMemory(id) => format!("look {id}"),
        Operation::Drain(process) => format!("drain {}", key_words(process)),
        Operation::Delete(id) => format!("delete {id}"),
    }
}

fn reply_words(reply: Reply) -> String {
    match reply {
        Reply::Empty => "ok".into(),
        Reply::Pid(pid) => format!("pid {pid}"),
        Reply::State(state) => {
            let status = format!("{:?}", state.status).to_lowercase();
            let ended = state.exit.map(|ended| format!(" {}", exit_words(ended))).unwrap_or_default();
            format!("{status} pid {}{ended}", state.pid)
        }
        Reply::Exit(pid, ended) => format!("pid {pid} {}", exit_words(ended)),
        Reply::Pids(pids) => {
            let named =
                |(pid, exec): (i32, Option<String>)| exec.map_or(pid.to_string(), |id| format!("{pid}={id}"));
            pids.into_iter().map(named).collect::<Vec<_>>().join(" ")
        }
        Reply::Metrics(kind, _) => kind,
        Reply::Connected(pid) => format!("pid {pid}"),
    }
}

fn event_words(event: Event) -> String {
    match event {
        Event::Created(creation, pid) => format!("Created {} pid {pid}", creation.id),
        Event::Started(id, pid) => format!("Started {id} pid {pid}"),
        Event::ExecAdded(process) => format!("ExecAdded {}", key_words(&process)),
        Event::ExecStarted(process, pid) => format!("ExecStarted {} pid {pid}", key_words(&process)),
        Event::Exited(process, pid, ended) => {
            format!("Exited {} pid {pid} {}", key_words(&process), exit_words(ended))
        }
        Event::Deleted(id, pid, ended) => format!("Deleted {id} pid {pid} {}", exit_words(ended)),
        Event::OutOfMemory(id) => format!("OutOfMemory {id}"),
        Event::Paused(id) => format!("Paused {id}"),
        Event::Resumed(id) => format!("Resumed {id}"),
        Event::Checkpointed(id, path) => format!("Checkpointed {id} {}", path.display()),
    }
}

/// The status; the time only where it isn't the one that belongs to the status.
fn exit_words(ended: Exit) -> String {
    if ended == exit(ended.status) {
        format!("exit {}", ended.status)
    } else if ended.at == NEVER {
        format!("exit {} never", ended.status)
    } else {
        format!("exit {} at {:?}", ended.status, ended.at)
    }
}

fn key_words(key: &ProcessKey) -> String {
    match &key.exec {
        None => key.container.clone(),
        Some(exec) => format!("{}/{exec}", key.container),
    }
}
