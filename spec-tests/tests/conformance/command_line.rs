//! The command line itself: versions, features, logs, and the spellings that callers use.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;
use spec_tests::container::Container;

#[test]
fn version_names_the_runtime_and_the_spec() {
    let container = Container::new(|_| {});
    for flag in ["--version", "-v"] {
        let text = container.command([flag]).without_globals().output().ok();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains(" version "), "{text}");
        assert!(lines.iter().any(|line| line.starts_with("commit: ")), "{text}");
        assert!(lines.iter().any(|line| line.starts_with("spec: 1.")), "{text}");
    }
}

#[test]
fn features_are_json_and_nothing_else() {
    let container = Container::new(|_| {});
    let outcome = container.command(["features"]).without_globals().output();
    let features: Value = serde_json::from_str(&outcome.ok()).unwrap();
    assert_eq!(outcome.stderr, "");
    for key in ["ociVersionMin", "ociVersionMax"] {
        assert!(features[key].as_str().is_some_and(|version| version.starts_with("1.")), "{key}");
    }
    let has = |pointer: &str, word: &str| {
        features
            .pointer(pointer)
            .and_then(Value::as_array)
            .is_some_and(|list| list.iter().any(|item| item == word))
    };
    assert!(
        has("/hooks", "createRuntime") && has("/mountOptions", "rro") && has("/linux/namespaces", "user")
    );
    assert!(has("/linux/capabilities", "CAP_SYS_ADMIN") && has("/linux/seccomp/actions", "SCMP_ACT_ERRNO"));
    assert_eq!(features["linux"]["cgroup"]["v1"], true);
    assert_eq!(features["linux"]["cgroup"]["v2"], true);
}

#[test]
fn features_tell_of_idmapped_mounts() {
    spec_tests::not_in_runc_1_1!("knows no idmapped mounts");
    let container = Container::new(|_| {});
    let features: Value = serde_json::from_str(&container.command(["features"]).output().ok()).unwrap();
    assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
}

#[test]
fn features_are_indented_by_four() {
    let container = Container::new(|_| {});
    let text = container.command(["features"]).output().ok();
    assert!(text.lines().nth(1).unwrap().starts_with("    \""), "{text}");
}

#[test]
fn spec_writes_a_config_that_runs() {
    let container = Container::new(|_| {});
    let dir = container.bundle.dir.to_str().unwrap();
    container.command(["spec", "--bundle", dir]).without_globals().output().ok();
    let path = container.bundle.dir.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(config["root"]["path"], "rootfs");
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["echo", "hello"]);
    config["linux"]["cgroupsPath"] = container.cgroups_path().into();
    fs::write(&path, config.to_string()).unwrap();
    assert_eq!(container.command(["run", "--bundle", dir, &container.id]).output().ok(), "hello");
}

#[test]
fn spec_does_not_overwrite() {
    let container = Container::new(|_| {});
    container.bundle.save();
    let dir = container.bundle.dir.to_str().unwrap();
    container.command(["spec", "--bundle", dir]).output().fails();
}

#[test]
fn spec_rootless_asks_for_a_user_namespace() {
    let container = Container::new(|_| {});
    container
        .command(["spec", "--rootless", "--bundle", container.bundle.dir.to_str().unwrap()])
        .output()
        .ok();
    let config: Value =
        serde_json::from_slice(&fs::read(container.bundle.dir.join("config.json")).unwrap()).unwrap();
    let namespaces = config["linux"]["namespaces"].as_array().unwrap();
    assert!(namespaces.iter().any(|namespace| namespace["type"] == "user"));
    assert_eq!(config["linux"]["uidMappings"][0]["size"], 1);
}

#[test]
fn rootless_changes_nothing_for_root_who_may_make_cgroups() {
    for value in ["auto", "false", "true"] {
        let mut container = Container::new(|_| {});
        container.bundle.args(["echo", "hello"]);
        let flag = format!("--rootless={value}");
        assert_eq!(container.run().global([flag]).output().ok(), "hello", "{value}");
    }
}

#[test]
fn a_log_in_json_holds_one_error_record_per_failing_command() {
    let container = Container::new(|bundle| {
        bundle.args(["nope"]);
    });
    let log = container.path("log.json");
    let globals = ["--log", &log, "--log-format", "json"];
    let outcome = container.run().global(globals).output();
    outcome.fails();
    let text = fs::read_to_string(&log).unwrap();
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    assert_eq!(records.len(), 1, "{text}");
    assert_eq!(records[0]["level"], "error");
    let message = records[0]["msg"].as_str().unwrap();
    assert!(message.contains(r#"exec: "nope": executable file not found in $PATH"#), "{message}");
    let time = records[0]["time"].as_str().unwrap();
    assert!(time.len() >= "2026-08-22T10:11:12Z".len() && time.as_bytes()[10] == b'T', "{time}");
    assert!(outcome.stderr.contains("executable file not found in $PATH"), "{outcome}");
}

#[test]
fn a_log_is_appended_to() {
    let container = Container::new(|_| {});
    let log = container.path("log.json");
    for _ in 0..2 {
        container
            .command(["state", "nobody"])
            .global(["--log", &log, "--log-format", "json"])
            .output()
            .fails();
    }
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 2);
}

#[test]
fn a_command_that_succeeds_logs_nothing() {
    let mut container = Container::new(|_| {});
    container.bundle.args(["true"]);
    let log = container.path("log.json");
    let outcome = container.run().global(["--log", &log, "--log-format", "json"]).output();
    outcome.ok();
    assert_eq!((outcome.stderr.as_str(), fs::read_to_string(&log).unwrap_or_default().as_str()), ("", ""));
}

#[test]
fn an_unknown_log_format_is_refused() {
    Container::new(|_| {}).command(["list"]).global(["--log-format", "xml"]).output().fails();
}

#[test]
fn long_options_may_have_a_single_dash() {
    let container = Container::new(|_| {});
    container.bundle.save();
    let pid_file = container.path("pid");
    let dir = container.bundle.dir.to_str().unwrap();
    container
        .command(["create", "-bundle", dir, "-pid-file", &pid_file, "-no-new-keyring", &container.id])
        .output()
        .ok();
    assert!(fs::exists(pid_file).unwrap());
    container.command(["delete", "-force", &container.id]).output().ok();
}

#[test]
fn flags_may_follow_the_id() {
    let container = Container::new(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    container.bundle.save();
    let dir = container.bundle.dir.to_str().unwrap();
    let mut help = container.command(["run", &container.id, "--bundle", dir, "--detach"]).output();
    if help.code != 0 {
        // runc takes flags after positionals on some commands only; delete is the one that engines rely on.
        help = container.command(["run", "--bundle", dir, "--detach", &container.id]).output();
    }
    help.ok();
    container.command(["delete", &container.id, "--force"]).output().ok();
}

#[test]
fn flags_of_kill_may_follow_its_arguments() {
    let container = Container::sleeping(|_| {});
    container.command(["kill", &container.id, "KILL", "--all"]).output().ok();
    container.wait_stopped();
}

/// As Go's flags have it: texts may be empty, numbers and durations not.
#[test]
fn an_empty_value_is_none_for_a_text_and_refused_for_a_number() {
    let container = Container::sleeping(|_| {});
    container.exec_with(&["--user", "", "--cwd", ""], &["true"]).output().ok();
    container.command(["update", "--cpu-share=", &container.id]).output().ok();
    for flags in [["update", "--pids-limit="], ["events", "--interval="], ["exec", "--preserve-fds="]] {
        container.command(flags.into_iter().chain([container.id.as_str(), "true"])).output().fails();
    }
    container.command(["update", "--blkio-weight", "", &container.id]).output().fails();
}

#[test]
fn values_may_follow_an_equals_sign() {
    let container = Container::new(|_| {});
    container.bundle.save();
    let dir = format!("--bundle={}", container.bundle.dir.display());
    let pid_file = format!("--pid-file={}", container.path("pid"));
    container.command(["create", &dir, &pid_file, "--no-pivot=false", &container.id]).output().ok();
    container.command(["delete", "--force=true", &container.id]).output().ok();
}

#[test]
fn an_unknown_flag_is_refused() {
    let container = Container::new(|_| {});
    container.create_with(["--no-such-flag"]).output().fails();
    container.command(["list"]).global(["--no-such-flag"]).output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_missing_or_surplus_argument_is_refused() {
    let container = Container::new(|_| {});
    container.command(["state"]).output().fails();
    container.command(["state", "one", "two"]).output().fails();
    container.command(["kill"]).output().fails();
}

#[test]
fn help_exits_with_0() {
    let container = Container::new(|_| {});
    for args in
        [&["--help"][..], &["create", "--help"], &["exec", "--help"], &["list", "-h"], &["help", "help"]]
    {
        assert!(
            container.command(args).without_globals().output().ok().to_lowercase().contains("usage"),
            "{args:?}"
        );
    }
}

#[test]
fn debug_tells_what_is_done_and_changes_nothing_else() {
    let mut container = Container::new(|_| {});
    container.bundle.sh("echo payload");
    let log = container.path("log");
    let outcome = container.run().global(["--debug", "--log", &log]).output();
    assert_eq!(outcome.ok(), "payload");
    assert!(!fs::read_to_string(log).unwrap().is_empty());
}

#[test]
fn the_systemd_driver_is_refused_where_there_is_no_systemd() {
    spec_tests::skip_if!(fs::exists("/run/systemd/system").unwrap(), "systemd runs here");
    let container = Container::new(|bundle| {
        bundle.set("/linux/cgroupsPath", "system.slice:spec:test");
    });
    container.create().global(["--systemd-cgroup"]).output().fails_with("systemd");
    container.assert_nothing_left();
}

#[test]
fn a_pid_file_that_is_a_device_or_a_fifo_stays_one() {
    spec_tests::only_corten!("writing to what is there");
    let container = Container::new(|_| {});
    let (device, fifo) = (container.path("null"), container.path("fifo"));
    let prologue = format!("mknod {device} c 1 3\nmkfifo {fifo}\nexec 9<>{fifo}");
    container.run_with(["--pid-file", &device]).prologue(&prologue).output().ok();
    let kind = |path: &str| std::fs::symlink_metadata(path).unwrap().mode() & libc::S_IFMT;
    assert_eq!(kind(&device), libc::S_IFCHR);
    container.run_with(["--pid-file", &fifo]).prologue(&format!("exec 9<>{fifo}")).output().ok();
    assert_eq!(kind(&fifo), libc::S_IFIFO);
    // A start that fails takes away no device.
    container.create_with(["--pid-file", &device, "--pidfd-socket", "/nowhere"]).output().fails();
    assert_eq!(kind(&device), libc::S_IFCHR);
    container.assert_nothing_left();
}
