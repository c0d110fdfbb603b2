//! The engines that scenarios run on, and the comparison of what two runtimes made of a scenario.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::dockerd::{Engine, Role, Runtimes, Setup};
use super::normal::{difference, normalise};
use super::process::Said;
use super::sandbox::Sandbox;
use super::scenario::{On, Scenario};
use super::session::Session;
use super::{Outcome, Stop};

/// The engines, each started when a first scenario needs it.
pub struct EnginePool {
    sandbox: Sandbox,
    runtimes: Runtimes,
    roles: Vec<Role>,
    named: OnceLock<Result<Engine, String>>,
    tested_by_default: OnceLock<Result<Engine, String>>,
    remapped: OnceLock<Result<Engine, String>>,
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

    /// Carries out `scenario` under each role's runtime and compares the transcripts. No other scenario has `name`.
    pub fn judge(&self, scenario: &Scenario, name: &str) -> Outcome {
        let mut transcripts = Vec::new();
        let mut complaints = Vec::new();
        for &role in &self.roles {
            match self.carry_out(scenario, name, role) {
                Ok((Ok(()), transcript)) => transcripts.push(transcript),
                Ok((Err(Stop::Skipped(why)), _)) | Err(Stop::Skipped(why)) => return Err(Stop::Skipped(why)),
                Ok((Err(Stop::Failed(why)), _)) | Err(Stop::Failed(why)) => {
                    complaints.push(format!("under {}: {why}", role.runtime()));
                }
            }
        }
        if !complaints.is_empty() {
            return Err(Stop::Failed(complaints.join("\n\n")));
        }
        match transcripts.as_slice() {
            [reference, tested] => compare(reference, tested),
            _ => Ok(()),
        }
    }

    /// Gives the session's result and its transcript. The outer failure is the engine's.
    fn carry_out(&self, scenario: &Scenario, name: &str, role: Role) -> Outcome<(Outcome, Vec<Said>)> {
        let in_session = |engine: &Engine, names_runtime: bool| {
            let session = Session::new(engine, role, names_runtime, name);
            let outcome =
                session.needs_controllers(scenario.controllers).and_then(|()| (scenario.steps)(&session));
            (outcome, session.end())
        };
        match (scenario.on, role) {
            (On::NamedRuntime, _) => Ok(in_session(self.named()?, true)),
            (On::DefaultRuntime, Role::Reference) => Ok(in_session(self.named()?, false)),
            (On::DefaultRuntime, Role::Tested) => Ok(in_session(self.tested_by_default()?, false)),
            (On::RemappedUsers, _) => Ok(in_session(self.remapped()?, true)),
            (On::ItsOwn { live_restore }, _) => {
                let number = self.engines_of_their_own.fetch_add(1, Ordering::Relaxed);
                let setup = Setup { live_restore, ..Setup::default() };
                Ok(in_session(
                    &Engine::start(&self.sandbox, &format!("own{number}"), &self.runtimes, setup)?,
                    true,
                ))
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

/// Compares two transcripts, step by step.
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
