//! What the payload is: its user, groups, umask, environment, directory, limits, priorities.

use serde_json::{Value, json};
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::not_in_runc_1_1;
use spec_tests::runtime::{Call, eventually};

#[test]
fn user_and_groups_are_set() {
    let container = Container::new(|bundle| {
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}));
    });
    assert_eq!(container.sees("id -u; id -g; id -G"), "1000\n1001\n1001 5 6");
}

#[test]
fn the_callers_groups_are_dropped() {
    let container = Container::new(|_| {});
    assert_eq!(container.sees("grep Groups /proc/self/status").trim(), "Groups:");
}

#[test]
fn umask_is_set() {
    let container = Container::new(|bundle| {
        bundle.set("/process/user/umask", 0o27);
    });
    assert_eq!(container.sees("umask"), "0027");
}

#[test]
fn umask_is_0022_by_default() {
    let mut container = Container::new(|_| {});
    container.bundle.sh("umask");
    assert_eq!(container.run().prologue("umask 0077").output().ok(), "0022");
}

#[test]
fn working_directory_is_entered() {
    let container = Container::new(|bundle| {
        bundle.set("/process/cwd", "/var");
    });
    assert_eq!(container.sees("pwd"), "/var");
}

#[test]
fn a_missing_working_directory_is_made() {
    let container = Container::new(|bundle| {
        bundle.set("/process/cwd", "/not/there/yet");
    });
    assert_eq!(container.sees("pwd"), "/not/there/yet");
}

#[test]
fn a_relative_working_directory_is_refused() {
    let container = Container::new(|bundle| {
        bundle.set("/process/cwd", "var");
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_working_directory_that_the_user_alone_may_enter_is_entered() {
    let container = Container::new(|bundle| {
        bundle.set("/process/user/uid", 1000).set("/process/cwd", "/own").capabilities(&[]);
        let own = bundle.rootfs().join("own");
        std::fs::create_dir(&own).unwrap();
        std::os::unix::fs::chown(&own, Some(1000), Some(1000)).unwrap();
        std::fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    });
    assert_eq!(container.sees("pwd"), "/own");
}

#[test]
fn environment_is_that_of_config_json_alone() {
    let mut container = Container::new(|bundle| {
        bundle.set("/process/env", json!(["PATH=/bin", "A=b c", "EMPTY="]));
    });
    container.bundle.args(["env"]);
    let outcome = container.run().env("LEAK", "1").output().ok();
    let mut lines: Vec<_> = outcome.lines().filter(|line| !line.starts_with("HOME=")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=b c", "EMPTY=", "PATH=/bin"]);
}

#[test]
fn the_last_of_two_values_wins() {
    let container = Container::new(|bundle| {
        bundle.set("/process/env", json!(["PATH=/bin", "A=1", "A=2"]));
    });
    assert_eq!(container.sees("echo $A"), "2");
}

#[test]
fn home_comes_from_the_containers_passwd() {
    let container = Container::new(|bundle| {
        bundle.set("/process/user/uid", 1000);
    });
    assert_eq!(container.sees("echo $HOME"), "/home/user");
    let stranger = Container::new(|bundle| {
        bundle.set("/process/user/uid", 4711);
    });
    assert_eq!(stranger.sees("echo $HOME"), "/");
}

#[test]
fn home_from_config_json_is_kept() {
    let container = Container::new(|bundle| {
        bundle.push("/process/env", "HOME=/elsewhere");
    });
    assert_eq!(container.sees("echo $HOME"), "/elsewhere");
}

#[test]
fn the_payload_is_looked_up_in_the_path_of_its_environment() {
    let mut container = Container::new(|bundle| {
        bundle.set("/process/env", json!(["PATH=/nowhere:/opt/tools"]));
        std::fs::create_dir_all(bundle.rootfs().join("opt/tools")).unwrap();
        std::fs::hard_link(bundle.rootfs().join("bin/busybox"), bundle.rootfs().join("opt/tools/hostname"))
            .unwrap();
    });
    container.bundle.args(["hostname"]);
    assert_eq!(container.run().output().ok(), "box");
}

#[test]
fn rlimits_are_set() {
    let container = Container::new(|bundle| {
        bundle.set(
            "/process/rlimits",
            json!([
                {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
                {"type": "RLIMIT_NPROC", "soft": 500, "hard": 600},
            ]),
        );
    });
    let seen = container.sees("ulimit -Sn; ulimit -Hn; ulimit -c; grep processes /proc/self/limits");
    let words: Vec<_> = seen.split_whitespace().collect();
    assert_eq!(words, ["100", "200", "0", "Max", "processes", "500", "600", "processes"]);
}

/// A command that may not set the rlimits of another user's process.
fn without_sys_resource(call: Call<'_>) -> Call<'_> {
    call.by(["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"])
}

/// What lets a caller without CAP_SYS_RESOURCE meet the limits of another user, and a filter that forbids to set them.
type Configure = fn(&mut Bundle);

const LIMITED: [Configure; 5] = [
    |_| {},
    |bundle| _ = bundle.user_namespace(100_000),
    |bundle| _ = bundle.namespace("pid", Some(&format!("/proc/{}/ns/pid", std::process::id()))),
    |bundle| _ = bundle.set("/process/noNewPrivileges", true).set("/linux/seccomp", without_prlimit()),
    |bundle| _ = bundle.set("/process/noNewPrivileges", false).set("/linux/seccomp", without_prlimit()),
];

/// Tells limits and OOM score of a process that may be forbidden to ask for limits.
const TOLD: &str =
    "grep -E 'open files|core file' /proc/self/limits | tr -s ' '; cat /proc/self/oom_score_adj";

fn without_prlimit() -> Value {
    let forbidden = json!([{"names": ["prlimit64", "setrlimit"], "action": "SCMP_ACT_ERRNO"}]);
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": forbidden})
}

#[test]
fn rlimits_of_another_user_need_no_right_to_be_lowered() {
    let limits = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]);
    for configure in LIMITED {
        let container = Container::new(|bundle| {
            bundle.set("/process/rlimits", limits.clone()).set("/process/user/uid", 1000);
            bundle.set("/process/oomScoreAdj", 500);
            configure(bundle);
            bundle.sh(&format!("{TOLD}; sleep 1000"));
        });
        let output = container.path("output");
        let run = without_sys_resource(container.run_with(["--detach"]));
        run.prologue(&format!("exec > {output}")).output().ok();
        let seen = "Max core file size 0 0 bytes \nMax open files 100 200 files \n500\n";
        eventually("limits", || std::fs::read_to_string(&output).unwrap() == seen);

        let process = json!({
            "cwd": "/", "args": ["sh", "-c", TOLD],
            "env": ["PATH=/bin"], "user": {"uid": 1001, "gid": 1}, "oomScoreAdj": 500,
            "rlimits": [
                {"type": "RLIMIT_NOFILE", "soft": 50, "hard": 50}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            ],
        });
        let process = container.file("process.json", &process.to_string());
        let exec = container.command(["exec", "--process", &process, &container.id]);
        let seen = "Max core file size 0 0 bytes \nMax open files 50 50 files \n500";
        assert_eq!(without_sys_resource(exec).output().ok(), seen);
    }
}

#[test]
fn a_user_at_the_limit_of_its_processes_starts() {
    let container = Container::new(|bundle| {
        bundle.set("/process/user/uid", 54_321);
        bundle.set("/process/rlimits", json!([{"type": "RLIMIT_NPROC", "soft": 1, "hard": 1}]));
        bundle.sh("read line </proc/self/limits; echo $line");
    });
    assert_eq!(without_sys_resource(container.run()).output().ok(), "Limit Soft Limit Hard Limit Units");
}

#[test]
fn an_rlimit_that_is_raised_without_the_right_is_an_error() {
    let raised = json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 1_u64 << 40}]);
    for uid in [0, 1000] {
        let container = Container::new(|bundle| {
            bundle.set("/process/rlimits", raised.clone()).set("/process/user/uid", uid);
        });
        let run = without_sys_resource(container.run()).prologue("ulimit -c 100");
        run.output().fails();
        container.assert_nothing_left();
    }
}

#[test]
fn an_rlimit_given_twice_is_refused() {
    not_in_runc_1_1!("takes the last of two rlimits");
    let container = Container::new(|bundle| {
        let limit = json!({"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200});
        bundle.set("/process/rlimits", json!([limit, limit]));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn an_unknown_rlimit_is_refused() {
    let container = Container::new(|bundle| {
        bundle.set("/process/rlimits", json!([{"type": "RLIMIT_PATIENCE", "soft": 1, "hard": 1}]));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn no_new_privileges_is_set() {
    let container = Container::new(|bundle| {
        bundle.set("/process/noNewPrivileges", true);
    });
    assert_eq!(container.sees("grep NoNewPrivs /proc/self/status"), "NoNewPrivs:\t1");
}

#[test]
fn oom_score_is_adjusted() {
    let container = Container::new(|bundle| {
        bundle.set("/process/oomScoreAdj", 500);
    });
    assert_eq!(container.sees("cat /proc/self/oom_score_adj"), "500");
}

#[test]
fn scheduler_is_set() {
    not_in_runc_1_1!("knows no scheduler");
    let container = Container::new(|bundle| {
        bundle.set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 5}));
    });
    let seen = container.sees("grep ^policy /proc/self/sched; cut -d' ' -f19 /proc/self/stat");
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["policy", ":", "3", "5"]);
}

#[test]
fn io_priority_is_set() {
    not_in_runc_1_1!("knows no ioPriority");
    let container = Container::new(|bundle| {
        bundle.set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 6}));
    });
    assert_eq!(container.sees("ionice -p 1"), "best-effort: prio 6");
}

#[test]
fn personality_is_set() {
    not_in_runc_1_1!("knows no personality");
    let container = Container::new(|bundle| {
        bundle.set("/linux/personality", json!({"domain": "LINUX32"}));
        bundle.unmask("/proc/self/personality");
    });
    assert_eq!(container.sees("cat /proc/self/personality"), "00000008");
}

#[test]
fn the_container_has_a_session_keyring_of_its_own() {
    let container = Container::new(|bundle| {
        bundle.unmask("/proc/keys");
    });
    let seen = container.sees("cat /proc/keys");
    assert!(seen.contains(&format!("_ses.{}", container.id)), "{seen}");
}

#[test]
fn no_new_keyring_keeps_the_callers_keyring() {
    let mut container = Container::new(|bundle| {
        bundle.unmask("/proc/keys");
    });
    container.bundle.sh("cat /proc/keys");
    let seen = container.run_with(["--no-new-keyring"]).output().ok();
    assert!(!seen.contains(&format!("_ses.{}", container.id)), "{seen}");
}

#[test]
fn the_payload_leads_a_session_of_its_own() {
    let container = Container::new(|_| {});
    // Fields of /proc/PID/stat: pid, comm, state, ppid, pgrp, session.
    assert_eq!(container.sees("cut -d' ' -f1,4,5,6 /proc/1/stat"), "1 0 1 1");
}

#[test]
fn the_payload_starts_with_no_signal_blocked_or_ignored() {
    let mut container = Container::new(|_| {});
    container.bundle.args(["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"]);
    let outcome = container.run().prologue("trap '' HUP").output();
    let masks: Vec<_> = outcome.ok().split_whitespace().map(str::to_owned).collect();
    assert_eq!(masks[..2], ["SigBlk:", "0000000000000000"]);
}

#[test]
fn cpu_affinity_of_the_caller_is_not_inherited() {
    not_in_runc_1_1!("hands the caller's affinity on");
    spec_tests::skip_if!(std::thread::available_parallelism().map_or(1, usize::from) < 2, "one CPU");
    let mut container = Container::new(|_| {});
    container.bundle.sh("grep Cpus_allowed_list /proc/self/status | cut -f2");
    let all = container.run().output().ok();
    assert_eq!(container.run().prologue("taskset -p 1 $$ >/dev/null").output().ok(), all);
}

#[test]
fn what_joins_has_the_cpus_that_are_for_exec() {
    not_in_runc_1_1!("reads no execCPUAffinity");
    spec_tests::skip_if!(std::thread::available_parallelism().map_or(1, usize::from) < 2, "one CPU");
    let container = Container::sleeping(|bundle| {
        bundle.set("/process/execCPUAffinity", serde_json::json!({"initial": "0", "final": "1"}));
    });
    assert_eq!(container.inside("grep Cpus_allowed_list /proc/self/status | cut -f2"), "1");
}

#[test]
fn a_big_environment_and_a_long_command_line_arrive() {
    let mut container = Container::new(|bundle| {
        for n in 0..3000 {
            bundle.push("/process/env", format!("VARIABLE_{n}=value {n}"));
        }
    });
    let long = "x".repeat(100_000);
    container.bundle.args(["sh", "-c", "env | grep -c ^VARIABLE_; echo ${#1}", "sh", &long]);
    assert_eq!(container.run().output().ok(), "3000\n100000");
}
