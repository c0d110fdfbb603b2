//! Properties of plans on random projects.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::actual::State;
use super::super::down::{self, down};
use super::super::explain::explain;
use super::super::graph::{Action, AnonymousVolumes, Plan, Step};
use super::super::up::{Options, up};
use super::super::wanted::{Wanted, namespace_parents};
use super::world::World;
use super::{facts, project, service};
use crate::model::types::{Dependency, Project, Service};
use crate::model::values::Condition;

/// A random project: services depend on those before them.
fn any_project() -> impl Strategy<Value = Project> {
    let one = (
        0..3u32,
        any::<[bool; 7]>(),
        prop::collection::vec((any::<Index>(), 0..3usize, any::<bool>()), 0..3),
        any::<bool>(),
    );
    prop::collection::vec(one, 1..5).prop_map(|drawn| {
        const NAMES: [&str; 4] = ["a", "job", "c", "d"];
        let mut services: Vec<(&'static str, Service)> = Vec::new();
        for (place, (count, [back, front, data, anonymous, checked, shares, by_name], depends, restart)) in
            drawn.into_iter().enumerate()
        {
            let mut made = service().times(count);
            let shares = shares && place > 0 && services[place - 1].1.replicas() > 0;
            if shares {
                let (name, _) = services[place - 1];
                made.network_mode = Some(format!("service:{name}"));
                // Nothing else says then who goes before.
                if by_name {
                    made.network_mode = Some(format!("container:p-{name}-1"));
                } else {
                    made = made.after(name, Condition::Started);
                }
            } else {
                made = if back { made.on("back") } else { made };
                made = if front { made.on("front") } else { made };
            }
            made = if data { made.mounting("data") } else { made };
            made = if anonymous { made.mounting("") } else { made };
            made = if checked && NAMES[place] != "job" { made.checked() } else { made };
            for (other, condition, asks) in depends.into_iter().filter(|_| place > 0) {
                let (name, on) = &services[other.index(place)];
                let condition = match condition {
                    1 if on.healthcheck.is_some() => Condition::Healthy,
                    2 if *name == "job" => Condition::CompletedSuccessfully,
                    _ => Condition::Started,
                };
                made.depends_on.insert(
                    (*name).into(),
                    Dependency { condition, restart: asks && restart, ..Dependency::default() },
                );
            }
            services.push((NAMES[place], made));
        }
        project(services)
    })
}

/// Each container that is wanted is there, once, and is what is wanted.
fn assert_is_wanted(wanted: Wanted<'_>, world: &World) {
    let plan = up(wanted, &world.actual, &Options::default()).unwrap();
    let is_again = |step: &Step| match &step.action {
        Action::Start(target) | Action::Await(target, _) => target.service == "job",
        _ => false,
    };
    // A job that has ended runs again, and with it whoever shares its namespaces or asks to restart with it.
    let asks = |service: &Service| {
        service.depends_on.get("job").is_some_and(|dependency| dependency.restart)
            || matches!(service.network_mode.as_deref(), Some("service:job" | "container:p-job-1"))
    };
    if !wanted.project.services.values().any(asks) {
        assert!(plan.steps().iter().all(is_again), "{}", explain(&plan));
    }
    for (name, service) in &wanted.project.services {
        let count = world.actual.containers.iter().filter(|container| container.service == *name).count();
        assert_eq!(count, service.replicas() as usize, "{name}");
    }
}

/// Each start of a container that joins others' namespaces comes behind each start of theirs.
fn assert_joins_behind(project: &Project, plan: &Plan) {
    let mut before: Vec<BTreeSet<usize>> = Vec::new();
    for step in plan.steps() {
        let direct = step.after.iter().map(|id| id.index());
        before.push(direct.flat_map(|index| before[index].iter().copied().chain([index])).collect());
    }
    let started = |step: &Step| match &step.action {
        Action::Start(target) => Some(target.service.clone()),
        _ => None,
    };
    let starts: Vec<(usize, String)> =
        plan.steps().iter().enumerate().filter_map(|(index, step)| Some((index, started(step)?))).collect();
    for (joiner, service) in &starts {
        let parents = namespace_parents(project, &project.services[service]);
        for (owner, _) in starts.iter().filter(|(_, name)| parents.contains(&name.as_str())) {
            assert!(before[*joiner].contains(owner), "{service}: {}", explain(plan));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn up_after_any_up_cut_anywhere_is_up(
        before in any_project(), after in any_project(), editions in any::<[bool; 8]>(),
        choices in prop::collection::vec(any::<Index>(), 1..60), cuts in any::<[u8; 2]>(),
    ) {
        let edition = |key: &str| u32::from(editions[key.len() % 8] ^ editions[key.as_bytes()[0] as usize % 8]);
        let (facts_before, facts_after) = (facts(&before, |_| 0), facts(&after, edition));
        let before = Wanted { project: &before, facts: &facts_before };
        let after = Wanted { project: &after, facts: &facts_after };
        let mut world = World::empty();
        let options = Options { remove_orphans: true, ..Options::default() };
        for (wanted, cut) in [(before, cuts[0] % 24), (after, cuts[1] % 24)] {
            let plan = up(wanted, &world.actual, &options).unwrap();
            assert_joins_behind(wanted.project, &plan);
            world.carry_out_some(wanted, &plan, &choices, usize::from(cut));
        }
        let plan = up(after, &world.actual, &options).unwrap();
        world.carry_out_some(after, &plan, &choices, usize::MAX);
        assert_is_wanted(after, &world);
        let all = down::Options { volumes: true, remove_orphans: true, ..down::Options::default() };
        let plan = down(after.project, &world.actual, &all).unwrap();
        world.carry_out_some(after, &plan, &choices, usize::MAX);
        prop_assert!(world.actual.containers.is_empty() && world.actual.networks.is_empty());
    }

    #[test]
    fn up_after_a_stop_of_any_is_up(
        project in any_project(), stopped in any::<[bool; 8]>(),
        choices in prop::collection::vec(any::<Index>(), 1..60),
    ) {
        let facts = facts(&project, |_| 1);
        let wanted = Wanted { project: &project, facts: &facts };
        let mut world = World::empty();
        let plan = up(wanted, &world.actual, &Options::default()).unwrap();
        world.carry_out(wanted, &plan);
        let containers = world.actual.containers.iter_mut().zip(stopped).filter(|(_, stops)| *stops);
        for (container, _) in containers.filter(|(container, _)| container.state.is_live()) {
            container.state = State::Exited(137);
            container.health = None;
        }
        let plan = up(wanted, &world.actual, &Options::default()).unwrap();
        assert_joins_behind(&project, &plan);
        world.carry_out_some(wanted, &plan, &choices, usize::MAX);
        assert_is_wanted(wanted, &world);
    }

    #[test]
    fn anonymous_volumes_outlive_any_change(project in any_project(), choices in prop::collection::vec(any::<Index>(), 1..60)) {
        let (first, second) = (facts(&project, |_| 1), facts(&project, |_| 2));
        let mut world = World::empty();
        let volumes = |world: &World| {
            let containers = world.actual.containers.iter();
            let all = containers.map(|container| ((container.service.clone(), container.number), container.anonymous_volumes.clone()));
            all.collect::<BTreeMap<_, _>>()
        };
        let plan = up(Wanted { project: &project, facts: &first }, &world.actual, &Options::default()).unwrap();
        world.carry_out(Wanted { project: &project, facts: &first }, &plan);
        let had = volumes(&world);
        let plan = up(Wanted { project: &project, facts: &second }, &world.actual, &Options::default()).unwrap();
        let removes = |step: &Step| matches!(step.action, Action::Remove(_, AnonymousVolumes::Remove));
        prop_assert!(!plan.steps().iter().any(removes));
        world.carry_out_some(Wanted { project: &project, facts: &second }, &plan, &choices, usize::MAX);
        prop_assert_eq!(had, volumes(&world));
    }
}
