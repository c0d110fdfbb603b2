//! `--trace FILE`: the steps of a start, or of an `exec`, with their times.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use spec_tests::container::Container;
use spec_tests::only_corten;

/// The events of a trace. The format leaves the array open, since nobody knows which process ends last.
fn events(text: &str) -> Vec<Value> {
    let closed = format!("{}]", text.trim_end().trim_end_matches(','));
    let Ok(Value::Array(events)) = serde_json::from_str(&closed) else { panic!("no JSON: {text}") };
    events
}

fn names(events: &[Value], process: &str) -> BTreeSet<String> {
    let own = events.iter().filter(|event| event["cat"] == process);
    own.map(|event| event["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn trace_of_run_is_json_and_has_the_steps_of_supervisor_and_init() {
    only_corten!("its own flag");
    let container = Container::new(|bundle| {
        bundle.mount("tmpfs", "tmpfs", "/odd \u{200d}\"\\", &[]).args(["true"]);
    });
    let file = container.path("trace.json");
    container.run().global(["--trace", &file]).output().ok();
    let events = events(&std::fs::read_to_string(file).expect("a trace"));
    assert!(names(&events, "supervisor").contains("clone-init"));
    assert!(names(&events, "init").contains("switch-root"));
    assert!(events.iter().all(|event| event["dur"].as_f64().is_some_and(|took| took >= 0.0)));
}

#[test]
fn trace_of_exec_has_the_steps_of_all_three_processes() {
    only_corten!("its own flag");
    let container = Container::sleeping(|_| {});
    let process = json!({
        "cwd": "/", "args": ["true"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}, "oomScoreAdj": 5,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
    });
    let process = container.file("process.json", &process.to_string());
    let file = container.path("trace.json");
    container.command(["exec", "-p", &process, &container.id]).global(["--trace", &file]).output().ok();
    let events = events(&std::fs::read_to_string(file).expect("a trace"));
    for name in ["clone-into-container", "adjust-oom-score", "await-execution"] {
        assert!(names(&events, "supervisor").contains(name), "{name}");
    }
    assert!(names(&events, "intermediate process").contains("join-container"));
    assert!(names(&events, "intermediate process").contains("change-user"));
    assert!(names(&events, "init").contains("lead-session"));
    // Without CAP_SYS_RESOURCE it is init that does so.
    assert!(
        names(&events, "supervisor").contains("set-rlimits")
            || names(&events, "init").contains("limit-itself")
    );
}
