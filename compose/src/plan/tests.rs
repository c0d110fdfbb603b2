//! Plans as text, and properties of plans on random projects, carried out in any order that a plan allows.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::actual::{Actual, Container, Health, Ingredients, Object, State};
use super::down::{self, down};
use super::explain::{action, explain};
use super::graph::{Action, AnonymousVolumes, Plan, Step, Target};
use super::lifecycle::{restart, start, stop};
use super::up::{Options, Recreate, up};
use super::wanted::{Facts, Wanted, networks_of, volumes_of};
use crate::model::types::{
    Attachment, Dependency, Healthcheck, Hook, Mount, Network, Project, Service, Volume,
};
use crate::model::values::{Condition, MountKind};

// ---- projects

/// A project of that name with the services.
fn project(services: impl IntoIterator<Item = (&'static str, Service)>) -> Project {
    let services: BTreeMap<String, Service> =
        services.into_iter().map(|(name, service)| (name.to_owned(), service)).collect();
    let named = |key: &str| format!("p_{key}");
    let networks =
        ["back", "front"].map(|key| (key.to_owned(), Network { name: named(key), ..Network::default() }));
    let volumes =
        ["data", "more"].map(|key| (key.to_owned(), Volume { name: named(key), ..Volume::default() }));
    Project {
        name: "p".into(),
        services,
        networks: networks.into(),
        volumes: volumes.into(),
        ..Project::default()
    }
}

fn service() -> Service {
    Service::default()
}

impl Service {
    fn after(mut self, name: &str, condition: Condition) -> Service {
        self.depends_on.insert(name.into(), Dependency { condition, ..Dependency::default() });
        self
    }

    fn restarting_with(mut self, name: &str) -> Service {
        let dependency = Dependency { restart: true, ..Dependency::default() };
        self.depends_on.insert(name.into(), dependency);
        self
    }

    fn on(mut self, network: &str) -> Service {
        self.networks.insert(network.into(), Attachment::default());
        self
    }

    fn mounting(mut self, volume: &str) -> Service {
        self.volumes.push(Mount {
            kind: MountKind::Volume,
            source: (!volume.is_empty()).then(|| volume.into()),
            target: format!("/{volume}"),
            ..Mount::default()
        });
        self
    }

    fn checked(mut self) -> Service {
        self.healthcheck = Some(Healthcheck::default());
        self
    }

    fn times(mut self, count: u32) -> Service {
        self.scale = Some(count);
        self
    }
}

/// Facts in which each definition's hash tells which edition it is of.
fn facts(project: &Project, edition: impl Fn(&str) -> u32) -> Facts {
    let hash = |key: &String| (key.clone(), format!("{key}:{}", edition(key)));
    let of_service = |(key, service): (&String, &Service)| {
        let alone = Service { depends_on: BTreeMap::new(), scale: None, ..service.clone() };
        (key.clone(), format!("{}:{}", edition(key), serde_json::to_string(&alone).unwrap()))
    };
    Facts {
        services: project.services.iter().map(of_service).collect(),
        images: project.services.keys().map(|key| (key.clone(), "image".into())).collect(),
        files: BTreeMap::new(),
        networks: project.networks.keys().map(hash).collect(),
        volumes: project.volumes.keys().map(hash).collect(),
    }
}

// ---- a world in which plans are carried out

struct World {
    actual: Actual,
    last: u32,
}

impl World {
    fn empty() -> World {
        World { actual: Actual::default(), last: 0 }
    }

    fn next(&mut self) -> String {
        self.last += 1;
        format!("id{}", self.last)
    }

    /// Carries out the plan in its own order.
    fn carry_out(&mut self, wanted: Wanted<'_>, plan: &Plan) {
        plan.steps().iter().for_each(|step| self.step(wanted, step));
    }

    /// Carries out so many steps in an order that `choices` choose among those that the plan allows.
    fn carry_out_some(&mut self, wanted: Wanted<'_>, plan: &Plan, choices: &[Index], count: usize) {
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
            Action::Await(target, condition) => {
                let found = self.find(target);
                assert!(is_met(found, *condition), "{} would wait for ever", action(&step.action));
            }
            Action::RunHook(..) => {}
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
        let found = self.find(target);
        assert!(!found.state.is_live(), "{} is live", target.name);
        found.state = if target.service.starts_with("job") { State::Exited(0) } else { State::Running };
        found.health = service.healthcheck.as_ref().map(|_| Health::Healthy);
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

// ---- plans as text

/// A project of three: a database with a check and a volume, a job, and a web server behind both.
fn shop() -> Project {
    project([
        ("db", service().checked().on("back").mounting("data")),
        ("job", service().on("back").after("db", Condition::Healthy)),
        (
            "web",
            service()
                .on("back")
                .on("front")
                .mounting("")
                .after("db", Condition::Healthy)
                .after("job", Condition::CompletedSuccessfully),
        ),
    ])
}

/// What is there once `up` has been carried out.
fn brought_up(project: &Project) -> World {
    let facts = facts(project, |_| 1);
    let wanted = Wanted { project, facts: &facts };
    let mut world = World::empty();
    let plan = up(wanted, &world.actual, &Options::default()).unwrap();
    world.carry_out(wanted, &plan);
    world
}

#[track_caller]
fn assert_plan(plan: &Plan, expected: &str) {
    let text = explain(plan);
    let lines = |text: &str| {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(lines(&text), lines(expected), "\n{text}");
}

/// Plans `up` in a world, with the services of these names changed since.
fn up_after(project: &Project, world: &World, changed: &[&str], options: &Options) -> Plan {
    let facts = facts(project, |key| if changed.contains(&key) { 2 } else { 1 });
    up(Wanted { project, facts: &facts }, &world.actual, options).unwrap()
}

#[test]
fn everything_is_made_in_its_order() {
    let project = shop();
    let facts = facts(&project, |_| 1);
    let plan =
        up(Wanted { project: &project, facts: &facts }, &Actual::default(), &Options::default()).unwrap();
    assert_plan(
        &plan,
        "1  create network p_back  (not there)
         2  create network p_front  (not there)
         3  create volume p_data  (not there)
         4  create p-db-1 after 1, 3  (not there)
         5  start p-db-1 after 4  (not running)
         6  create p-job-1 after 1  (not there)
         7  wait until p-db-1 is healthy after 5  (waited for)
         8  start p-job-1 after 6, 7  (not running)
         9  create p-web-1 after 1, 2  (not there)
         10  wait until p-job-1 has completed after 8  (waited for)
         11  start p-web-1 after 7, 9, 10  (not running)",
    );
}

#[test]
fn what_has_ended_is_started_again_and_nothing_else() {
    let project = shop();
    let plan = up_after(&project, &brought_up(&project), &[], &Options::default());
    assert_plan(&plan, "1  start p-job-1  (not running)");
}

#[test]
fn another_definition_replaces_the_container_and_takes_its_volumes_over() {
    let project = shop();
    let plan = up_after(&project, &brought_up(&project), &["web"], &Options::default());
    assert_plan(
        &plan,
        "1  start p-job-1  (not running)
         2  create p-web-1 with the volume of /  (its definition has changed)
         3  stop p-web-1 after 2  (another takes its place)
         4  remove p-web-1 after 3  (another takes its place)
         5  wait until p-job-1 has completed after 1  (waited for)
         6  start p-web-1 after 4, 5  (not running)",
    );
}

#[test]
fn another_network_replaces_all_that_is_on_it() {
    let project = project([("a", service().on("back")), ("b", service().on("front"))]);
    let plan = up_after(&project, &brought_up(&project), &["back"], &Options::default());
    assert_plan(
        &plan,
        "1  stop p-a-1  (network p_back has changed)
         2  remove p-a-1 after 1  (network p_back has changed)
         3  remove network p_back after 2  (its definition has changed)
         4  create network p_back after 3  (its definition has changed)
         5  create p-a-1 after 2, 4  (network p_back has changed)
         6  start p-a-1 after 5  (not running)",
    );
}

#[test]
fn another_definition_of_a_volume_is_told_and_loses_no_data() {
    let project = project([("a", service().mounting("data"))]);
    let plan = up_after(&project, &brought_up(&project), &["data"], &Options::default());
    assert_plan(
        &plan,
        "warning: volume p_data: its definition has changed; it stays as it is until it is removed",
    );
}

#[test]
fn a_dependent_that_asks_for_it_restarts_with_its_dependency() {
    let project = project([
        ("db", service()),
        ("web", service().restarting_with("db")),
        ("log", service().after("db", Condition::Started)),
    ]);
    let plan = up_after(&project, &brought_up(&project), &["db"], &Options::default());
    assert_plan(
        &plan,
        "1  create p-db-1  (its definition has changed)
         2  stop p-db-1 after 1  (another takes its place)
         3  remove p-db-1 after 2  (another takes its place)
         4  start p-db-1 after 3  (not running)
         5  stop p-web-1  (db has restarted)
         6  start p-web-1 after 4, 5  (db has restarted)",
    );
}

#[test]
fn whoever_shares_a_namespace_is_replaced_with_its_owner() {
    let mut sharing = service().after("a", Condition::Started);
    sharing.network_mode = Some("service:a".into());
    let project = project([("a", service()), ("b", sharing)]);
    let plan = up_after(&project, &brought_up(&project), &["a"], &Options::default());
    assert_plan(
        &plan,
        "1  create p-a-1  (its definition has changed)
         2  stop p-a-1 after 1  (another takes its place)
         3  remove p-a-1 after 2  (another takes its place)
         4  start p-a-1 after 3  (not running)
         5  create p-b-1 after 4  (a has another container)
         6  stop p-b-1 after 5  (another takes its place)
         7  remove p-b-1 after 6  (another takes its place)
         8  start p-b-1 after 4, 7  (not running)",
    );
}

#[test]
fn a_scale_takes_the_highest_numbers_away_and_fills_gaps() {
    let project = project([("a", service().times(3))]);
    let mut world = brought_up(&project);
    let fewer = Options { scale: [("a".to_owned(), 1)].into(), ..Options::default() };
    assert_plan(
        &up_after(&project, &world, &[], &fewer),
        "1  stop p-a-2  (more than wanted)
         2  remove p-a-2 with its anonymous volumes after 1  (more than wanted)
         3  stop p-a-3  (more than wanted)
         4  remove p-a-3 with its anonymous volumes after 3  (more than wanted)",
    );
    world.actual.containers.retain(|container| container.number != 2);
    assert_plan(
        &up_after(&project, &world, &[], &Options::default()),
        "1  create p-a-2  (not there)
         2  start p-a-2 after 1  (not running)",
    );
}

#[test]
fn flags_of_up() {
    let project = project([("db", service()), ("web", service().after("db", Condition::Started))]);
    let world = brought_up(&project);
    let asked = |recreate| Options { services: vec!["web".into()], recreate, ..Options::default() };
    let names = |plan: &Plan| {
        let created = plan.steps().iter().filter_map(|step| match &step.action {
            Action::Create(creation) => Some(creation.target.service.clone()),
            _ => None,
        });
        created.collect::<Vec<_>>()
    };
    assert_eq!(
        names(&up_after(&project, &world, &["db", "web"], &asked(Recreate::None))),
        Vec::<String>::new()
    );
    assert_eq!(names(&up_after(&project, &world, &["db"], &asked(Recreate::Asked))), ["db", "web"]);
    assert_eq!(names(&up_after(&project, &world, &[], &asked(Recreate::Asked))), ["web"]);
    assert_eq!(names(&up_after(&project, &world, &[], &asked(Recreate::All))), ["db", "web"]);
    let alone = Options { no_deps: true, ..asked(Recreate::Changed) };
    assert_eq!(names(&up_after(&project, &world, &["db", "web"], &alone)), ["web"]);
    let none = Options { no_start: true, ..Options::default() };
    assert_plan(
        &up_after(&project, &World::empty(), &[], &none),
        "1  create p-db-1  (not there)
         2  create p-web-1  (not there)",
    );
    let waiting = Options { wait: true, ..Options::default() };
    let checked = self::project([("a", service().checked())]);
    assert_plan(
        &up_after(&checked, &World::empty(), &[], &waiting),
        "1  create p-a-1  (not there)
         2  start p-a-1 after 1  (not running)
         3  wait until p-a-1 is healthy after 2  (waited for)",
    );
    let unknown = Options { services: vec!["nobody".into()], ..Options::default() };
    let facts = facts(&project, |_| 1);
    let refused = up(Wanted { project: &project, facts: &facts }, &world.actual, &unknown);
    assert_eq!(refused.unwrap_err().to_string(), "no such service: nobody");
}

#[test]
fn hooks_have_their_turns() {
    let mut hooked = service();
    let hook = || Hook { command: Some(vec!["true".into()]), ..Hook::default() };
    (hooked.pre_start, hooked.post_start, hooked.pre_stop) =
        (vec![hook()], vec![hook(), hook()], vec![hook()]);
    let project = project([("a", hooked), ("b", service().after("a", Condition::Started))]);
    let world = brought_up(&project);
    assert_plan(
        &up_after(&project, &World::empty(), &[], &Options::default()),
        "1  create p-a-1  (not there)
         2  run pre_start[0] of p-a-1 after 1  (waited for)
         3  start p-a-1 after 2  (not running)
         4  run post_start[0] of p-a-1 after 3  (waited for)
         5  run post_start[1] of p-a-1 after 4  (waited for)
         6  create p-b-1  (not there)
         7  start p-b-1 after 5, 6  (not running)",
    );
    assert_plan(
        &stop(&project, &world.actual, &["a".into()]).unwrap(),
        "1  run pre_stop[0] of p-a-1  (waited for)
         2  stop p-a-1 after 1  (asked for)",
    );
}

#[test]
fn orphans_are_told_or_removed() {
    let before = project([("a", service()), ("old", service())]);
    let world = brought_up(&before);
    let after = project([("a", service())]);
    assert_plan(
        &up_after(&after, &world, &[], &Options::default()),
        "warning: containers of services that aren't in the project: p-old-1 (--remove-orphans removes them)",
    );
    let removing = Options { remove_orphans: true, ..Options::default() };
    assert_plan(
        &up_after(&after, &world, &[], &removing),
        "1  stop p-old-1  (its service isn't in the project)
         2  remove p-old-1 after 1  (its service isn't in the project)",
    );
}

#[test]
fn down_goes_backwards_and_leaves_volumes() {
    let project = shop();
    let world = brought_up(&project);
    assert_plan(
        &down(&project, &world.actual, &down::Options::default()).unwrap(),
        "1  stop p-web-1  (asked for)
         2  stop p-db-1 after 1  (asked for)
         3  remove p-db-1 after 2  (asked for)
         4  remove p-job-1  (asked for)
         5  remove p-web-1 after 1  (asked for)
         6  remove network p_back after 3, 4, 5  (asked for)
         7  remove network p_front after 3, 4, 5  (asked for)",
    );
    let all = down::Options { volumes: true, ..down::Options::default() };
    let plan = down(&project, &world.actual, &all).unwrap();
    let last = plan.steps().last().map(|step| action(&step.action));
    assert_eq!(last.as_deref(), Some("remove volume p_data"));
}

#[test]
fn restart_stops_backwards_and_starts_forwards() {
    let project = project([("db", service()), ("web", service().restarting_with("db"))]);
    let world = brought_up(&project);
    assert_plan(
        &restart(&project, &world.actual, &["db".into()], false).unwrap(),
        "1  stop p-web-1  (asked for)
         2  stop p-db-1 after 1  (asked for)
         3  start p-db-1 after 2  (asked for)
         4  start p-web-1 after 1, 3  (asked for)",
    );
    assert!(start(&project, &world.actual, &[]).unwrap().is_empty());
}

// ---- properties

/// A random project: services depend on those before them.
fn any_project() -> impl Strategy<Value = Project> {
    let one = (
        0..3u32,
        any::<[bool; 6]>(),
        prop::collection::vec((any::<Index>(), 0..3usize, any::<bool>()), 0..3),
        any::<bool>(),
    );
    prop::collection::vec(one, 1..5).prop_map(|drawn| {
        const NAMES: [&str; 4] = ["a", "job", "c", "d"];
        let mut services: Vec<(&'static str, Service)> = Vec::new();
        for (place, (count, [back, front, data, anonymous, checked, shares], depends, restart)) in
            drawn.into_iter().enumerate()
        {
            let mut made = service().times(count);
            let shares = shares && place > 0 && services[place - 1].1.replicas() > 0;
            if shares {
                let (name, _) = services[place - 1];
                made = made.after(name, Condition::Started);
                made.network_mode = Some(format!("service:{name}"));
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
            || service.network_mode.as_deref() == Some("service:job")
    };
    if !wanted.project.services.values().any(asks) {
        assert!(plan.steps().iter().all(is_again), "{}", explain(&plan));
    }
    for (name, service) in &wanted.project.services {
        let count = world.actual.containers.iter().filter(|container| container.service == *name).count();
        assert_eq!(count, service.replicas() as usize, "{name}");
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
