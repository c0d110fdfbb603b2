//! Judges effects by the rules of order, from what the machine was told and what it did before.

use std::collections::{BTreeMap, BTreeSet};

use super::super::call::{Call, CallId, Exit, ProcessKey};
use super::super::operation::{Effect, Event, NEVER, Operation, Outcome, Reply, Status};
use crate::refusal::Refusal;

/// What was seen of a process since it was created or added.
#[derive(Debug, Default)]
struct Seen {
    /// An operation starts it.
    starts: bool,
    started: bool,
    reaped: Option<Exit>,
    exited: Option<Exit>,
}

/// What was seen of a container.
#[derive(Debug, Default)]
struct Container {
    created: bool,
    init: Seen,
    execs: BTreeMap<String, Seen>,
    /// How many operations are at work.
    at_work: usize,
    deletes: bool,
    stored: Option<Exit>,
    shares_pid_namespace: bool,
    /// Operations that kill all of its processes are at work.
    kills: usize,
    /// Such an operation has begun since its last process began.
    killed: bool,
    /// Its creator has gone before it was created.
    abandoned: bool,
    /// It is deleted for that, and only the exit of init is missing.
    undone: bool,
}

#[derive(Debug)]
enum Asked {
    State(ProcessKey),
    Wait(ProcessKey),
    Delete(ProcessKey),
    Shutdown,
    Other,
}

#[derive(Debug, Default)]
pub struct Judge {
    containers: BTreeMap<String, Container>,
    /// The published exit of the last process of each name, also when it is deleted.
    exits: BTreeMap<ProcessKey, Option<Exit>>,
    asked: BTreeMap<CallId, Asked>,
    forgotten: BTreeSet<CallId>,
    /// For the reader of a failure.
    pub history: Vec<String>,
}

/// Prints the history of a failure.
impl Drop for Judge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- history\n{}", self.history.join("\n"));
        }
    }
}

impl Judge {
    pub fn called(&mut self, id: CallId, call: &Call) {
        let asked = match call {
            Call::State(process) => Asked::State(process.clone()),
            Call::Wait(process) => Asked::Wait(process.clone()),
            Call::Delete(process) => Asked::Delete(process.clone()),
            Call::Shutdown => Asked::Shutdown,
            _ => Asked::Other,
        };
        self.asked.insert(id, asked);
    }

    pub fn forgotten(&mut self, id: CallId) {
        if self.asked.contains_key(&id) {
            self.forgotten.insert(id);
        }
    }

    pub fn reaped(&mut self, process: &ProcessKey, exit: Exit) {
        self.seen(process).reaped = Some(exit);
        self.containers.retain(|id, container| !(container.undone && *id == process.container));
    }

    /// All processes that can end.
    pub fn live(&self) -> Vec<ProcessKey> {
        let mut live = Vec::new();
        for (id, container) in &self.containers {
            let execs = container.execs.iter().filter(|(_, seen)| seen.starts || seen.started);
            let execs = execs.map(|(exec, seen)| (Some(exec.clone()), seen));
            let all = execs.chain([(None, &container.init)]);
            let ends = all.filter(|(_, seen)| seen.reaped.is_none());
            live.extend(ends.map(|(exec, _)| ProcessKey { container: id.clone(), exec }));
        }
        live
    }

    /// An operation has come to its end; its effects follow.
    pub fn done(&mut self, operation: &Operation, result: &Result<Outcome, Refusal>) {
        let id = container_of(operation);
        let container = self.containers.get_mut(id).expect("an operation outlives its container");
        container.at_work -= 1;
        match operation {
            Operation::Create(_) => match result {
                Ok(outcome) => {
                    let shares = matches!(outcome, Outcome::Created { shares_pid_namespace: true, .. });
                    container.shares_pid_namespace = shares;
                }
                Err(_) => drop(self.containers.remove(id)),
            },
            Operation::KillAll(_) => container.kills -= 1,
            Operation::Start(_) => container.init.starts = false,
            Operation::StartExec(addition) => {
                container.killed &= result.is_err();
                let seen = self.seen(&addition.process);
                seen.starts = false;
                if result.is_err() {
                    seen.reaped = None;
                }
            }
            Operation::Delete(_) => {
                container.deletes = false;
                container.undone = container.abandoned;
                if container.undone && container.init.reaped.is_some() {
                    self.containers.remove(id);
                }
            }
            _ => {}
        }
    }

    pub fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Begin(_, operation) => self.begun(operation),
            Effect::Abandon(id) => {
                let container = self.containers.get_mut(id).expect("nothing is abandoned");
                assert!(!container.created && !container.abandoned, "abandoned when created, or twice");
                container.abandoned = true;
            }
            Effect::Reply(call, reply) => self.replied(*call, reply),
            Effect::Publish(event) => self.published(event),
            Effect::StoreExit(id, exit) => {
                let container = self.containers.get_mut(id).unwrap();
                assert_eq!(
                    (container.init.reaped, container.init.exited, container.stored),
                    (Some(*exit), None, None)
                );
                container.stored = Some(*exit);
            }
            Effect::Quit => {
                assert!(self.containers.is_empty(), "it quits with containers");
                self.asked.retain(|call, _| !self.forgotten.contains(call));
                let mut asked = self.asked.values();
                // The reply to Shutdown is the last effect of all, unless whoever would have said it has gone.
                assert!(
                    matches!((asked.next(), asked.next()), (Some(Asked::Shutdown) | None, None)),
                    "it quits before its replies"
                );
            }
        }
    }

    fn begun(&mut self, operation: &Operation) {
        let id = container_of(operation);
        if let Operation::Create(_) = operation {
            let container = Container { at_work: 1, ..Container::default() };
            assert!(self.containers.insert(id.into(), container).is_none(), "two of one id");
            return;
        }
        let container = self.containers.get_mut(id).expect("an operation on nothing");
        assert!(
            (container.created || container.abandoned) && !container.deletes,
            "an operation on what is not there: {operation:?}"
        );
        match operation {
            Operation::Start(_) => {
                assert!(!container.init.starts && !container.init.started && container.init.reaped.is_none());
                container.init.starts = true;
            }
            Operation::StartExec(addition) => {
                assert!(container.init.reaped.is_none(), "a start after the end of init");
                let seen = container.execs.get_mut(addition.process.exec.as_ref().unwrap()).unwrap();
                assert!(!seen.starts && !seen.started, "two starts");
                seen.starts = true;
            }
            Operation::KillAll(_) => {
                assert!(container.init.reaped.is_some(), "all are killed though init lives");
                container.kills += 1;
                container.killed = true;
            }
            Operation::LookForOutOfMemory(_) => container.assert_is_alone(),
            Operation::Delete(_) => {
                let is_over = container.init.exited.is_some() || container.abandoned;
                assert!(container.at_work == 0 && is_over, "deleted too early");
                container.deletes = true;
            }
            _ => {}
        }
        container.at_work += 1;
    }

    fn published(&mut self, event: &Event) {
        match event {
            Event::Created(creation, _) => {
                let container = self.containers.get_mut(&creation.id).unwrap();
                assert!(!container.created && !container.abandoned, "created twice, or for nobody");
                container.created = true;
                self.exits.insert(ProcessKey::init(&creation.id), None);
            }
            Event::Started(id, _) => self.started(&ProcessKey::init(id)),
            Event::ExecAdded(process) => {
                let container = self.created(&process.container);
                assert!(container.init.exited.is_none(), "added after the end");
                let execs = &mut container.execs;
                assert!(
                    execs.insert(process.exec.clone().unwrap(), Seen::default()).is_none(),
                    "added twice"
                );
                self.exits.insert(process.clone(), None);
            }
            Event::ExecStarted(process, _) => {
                assert!(self.created(&process.container).init.exited.is_none(), "started after the end");
                self.started(process);
            }
            Event::Exited(process, _, exit) => self.exited(process, *exit),
            Event::Deleted(id, _, exit) => {
                let container = self.containers.remove(id).unwrap();
                assert!(container.at_work == 0 && container.init.exited == Some(*exit));
            }
            Event::OutOfMemory(id) => {
                assert!(self.created(id).init.exited.is_none(), "out of memory after the end");
            }
            Event::Paused(id) | Event::Resumed(id) => {
                let init = &self.created(id).init;
                assert!(init.started && init.exited.is_none(), "frozen or thawed when not running");
            }
            Event::Checkpointed(id, _) => assert!(self.created(id).init.started),
        }
    }

    fn started(&mut self, process: &ProcessKey) {
        self.created(&process.container);
        let seen = self.seen(process);
        assert!(!seen.started && seen.exited.is_none(), "started twice or after its end");
        seen.started = true;
    }

    fn exited(&mut self, process: &ProcessKey, exit: Exit) {
        let container = self.created(&process.container);
        assert!(container.init.exited.is_none(), "an exit after the exit of init");
        if process.exec.is_none() {
            container.assert_is_alone();
            assert_eq!(container.stored, Some(exit));
        }
        let seen = self.seen(process);
        assert!(seen.exited.is_none() && seen.reaped == Some(exit), "another exit");
        assert!(seen.started || process.exec.is_none(), "an exit without a start");
        seen.exited = Some(exit);
        self.exits.insert(process.clone(), Some(exit));
    }

    fn replied(&mut self, call: CallId, reply: &Result<Reply, Refusal>) {
        let asked = self.asked.remove(&call).expect("replied twice");
        match (asked, reply) {
            (Asked::Wait(process), Ok(reply)) => {
                assert!(matches!(reply, Reply::Exit(_, exit) if self.exits[&process] == Some(*exit)));
            }
            (Asked::Delete(process), Ok(reply)) => {
                let exit = self.exits[&process].unwrap_or(Exit { status: 0, at: NEVER });
                assert!(matches!(reply, Reply::Exit(_, said) if *said == exit));
                if let (Some(container), Some(exec)) =
                    (self.containers.get_mut(&process.container), &process.exec)
                {
                    let seen = container.execs.remove(exec);
                    assert!(seen.is_none_or(|seen| !seen.starts && (!seen.started || seen.exited.is_some())));
                }
            }
            (Asked::State(process), Ok(Reply::State(state))) => {
                assert_eq!(state.exit, self.exits[&process]);
                assert_eq!(state.status == Status::Stopped, state.exit.is_some());
            }
            _ => {}
        }
    }

    /// After the end of all operations and processes.
    pub fn all_is_told(&mut self) {
        for (id, container) in &self.containers {
            for seen in container.execs.values().chain([&container.init]) {
                assert_eq!(seen.reaped, seen.exited, "an exit is withheld: {id}");
            }
        }
        self.asked.retain(|call, _| !self.forgotten.contains(call));
        let (exits, containers) = (&self.exits, &self.containers);
        for asked in self.asked.values() {
            let Asked::Wait(process) = asked else { panic!("nobody replied: {asked:?}") };
            let exec = process.exec.as_ref().expect("nobody replied to a Wait for an init");
            assert!(containers[&process.container].execs.contains_key(exec) && exits[process].is_none());
        }
    }

    /// After the deletion of all containers.
    pub fn all_is_gone(&self) {
        assert!(self.containers.is_empty(), "a container is left");
        assert!(
            self.asked.keys().all(|call| self.forgotten.contains(call)),
            "nobody replied: {:?}",
            self.asked
        );
    }

    fn created(&mut self, id: &str) -> &mut Container {
        let container = self.containers.get_mut(id).expect("an event of nothing");
        assert!(container.created, "an event before the creation");
        container
    }

    fn seen(&mut self, process: &ProcessKey) -> &mut Seen {
        let container = self.containers.get_mut(&process.container).expect("a process of nothing");
        match &process.exec {
            None => &mut container.init,
            Some(exec) => container.execs.get_mut(exec).expect("an added process that was not"),
        }
    }
}

impl Container {
    fn assert_is_alone(&self) {
        let live = |seen: &Seen| seen.starts || (seen.started && seen.exited.is_none());
        assert!(!self.execs.values().any(live), "init goes before an added process");
        assert!(self.kills == 0 && (self.killed || !self.shares_pid_namespace), "init goes before the rest");
    }
}

fn container_of(operation: &Operation) -> &str {
    match operation {
        Operation::Create(creation) => &creation.id,
        Operation::StartExec(addition) => &addition.process.container,
        Operation::Signal { process, .. }
        | Operation::ResizePty(process, ..)
        | Operation::CloseStdin(process)
        | Operation::Drain(process) => &process.container,
        Operation::Start(id)
        | Operation::KillAll(id)
        | Operation::Pause(id)
        | Operation::Resume(id)
        | Operation::Pids(id)
        | Operation::Stats(id)
        | Operation::Update(id, _)
        | Operation::Checkpoint(id, _)
        | Operation::LookForOutOfMemory(id)
        | Operation::Delete(id) => id,
    }
}
