//! A scenario: what is done under one runtime, and what must come of it.

use super::Outcome;
use super::process::Said;
use super::session::Session;

/// The engine that a scenario runs on.
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
pub struct Scenario {
    /// Unique within its theme; a behaviour.
    pub name: &'static str,
    pub(super) on: On,
    pub(super) controllers: &'static [&'static str],
    pub(super) steps: Box<dyn Fn(&Session) -> Outcome + Send + Sync>,
}

/// A scenario of several steps. They fail where something is not as it must be, whatever the runtime.
pub fn scenario(name: &'static str, steps: impl Fn(&Session) -> Outcome + Send + Sync + 'static) -> Scenario {
    Scenario { name, on: On::NamedRuntime, controllers: &[], steps: Box::new(steps) }
}

/// A scenario that is one `docker run --rm ARGS…`.
pub fn run(name: &'static str, args: &'static [&'static str], expected: Expected) -> Scenario {
    scenario(name, move |session| expected.check(session.run(args)?))
}

impl Scenario {
    /// The same scenario on another engine.
    pub fn on(self, on: On) -> Self {
        Scenario { on, ..self }
    }

    /// The same scenario, skipped on a machine without those cgroup controllers.
    pub fn needs(self, controllers: &'static [&'static str]) -> Self {
        Scenario { controllers, ..self }
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
    fn check(self, said: Said) -> Outcome {
        match self {
            Expected::Says(text) => said.ok()?.says(text).map(drop),
            Expected::Shows(parts) => {
                parts.iter().try_fold(said.ok()?, |said, part| said.shows(part)).map(drop)
            }
            Expected::Fails(code, part) => said.exits(code)?.complains(part).map(drop),
        }
    }
}
