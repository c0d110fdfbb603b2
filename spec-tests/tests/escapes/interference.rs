//! A container that may trace interferes with a process that the runtime waits for: it keeps the end of the process
//! from the runtime, holds the channel or the fifo of the process open, or speaks in its place. The runtime's commands
//! end all the same, and say what is true.

use std::fs;
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use spec_tests::console::FdSocket;
use spec_tests::container::Container;
use spec_tests::payload;
use spec_tests::runtime::eventually;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;

/// How long a command may take that has nothing to wait for but the attacker.
const PATIENCE: Duration = Duration::from_secs(8);
const TIMES: usize = 20;

/// A container whose payload interferes with whatever appears in its pid namespace.
struct Attacker(Container);

impl Attacker {
    fn who(how: &[&str]) -> Attacker {
        let mut container = Container::new(|bundle| {
            bundle.capabilities(&["CAP_SYS_PTRACE"]).args([&["/interfere"], how].concat());
        });
        let program = container.bundle.rootfs().join("interfere");
        payload::build(include_str!("../../data/attacks/interfere.c"), &program);
        container.bundle.set("/linux/maskedPaths", json!([]));
        container.create().output().ok();
        container.start().ok();
        let attacker = Attacker(container);
        eventually("the attacker is ready", || attacker.says("ready"));
        attacker
    }

    fn says(&self, name: &str) -> bool {
        self.0.bundle.rootfs().join("tmp").join(name).exists()
    }

    /// A container in the attacker's pid namespace.
    fn beside(&self, args: &[&str]) -> Container {
        let path = format!("/proc/{}/ns/pid", self.0.pid());
        Container::new(|bundle| {
            bundle.namespace("pid", Some(&path)).args(args.iter().copied());
        })
    }
}

#[test]
fn an_exec_that_fails_ends_though_its_process_is_kept() {
    known_to_fail_on_runc_1_1_5(|| {
        let attacker = Attacker::who(&["keep"]);
        for _ in 0..TIMES {
            attacker.0.exec(&["/nonexistent"]).deadline(PATIENCE).output().fails();
        }
        assert!(attacker.says("caught"), "the attack works");
    });
}

#[test]
fn a_start_that_fails_ends_though_its_process_is_kept() {
    known_to_fail_on_runc_1_1_5(|| {
        let attacker = Attacker::who(&["keep"]);
        for _ in 0..TIMES {
            let beside = attacker.beside(&["/nonexistent"]);
            beside.run().deadline(PATIENCE).output().fails();
            beside.assert_nothing_left();
        }
        assert!(attacker.says("caught"), "the attack works");
    });
}

#[test]
fn an_exec_can_be_ended_though_its_process_is_kept() {
    known_to_fail_on_runc_1_1_5(|| {
        let attacker = Attacker::who(&["keep"]);
        // An exec that ends before the attacker has seen its process is not the one to be asked for.
        let exec = (0..TIMES)
            .map(|_| attacker.0.exec(&["true"]).deadline(PATIENCE).spawn())
            .find_map(|mut exec| {
                eventually("caught or over", || attacker.says("caught") || exec.has_ended());
                attacker.says("caught").then_some(exec)
            })
            .expect("the attack works");
        std::thread::sleep(Duration::from_millis(300));
        kill_process(Pid::from_raw(exec.pid() as i32).unwrap(), Signal::TERM).expect("kill");
        exec.wait().fails();
    });
}

#[test]
fn an_empty_word_is_no_end() {
    known_to_fail_on_runc_1_1_5(|| {
        let attacker = Attacker::who(&["say", ""]);
        for _ in 0..TIMES {
            attacker.0.exec(&["true"]).deadline(PATIENCE).output();
        }
        assert!(attacker.says("caught"), "the attack works");
    });
}

#[test]
fn an_exec_ends_though_its_channel_is_held_open() {
    known_to_fail_on_runc_1_1_5(|| {
        let attacker = Attacker::who(&["copy"]);
        for _ in 0..3 {
            attacker.0.exec(&["true"]).deadline(PATIENCE).output().ok();
            let detached = attacker.0.exec_with(&["--detach"], &["sleep", "100"]);
            detached.deadline(PATIENCE).output().ok();
        }
        assert!(attacker.says("caught"), "the attack works");
    });
}

#[test]
fn a_run_ends_though_its_channel_is_held_open() {
    known_to_fail_on_runc_1_1_5(|| {
        let attacker = Attacker::who(&["copy"]);
        for _ in 0..3 {
            attacker.beside(&["true"]).run().deadline(PATIENCE).output().ok();
            let beside = attacker.beside(&["sleep", "100"]);
            beside.run_with(["--detach"]).deadline(PATIENCE).output().ok();
        }
        assert!(attacker.says("caught"), "the attack works");
    });
}

#[test]
fn a_start_ends_though_the_fifo_is_held_open() {
    known_to_fail_on_runc_1_1_5(|| {
        let attacker = Attacker::who(&["read"]);
        let beside = attacker.beside(&["sleep", "100"]);
        beside.create().output().ok();
        eventually("caught", || attacker.says("caught"));
        beside.command(["start", &beside.id]).deadline(PATIENCE).output().ok();
        assert_eq!(beside.status(), "running");
    });
}

#[test]
fn a_start_after_a_start_by_the_attacker_says_that_the_container_runs() {
    known_to_fail_on_runc_1_1_5(|| {
        let attacker = Attacker::who(&["write"]);
        let beside = attacker.beside(&["sh", "-c", "touch /tmp/runs; exec sleep 100"]);
        beside.create().output().ok();
        eventually("it runs", || beside.bundle.rootfs().join("tmp/runs").exists());
        beside.command(["start", &beside.id]).deadline(PATIENCE).output().fails_with("already running");
        assert_eq!(beside.status(), "running");
    });
}

#[test]
fn a_seccomp_agent_is_handed_listeners_alone() {
    let attacker = Attacker::who(&["say", r#"{"Listener":0}"#]);
    for _ in 0..TIMES {
        let mut beside = attacker.beside(&["true"]);
        let agent = FdSocket::listen(beside.dir.join("agent"));
        let rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"});
        let profile = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": agent.path.to_str(), "syscalls": [rule]
        });
        beside.bundle.set("/linux/seccomp", profile).set("/process/noNewPrivileges", true);
        beside.run().deadline(PATIENCE).output();
        if agent.has_visitor() {
            let (handed, _) = agent.receive();
            let name = fs::read_link(format!("/proc/self/fd/{}", handed.as_raw_fd())).unwrap();
            assert_eq!(name.to_str(), Some("anon_inode:seccomp notify"));
        }
    }
    assert!(attacker.says("caught"), "the attack works");
}
