//! The Docker engines that scenarios run on.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::dockerd::{Dockerd, Setup};
use super::role::{Role, Runtimes};
use super::sandbox::Sandbox;
use super::scenario::{On, Scenario};
use super::suite::Pool;
use super::verdict::{Performance, judge};
use super::{Outcome, Stop};

/// The engines, each started when a first scenario needs it.
pub struct EnginePool {
    sandbox: Sandbox,
    runtimes: Runtimes,
    roles: Vec<Role>,
    named: OnceLock<Result<Dockerd, String>>,
    tested_by_default: OnceLock<Result<Dockerd, String>>,
    remapped: OnceLock<Result<Dockerd, String>>,
    engines_of_their_own: AtomicUsize,
}

impl EnginePool {
    /// Engines for those roles; with a single role, scenarios are carried out and not compared.
    pub fn new(sandbox: Sandbox, runtimes: Runtimes, roles: Vec<Role>) -> Self {
        EnginePool {
            sandbox,
            runtimes,
            roles,
            named: OnceLock::new(),
            tested_by_default: OnceLock::new(),
            remapped: OnceLock::new(),
            engines_of_their_own: AtomicUsize::new(0),
        }
    }

    fn carry_out(&self, scenario: &Scenario, name: &str, role: Role) -> Performance {
        match (scenario.on, role) {
            (On::NamedRuntime, _) | (On::DefaultRuntime, Role::Reference) => {
                Ok(scenario.carry_out(self.named()?, role, name))
            }
            (On::DefaultRuntime, Role::Tested) => {
                Ok(scenario.carry_out(self.tested_by_default()?, role, name))
            }
            (On::RemappedUsers, _) => Ok(scenario.carry_out(self.remapped()?, role, name)),
            (On::ItsOwn { live_restore }, _) => {
                let number = self.engines_of_their_own.fetch_add(1, Ordering::Relaxed);
                let setup = Setup { live_restore, ..Setup::default() };
                let engine = Dockerd::start(&self.sandbox, &format!("own{number}"), &self.runtimes, setup)?;
                Ok(scenario.carry_out(&engine, role, name))
            }
        }
    }

    /// The shared engine on which containers name their runtime.
    pub fn named(&self) -> Outcome<&Dockerd> {
        self.started(&self.named, "named", Setup::default())
    }

    fn tested_by_default(&self) -> Outcome<&Dockerd> {
        let setup = Setup { default_runtime: Role::Tested, ..Setup::default() };
        self.started(&self.tested_by_default, "default", setup)
    }

    fn remapped(&self) -> Outcome<&Dockerd> {
        self.started(&self.remapped, "remapped", Setup { userns_remap: true, ..Setup::default() })
    }

    fn started<'a>(
        &self,
        cell: &'a OnceLock<Result<Dockerd, String>>,
        label: &str,
        setup: Setup,
    ) -> Outcome<&'a Dockerd> {
        let engine = cell.get_or_init(|| {
            Dockerd::start(&self.sandbox, label, &self.runtimes, setup).map_err(|stop| match stop {
                Stop::Failed(why) | Stop::Skipped(why) => why,
            })
        });
        engine.as_ref().map_err(|why| Stop::failed(format!("the engine {label:?}: {why}")))
    }
}

impl Pool for EnginePool {
    type Engine = Dockerd;

    fn judge(&self, scenario: &Scenario, name: &str) -> Outcome {
        judge(&self.roles, |role| self.carry_out(scenario, name, role))
    }

    fn shared(&self) -> Outcome<&Dockerd> {
        self.named()
    }
}
