//! `up`: what is wanted comes to be, and what is that already stays.

mod objects;

use std::collections::{BTreeMap, BTreeSet};

use super::actual::{Actual, Container, Health, Hook, State};
use super::graph::{Action, AnonymousVolumes, Cause, Creation, Goal, Plan, StepId, Target, Turn, Until};
use super::wanted::{
    Wanted, container_name, goes_behind, linked, networks_of, parents, refuse_what_only_one_can_have,
    restarts_with, volumes_of,
};
use super::{lifecycle, selection};
use crate::error::{Error, Result};
use crate::model::types::{Dependency, Service};
use crate::model::values::Condition;

/// How `up` and `create` are asked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The services, and with them those that they depend on; none: all.
    pub services: Vec<String>,
    /// Leaves alone what they depend on.
    pub no_deps: bool,
    /// Which containers are made anew though nothing has changed.
    pub recreate: Recreate,
    /// Starts nothing.
    pub no_start: bool,
    /// Removes containers of services that aren't in the project.
    pub remove_orphans: bool,
    /// How many containers a service has, in place of what the project says.
    pub scale: BTreeMap<String, u32>,
    /// Makes anonymous volumes anew, too.
    pub renew_anonymous_volumes: bool,
    /// Waits until all services are ready: they run, or are healthy if they have a health check.
    pub wait: bool,
}

/// Which containers are made anew.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Recreate {
    /// Containers that aren't what is wanted any more.
    #[default]
    Changed,
    /// All of the services that were asked for; of other services what isn't as it is wanted any more.
    Asked,
    /// All.
    All,
    /// None.
    None,
}

/// Plans what has to be there before `run` makes a container of a service: networks, volumes, and unless `no_deps` the
/// services that it depends on, as far as it asks.
///
/// Errors: there is no such service; a network, volume or container of others isn't there.
pub fn before_run(wanted: Wanted<'_>, actual: &Actual, service: &str, options: &Options) -> Result<Plan> {
    let mut up = Up::of(wanted, actual, options, selection::named(wanted.project, &[service.to_owned()])?);
    up.abandoned_hooks();
    up.others()?;
    up.networks()?;
    up.volumes()?;
    for name in selection::in_order(wanted.project) {
        if name != service && up.selected.contains(name) {
            up.service(name, &wanted.project.services[name])?;
        }
    }
    up.orphans();
    up.dependencies(&wanted.project.services[service]);
    Ok(up.plan)
}

/// Plans `up`.
///
/// Errors: there is no such service; a network, volume or container of others isn't there.
pub fn up(wanted: Wanted<'_>, actual: &Actual, options: &Options) -> Result<Plan> {
    let asked = selection::named(wanted.project, &options.services)?;
    if let Some(unknown) = options.scale.keys().find(|name| !wanted.project.services.contains_key(*name)) {
        return Err(Error::new(format!("no such service: {unknown}")));
    }
    let mut up = Up::of(wanted, actual, options, asked);
    up.abandoned_hooks();
    up.others()?;
    up.networks()?;
    up.volumes()?;
    for name in selection::in_order(wanted.project) {
        if up.selected.contains(name) {
            up.service(name, &wanted.project.services[name])?;
        }
    }
    up.orphans();
    if options.wait {
        up.wait_for_all();
    }
    Ok(up.plan)
}

struct Up<'a> {
    wanted: Wanted<'a>,
    actual: &'a Actual,
    options: &'a Options,
    asked: BTreeSet<String>,
    selected: BTreeSet<String>,
    plan: Plan,
    /// The steps that make networks and volumes, by their names on the host.
    made: BTreeMap<String, StepId>,
    /// Containers that are removed already, by their ids, with the steps that do so.
    gone: BTreeMap<String, StepId>,
    /// The steps that remove the others of a number, by service and number.
    duplicates: BTreeMap<(String, u32), Vec<StepId>>,
    /// The steps that wait for a container, by its name.
    awaited: Vec<(String, Goal, StepId)>,
    /// What was planned for the containers of each service.
    containers: BTreeMap<String, Vec<Planned>>,
}

/// What was planned for a container that is wanted.
struct Planned {
    target: Target,
    /// The container that is there and stays.
    stays: Option<(State, Option<Health>)>,
    /// The step that makes it, if it is made.
    created: Option<StepId>,
    /// The last step of its start, if it is started.
    started: Option<StepId>,
    /// Whether it is another container than before.
    replaced: bool,
}

impl<'a> Up<'a> {
    fn of(wanted: Wanted<'a>, actual: &'a Actual, options: &'a Options, asked: BTreeSet<String>) -> Up<'a> {
        let selected = if options.no_deps {
            asked.clone()
        } else {
            selection::with_dependencies(wanted.project, asked.clone())
        };
        Up {
            wanted,
            actual,
            options,
            asked,
            selected,
            plan: Plan::default(),
            made: BTreeMap::new(),
            gone: BTreeMap::new(),
            duplicates: BTreeMap::new(),
            awaited: Vec::new(),
            containers: BTreeMap::new(),
        }
    }

    // ---- services

    fn service(&mut self, name: &'a str, service: &'a Service) -> Result<()> {
        let wanted = self.options.scale.get(name).copied().unwrap_or(service.replicas());
        refuse_what_only_one_can_have(name, service, wanted)?;
        let mut kept = self.newest_of_each_number(name);
        let too_many: Vec<u32> = kept.keys().copied().skip(wanted as usize).collect();
        for number in too_many {
            if let Some(container) = kept.remove(&number) {
                self.remove_once(container, Cause::TooMany, AnonymousVolumes::Remove);
            }
        }
        let missing = wanted as usize - kept.len();
        let free: Vec<u32> = (1..).filter(|number| !kept.contains_key(number)).take(missing).collect();
        for container in kept.into_values() {
            let planned = self.existing(name, service, container);
            self.containers.entry(name.to_owned()).or_default().push(planned);
        }
        for number in free {
            let target = self.target(name, service, number, 0);
            let planned = self.new_container(service, target, Cause::Missing, BTreeMap::new(), []);
            self.containers.entry(name.to_owned()).or_default().push(planned);
        }
        Ok(())
    }

    /// Of the containers of each number the one that stays; the others are removed. An interrupted replacement leaves
    /// two.
    fn newest_of_each_number(&mut self, name: &str) -> BTreeMap<u32, &'a Container> {
        let actual = self.actual;
        let config = self.wanted.facts.services.get(name);
        let mut newest: BTreeMap<u32, &'a Container> = BTreeMap::new();
        let rank = |container: &Container| (Some(&container.made_of.config) == config, container.generation);
        for container in
            actual.containers.iter().filter(|container| container.service == name && !container.one_off)
        {
            let other = newest.insert(container.number, container);
            let Some(other) = other else { continue };
            let (stays, goes) =
                if rank(other) > rank(container) { (other, container) } else { (container, other) };
            newest.insert(stays.number, stays);
            let removed = self.remove_once(goes, Cause::Duplicate, AnonymousVolumes::Keep);
            self.duplicates.entry((name.to_owned(), goes.number)).or_default().push(removed);
        }
        newest
    }

    /// Hooks whose command was killed have nobody who waits for them. The container that they go before starts behind
    /// their end.
    fn abandoned_hooks(&mut self) {
        let actual = self.actual;
        for container in actual.containers.iter().filter(|one| one.hook == Some(Hook::Abandoned)) {
            let removed = self.remove_once(container, Cause::Abandoned, AnonymousVolumes::Remove);
            self.duplicates.entry((container.service.clone(), container.number)).or_default().push(removed);
        }
    }

    /// A container that is there.
    fn existing(&mut self, name: &str, service: &'a Service, container: &'a Container) -> Planned {
        let gone = self.gone.get(&container.id).copied();
        let cause = self.difference(name, service, container);
        if let (None, Some(cause)) = (gone, &cause) {
            return self.replace(name, service, container, cause.clone());
        }
        if let Some(gone) = gone {
            let target = self.target(name, service, container.number, container.generation + 1);
            let cause = cause.unwrap_or(Cause::Missing);
            return self.new_container(service, target, cause, self.taken_over(container), [gone]);
        }
        let target = target_of(container);
        let mut planned = Planned {
            target: target.clone(),
            stays: Some((container.state, container.health)),
            created: None,
            started: None,
            replaced: false,
        };
        if self.options.no_start {
            return planned;
        }
        let outlived = container.outlived.clone().map(Cause::DependencyRestarted);
        let (cause, after) = match self.restart_cause(service).or(outlived) {
            Some(cause) if container.state.is_live() => {
                let stopped = self.stop(service, container, cause.clone(), []);
                (cause, vec![stopped])
            }
            _ if container.state.is_live() => return planned,
            _ => (Cause::NotRunning, Vec::new()),
        };
        planned.started = Some(self.start(service, &target, cause, after));
        planned
    }

    /// Why the container can't stay, if it can't.
    fn difference(&self, name: &str, service: &Service, container: &Container) -> Option<Cause> {
        let facts = self.wanted.facts;
        let is =
            |wanted: &BTreeMap<String, String>, found: &str| wanted.get(name).is_none_or(|it| it == found);
        let made_of = &container.made_of;
        match self.options.recreate {
            Recreate::None => return None,
            Recreate::All => return Some(Cause::Forced),
            Recreate::Asked if self.asked.contains(name) => return Some(Cause::Forced),
            Recreate::Asked | Recreate::Changed => {}
        }
        if !is(&facts.services, &made_of.config) {
            return Some(Cause::ConfigChanged);
        }
        if !is(&facts.images, &made_of.image) {
            return Some(Cause::ImageChanged);
        }
        if !is(&facts.files, &made_of.files) {
            return Some(Cause::FilesChanged);
        }
        let project = self.wanted.project;
        let another = |names: Vec<String>,
                       found: &BTreeMap<String, String>,
                       there: &BTreeMap<_, super::actual::Object>| {
            names.into_iter().find(|name| {
                there.get(name).map(|object| &object.id) != found.get(name) || self.made.contains_key(name)
            })
        };
        if let Some(name) = another(networks_of(project, service), &made_of.networks, &self.actual.networks) {
            return Some(Cause::NetworkChanged(name));
        }
        if let Some(name) = another(volumes_of(project, service), &made_of.volumes, &self.actual.volumes) {
            return Some(Cause::VolumeChanged(name));
        }
        let replaced = |parent: &&str| self.any_of(parent, |planned| planned.replaced);
        parents(project, service)
            .into_iter()
            .find(replaced)
            .map(|parent| Cause::ParentReplaced(parent.to_owned()))
    }

    /// Why the container has to be started again though it stays, if it has to.
    fn restart_cause(&self, service: &Service) -> Option<Cause> {
        let starts = |name: &str| self.any_of(name, |planned| planned.started.is_some());
        let mut with = restarts_with(self.wanted.project, service);
        with.find(|name| starts(name)).map(|name| Cause::DependencyRestarted(name.to_owned()))
    }

    /// Whether this is so of a container of a service that others hang on. Nobody hangs on one that comes beside those
    /// that stay.
    fn any_of(&self, name: &str, is_so: impl Fn(&Planned) -> bool) -> bool {
        let all = self.containers.get(name).map_or(&[][..], Vec::as_slice);
        let some_stay = all.iter().any(|planned| planned.stays.is_some());
        let comes_beside = |planned: &Planned| {
            let is_new = planned.stays.is_none() && planned.target.generation == 0;
            some_stay && is_new && planned.target.number > 1
        };
        all.iter().any(|planned| is_so(planned) && !comes_beside(planned))
    }

    /// Another container takes the place of one that is there: made before the old one is stopped, started once the old
    /// one is gone.
    fn replace(
        &mut self,
        name: &str,
        service: &'a Service,
        container: &'a Container,
        cause: Cause,
    ) -> Planned {
        let target = self.target(name, service, container.number, container.generation + 1);
        let (volumes, keep) = (self.taken_over(container), self.what_becomes_of_volumes());
        let created = self.create(service, &target, cause, volumes, []);
        let stopped = self.stop_if_live(service, container, Cause::Replaced, [created]);
        let removed = self.plan.add(Action::Remove(target_of(container), keep), Cause::Replaced, [stopped]);
        self.gone.insert(container.id.clone(), removed);
        self.started(service, target, (created, removed))
    }

    fn new_container(
        &mut self,
        service: &'a Service,
        target: Target,
        cause: Cause,
        volumes: BTreeMap<String, String>,
        after: impl IntoIterator<Item = StepId>,
    ) -> Planned {
        let created = self.create(service, &target, cause, volumes, after);
        self.started(service, target, (created, created))
    }

    /// A container that one step makes, and that is started behind another one.
    fn started(
        &mut self,
        service: &'a Service,
        target: Target,
        (created, after): (StepId, StepId),
    ) -> Planned {
        let started =
            (!self.options.no_start).then(|| self.start(service, &target, Cause::NotRunning, vec![after]));
        Planned { target, stays: None, created: Some(created), started, replaced: true }
    }

    fn taken_over(&self, container: &Container) -> BTreeMap<String, String> {
        match self.what_becomes_of_volumes() {
            AnonymousVolumes::Keep => container.anonymous_volumes.clone(),
            AnonymousVolumes::Remove => BTreeMap::new(),
        }
    }

    fn what_becomes_of_volumes(&self) -> AnonymousVolumes {
        if self.options.renew_anonymous_volumes { AnonymousVolumes::Remove } else { AnonymousVolumes::Keep }
    }

    // ---- steps

    fn create(
        &mut self,
        service: &Service,
        target: &Target,
        cause: Cause,
        anonymous_volumes: BTreeMap<String, String>,
        after: impl IntoIterator<Item = StepId>,
    ) -> StepId {
        let project = self.wanted.project;
        let objects = networks_of(project, service).into_iter().chain(volumes_of(project, service));
        let made: Vec<StepId> = objects.filter_map(|name| self.made.get(&name).copied()).collect();
        // The specification of a container names the processes whose namespaces it shares.
        let of = |name: &str| self.containers.get(name).into_iter().flatten();
        let shared = parents(project, service).into_iter().flat_map(of);
        let shared = shared.filter_map(|planned| planned.started.or(planned.created));
        // A link has the names of the containers that it leads to.
        let linked = linked(project, service).into_iter().flat_map(of);
        let there: Vec<StepId> = shared.chain(linked.filter_map(|planned| planned.created)).collect();
        let creation = Creation { target: target.clone(), anonymous_volumes };
        self.plan.add(Action::Create(creation), cause, after.into_iter().chain(made).chain(there))
    }

    /// Starts a container once all that it depends on is as far as it should be. Returns the last step.
    fn start(&mut self, service: &Service, target: &Target, cause: Cause, mut after: Vec<StepId>) -> StepId {
        after.extend(self.dependencies(service));
        let number = (target.service.clone(), target.number);
        after.extend(self.duplicates.get(&number).into_iter().flatten());
        after = lifecycle::pre_start(&service.pre_start, target, after, &mut self.plan);
        let mut last = self.plan.add(Action::Start(target.clone()), cause, after);
        for index in 0..service.post_start.len() {
            let run = Action::RunHook(target.clone(), Turn::PostStart, index);
            last = self.plan.add(run, Cause::Needed, [last]);
        }
        last
    }

    /// The steps that have to be done before a service starts.
    fn dependencies(&mut self, service: &Service) -> Vec<StepId> {
        let mut steps = Vec::new();
        for name in goes_behind(self.wanted.project, service) {
            let dependency = service.depends_on.get(name);
            for index in 0..self.containers.get(name).map_or(0, Vec::len) {
                steps.extend(match dependency {
                    Some(dependency) => self.condition(name, index, dependency),
                    None => self.containers[name][index].started,
                });
            }
        }
        steps
    }

    /// The step after which a container is as far as its dependents ask for, if it isn't now.
    fn condition(&mut self, service: &str, index: usize, dependency: &Dependency) -> Option<StepId> {
        let planned = &self.containers[service][index];
        let holds = match (dependency.condition, planned.stays) {
            (_, None) => false,
            (Condition::Started, Some(_)) => true,
            (Condition::Healthy, Some((_, health))) => health == Some(Health::Healthy),
            (Condition::CompletedSuccessfully, Some((state, _))) => state == State::Exited(0),
        };
        let (target, started) = (planned.target.clone(), planned.started);
        match (started, Goal::of(dependency)) {
            (None, _) if holds => None,
            (started, None) => started,
            (started, Some(goal)) => Some(self.wait_for(target, goal, started)),
        }
    }

    fn wait_for(&mut self, target: Target, goal: Goal, after: impl IntoIterator<Item = StepId>) -> StepId {
        let known = self.awaited.iter().find(|(name, known, _)| *name == target.name && *known == goal);
        if let Some((_, _, step)) = known {
            return *step;
        }
        let name = target.name.clone();
        let step = self.plan.add(Action::Await(target, goal), Cause::Needed, after);
        self.awaited.push((name, goal, step));
        step
    }

    /// `--wait`: once all has started, each service has to be ready. A service whose end others wait for has to end.
    fn wait_for_all(&mut self) {
        let dependencies =
            self.selected.iter().flat_map(|name| &self.wanted.project.services[name].depends_on);
        let has_to_end = dependencies
            .filter(|(_, dependency)| dependency.condition == Condition::CompletedSuccessfully)
            .map(|(name, _)| name.as_str());
        let has_to_end: BTreeSet<&str> = has_to_end.collect();
        let started: Vec<StepId> =
            self.containers.values().flatten().filter_map(|planned| planned.started).collect();
        let mut goals = Vec::new();
        for (name, containers) in &self.containers {
            let until = if has_to_end.contains(name.as_str()) { Until::Completed } else { Until::Ready };
            goals.extend(containers.iter().map(|planned| (planned.target.clone(), until)));
        }
        for (target, until) in goals {
            self.wait_for(target, Goal { until, required: true }, started.iter().copied());
        }
    }

    fn stop(
        &mut self,
        service: &Service,
        container: &Container,
        cause: Cause,
        after: impl IntoIterator<Item = StepId>,
    ) -> StepId {
        let mut after: Vec<StepId> = after.into_iter().collect();
        for index in 0..service.pre_stop.len() {
            let run = Action::RunHook(target_of(container), Turn::PreStop, index);
            after = vec![self.plan.add(run, Cause::Needed, after)];
        }
        self.plan.add(Action::Stop(target_of(container)), cause, after)
    }

    fn stop_if_live(
        &mut self,
        service: &Service,
        container: &Container,
        cause: Cause,
        after: [StepId; 1],
    ) -> StepId {
        if container.state.is_live() { self.stop(service, container, cause, after) } else { after[0] }
    }

    /// Stops and removes a container, whoever else may want that.
    fn remove_once(&mut self, container: &Container, cause: Cause, volumes: AnonymousVolumes) -> StepId {
        if let Some(step) = self.gone.get(&container.id) {
            return *step;
        }
        let unknown = Service::default();
        // What others have made is none that the service's hooks are for.
        let service = self.wanted.project.services.get(&container.service).filter(|_| !container.one_off);
        let service = service.unwrap_or(&unknown);
        let stopped = container.state.is_live().then(|| self.stop(service, container, cause.clone(), []));
        let removed = self.plan.add(Action::Remove(target_of(container), volumes), cause, stopped);
        self.gone.insert(container.id.clone(), removed);
        removed
    }

    fn orphans(&mut self) {
        let project = self.wanted.project;
        let is_known =
            |name: &String| project.services.contains_key(name) || project.disabled.contains_key(name);
        let orphans = self.actual.containers.iter();
        let orphans: Vec<&Container> =
            orphans.filter(|container| !container.one_off && !is_known(&container.service)).collect();
        if self.options.remove_orphans {
            orphans.into_iter().for_each(|orphan| {
                self.remove_once(orphan, Cause::Orphan, AnonymousVolumes::Keep);
            });
        } else if !orphans.is_empty() {
            let names: Vec<&str> = orphans.iter().map(|container| container.name.as_str()).collect();
            self.plan.warnings.push(format!(
                "containers of services that aren't in the project: {} (--remove-orphans removes them)",
                names.join(", ")
            ));
        }
    }

    fn target(&self, service: &str, definition: &Service, number: u32, generation: u64) -> Target {
        let name = container_name(self.wanted.project, service, definition, number);
        Target { name, service: service.to_owned(), number, generation, id: None }
    }
}

/// A container that is there.
pub fn target_of(container: &Container) -> Target {
    Target {
        name: container.name.clone(),
        service: container.service.clone(),
        number: container.number,
        generation: container.generation,
        id: Some(container.id.clone()),
    }
}
