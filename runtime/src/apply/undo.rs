//! Takes back what a start has left on the host, by the table of steps: see [`Undo`].

use super::cgroup::Cgroup;
use super::supervisor::Supervisor;
use crate::error::{Error, best_effort};
use crate::plan::Undo;

impl Supervisor<'_> {
    /// Takes back what was begun, the latest first. After a failure, the rest is tried nevertheless.
    pub(super) fn undo(mut self) {
        while let Some(undo) = self.begun.pop() {
            match undo {
                Undo::RemovePidFile => self.remove_pid_file(),
                Undo::KillInit => self.kill_init(),
                Undo::RemoveCgroup => self.remove_cgroup(),
                Undo::RemoveRdtGroup => self.remove_rdt_group(),
                Undo::RemoveStateDirectory => self.remove_state_directory(),
            }
        }
    }

    fn remove_pid_file(&mut self) {
        if let Some(path) = self.pid_file.take() {
            let removed = std::fs::remove_file(path).map_err(|err| Error::io("unlink", &err));
            best_effort(removed, "its reader may have taken it away already");
        }
    }

    fn kill_init(&mut self) {
        let Some(init) = self.init.take() else { return };
        best_effort(init.pidfd.end(), "it may be reaped already, and the cgroup is killed next");
    }

    fn remove_cgroup(&mut self) {
        let (Some(cgroup), Some(record)) = (self.cgroup.take(), &self.record) else { return };
        if record.systemd_unit.is_some() && self.unit.may_be_of_others() {
            return cgroup.leave();
        }
        let live = Cgroup::open(record.cgroup_paths.clone());
        best_effort(live.kill_all(), "hooks may have left something; an empty cgroup has nothing to kill");
        std::mem::take(&mut self.unit).undo(record.systemd_unit.as_ref(), &record.id);
        best_effort(cgroup.undo(), "the error that brought us here is the one to tell");
    }

    fn remove_rdt_group(&mut self) {
        best_effort(
            std::mem::take(&mut self.rdt).undo(),
            "the error that brought us here is the one to tell",
        );
    }

    fn remove_state_directory(&mut self) {
        if let Some((dir, _lock)) = self.dir.take() {
            best_effort(dir.remove(), "delete --force removes what is left");
        }
    }
}
