//! A scenario: what is done under one runtime, and what must come of it.

use super::dockerd::Dockerd;
use super::process::Said;
use super::role::Role;
use super::session::Session;
use super::{Engine, Outcome};

/// The Docker engine that a scenario runs on.
#[derive(Clone, Copy, Debug)]
pub enum On {
    /// Shared; each container names its runtime.
    NamedRuntime,
    /// Shared by the sessions of one runtime, which is the engine's default: no container names it.
    DefaultRuntime,
    /// Shared, with `--userns-remap`; each container names its runtime.
    RemappedUsers,
    /// The session's own, so that its daemon can be restarted.
    ItsOwn {
        /// Whether containers outlive the daemon.
        live_restore: bool,
    },
}

/// Steps that two runtimes have to carry out alike.
pub struct Scenario<E: Engine = Dockerd> {
    /// Unique within its theme; a behaviour.
    pub name: &'static str,
    /// The engine that it runs on.
    pub on: E::On,
    controllers: &'static [&'static str],
    steps: Steps<E>,
}

type Steps<E> = Box<dyn Fn(&Session<E>) -> Outcome + Send + Sync>;

/// A scenario of several steps. They fail where something is not as it must be, whatever the runtime.
pub fn scenario(name: &'static str, steps: impl Fn(&Session) -> Outcome + Send + Sync + 'static) -> Scenario {
    Scenario::new(name, On::NamedRuntime, steps)
}

/// A scenario that is one `docker run --rm ARGS…`.
pub fn run(name: &'static str, args: &'static [&'static str], expected: Expected) -> Scenario {
    scenario(name, move |session| expected.check(session.run(args)?))
}

impl<E: Engine> Scenario<E> {
    /// A scenario on such an engine.
    pub fn new(
        name: &'static str,
        on: E::On,
        steps: impl Fn(&Session<E>) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Scenario { name, on, controllers: &[], steps: Box::new(steps) }
    }

    /// The same scenario on another engine.
    pub fn on(self, on: E::On) -> Self {
        Scenario { on, ..self }
    }

    /// The same scenario, skipped on a machine without those cgroup controllers.
    pub fn needs(self, controllers: &'static [&'static str]) -> Self {
        Scenario { controllers, ..self }
    }

    /// Carries the scenario out on `engine`. No other scenario has `name`.
    pub(super) fn carry_out(&self, engine: &E, role: Role, name: &str) -> (Outcome, Vec<Said>) {
        let session = Session::new(engine, self.on, role, name);
        let outcome = session.needs_controllers(self.controllers).and_then(|()| (self.steps)(&session));
        (outcome, session.end())
    }
}

/// What must come of one command, whatever the runtime.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// Success, and exactly this on standard output.
    Says(&'static str),
    /// Success, and each of these somewhere on standard output.
    Shows(&'static [&'static str]),
    /// This exit code, and this somewhere on standard error.
    Fails(i32, &'static str),
}

impl Expected {
    /// Fails unless `said` is so.
    pub fn check(self, said: Said) -> Outcome {
        match self {
            Expected::Says(text) => said.ok()?.says(text).map(drop),
            Expected::Shows(parts) => {
                parts.iter().try_fold(said.ok()?, |said, part| said.shows(part)).map(drop)
            }
            Expected::Fails(code, part) => said.exits(code)?.complains(part).map(drop),
        }
    }
}
