//! The unit of systemd around a new container's cgroup, from the moment in which the supervisor asks for it.

use super::supervisor::Supervisor;
use crate::error::{Error, Kind, Result, best_effort};
use crate::plan::cgroup::{Plan, RecordedUnit, Unit};
use crate::systemd::{self, Manager, Starting};

/// What a supervisor has asked of systemd.
#[derive(Default)]
pub(super) struct AskedUnit {
    /// The unit that systemd is at work on.
    starting: Option<Starting>,
    /// Whether systemd may have a unit that this start has asked for.
    is_asked_for: bool,
}

impl Supervisor<'_> {
    pub(super) fn start_unit(&mut self, unit: &Unit) -> Result<()> {
        let pid = self.init()?.pid;
        let manager = Manager::connect(unit.manager)?;
        self.unit.is_asked_for = true;
        self.unit.starting = Some(manager.start(unit, pid)?);
        Ok(())
    }

    pub(super) fn await_unit(&mut self) -> Result<()> {
        let starting = self.unit.starting.take();
        match starting.ok_or_else(|| Error::internal("no unit was asked for"))?.wait() {
            // The unit is another's, and stays.
            Err(err) if err.kind() == Kind::AlreadyExists => {
                self.unit.is_asked_for = false;
                Err(err)
            }
            result => result,
        }
    }

    pub(super) fn move_into_cgroup(&mut self, plan: &Plan) -> Result<()> {
        let pid = self.init()?.pid;
        let cgroup = self.cgroup.as_mut().ok_or_else(|| Error::internal("there is no cgroup yet"))?;
        cgroup.take_in(plan, pid)
    }
}

impl AskedUnit {
    /// Stops the unit, if this start has asked for it.
    pub fn undo(self, unit: Option<&RecordedUnit>, id: &str) {
        if let Some(unit) = unit.filter(|_| self.is_asked_for) {
            best_effort(systemd::stop(unit, id), "systemd forgets an empty unit by itself");
        }
    }
}
