//! Pause and Resume.

use super::{Answer, Container};
use crate::machine::call::CallId;
use crate::machine::operation::{Event, Operation, Reply};
use crate::machine::process::Life;
use crate::machine::work::{Ended, Then, Work};
use crate::refusal::Refusal;

/// Whether the processes of a container are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freezer {
    Thawed,
    Pausing,
    Paused,
    Resuming,
}

impl Container {
    pub(super) fn pause(&mut self, call: CallId, work: &mut Work) -> Answer {
        if self.ending.is_some() {
            return Err(self.has_no_init());
        }
        if self.init.life != Life::Running || self.freezer != Freezer::Thawed {
            return Err(self.refuses_to("pause"));
        }
        self.freezer = Freezer::Pausing;
        self.begin(Operation::Pause(self.id().to_string()), Then::Pause(call), work);
        Ok(None)
    }

    pub(super) fn paused(&mut self, result: Ended, work: &mut Work) -> Result<Reply, Refusal> {
        self.freezer = if result.is_ok() { Freezer::Paused } else { Freezer::Thawed };
        result?;
        if self.lives() {
            work.publish(Event::Paused(self.id().to_string()));
        }
        // Init may have ended meanwhile: the freezer has closed after the kill, and what it holds must be killed again.
        self.kill_all(work);
        Ok(Reply::Empty)
    }

    pub(super) fn resume(&mut self, call: CallId, work: &mut Work) -> Answer {
        if self.init.life != Life::Running || self.freezer != Freezer::Paused {
            return Err(self.refuses_to("resume"));
        }
        self.freezer = Freezer::Resuming;
        self.begin(Operation::Resume(self.id().to_string()), Then::Resume(call), work);
        Ok(None)
    }

    pub(super) fn resumed(&mut self, result: Ended, work: &mut Work) -> Result<Reply, Refusal> {
        self.freezer = if result.is_ok() { Freezer::Thawed } else { Freezer::Paused };
        result?;
        if self.lives() {
            work.publish(Event::Resumed(self.id().to_string()));
        }
        Ok(Reply::Empty)
    }
}
