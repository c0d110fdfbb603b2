//! What is told of a failure: whole, in the log that was named, and harmless for a terminal.

use serde_json::{Value, json};
use spec_tests::container::Container;
use spec_tests::only_corten;
use spec_tests::runtime::Outcome;

/// No control character but line ends, and one line beside a hint.
#[track_caller]
fn harmless(outcome: &Outcome) {
    let text = outcome.fails();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(crate::one_line(&text), "{text:?}");
}

#[test]
fn whatever_is_wrong_with_a_command_line_is_in_the_log_that_it_names() {
    only_corten!("a log of refused command lines");
    let container = Container::new(|_| {});
    let log = container.path("log.json");
    let named = ["--log", &log, "--log-format", "json"];
    for (flags, words) in [
        (&["--nope"][..], &["state", "x"][..]),
        (&["--systemd-cgroup"], &["create", "x"]),
        (&["--cgroup-manager", "systemd"], &["run", "x"]),
        (&["--cgroup-manager", "nobody"], &["run", "x"]),
        (&["--root", "/"], &["list"]),
        (&["--log-level", "loud"], &["list"]),
        (&["--rootless", "perhaps"], &["list"]),
        (&["--debug=maybe"], &["list"]),
        (&["--rootless=true"], &["create", "x"]),
        (&["--criu"], &[]),
        (&[], &["nope"]),
        (&[], &["state"]),
        (&[], &["state", "a", "b"]),
        (&[], &["state", "a/b"]),
        (&[], &["create", "--nope", "x"]),
        (&[], &["exec", "x"]),
        (&[], &["exec", "-u", "root", "x", "true"]),
        (&[], &["kill", "x", "NOPE"]),
        (&[], &["update", "--memory", "much", "x"]),
        (&[], &["events", "--interval", "-1s", "x"]),
        (&[], &["checkpoint", "x"]),
    ] {
        for order in [[&named[..], flags], [flags, &named[..]]] {
            if flags == ["--criu"] && order[0] == flags {
                continue;
            }
            let outcome = container.command(words).global(order.concat()).output();
            let said = outcome.fails();
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let record: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text:?}: {outcome}"));
            assert_eq!(record["level"], "error");
            let message = record["msg"].as_str().expect("a message");
            assert!(said.contains(message), "{message:?} is not what was said: {outcome}");
            std::fs::remove_file(&log).expect("remove the log");
        }
    }
}

#[test]
fn control_characters_of_a_config_and_of_a_command_line_do_not_reach_the_terminal() {
    only_corten!("a message as a whole on one line");
    let odd = "a\nb\u{1b}[31m\r\u{9b}";
    let at = |pointer: &str| {
        let container = Container::new(|bundle| {
            bundle.set(pointer, odd);
        });
        harmless(&container.create().output());
        container.assert_nothing_left();
    };
    at("/root/path");
    at("/process/cwd");
    at("/ociVersion");
    at("/mounts/0/type");
    at("/linux/namespaces/0/type");
    at("/linux/rootfsPropagation");
    let mounted = Container::new(|bundle| {
        bundle.mount("bind", "/tmp", "/x", &["bind", odd]);
    });
    harmless(&mounted.create().output());
    let program = Container::new(|bundle| {
        bundle.args([odd]);
    });
    harmless(&program.run().output());

    let running = Container::sleeping(|_| {});
    harmless(&running.command(["state", odd]).output());
    harmless(&running.command([odd]).output());
    harmless(&running.command(["state", &format!("--{odd}"), "x"]).output());
    harmless(&running.command(["ps", &running.id, "--nonsense"]).output());
    harmless(&running.exec(&[odd]).output());
    harmless(&running.exec_with(&["--cwd", odd], &["true"]).output());
}

#[test]
fn control_characters_in_the_log_are_spelled_out() {
    only_corten!("a log without control characters");
    let mut container = Container::new(|_| {});
    container.bundle.hook("createRuntime", "printf 'red \\033[31m\\nline' >&2; exit 1");
    let log = container.path("log.json");
    let outcome = container.create().global(["--log", &log, "--log-format", "json"]).output();
    harmless(&outcome);
    let record: Value = serde_json::from_str(&std::fs::read_to_string(log).unwrap()).expect("one JSON value");
    let message = record["msg"].as_str().expect("a message");
    assert!(message.ends_with("stderr: red \\u{1b}[31m\nline"), "{message:?}");
}

#[test]
fn a_failing_hook_is_told_whole() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut container = Container::new(|_| {});
        let script = "echo on stdout; echo first >&2; echo the reason >&2; exit 3";
        container.bundle.hook(kind, script);
        let outcome = container.create().output();
        let text = outcome.fails();
        for phrase in ["exit status 3", "stdout: on stdout", "stderr: first", "the reason"] {
            assert!(text.contains(phrase), "{kind}: no `{phrase}`: {outcome}");
        }
        container.assert_nothing_left();
    }
}

#[test]
fn of_a_hook_that_prints_much_the_end_is_told() {
    for kind in ["createRuntime", "createContainer"] {
        let mut container = Container::new(|_| {});
        container.bundle.hook(kind, "head -c 300000 /dev/zero | tr '\\0' x >&2; echo the reason >&2; exit 1");
        let text = container.create().output().fails();
        assert!(text.contains("xthe reason"), "{kind}: {text}");
    }
}

#[test]
fn memory_that_has_run_out_is_one_line() {
    only_corten!("the line");
    let container = Container::new(|bundle| {
        bundle.set("/annotations", json!({"large": "x".repeat(1 << 20)}));
    });
    let outcome = container.create().env("RUST_BACKTRACE", "full").prologue("ulimit -d 400").output();
    let text = outcome.fails();
    assert_eq!(text.lines().count(), 1, "{outcome}");
    container.assert_nothing_left();
}

#[test]
fn a_profile_without_execve_is_warned_of() {
    only_corten!("the warning");
    for no_new_privileges in [true, false] {
        for action in ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_KILL_PROCESS"] {
            let container = Container::new(|bundle| {
                let exits = json!([{"names": ["exit_group"], "action": "SCMP_ACT_ALLOW"}]);
                bundle.set("/linux/seccomp", json!({"defaultAction": action, "syscalls": exits}));
                bundle.set("/process/noNewPrivileges", no_new_privileges).args(["true"]);
            });
            let outcome = container.run().output();
            assert_ne!(outcome.code, 0, "{outcome}");
            assert!(outcome.stderr.contains("linux.seccomp: doesn't allow execve"), "{outcome}");
        }
    }
}

#[test]
fn a_user_namespace_without_an_id_0() {
    for field in ["uidMappings", "gidMappings"] {
        let container = Container::new(|bundle| {
            let map = json!([{"containerID": 1, "hostID": 100_001, "size": 1000}]);
            bundle.user_namespace(100_000).set(&format!("/linux/{field}"), map);
        });
        let ours = format!("linux.{field}: maps no id 0");
        crate::refused(&container, &container.create().output(), &[], &[&ours]);
    }
}

#[test]
fn the_hint_of_a_refused_capability_names_the_set() {
    only_corten!("the hint");
    let container = Container::new(|bundle| {
        bundle.capabilities(&["CAP_CHOWN"]);
        bundle.set("/process/capabilities/effective", json!(["CAP_CHOWN", "CAP_KILL"]));
    });
    let outcome = container.create().output();
    outcome.fails_with("hint: process.capabilities.effective has capabilities");
    container.assert_nothing_left();
}

#[test]
fn a_process_of_exec_that_was_killed_is_not_called_init() {
    only_corten!("the words");
    let container = Container::new(|bundle| {
        let rule = json!({"names": ["capset"], "action": "SCMP_ACT_KILL_PROCESS"});
        bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
        bundle.set("/process/noNewPrivileges", true).args(["sleep", "1000"]);
    });
    container.create().output().ok();
    container.start().ok();
    let process =
        json!({"cwd": "/", "args": ["true"], "noNewPrivileges": false, "user": {"uid": 0, "gid": 0}});
    let file = container.file("process.json", &process.to_string());
    let outcome = container.command(["exec", "--process", &file, &container.id]).output();
    outcome.fails_with("the process was killed by SIGSYS");
}
