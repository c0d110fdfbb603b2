//! Docker, for real: the same commands under Debian's runc and under the tested runtime must do the same.
//!
//! The suite starts Debian 12's own dockerd and containerd in namespaces of their own, so it needs root, and the
//! packages that `scripts/install-test-packages` installs. It touches nothing of the system's engine.
//!
//! ```text
//! CORTEN_BIN=/path/to/corten cargo test -p spec-tests --test docker        # all cases (default: target/…/corten)
//! … --test docker -- volumes::                                             # a theme
//! … --test docker -- --exact exec::as_another_user                         # one case, both runtimes
//! CORTEN_SEATS=tested … --test docker -- --exact exec::as_another_user     # … only the tested one, not compared
//! CORTEN_SEATS=reference …                                                 # … only runc
//! CORTEN_SHELL=1 cargo test -p spec-tests --test docker -- --nocapture     # a shell with an engine, to try by hand:
//!     docker run --rm --runtime corten busybox id                          # (`exit` takes it all down)
//! ```
//!
//! A case passes if both runtimes did what the case expects and said the same, once ids, times and addresses are
//! taken out. A case that can't run on this machine says why and counts as ignored.

use std::process::{Command, ExitCode};
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use spec_tests::engine::case::{Case, Stage};
use spec_tests::engine::dockerd::{Role, runtimes_from_environment};
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

/// More than there are cores: a case spends much of its time waiting for daemons.
const THREADS: usize = 4;

fn themes() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("build", build::cases()),
        ("cleanup", cleanup::cases()),
        ("compose", compose::cases()),
        ("copies", copies::cases()),
        ("daemon", daemon::cases()),
        ("default_runtime", default_runtime::cases()),
        ("exec", exec::cases()),
        ("lifecycle", lifecycle::cases()),
        ("limits", limits::cases()),
        ("namespaces", namespaces::cases()),
        ("network", network::cases()),
        ("observe", observe::cases()),
        ("privileges", privileges::cases()),
        ("process", process::cases()),
        ("terminal", terminal::cases()),
        ("userns_remap", userns_remap::cases()),
        ("volumes", volumes::cases()),
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
    match stage() {
        Ok(stage) if std::env::var_os("CORTEN_SHELL").is_some() => shell(&stage),
        Ok(stage) => libtest_mimic::run(&args, trials(move |case, name| stage.judge(case, name))).exit_code(),
        Err(stop) => {
            eprintln!("docker: {stop:?}");
            ExitCode::FAILURE
        }
    }
}

fn stage() -> Outcome<Stage> {
    let runtimes = runtimes_from_environment()?;
    let seats = std::env::var("CORTEN_SEATS").unwrap_or_else(|_| "reference,tested".into());
    let roles = seats.split(',').map(|seat| match seat {
        "reference" => Ok(Role::Reference),
        "tested" => Ok(Role::Tested),
        other => {
            Err(Stop::failed(format!("CORTEN_SEATS: {other:?} is neither \"reference\" nor \"tested\"")))
        }
    });
    Ok(Stage::new(sandbox::enter(), runtimes, roles.collect::<Result<_, _>>()?))
}

fn trials(judge: impl Fn(&Case, &str) -> Outcome + Send + Sync + 'static) -> Vec<Trial> {
    let judge = Arc::new(judge);
    let named = themes().into_iter().flat_map(|(theme, cases)| {
        cases.into_iter().map(move |case| (format!("{theme}::{}", case.name), case))
    });
    named
        .map(|(name, case)| {
            let judge = Arc::clone(&judge);
            Trial::ignorable_test(name.clone(), move || match judge(&case, &name) {
                Ok(()) => Ok(Completion::Completed),
                Err(Stop::Skipped(why)) => Ok(Completion::ignored_with(why)),
                Err(Stop::Failed(why)) => Err(Failed::from(why)),
            })
        })
        .collect()
}

/// An interactive shell on the shared engine's machine.
fn shell(stage: &Stage) -> ExitCode {
    let engine = match stage.named() {
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
