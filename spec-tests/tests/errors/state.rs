//! State directories that an earlier run, a crash or a reboot left behind.

use std::fs;
use std::path::Path;

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::{only_corten, skip_if};

#[test]
fn a_directory_without_a_record_is_in_the_way_until_it_is_deleted() {
    let container = Container::new(|_| {});
    fs::create_dir_all(container.runtime.root.join(&container.id)).unwrap();
    container.create().output().fails_with("already exists");
    container.command(["state", &container.id]).output().fails_with("does not exist");
    container.command(["delete", "--force", &container.id]).output().ok();
    container.create().output().ok();
}

#[test]
fn a_directory_without_a_record_does_not_keep_others_from_being_listed() {
    let container = Container::sleeping(|_| {});
    fs::create_dir_all(container.runtime.root.join("half-made")).unwrap();
    assert!(container.command(["list", "--quiet"]).output().stdout.contains(&container.id));
    assert!(container.command(["list", "--format", "json"]).output().stdout.contains(&container.id));
    container.command(["delete", "--force", "half-made"]).output().ok();
}

#[test]
fn a_broken_record_is_an_error_and_is_not_forgotten() {
    let too_long = " ".repeat((16 << 20) + 1);
    for content in ["", "{", "null", "{\"id\": 7}", "\u{0}\u{1}", too_long.as_str()] {
        let container = Container::new(|_| {});
        container.create().output().ok();
        let init = container.pid();
        overwrite_records(&container.runtime.root.join(&container.id), content);
        container.command(["state", &container.id]).output().fails();
        container.command(["kill", &container.id, "KILL"]).output().fails();
        let forced = container.command(["delete", "--force", &container.id]).output();
        // A runtime that can't read which processes and cgroups to take down may say so, but must not forget the
        // container.
        let kept = container.runtime.root.join(&container.id).exists();
        assert!(forced.code == 0 || kept, "{forced}");
        end(&container, init);
    }
}

#[test]
fn a_container_whose_first_process_was_killed_is_stopped_and_can_be_deleted() {
    let container = Container::sleeping(|_| {});
    let pid = rustix::process::Pid::from_raw(container.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    container.wait_stopped();
    container.delete().ok();
    container.assert_nothing_left();
}

/// What the kernel answers then, strace answers here.
#[test]
fn a_container_that_ends_while_a_process_joins_it_has_stopped() {
    only_corten!("joining all namespaces of a process that has ended");
    skip_if!(!Path::new("/usr/bin/strace").exists(), "strace is not installed");
    let container = Container::sleeping(|_| {});
    let log = container.path("strace");
    let strace = ["strace", "-qq", "-f", "-o", &log, "-e", "trace=setns", "-e", "inject=setns:error=ESRCH"];
    container.exec(&["true"]).by(strace).output().fails_with("cannot exec in a stopped container");
    assert!(fs::read_to_string(&log).unwrap().contains("INJECTED"));
}

#[test]
fn a_container_whose_cgroup_is_gone_can_be_deleted() {
    let container = Container::sleeping(|_| {});
    container.kill("KILL").ok();
    container.wait_stopped();
    spec_tests::runtime::eventually("empty", || {
        container.cgroup().remove();
        container.cgroup().existing().is_empty()
    });
    container.delete().ok();
    container.assert_nothing_left();
}

#[test]
fn a_container_whose_bundle_is_gone_can_be_used_and_deleted() {
    let container = Container::sleeping(|_| {});
    fs::remove_file(container.bundle.dir.join("config.json")).unwrap();
    assert_eq!(container.status(), "running");
    container.kill("KILL").ok();
    container.wait_stopped();
    container.delete().ok();
}

#[test]
fn a_record_of_another_root_is_not_found() {
    let mut container = Container::sleeping(|_| {});
    let other = container.dir.join("other-state");
    fs::create_dir(&other).unwrap();
    let own = std::mem::replace(&mut container.runtime.root, other);
    let outcome = container.command(["state", &container.id]).output();
    container.runtime.root = own;
    outcome.fails_with("does not exist");
}

#[test]
fn a_record_that_no_command_could_read_is_refused_at_create() {
    only_corten!("a limit on the size of its record");
    let container = Container::new(|_| {});
    let config = json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {"cwd": "/", "args": ["true"]},
        "linux": {
            "cgroupsPath": container.bundle.config["linux"]["cgroupsPath"],
            "namespaces": [{"type": "mount"}],
        },
        "annotations": {"a": "@"},
    });
    let text = config.to_string();
    // The record has the annotations, and beside them more than this config.json has.
    let text = text.replace('@', &"x".repeat((16 << 20) - text.len()));
    fs::write(container.bundle.dir.join("config.json"), text).unwrap();
    let dir = container.bundle.dir.to_str().unwrap();
    let outcome = container.command(["create", "--bundle", dir, &container.id]).output();
    assert!(outcome.fails().contains("would have to be kept"), "{outcome}");
    container.assert_nothing_left();
}

fn overwrite_records(dir: &Path, content: &str) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.file_type().unwrap().is_file() {
            fs::write(entry.path(), content).unwrap();
        }
    }
}

/// Without its record a runtime can't know of the process: the test takes it down, and what is left of it.
fn end(container: &Container, init: u32) {
    let pid = rustix::process::Pid::from_raw(init as i32).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    container.runtime.manager.stop(&container.id);
    spec_tests::runtime::eventually("ended", || {
        container.cgroup().remove();
        container.cgroup().existing().is_empty()
    });
    let _ = fs::remove_dir_all(container.runtime.root.join(&container.id));
}
