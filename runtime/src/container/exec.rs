//! `exec`: one more process in a running container.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use super::Container;
use super::fresh::{FreshProcess, check_preserved};
use super::options::ExecOptions;
use crate::apply::{self, Joined, Joining};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::cgroup::host::SystemdManager;
use crate::plan::cgroup::{RecordedUnit, UsersUnit};
use crate::plan::seccomp::Filter;
use crate::plan::{self, NamespaceFlags, Plan, Request};
use crate::probe;
use crate::spec::{self, Spec, oci};
use crate::state::Status;
use crate::sys::pidfd::PidFd;

impl Container {
    /// Loads what the container's config.json and its seccomp filter ask of every process.
    ///
    /// Errors: WrongState unless it is created or running.
    pub fn joinable(&self) -> Result<Joinable<'_>> {
        match self.status()? {
            Status::Paused => Err(Error::new(
                Kind::WrongState,
                "cannot exec in a paused container (use --ignore-paused to override)",
            )),
            status => self.joinable_in(status),
        }
    }

    /// As [`joinable`](Self::joinable), but takes a paused container too. A process that joins it is frozen until the
    /// container is resumed.
    pub fn joinable_even_if_paused(&self) -> Result<Joinable<'_>> {
        self.joinable_in(self.status()?)
    }

    /// The container's unit, if a user's systemd has it.
    fn users_unit(&self) -> Result<Option<UsersUnit>> {
        let is_users = |unit: &&RecordedUnit| unit.manager == SystemdManager::User;
        let Some(unit) = self.record.systemd_unit.as_ref().filter(is_users) else { return Ok(None) };
        Ok(Some(UsersUnit::new(unit.clone(), &probe::cgroups_with_systemd()?)))
    }

    fn joinable_in(&self, status: Status) -> Result<Joinable<'_>> {
        let refused = |text: &str| Err(Error::new(Kind::WrongState, text));
        match status {
            Status::Stopped => return refused("cannot exec in a stopped container"),
            Status::Creating => return refused("cannot exec in a container that is being created"),
            Status::Created | Status::Running | Status::Paused => {}
        }
        let (config, filter) = self.dir.load_exec_config()?;
        let spec = Spec::load(config.as_bytes()).doing("config.json")?;
        Ok(Joinable { container: self, spec, filter })
    }
}

/// A container that takes another process.
pub struct Joinable<'a> {
    container: &'a Container,
    spec: Spec,
    filter: Option<Filter>,
}

impl<'a> Joinable<'a> {
    /// The container's own process, as its config.json describes it.
    pub fn own_process(&self) -> Result<&oci::Process> {
        self.spec.process().ok_or_else(|| Error::invalid("process: is missing in the container's config"))
    }

    /// Decides how `process` is run. Nothing is done.
    ///
    /// Errors: InvalidSpec or Unsupported, naming the field.
    pub fn plan(self, process: ExecProcess, options: ExecOptions) -> Result<PlannedProcess<'a>> {
        let ExecProcess { mut process, .. } = process;
        if process.capabilities().is_none() {
            process.set_capabilities(self.own_process()?.capabilities().clone());
        }
        check_preserved("--preserve-fds", options.preserve_fds)?;
        let id = self.container.id();
        let request = Request {
            id: id.to_string(),
            terminal_relayed: options.console.is_relayed(),
            console_socket: options.console.socket().map(Path::to_owned),
            preserve_fds: options.preserve_fds,
            cgroups: options.cgroups.clone(),
            pid_file: options.pid_file.clone(),
            pidfd_socket: options.pidfd_socket.clone(),
            ..Request::default()
        };
        let exec = plan::Exec {
            process: &process,
            spec: &self.spec,
            filter: self.filter.map(Rc::new),
            namespaces: NamespaceFlags(self.container.record.namespaces),
            rdt_group: self.container.record.rdt_group(),
            users_unit: self.container.users_unit()?,
            request: &request,
        };
        let plan = plan::exec(&exec, &probe::machine(), probe::caller())?;
        let has_terminal = process.terminal().unwrap_or(false);
        Ok(PlannedProcess { container: self.container, plan, has_terminal, options })
    }
}

/// A process for `exec`, which has been checked.
pub struct ExecProcess {
    process: oci::Process,
    warnings: Vec<String>,
}

impl ExecProcess {
    /// The process that a process.json describes.
    ///
    /// Errors: InvalidSpec or Unsupported, naming the field.
    pub fn from_json(text: &[u8]) -> Result<ExecProcess> {
        let (process, warnings) = spec::load_process(text)?;
        Ok(ExecProcess { process, warnings })
    }

    /// A process as a value.
    ///
    /// Errors: as [`from_json`](Self::from_json).
    pub fn check(process: oci::Process) -> Result<ExecProcess> {
        spec::check_process(&process)?;
        Ok(ExecProcess { process, warnings: Vec::new() })
    }

    /// What of process.json is passed over, and why.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// A process for a container, and the plan of running it.
pub struct PlannedProcess<'a> {
    container: &'a Container,
    plan: Plan,
    has_terminal: bool,
    options: ExecOptions,
}

impl PlannedProcess<'_> {
    /// Every step, as text.
    pub fn explain(&self) -> String {
        self.plan.explain()
    }

    /// Runs the process, and returns once it has executed its program.
    ///
    /// Process-wide effects: other processes can't trace this one from here on (PR_SET_DUMPABLE), and the new process
    /// is its child.
    ///
    /// Needs: a process with one thread.
    ///
    /// Errors: WrongState if the container has stopped; otherwise what the failing step says, and no process is left.
    pub fn exec(self, process: &FreshProcess) -> Result<NewProcess> {
        let options = self.options;
        options.console.check(self.has_terminal)?;
        let Joined { pid, pidfd, terminal } = apply::exec(Joining {
            plan: &self.plan,
            alone: process.alone()?,
            record: &self.container.record,
            cgroup: self.container.cgroup(),
            tracer: &options.tracer,
        })?;
        Ok(NewProcess { pid, pidfd, terminal })
    }
}

/// A process that was just brought into a container, by this process.
pub struct NewProcess {
    /// Its pid, as the caller's pid namespace numbers it.
    pub pid: i32,
    /// Its handle. It is a child of this process.
    pub pidfd: PidFd,
    /// The master of its terminal, if this process relays it.
    pub terminal: Option<OwnedFd>,
}
