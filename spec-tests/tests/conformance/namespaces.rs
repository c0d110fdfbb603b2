//! Namespaces of all kinds: new, joined by path, shared with the host.

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::not_in_runc_1_1;

/// The kinds as config.json spells them, with their names under /proc/PID/ns.
const KINDS: [(&str, &str); 5] =
    [("network", "net"), ("uts", "uts"), ("ipc", "ipc"), ("pid", "pid"), ("cgroup", "cgroup")];

fn of_host(name: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_listed_namespace_is_new() {
    let container = Container::new(|bundle| {
        bundle.namespace("cgroup", None);
    });
    let seen = container.sees("for n in mnt net uts ipc pid cgroup; do readlink /proc/self/ns/$n; done");
    for (line, name) in seen.lines().zip(["mnt", "net", "uts", "ipc", "pid", "cgroup"]) {
        assert_ne!(line, of_host(name));
    }
}

#[test]
fn an_unlisted_namespace_is_the_hosts() {
    let container = Container::new(|bundle| {
        for kind in ["network", "uts", "ipc", "pid", "cgroup"] {
            bundle.share_namespace(kind);
        }
        bundle.set("/hostname", "");
    });
    let seen = container.sees("for n in net uts ipc pid cgroup user; do readlink /proc/self/ns/$n; done");
    for (line, name) in seen.lines().zip(["net", "uts", "ipc", "pid", "cgroup", "user"]) {
        assert_eq!(line, of_host(name));
    }
}

#[test]
fn a_namespace_with_a_path_is_joined() {
    let owner = Container::sleeping(|bundle| {
        bundle.namespace("cgroup", None);
    });
    for (kind, name) in KINDS {
        let path = format!("/proc/{}/ns/{name}", owner.pid());
        let container = Container::new(|bundle| {
            bundle.namespace(kind, Some(&path));
            if kind == "uts" {
                bundle.set("/hostname", "");
            }
        });
        let theirs = owner.inside(&format!("readlink /proc/self/ns/{name}"));
        assert_eq!(container.sees(&format!("readlink /proc/self/ns/{name}")), theirs, "{kind}");
    }
}

#[test]
fn several_namespaces_are_joined_together() {
    let owner = Container::sleeping(|_| {});
    let container = Container::new(|bundle| {
        for (kind, name) in &KINDS[..4] {
            bundle.namespace(kind, Some(&format!("/proc/{}/ns/{name}", owner.pid())));
        }
        bundle.set("/hostname", "");
    });
    let script = "for n in net uts ipc pid; do readlink /proc/self/ns/$n; done";
    assert_eq!(container.sees(script), owner.inside(script));
}

#[test]
fn the_path_of_a_namespace_must_be_of_its_kind() {
    let container = Container::new(|bundle| {
        bundle.namespace("ipc", Some("/proc/self/ns/net"));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn the_path_of_a_namespace_must_exist() {
    let container = Container::new(|bundle| {
        bundle.namespace("network", Some("/nonexistent"));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_namespace_listed_twice_is_refused() {
    let container = Container::new(|bundle| {
        bundle.push("/linux/namespaces", json!({"type": "uts"}));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_namespace_of_unknown_kind_is_refused() {
    let container = Container::new(|bundle| {
        bundle.push("/linux/namespaces", json!({"type": "martian"}));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn the_payload_is_pid_1_of_a_new_pid_namespace() {
    assert_eq!(Container::new(|_| {}).sees("set -- /proc/[0-9]*; echo $$ $#"), "1 1");
}

#[test]
fn a_new_network_namespace_has_its_loopback_up() {
    let seen = Container::new(|_| {})
        .sees("ip -o link | wc -l; ping -c 1 -W 1 127.0.0.1 | grep -c '1 packets received'");
    assert_eq!(seen.lines().last(), Some("1"), "{seen}");
}

#[test]
fn a_new_cgroup_namespace_is_rooted_in_the_containers_cgroup() {
    let container = Container::new(|bundle| {
        bundle.namespace("cgroup", None);
    });
    let seen = container.sees("cut -d: -f3 /proc/self/cgroup | sort -u");
    assert_eq!(seen, "/");
}

#[test]
fn hostname_is_set() {
    let container = Container::new(|bundle| {
        bundle.set("/hostname", "corvus");
    });
    assert_eq!(container.sees("hostname"), "corvus");
}

#[test]
fn hostname_without_a_uts_namespace_is_refused() {
    let container = Container::new(|bundle| {
        bundle.share_namespace("uts");
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn domainname_is_set() {
    not_in_runc_1_1!("knows no domainname");
    let container = Container::new(|bundle| {
        bundle.set("/domainname", "example.org");
    });
    assert_eq!(container.sees("cat /proc/sys/kernel/domainname"), "example.org");
}

#[test]
fn time_offsets_shift_the_clocks() {
    not_in_runc_1_1!("knows no time namespace");
    let container = Container::new(|bundle| {
        bundle.namespace("time", None);
        bundle.set("/linux/timeOffsets", json!({"monotonic": {"secs": 7881, "nanosecs": 2_718_281}, "boottime": {"secs": 1_337_000, "nanosecs": 3_141_519}}));
    });
    let seen = container
        .sees("cat /proc/self/timens_offsets; readlink /proc/self/ns/time; cut -d. -f1 /proc/uptime");
    let lines: Vec<Vec<_>> = seen.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["monotonic", "7881", "2718281"]);
    assert_eq!(lines[1], ["boottime", "1337000", "3141519"]);
    assert_ne!(lines[2], [of_host("time")]);
    assert!(lines[3][0].parse::<u64>().unwrap() >= 1_337_000);
}

#[test]
fn exec_joins_the_time_namespace() {
    not_in_runc_1_1!("knows no time namespace");
    let container = Container::sleeping(|bundle| {
        bundle.namespace("time", None);
        bundle.set("/linux/timeOffsets", json!({"boottime": {"secs": 1_337_000, "nanosecs": 0}}));
    });
    assert_eq!(container.inside("readlink /proc/self/ns/time"), container.inside("readlink /proc/1/ns/time"));
}

#[test]
fn a_time_namespace_with_a_path_is_joined() {
    not_in_runc_1_1!("knows no time namespace");
    let owner = Container::sleeping(|bundle| {
        bundle.namespace("time", None);
    });
    let path = format!("/proc/{}/ns/time", owner.pid());
    let container = Container::new(|bundle| {
        bundle.namespace("time", Some(&path));
    });
    let theirs = owner.inside("readlink /proc/1/ns/time");
    assert_eq!(container.sees("readlink /proc/self/ns/time"), theirs);
}

#[test]
fn time_offsets_without_a_time_namespace_are_refused() {
    not_in_runc_1_1!("knows no time namespace");
    let container = Container::new(|bundle| {
        bundle.set("/linux/timeOffsets", json!({"boottime": {"secs": 1, "nanosecs": 0}}));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}
