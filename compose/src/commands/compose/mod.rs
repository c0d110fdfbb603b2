//! docker compose's commands: load → observe → plan → apply → print.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::actual;
use crate::apply::caught::unless_forced;
use crate::apply::feasible;
use crate::apply::hooks_at_work::HooksAtWork;
use crate::apply::image::Image;
use crate::apply::project::Performer;
use crate::apply::project_lock::{self, Held};
use crate::apply::walk::{self, Progress};
use crate::cli::compose::{Asked, Verb};
use crate::cli::config::Digests;
use crate::cli::members::Verb as Members;
use crate::cli::telling::Telling;
use crate::disk::Disk;
use crate::engine::{DEFAULT_ADDRESS, Engine};
use crate::error::{self, Error, Kind, Result, tell_lines};
use crate::model::load::Loaded;
use crate::model::types::Project;
use crate::plan::explain::explain;
use crate::plan::graph::{Plan, Step};
use crate::plan::wanted::Facts;

use super::{Ended, config, print, project};
use interruption::{asking, ending, unless_interrupted};

mod attach;
mod attended;
mod build;
mod chosen;
mod cp;
mod down;
mod exec;
mod facts;
mod files;
mod images;
mod interruption;
mod known;
mod lifecycle;
mod logs;
mod ls;
mod members;
mod progress;
mod ps;
mod run;
mod up;

/// The namespace of a user who names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Does what is asked.
pub async fn perform(asked: Asked) -> Ended {
    let telling = asked.telling;
    let ended = unless_forced(carry_out(asked)).await;
    match telling {
        Telling::Json => ended.map_err(|err| {
            let told = json!({ "error": true, "message": err.to_string() });
            Error::of_kind(err.kind(), told.to_string())
        }),
        _ => ended,
    }
}

async fn carry_out(asked: Asked) -> Ended {
    let Asked { request, namespace, address, dry_run, telling, quiet_build, verb } = asked;
    let (in_foreground, wait_timeout) = (stays(&verb), wait_timeout(&verb));
    let quiet_pull = pulls_quietly(&verb) || telling != Telling::Lines;
    let open = async || -> Result<Session> {
        let namespace = namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let engine = Engine::connect(address.as_deref().unwrap_or(DEFAULT_ADDRESS), namespace).await?;
        Ok(Session {
            engine,
            disk: Disk::of(namespace),
            dry_run,
            telling,
            in_foreground,
            hooks: HooksAtWork::default(),
            wait_timeout,
            quiet_pull,
            quiet_build,
        })
    };
    let to_carry_out = || project::to_carry_out(&request).map(|loaded| loaded.project);
    let to_run = || project::to_run(&request).map(|loaded| loaded.project);
    // Where there is no file, its containers tell of a project.
    let found_as = async |loaded: Result<Loaded>| match (loaded, request.name_without_files()) {
        (Err(err), Some(name)) if err.kind() == Kind::NotFound => known::project(&open().await?, name).await,
        (loaded, _) => loaded.map(|loaded| loaded.project),
    };
    let to_look_at = async || found_as(project::look_at(&request)).await;
    let to_start = async || found_as(project::to_run(&request)).await;
    if dry_run && has_no_plan(&verb) {
        return to_look_at().await.map(|_| nothing_is_done());
    }
    match verb {
        Verb::Config(options) if options.digests == Digests::AsWritten => {
            config::run(&request, &options).map(|()| 0)
        }
        Verb::Config(options) => {
            config::run_with_digests(&request, &options, &open().await?.engine).await.map(|()| 0)
        }
        Verb::Up(up) => up::up(&open().await?, &to_carry_out()?, &up).await,
        Verb::Down(down) => down::down(&open().await?, &to_look_at().await?, &down).await,
        Verb::Start(start) => lifecycle::start(&open().await?, &to_start().await?, &start).await,
        Verb::Stop(stop) => lifecycle::stop(&open().await?, &to_look_at().await?, &stop).await,
        Verb::Restart { stop, no_deps } => {
            lifecycle::restart(&open().await?, &to_start().await?, &stop, no_deps).await
        }
        Verb::Ps(ps) => ps::ps(&open().await?, &to_look_at().await?, &ps).await,
        Verb::Logs(asked) => logs::logs(&open().await?, &to_look_at().await?, &asked).await,
        Verb::Ls(asked) => ls::ls(&open().await?, &asked).await,
        Verb::Members(Members::Version { short, format }) => members::version(short, format.as_deref()),
        // To change what runs, and to make more of it, the project has to be one that can be run.
        Verb::Members(Members::Scale { counts, no_deps }) => {
            up::scale(&open().await?, &to_carry_out()?, counts, no_deps).await
        }
        Verb::Members(verb) => observed(&open().await?, &to_look_at().await?, verb).await,
        Verb::Build(asked) => build::build(&open().await?, &to_run()?, &asked).await,
        Verb::Exec(asked) => exec::exec(&open().await?, &to_look_at().await?, &asked).await,
        Verb::Run(asked) => run::run(&open().await?, &to_carry_out()?, &asked).await,
        Verb::Attach(asked) => attach::attach(&open().await?, &to_look_at().await?, &asked).await,
        Verb::Copy(asked) => cp::cp(&open().await?, &to_look_at().await?, &asked).await,
        Verb::Pull(asked) => images::pull(&open().await?, &to_run()?, &asked).await,
    }
}

fn nothing_is_done() -> u8 {
    tell_lines(format_args!("Nothing is done: --dry-run"));
    0
}

/// Whether no plan tells what the command would do.
fn has_no_plan(verb: &Verb) -> bool {
    match verb {
        Verb::Exec(_) | Verb::Attach(_) | Verb::Copy(_) => true,
        Verb::Members(members) => matches!(members, Members::Export { .. } | Members::Commit { .. }),
        _ => false,
    }
}

fn pulls_quietly(verb: &Verb) -> bool {
    match verb {
        Verb::Run(run) => run.quiet_pull,
        Verb::Up(up) => up.quiet_pull,
        Verb::Pull(asked) => asked.quiet,
        _ => false,
    }
}

/// How long is waited for a container at most, if somebody says.
fn wait_timeout(verb: &Verb) -> Option<Duration> {
    match verb {
        Verb::Up(up) if up.plan.wait => up.wait_timeout,
        Verb::Start(start) if start.wait => start.wait_timeout,
        _ => None,
    }
}

async fn observed(session: &Session, project: &Project, verb: Members) -> Ended {
    match verb {
        Members::Top(services) => members::top(session, project, &services).await,
        Members::Stats(asked) => members::stats(session, project, &asked).await,
        Members::Kill { services, signal, orphans } => {
            lifecycle::kill(session, project, &services, (&signal, orphans)).await
        }
        Members::Pause(services) => lifecycle::pause(session, project, &services).await,
        Members::Unpause(services) => lifecycle::unpause(session, project, &services).await,
        Members::Events(asked) => members::events(session, project, &asked).await,
        Members::Images { services, quiet, format } => {
            members::images(session, project, &services, (quiet, format.as_deref())).await
        }
        Members::Port(asked) => members::port(session, project, &asked).await,
        Members::Wait { services, down } => members::wait(session, project, &services, down).await,
        Members::Volumes { services, quiet, format } => {
            members::volumes(session, project, &services, (quiet, format.as_deref()))
        }
        Members::Export { service, index, output } => {
            files::export(session, project, (&service, index), output.as_deref()).await
        }
        Members::Commit { service, index, commit } => {
            files::commit(session, project, (&service, index), &commit).await
        }
        Members::Remove(asked) => lifecycle::remove(session, project, &asked).await,
        Members::Scale { .. } | Members::Version { .. } => Ok(0),
    }
}

fn stays(verb: &Verb) -> bool {
    matches!(verb, Verb::Up(up) if !up.detach)
}

/// What every command works with.
pub struct Session {
    pub engine: Engine,
    pub disk: Disk,
    /// Whether plans are printed in place of being carried out.
    pub dry_run: bool,
    /// How the command tells of what it does.
    pub telling: Telling,
    /// Whether the command stays with its user, who reads what hooks put out, and listens for what ends it.
    pub in_foreground: bool,
    /// The hooks that it runs.
    pub hooks: HooksAtWork,
    /// How long is waited for a container at most, if somebody says.
    pub wait_timeout: Option<Duration>,
    /// Whether pulls show no progress.
    pub quiet_pull: bool,
    /// Whether builds show no progress.
    pub quiet_build: bool,
}

impl Session {
    /// Carries a plan out, or prints it, and says meanwhile what happens. `held` is the project's lock, if the plan
    /// needs it.
    async fn carry_out(
        &self,
        held: impl Into<Option<Held>>,
        project: &Project,
        facts: &Facts,
        images: &BTreeMap<String, Image>,
        plan: &Plan,
        stop_seconds: Option<i64>,
    ) -> Result<()> {
        let tell = |step: &Step, progress| progress::tell(self.telling, step, progress);
        self.carry_out_telling(held, project, (facts, images), plan, stop_seconds, tell).await
    }

    /// The same, with other words for what happens.
    async fn carry_out_telling(
        &self,
        held: impl Into<Option<Held>>,
        project: &Project,
        (facts, images): (&Facts, &BTreeMap<String, Image>),
        plan: &Plan,
        stop_seconds: Option<i64>,
        tell: impl FnMut(&Step, Progress),
    ) -> Result<()> {
        for step in plan.steps() {
            feasible::check(&self.disk, project, &step.action)?;
        }
        if self.dry_run {
            print(&explain(plan))?;
            return Ok(());
        }
        plan.warnings.iter().for_each(|warning| error::tell(format_args!("warning: {warning}")));
        let performer = self.performer((project, facts), images, stop_seconds);
        let performer = match held.into() {
            Some(held) => performer.in_turns(held),
            None => performer,
        };
        let walk = walk::carry_out(plan, |step| performer.perform(step), tell);
        if plan.runs_hooks() && !self.in_foreground {
            return unless_interrupted(&self.hooks, asking().into_iter().chain(ending()), walk).await;
        }
        walk.await
    }

    fn performer<'a>(
        &'a self,
        made_of: (&'a Project, &'a Facts),
        images: &'a BTreeMap<String, Image>,
        stop_seconds: Option<i64>,
    ) -> Performer<'a> {
        let hooks = (&self.hooks, self.in_foreground);
        Performer::new((&self.engine, &self.disk), made_of, images, stop_seconds, hooks)
            .waiting_at_most(self.wait_timeout)
    }

    /// The same for a single container.
    fn of_one(&self) -> super::Session {
        super::Session { engine: self.engine.clone(), disk: self.disk.clone() }
    }

    /// Holds the project's lock.
    async fn lock(&self, project: &Project) -> Result<Held> {
        project_lock::hold(&self.disk, &project.name).await
    }

    async fn actual(&self, project: &Project) -> Result<crate::plan::actual::Actual> {
        actual::of(&self.engine, &self.disk, project).await.map(|(actual, _)| actual)
    }
}
