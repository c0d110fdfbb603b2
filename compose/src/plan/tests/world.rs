//! A world in which plans are carried out.

use std::collections::BTreeMap;

use proptest::sample::Index;

use super::super::actual::{Actual, Container, Health, Ingredients, Object, State};
use super::super::explain::action;
use super::super::graph::{Action, Plan, Step, Target, Until};
use super::super::wanted::{Wanted, namespace_parents, networks_of, volumes_of};
use crate::model::values::Condition;

pub struct World {
    pub actual: Actual,
    last: u32,
}

impl World {
    pub fn empty() -> World {
        World { actual: Actual::default(), last: 0 }
    }

    fn next(&mut self) -> String {
        self.last += 1;
        format!("id{}", self.last)
    }

    /// Carries out the plan in its own order.
    pub fn carry_out(&mut self, wanted: Wanted<'_>, plan: &Plan) {
        plan.steps().iter().for_each(|step| self.step(wanted, step));
    }

    /// Carries out so many steps in an order that `choices` choose among those that the plan allows.
    pub fn carry_out_some(&mut self, wanted: Wanted<'_>, plan: &Plan, choices: &[Index], count: usize) {
        let mut done = vec![false; plan.steps().len()];
        for turn in 0..count.min(plan.steps().len()) {
            let is_ready = |index: &usize| {
                !done[*index] && plan.steps()[*index].after.iter().all(|step| done[step.index()])
            };
            let ready: Vec<usize> = (0..done.len()).filter(is_ready).collect();
            let index = ready[choices[turn % choices.len()].index(ready.len())];
            self.step(wanted, &plan.steps()[index]);
            done[index] = true;
        }
    }

    fn step(&mut self, wanted: Wanted<'_>, step: &Step) {
        match &step.action {
            Action::CreateNetwork(named) => {
                let object = Object { id: self.next(), hash: wanted.facts.networks[&named.key].clone() };
                assert!(self.actual.networks.insert(named.name.clone(), object).is_none(), "made twice");
            }
            Action::RemoveNetwork(named) => {
                let is_on_it = |container: &Container| container.made_of.networks.contains_key(&named.name);
                assert!(!self.actual.containers.iter().any(is_on_it), "a container is on {}", named.name);
                assert!(self.actual.networks.remove(&named.name).is_some(), "no such network");
            }
            Action::CreateVolume(named) => {
                let object = Object { id: self.next(), hash: wanted.facts.volumes[&named.key].clone() };
                assert!(self.actual.volumes.insert(named.name.clone(), object).is_none(), "made twice");
            }
            Action::RemoveVolume(named) => {
                assert!(self.actual.volumes.remove(&named.name).is_some(), "no such volume");
            }
            Action::Create(creation) => {
                self.create(wanted, &creation.target, &creation.anonymous_volumes);
            }
            Action::Start(target) => self.start(wanted, target),
            Action::Await(target, goal) => {
                let found = self.find(target);
                let condition = match goal.until {
                    Until::Healthy => Condition::Healthy,
                    Until::Ready => Condition::Started,
                    Until::Completed => Condition::CompletedSuccessfully,
                };
                assert!(is_met(found, condition), "{} would wait for ever", action(&step.action));
            }
            Action::RunHook(..) | Action::Kill(..) | Action::Pause(..) | Action::Unpause(..) => {}
            Action::Stop(target) => {
                let found = self.find(target);
                assert!(found.state.is_live(), "{} isn't live", target.name);
                found.state = State::Exited(137);
                found.health = None;
            }
            Action::Remove(target, _) => {
                assert!(!self.find(target).state.is_live(), "{} is live", target.name);
                let is_it = |container: &Container| is_meant(target, container);
                self.actual.containers.retain(|container| !is_it(container));
            }
        }
    }

    fn create(&mut self, wanted: Wanted<'_>, target: &Target, taken_over: &BTreeMap<String, String>) {
        let service = &wanted.project.services[&target.service];
        let id_of = |objects: &BTreeMap<String, Object>, name: String| {
            let id = objects.get(&name).unwrap_or_else(|| panic!("{name} isn't there")).id.clone();
            (name, id)
        };
        let networks = networks_of(wanted.project, service).into_iter();
        let volumes = volumes_of(wanted.project, service).into_iter();
        let made_of = Ingredients {
            config: wanted.facts.services[&target.service].clone(),
            image: wanted.facts.images[&target.service].clone(),
            files: String::new(),
            networks: networks.map(|name| id_of(&self.actual.networks, name)).collect(),
            volumes: volumes.map(|name| id_of(&self.actual.volumes, name)).collect(),
        };
        let anonymous = service.volumes.iter().filter(|mount| mount.source.is_none());
        let anonymous: Vec<String> = anonymous.map(|mount| mount.target.clone()).collect();
        let anonymous_volumes = anonymous.into_iter().map(|target| {
            let volume = taken_over.get(&target).cloned().unwrap_or_else(|| self.next());
            (target, volume)
        });
        let anonymous_volumes = anonymous_volumes.collect();
        let container = Container {
            id: self.next(),
            name: target.name.clone(),
            service: target.service.clone(),
            number: target.number,
            generation: target.generation,
            made_of,
            anonymous_volumes,
            ..Container::default()
        };
        self.actual.containers.push(container);
    }

    /// A service with the name `job…` ends at once.
    fn start(&mut self, wanted: Wanted<'_>, target: &Target) {
        let service = &wanted.project.services[&target.service];
        for (name, dependency) in &service.depends_on {
            let others = self.actual.containers.iter().filter(|container| container.service == *name);
            let met = others.filter(|other| is_met(other, dependency.condition)).count();
            assert!(
                met >= wanted.project.services[name].replicas() as usize,
                "{} is started before {name} is as far as it should be",
                target.name
            );
        }
        for name in namespace_parents(wanted.project, service) {
            let mut owners = self.actual.containers.iter().filter(|container| container.service == name);
            assert!(
                owners.any(|owner| is_met(owner, Condition::Started)),
                "{} is started before {name}, whose namespace it joins",
                target.name
            );
        }
        let found = self.find(target);
        assert!(!found.state.is_live(), "{} is live", target.name);
        found.state = if target.service.starts_with("job") { State::Exited(0) } else { State::Running };
        found.health = service.healthcheck.as_ref().map(|_| Health::Healthy);
        found.outlived = None;
        let (name, number) = (target.service.clone(), target.number);
        let same = |container: &&Container| container.service == name && container.number == number;
        let live = self.actual.containers.iter().filter(same).filter(|container| container.state.is_live());
        assert!(live.count() <= 1, "two of {name} {number} run");
    }

    fn find(&mut self, target: &Target) -> &mut Container {
        let found = self.actual.containers.iter_mut().find(|container| is_meant(target, container));
        found.unwrap_or_else(|| panic!("{} isn't there", target.name))
    }
}

fn is_meant(target: &Target, container: &Container) -> bool {
    match &target.id {
        Some(id) => container.id == *id,
        None => container.name == target.name && container.generation == target.generation,
    }
}

fn is_met(container: &Container, condition: Condition) -> bool {
    match condition {
        Condition::Started => container.state.is_live() || matches!(container.state, State::Exited(0)),
        Condition::Healthy => container.health == Some(Health::Healthy),
        Condition::CompletedSuccessfully => container.state == State::Exited(0),
    }
}
