//! `down` and `rm`: what the project has made goes, dependents first.

use std::collections::{BTreeMap, BTreeSet};

use super::actual::{Actual, Container, Object};
use super::graph::{Action, AnonymousVolumes, Cause, Named, Plan, StepId, Turn};
use super::selection;
use super::up::target_of;
use super::wanted::goes_behind;
use crate::error::Result;
use crate::model::network_mode;
use crate::model::types::Project;

/// How `down` is asked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The services; none: all, with networks and the containers of `run`.
    pub services: Vec<String>,
    /// Removes volumes, anonymous ones too.
    pub volumes: bool,
    /// Removes containers of services that aren't in the project.
    pub remove_orphans: bool,
}

/// Plans `down`.
///
/// Errors: there is no such service.
pub fn down(project: &Project, actual: &Actual, options: &Options) -> Result<Plan> {
    let selected = selection::named(project, &options.services)?;
    let is_whole = options.services.is_empty();
    let mut plan = Plan::default();
    let goes = |container: &&Container| {
        let is_known = project.services.contains_key(&container.service)
            || project.disabled.contains_key(&container.service);
        match (is_whole, is_known) {
            (true, true) => true,
            (true, false) => container.one_off || options.remove_orphans,
            (false, _) => selected.contains(&container.service) && !container.is_of_run(),
        }
    };
    let containers: Vec<&Container> = actual.containers.iter().filter(goes).collect();
    let stopped = stop_in_order(project, &containers, Cause::Asked, &mut plan);
    let volumes = if options.volumes { AnonymousVolumes::Remove } else { AnonymousVolumes::Keep };
    let removed: Vec<StepId> = containers
        .iter()
        .map(|container| {
            let after = stopped.get(container.id.as_str()).copied();
            plan.add(Action::Remove(target_of(container), volumes), Cause::Asked, after)
        })
        .collect();
    if is_whole {
        networks(project, actual, &containers, &removed, &mut plan);
        if options.volumes {
            self::volumes(project, actual, &removed, &mut plan);
        }
    }
    Ok(plan)
}

/// Networks that the project has made go, unless a container stays on them.
fn networks(project: &Project, actual: &Actual, go: &[&Container], removed: &[StepId], plan: &mut Plan) {
    let external: BTreeSet<&str> = project
        .networks
        .values()
        .filter(|network| network.external)
        .map(|network| network.name.as_str())
        .collect();
    let is_ours = |name: &String, object: &Object| {
        let is_defined = project.networks.values().any(|network| network.name == *name);
        let is_by_mode = || project.services.values().filter_map(network_mode::network).any(|it| it == name);
        is_defined || !object.hash.is_empty() || !is_by_mode()
    };
    let ours = actual.networks.iter().filter(|(name, object)| is_ours(name, object));
    for name in ours.map(|(name, _)| name).filter(|name| !external.contains(name.as_str())) {
        let stays = |container: &&Container| {
            container.made_of.networks.contains_key(name) && !go.iter().any(|gone| gone.id == container.id)
        };
        if let Some(container) = actual.containers.iter().find(stays) {
            plan.warnings.push(format!("network {name}: container {} is on it; it stays", container.name));
            continue;
        }
        let key =
            project.networks.iter().find(|(_, network)| network.name == *name).map_or(name, |(key, _)| key);
        let named = Named { key: key.clone(), name: name.clone() };
        plan.add(Action::RemoveNetwork(named), Cause::Asked, removed.iter().copied());
    }
}

fn volumes(project: &Project, actual: &Actual, removed: &[StepId], plan: &mut Plan) {
    let key_of = |name: &String| project.volumes.iter().find(|(_, volume)| volume.name == *name);
    for name in actual.volumes.keys() {
        let key = match key_of(name) {
            Some((_, volume)) if volume.external => continue,
            Some((key, _)) => key,
            // Its labels say that the project has made it.
            None if project.files.is_empty() => name,
            None => continue,
        };
        let named = Named { key: key.clone(), name: name.clone() };
        plan.add(Action::RemoveVolume(named), Cause::Asked, removed.iter().copied());
    }
}

/// Stops containers that live, each behind those whose services are started behind its own. Returns the steps by the
/// containers' ids.
pub fn stop_in_order<'a>(
    project: &Project,
    containers: &[&'a Container],
    cause: Cause,
    plan: &mut Plan,
) -> BTreeMap<&'a str, StepId> {
    let mut stopped = BTreeMap::new();
    let mut of_service: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
    // Containers of services that are switched off have their turn, too.
    let mut all = project.clone();
    all.services.extend(project.disabled.clone());
    let known: Vec<&str> = selection::in_order(&all).into_iter().rev().collect();
    let behind = |(name, service)| (name, goes_behind(&all, service));
    let behind: Vec<(&String, BTreeSet<&str>)> = all.services.iter().map(behind).collect();
    let place = |container: &&&Container| known.iter().position(|name| *name == container.service);
    let mut live: Vec<&&Container> =
        containers.iter().filter(|container| container.state.is_live()).collect();
    live.sort_by_key(place);
    for container in live {
        let dependents = behind.iter().filter(|(_, before)| before.contains(container.service.as_str()));
        let mut after: Vec<StepId> =
            dependents.filter_map(|(name, _)| of_service.get(name.as_str())).flatten().copied().collect();
        // Containers of `run` and of hooks are none that the service's hooks are for.
        let service = project.services.get(&container.service).filter(|_| !container.one_off);
        let hooks = service.map_or(0, |service| service.pre_stop.len());
        for index in 0..hooks {
            let run = Action::RunHook(target_of(container), Turn::PreStop, index);
            after = vec![plan.add(run, Cause::Needed, after)];
        }
        let step = plan.add(Action::Stop(target_of(container)), cause.clone(), after);
        stopped.insert(container.id.as_str(), step);
        of_service.entry(container.service.as_str()).or_default().push(step);
    }
    stopped
}
