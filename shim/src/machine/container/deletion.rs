//! The deletion of containers and of added processes.

use super::{Answer, Container, no_process, not_created};
use crate::machine::call::{CallId, Exit, ProcessKey};
use crate::machine::operation::{Event, NEVER, Operation};
use crate::machine::work::{Ended, Then, Work};
use crate::refusal::{Code, Refusal};

const SIGKILL: u32 = libc::SIGKILL as u32;

impl Container {
    /// A container that was never started is killed first.
    pub(super) fn delete_init(&mut self, call: CallId, work: &mut Work) -> Answer {
        if self.init.is_live() {
            return Err(Refusal::precondition("cannot delete a running process"));
        }
        if !self.init.delete(call) {
            return Ok(None);
        }
        if self.init.is_stopped() || self.init.pid == 0 {
            self.drain_init(work);
        } else if self.ending.is_none() {
            let kill = Operation::Signal { process: self.init.key.clone(), signal: SIGKILL, all: true };
            self.begin(kill, Then::KillCreated, work);
        }
        Ok(None)
    }

    /// The signal was sent, and the exit of init goes on with the deletion. NotFound says that init has ended already:
    /// its exit is still to be told.
    pub(super) fn killed_created(&mut self, result: Ended, work: &mut Work) {
        let lives = self.ending.is_none() && !self.init.is_stopped();
        match result {
            Err(refusal) if lives && refusal.code != Code::NotFound => self.init.keep(refusal, work),
            _ => {}
        }
    }

    pub(super) fn drain_init(&self, work: &mut Work) {
        let key = self.init.key.clone();
        self.begin(Operation::Drain(key.clone()), Then::Drain(key), work);
    }

    pub(super) fn delete_exec(&mut self, call: CallId, id: &str, work: &mut Work) -> Answer {
        self.is_there()?;
        let exec = self.execs.get_mut(id).ok_or_else(|| no_process(id))?;
        if exec.process.is_live() {
            return Err(Refusal::precondition("cannot delete a running process"));
        }
        if exec.process.delete(call) {
            let key = exec.process.key.clone();
            self.begin(Operation::Drain(key.clone()), Then::Drain(key), work);
        }
        Ok(None)
    }

    /// The output of a process is copied, or was waited for long enough.
    pub(super) fn drained(&mut self, key: &ProcessKey, work: &mut Work) {
        match &key.exec {
            None => self.drained = true,
            Some(id) => {
                if let Some(exec) = self.execs.remove(id) {
                    exec.process.leave(work);
                }
            }
        }
    }

    /// Takes the container away, if nothing is left that holds it.
    pub(super) fn settle_deletion(&self, work: &mut Work) {
        // No operation outlives its container: it might meet another container of the same id.
        if self.drained && work.idle(self.id()) {
            self.begin(Operation::Delete(self.id().to_string()), Then::Delete, work);
        }
    }

    /// Errors: NotFound, once the container is about to be taken away. No operation may begin then.
    pub(super) fn is_there(&self) -> Result<(), Refusal> {
        if self.drained { Err(not_created()) } else { Ok(()) }
    }

    /// The container could not be taken away. A Delete may try again.
    pub fn keep(&mut self, refusal: Refusal, work: &mut Work) {
        self.drained = false;
        self.init.keep(refusal, work);
    }

    /// The container was taken away, and its added processes with it.
    pub fn leave(self, work: &mut Work) {
        let exit = self.init.exit().unwrap_or(Exit { status: 0, at: NEVER });
        work.publish(Event::Deleted(self.id().to_string(), self.init.pid, exit));
        self.init.leave(work);
        for exec in self.execs.into_values() {
            exec.process.leave(work);
        }
    }
}
