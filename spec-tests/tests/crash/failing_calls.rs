//! Driven by strace: each system call that a start makes, outside and inside, fails once, with several errors.
//!
//! The container then starts as it was asked for, or it doesn't and says why. It never hangs, leaves nothing, and is
//! never less protected: what the kernel tells of its process is compared with what it tells of an undisturbed one.

use std::collections::BTreeMap;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::runtime::Outcome;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;
use spec_tests::skip_if;

use crate::{at_each, left_after_delete};

const PATIENCE: Duration = Duration::from_secs(10);

/// A sysctl of the container's network namespace.
const SYSCTL: &str = "net.ipv4.ip_unprivileged_port_start";

const ERRORS: [&str; 3] = ["EIO", "ENOSYS", "EPERM"];

/// Calls that have no error, and `close`, which closes the descriptor even if it fails.
const CANNOT_FAIL: [&str; 7] = ["close", "exit", "exit_group", "geteuid", "getuid", "rt_sigreturn", "umask"];

fn container() -> Container {
    Container::new(|bundle| {
        bundle.args(["sleep", "1000"]);
        bundle.mount("bind", "/bin/busybox", "/bound", &["bind", "ro", "nosuid"]);
        bundle.set("/linux/resources/pids", json!({ "limit": 77 }));
        bundle.set("/linux/resources/memory", json!({ "limit": 67_108_864 }));
        bundle.set("/linux/sysctl", json!({ SYSCTL: "7" }));
        bundle.set("/linux/seccomp", docker_profile());
        bundle.namespace("cgroup", None);
        bundle.set("/process/noNewPrivileges", true);
        bundle.set("/process/oomScoreAdj", 123);
        bundle.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 }]));
        bundle.set("/root/readonly", true);
    })
}

fn docker_profile() -> Value {
    serde_json::from_str(include_str!("../../data/seccomp/docker-28.5-default.json")).expect("a profile")
}

/// What protects the process of a started container, each line the same in every run.
fn protections(container: &Container) -> Vec<String> {
    let pid = container.pid();
    let of_process = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let kept = |file: &str, keep: fn(&str) -> bool| -> Vec<String> {
        of_process(file).lines().filter(|line| keep(line)).map(str::to_owned).collect()
    };
    let mut lines = kept("status", |line| {
        ["Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp", "Umask"]
            .iter()
            .any(|name| line.starts_with(name))
    });
    lines.extend(kept("limits", |_| true));
    lines.extend(kept("oom_score_adj", |_| true).iter().map(|score| format!("oom_score_adj {score}")));
    lines.extend(of_process("mountinfo").lines().map(mount));
    for entry in fs::read_dir(format!("/proc/{pid}/ns")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let own = fs::read_link(entry.path()).ok();
        let host = fs::read_link(format!("/proc/self/ns/{name}")).ok();
        lines.push(format!("{name} namespace: {}", if own == host { "the host's" } else { "its own" }));
    }
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    lines.extend(descriptors.map(|fd| format!("descriptor {}", fd.file_name().to_string_lossy())));
    let cgroup = container.cgroup();
    for dir in cgroup.existing() {
        let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        // systemd's hierarchy and, beside v1, the unified one limit nothing. The container joins them if it can.
        if dir.starts_with("/sys/fs/cgroup/systemd") || (cgroup::is_v1("pids") && dir == cgroup.unified()) {
            continue;
        }
        let inside = if procs.trim() == pid.to_string() { "alone in" } else { "not in" };
        lines.push(format!("{inside} {}", dir.display()).replace(&cgroup.path, "CGROUP"));
    }
    for file in ["pids.max", "memory.limit_in_bytes", "memory.max", "devices.list", "freezer.state"] {
        lines.extend(cgroup.read(file).lines().map(|line| format!("{file} {line}")));
    }
    let sysctl = Command::new("nsenter")
        .args([
            "--net",
            "--target",
            &pid.to_string(),
            "cat",
            &format!("/proc/sys/{}", SYSCTL.replace('.', "/")),
        ])
        .output()
        .expect("nsenter");
    lines.push(format!("{SYSCTL} {}", String::from_utf8_lossy(&sysctl.stdout).trim()));
    lines.sort();
    lines
}

/// The mount of a line of mountinfo: its place, its options, its propagation and its filesystem.
fn mount(line: &str) -> String {
    let fields: Vec<&str> = line.split(' ').collect();
    let (own, of_filesystem) = line.split_once(" - ").unwrap_or((line, ""));
    let passes_on =
        own.split(' ').skip(6).map(|tag| tag.split(':').next().unwrap_or(tag)).collect::<Vec<_>>();
    let fstype = of_filesystem.split(' ').next().unwrap_or("");
    let options = of_filesystem.rsplit(' ').next().unwrap_or("").split(',').next().unwrap_or("");
    format!("{} {} {} {fstype} {options}", fields[4], fields[5], passes_on.join(" "))
}

/// The N-th call of a kind. strace counts for each process, so N goes up to the largest number of calls that a process
/// makes.
#[derive(Clone)]
struct Place {
    call: String,
    number: usize,
}

/// Runs a container once under strace, and lists every place at which a call could fail.
fn places() -> Vec<Place> {
    let container = container();
    let log = container.path("strace");
    container.run_with(["--detach"]).by(["strace", "-D", "-f", "-qq", "-o", &log]).output().ok();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in fs::read_to_string(log).expect("a trace").lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        let is_call = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_call && !CANNOT_FAIL.contains(&name) {
            *counts.entry((pid.to_owned(), name.to_owned())).or_default() += 1;
        }
    }
    let mut most: BTreeMap<String, usize> = BTreeMap::new();
    for ((_, call), count) in counts {
        let known = most.entry(call).or_default();
        *known = count.max(*known);
    }
    let numbered =
        |(call, most): (String, usize)| (1..=most).map(move |number| Place { call: call.clone(), number });
    most.into_iter().flat_map(numbered).collect()
}

/// Runs a container while a call fails; what is wrong with the result.
fn attempt(Place { call, number }: &Place, error: &str, expected: &[String]) -> Option<String> {
    let container = container();
    let log = container.path("strace");
    let inject = format!("inject={call}:error={error}:when={number}");
    let strace = ["strace", "-D", "-f", "-qq", "-o", &log, "-e", &format!("trace={call}"), "-e", &inject];
    let run = container.run_with(["--detach"]).by(strace).deadline(PATIENCE).output_or_kill();
    let wrong = match run {
        None => Some("hung".to_owned()),
        Some(run) if run.code != 0 => {
            let left = container.leftovers();
            let wrong_words = unclear(&run).filter(|_| !is_of_libc(call));
            let left = (!left.is_empty() && !is_of_undo(call)).then(|| format!("left {}", left.join(", ")));
            wrong_words.or(left)
        }
        Some(_) => lacking(&container, expected),
    };
    let left = left_after_delete(&container, "");
    let wrong: Vec<String> = wrong.into_iter().chain(left).collect();
    (!wrong.is_empty()).then(|| format!("{call} #{number} {error}: {}", wrong.join("; ")))
}

/// libc and Rust's runtime can't go on if one of these calls fails.
fn is_of_libc(call: &str) -> bool {
    ["arch_prctl", "brk", "getrandom", "mmap", "mprotect", "poll"].contains(&call)
}

/// The call that fails may itself be part of the undoing. Then `delete` has to do it.
fn is_of_undo(call: &str) -> bool {
    ["rmdir", "unlinkat", "unlink", "kill", "pidfd_send_signal"].contains(&call)
}

/// What is wrong with the text by which a command says that it failed.
fn unclear(outcome: &Outcome) -> Option<String> {
    match outcome.stderr.trim().lines().filter(|line| !line.starts_with("hint: ")).count() {
        1 => None,
        0 => Some(format!("failed with {} and no word", outcome.code)),
        _ => Some(format!("failed with more than one line: {}", outcome.stderr)),
    }
}

/// The protections that a started container doesn't have.
fn lacking(container: &Container, expected: &[String]) -> Option<String> {
    let found = protections(container);
    let odd = |these: &[String], others: &[String]| {
        these.iter().filter(|line| !others.contains(line)).cloned().collect::<Vec<_>>().join(" | ")
    };
    // The container's program is traced as well, and may have ended because its own call failed.
    let runs = container.status() == "running";
    (runs && found != expected)
        .then(|| format!("has `{}` for `{}`", odd(&found, expected), odd(expected, &found)))
}

#[test]
fn a_call_that_fails_leaves_nothing_and_no_less_protection() {
    skip_if!(!fs::exists("/usr/bin/strace").unwrap_or(false), "strace is not installed");
    let undisturbed = container();
    undisturbed.run_with(["--detach"]).output().ok();
    let expected = protections(&undisturbed);
    assert!(expected.iter().any(|line| line == "Seccomp:\t2"), "{expected:#?}");
    let places: Vec<(Place, &str)> =
        places().into_iter().flat_map(|place| ERRORS.map(|error| (place.clone(), error))).collect();
    known_to_fail_on_runc_1_1_5(AssertUnwindSafe(|| {
        at_each(&places, |(place, error)| attempt(place, error, &expected));
    }));
}
