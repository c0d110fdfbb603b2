//! Is a text read as Go's `encoding/json` reads it, in which the callers' texts are written and runc is? Keys in
//! another case, keys given twice, nulls, and bytes that are no text.

use std::fs;

use serde_json::{Value, json};
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::runtime::Outcome;
use spec_tests::skip_if;
use spec_tests::subject::subject;

/// What a container of the config with this text prints.
fn run_text(container: &Container, text: impl AsRef<[u8]>) -> Outcome {
    fs::write(container.bundle.dir.join("config.json"), text).expect("write config.json");
    let dir = container.bundle.dir.to_str().expect("UTF-8");
    container.command(["run", "--bundle", dir, &container.id]).output()
}

/// What `script` prints in a container whose config has `members` at its end.
#[track_caller]
fn seen_with(members: &str, script: &str) -> String {
    let mut container = Container::new(|_| {});
    container.bundle.sh(script);
    let text = container.bundle.config.to_string();
    let text = format!("{},{members}}}", text.strip_suffix('}').expect("an object"));
    run_text(&container, text).ok()
}

const NO_NEW_PRIVS: &str = "grep NoNewPrivs /proc/self/status | tr -dc 0-9";
const MASKED_BYTES: &str = "wc -c </proc/version";

#[test]
fn a_key_counts_whatever_its_case() {
    let container = Container::new(|bundle| {
        bundle.set("/process/user", json!({"UID": 1000, "Gid": 1001}));
        bundle.set("/process/noNewPrivileges", Value::Null).set("/process/NoNewPrivileges", true);
        bundle.set("/linux/maskedPaths", Value::Null).set("/linux/maskedpaths", json!(["/proc/version"]));
        let rules = json!([{"NAMES": ["mkdir"], "Action": "SCMP_ACT_ERRNO"}]);
        bundle.set("/linux/SECCOMP", json!({"defaultaction": "SCMP_ACT_ALLOW", "Syscalls": rules}));
    });
    let seen = container
        .sees(&format!("id -u; id -g; {NO_NEW_PRIVS}; echo; {MASKED_BYTES}; mkdir /tmp/x 2>&1; true"));
    assert_eq!(seen.split_whitespace().take(4).collect::<Vec<_>>(), ["1000", "1001", "1", "0"], "{seen}");
    assert!(seen.contains("Operation not permitted"), "{seen}");
}

#[test]
fn of_letters_that_fold_to_ascii_too() {
    assert_eq!(seen_with(r#""linux":{"maſKedPathſ":["/proc/version"]}"#, MASKED_BYTES), "0");
}

#[test]
fn objects_given_twice_are_merged() {
    let process =
        r#""process":{"user":{"uid":1000},"noNewPrivileges":true},"process":{"user":{"gid":7},"user":{}}"#;
    assert_eq!(seen_with(process, &format!("id -u; id -g; {NO_NEW_PRIVS}")), "1000\n7\n1");
    let linux = r#""linux":{"maskedPaths":["/proc/version"]},"linux":{"sysctl":{}},"LINUX":{"resources":{}}"#;
    assert_eq!(seen_with(linux, MASKED_BYTES), "0");
}

#[test]
fn of_a_value_given_twice_the_last_counts() {
    let process = |words: &str| format!(r#""process":{{{words}}}"#);
    let both = process(r#""noNewPrivileges":true,"NONEWPRIVILEGES":false"#);
    assert_eq!(seen_with(&both, NO_NEW_PRIVS), "0");
    let both = process(r#""NONEWPRIVILEGES":false,"noNewPrivileges":true,"NoNewPrivileges":null"#);
    assert_eq!(seen_with(&both, NO_NEW_PRIVS), "1");
}

#[test]
fn a_list_given_twice_is_the_last() {
    let linux = r#""linux":{"maskedPaths":["/proc/meminfo","/proc/uptime"],"maskedPaths":["/proc/version"]}"#;
    assert_eq!(seen_with(linux, &format!("{MASKED_BYTES}; wc -l </proc/uptime")), "0\n1");
}

#[test]
fn what_exec_needs_is_kept_of_such_a_text() {
    let mut container = Container::new(|_| {});
    container.bundle.args(["sleep", "1000"]);
    let text = container.bundle.config.to_string();
    let profile =
        r#"{"DefaultAction":"SCMP_ACT_ALLOW","SYSCALLS":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}"#;
    let members = format!(
        r#""process":{{"User":{{"UID":1000}},"noNewPrivileges":true}},"Linux":{{"Seccomp":{profile}}}"#
    );
    let text = format!("{},{members}}}", text.strip_suffix('}').expect("an object"));
    fs::write(container.bundle.dir.join("config.json"), text).expect("write config.json");
    let dir = container.bundle.dir.to_str().expect("UTF-8");
    container.command(["create", "--bundle", dir, &container.id]).output().ok();
    container.start().ok();
    assert_eq!(container.inside(&format!("id -u; {NO_NEW_PRIVS}")), "1000\n1");
    assert!(container.inside("mkdir /tmp/x 2>&1; true").contains("Operation not permitted"));
}

#[test]
fn the_process_of_exec_is_read_so_too() {
    let container = Container::sleeping(|_| {});
    let process = r#"{"Cwd":"/","args":["sh","-c","id -u; grep NoNewPrivs /proc/self/status | tr -dc 0-9"],
        "env":["PATH=/bin"],"NoNewPrivileges":true,"user":{"UID":1000},"user":{},"USER":null,"rlimits":null}"#;
    let file = container.file("process.json", process);
    let outcome = container.command(["exec", "--process", &file, &container.id]).output();
    assert_eq!(outcome.ok(), "1000\n1");
}

#[test]
fn the_limits_of_update_are_read_so_too() {
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let container = Container::sleeping(|_| {});
    let update = |text: &str| {
        container.command(["update", "--resources", "-", &container.id]).stdin(text).output().ok();
        container.cgroup().read_either("memory.limit_in_bytes", "memory.max")
    };
    assert_eq!(update(r#"{"memory":{"limit":67108864},"memory":{}}"#), "67108864");
    assert_eq!(update(r#"{"MEMORY":{"Limit":33554432},"cpu":null}"#), "33554432");
    assert_eq!(update("null"), "33554432");
    assert_eq!(update(r#"{"memory":{"limit":null},"pids":{"limit":null}}"#), "33554432");
}

#[test]
fn null_is_as_good_as_absent_at_every_depth() {
    let container = Container::new(|bundle| {
        bundle
            .set(
                "/linux/seccomp",
                json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": null, "syscalls":
                [{"names": null, "action": "SCMP_ACT_ERRNO", "args": null},
                 {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": null, "args": null}]}),
            )
            .set("/process/user", json!({"uid": null, "gid": null, "additionalGids": null, "umask": null}))
            .set("/process/terminal", Value::Null)
            .set("/process/consoleSize", json!({"height": null}))
            .set("/process/rlimits", json!([{"type": "RLIMIT_CORE", "hard": null, "soft": null}]))
            .set("/process/oomScoreAdj", Value::Null)
            .set("/hostname", Value::Null)
            .set("/annotations", json!({"a": null}))
            .set("/root/readonly", Value::Null)
            .set("/hooks", json!({"prestart": null}))
            .set(
                "/linux/devices",
                json!([{"path": "/dev/n", "type": "c", "major": 1, "minor": 3, "uid": null}]),
            )
            .set("/linux/resources/memory", json!({"limit": null, "disableOOMKiller": null}))
            .set("/linux/resources/devices", json!([{"allow": null, "type": null, "access": "rwm"}]))
            .set("/linux/resources/blockIO", json!({"weight": null, "weightDevice": null}))
            .set("/solaris", Value::Null);
    });
    let seen = container.sees("id -u; mkdir /tmp/x 2>&1; true");
    assert!(seen.starts_with("0\n") && seen.contains("Operation not permitted"), "{seen}");
}

#[test]
fn a_profile_that_says_nothing_is_none() {
    for profile in [json!({}), json!({"defaultAction": ""}), json!({"defaultAction": null, "syscalls": []})] {
        let container = Container::new(|bundle| {
            bundle.set("/linux/seccomp", profile.clone());
        });
        assert_eq!(container.sees("grep Seccomp: /proc/self/status | tr -dc 0-9"), "0", "{profile}");
    }
}

#[test]
fn a_profile_with_rules_and_no_default_action_is_refused() {
    let rules = json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]);
    let container = Container::new(|bundle| {
        bundle.set("/linux/seccomp", json!({"defaultAction": "", "syscalls": rules}));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_list_is_no_object() {
    let lists = [
        ("/root", json!(["rootfs", true])),
        ("/process/user", json!([])),
        ("/process/user", json!([1000, 1000])),
        ("/process/capabilities", json!([])),
        ("/process/consoleSize", json!([1, 1])),
        ("/process/rlimits/0", json!(["RLIMIT_CORE", 0, 0])),
        ("/hooks", json!([])),
        ("/linux", json!([])),
        ("/linux/seccomp", json!(["SCMP_ACT_ALLOW"])),
        ("/linux/resources", json!([])),
        ("/linux/resources/memory", json!([1_000_000])),
        ("/linux/resources/pids", json!([5])),
        ("/linux/namespaces/0", json!(["pid"])),
        ("/mounts/0", json!(["/proc", "proc"])),
    ];
    for (pointer, list) in lists {
        let mut container = Container::new(|_| {});
        if pointer == "/process/rlimits/0" {
            container.bundle.set("/process/rlimits", json!([{}]));
        }
        container.bundle.set(pointer, list);
        assert_ne!(container.create().output().code, 0, "{pointer}");
        container.assert_nothing_left();
    }
}

#[test]
fn an_object_is_no_word() {
    let container = Container::new(|bundle| {
        bundle.set("/linux/seccomp", json!({"defaultAction": {"SCMP_ACT_ALLOW": null}}));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn what_is_no_text_is_replaced() {
    let mut container = Container::new(|_| {});
    container
        .bundle
        .sh("printf %s \"$A$B\" | od -An -tx1")
        .set("/process/env/0", "A=@")
        .push("/process/env", "B=#");
    container.bundle.push("/process/env", "PATH=/bin:/sbin");
    let text = container.bundle.config.to_string();
    let (before, rest) = text.split_once('@').expect("A");
    let (between, after) = rest.split_once('#').expect("B");
    let text =
        [before.as_bytes(), b"\xff\xe2\x82", between.as_bytes(), br"\ud800\ud83d\ude00", after.as_bytes()];
    let seen = run_text(&container, text.concat()).ok();
    let replaced = "ef bf bd";
    let expected = format!("{replaced} {replaced} {replaced} {replaced} f0 9f 98 80");
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>().join(" "), expected);
}

#[test]
fn a_config_without_a_version_starts() {
    for version in [Value::Null, json!("")] {
        let container = Container::new(|bundle| {
            bundle.set("/ociVersion", version);
        });
        assert_eq!(container.sees("echo started"), "started");
    }
}

#[test]
fn a_capability_has_its_whole_name() {
    let container = Container::new(|bundle| {
        bundle.capabilities(&["CAP_CHOWN", "KILL", "cap_kill", "CAP_kill", "CAP_CAP_KILL"]);
    });
    assert_eq!(container.sees("grep CapBnd /proc/self/status | tr -d '\\t'"), "CapBnd:0000000000000001");
}

#[test]
fn of_a_device_listed_twice_the_first_counts() {
    let container = Container::new(|bundle| {
        bundle.set(
            "/linux/devices",
            json!([{"path": "/dev/twice", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
                   {"path": "/dev/../dev/twice", "type": "c", "major": 1, "minor": 5, "fileMode": 0o644},
                   {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640}]),
        );
    });
    assert_eq!(container.sees("stat -c '%a %t:%T' /dev/twice /dev/null"), "600 1:3\n640 1:3");
}

#[test]
fn a_device_number_has_12_or_20_bits() {
    // ~0 is the v1 controller's own mark for any number; larger numbers are cut by the kernel, which runc leaves to it.
    let numbers: &[(&str, u32)] =
        &[("major", u32::MAX), ("minor", u32::MAX), ("major", 4096), ("minor", 1 << 20)];
    let judged = if subject().is_corten() { numbers } else { &numbers[..2] };
    for (field, number) in judged {
        let mut rule = json!({"allow": true, "type": "b", "major": 8, "minor": 4, "access": "rwm"});
        rule[field] = (*number).into();
        let container = Container::new(|bundle| {
            bundle.push("/linux/resources/devices", rule);
        });
        assert_ne!(container.create().output().code, 0, "{field} {number}");
        container.assert_nothing_left();
    }
}
