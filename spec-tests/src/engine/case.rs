//! A case: what is done in one seat, what must come of it, and the comparison of both seats.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::dockerd::{Engine, Role, Runtimes, Setup};
use super::normal::{difference, normalise};
use super::process::Said;
use super::sandbox::Sandbox;
use super::seat::Seat;
use super::{Outcome, Stop};

/// The engine that a case runs on.
#[derive(Clone, Copy, Debug)]
pub enum On {
    /// Shared; each container names its runtime.
    NamedRuntime,
    /// Shared by the cases of one seat; nobody names a runtime, since the default one is the seat's.
    DefaultRuntime,
    /// Shared, with `--userns-remap`; each container names its runtime.
    RemappedUsers,
    /// The play's own, so that its daemon can be restarted.
    ItsOwn {
        /// Whether containers outlive the daemon.
        live_restore: bool,
    },
}

/// One comparison.
pub struct Case {
    /// Unique within its theme; a behaviour.
    pub name: &'static str,
    on: On,
    controllers: &'static [&'static str],
    play: Box<dyn Fn(&Seat) -> Outcome + Send + Sync>,
}

/// A case that is told step by step. `play` fails where something is not as it must be, whatever the runtime.
pub fn case(name: &'static str, play: impl Fn(&Seat) -> Outcome + Send + Sync + 'static) -> Case {
    Case { name, on: On::NamedRuntime, controllers: &[], play: Box::new(play) }
}

/// A case that is one `docker run --rm ARGS…`.
pub fn run(name: &'static str, args: &'static [&'static str], expected: Expected) -> Case {
    case(name, move |seat| expected.check(seat.run(args)?))
}

impl Case {
    /// The same case on another engine.
    pub fn on(self, on: On) -> Self {
        Case { on, ..self }
    }

    /// The same case, skipped on a machine without those cgroup controllers.
    pub fn needs(self, controllers: &'static [&'static str]) -> Self {
        Case { controllers, ..self }
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

/// Where cases are played: the engines, started when a first case needs them.
pub struct Stage {
    sandbox: Sandbox,
    runtimes: Runtimes,
    roles: Vec<Role>,
    named: OnceLock<Result<Engine, String>>,
    tested_by_default: OnceLock<Result<Engine, String>>,
    remapped: OnceLock<Result<Engine, String>>,
    engines_of_their_own: AtomicUsize,
}

impl Stage {
    /// A stage for those roles; with one of them alone, cases are played and not compared.
    pub fn new(sandbox: Sandbox, runtimes: Runtimes, roles: Vec<Role>) -> Self {
        Stage {
            sandbox,
            runtimes,
            roles,
            named: OnceLock::new(),
            tested_by_default: OnceLock::new(),
            remapped: OnceLock::new(),
            engines_of_their_own: AtomicUsize::new(0),
        }
    }

    /// Plays `case` in each seat and compares. `name` is unique among all cases.
    pub fn judge(&self, case: &Case, name: &str) -> Outcome {
        let mut plays = Vec::new();
        let mut complaints = Vec::new();
        for &role in &self.roles {
            match self.play(case, name, role) {
                Ok((Ok(()), minutes)) => plays.push(minutes),
                Ok((Err(Stop::Skipped(why)), _)) | Err(Stop::Skipped(why)) => return Err(Stop::Skipped(why)),
                Ok((Err(Stop::Failed(why)), _)) | Err(Stop::Failed(why)) => {
                    complaints.push(format!("under {}: {why}", role.runtime()));
                }
            }
        }
        if !complaints.is_empty() {
            return Err(Stop::Failed(complaints.join("\n\n")));
        }
        match plays.as_slice() {
            [reference, tested] => compare(reference, tested),
            _ => Ok(()),
        }
    }

    /// Gives what the play came to and its minutes; the outer failure is the engine's.
    fn play(&self, case: &Case, name: &str, role: Role) -> Outcome<(Outcome, Vec<Said>)> {
        let sit = |engine: &Engine, names_runtime: bool| {
            let seat = Seat::new(engine, role, names_runtime, name);
            let outcome = seat.needs_controllers(case.controllers).and_then(|()| (case.play)(&seat));
            (outcome, seat.end())
        };
        match (case.on, role) {
            (On::NamedRuntime, _) => Ok(sit(self.named()?, true)),
            (On::DefaultRuntime, Role::Reference) => Ok(sit(self.named()?, false)),
            (On::DefaultRuntime, Role::Tested) => Ok(sit(self.tested_by_default()?, false)),
            (On::RemappedUsers, _) => Ok(sit(self.remapped()?, true)),
            (On::ItsOwn { live_restore }, _) => {
                let number = self.engines_of_their_own.fetch_add(1, Ordering::Relaxed);
                let setup = Setup { live_restore, ..Setup::default() };
                Ok(sit(&Engine::start(&self.sandbox, &format!("own{number}"), &self.runtimes, setup)?, true))
            }
        }
    }

    /// The shared engine on which containers name their runtime.
    pub fn named(&self) -> Outcome<&Engine> {
        self.shared(&self.named, "named", Setup::default())
    }

    fn tested_by_default(&self) -> Outcome<&Engine> {
        let setup = Setup { default_runtime: Role::Tested, ..Setup::default() };
        self.shared(&self.tested_by_default, "default", setup)
    }

    fn remapped(&self) -> Outcome<&Engine> {
        self.shared(&self.remapped, "remapped", Setup { userns_remap: true, ..Setup::default() })
    }

    fn shared<'a>(
        &self,
        cell: &'a OnceLock<Result<Engine, String>>,
        label: &str,
        setup: Setup,
    ) -> Outcome<&'a Engine> {
        let engine = cell.get_or_init(|| {
            Engine::start(&self.sandbox, label, &self.runtimes, setup).map_err(|stop| match stop {
                Stop::Failed(why) | Stop::Skipped(why) => why,
            })
        });
        engine.as_ref().map_err(|why| Stop::failed(format!("the engine {label:?}: {why}")))
    }
}

/// Compares what was said in both seats, step by step.
fn compare(reference: &[Said], tested: &[Said]) -> Outcome {
    let mut text = String::new();
    for (ours, theirs) in tested.iter().zip(reference) {
        let (was, is) = (for_comparison(theirs), for_comparison(ours));
        if was != is {
            text += &format!("$ {}\n{}", ours.command, difference("reference", &was, "tested", &is));
        }
    }
    if reference.len() != tested.len() {
        text += &format!(
            "{} steps under the reference, {} under the tested runtime\n",
            reference.len(),
            tested.len()
        );
    }
    super::ensure(text.is_empty(), || format!("the runtimes differ:\n{text}"))
}

fn for_comparison(said: &Said) -> String {
    let stderr: String = normalise(&said.stderr).lines().map(|line| format!("stderr: {line}\n")).collect();
    format!("{}\n{stderr}exit code: {}", normalise(&said.stdout), said.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stdout: &str, code: i32) -> Said {
        Said { command: "docker x".into(), stdout: stdout.into(), stderr: String::new(), code }
    }

    #[test]
    fn seats_that_say_the_same_but_for_ids_are_equal() {
        assert!(compare(&[said("d933fc6948cf", 0)], &[said("0123456789ab", 0)]).is_ok());
    }

    #[test]
    fn another_exit_code_or_another_word_is_a_difference() {
        assert!(compare(&[said("a", 0)], &[said("a", 1)]).is_err());
        assert!(compare(&[said("a", 0)], &[said("b", 0)]).is_err());
        assert!(compare(&[said("a", 0)], &[]).is_err());
    }
}
