//! The unit of systemd around a new container's cgroup, from the moment in which the supervisor asks for it.

use super::supervisor::Supervisor;
use crate::error::{Error, Kind, Result, best_effort};
use crate::plan::Attached;
use crate::plan::cgroup::{Plan, RecordedUnit, Unit};
use crate::systemd::{self, Manager, Starting};

/// How far a supervisor and systemd have come with the unit.
#[derive(Default)]
pub(super) enum AskedUnit {
    /// systemd was not asked yet, if it is to be asked at all.
    #[default]
    NotAsked,
    /// systemd is at work on it.
    Starting(Box<Starting>),
    /// It runs around the container's cgroup.
    Started,
    /// Somebody else has a unit of this name, and perhaps what is in the cgroup.
    OfOthers,
    /// systemd has refused, or has not answered in time.
    Failed,
}

impl Supervisor<'_> {
    pub(super) fn start_unit(&mut self, unit: &Unit) -> Result<()> {
        let pid = self.init()?.pid;
        let starting = Manager::connect(unit.manager)?.start(unit, pid)?;
        self.unit = AskedUnit::Starting(Box::new(starting));
        Ok(())
    }

    /// Has systemd move the child into the unit of a running container.
    pub(super) fn attach_to_unit(&mut self, attached: &Attached) -> Result<()> {
        let Attached { unit, below } = attached;
        Manager::connect(unit.manager)?.attach(&unit.name, below, self.init()?.pid)
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
            Err(_) => AskedUnit::Failed,
        };
        started
    }

    /// Whether somebody else may have the unit, and so the cgroup too: nothing in the cgroup may be killed then. Before
    /// systemd is asked, nobody can tell. A unit that systemd is at work on is waited for first.
    pub fn may_be_of_others(&mut self) -> bool {
        if matches!(self, AskedUnit::Starting(_)) {
            best_effort(self.settle(), "the error that brought us here is the one to tell");
        }
        matches!(self, AskedUnit::OfOthers | AskedUnit::NotAsked)
    }

    /// Stops the unit that this start has begun.
    pub fn undo(self, unit: Option<&RecordedUnit>, id: &str) {
        if let (AskedUnit::Started, Some(unit)) = (self, unit) {
            best_effort(systemd::stop(unit, id), "systemd forgets an empty unit by itself");
        }
    }
}
