//! `run`: a command in a new container of a service.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::interruption::{asking, ending, unless_interrupted};
use super::{Session, facts, images};
use crate::apply::attach::{Outcome, Tie};
use crate::apply::exec::REFUSED;
use crate::apply::hold::Hold;
use crate::apply::image::When;
use crate::apply::project::OneOff;
use crate::apply::sweep::sweep;
use crate::apply::{container, feasible, hook, keeper};
use crate::cli::compose::Building;
use crate::cli::inside::RunService;
use crate::commands::{Ended, code_of, run, say};
use crate::error::{Error, Kind, Result, tell_lines};
use crate::id;
use crate::model::types::{Deploy, Project, Service};
use crate::model::values::PullPolicy;
use crate::net::sweep::Care;
use crate::observe::{self, Observed};
use crate::plan::selection;
use crate::plan::up::{self, Recreate};
use crate::plan::wanted::Wanted;

/// Runs the command, and gives its exit code.
pub async fn run(session: &Session, project: &Project, asked: &RunService) -> Ended {
    let project = changed(project, asked)?;
    let Some((made, held)) = make(session, &project, asked).await? else { return Ok(0) };
    let service = &project.services[&asked.service];
    let ended = if asked.detach {
        let start = start(session, &made, (service, &asked.service), held);
        let kinds = asking().into_iter().chain(ending());
        unless_interrupted(&session.hooks, kinds, start).await.map(|()| Outcome::Ended(0))
    } else {
        attached(session, &made, (service, &asked.service), held).await
    };
    if asked.auto_remove && run::is_over(&ended, asked.detach) {
        let removed = run::remove(&session.of_one(), made.id()).await;
        if let Err(err) = run::removed_after(&ended, removed) {
            tell_lines(format_args!("{err}"));
        }
    }
    match ended {
        Ok(ended) => Ok(run::code(ended)),
        Err(err) if code_of(&err) == REFUSED || matches!(err.kind(), Kind::Interrupted(_)) => Err(err),
        Err(err) => {
            tell_lines(format_args!("{err}"));
            Ok(code_of(&err))
        }
    }
}

/// The project as far as the command needs it, with the service as the command line has it.
fn changed(project: &Project, asked: &RunService) -> Result<Project> {
    if !project.services.contains_key(&asked.service) {
        return Err(Error::new(format!("no such service: {}", asked.service)));
    }
    let mut project = project.clone();
    project.select(std::slice::from_ref(&asked.service), !asked.no_deps)?;
    let environment = project.environment.clone();
    let variable = |line: &String| match line.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), Some(value.to_owned()))),
        None => environment.get(line).map(|value| (line.clone(), Some(value.clone()))),
    };
    let Some(service) = project.services.get_mut(&asked.service) else { return Ok(project) };
    service.environment.extend(asked.environment.iter().filter_map(variable));
    service.cap_add.extend(asked.cap_add.iter().cloned());
    service.cap_drop.extend(asked.cap_drop.iter().cloned());
    if let Some(when) = asked.pull {
        service.pull_policy = Some(match when {
            When::Always => PullPolicy::Always,
            When::Missing => PullPolicy::Missing,
            When::Never => PullPolicy::Never,
        });
    }
    service.labels.extend(asked.labels.iter().cloned());
    service.volumes.retain(|mount| !asked.volumes.iter().any(|added| added.target == mount.target));
    service.volumes.extend(asked.volumes.iter().cloned());
    if !asked.service_ports {
        service.ports.clone_from(&asked.ports);
    }
    if let Some(entrypoint) = &asked.entrypoint {
        // The image's CMD belongs to the image's ENTRYPOINT.
        (service.entrypoint, service.command) = (Some(entrypoint.clone()), Some(Vec::new()));
    }
    if !asked.command.is_empty() {
        service.command = Some(asked.command.clone());
    }
    *service = Service {
        user: asked.user.clone().or(service.user.take()),
        working_dir: asked.directory.clone().or(service.working_dir.take()),
        stdin_open: asked.interactive,
        tty: asked.tty,
        container_name: None,
        restart: None,
        deploy: service.deploy.take().map(|deploy| Deploy { restart_policy: None, ..deploy }),
        scale: Some(1),
        ..std::mem::take(service)
    };
    Ok(project)
}

/// Makes the container, once all that it needs is there and as far as it asks. Nothing, if the plan is only printed.
async fn make(session: &Session, project: &Project, asked: &RunService) -> Result<Option<(Observed, Hold)>> {
    let Session { engine, disk, .. } = session;
    feasible::service(&session.disk, project, &asked.service)?;
    let mut selected = BTreeSet::from([asked.service.clone()]);
    if !asked.no_deps {
        selected = selection::with_dependencies(project, selected);
    }
    if asked.build {
        let own = BTreeSet::from([asked.service.clone()]);
        images::ensure_built(session, project, &own, None, Building::All).await?;
    }
    let images = images::ensure(session, project, &selected, None).await?;
    let facts = facts::of(session, project, &images).await?;
    let options = up::Options {
        no_deps: asked.no_deps,
        recreate: Recreate::Changed,
        remove_orphans: asked.remove_orphans,
        ..up::Options::default()
    };
    let held = session.lock(project).await?;
    if !session.dry_run {
        sweep(engine, disk, Care::Quick).await?;
    }
    let actual = session.actual(project).await?;
    let wanted = Wanted { project, facts: &facts };
    let plan = up::before_run(wanted, &actual, &asked.service, &options)?;
    session.carry_out(held, project, &facts, &images, &plan, None).await?;
    if session.dry_run {
        return Ok(None);
    }
    let _held = session.lock(project).await?;
    let slug = id::random()?;
    let own = format!("{}-{}-run-{}", project.name, asked.service, id::short(&slug));
    let performer = session.performer((project, &facts), &images, None);
    let one_off = OneOff {
        service: &asked.service,
        name: asked.name.as_ref().unwrap_or(&own),
        slug: &slug,
        auto_remove: asked.auto_remove,
        use_aliases: asked.use_aliases,
    };
    let made = performer.create_one_off(one_off).await?;
    // Before the project is let go of: nobody may take it away that is about to be started.
    run::held(&session.of_one(), &made).await.map(|(held, made)| Some((made, held)))
}

async fn start(
    session: &Session,
    made: &Observed,
    (service, key): (&Service, &str),
    held: Hold,
) -> Result<()> {
    let streams = keeper::streams(&session.disk, made).await?;
    container::start(&session.engine, made, &streams).await?;
    drop(held);
    post_start(session, made, service, key).await?;
    say(made.name());
    Ok(())
}

/// Shows the output to the end. A hook that fails lets the command come to its end.
async fn attached(
    session: &Session,
    made: &Observed,
    (service, key): (&Service, &str),
    held: Hold,
) -> Result<Outcome> {
    let failed = RefCell::new(None);
    let start = async {
        let begun = container::begin(&session.engine, made).await;
        drop(held);
        begun?;
        if let Err(err) = post_start(session, made, service, key).await {
            failed.replace(Some(err));
        }
        Ok(())
    };
    let ended = run::attached(&session.of_one(), made, &Tie::default(), start).await?;
    failed.into_inner().map_or(Ok(ended), Err)
}

async fn post_start(session: &Session, made: &Observed, service: &Service, key: &str) -> Result<()> {
    let Session { engine, disk, hooks, .. } = session;
    for hook in &service.post_start {
        let one = observe::find(&observe::containers(engine).await?, made.id()).cloned()?;
        hook::run((engine, disk, hooks), &one, (key, hook), |_| ()).await?;
    }
    Ok(())
}
