//! User namespaces whose mappings root writes.

use std::os::unix::fs::MetadataExt;

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::not_in_runc_1_1;

const FIRST: u32 = 100_000;

#[test]
fn mappings_are_written_as_given() {
    let container = Container::new(|bundle| {
        bundle.user_namespace(FIRST);
        bundle.set(
            "/linux/uidMappings",
            json!([
                {"containerID": 0, "hostID": FIRST, "size": 1000},
                {"containerID": 1000, "hostID": 300_000, "size": 500},
            ]),
        );
    });
    let seen = container.sees("cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g");
    let lines: Vec<_> =
        seen.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines, ["0 100000 1000", "1000 300000 500", "0 100000 65536", "0", "0"]);
}

#[test]
fn the_containers_root_is_nobody_special_on_the_host() {
    let container = Container::new(|bundle| {
        bundle.user_namespace(FIRST);
    });
    container.sees("touch /tmp/mine");
    let file = std::fs::metadata(container.bundle.rootfs().join("tmp/mine")).unwrap();
    assert_eq!((file.uid(), file.gid()), (FIRST, FIRST));
}

#[test]
fn the_user_and_pid_namespaces_of_another_container_are_joined() {
    let owner = Container::sleeping(|bundle| {
        bundle.user_namespace(FIRST);
    });
    let container = Container::sleeping(|bundle| {
        for kind in ["user", "pid"] {
            bundle.namespace(kind, Some(&format!("/proc/{}/ns/{kind}", owner.pid())));
        }
    });
    let script = "for n in user pid; do readlink /proc/self/ns/$n; done";
    assert_eq!(container.inside(script), owner.inside(script));
    container.kill("KILL").ok();
    container.wait_stopped();
    assert_eq!(owner.status(), "running");
}

#[test]
fn a_mapped_user_runs_the_payload() {
    let container = Container::new(|bundle| {
        bundle.user_namespace(FIRST).set("/process/user/uid", 5).set("/process/user/gid", 6);
        bundle.set("/process/user/additionalGids", json!([7]));
    });
    assert_eq!(container.sees("id -u; id -g; id -G; touch /tmp/mine"), "5\n6\n6 7");
    let file = std::fs::metadata(container.bundle.rootfs().join("tmp/mine")).unwrap();
    assert_eq!((file.uid(), file.gid()), (FIRST + 5, FIRST + 6));
}

#[test]
fn default_devices_work() {
    let container = Container::new(|bundle| {
        bundle.user_namespace(FIRST);
    });
    assert_eq!(
        container.sees("echo x > /dev/null && head -c 3 /dev/zero | wc -c && ls -l /dev/null | cut -c1"),
        "3\nc"
    );
}

#[test]
fn every_default_mount_is_there() {
    let container = Container::new(|bundle| {
        bundle.user_namespace(FIRST);
    });
    let seen = container.sees("cut -d' ' -f5 /proc/self/mountinfo");
    for mountpoint in ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"] {
        assert!(seen.lines().any(|line| line == mountpoint), "{mountpoint}: {seen}");
    }
}

#[test]
fn masked_and_readonly_paths_hold() {
    let container = Container::new(|bundle| {
        bundle.user_namespace(FIRST);
    });
    assert_eq!(
        container.sees("wc -c < /proc/keys; echo x 2>&1 > /proc/sys/kernel/panic | grep -c .; echo"),
        "0\n1"
    );
}

#[test]
fn the_payload_holds_its_capabilities_in_the_namespace_alone() {
    let container = Container::new(|bundle| {
        bundle.user_namespace(FIRST).capabilities(&["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]);
    });
    let script = "ip link set lo down && echo may; echo 1 2>&1 > /proc/sys/kernel/panic | grep -c .; echo";
    assert_eq!(container.sees(script), "may\n1");
}

#[test]
fn exec_enters_the_user_namespace() {
    let container = Container::sleeping(|bundle| {
        bundle.user_namespace(FIRST);
    });
    let expected = container.inside("readlink /proc/1/ns/user");
    assert_eq!(container.inside("readlink /proc/self/ns/user"), expected);
    assert_eq!(container.inside("id -u; touch /tmp/mine"), "0");
    let file = std::fs::metadata(container.bundle.rootfs().join("tmp/mine")).unwrap();
    assert_eq!(file.uid(), FIRST);
}

#[test]
fn a_user_namespace_with_a_path_is_joined() {
    not_in_runc_1_1!("wants mappings beside the path");
    let owner = Container::sleeping(|bundle| {
        bundle.user_namespace(FIRST);
    });
    let path = |name: &str| format!("/proc/{}/ns/{name}", owner.pid());
    let container = Container::new(|bundle| {
        bundle.namespace("user", Some(&path("user"))).namespace("network", Some(&path("net")));
    });
    let script = "readlink /proc/self/ns/user; readlink /proc/self/ns/net; id -u";
    assert_eq!(container.sees(script), owner.inside(script));
}

#[test]
fn a_new_user_namespace_without_mappings_is_refused() {
    let container = Container::new(|bundle| {
        bundle.namespace("user", None);
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn mappings_without_a_user_namespace_are_refused() {
    not_in_runc_1_1!("ignores them");
    let container = Container::new(|bundle| {
        bundle.set("/linux/uidMappings", json!([{"containerID": 0, "hostID": FIRST, "size": 65536}]));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_user_outside_the_mappings_is_refused() {
    let container = Container::new(|bundle| {
        bundle.user_namespace(FIRST).set("/process/user/uid", 70_000);
    });
    container.run().output().fails();
    container.assert_nothing_left();
}

#[test]
fn many_mappings_are_written_whole() {
    let ranges: Vec<_> = (0..200)
        .map(|n| json!({"containerID": n * 10, "hostID": 1_000_000 + n * 1000, "size": 10}))
        .collect();
    let container = Container::new(|bundle| {
        bundle.user_namespace(FIRST).set("/linux/uidMappings", ranges);
    });
    assert_eq!(container.sees("wc -l < /proc/self/uid_map"), "200");
}

#[test]
fn a_terminal_belongs_to_the_containers_root() {
    let mut container = Container::new(|bundle| {
        bundle.user_namespace(FIRST).set("/process/terminal", true);
    });
    container.bundle.sh("stat -c '%u %t' /dev/console; echo end");
    let (mut terminal, slave) = spec_tests::console::Terminal::open();
    let running = container.run().terminal(slave).spawn();
    assert!(terminal.read_until("end").contains("0 88"), "the owner of /dev/console");
    assert_eq!(running.wait().code, 0);
}
