//! Class D: a hostile image or payload keeps the runtime busy, or itself from being taken down (CVE-2021-43784).

use std::fs;
use std::time::Duration;

use serde_json::json;
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::leftovers;
use spec_tests::runtime::eventually;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;

/// Thirty processes that fork without end.
const FORK_BOMB: &str = "for i in $(seq 30); do (while :; do (:); done) & done; wait";

#[test]
fn a_passwd_that_is_a_fifo_does_not_hang_the_runtime() {
    known_to_fail_on_runc_1_1_5(|| {
        let mut container = Container::new(|_| {});
        let passwd = container.bundle.rootfs().join("etc/passwd");
        fs::remove_file(&passwd).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &passwd, rustix::fs::Mode::from_raw_mode(0o644))
            .expect("mkfifo");
        container.bundle.args(["true"]);
        container.run().deadline(Duration::from_secs(5)).output();
    });
}

#[test]
fn a_passwd_without_end_does_not_hang_the_runtime() {
    let mut container = Container::new(|_| {});
    let passwd = container.bundle.rootfs().join("etc/passwd");
    fs::File::create(&passwd).unwrap().set_len(1 << 36).unwrap();
    container.bundle.args(["true"]).set("/linux/resources/memory", json!({"limit": 256 << 20}));
    container.run().deadline(Duration::from_secs(10)).output();
}

#[test]
fn a_fork_bomb_is_taken_down() {
    spec_tests::skip_if!(!cgroup::has("pids"), "no pids controller");
    let container = Container::sleeping(|bundle| {
        bundle.set("/linux/resources/pids", json!({"limit": 200}));
        bundle.sh(FORK_BOMB);
    });
    eventually("many", || leftovers::processes(&container.id).len() > 20);
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

#[test]
fn a_fork_bomb_in_a_shared_pid_namespace_is_taken_down() {
    spec_tests::skip_if!(!cgroup::has("pids"), "no pids controller");
    let container = Container::sleeping(|bundle| {
        bundle.share_namespace("pid").set("/linux/resources/pids", json!({"limit": 200}));
        bundle.sh(FORK_BOMB);
    });
    eventually("many", || leftovers::processes(&container.id).len() > 20);
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

#[test]
fn a_stopped_payload_is_taken_down() {
    let container = Container::sleeping(|bundle| {
        bundle.sh("sleep 1000 & kill -STOP $!; wait");
    });
    container.kill("STOP").ok();
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

#[test]
fn a_very_long_list_of_mappings_is_carried_out_or_refused() {
    let ranges: Vec<_> = (0..6000_u32)
        .map(|n| json!({"containerID": n * 2, "hostID": 1_000_000 + n * 3, "size": 1}))
        .collect();
    let mut container = Container::new(|bundle| {
        bundle
            .namespace("user", None)
            .set("/linux/uidMappings", ranges.clone())
            .set("/linux/gidMappings", ranges);
    });
    container.bundle.sh("wc -l < /proc/self/uid_map");
    let outcome = container.run().output();
    assert!(outcome.code != 0 || outcome.stdout.trim() == "6000", "{outcome}");
    container.assert_nothing_left();
}

#[test]
fn a_very_long_namespace_path_is_refused() {
    let container = Container::new(|bundle| {
        bundle.namespace("network", Some(&format!("/{}", "x/".repeat(40_000))));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_thousand_mounts_are_made() {
    let container = Container::new(|bundle| {
        for number in 0..1000 {
            bundle.mount("bind", "/bin/busybox", &format!("/m/{number}"), &["bind", "ro"]);
        }
    });
    assert_eq!(container.sees("grep -c ' /m/' /proc/self/mountinfo"), "1000");
}
