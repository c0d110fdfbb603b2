//! What a step of the machine brings about: its effects, and the operations that are at work.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::call::{CallId, OperationId, ProcessKey};
use super::operation::{Effect, Event, Operation, Outcome, Reply};
use crate::refusal::Refusal;

/// What an operation has come to, or why it failed.
pub type Ended = Result<Outcome, Refusal>;

/// What the end of an operation leads to.
#[derive(Debug, PartialEq)]
pub enum Then {
    /// The container is in the books.
    Create,
    /// The process runs.
    Start(ProcessKey),
    /// The call is replied to, and nothing else.
    Reply(CallId),
    /// The container is frozen.
    Pause(CallId),
    /// The container is thawed.
    Resume(CallId),
    /// A checkpoint of the container is made there.
    Checkpoint(CallId, PathBuf),
    /// The kill no longer holds the exit of init.
    KillAll,
    /// The exit of init is published.
    LookForOutOfMemory,
    /// An error ends the deletion; else the exit of init goes on with it.
    KillCreated,
    /// The process can be deleted.
    Drain(ProcessKey),
    /// The container is out of the books.
    Delete,
    /// The id is free again: nobody has heard of the container.
    Discard,
    /// Nobody waits for it.
    Nothing,
}

/// The effects of the present step, and all operations that are at work.
#[derive(Debug, Default)]
pub struct Work {
    effects: Vec<Effect>,
    /// Of which container each operation is, and what its end leads to.
    at_work: BTreeMap<OperationId, (String, Then)>,
    last: u64,
}

impl Work {
    /// Begins an operation of the container.
    pub fn begin(&mut self, container: &str, operation: Operation, then: Then) {
        self.last += 1;
        let id = OperationId(self.last);
        self.at_work.insert(id, (container.to_string(), then));
        self.effects.push(Effect::Begin(id, operation));
    }

    /// Takes an operation that has come to its end: its container, and what its end leads to.
    pub fn end(&mut self, operation: OperationId) -> Option<(String, Then)> {
        self.at_work.remove(&operation)
    }

    /// Whether no operation of the container is at work.
    pub fn idle(&self, container: &str) -> bool {
        !self.at_work.values().any(|(of, _)| of == container)
    }

    /// Whether all processes of the container are being killed.
    pub fn kills_all(&self, container: &str) -> bool {
        self.at_work.values().any(|(of, then)| of == container && *then == Then::KillAll)
    }

    /// Replies to a call.
    pub fn reply(&mut self, call: CallId, reply: Result<Reply, Refusal>) {
        self.effects.push(Effect::Reply(call, reply));
    }

    /// Gives the same reply to each of the calls.
    pub fn reply_all(&mut self, calls: Vec<CallId>, reply: &Result<Reply, Refusal>) {
        for call in calls {
            self.reply(call, reply.clone());
        }
    }

    /// Publishes an event.
    pub fn publish(&mut self, event: Event) {
        self.effects.push(Effect::Publish(event));
    }

    /// Wants anything else.
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The effects of the step, which ends here.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}
