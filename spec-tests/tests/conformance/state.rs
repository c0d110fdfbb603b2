//! The outputs that callers parse: state, list, ps.

use std::fs;

use serde_json::{Value, json};
use spec_tests::container::Container;

#[test]
fn state_prints_the_fields_in_runcs_order_and_indentation() {
    let container = Container::sleeping(|bundle| {
        bundle.set("/annotations", json!({"k": "v"}));
    });
    let text = container.command(["state", &container.id]).output().ok();
    let keys: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  \"")?.split_once('"').map(|(key, _)| key.to_owned()))
        .collect();
    let expected =
        ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"];
    assert_eq!(keys, expected, "{text}");
}

#[test]
fn state_tells_the_truth() {
    let container = Container::sleeping(|bundle| {
        bundle.set("/annotations", json!({"com.example.key": "v"}));
    });
    let state = container.state();
    let bundle = container.bundle.dir.to_str().unwrap();
    assert_eq!(state["id"], container.id);
    assert_eq!(state["bundle"], bundle);
    assert_eq!(state["rootfs"], format!("{bundle}/rootfs"));
    assert_eq!(state["annotations"], json!({"com.example.key": "v"}));
    assert_eq!(state["owner"], "");
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    let comm = fs::read_to_string(format!("/proc/{}/comm", state["pid"])).unwrap();
    assert_eq!(comm, "sleep\n");
}

#[test]
fn state_tells_when_it_was_created_to_the_nanosecond() {
    let container = Container::sleeping(|_| {});
    let state = container.state();
    let created = state["created"].as_str().unwrap();
    let (date, fraction) = created.strip_suffix('Z').unwrap().split_once('.').unwrap();
    assert_eq!(date.len(), "2026-08-22T10:11:12".len(), "{created}");
    assert!(
        (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit()),
        "{created}"
    );
}

#[test]
fn state_without_annotations_has_no_such_key() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.state().get("annotations"), None);
}

#[test]
fn state_of_a_stopped_container_has_pid_0() {
    let container = Container::sleeping(|_| {});
    container.kill("KILL").ok();
    container.wait_stopped();
    assert_eq!(container.state()["pid"], 0);
}

#[test]
fn state_of_an_unknown_container_is_an_error() {
    Container::new(|_| {}).command(["state", "nobody"]).output().fails_with("container does not exist");
}

#[test]
fn list_as_json_holds_the_same_objects_as_state() {
    let container = Container::sleeping(|_| {});
    let list: Value =
        serde_json::from_str(&container.command(["list", "--format", "json"]).output().ok()).unwrap();
    let state = container.state();
    assert_eq!(list.as_array().unwrap().len(), 1);
    for key in ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created"] {
        assert_eq!(list[0][key], state[key], "{key}");
    }
}

#[test]
fn list_as_json_is_null_when_empty() {
    let container = Container::new(|_| {});
    fs::create_dir_all(&container.runtime.root).unwrap();
    assert_eq!(container.command(["list", "--format", "json"]).output().ok(), "null");
}

#[test]
fn list_as_table_has_a_header_and_a_line_per_container() {
    let container = Container::sleeping(|_| {});
    let table = container.command(["list"]).output().ok();
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let line = lines.next().unwrap();
    assert_eq!(line[0], container.id);
    assert_eq!(line[1], container.pid().to_string());
    assert_eq!(line[2], "running");
    assert_eq!(lines.next(), None);
}

#[test]
fn list_quiet_prints_ids_alone() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.command(["list", "--quiet"]).output().ok(), container.id);
    assert_eq!(container.command(["list", "-q"]).output().ok(), container.id);
}

#[test]
fn list_refuses_an_unknown_format() {
    Container::sleeping(|_| {}).command(["list", "--format", "xml"]).output().fails();
}

#[test]
fn ps_as_json_holds_every_pid_of_the_container() {
    let container = Container::sleeping(|bundle| {
        bundle.sh("sleep 1000 & sleep 1000 & wait");
    });
    spec_tests::runtime::eventually("three processes", || pids(&container).len() == 3);
    assert!(pids(&container).contains(&container.pid()));
}

#[test]
fn ps_as_table_shows_the_containers_processes() {
    let container = Container::sleeping(|_| {});
    let table = container.command(["ps", &container.id]).output().ok();
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].contains("UID") && lines[0].contains("PID") && lines[0].contains("CMD"), "{table}");
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[1].contains("sleep 1000") && lines[1].contains(&container.pid().to_string()), "{table}");
}

#[test]
fn ps_passes_further_arguments_to_ps() {
    let container = Container::sleeping(|_| {});
    let table = container.command(["ps", &container.id, "-e", "-o", "pid,args"]).output().ok();
    assert_eq!(table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), ["PID", "COMMAND"]);
    assert!(table.contains("sleep 1000"), "{table}");
}

fn pids(container: &Container) -> Vec<u32> {
    serde_json::from_str(&container.command(["ps", "--format", "json", &container.id]).output().ok()).unwrap()
}
