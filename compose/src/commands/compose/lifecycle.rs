//! `start`, `stop`, `restart`, `kill`, `pause`, `unpause`, `rm`.

use std::collections::BTreeMap;

use super::{Session, facts, images, progress};
use crate::apply::project_lock::Held;
use crate::cli::compose::StopServices;
use crate::cli::members::Remove;
use crate::cli::start::Start;
use crate::commands::Ended;
use crate::error::{Error, tell_lines};
use crate::model::types::Project;
use crate::plan::actual::Actual;
use crate::plan::graph::{Action, AnonymousVolumes, Plan, Target};
use crate::plan::wanted::Facts;
use crate::plan::{lifecycle, selection};
use crate::signals;

/// Starts the containers of those services and of what they depend on.
pub async fn start(session: &Session, project: &Project, asked: &Start) -> Ended {
    let services = selection::with_dependencies(project, selection::named(project, &asked.services)?);
    // Hooks before the start run in containers of their own, which are made of images.
    let mut hooked = services.clone();
    hooked.retain(|name| !project.services[name].pre_start.is_empty());
    let images = images::ensure(session, project, &hooked, None).await?;
    let facts = facts::of(session, project, &images).await?;
    let services = &services.into_iter().collect::<Vec<_>>();
    let held = session.lock(project).await?;
    let actual = session.actual(project).await?;
    let plan = lifecycle::start(project, &actual, services, asked.wait)?;
    session.carry_out(held, project, &facts, &images, &plan, None).await?;
    match lifecycle::without_container(project, &actual, services)? {
        Some(service) => Err(Error::new(format!("service {service:?} has no container to start"))),
        None => Ok(0),
    }
}

pub async fn stop(session: &Session, project: &Project, asked: &StopServices) -> Ended {
    let held = session.lock(project).await?;
    let actual = session.actual(project).await?;
    let plan = lifecycle::stop(project, &actual, &asked.services)?;
    if !session.dry_run {
        progress::tell_stopped(session.telling, &lifecycle::stopped(project, &actual, &asked.services)?);
    }
    carry_out(session, held, project, &plan, asked.seconds).await
}

pub async fn restart(session: &Session, project: &Project, asked: &StopServices, no_deps: bool) -> Ended {
    let held = session.lock(project).await?;
    let plan = lifecycle::restart(project, &session.actual(project).await?, &asked.services, no_deps)?;
    let made_of = (&Facts::default(), &BTreeMap::new());
    let tell = progress::restarting(session.telling, &plan);
    session.carry_out_telling(held, project, made_of, &plan, asked.seconds, tell).await.map(|()| 0)
}

pub async fn kill(
    session: &Session,
    project: &Project,
    services: &[String],
    (signal, orphans): (&str, bool),
) -> Ended {
    signals::number(signal)?;
    // Who kills waits for nobody who changes the project.
    let plan = lifecycle::kill(project, &session.actual(project).await?, services, (signal, orphans))?;
    if plan.is_empty() {
        tell_lines(format_args!("No container to kill"));
    }
    carry_out(session, None, project, &plan, None).await
}

pub async fn pause(session: &Session, project: &Project, services: &[String]) -> Ended {
    let held = session.lock(project).await?;
    let plan = lifecycle::pause(project, &session.actual(project).await?, services)?;
    carry_out(session, held, project, &plan, None).await
}

pub async fn unpause(session: &Session, project: &Project, services: &[String]) -> Ended {
    let held = session.lock(project).await?;
    let plan = lifecycle::unpause(project, &session.actual(project).await?, services)?;
    carry_out(session, held, project, &plan, None).await
}

pub async fn remove(session: &Session, project: &Project, asked: &Remove) -> Ended {
    let volumes = if asked.volumes { AnonymousVolumes::Remove } else { AnonymousVolumes::Keep };
    let planned =
        |actual: &Actual| lifecycle::remove(project, actual, &asked.services, (asked.stop, volumes));
    let seen = session.actual(project).await?;
    let plan = planned(&seen)?;
    let removed = plan.steps().iter().filter_map(|step| match &step.action {
        Action::Remove(target, _) => Some(target),
        _ => None,
    });
    let removed: Vec<&Target> = removed.collect();
    if removed.is_empty() {
        tell_lines(format_args!("No stopped containers"));
        return Ok(0);
    }
    let names: Vec<&str> = removed.iter().map(|target| target.name.as_str()).collect();
    if !asked.force && !session.dry_run && !is_agreed(&format!("Going to remove {}", names.join(", "))) {
        return Ok(0);
    }
    // Nobody waits for an answer but the one who is asked. Of what has come meanwhile nothing was agreed.
    let held = session.lock(project).await?;
    let mut actual = session.actual(project).await?;
    actual.containers.retain(|one| removed.iter().any(|target| target.id.as_ref() == Some(&one.id)));
    carry_out(session, held, project, &planned(&actual)?, None).await
}

/// Asks whoever types.
fn is_agreed(question: &str) -> bool {
    eprint!("? {question} Are you sure? [yN] ");
    let mut answer = String::new();
    // Who can't answer hasn't agreed.
    drop(std::io::stdin().read_line(&mut answer));
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

async fn carry_out(
    session: &Session,
    held: impl Into<Option<Held>>,
    project: &Project,
    plan: &Plan,
    seconds: Option<i64>,
) -> Ended {
    session.carry_out(held, project, &Facts::default(), &BTreeMap::new(), plan, seconds).await.map(|()| 0)
}
