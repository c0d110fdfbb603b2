//! config.json that can't be read, or says what can't be.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spec_tests::container::Container;
use spec_tests::subject::subject;
use spec_tests::{not_in_runc_1_1, only_corten};

use crate::refused;

/// A container whose config.json the test writes, or not.
fn with_config(write: impl FnOnce(PathBuf)) -> Container {
    let container = Container::new(|_| {});
    write(container.bundle.dir.join("config.json"));
    container
}

/// Runs create without writing config.json again.
#[track_caller]
fn create_is_refused(container: &Container, phrases: &[&str], ours: &[&str]) {
    let dir = container.bundle.dir.to_str().unwrap();
    let outcome = container
        .command(["create", "--bundle", dir, &container.id])
        .deadline(Duration::from_secs(10))
        .output();
    refused(container, &outcome, phrases, ours);
}

#[test]
fn no_config_json() {
    create_is_refused(&with_config(|_| {}), &["config.json"], &["no such file or directory"]);
}

#[test]
fn an_empty_config_json() {
    create_is_refused(&with_config(|path| fs::write(path, "").unwrap()), &[], &["config.json"]);
}

#[test]
fn a_truncated_config_json() {
    let whole = Container::new(|_| {}).bundle.config.to_string();
    for length in [1, 10, whole.len() / 2, whole.len() - 1] {
        let container = with_config(|path| fs::write(path, &whole[..length]).unwrap());
        create_is_refused(&container, &[], &["config.json"]);
    }
}

#[test]
fn a_config_json_that_is_no_object() {
    for text in ["null", "[]", "7", "\"text\"", "true", "{}", "{\"process\":7}"] {
        create_is_refused(&with_config(|path| fs::write(path, text).unwrap()), &[], &[]);
    }
}

#[test]
fn a_config_json_with_something_after_it() {
    not_in_runc_1_1!("reads the first value and stops");
    let whole = Container::new(|_| {}).bundle.config.to_string();
    create_is_refused(
        &with_config(|path| fs::write(path, format!("{whole} garbage")).unwrap()),
        &[],
        &["config.json"],
    );
}

#[test]
fn a_config_json_that_is_not_text() {
    let container = with_config(|path| fs::write(path, b"{\"ociVersion\": \"\xff\xfe\x00\"}").unwrap());
    create_is_refused(&container, &[], &["config.json"]);
}

#[test]
fn a_config_json_nested_a_hundred_thousand_deep() {
    let container = with_config(|path| fs::write(path, "{\"x\":".repeat(100_000)).unwrap());
    create_is_refused(&container, &[], &["config.json"]);
}

#[test]
fn a_config_json_of_a_gigabyte() {
    only_corten!("a limit on the size of its input");
    let container = with_config(|path| fs::File::create(path).unwrap().set_len(1 << 30).unwrap());
    create_is_refused(&container, &[], &["config.json"]);
}

#[test]
fn a_config_json_that_is_a_directory() {
    create_is_refused(
        &with_config(|path| fs::create_dir(path).unwrap()),
        &["config.json"],
        &["is a directory"],
    );
}

#[test]
fn a_config_json_that_is_a_fifo_does_not_hang() {
    only_corten!("refusing to read a fifo");
    let container = with_config(|path| {
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from_raw_mode(0o600)).expect("mkfifo");
    });
    create_is_refused(&container, &[], &["config.json"]);
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    let cases: [(&str, Value, &str); 8] = [
        ("/process/args", json!("sh"), "args"),
        ("/process/env", json!({"A": "1"}), "env"),
        ("/process/user/uid", json!("root"), "uid"),
        ("/mounts", json!({}), "mounts"),
        ("/linux/namespaces", json!("all"), "namespaces"),
        ("/linux/maskedPaths", json!([1]), "maskedPaths"),
        ("/root/readonly", json!("yes"), "readonly"),
        ("/linux/resources/memory", json!({"limit": "much"}), "limit"),
    ];
    for (pointer, value, name) in cases {
        let container = Container::new(|bundle| {
            bundle.set(pointer, value);
        });
        refused(&container, &container.create().output(), &[name], &["config.json"]);
    }
}

#[test]
fn a_missing_part_is_named() {
    for (pointer, name) in [("/process", "process"), ("/root", "root")] {
        let container = Container::new(|bundle| {
            bundle.set(pointer, Value::Null);
        });
        refused(&container, &container.create().output(), &[], &[name]);
    }
}

#[test]
fn an_entry_of_the_environment_without_a_name_or_a_value() {
    let running = Container::sleeping(|_| {});
    for (entry, theirs) in [("NAME", "missing '='"), ("", "missing '='"), ("=value", "name cannot be empty")]
    {
        let theirs = if subject().is_corten() { "" } else { theirs };
        let container = Container::new(|bundle| {
            bundle.set("/process/env", json!(["PATH=/bin", entry, "A="]));
        });
        refused(&container, &container.create().output(), &[theirs], &["config.json: process.env[1]: "]);

        let process = json!({ "cwd": "/", "args": ["true"], "env": ["PATH=/bin", entry] });
        let process = running.file("process.json", &process.to_string());
        let exec = running.command(["exec", "--process", &process, &running.id]);
        let said = exec.output().fails();
        assert!(said.contains(theirs) && (theirs.is_empty() == said.contains(": env[1]: ")), "{said}");
        let said = running.exec_with(&["--env", entry], &["true"]).output().fails();
        assert!(said.contains(theirs) && (theirs.is_empty() == said.contains(": env[")), "{said}");
    }
}

#[test]
fn a_version_of_the_spec_that_is_none() {
    only_corten!("reading ociVersion");
    for version in ["two", "2.0.0"] {
        let container = Container::new(|bundle| {
            bundle.set("/ociVersion", version);
        });
        refused(&container, &container.create().output(), &[], &["ociVersion"]);
    }
}

#[test]
fn a_path_with_a_nul() {
    let pointers = ["/process/cwd", "/hostname", "/linux/maskedPaths/0", "/mounts/0/destination"];
    // runc 1.1 cuts some of them at the nul.
    let checked = if subject().is_corten() { &pointers[..] } else { &pointers[..1] };
    for pointer in checked {
        let container = Container::new(|bundle| {
            bundle.set(pointer, "/a\0b");
        });
        let outcome = container.create().output();
        assert_ne!(outcome.code, 0, "{pointer}: {outcome}");
        refused(&container, &outcome, &[], &[]);
    }
}

#[test]
fn a_hostname_that_is_too_long() {
    let container = Container::new(|bundle| {
        bundle.set("/hostname", "x".repeat(65));
    });
    refused(&container, &container.create().output(), &["hostname"], &[]);
}

#[test]
fn a_mapping_that_the_kernel_refuses() {
    for map in [
        json!([{"containerID": 0, "hostID": 1000, "size": 0}]),
        json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 5, "hostID": 9000, "size": 10}]),
        json!([{"containerID": 0, "hostID": 4_294_967_290_u32, "size": 100}]),
    ] {
        let container = Container::new(|bundle| {
            bundle.user_namespace(100_000).set("/linux/uidMappings", map);
        });
        refused(&container, &container.create().output(), &[], &["linux.uidMappings"]);
    }
}

#[test]
fn an_invalid_seccomp_profile() {
    let rule = |rule: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    for (profile, field) in [
        (json!({"defaultAction": "SCMP_ACT_NONSENSE"}), "defaultAction"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_MARTIAN"]}), "architectures"),
        (rule(json!({"names": ["mkdir"], "action": "NONSENSE"})), "syscalls[0]"),
        (
            rule(
                json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_NONSENSE"}]}),
            ),
            "syscalls[0]",
        ),
        (
            rule(
                json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 9, "value": 1, "op": "SCMP_CMP_EQ"}]}),
            ),
            "syscalls[0]",
        ),
    ] {
        let container = Container::new(|bundle| {
            bundle.set("/linux/seccomp", profile);
        });
        refused(&container, &container.create().output(), &[], &["linux.seccomp", field]);
    }
}

#[test]
fn a_seccomp_listener_without_a_path() {
    let container = Container::new(|bundle| {
        let rules = json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]);
        bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    });
    refused(&container, &container.create().output(), &[], &["linux.seccomp"]);
}

#[test]
fn cpus_for_exec_that_are_no_list() {
    not_in_runc_1_1!("reads no execCPUAffinity");
    for cpus in ["1-0", "0-99999999"] {
        for at in ["initial", "final"] {
            let container = Container::new(|bundle| {
                bundle.set("/process/execCPUAffinity", json!({at: cpus}));
            });
            refused(&container, &container.create().output(), &[], &["process.execCPUAffinity", at]);
        }
    }
}

/// How long `plan` takes for a config with this list: the least of three times, since others run at once. A list may be
/// refused.
fn time_to_plan(pointer: &str, list: &[Value]) -> Duration {
    let container = Container::new(|bundle| {
        bundle.set("/linux/seccomp/defaultAction", "SCMP_ACT_ALLOW").set(pointer, list);
    });
    container.bundle.save();
    let dir = container.bundle.dir.to_str().unwrap();
    let once = || {
        let begun = Instant::now();
        container.command(["plan", "--steps", dir]).output();
        begun.elapsed()
    };
    [once(), once(), once()].into_iter().min().unwrap()
}

/// A field that is a list, and an item of it by its number.
type List = (&'static str, fn(usize) -> Value);

#[test]
fn a_list_of_any_length_takes_time_in_proportion() {
    only_corten!("plan");
    let lists: [List; 3] = [
        ("/linux/maskedPaths", |n| json!(format!("/proc/masked{n}"))),
        ("/linux/devices", |n| json!({"path": format!("/dev/null{n}"), "type": "c", "major": 1, "minor": 3})),
        ("/linux/seccomp/syscalls", |n| {
            let test = json!({"index": 0, "value": n, "op": "SCMP_CMP_EQ"});
            json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [test]})
        }),
    ];
    for (pointer, item) in lists {
        let items: Vec<Value> = (0..20_000).map(item).collect();
        let (short, long) = (time_to_plan(pointer, &items[..5_000]), time_to_plan(pointer, &items));
        assert!(long < 8 * short, "{pointer}: {short:?} for 5,000, {long:?} for 20,000");
    }
}
