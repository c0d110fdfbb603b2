//! The unit of systemd around a new container's cgroup, from the moment in which the supervisor asks for it.

use super::supervisor::Supervisor;
use crate::error::{Error, Kind, Result, best_effort};
use crate::plan::cgroup::{Plan, RecordedUnit, Unit};
use crate::systemd::{self, Manager, Starting};

/// How far a supervisor and systemd have come with the unit.
#[derive(Default)]
pub(super) enum AskedUnit {
    /// There is none that this start knows of.
    #[default]
    None,
    /// systemd is at work on it.
    Starting(Box<Starting>),
    /// It runs around the container's cgroup.
    Started,
    /// Somebody else has a unit of this name, and perhaps what is in the cgroup.
    OfOthers,
}

impl Supervisor<'_> {
    pub(super) fn start_unit(&mut self, unit: &Unit) -> Result<()> {
        let pid = self.init()?.pid;
        let starting = Manager::connect(unit.manager)?.start(unit, pid)?;
        self.unit = AskedUnit::Starting(Box::new(starting));
        Ok(())
    }

    pub(super) fn move_into_cgroup(&mut self, plan: &Plan) -> Result<()> {
        let pid = self.init()?.pid;
        let cgroup = self.cgroup.as_mut().ok_or_else(|| Error::internal("there is no cgroup yet"))?;
        cgroup.take_in(plan, pid)
    }
}

impl AskedUnit {
    /// Waits for systemd's answer.
    pub fn settle(&mut self) -> Result<()> {
        let AskedUnit::Starting(starting) = std::mem::take(self) else {
            return Err(Error::internal("no unit was asked for"));
        };
        let started = starting.wait();
        *self = match &started {
            Ok(()) => AskedUnit::Started,
            Err(err) if err.kind() == Kind::AlreadyExists => AskedUnit::OfOthers,
            // Where systemd doesn't answer, there is no use in asking it for more. It forgets a unit without processes.
            Err(_) => AskedUnit::None,
        };
        started
    }

    /// Whether somebody else has the unit, and perhaps the cgroup too: nothing in it may be killed. A unit that systemd
    /// is at work on is waited for first.
    pub fn is_of_others(&mut self) -> bool {
        if matches!(self, AskedUnit::Starting(_)) {
            best_effort(self.settle(), "the error that brought us here is the one to tell");
        }
        matches!(self, AskedUnit::OfOthers)
    }

    /// Stops the unit that this start has begun.
    pub fn undo(self, unit: Option<&RecordedUnit>, id: &str) {
        if let (AskedUnit::Started, Some(unit)) = (self, unit) {
            best_effort(systemd::stop(unit, id), "systemd forgets an empty unit by itself");
        }
    }
}
