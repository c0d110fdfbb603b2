//! cgroups that refuse: full, too small, read-only.

use std::fs;

use serde_json::json;
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::manager::Manager;
use spec_tests::runtime::eventually;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;
use spec_tests::view::View;
use spec_tests::{leftovers, only_corten, skip_if};

use crate::{one_line, refused};

/// Leaves a test whose container has a place in the hierarchy that no unit has.
macro_rules! without_systemd {
    () => {
        skip_if!(Manager::of_environment() == Manager::Systemd, "a path that is no unit's");
    };
}

#[test]
fn a_parent_whose_pids_are_used_up() {
    skip_if!(!cgroup::has("pids"), "no pids controller");
    skip_if!(
        Manager::of_environment() == Manager::Systemd,
        "the parent is the slice of all tests, and systemd's"
    );
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

#[test]
fn a_container_in_the_cgroup_of_one_that_has_ended_outlives_its_deletion() {
    without_systemd!();
    for view in View::all() {
        let ended = Container::in_view(*view, |_| {});
        let beside = second(ended, "");
        beside.deleting_the_first_ends_only_that(&["delete"]);
    }
}

#[test]
fn a_container_in_the_cgroup_of_one_that_has_ended_in_a_shared_pid_namespace() {
    without_systemd!();
    known_to_fail_on_runc_1_1_5(|| {
        for view in View::all() {
            let ended = Container::in_view(*view, |bundle| {
                bundle.share_namespace("pid");
            });
            second(ended, "").deleting_the_first_ends_only_that(&["delete"]);
        }
    });
}

#[test]
fn a_container_below_the_cgroup_of_another_outlives_its_deletion_by_force() {
    without_systemd!();
    for view in View::all() {
        let outer = Container::in_view(*view, |bundle| {
            bundle.args(["sleep", "1000"]);
        });
        second(outer, "/inner").deleting_the_first_ends_only_that(&["delete", "--force"]);
    }
}

/// A container, and another one of the same runtime whose cgroup is the first's or below it.
struct Two {
    first: Container,
    second: String,
}

/// Starts a container, and a second one in the cgroup `below` the first's. If they share it, the first has ended.
fn second(mut first: Container, below: &str) -> Two {
    first.create().output().ok();
    first.start().ok();
    if below.is_empty() {
        first.wait_stopped();
    }
    let second = format!("{}-2", first.id);
    first.also_delete(&second);
    let mut bundle = first.bundle.clone();
    bundle.set("/linux/cgroupsPath", format!("{}{below}", first.cgroup().path)).args(["sleep", "1000"]);
    bundle.save();
    let dir = bundle.dir.to_str().unwrap();
    first.command(["run", "--detach", "--bundle", dir, &second]).output().ok();
    Two { first, second }
}

impl Two {
    #[track_caller]
    fn deleting_the_first_ends_only_that(&self, command: &[&str]) {
        let deleted = self.first.command([command, &[&self.first.id]].concat()).output();
        let state = self.first.command(["state", &self.second]).output().ok();
        assert!(state.contains("\"running\""), "{state} after {deleted}");
        // runc 1.1 says so in its log, and ends well.
        assert!(deleted.code != 0 || !spec_tests::subject::subject().is_corten(), "{deleted}");
    }
}

#[test]
fn a_parent_that_is_frozen() {
    only_corten!("a refusal to join what is frozen; runc 1.1 waits, and heeds no signal");
    without_systemd!();
    for view in View::all() {
        let container = Container::in_view(*view, |_| {});
        let own = match view {
            View::V2 => container.cgroup().unified(),
            _ => container.cgroup().dir("freezer").unwrap(),
        };
        let parent = own.parent().unwrap();
        fs::create_dir_all(parent).unwrap();
        let (file, frozen, thawed) = if *view == View::V2 {
            ("cgroup.freeze", "1", "0")
        } else {
            ("freezer.state", "FROZEN", "THAWED")
        };
        fs::write(parent.join(file), frozen).unwrap();
        let results = [container.create().output(), container.run().output()];
        fs::write(parent.join(file), thawed).unwrap();
        for result in results {
            refused(&container, &result, &["frozen"], &[]);
        }
        container.run().output().ok();
    }
}

/// Waits until the runtime collects SIGTERM instead of ending at it.
///
/// The shell that shows the runtime another view of the cgroups, and any libc, block all signals for a moment while
/// they start a program. The runtime blocks all but the signals of its own faults.
fn heeds_sigterm(pid: u32) {
    let bit = |signal: i32| 1_u64 << (signal - 1);
    let collects = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim().to_owned();
        let blocked = u64::from_str_radix(&mask, 16).unwrap();
        blocked & bit(libc::SIGTERM) != 0 && blocked & bit(libc::SIGSEGV) == 0
    };
    eventually("the runtime collects SIGTERM", collects);
}

#[test]
fn a_process_that_waits_in_a_frozen_cgroup_ends_at_a_signal() {
    only_corten!("an exec that heeds signals before its process runs");
    for view in View::all() {
        let container = Container::in_view(*view, |bundle| {
            bundle.args(["sleep", "1000"]);
        });
        container.create().output().ok();
        container.start().ok();
        container.command(["pause", &container.id]).output().ok();
        let exec = container.exec_with(&["--ignore-paused"], &["true"]).spawn();
        heeds_sigterm(exec.pid());
        let pid = rustix::process::Pid::from_raw(exec.pid() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let result = exec.wait();
        assert!(result.fails().contains("ended by a signal"), "{result}");
        container.command(["delete", "--force", &container.id]).output().ok();
        container.assert_nothing_left();
    }
}

#[test]
fn a_child_cgroup_that_the_container_has_frozen() {
    known_to_fail_on_runc_1_1_5(|| {
        skip_if!(!cgroup::is_v1("freezer"), "no v1 freezer");
        let container = Container::sleeping(|bundle| {
            bundle.sh("sleep 1000 & sleep 1000 & wait");
        });
        eventually("three processes", || leftovers::processes(&container.id).len() == 3);
        let below = container.cgroup().dir("freezer").unwrap().join("below/deeper");
        fs::create_dir_all(&below).unwrap();
        let last = leftovers::processes(&container.id).pop().unwrap();
        fs::write(below.join("cgroup.procs"), last.to_string()).unwrap();
        fs::write(below.join("freezer.state"), "FROZEN").unwrap();
        let deleted = container.command(["delete", "--force", &container.id]).output();
        let _ = fs::write(below.join("freezer.state"), "THAWED");
        deleted.ok();
        container.assert_nothing_left();
    });
}

#[test]
fn the_unified_hierarchy_of_a_hybrid_host_is_frozen() {
    skip_if!(!hybrid(), "no hybrid hierarchy");
    let container = Container::sleeping(|_| {});
    fs::write(container.cgroup().unified().join("cgroup.freeze"), "1").unwrap();
    if spec_tests::subject::subject().is_corten() {
        assert_eq!(container.status(), "paused");
        container.exec(&["true"]).output().fails_with("paused");
        container.command(["resume", &container.id]).output().ok();
        container.exec(&["true"]).output().ok();
        fs::write(container.cgroup().unified().join("cgroup.freeze"), "1").unwrap();
    }
    // Killed before it has run a single instruction of its own, the process on its way in is left behind.
    let stuck = container.exec_with(&["--ignore-paused"], &["true"]).spawn();
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(stuck);
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

#[test]
fn a_process_that_is_in_the_unified_hierarchy_alone() {
    skip_if!(!hybrid(), "no hybrid hierarchy");
    known_to_fail_on_runc_1_1_5(|| {
        let container = Container::sleeping(|bundle| {
            bundle.share_namespace("pid").sh("sleep 1000 & sleep 1000 & wait");
        });
        eventually("three processes", || leftovers::processes(&container.id).len() == 3);
        let last = leftovers::processes(&container.id).pop().unwrap().to_string();
        for own in container.cgroup().existing() {
            if own != container.cgroup().unified() {
                // The top of the hierarchy: two levels up.
                let _ = fs::write(own.join("../../cgroup.procs"), &last);
            }
        }
        let listed = container.command(["ps", "--format", "json", &container.id]).output().ok();
        assert!(listed.contains(&last), "{last} in {listed}");
        container.command(["delete", "--force", &container.id]).output().ok();
        container.assert_nothing_left();
    });
}

#[test]
fn without_a_cgroup_delete_says_what_it_leaves() {
    only_corten!("--cgroup-manager");
    without_systemd!();
    let container = Container::new(|bundle| {
        bundle.share_namespace("pid").sh("sleep 2 & exec sleep 1000");
        bundle.config["linux"].as_object_mut().unwrap().remove("cgroupsPath");
    });
    container.run_with(["--detach"]).global(["--cgroup-manager", "disabled"]).output().ok();
    let deleted = container.command(["delete", "--force", &container.id]).output();
    deleted.ok();
    assert!(deleted.stderr.contains("may go on"), "{deleted}");
}

fn hybrid() -> bool {
    fs::exists("/sys/fs/cgroup/unified/cgroup.controllers").unwrap_or(false)
}
