//! `create`: a planned container is made.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;

use super::bundle::Bundle;
use super::delete::Remains;
use super::fresh::FreshProcess;
use super::options::CreateOptions;
use super::{Container, LockedContainer, Runtime};
use crate::apply::handshake::{Channel, Message};
use crate::apply::readiness::Readiness;
use crate::apply::starting::Started;
use crate::apply::{self, Created, Creation};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::state::{ContainerId, StateRoot};
use crate::sys::pidfd::PidFd;

/// A container that can be created on this host, and how.
pub struct PlannedContainer<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) id: &'a ContainerId,
    pub(super) plan: Plan,
    pub(super) options: CreateOptions,
}

impl PlannedContainer<'_> {
    /// Every step of the start, as text.
    pub fn explain(&self) -> String {
        self.plan.explain()
    }

    /// What will not go as the author of config.json may expect.
    pub fn warnings(&self) -> &[String] {
        &self.plan.warnings
    }

    /// The names of the steps, in their order. A name stands once for all steps of that name.
    pub fn step_names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.plan.steps.iter().map(|step| step.stage().name()).collect();
        names.dedup();
        names
    }
}

impl Runtime {
    /// Creates a container.
    ///
    /// Process-wide effects: other processes can't trace this one from here on (PR_SET_DUMPABLE). It enters other
    /// namespaces and returns to its own, its root and its working directory. RLIMIT_MEMLOCK is lifted while a device
    /// program is loaded (before Linux 5.11). Init and, while they run, hooks are its children.
    ///
    /// Needs: a process with one thread.
    ///
    /// Errors: AlreadyExists; otherwise what the failing step says, and then nothing of the container is left.
    pub fn create(&self, planned: PlannedContainer, process: &FreshProcess) -> Result<NewContainer> {
        let PlannedContainer { bundle, id, plan, options } = planned;
        options.console.check(bundle.has_terminal())?;
        let created = apply::create(Creation {
            alone: process.alone()?,
            root: &StateRoot::open_or_create(&self.root)?,
            id,
            config: bundle.config(),
            tracer: &options.tracer,
            plan: &plan,
        })?;
        let Created { dir, record, pidfd, channel, terminal, started, notify_socket, lock } = created;
        let container = LockedContainer { container: Container { dir, record }, lock };
        Ok(NewContainer { container, init: pidfd, terminal, channel, started, notify_socket })
    }
}

/// A container that was just created, by this process.
pub struct NewContainer {
    /// The container, locked.
    pub container: LockedContainer,
    /// Its init, a child of this process.
    pub init: PidFd,
    terminal: Option<OwnedFd>,
    channel: Channel,
    started: Option<Started>,
    notify_socket: Option<OwnedFd>,
}

impl NewContainer {
    /// What this process has to delete when it is done with the container, whatever becomes of it.
    pub fn remains(&self) -> Remains {
        Remains::of(&self.container.container.dir)
    }

    /// Waits until a container that is [started at once] has executed its program, runs its poststart hooks, and
    /// unlocks it.
    ///
    /// [started at once]: CreateOptions::start_at_once
    ///
    /// Errors: Hook, and then the container is killed.
    pub fn wait_until_running(self) -> Result<Running> {
        let started = self.started.ok_or_else(|| Error::internal("the plan started no container"))?;
        self.container.complete_start(started)?;
        Ok(Running {
            container: self.container.unlock(),
            init: self.init,
            terminal: self.terminal,
            channel: self.channel,
            notify_socket: self.notify_socket,
        })
    }
}

/// A container that was created and started by this process.
pub struct Running {
    /// The container.
    pub container: Container,
    /// Its init, a child of this process.
    pub init: PidFd,
    /// The master of its terminal, if this process relays it.
    pub terminal: Option<OwnedFd>,
    channel: Channel,
    notify_socket: Option<OwnedFd>,
}

impl Running {
    /// Waits until the program is executed, or init has ended.
    ///
    /// Errors: init's, if it failed before.
    pub fn check_executed(&mut self) -> Result<()> {
        match self.channel.await_execution(&self.init, self.container.pid()) {
            Ok(Message::Failed(err)) => Err(err),
            _ => Ok(()),
        }
    }

    /// Hears from the container that it is ready, and then tells the service manager at `address` to attend the process
    /// `main_pid`. `None` if the container has no sd_notify socket.
    pub fn readiness(&mut self, address: &OsStr, main_pid: u32) -> Result<Option<Readiness>> {
        // The socket is taken in any case, so that it is closed if this fails: the container then doesn't wait for a
        // reader.
        self.notify_socket.take().map(|socket| Readiness::of(socket, address, main_pid)).transpose()
    }
}
