//! What the `main` of an engine's suite does: enters the sandbox, starts engines, and judges the scenarios.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use super::role::Role;
use super::sandbox::{self, Sandbox};
use super::scenario::Scenario;
use super::{Engine, Outcome, Stop};

/// More than there are cores: a scenario spends much of its time waiting for daemons.
const THREADS: usize = 4;

/// Scenarios under the name of their theme.
pub type Theme<E> = (&'static str, Vec<Scenario<E>>);

/// The engines that the scenarios of a suite run on.
pub trait Pool: Send + Sync + 'static {
    /// Their kind.
    type Engine: Engine;

    /// Carries out `scenario` under each role's runtime and compares the transcripts. No other scenario has `name`.
    fn judge(&self, scenario: &Scenario<Self::Engine>, name: &str) -> Outcome;

    /// The engine that most scenarios run on.
    fn shared(&self) -> Outcome<&Self::Engine>;
}

/// Runs the scenarios that the command line selects on the engines of `pool`.
pub fn main<P: Pool>(
    themes: Vec<Theme<P::Engine>>,
    pool: impl FnOnce(Sandbox, Vec<Role>) -> Outcome<P>,
) -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads = args.test_threads.or(Some(THREADS));
    if args.list {
        return libtest_mimic::run(&args, trials(themes, |_, _| Ok(()))).exit_code();
    }
    if !nix::unistd::geteuid().is_root() {
        let why = "an engine needs root";
        return libtest_mimic::run(&args, trials(themes, |_, _| Err(Stop::Skipped(why.into())))).exit_code();
    }
    match Role::from_environment().and_then(|roles| pool(sandbox::enter(), roles)) {
        Ok(pool) if env::var_os("CORTEN_SHELL").is_some() => shell(&pool),
        Ok(pool) => {
            let trials = trials(themes, move |scenario, name| pool.judge(scenario, name));
            libtest_mimic::run(&args, trials).exit_code()
        }
        Err(stop) => {
            eprintln!("{}: {stop:?}", P::Engine::CLIENT);
            ExitCode::FAILURE
        }
    }
}

fn trials<E: Engine + 'static>(
    themes: Vec<Theme<E>>,
    judge: impl Fn(&Scenario<E>, &str) -> Outcome + Send + Sync + 'static,
) -> Vec<Trial> {
    let judge = Arc::new(judge);
    let named = themes.into_iter().flat_map(|(theme, scenarios)| {
        scenarios.into_iter().map(move |scenario| (format!("{theme}::{}", scenario.name), scenario))
    });
    named
        .map(|(name, scenario)| {
            let judge = Arc::clone(&judge);
            Trial::ignorable_test(name.clone(), move || match judge(&scenario, &name) {
                Ok(()) => Ok(Completion::Completed),
                Err(Stop::Skipped(why)) => Ok(Completion::ignored_with(why)),
                Err(Stop::Failed(why)) => Err(Failed::from(why)),
            })
        })
        .collect()
}

/// An interactive shell on the machine of the shared engine.
fn shell<P: Pool>(pool: &P) -> ExitCode {
    let engine = match pool.shared() {
        Ok(engine) => engine,
        Err(stop) => {
            eprintln!("{stop:?}");
            return ExitCode::FAILURE;
        }
    };
    let mut command = engine.machine().command("sh");
    let client = engine.call(Role::Tested);
    command.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let ended_well = command.status().is_ok_and(|status| status.success());
    if ended_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
