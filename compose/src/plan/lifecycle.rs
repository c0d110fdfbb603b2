//! `start`, `stop`, `restart`, `kill`, `pause`, `unpause` and `rm`: containers that are there, in the order of their
//! services.

use std::collections::BTreeMap;

use super::actual::{Actual, Container};
use super::down::stop_in_order;
use super::graph::{Action, AnonymousVolumes, Cause, Goal, Plan, StepId, Target, Turn, Until};
use super::selection;
use super::up::target_of;
use super::wanted::{goes_behind, restarts_with};
use crate::error::Result;
use crate::model::types::{Dependency, Hook, Project, Service};
use crate::model::values::Condition;

/// Plans `stop` of those services, or of all.
///
/// Errors: there is no such service.
pub fn stop(project: &Project, actual: &Actual, services: &[String]) -> Result<Plan> {
    let mut plan = Plan::default();
    stop_in_order(project, &all_of(project, actual, services)?, Cause::Asked, &mut plan);
    Ok(plan)
}

/// The names of the containers that [`stop`] leaves as they are, because they don't run.
///
/// Errors: there is no such service.
pub fn stopped<'a>(project: &Project, actual: &'a Actual, services: &[String]) -> Result<Vec<&'a str>> {
    let mut containers = containers_of(project, actual, services)?;
    containers.retain(|container| !container.state.is_live());
    Ok(containers.into_iter().map(|container| container.name.as_str()).collect())
}

/// Plans `start` of those services, or of all. If it `waits`, all are ready in the end, those that run already too.
///
/// Errors: there is no such service.
pub fn start(project: &Project, actual: &Actual, services: &[String], waits: bool) -> Result<Plan> {
    let mut plan = Plan::default();
    let containers = containers_of(project, actual, services)?;
    let still: Vec<&Container> =
        containers.iter().copied().filter(|container| !container.state.is_live()).collect();
    start_in_order(project, &still, &BTreeMap::new(), |service| &service.pre_start, &mut plan);
    if waits {
        wait_for_all(project, &containers, &mut plan);
    }
    Ok(plan)
}

/// Once all has started, each container has to be ready. A container for whose end others wait has to end.
fn wait_for_all(project: &Project, containers: &[&Container], plan: &mut Plan) {
    let dependencies = || project.services.values().flat_map(|service| &service.depends_on);
    let has_to_end = |name: &String| {
        let ends = |how: &Dependency| how.condition == Condition::CompletedSuccessfully;
        dependencies().any(|(dependency, how)| dependency == name && ends(how))
    };
    let started: Vec<StepId> = plan.ids().collect();
    for container in containers {
        let until = if has_to_end(&container.service) { Until::Completed } else { Until::Ready };
        let goal = Goal { until, required: true };
        plan.add(Action::Await(target_of(container), goal), Cause::Needed, started.iter().copied());
    }
}

/// The first of those services, or of all, that should have a container and has none.
///
/// Errors: there is no such service.
pub fn without_container(project: &Project, actual: &Actual, services: &[String]) -> Result<Option<String>> {
    let there = containers_of(project, actual, services)?;
    let has_none = |name: &String| {
        project.services[name].replicas() > 0 && !there.iter().any(|container| container.service == *name)
    };
    Ok(selection::named(project, services)?.into_iter().find(has_none))
}

/// Plans `restart` of those services, or of all, and unless `no_deps` of those that start again with them.
///
/// Errors: there is no such service.
pub fn restart(project: &Project, actual: &Actual, services: &[String], no_deps: bool) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut names: Vec<String> = selection::named(project, services)?.into_iter().collect();
    if !no_deps {
        names = with_restarted(project, names);
    }
    let containers = containers_of(project, actual, &names)?;
    let stopped = stop_in_order(project, &containers, Cause::Asked, &mut plan);
    // What has run before is prepared.
    start_in_order(project, &containers, &stopped, |_| &[], &mut plan);
    Ok(plan)
}

/// The services, and those that start again with them.
fn with_restarted(project: &Project, mut names: Vec<String>) -> Vec<String> {
    loop {
        let is_named = |name: &str| names.iter().any(|named| named == name);
        let more = project
            .services
            .iter()
            .filter(|(name, service)| !is_named(name) && restarts_with(project, service).any(is_named));
        let more: Vec<String> = more.map(|(name, _)| name.clone()).collect();
        if more.is_empty() {
            return names;
        }
        names.extend(more);
    }
}

/// Plans `kill` of those services, or of all, and of services that aren't in the project if `orphans` go along.
///
/// Errors: there is no such service.
pub fn kill(
    project: &Project,
    actual: &Actual,
    services: &[String],
    (signal, orphans): (&str, bool),
) -> Result<Plan> {
    let mut plan = Plan::default();
    let is_orphan = |container: &&Container| {
        orphans && !container.one_off && !project.services.contains_key(&container.service)
    };
    let more = actual.containers.iter().filter(is_orphan);
    for container in all_of(project, actual, services)?.into_iter().chain(more) {
        if container.state.is_live() {
            plan.add(Action::Kill(target_of(container), signal.to_owned()), Cause::Asked, []);
        }
    }
    Ok(plan)
}

/// Plans `pause` of those services that run, or of all.
///
/// Errors: there is no such service.
pub fn pause(project: &Project, actual: &Actual, services: &[String]) -> Result<Plan> {
    each_up(project, actual, services, Action::Pause)
}

/// Plans `unpause` of those services that run, or of all.
///
/// Errors: there is no such service.
pub fn unpause(project: &Project, actual: &Actual, services: &[String]) -> Result<Plan> {
    each_up(project, actual, services, Action::Unpause)
}

fn each_up(
    project: &Project,
    actual: &Actual,
    services: &[String],
    action: fn(Target) -> Action,
) -> Result<Plan> {
    let mut plan = Plan::default();
    let containers = containers_of(project, actual, services)?;
    for container in containers.iter().filter(|container| container.state.is_up()) {
        plan.add(action(target_of(container)), Cause::Asked, []);
    }
    Ok(plan)
}

/// Plans `rm` of the containers of those services, or of all: of containers that don't run, and if `stops` of all,
/// which are stopped before.
///
/// Errors: there is no such service.
pub fn remove(
    project: &Project,
    actual: &Actual,
    services: &[String],
    (stops, volumes): (bool, AnonymousVolumes),
) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut containers = all_of(project, actual, services)?;
    containers.retain(|container| stops || !container.state.is_live());
    let stopped = stop_in_order(project, &containers, Cause::Asked, &mut plan);
    for container in containers {
        let after = stopped.get(container.id.as_str()).copied();
        plan.add(Action::Remove(target_of(container), volumes), Cause::Asked, after);
    }
    Ok(plan)
}

/// Plans the hooks that go before the start of a container, and gives the steps that the start waits for.
pub fn pre_start(hooks: &[Hook], target: &Target, mut after: Vec<StepId>, plan: &mut Plan) -> Vec<StepId> {
    for (index, hook) in hooks.iter().enumerate() {
        if hook.per_replica || target.number == 1 {
            let run = Action::RunHook(target.clone(), Turn::PreStart, index);
            after = vec![plan.add(run, Cause::Needed, after)];
        }
    }
    after
}

/// The services' own containers.
fn containers_of<'a>(
    project: &Project,
    actual: &'a Actual,
    services: &[String],
) -> Result<Vec<&'a Container>> {
    let mut all = all_of(project, actual, services)?;
    all.retain(|container| !container.one_off);
    Ok(all)
}

/// The services' own containers, and those of their hooks.
fn all_of<'a>(project: &Project, actual: &'a Actual, services: &[String]) -> Result<Vec<&'a Container>> {
    let selected = selection::named(project, services)?;
    let is_meant = |container: &&Container| !container.is_of_run() && selected.contains(&container.service);
    Ok(actual.containers.iter().filter(is_meant).collect())
}

/// Starts containers, each behind its own stop and behind those that its service is started behind, as far as those are
/// started, too.
fn start_in_order(
    project: &Project,
    containers: &[&Container],
    stopped: &BTreeMap<&str, StepId>,
    hooks: fn(&Service) -> &[Hook],
    plan: &mut Plan,
) {
    let mut started: BTreeMap<&str, Vec<(&Container, StepId)>> = BTreeMap::new();
    for name in selection::in_order(project) {
        let service = &project.services[name];
        let mut ready = Vec::new();
        for before in goes_behind(project, service) {
            let goal = service.depends_on.get(before).and_then(Goal::of);
            for (container, step) in started.get(before).into_iter().flatten() {
                ready.push(match goal {
                    None => *step,
                    Some(goal) => plan.add(Action::Await(target_of(container), goal), Cause::Needed, [*step]),
                });
            }
        }
        for container in containers.iter().filter(|container| container.service == name) {
            let after = ready.iter().copied().chain(stopped.get(container.id.as_str()).copied());
            let after = pre_start(hooks(service), &target_of(container), after.collect(), plan);
            let mut last = plan.add(Action::Start(target_of(container)), Cause::Asked, after);
            for index in 0..service.post_start.len() {
                let run = Action::RunHook(target_of(container), Turn::PostStart, index);
                last = plan.add(run, Cause::Needed, [last]);
            }
            started.entry(name).or_default().push((container, last));
        }
    }
}
