//! The end of a process; the end of init comes last in its container.

use super::{Container, Freezer};
use crate::machine::call::{CallId, Exit, ProcessKey};
use crate::machine::operation::{Effect, Event, Operation, Outcome, Reply};
use crate::machine::process::Life;
use crate::machine::work::{Ended, Then, Work};

/// The exit of init, which is held.
#[derive(Debug)]
pub(super) struct Ending {
    exit: Exit,
    /// Whether the other processes must be killed, because they don't end with init.
    kills_all: bool,
    /// Whether the last look for OOM kills has begun: nothing holds the exit any more.
    looking: bool,
}

impl Container {
    /// A process was reaped.
    pub fn exited(&mut self, key: &ProcessKey, exit: Exit, work: &mut Work) {
        if key.exec.is_none() {
            return self.init_exited(exit, work);
        }
        let Ok(process) = self.process_mut(key) else { return };
        if process.life == Life::Running {
            process.stop(exit, work);
        } else {
            process.park(exit);
        }
    }

    /// Init has ended before the end of the creation. The call of Create is replied to after the exit is published, so
    /// that the state is stopped for whoever has the reply.
    pub fn ended_early(&mut self, call: CallId, exit: Exit, work: &mut Work) {
        self.creator = Some(call);
        self.init_exited(exit, work);
    }

    fn init_exited(&mut self, exit: Exit, work: &mut Work) {
        if self.ending.is_some() || self.init.is_stopped() || self.init.is_parked() {
            return;
        }
        // At once: if the shim is killed while it holds the exit, `delete` still reads the status from the bundle.
        work.effect(Effect::StoreExit(self.id().to_string(), exit));
        if !self.init.park(exit) {
            self.end(exit, work);
        }
    }

    /// Holds the exit of init until all other processes have ended: from here on none is started.
    pub(super) fn end(&mut self, exit: Exit, work: &mut Work) {
        // The kernel kills the rest of a pid namespace with its init, but what is frozen does not die of that.
        let kills_all = self.shares_pid_namespace || self.freezer != Freezer::Thawed;
        self.ending = Some(Ending { exit, kills_all, looking: false });
        self.kill_all(work);
    }

    /// While something holds the exit of init: ends the processes that don't end with init.
    pub(super) fn kill_all(&self, work: &mut Work) {
        if self.ending.as_ref().is_some_and(|ending| ending.kills_all && !ending.looking) {
            self.begin(Operation::KillAll(self.id().to_string()), Then::KillAll, work);
        }
    }

    /// Takes the next step to the exit of init, if nothing is left that holds it.
    pub(super) fn settle_end(&mut self, work: &mut Work) {
        let is_alone = !self.execs.values().any(|exec| exec.process.is_live()) && !work.kills_all(self.id());
        let Some(ending) = self.ending.as_mut().filter(|ending| !ending.looking && is_alone) else { return };
        ending.looking = true;
        self.begin(Operation::LookForOutOfMemory(self.id().to_string()), Then::LookForOutOfMemory, work);
    }

    /// The last step: OOM kills, then the exit. A look that fails tells of none.
    pub(super) fn looked_for_out_of_memory(&mut self, result: Ended, work: &mut Work) {
        if result == Ok(Outcome::OutOfMemory(true)) {
            self.out_of_memory(work);
        }
        if let Some(ending) = self.ending.take() {
            self.init.stop(ending.exit, work);
        }
        if let Some(call) = self.creator.take() {
            work.reply(call, Ok(Reply::Pid(self.init.pid)));
        }
        if self.init.is_being_deleted() {
            self.drain_init(work);
        }
    }

    /// The kernel has killed for want of memory.
    pub fn out_of_memory(&self, work: &mut Work) {
        if !self.init.is_stopped() {
            work.publish(Event::OutOfMemory(self.id().to_string()));
        }
    }
}
