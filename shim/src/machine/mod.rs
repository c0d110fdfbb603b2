//! The order of things, as a pure machine: `(state, input) → (state, effects)`. It knows no clock and does no I/O.
//!
//! What it holds, whatever comes in which order:
//! - Of each process containerd hears created, started, exited, deleted, in this order and each once. An exit that is
//!   told before the end of a start is parked.
//! - The exit of init is the last one of its container, and OOM kills are told before it: the machine holds the exit
//!   until nothing is left. From the moment at which init is reaped, nothing is started in the container.
//! - Every call is replied to. Nothing of one container waits for another. A deletion waits for the end of a creation:
//!   containerd takes its NotFound for the end of the shim, and the creation would break off.
//! - No operation outlives its container.
//! - A container whose creator has gone before it was created is undone: nobody has heard of it. A shim without any
//!   other ends. Whoever creates one of the same id meanwhile waits for its end.

pub mod call;
mod container;
pub mod operation;
mod process;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;

use self::call::{Call, CallId, Creation, Exit, Input, OperationId, ProcessKey, check_id};
use self::container::{Answer, Container, not_created};
use self::operation::{Effect, Event, Operation, Outcome, Reply};
use self::work::{Ended, Then, Work};
use crate::refusal::Refusal;

/// All containers of a shim.
#[derive(Debug, Default)]
pub struct Machine {
    /// Containers that are being created: their ids are taken, and no call knows them.
    creating: BTreeMap<String, Creating>,
    containers: BTreeMap<String, Container>,
    work: Work,
    /// Whether the shim ends.
    quits: bool,
}

/// A container that is being created.
#[derive(Debug)]
struct Creating {
    call: CallId,
    creation: Box<Creation>,
    /// The exit of init, if it was told before the end of the creation.
    parked: Option<Exit>,
    /// Whether the kernel has killed for want of memory meanwhile.
    out_of_memory: bool,
    /// Whether whoever called has gone.
    abandoned: bool,
    /// Whether nothing is left of it but the exit of init, which is yet to be told.
    undone: bool,
    /// Creations of the same id, which wait for the end of this one. It is abandoned.
    next: Vec<(CallId, Box<Creation>)>,
    /// Deletions of the container, which wait for the end of its creation.
    deletions: Vec<CallId>,
}

impl Machine {
    /// A machine without containers.
    pub fn new() -> Machine {
        Machine::default()
    }

    /// Takes one step.
    pub fn handle(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Call(call, what) => self.call(call, what),
            Input::Forgotten(call) => self.forget(call),
            Input::Done(operation, result) => self.done(operation, result),
            Input::Exited(process, exit) => self.exited(&process, exit),
            Input::OutOfMemory(id) => self.out_of_memory(&id),
            Input::Deserted => self.quit_if_empty(),
        }
        self.work.take_effects()
    }

    fn call(&mut self, call: CallId, what: Call) {
        let answer = match what {
            Call::Create(creation) => self.create(call, creation),
            Call::Connect(id) => {
                Ok(Some(Reply::Connected(self.containers.get(&id).map_or(0, Container::pid))))
            }
            Call::Shutdown => return self.shutdown(call),
            Call::Delete(ProcessKey { container, exec: None }) if self.is_created_now(&container) => {
                self.creating.get_mut(&container).into_iter().for_each(|it| it.deletions.push(call));
                Ok(None)
            }
            what => self.call_container(call, what),
        };
        match answer {
            Ok(Some(reply)) => self.work.reply(call, Ok(reply)),
            Ok(None) => {}
            Err(refusal) => self.work.reply(call, Err(refusal)),
        }
    }

    fn is_created_now(&self, id: &str) -> bool {
        self.creating.get(id).is_some_and(|creating| !creating.abandoned)
    }

    fn call_container(&mut self, call: CallId, what: Call) -> Answer {
        let container = self.containers.get_mut(what.container()).ok_or_else(not_created)?;
        container.call(call, what, &mut self.work)
    }

    fn create(&mut self, call: CallId, creation: Box<Creation>) -> Answer {
        let id = creation.id.clone();
        check_id(&id)?;
        if self.quits {
            return Err(Refusal::precondition("the shim is ending"));
        }
        if let Some(earlier) = self.creating.get_mut(&id).filter(|earlier| earlier.abandoned) {
            earlier.next.push((call, creation));
            return Ok(None);
        }
        if self.creating.contains_key(&id) || self.containers.contains_key(&id) {
            return Err(Refusal::already_exists(format!("container {id} already exists")));
        }
        self.work.begin(&id, Operation::Create(creation.clone()), Then::Create);
        let creating = Creating {
            call,
            creation,
            parked: None,
            out_of_memory: false,
            abandoned: false,
            undone: false,
            next: Vec::new(),
            deletions: Vec::new(),
        };
        self.creating.insert(id, creating);
        Ok(None)
    }

    /// The first of them is begun, unless the container is there; the others wait for the first one.
    fn create_next(&mut self, next: Vec<(CallId, Box<Creation>)>) {
        next.into_iter().for_each(|(call, creation)| self.call(call, Call::Create(creation)));
    }

    fn forget(&mut self, call: CallId) {
        for creating in self.creating.values_mut() {
            creating.next.retain(|(waiting, _)| *waiting != call);
            creating.deletions.retain(|waiting| *waiting != call);
        }
        let mut creating = self.creating.iter_mut();
        let is_of_call = |creating: &Creating| creating.call == call && !creating.abandoned;
        if let Some((id, creating)) = creating.find(|(_, creating)| is_of_call(creating)) {
            creating.abandoned = true;
            self.work.effect(Effect::Abandon(id.clone()));
        }
        self.containers.values_mut().for_each(|container| container.forget(call));
    }

    /// A shim with containers stays: each container of a group says Shutdown after its own end.
    ///
    /// Whoever has the reply may create a container of the same id at once, and must not find this shim.
    fn shutdown(&mut self, call: CallId) {
        self.quit_if_empty();
        self.work.reply(call, Ok(Reply::Empty));
    }

    fn quit_if_empty(&mut self) {
        if self.creating.is_empty() && self.containers.is_empty() && !self.quits {
            self.quits = true;
            self.work.effect(Effect::Quit);
        }
    }

    fn done(&mut self, operation: OperationId, result: Ended) {
        let Some((id, then)) = self.work.end(operation) else { return };
        match then {
            Then::Create => self.created(&id, result),
            Then::Delete => self.deleted(&id, result),
            Then::Discard => {
                self.creating.get_mut(&id).into_iter().for_each(|creating| creating.undone = true);
                self.discard_if_over(&id);
            }
            then => self.on_container(&id, |container, work| container.done(then, result, work)),
        }
    }

    fn created(&mut self, id: &str, result: Ended) {
        match self.creating.get(id) {
            Some(creating) if creating.abandoned => return self.created_for_nobody(id, &result),
            _ => {}
        }
        let Some(mut creating) = self.creating.remove(id) else { return };
        let deletions = std::mem::take(&mut creating.deletions);
        match result {
            Ok(Outcome::Created { pid, shares_pid_namespace }) => {
                self.created_well(creating, pid, shares_pid_namespace);
            }
            Ok(_) => self.work.reply(creating.call, Err(Refusal::unknown("create told no pid"))),
            Err(refusal) => self.work.reply(creating.call, Err(refusal)),
        }
        deletions.into_iter().for_each(|call| self.call(call, Call::Delete(ProcessKey::init(id))));
    }

    fn created_well(&mut self, creating: Creating, pid: i32, shares_pid_namespace: bool) {
        let id = creating.creation.id.clone();
        self.work.publish(Event::Created(creating.creation.clone(), pid));
        let container = Container::new(*creating.creation, pid, shares_pid_namespace);
        self.containers.insert(id.clone(), container);
        if creating.out_of_memory {
            self.out_of_memory(&id);
        }
        let call = creating.call;
        match creating.parked {
            None => self.work.reply(call, Ok(Reply::Pid(pid))),
            Some(exit) => self.on_container(&id, |container, work| container.ended_early(call, exit, work)),
        }
    }

    fn created_for_nobody(&mut self, id: &str, result: &Ended) {
        match result {
            Ok(_) => self.work.begin(id, Operation::Delete(id.to_string()), Then::Discard),
            Err(_) => self.discard(id),
        }
    }

    /// The id stays taken until nothing is left of the container, and its exit can't be taken for another's.
    fn discard_if_over(&mut self, id: &str) {
        if self.creating.get(id).is_some_and(|creating| creating.undone && creating.parked.is_some()) {
            self.discard(id);
        }
    }

    /// Whoever would have said Shutdown has gone.
    fn discard(&mut self, id: &str) {
        let Some(Creating { next, deletions, .. }) = self.creating.remove(id) else { return };
        deletions.into_iter().for_each(|call| self.work.reply(call, Err(not_created())));
        self.create_next(next);
        self.quit_if_empty();
    }

    fn deleted(&mut self, id: &str, result: Ended) {
        match result {
            Ok(_) => {
                if let Some(container) = self.containers.remove(id) {
                    container.leave(&mut self.work);
                }
            }
            Err(refusal) => self.on_container(id, |container, work| container.keep(refusal, work)),
        }
    }

    fn exited(&mut self, process: &ProcessKey, exit: Exit) {
        match self.creating.get_mut(&process.container) {
            Some(creating) if process.exec.is_none() => {
                creating.parked.get_or_insert(exit);
                self.discard_if_over(&process.container);
            }
            _ => {
                self.on_container(&process.container, |container, work| container.exited(process, exit, work))
            }
        }
    }

    fn out_of_memory(&mut self, id: &str) {
        match self.creating.get_mut(id) {
            Some(creating) => creating.out_of_memory = true,
            None => self.on_container(id, |container, work| container.out_of_memory(work)),
        }
    }

    /// Tells the container something, and lets it take the steps that have waited for that.
    fn on_container(&mut self, id: &str, tell: impl FnOnce(&mut Container, &mut Work)) {
        if let Some(container) = self.containers.get_mut(id) {
            tell(container, &mut self.work);
            container.settle(&mut self.work);
        }
    }
}
