//! Driven by the names of the steps: a binary built with the feature `faults` dies or fails where `CORTEN_FAULT` says.

use std::path::PathBuf;

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::runtime::{Call, eventually};
use spec_tests::skip_if;
use spec_tests::view::View;

use crate::{at_each, left_after_delete};

/// What to ask for in a bundle.
type Configure = fn(&mut Bundle);

/// Bundles that together ask for every kind of step.
const BUNDLES: [Configure; 2] = [rich, in_a_user_namespace];

/// The first step that comes after create has ended.
const FIRST_AFTER_CREATE: &str = "await-start";

/// A step of a bundle, for a runtime with one view of cgroups.
struct Place {
    view: View,
    configure: Configure,
    step: String,
    /// Whether `create` takes the step, and not a later command.
    of_create: bool,
}

impl Place {
    /// A fresh container for the binary with faults.
    fn container(&self) -> Container {
        container(self.view, self.configure)
    }
}

fn rich(bundle: &mut Bundle) {
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        bundle.push(&format!("/hooks/{kind}"), json!({"path": "/bin/true"}));
    }
    bundle
        .namespace("cgroup", None)
        .mount("tmpfs", "tmpfs", "/copied", &["tmpcopyup", "shared"])
        .mount("bind", "/bin/busybox", "/bound", &["bind", "ro"])
        .set("/root/readonly", true)
        .set("/linux/rootfsPropagation", "rslave")
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .set(
            "/linux/devices",
            json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}]),
        )
        .set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}))
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]))
        .set("/process/oomScoreAdj", 10)
        .set("/process/noNewPrivileges", true)
        .args(["sleep", "1000"]);
}

fn in_a_user_namespace(bundle: &mut Bundle) {
    // A directory in which the container's root can make /run/notify.
    bundle.user_namespace(100_000).mount("tmpfs", "tmpfs", "/run", &[]).args(["sleep", "1000"]);
}

/// The binary with faults, if there is one.
fn binary() -> Option<PathBuf> {
    std::env::var_os("CORTEN_FAULTS_BIN").map(PathBuf::from)
}

fn container(view: View, configure: Configure) -> Container {
    let mut container = Container::in_view(view, configure);
    container.runtime.binary = binary().expect("a binary with faults");
    container
}

/// Has the command ask for sd_notify. No process listens, so a start fails, but only after its steps are done.
fn notifying(call: Call<'_>) -> Call<'_> {
    call.env("NOTIFY_SOCKET", "/nonexistent")
}

/// Every step of every bundle in every view.
fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for view in View::all() {
        for configure in BUNDLES {
            let container = container(*view, configure);
            container.bundle.save();
            let dir = container.bundle.dir.to_str().expect("a UTF-8 path");
            let steps = notifying(container.command(["plan", "--steps", dir])).output().ok();
            let mut of_create = true;
            for step in steps.lines() {
                of_create &= step != FIRST_AFTER_CREATE;
                places.push(Place { view: *view, configure, step: step.to_owned(), of_create });
            }
        }
    }
    places
}

#[test]
fn killed_before_any_step_delete_leaves_nothing() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    at_each(&places(), |place| {
        let container = place.container();
        let fault = format!("kill:{}", place.step);
        if notifying(container.create()).env("CORTEN_FAULT", &fault).output().code == 0 {
            notifying(container.command(["start", &container.id])).env("CORTEN_FAULT", &fault).output();
        }
        left_after_delete(&container, &format!("{:?} {fault}", place.view))
    });
}

#[test]
fn killed_before_a_step_that_run_alone_has_delete_leaves_nothing() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    for step in ["bind-notify-socket", "start-at-once"] {
        let container = container(View::Plain, rich);
        let fault = format!("kill:{step}");
        let run = notifying(container.run_with(["--detach"])).env("CORTEN_FAULT", &fault).output();
        assert_eq!(run.code, 128 + 9, "{run}");
        assert_eq!(left_after_delete(&container, &fault), None);
    }
}

#[test]
fn what_a_killed_create_left_is_stopped_and_needs_no_force_to_be_deleted() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    for step in ["make-start-fifo", "create-cgroup", "clone-init", "limit-cgroup", "mount-rootfs"] {
        let container = container(View::Plain, rich);
        notifying(container.create()).env("CORTEN_FAULT", format!("kill:{step}")).output();
        assert_eq!(container.status(), "stopped", "{step}");
        container.delete().ok();
        container.assert_nothing_left();
    }
}

#[test]
fn a_cgroup_of_somebody_else_survives_a_create_that_died_before_it_looked() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    for step in ["create-cgroup", "make-start-fifo"] {
        let other = Container::sleeping(|_| {});
        let mut container = container(View::Plain, rich);
        container.bundle.set("/linux/cgroupsPath", other.cgroup().path);
        notifying(container.create()).env("CORTEN_FAULT", format!("kill:{step}")).output();
        container.command(["delete", "--force", &container.id]).output().ok();
        assert_eq!(other.status(), "running", "{step}");
    }
}

#[test]
fn killed_before_a_step_of_create_the_runtime_really_dies() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    at_each(&places(), |place| {
        let container = place.container();
        let fault = format!("kill:{}", place.step);
        let outcome = notifying(container.create()).env("CORTEN_FAULT", &fault).output();
        (place.of_create && outcome.code != 128 + 9).then(|| format!("{:?} {fault}: {outcome}", place.view))
    });
}

#[test]
fn a_step_that_fails_is_named_in_one_line_and_leaves_nothing() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    at_each(&places(), |place| {
        let container = place.container();
        let fault = format!("fail:{}", place.step);
        let outcome = notifying(container.create()).env("CORTEN_FAULT", &fault).output();
        if outcome.code == 0 {
            return None;
        }
        let mut complaint = String::new();
        if !outcome.stderr.contains(&place.step) || outcome.stderr.trim().lines().count() != 1 {
            complaint = format!("{:?} {fault}: not one line that names the step: {outcome}", place.view);
        }
        let left = container.leftovers();
        if !left.is_empty() {
            complaint =
                format!("{:?} {fault}: left before delete: {}; {complaint}", place.view, left.join(", "));
        }
        container.sweep();
        (!complaint.is_empty()).then_some(complaint)
    });
}

/// The steps of an `exec`, as its trace has them.
fn steps_of_exec(container: &Container, process: &str) -> Vec<String> {
    let file = container.path("trace.json");
    exec(container, process).global(["--trace", &file]).output().ok();
    std::fs::remove_file(container.path("exec.pid")).expect("a pid file");
    let trace = std::fs::read_to_string(file).expect("a trace");
    let name = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line.trim_end_matches(',')).ok()?;
        event["name"].as_str().map(str::to_owned)
    };
    let mut steps: Vec<String> = trace.lines().filter_map(name).collect();
    steps.push("execute".to_owned());
    steps
}

/// An `exec` that asks for all that one can ask for without an engine.
fn exec<'a>(container: &'a Container, process: &str) -> Call<'a> {
    let pid_file = container.path("exec.pid");
    container.command(["exec", "--pid-file", &pid_file, "--process", process, &container.id])
}

#[test]
fn a_step_of_exec_that_fails_or_dies_leaves_no_process_and_no_pid_file() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    let container = container(View::Plain, |bundle| {
        bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"})).args(["sleep", "1000"]);
    });
    container.run_with(["--detach"]).output().ok();
    let process = json!({
        "cwd": "/", "args": ["sleep", "60"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}, "oomScoreAdj": 5,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
    });
    let short =
        container.file("short.json", &process.to_string().replace(r#"["sleep","60"]"#, r#"["true"]"#));
    let long = container.file("long.json", &process.to_string());
    let steps = steps_of_exec(&container, &short);
    assert!(steps.len() > 15, "{steps:?}");
    for step in &steps {
        for how in ["fail", "kill"] {
            // From here on the program outlives a supervisor that is killed, as it is meant to.
            let outlives = how == "kill" && ["await-execution", "write-pid-file"].contains(&step.as_str());
            let process = if outlives { &short } else { &long };
            let outcome = exec(&container, process).env("CORTEN_FAULT", format!("{how}:{step}")).output();
            let expected = if how == "fail" { 255 } else { 128 + 9 };
            // Init's death is what the supervisor of a failed `execute` hears of.
            assert!(outcome.code == expected || outcome.code == 255, "{how}:{step}: {outcome}");
            eventually(&format!("gone after {how}:{step}"), || {
                container.command(["ps", "--format", "json", &container.id]).output().ok()
                    == format!("[{}]", container.pid())
            });
            if how == "fail" {
                assert!(outcome.stderr.contains(step.as_str()), "{step}: {outcome}");
                assert!(
                    !std::path::Path::new(&container.path("exec.pid")).exists(),
                    "{step}: the pid file stays"
                );
            }
        }
    }
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}
