//! Docker, for real: the same commands under Debian's runc and under the tested runtime must do the same.
//!
//! The suite starts Debian 12's own dockerd and containerd in namespaces of their own, so it needs root, and the
//! packages that `scripts/install-test-packages` installs. It touches nothing of the system's engine.
//!
//! ```text
//! CORTEN_BIN=/path/to/corten cargo test -p spec-tests --test docker        # all (default: target/…/corten)
//! … --test docker -- volumes::                                             # a theme
//! … --test docker -- --exact exec::as_another_user                         # one scenario, both runtimes
//! CORTEN_ROLES=tested … --test docker -- --exact exec::as_another_user     # … only the tested one, not compared
//! CORTEN_ROLES=reference …                                                 # … only runc
//! CORTEN_SHELL=1 cargo test -p spec-tests --test docker -- --nocapture     # a shell with an engine, to try by hand:
//!     docker run --rm --runtime corten busybox id                          # (`exit` takes it all down)
//! ```
//!
//! A scenario passes if both runtimes did what it expects and said the same, once ids, times and addresses are taken
//! out. A scenario that can't run on this machine says why and counts as ignored.

use std::process::{Command, ExitCode};
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use spec_tests::engine::dockerd::{Role, runtimes_from_environment};
use spec_tests::engine::pool::EnginePool;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::{Outcome, Stop, sandbox};

mod build;
mod cleanup;
mod compose;
mod copies;
mod daemon;
mod default_runtime;
mod exec;
mod lifecycle;
mod limits;
mod namespaces;
mod network;
mod observe;
mod privileges;
mod process;
mod terminal;
mod userns_remap;
mod volumes;

/// More than there are cores: a scenario spends much of its time waiting for daemons.
const THREADS: usize = 4;

fn themes() -> Vec<(&'static str, Vec<Scenario>)> {
    vec![
        ("build", build::scenarios()),
        ("cleanup", cleanup::scenarios()),
        ("compose", compose::scenarios()),
        ("copies", copies::scenarios()),
        ("daemon", daemon::scenarios()),
        ("default_runtime", default_runtime::scenarios()),
        ("exec", exec::scenarios()),
        ("lifecycle", lifecycle::scenarios()),
        ("limits", limits::scenarios()),
        ("namespaces", namespaces::scenarios()),
        ("network", network::scenarios()),
        ("observe", observe::scenarios()),
        ("privileges", privileges::scenarios()),
        ("process", process::scenarios()),
        ("terminal", terminal::scenarios()),
        ("userns_remap", userns_remap::scenarios()),
        ("volumes", volumes::scenarios()),
    ]
}

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads = args.test_threads.or(Some(THREADS));
    if args.list {
        return libtest_mimic::run(&args, trials(|_, _| Ok(()))).exit_code();
    }
    if !nix::unistd::geteuid().is_root() {
        let why = "an engine needs root";
        return libtest_mimic::run(&args, trials(|_, _| Err(Stop::Skipped(why.into())))).exit_code();
    }
    match engine_pool() {
        Ok(pool) if std::env::var_os("CORTEN_SHELL").is_some() => shell(&pool),
        Ok(pool) => {
            libtest_mimic::run(&args, trials(move |scenario, name| pool.judge(scenario, name))).exit_code()
        }
        Err(stop) => {
            eprintln!("docker: {stop:?}");
            ExitCode::FAILURE
        }
    }
}

fn engine_pool() -> Outcome<EnginePool> {
    let runtimes = runtimes_from_environment()?;
    let named = std::env::var("CORTEN_ROLES").unwrap_or_else(|_| "reference,tested".into());
    let roles = named.split(',').map(|role| match role {
        "reference" => Ok(Role::Reference),
        "tested" => Ok(Role::Tested),
        other => {
            Err(Stop::failed(format!("CORTEN_ROLES: {other:?} is neither \"reference\" nor \"tested\"")))
        }
    });
    Ok(EnginePool::new(sandbox::enter(), runtimes, roles.collect::<Result<_, _>>()?))
}

fn trials(judge: impl Fn(&Scenario, &str) -> Outcome + Send + Sync + 'static) -> Vec<Trial> {
    let judge = Arc::new(judge);
    let named = themes().into_iter().flat_map(|(theme, scenarios)| {
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

/// An interactive shell on the shared engine's machine.
fn shell(pool: &EnginePool) -> ExitCode {
    let engine = match pool.named() {
        Ok(engine) => engine,
        Err(stop) => {
            eprintln!("{stop:?}");
            return ExitCode::FAILURE;
        }
    };
    let mut command: Command = engine.machine().command("sh");
    let environment = engine.client("sh");
    command.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let ended_well = command.status().is_ok_and(|status| status.success());
    if ended_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
