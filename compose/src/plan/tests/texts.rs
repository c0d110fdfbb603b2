//! Plans as text.

use super::super::actual::{self, Actual, Container, State};
use super::super::down::{self, down};
use super::super::explain::{action, explain};
use super::super::graph::{Action, AnonymousVolumes, Plan};
use super::super::lifecycle::{kill, pause, remove, restart, start, stop, without_container};
use super::super::up::{Options, Recreate, before_run, up};
use super::super::wanted::Wanted;
use super::world::World;
use super::{facts, project, service};
use crate::model::types::{Hook, Port, Project, Service};
use crate::model::values::Condition;

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
fn run_has_all_before_it_that_its_service_asks_for_and_nothing_of_the_service() {
    let project = shop();
    let facts = facts(&project, |_| 1);
    let wanted = Wanted { project: &project, facts: &facts };
    let plan = |world: &World, no_deps| {
        before_run(wanted, &world.actual, "web", &Options { no_deps, ..Options::default() }).unwrap()
    };
    assert_plan(
        &plan(&World::empty(), false),
        "1  create network p_back  (not there)
         2  create network p_front  (not there)
         3  create volume p_data  (not there)
         4  create p-db-1 after 1, 3  (not there)
         5  start p-db-1 after 4  (not running)
         6  create p-job-1 after 1  (not there)
         7  wait until p-db-1 is healthy after 5  (waited for)
         8  start p-job-1 after 6, 7  (not running)
         9  wait until p-job-1 has completed after 8  (waited for)",
    );
    assert_plan(
        &plan(&World::empty(), true),
        "1  create network p_back  (not there)
         2  create network p_front  (not there)",
    );
    assert!(plan(&brought_up(&project), true).is_empty());
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
fn whoever_has_the_mounts_of_another_is_made_after_it() {
    let mut lent = service().after("b", Condition::Started);
    lent.volumes_from = vec!["b:ro".into()];
    let project = project([("a", lent), ("b", service())]);
    let none = Options { no_start: true, ..Options::default() };
    assert_plan(
        &up_after(&project, &World::empty(), &[], &none),
        "1  create p-b-1  (not there)
         2  create p-a-1 after 1  (not there)",
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
fn a_container_that_comes_beside_others_changes_nothing_for_who_hangs_on_its_service() {
    let mut web = service().after("db", Condition::Started);
    web.depends_on.values_mut().for_each(|dependency| dependency.restart = true);
    let mut heir = service();
    heir.volumes_from = vec!["db".into()];
    let project = project([("db", service()), ("web", web), ("heir", heir)]);
    let world = brought_up(&project);
    let more = Options { scale: [("db".to_owned(), 2)].into(), ..Options::default() };
    assert_plan(
        &up_after(&project, &world, &[], &more),
        "1  create p-db-2  (not there)
         2  start p-db-2 after 1  (not running)",
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
    let unknown = Options { services: vec!["nobody".into()], ..Options::default() };
    let refused_of = |project: &Project, options: &Options| {
        let facts = facts(project, |_| 1);
        up(Wanted { project, facts: &facts }, &world.actual, options)
    };
    let mut published = super::project([("a", service().times(2))]);
    let port = Port { target: 80, published: Some("8080".into()), ..Port::default() };
    published.services.get_mut("a").unwrap().ports.push(port);
    let refused = refused_of(&published, &Options::default());
    assert_eq!(
        refused.unwrap_err().to_string(),
        "services.a: 2 containers can't all have port 8080 of the host"
    );
    let refused = refused_of(&project, &unknown);
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
fn the_container_of_a_hook_goes_with_its_service_and_an_abandoned_one_with_the_next_up() {
    let hook = || Hook { command: Some(vec!["true".into()]), ..Hook::default() };
    let hooked = Service { pre_start: vec![hook()], pre_stop: vec![hook()], ..service() };
    let project = project([("a", hooked)]);
    let mut world = World::empty();
    let facts = facts(&project, |_| 1);
    let wanted = Wanted { project: &project, facts: &facts };
    let none = Options { no_start: true, ..Options::default() };
    world.carry_out(wanted, &up(wanted, &world.actual, &none).expect("all is there"));
    let own = world.actual.containers[0].clone();
    let of = |id: &str, hook| Container {
        id: id.into(),
        name: id.into(),
        one_off: true,
        hook,
        state: State::Running,
        ..own.clone()
    };
    world.actual.containers.push(of("hook", Some(actual::Hook::Abandoned)));
    world.actual.containers.push(of("run", None));
    assert_plan(
        &up(wanted, &world.actual, &Options::default()).expect("all is there"),
        "1  stop hook  (its command was killed)
         2  remove hook with its anonymous volumes after 1  (its command was killed)
         3  run pre_start[0] of p-a-1 after 2  (waited for)
         4  start p-a-1 after 3  (not running)",
    );
    world.actual.containers[1].hook = Some(actual::Hook::Wanted);
    let goes_on = up(wanted, &world.actual, &Options::default()).expect("all is there");
    assert!(!goes_on.touches("hook"), "a command waits for it");
    let named = ["a".to_owned()];
    assert_plan(&stop(&project, &world.actual, &named).expect("all are known"), "1  stop hook  (asked for)");
    let killed = kill(&project, &world.actual, &named, ("KILL", false)).expect("all are known");
    assert_plan(&killed, "1  send KILL to hook  (asked for)");
    let removed = remove(&project, &world.actual, &named, (true, AnonymousVolumes::Keep));
    assert_plan(
        &removed.expect("all are known"),
        "1  stop hook  (asked for)
         2  remove p-a-1  (asked for)
         3  remove hook after 1  (asked for)",
    );
    let some = down::Options { services: named.into(), ..down::Options::default() };
    let gone = down(&project, &world.actual, &some).expect("all are known");
    assert!(gone.touches("hook") && !gone.touches("run"));
    assert!(restart(&project, &world.actual, &[], false).expect("all are known").steps().len() == 1);
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
    assert!(start(&project, &world.actual, &[], false).unwrap().is_empty());
    assert_plan(
        &start(&project, &world.actual, &["web".into()], true).unwrap(),
        "1  wait until p-web-1 is ready  (waited for)",
    );
}

#[test]
fn signals_go_to_what_runs_and_rm_takes_what_does_not() {
    let project = shop();
    let mut world = brought_up(&project);
    assert_plan(
        &kill(&project, &world.actual, &["db".to_owned()], ("HUP", false)).unwrap(),
        "1  send HUP to p-db-1  (asked for)",
    );
    assert_plan(
        &pause(&project, &world.actual, &[]).unwrap(),
        "1  freeze p-db-1  (asked for)
         2  freeze p-web-1  (asked for)",
    );
    assert_plan(
        &remove(&project, &world.actual, &[], (false, AnonymousVolumes::Keep)).unwrap(),
        "1  remove p-job-1  (asked for)",
    );
    assert_plan(
        &remove(&project, &world.actual, &["web".to_owned()], (true, AnonymousVolumes::Remove)).unwrap(),
        "1  stop p-web-1  (asked for)
         2  remove p-web-1 with its anonymous volumes after 1  (asked for)",
    );
    world.actual.containers[0].service = "gone".to_owned();
    let orphans = kill(&project, &world.actual, &["web".to_owned()], ("KILL", true)).unwrap();
    assert_eq!(orphans.steps().len(), 2);
    assert!(kill(&project, &world.actual, &["nobody".to_owned()], ("KILL", true)).is_err());
}

#[test]
fn what_is_missing_and_what_is_at_rest_is_known() {
    let project = shop();
    let mut world = brought_up(&project);
    let missing = |world: &World| without_container(&project, &world.actual, &[]).expect("all are known");
    assert_eq!(missing(&World::empty()).as_deref(), Some("db"));
    assert_eq!(missing(&world), None);
    let all = down(&project, &world.actual, &down::Options::default()).expect("all are known");
    assert_eq!(all.removed_at_rest(), ["p-job-1"]);
    world.actual.containers.retain(|container| container.service != "job");
    assert_eq!(missing(&world).as_deref(), Some("job"));
}

#[test]
fn who_waits_for_all_waits_also_for_what_others_need_not_have() {
    let waiting = Options { wait: true, ..Options::default() };
    let mut optional = project([
        ("a", service().checked()),
        ("b", service().after("a", Condition::Healthy).after("job", Condition::CompletedSuccessfully)),
        ("job", service()),
    ]);
    let dependencies = &mut optional.services.get_mut("b").expect("it is there").depends_on;
    dependencies.values_mut().for_each(|dependency| dependency.required = false);
    assert_plan(
        &up_after(&optional, &World::empty(), &[], &waiting),
        "1  create p-a-1  (not there)
         2  start p-a-1 after 1  (not running)
         3  create p-job-1  (not there)
         4  start p-job-1 after 3  (not running)
         5  create p-b-1  (not there)
         6  wait until p-a-1 is healthy or can't be after 2  (waited for)
         7  wait until p-job-1 has completed or can't be after 4  (waited for)
         8  start p-b-1 after 5, 6, 7  (not running)
         9  wait until p-a-1 is ready after 2, 4, 8  (waited for)
         10  wait until p-b-1 is ready after 2, 4, 8  (waited for)
         11  wait until p-job-1 has completed after 2, 4, 8  (waited for)",
    );
}
