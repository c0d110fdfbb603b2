//! `delete`: all that is left of a container goes.

use super::{Container, LockedContainer, Runtime};
use crate::apply::hooks::{DefaultEnv, Surroundings, run_hook};
use crate::apply::resctrl;
use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::cgroup::RecordedUnit;
use crate::state::{ContainerDir, ContainerId, Lock, OciState, Record, Status};
use crate::sys::process;
use crate::systemd;

impl Runtime {
    /// Deletes a container that has stopped or was never started. Returns warnings: poststop hooks that failed.
    ///
    /// Waits up to 10 seconds for its processes to end, and for its poststop hooks as long as they take.
    ///
    /// Process-wide effects: the hooks are children of this process as long as they run. A program that ignores
    /// SIGCHLD, or waits for any child, takes away how they ended.
    ///
    /// Errors: WrongState for a container that runs; NotFound if `create` died before it wrote a record; the directory
    /// is removed nevertheless.
    pub fn delete(&self, id: &ContainerId) -> Result<Vec<String>> {
        let (dir, lock) = self.lock_directory(id)?;
        let record = load_or_remove(&dir)?;
        let locked = LockedContainer { container: Container { dir, record }, lock };
        match locked.status()? {
            Status::Stopped | Status::Created => locked.destroy(),
            status => Err(Error::new(
                Kind::WrongState,
                format!("cannot delete container {id} that is not stopped: {status}"),
            )),
        }
    }

    /// Deletes a container whatever it is doing. Returns warnings: poststop hooks that failed, and what a broken record
    /// leaves behind.
    ///
    /// Waits as [`delete`](Self::delete) does, and has the same process-wide effects.
    ///
    /// Errors: NotFound as in [`delete`](Self::delete).
    pub fn delete_by_force(&self, id: &ContainerId) -> Result<Vec<String>> {
        let (dir, lock) = self.lock_directory(id)?;
        destroy_by_force(dir, lock)
    }

    fn lock_directory(&self, id: &ContainerId) -> Result<(ContainerDir, Lock)> {
        let dir = ContainerDir::open(&self.root()?, id)?;
        let lock = dir.lock()?;
        Ok((dir, lock))
    }
}

/// What is left of a container when the process that has made it is done with it.
pub struct Remains(ContainerDir);

impl Remains {
    pub(super) fn of(dir: &ContainerDir) -> Remains {
        Remains(dir.clone())
    }

    /// Deletes the container as [`Runtime::delete_by_force`] does, unless it is gone already. A container that has
    /// taken its name since is another container, and stays.
    ///
    /// Process-wide effects: as [`Runtime::delete`].
    pub fn delete_by_force(self) -> Result<Vec<String>> {
        let Remains(dir) = self;
        match dir.lock().and_then(|lock| destroy_by_force(dir, lock)) {
            Err(err) if err.kind() == Kind::NotFound => Ok(Vec::new()),
            result => result,
        }
    }
}

fn destroy_by_force(dir: ContainerDir, lock: Lock) -> Result<Vec<String>> {
    match load_or_remove(&dir) {
        // What a broken record named can't be known any more, but the id must not be taken for ever.
        Err(err) if err.kind() == Kind::Internal => {
            dir.remove()?;
            Ok(vec![format!("{err}: whatever the container had besides its directory is left")])
        }
        record => {
            let record = record?;
            LockedContainer { container: Container { dir, record }, lock }.destroy()
        }
    }
}

/// Loads the record. Without a record, `create` died before it made anything but the directory, which is removed here.
///
/// Errors: NotFound if there is no record.
fn load_or_remove(dir: &ContainerDir) -> Result<Record> {
    dir.load().or_else(|err| {
        if err.kind() == Kind::NotFound {
            dir.remove()?;
        }
        Err(err)
    })
}

impl LockedContainer {
    /// Ends what runs and removes what there is: the groups, then the directory. If this process is killed meanwhile,
    /// the record is still there, and `delete` can be repeated.
    fn destroy(self) -> Result<Vec<String>> {
        let container = &self.container;
        let cgroup = container.cgroup();
        let rdt_group = container.record.rdt_group();
        let mut warnings = Vec::new();
        if container.has_groups()? {
            warnings.extend(container.warn_of_children()?);
            container.kill_init_and_wait()?;
            container.remove_cgroup()?;
            rdt_group.iter().try_for_each(resctrl::remove)?;
        } else {
            cgroup.remove_if_empty()?;
            rdt_group.iter().try_for_each(resctrl::remove_if_unused)?;
        }
        container.dir.remove()?;
        warnings.extend(container.run_poststop_hooks());
        Ok(warnings)
    }
}

impl Container {
    /// Whether the cgroup and the resctrl group that the record names are the container's. They may be others' if
    /// `create` died before it saw whether processes are in them. The container then has neither init nor fifo.
    fn has_groups(&self) -> Result<bool> {
        Ok(self.record.init_process_pid != 0 || self.dir.fifo_exists()?)
    }

    fn remove_cgroup(&self) -> Result<()> {
        let cgroup = self.cgroup();
        if let Some(unit) = &self.record.systemd_unit {
            return self.remove_unit(unit).doing_with(|| format!("stop the unit {}", unit.name));
        }
        if !cgroup.remove_if_empty()? {
            self.end_what_is_left()?;
            cgroup.remove()?;
        }
        Ok(())
    }

    /// Removes the cgroup and its unit. systemd stops the unit when nothing runs there any more: it would give
    /// processes time to end. Where somebody else has got the unit's name since, what is in the cgroup may be theirs.
    fn remove_unit(&self, unit: &RecordedUnit) -> Result<()> {
        let (cgroup, id) = (self.cgroup(), &self.record.id);
        let mut manager = systemd::Manager::connect(unit.manager)?;
        if manager.is_of_others(&unit.name, id)? {
            return cgroup.remove_if_empty().map(|_| ());
        }
        if !cgroup.pids()?.is_empty() {
            self.end_what_is_left()?;
        }
        if cgroup.is_empty_soon()? {
            manager.stop(&unit.name, id)?;
        }
        cgroup.remove()
    }

    /// Ends the processes that init has left in the cgroup.
    ///
    /// The end of init has ended all of its own pid namespace. What is in the cgroup then is a stranger, and stays,
    /// or a process that was frozen on its way into the container: such a process ends by itself once it is thawed.
    /// In a shared pid namespace only the records of other containers tell strangers from the container's processes.
    fn end_what_is_left(&self) -> Result<()> {
        self.thaw_own()?;
        // A `create` that died before it knew of init has ended nobody.
        let ended_by_init = self.record.private_pid_namespace && self.record.init_process_pid != 0;
        if !ended_by_init && self.neighbours()?.is_empty() {
            self.cgroup().kill_all()?;
        }
        Ok(())
    }

    /// Says that init's children will be left, where there is neither a pid namespace nor a cgroup to find them by.
    fn warn_of_children(&self) -> Result<Option<String>> {
        let Record { private_pid_namespace, init_process_pid: pid, .. } = self.record;
        if private_pid_namespace || self.cgroup().is_anywhere() || self.record.init()?.is_none() {
            return Ok(None);
        }
        let children = process::children(pid)?;
        let children = children.trim_end();
        Ok((!children.is_empty()).then(|| {
            format!("processes {children} may go on: the container has neither a pid namespace nor a cgroup of its own")
        }))
    }

    /// Runs all poststop hooks, as the specification asks even if a hook fails, and returns the failures. After a hook
    /// that a signal has ended the others don't run: whoever sent the signal waits for the end.
    fn run_poststop_hooks(&self) -> Vec<String> {
        let state = OciState::of(&self.record, Status::Stopped).to_json();
        let directory = Some(self.record.bundle.as_path());
        let surroundings = Surroundings { state: &state, env: DefaultEnv::Empty, directory };
        let mut failures = Vec::new();
        for (index, hook) in self.record.poststop.iter().enumerate() {
            let Err(err) = run_hook("poststop", index, hook, surroundings) else { continue };
            failures.push(err.to_string());
            if err.is(Errno::EINTR) {
                break;
            }
        }
        failures
    }
}
