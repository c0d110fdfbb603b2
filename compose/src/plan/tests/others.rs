//! Plans with networks and containers that are others', or are named as others' would be.

use super::super::actual::{Actual, Object};
use super::super::down::{self, down};
use super::super::explain::explain;
use super::super::graph::Plan;
use super::super::lifecycle::{restart, start, stop};
use super::super::up::{Options, up};
use super::super::wanted::Wanted;
use super::world::World;
use super::{facts, project, service};
use crate::model::types::{Network, Project, Service};

/// The lines of `up`, or what is wrong.
fn up_in(project: &Project, actual: &Actual, options: &Options) -> Result<Vec<String>, String> {
    let facts = facts(project, |_| 1);
    let plan = up(Wanted { project, facts: &facts }, actual, options).map_err(|err| err.to_string())?;
    Ok(lines(&plan))
}

fn lines(plan: &Plan) -> Vec<String> {
    explain(plan).lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn in_mode(mode: &str) -> Service {
    Service { network_mode: Some(mode.into()), ..service() }
}

/// A world in which there are networks of these names, which nobody has made for the project.
fn with_networks(names: &[&str]) -> World {
    let mut world = World::empty();
    world.actual.networks = names
        .iter()
        .map(|name| ((*name).to_owned(), Object { id: "id".into(), hash: String::new() }))
        .collect();
    world
}

#[test]
fn a_mode_that_names_a_network_needs_it_and_leaves_it() {
    for (mode, there, what) in [
        ("front", &["bridge"][..], Err("network front not found".to_owned())),
        ("slirp4netns", &["bridge"], Err("network slirp4netns not found".to_owned())),
        ("front", &["front"], Ok(2)),
        ("default", &["bridge"], Ok(2)),
        ("host", &[], Ok(2)),
    ] {
        let (project, world) = (project([("a", in_mode(mode))]), with_networks(there));
        let planned = up_in(&project, &world.actual, &Options::default());
        assert_eq!(planned.map(|lines| lines.len()), what, "{mode}");
    }
    let (project, mut world) = (project([("a", in_mode("bridge"))]), with_networks(&["bridge"]));
    let facts = facts(&project, |_| 1);
    let wanted = Wanted { project: &project, facts: &facts };
    let plan = up(wanted, &world.actual, &Options::default()).unwrap();
    world.carry_out(wanted, &plan);
    assert_eq!(up_in(&project, &world.actual, &Options::default()), Ok(Vec::new()));
    let plan = down(&project, &world.actual, &down::Options::default()).unwrap();
    world.carry_out(wanted, &plan);
    assert!(world.actual.networks.contains_key("bridge") && world.actual.containers.is_empty());
}

#[test]
fn a_network_of_the_project_is_made_before_a_mode_names_it() {
    let project = project([("a", service().on("front")), ("b", in_mode("p_front"))]);
    let lines = up_in(&project, &Actual::default(), &Options::default()).unwrap();
    assert!(lines.contains(&"4  create p-b-1 after 1  (not there)".to_owned()), "{lines:?}");
}

#[test]
fn the_hosts_network_is_always_there_and_alone() {
    let external = |name: &str| Network { name: name.into(), external: true, ..Network::default() };
    let mut project = project([("a", service().on("front"))]);
    project.networks.insert("front".into(), external("host"));
    assert_eq!(up_in(&project, &Actual::default(), &Options::default()).map(|lines| lines.len()), Ok(2));
    project.services.insert("a".into(), service().on("front").on("back"));
    let err = up_in(&project, &Actual::default(), &Options::default()).unwrap_err();
    assert!(err.starts_with("conflicting options: "), "{err}");
    project.networks.insert("front".into(), external("away"));
    let err = up_in(&project, &Actual::default(), &Options::default()).unwrap_err();
    assert_eq!(err, "network away declared as external, but could not be found");
}

#[test]
fn whoever_names_a_container_of_the_project_waits_for_it() {
    // Before its owner by name, and without a dependency that says so.
    let mut owner = service();
    owner.container_name = Some("vpn".into());
    let mut linking = service();
    linking.links.push("b:db".into());
    let project = project([("a", in_mode("container:vpn")), ("b", owner), ("c", linking)]);
    let lines = up_in(&project, &Actual::default(), &Options::default()).unwrap();
    assert_eq!(
        lines,
        [
            "1  create vpn  (not there)",
            "2  start vpn after 1  (not running)",
            "3  create p-a-1 after 2  (not there)",
            "4  start p-a-1 after 2, 3  (not running)",
            "5  create p-c-1 after 1  (not there)",
            "6  start p-c-1 after 2, 5  (not running)",
        ]
    );
    let lines =
        up_in(&project, &Actual::default(), &Options { no_start: true, ..Options::default() }).unwrap();
    assert_eq!(lines[1], "2  create p-a-1 after 1  (not there)");
}

#[test]
fn whoever_joins_a_container_of_the_project_starts_behind_it_and_stops_before_it() {
    // All stand before the owner by name, and none depends on it.
    let owner = Service { container_name: Some("vpn".into()), ..service() };
    let of = |mode: &str| Some(mode.to_owned());
    for joining in [
        Service { network_mode: of("container:vpn"), ..service() },
        Service { pid: of("container:vpn"), ..service() },
        Service { ipc: of("container:vpn"), ..service() },
        Service { volumes_from: vec!["container:vpn:ro".into()], ..service() },
        // As the record of a container has a link.
        Service { links: vec!["vpn:db".into()], ..service() },
    ] {
        let project = project([("a", joining.clone()), ("b", owner.clone())]);
        let facts = facts(&project, |_| 1);
        let wanted = Wanted { project: &project, facts: &facts };
        let mut world = World::empty();
        let plan = up(wanted, &world.actual, &Options::default()).expect("all is there");
        world.carry_out(wanted, &plan);
        let planned = stop(&project, &world.actual, &[]).expect("all are known");
        let stops = ["1  stop p-a-1  (asked for)", "2  stop vpn after 1  (asked for)"];
        assert_eq!(lines(&planned), stops);
        let planned = down(&project, &world.actual, &down::Options::default()).expect("all are known");
        assert_eq!(lines(&planned)[..2], stops);
        let again = restart(&project, &world.actual, &["b".into()], false).expect("all are known");
        let joins = joining.volumes_from.is_empty() && joining.links.is_empty();
        let starts = ["3  start vpn after 2  (asked for)", "4  start p-a-1 after 1, 3  (asked for)"];
        if joins {
            // What it has joined is no more.
            assert_eq!(lines(&again), [stops, starts].concat());
        } else {
            assert_eq!(again.steps().len(), 2);
        }
        let alone = restart(&project, &world.actual, &["b".into()], true).expect("all are known");
        assert_eq!(alone.steps().len(), 2);
        world.carry_out(wanted, &stop(&project, &world.actual, &[]).expect("all are known"));
        let planned = start(&project, &world.actual, &[], false).expect("all are known");
        let starts = ["1  start vpn  (asked for)", "2  start p-a-1 after 1  (asked for)"];
        assert_eq!(lines(&planned), starts);
        let planned = up(wanted, &world.actual, &Options::default()).expect("all is there");
        let starts = ["1  start vpn  (not running)", "2  start p-a-1 after 1  (not running)"];
        assert_eq!(lines(&planned), starts);
    }
}

#[test]
fn whoever_is_in_namespaces_of_a_process_that_is_no_more_starts_again() {
    let project = project([("a", in_mode("service:b")), ("b", service())]);
    let facts = facts(&project, |_| 1);
    let wanted = Wanted { project: &project, facts: &facts };
    let mut world = World::empty();
    let plan = up(wanted, &world.actual, &Options::default()).expect("all is there");
    world.carry_out(wanted, &plan);
    // As after a replacement of the owner alone.
    for container in world.actual.containers.iter_mut().filter(|container| container.service == "a") {
        container.outlived = Some("p-b-1".to_owned());
    }
    let plan = up(wanted, &world.actual, &Options::default()).expect("all is there");
    let why = "(p-b-1 has restarted)";
    assert_eq!(lines(&plan), [format!("1  stop p-a-1  {why}"), format!("2  start p-a-1 after 1  {why}")]);
    world.carry_out(wanted, &plan);
    assert_eq!(up_in(&project, &world.actual, &Options::default()), Ok(Vec::new()));
}

#[test]
fn what_is_switched_off_stops_in_its_turn() {
    let mut project = project([
        ("a", in_mode("container:vpn")),
        ("b", Service { container_name: Some("vpn".into()), ..service() }),
    ]);
    let facts = facts(&project, |_| 1);
    let wanted = Wanted { project: &project, facts: &facts };
    let mut world = World::empty();
    let plan = up(wanted, &world.actual, &Options::default()).expect("all is there");
    world.carry_out(wanted, &plan);
    let off = project.services.remove_entry("a").expect("it is there");
    project.disabled.extend([off]);
    let planned = down(&project, &world.actual, &down::Options::default()).expect("all are known");
    assert_eq!(lines(&planned)[..2], ["1  stop p-a-1  (asked for)", "2  stop vpn after 1  (asked for)"]);
}

#[test]
fn a_container_of_others_has_to_be_there() {
    let mut linking = service();
    linking.external_links.push("away:db".into());
    let heir = Service { volumes_from: vec!["container:away:ro".into()], ..service() };
    for asking in [linking, in_mode("container:away"), heir] {
        let project = project([("a", asking)]);
        let err = up_in(&project, &Actual::default(), &Options::default()).unwrap_err();
        assert_eq!(err, "No such container: away");
        let actual = Actual { asked: ["away".to_owned()].into(), ..Actual::default() };
        assert!(up_in(&project, &actual, &Options::default()).is_ok());
    }
    // Nor is one of the project there that nobody has asked for.
    let owner = Service { container_name: Some("away".into()), ..service() };
    let project = project([("a", in_mode("container:away")), ("b", owner)]);
    let alone = Options { services: vec!["a".into()], ..Options::default() };
    assert_eq!(up_in(&project, &Actual::default(), &alone), Err("No such container: away".to_owned()));
    assert!(up_in(&project, &Actual::default(), &Options::default()).is_ok());
}
