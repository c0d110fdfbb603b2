//! Hooks of all six kinds: when, where, with what, and what their failure means.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spec_tests::container::Container;
use spec_tests::not_in_runc_1_1;
use spec_tests::runtime::eventually;

const BEFORE_START: [&str; 4] = ["prestart", "createRuntime", "createContainer", "startContainer"];

#[test]
fn hooks_run_in_their_order() {
    not_in_runc_1_1!("runs poststart hooks at create");
    let mut container = Container::new(|bundle| {
        bundle.set("/process/env", json!(["PATH=/bin"]));
    });
    let log = container.file("log", "");
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        container.bundle.hook(kind, &format!("echo {kind} >> {log}"));
    }
    // startContainer runs inside the container, so its log is in the rootfs.
    container.bundle.hook("startContainer", "echo startContainer >> /log");
    let read =
        |path: &str| std::fs::read_to_string(path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    container.bundle.args(["sleep", "1000"]);

    container.create().output().ok();
    assert_eq!(read(&log), "prestart createRuntime createContainer");
    let inner = container.bundle.rootfs().join("log");
    assert!(!inner.exists());

    container.start().ok();
    eventually("the hook inside has run", || inner.exists());
    eventually("poststart", || read(&log).ends_with("poststart"));

    container.command(["delete", "--force", &container.id]).output().ok();
    assert_eq!(read(&log), "prestart createRuntime createContainer poststart poststop");
}

#[test]
fn hooks_of_one_kind_run_in_the_order_listed() {
    let mut container = Container::new(|_| {});
    let log = container.file("log", "");
    for number in 1..=5 {
        container.bundle.hook("createRuntime", &format!("echo {number} >> {log}"));
    }
    container.sees("true");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "1\n2\n3\n4\n5\n");
}

#[test]
fn every_hook_gets_the_state_on_standard_input() {
    let mut container = Container::new(|bundle| {
        bundle.set("/annotations", json!({"k": "v"})).args(["sleep", "1000"]);
    });
    let path = |kind: &str| container.path(&format!("state-{kind}"));
    let files = ["prestart", "createRuntime", "createContainer", "poststop"].map(|kind| (kind, path(kind)));
    for (kind, file) in &files {
        container.bundle.hook(kind, &format!("cat > {file}"));
    }
    container.bundle.hook("startContainer", "cat > /state");
    container.create().output().ok();
    let pid = container.pid();
    container.start().ok();
    let state = |file: &str| -> Value { serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap() };
    let inner = container.bundle.rootfs().join("state");
    eventually("startContainer", || {
        std::fs::read_to_string(&inner).is_ok_and(|text| text.trim_end().ends_with('}'))
    });
    container.command(["delete", "--force", &container.id]).output().ok();

    for (kind, file) in files.iter().map(|(kind, file)| (*kind, file.as_str())) {
        let state = state(file);
        assert_eq!(state["id"], container.id, "{kind}");
        assert_eq!(state["bundle"], container.bundle.dir.to_str().unwrap(), "{kind}");
        assert_eq!(state["annotations"]["k"], "v", "{kind}");
        assert_eq!(state["status"], if kind == "poststop" { "stopped" } else { "creating" }, "{kind}");
        // Inside the container's pid namespace the process has another number.
        if ["prestart", "createRuntime"].contains(&kind) {
            assert_eq!(state["pid"], pid, "{kind}");
        }
    }
    assert_eq!(state(inner.to_str().unwrap())["id"], container.id);
}

#[test]
fn poststart_hooks_find_the_container_running() {
    not_in_runc_1_1!("runs poststart hooks at create");
    let mut container = Container::new(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    let file = container.path("state-poststart");
    container.bundle.hook("poststart", &format!("cat > {file}"));
    container.create().output().ok();
    assert!(!std::fs::exists(&file).unwrap());
    container.start().ok();
    let state: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(state["status"], "running");
    assert_eq!(state["pid"], container.pid());
}

#[test]
fn hooks_outside_run_in_the_namespaces_of_the_runtime() {
    let mut container = Container::new(|_| {});
    let log = container.file("log", "");
    for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
        let script = format!("for n in mnt pid net; do readlink /proc/self/ns/$n; done >> {log}");
        container.bundle.hook(kind, &script);
    }
    container.sees("true");
    let here = ["mnt", "pid", "net"].map(|name| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap());
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.lines().count(), 12);
    for (line, expected) in log.lines().zip(here.iter().cycle()) {
        assert_eq!(line, expected.to_str().unwrap());
    }
}

#[test]
fn create_container_hooks_begin_in_the_rootfs() {
    let mut container = Container::new(|_| {});
    container.bundle.hook("createContainer", "touch here");
    assert_eq!(container.sees("ls /here"), "/here");
}

#[test]
fn start_container_hooks_have_the_environment_of_the_process_and_its_home() {
    not_in_runc_1_1!("gives them an empty environment");
    let mut container = Container::new(|bundle| {
        bundle.set("/process/env", json!(["PATH=/bin", "A=1"]));
    });
    container.bundle.hook("startContainer", "echo $A $HOME > /seen");
    assert_eq!(container.sees("cat /seen"), "1 /root");
}

#[test]
fn start_container_hooks_inherit_no_descriptor() {
    not_in_runc_1_1!("gives them an empty environment");
    let mut container = Container::new(|_| {});
    let file = container.file("file", "");
    container.bundle.hook("startContainer", "ls /proc/self/fd > /seen");
    container.bundle.sh("cat /seen");
    let outcome = container.run().prologue(&format!("exec 3<{file} 7</ 9<{file}")).output();
    assert_eq!(outcome.ok(), "0\n1\n2\n3");
}

#[test]
fn prestart_finds_the_containers_namespaces_made() {
    let mut container = Container::new(|_| {});
    let log = container.file("log", "");
    container.bundle.hook(
        "createRuntime",
        &format!(
            "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/' | tr -d '\\n'); readlink /proc/$pid/ns/net > {log}"
        ),
    );
    let inside = container.sees("readlink /proc/self/ns/net");
    assert_eq!(std::fs::read_to_string(log).unwrap().trim(), inside);
}

#[test]
fn create_container_hooks_run_in_the_containers_namespaces_before_pivot() {
    let mut container = Container::new(|_| {});
    let log = container.file("log", "");
    container.bundle.hook(
        "createContainer",
        &format!("for n in mnt net pid; do readlink /proc/self/ns/$n; done > {log}; hostname >> {log}"),
    );
    let inside = container.sees("for n in mnt net; do readlink /proc/self/ns/$n; done");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.starts_with(&inside), "{log} / {inside}");
}

#[test]
fn a_hook_changes_what_the_payload_finds() {
    let mut container = Container::new(|_| {});
    let rootfs = container.bundle.rootfs().display().to_string();
    // Mounted in the container's namespace alone, so nothing remains on the host.
    container.bundle.hook("createContainer", &format!("mount -t tmpfs hooked {rootfs}/var"));
    assert_eq!(container.sees("grep -c ^hooked /proc/mounts"), "1");
}

#[test]
fn hooks_get_their_own_environment_and_arguments() {
    let mut container = Container::new(|_| {});
    let log = container.file("log", "");
    container.bundle.push(
        "/hooks/createRuntime",
        json!({
            "path": "/bin/sh", "args": ["myname", "-c", format!("echo $0 $1 $A $LEAK > {log}"), "zero", "one"],
            "env": ["A=from-hook"],
        }),
    );
    container.bundle.args(["true"]);
    container.run().env("LEAK", "leak").output().ok();
    assert_eq!(std::fs::read_to_string(log).unwrap(), "zero one from-hook\n");
}

#[test]
fn hooks_without_an_environment_get_none_of_the_callers() {
    not_in_runc_1_1!("hands the caller's environment to hooks");
    let mut container = Container::new(|_| {});
    let log = container.file("log", "");
    container.bundle.hook("createRuntime", &format!("echo [$LEAK] > {log}"));
    container.bundle.args(["true"]);
    container.run().env("LEAK", "leak").output().ok();
    assert_eq!(std::fs::read_to_string(log).unwrap(), "[]\n");
}

#[test]
fn a_hook_that_fails_before_the_start_takes_the_container_down() {
    for kind in BEFORE_START {
        let mut container = Container::new(|_| {});
        container.bundle.hook(kind, "echo this went wrong >&2; exit 3").sh("echo ran > /ran");
        container.run().output().fails();
        assert!(!container.bundle.rootfs().join("ran").exists(), "{kind}");
        container.assert_nothing_left();
    }
}

#[test]
fn a_hook_that_fails_in_create_leaves_nothing() {
    for kind in &BEFORE_START[..3] {
        let mut container = Container::new(|_| {});
        container.bundle.hook(kind, "exit 1");
        container.create().output().fails();
        container.assert_nothing_left();
    }
}

#[test]
fn a_hook_that_is_missing_takes_the_container_down() {
    let mut container = Container::new(|_| {});
    container.bundle.push("/hooks/createRuntime", json!({"path": "/nonexistent/hook"}));
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_hook_with_a_relative_path_is_refused() {
    spec_tests::only_corten!("refusing a relative hook path");
    let mut container = Container::new(|_| {});
    container.bundle.push("/hooks/createRuntime", json!({"path": "bin/true"}));
    container.create().output().fails_with("hooks");
    container.assert_nothing_left();
}

#[test]
fn a_hook_that_takes_too_long_is_killed() {
    let mut container = Container::new(|_| {});
    container
        .bundle
        .push("/hooks/createRuntime", json!({"path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1}));
    let started = Instant::now();
    container.create().output().fails();
    assert!(started.elapsed() < Duration::from_secs(10));
    container.assert_nothing_left();
}

#[test]
fn hooks_outside_run_in_the_bundle() {
    let mut container = Container::new(|_| {});
    for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
        container.bundle.hook(kind, &format!("echo > {kind}-was-here"));
    }
    container.sees("true");
    for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
        assert!(container.bundle.dir.join(format!("{kind}-was-here")).exists(), "{kind}");
    }
}

#[test]
fn a_poststop_hook_runs_without_a_bundle_too() {
    let mut container = Container::new(|_| {});
    let log = container.path("log");
    container.bundle.hook("poststop", &format!("echo > {log}"));
    container.create().output().ok();
    std::fs::remove_dir_all(&container.bundle.dir).unwrap();
    container.command(["delete", "--force", &container.id]).output().ok();
    assert!(std::fs::exists(log).unwrap());
}

#[test]
fn a_poststart_hook_that_fails_stops_the_container() {
    not_in_runc_1_1!("runs poststart hooks at create");
    let mut container = Container::new(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    container.bundle.hook("poststart", "exit 1");
    container.create().output().ok();
    container.start().fails();
    container.wait_stopped();
}

#[test]
fn a_poststop_hook_that_fails_keeps_neither_the_container_nor_the_next_hook() {
    not_in_runc_1_1!("leaves out the hooks after a poststop hook that failed");
    let mut container = Container::new(|_| {});
    let log = container.file("log", "");
    container.bundle.hook("poststop", "exit 1").hook("poststop", &format!("echo second > {log}"));
    container.sees("true");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "second\n");
    container.assert_nothing_left();
}

#[test]
fn what_a_hook_prints_does_not_mix_with_state_or_the_payload() {
    let mut container = Container::new(|_| {});
    container.bundle.hook("createRuntime", "echo noise");
    assert_eq!(container.sees("echo payload"), "payload");
}

#[test]
fn what_a_hook_makes_is_not_writable_to_all() {
    let mut container = Container::new(|_| {});
    let mut masks = Vec::new();
    for kind in ["createRuntime", "createContainer", "startContainer"] {
        let seen = if kind == "startContainer" { "/umask".to_string() } else { container.path(kind) };
        container.bundle.push(
            &format!("/hooks/{kind}"),
            json!({"path": "/bin/sh", "args": ["sh", "-c", format!("umask > {seen}")]}),
        );
        masks.push(if kind == "startContainer" {
            container.bundle.rootfs().join("umask")
        } else {
            seen.into()
        });
    }
    container.bundle.args(["true"]);
    container.run().prologue("umask 022").output().ok();
    for mask in masks {
        assert_eq!(std::fs::read_to_string(&mask).unwrap().trim(), "0022", "{}", mask.display());
    }
}
