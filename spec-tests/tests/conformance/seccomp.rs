//! Seccomp filters as a container meets them. A suite of its own, `seccomp_oracle`, proves that a filter means what its
//! profile says.

use std::os::fd::{AsRawFd, OwnedFd};

use serde_json::{Value, json};
use spec_tests::bundle::Bundle;
use spec_tests::console::FdSocket;
use spec_tests::container::Container;
use spec_tests::only_corten;

fn forbid_mkdir(bundle: &mut Bundle, rule: Value) {
    let mut rule = rule;
    rule["names"] = json!(["mkdir", "mkdirat"]);
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
}

#[test]
fn a_rule_with_an_errno_gives_that_errno() {
    for no_new_privileges in [true, false] {
        let container = Container::new(|bundle| {
            forbid_mkdir(bundle, json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 28}));
            bundle.set("/process/noNewPrivileges", no_new_privileges);
        });
        let seen = container.sees("mkdir /tmp/x 2>&1; grep Seccomp: /proc/self/status | tr -d '\\t'");
        assert!(seen.contains("No space left on device"), "{seen}");
        assert!(seen.contains("Seccomp:2"), "{seen}");
    }
}

#[test]
fn a_rule_that_kills_ends_the_process_with_sigsys() {
    let mut container =
        Container::new(|bundle| forbid_mkdir(bundle, json!({"action": "SCMP_ACT_KILL_PROCESS"})));
    container.bundle.args(["mkdir", "/tmp/x"]);
    assert_eq!(container.run().output().code, 128 + 31);
}

#[test]
fn a_filter_that_forbids_even_to_exit_ends_the_container() {
    for no_new_privileges in [false, true] {
        let container = Container::new(|bundle| {
            let rules = json!([{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}]);
            bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}));
            bundle.set("/process/noNewPrivileges", no_new_privileges).args(["true"]);
        });
        let outcome = container.run().output();
        assert_ne!(outcome.code, 0, "{outcome}");
    }
}

#[test]
fn the_process_of_exec_is_filtered_too() {
    let container = Container::sleeping(|bundle| {
        forbid_mkdir(bundle, json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 28}))
    });
    let outcome = container.exec(&["sh", "-c", "mkdir /tmp/x 2>&1; true"]).output();
    assert!(outcome.ok().contains("No space left on device"));
}

/// What a process that is forked last calls until it executes its program, and what busybox calls from there on.
const NARROW: &str = "\
    fcntl rt_sigaction getgid getegid setgid setuid clone3 clone sendmsg prctl poll ppoll setsid stat newfstatat faccessat2 write read rt_sigprocmask \
    signalfd4 fstat nanosleep clock_nanosleep close mmap munmap mremap execve open openat geteuid \
    arch_prctl brk exit_group getrandom getuid mprotect prlimit64 readlink readlinkat rseq \
    set_robust_list set_tid_address";

#[test]
fn a_narrow_profile_kills_nobody_who_is_born_under_it() {
    only_corten!("knowing what its own processes call");
    let narrow = |bundle: &mut Bundle| {
        let names: Vec<&str> = NARROW.split_whitespace().collect();
        let rules = json!([{"names": names, "action": "SCMP_ACT_ALLOW"}]);
        let profile = json!({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": rules});
        bundle.set("/linux/seccomp", profile).set("/process/noNewPrivileges", true).args(["sleep", "1000"]);
    };
    let container = Container::sleeping(narrow);
    container.exec(&["true"]).output().ok();
    let joining = Container::new(|bundle| {
        narrow(bundle);
        bundle.namespace("pid", Some(&format!("/proc/{}/ns/pid", container.pid())));
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    });
    joining.create().output().ok();
    let plan = joining.command(["plan", joining.bundle.dir.to_str().unwrap()]).output().ok();
    assert!(plan.contains("install-seccomp-inherited"), "{plan}");
    joining.start().ok();
    assert_eq!(joining.status(), "running");
}

#[test]
fn an_unknown_system_call_is_passed_over() {
    let container = Container::new(|bundle| {
        let rule = json!({"names": ["teleport", "mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28});
        bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
    });
    assert_eq!(container.sees("echo here"), "here");
}

#[test]
fn a_listener_is_handed_to_the_agent_with_the_containers_state() {
    for no_new_privileges in [true, false] {
        let mut container =
            Container::new(|bundle| forbid_mkdir(bundle, json!({"action": "SCMP_ACT_NOTIFY"})));
        let agent = FdSocket::listen(container.dir.join("agent.sock"));
        container.bundle.set("/linux/seccomp/listenerPath", agent.path.to_str().unwrap());
        container.bundle.set("/linux/seccomp/listenerMetadata", "meta");
        container.bundle.set("/process/noNewPrivileges", no_new_privileges);
        container.bundle.args(["sleep", "1000"]);
        container.bundle.save();
        let state = std::thread::scope(|scope| {
            let created = scope.spawn(|| container.create().output());
            let (listener, text) = agent.receive();
            assert_is_listener(&listener);
            created.join().unwrap().ok();
            serde_json::from_str::<Value>(&text).unwrap()
        });
        assert_eq!(state["fds"], json!(["seccompFd"]), "{state}");
        assert_eq!(state["metadata"], "meta", "{state}");
        assert_eq!(state["pid"], container.pid(), "{state}");
        assert_eq!(state["state"]["id"], container.id, "{state}");
        assert_eq!(state["state"]["status"], "creating", "{state}");
        container.start().ok();
        assert_eq!(container.status(), "running");
    }
}

#[test]
fn exec_hands_a_listener_over_too() {
    let mut container = Container::new(|bundle| forbid_mkdir(bundle, json!({"action": "SCMP_ACT_NOTIFY"})));
    let agent = FdSocket::listen(container.dir.join("agent.sock"));
    container.bundle.set("/linux/seccomp/listenerPath", agent.path.to_str().unwrap());
    container.bundle.args(["sleep", "1000"]);
    container.bundle.save();
    std::thread::scope(|scope| {
        let created = scope.spawn(|| container.create().output());
        agent.receive();
        created.join().unwrap().ok();
        container.start().ok();
        let exec = scope.spawn(|| container.exec(&["true"]).output());
        let (listener, text) = agent.receive();
        assert_is_listener(&listener);
        let state: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(state["state"]["status"], "running", "{state}");
        assert_ne!(state["pid"], container.pid(), "{state}");
        exec.join().unwrap().ok();
    });
}

/// A container whose filter gives notice of this call.
fn notifying(call: &str, no_new_privileges: bool) -> (Container, FdSocket) {
    let mut container = Container::new(|bundle| {
        let rule = json!({"names": [call], "action": "SCMP_ACT_NOTIFY"});
        bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
        bundle.set("/process/noNewPrivileges", no_new_privileges).args(["sleep", "1000"]);
    });
    let agent = FdSocket::listen(container.dir.join("agent.sock"));
    container.bundle.set("/linux/seccomp/listenerPath", agent.path.to_str().unwrap());
    container.bundle.save();
    (container, agent)
}

#[test]
fn a_listener_is_handed_over_whatever_calls_give_notice() {
    let calls = ["sendmsg", "recvmsg", "poll", "ppoll", "sendto", "recvfrom", "fcntl", "dup", "setsockopt"];
    for (call, no_new_privileges) in calls.into_iter().flat_map(|call| [(call, true), (call, false)]) {
        let (container, agent) = notifying(call, no_new_privileges);
        std::thread::scope(|scope| {
            let created = scope.spawn(|| container.create().output());
            let (listener, _) = agent.receive();
            scope.spawn(move || answer_all(&listener));
            created.join().unwrap().ok();
            container.start().ok();
            let exec = scope.spawn(|| container.exec(&["true"]).output());
            let (listener, _) = agent.receive();
            scope.spawn(move || answer_all(&listener));
            exec.join().unwrap().ok();
            container.kill("KILL").ok();
        });
    }
}

#[test]
fn create_needs_no_answer_of_the_agent_for_what_the_runtime_calls() {
    for call in ["sendmsg", "recvmsg", "poll"] {
        let (container, agent) = notifying(call, true);
        std::thread::scope(|scope| {
            let created = scope.spawn(|| container.create().output());
            let (_listener, _) = agent.receive();
            created.join().unwrap().ok();
        });
    }
}

#[test]
fn notice_of_write_is_refused_because_no_runtime_could_start_then() {
    let (container, _agent) = notifying("write", true);
    container.create().output().fails_with("write");
    container.assert_nothing_left();
}

/// Answers every notice with "go on", until no process has the filter any more.
fn answer_all(listener: &OwnedFd) {
    const RECEIVE: u64 = 0xc050_2100;
    const SEND: u64 = 0xc018_2101;
    loop {
        let mut fds = [rustix::event::PollFd::new(listener, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, None).expect("poll");
        if fds[0].revents().contains(rustix::event::PollFlags::HUP) {
            return;
        }
        let mut notice = [0_u64; 10];
        // SAFETY: the kernel writes a `struct seccomp_notif`, which is 80 bytes long.
        if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE as _, notice.as_mut_ptr()) } < 0 {
            continue;
        }
        // The id, no value, no error, and SECCOMP_USER_NOTIF_FLAG_CONTINUE.
        let mut answer = [notice[0], 0, 1 << 32];
        // SAFETY: the kernel reads a `struct seccomp_notif_resp`, which is 24 bytes long.
        unsafe { libc::ioctl(listener.as_raw_fd(), SEND as _, answer.as_mut_ptr()) };
    }
}

#[test]
fn a_listener_that_nobody_takes_is_an_error() {
    let mut container = Container::new(|bundle| forbid_mkdir(bundle, json!({"action": "SCMP_ACT_NOTIFY"})));
    let nowhere = container.path("nowhere.sock");
    container.bundle.set("/linux/seccomp/listenerPath", nowhere);
    container.create().output().fails();
    container.assert_nothing_left();
}

fn assert_is_listener(fd: &OwnedFd) {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
    assert!(link.to_string_lossy().contains("seccomp"), "{link:?}");
}
