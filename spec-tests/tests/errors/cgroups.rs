//! cgroups that refuse: full, too small, read-only.

use std::fs;

use serde_json::json;
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::runtime::eventually;
use spec_tests::{leftovers, only_corten, skip_if};

use crate::{one_line, refused};

#[test]
fn a_parent_whose_pids_are_used_up() {
    skip_if!(!cgroup::has("pids"), "no pids controller");
    let container = Container::new(|bundle| {
        bundle.sh("sleep 0 & wait");
    });
    let own = container.cgroup().dir("pids").unwrap();
    let parent = own.parent().unwrap();
    fs::create_dir_all(parent).unwrap();
    fs::write(parent.join("pids.max"), "0").unwrap();
    let outcome = container.run().output();
    // A runtime that moves its child in when the child is complete may start the container. Then the payload can't
    // fork.
    if outcome.stderr.contains("sh: can't fork") {
        return;
    }
    refused(&container, &outcome, &[], &["pids"]);
}

#[test]
fn exec_where_the_pids_are_used_up() {
    skip_if!(!cgroup::has("pids"), "no pids controller");
    let container = Container::sleeping(|bundle| {
        bundle.set("/linux/resources/pids", json!({"limit": 20}));
        bundle.sh("for i in $(seq 19); do sleep 1000 & done; wait");
    });
    eventually("full", || leftovers::processes(&container.id).len() == 20);
    let outcome = container.exec(&["sh", "-c", "true & wait"]).output();
    assert_ne!(outcome.code, 0, "{outcome}");
    assert_eq!(container.status(), "running");
    eventually("as before", || leftovers::processes(&container.id).len() == 20);
}

#[test]
fn a_memory_limit_too_low_to_start() {
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/memory", json!({"limit": 4096, "swap": 4096}));
    });
    let outcome = container.run().output();
    assert_ne!(outcome.code, 0, "{outcome}");
    if spec_tests::subject::subject().is_corten() {
        assert!(outcome.stderr.contains("memory") && one_line(&outcome.stderr), "{outcome}");
    }
    container.assert_nothing_left();
}

#[test]
fn swap_below_memory() {
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/memory", json!({"limit": 64 << 20, "swap": 32 << 20}));
    });
    refused(&container, &container.create().output(), &[], &["linux.resources.memory"]);
}

#[test]
fn a_readonly_cgroupfs() {
    let container = Container::new(|_| {});
    let prologue = "for m in $(grep -o ' /sys/fs/cgroup[^ ]* ' /proc/self/mountinfo); do mount -o remount,bind,ro $m; done";
    let outcome = container.create().private_mounts().prologue(prologue).output();
    refused(&container, &outcome, &["read-only file system"], &["/sys/fs/cgroup", "EROFS"]);
}

#[test]
fn no_cgroupfs_at_all() {
    only_corten!("refusing a machine without cgroups");
    let container = Container::new(|_| {});
    let outcome = container.create().private_mounts().prologue("umount -l /sys/fs/cgroup").output();
    refused(&container, &outcome, &["cgroup"], &[]);
}

#[test]
fn a_cpuset_that_the_machine_lacks() {
    skip_if!(!cgroup::has("cpuset"), "no cpuset controller");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/cpu", json!({"cpus": "999"}));
    });
    refused(&container, &container.create().output(), &["cpuset.cpus"], &["linux.resources.cpu.cpus", "999"]);
}

#[test]
fn a_quota_that_the_kernel_refuses() {
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/cpu", json!({"quota": 1, "period": 100_000}));
    });
    refused(
        &container,
        &container.create().output(),
        &["invalid argument"],
        &["linux.resources.cpu.quota", "EINVAL"],
    );
}

#[test]
fn a_hugepage_size_that_the_machine_lacks() {
    let container = Container::in_view(spec_tests::view::View::V2, |bundle| {
        bundle.set("/linux/resources/hugepageLimits", json!([{"pageSize": "3MB", "limit": 1}]));
    });
    refused(&container, &container.create().output(), &["hugetlb"], &["linux.resources.hugepageLimits[0]"]);
}

#[test]
fn a_cgroup_path_that_climbs() {
    let mut container = Container::new(|_| {});
    let victim = container.cgroup().path.replace("/c", "");
    container.bundle.set("/linux/cgroupsPath", format!("/{}/a/../../../..{victim}", container.id));
    let outcome = container.run().output();
    // Either refused, or taken within the hierarchy; never anywhere else.
    assert!(outcome.code == 0 || !outcome.stderr.is_empty(), "{outcome}");
    container.assert_nothing_left();
}

#[test]
fn update_that_the_kernel_refuses_leaves_the_container_running() {
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    let container = Container::sleeping(|_| {});
    let outcome = container.command(["update", "--cpu-quota", "1", &container.id]).output();
    assert!(outcome.fails().contains("invalid argument"), "{outcome}");
    assert_eq!(container.status(), "running");
}

#[test]
fn update_that_fails_half_way_says_which_field() {
    only_corten!("naming the field");
    skip_if!(!cgroup::has("cpuset"), "no cpuset controller");
    let container = Container::sleeping(|_| {});
    let outcome = container.command(["update", "--cpuset-cpus", "999", &container.id]).output();
    assert!(outcome.fails().contains("cpu"), "{outcome}");
    assert_eq!(container.status(), "running");
}
