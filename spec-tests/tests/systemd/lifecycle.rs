//! From start to deletion, and what others do to the scope meanwhile.

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::manager::{systemctl, unit};
use spec_tests::runtime::eventually;
use spec_tests::subject::subject;
use spec_tests::view::is_unified;
use spec_tests::{only_corten, skip_if};

use crate::{cgroup_of, need_systemd, show, sleeping, units};

#[test]
fn delete_takes_the_scope_away() {
    need_systemd!();
    let container = sleeping(|_| {});
    assert_eq!(units(&container).len(), 1);
    container.kill("KILL").ok();
    container.wait_stopped();
    container.delete().ok();
    container.assert_nothing_left();
}

#[test]
fn forced_delete_takes_the_scope_of_a_running_container_away() {
    need_systemd!();
    let container = sleeping(|_| {});
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

#[test]
fn a_run_in_the_foreground_leaves_no_scope() {
    need_systemd!();
    let mut container = Container::in_a_scope(|_| {});
    container.bundle.sh("exit 7");
    assert_eq!(container.run().output().code, 7);
    container.assert_nothing_left();
}

#[test]
fn exec_lands_in_the_scope() {
    need_systemd!();
    let container = sleeping(|_| {});
    let pid_file = container.path("pid");
    container.exec_with(&["--detach", "--pid-file", &pid_file], &["sleep", "1000"]).output().ok();
    let pid = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    assert_eq!(cgroup_of(pid), cgroup_of(container.pid()));
}

#[test]
fn pause_and_resume() {
    need_systemd!();
    let container = sleeping(|_| {});
    container.command(["pause", &container.id]).output().ok();
    assert_eq!(container.status(), "paused");
    systemctl(["daemon-reload"]);
    assert_eq!(container.status(), "paused");
    container.command(["resume", &container.id]).output().ok();
    assert_eq!(container.status(), "running");
}

#[test]
fn a_paused_container_is_updated_and_stays_paused() {
    need_systemd!();
    skip_if!(!spec_tests::cgroup::has("pids"), "no pids controller");
    let container = sleeping(|_| {});
    container.command(["pause", &container.id]).output().ok();
    container.command(["update", "--pids-limit", "55", &container.id]).output().ok();
    assert_eq!(container.status(), "paused");
    assert_eq!(show(&container, "TasksMax"), "55");
}

#[test]
fn ps_kill_and_sub_cgroups_of_the_payload() {
    need_systemd!();
    let container = sleeping(|bundle| {
        bundle.sh("sleep 1000 & wait");
    });
    let top = format!("{}/payload", cgroup_of(container.pid()));
    let below = spec_tests::cgroup::Cgroup { path: top.clone() };
    let parent = spec_tests::cgroup::Cgroup { path: cgroup_of(container.pid()) };
    for dir in parent.existing() {
        std::fs::create_dir(dir.join("payload")).unwrap();
        // A hierarchy that the container doesn't share has no process to give.
        let _ = std::fs::write(dir.join("payload/cgroup.procs"), container.pid().to_string());
    }
    systemctl(["daemon-reload"]);
    assert_eq!(cgroup_of(container.pid()), top);
    assert!(!below.existing().is_empty());
    container.command(["kill", &container.id, "KILL"]).output().ok();
    container.wait_stopped();
    container.delete().ok();
    container.assert_nothing_left();
}

#[test]
fn systemctl_stop_ends_the_container() {
    need_systemd!();
    let container = sleeping(|bundle| {
        bundle.sh("trap 'exit 0' TERM; touch /ready; sleep 1000 & wait");
    });
    // Before it has its trap, the first process of a pid namespace ignores the signal, and systemd waits for 90 s.
    let ready = container.bundle.rootfs().join("ready");
    eventually("the payload has its trap", || ready.exists());
    systemctl(["stop", &unit(&container.id)]);
    container.wait_stopped();
    container.delete().ok();
    container.assert_nothing_left();
}

#[test]
fn a_program_that_is_missing_leaves_no_scope() {
    need_systemd!();
    let mut container = Container::in_a_scope(|_| {});
    container.bundle.args(["/no/such/program"]);
    container.run().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_mount_that_fails_leaves_no_scope() {
    need_systemd!();
    let container = Container::in_a_scope(|bundle| {
        bundle.mount("bind", "/no/such/source", "/bound", &["bind"]);
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn killed_by_the_oom_killer_the_scope_is_deleted_and_made_again() {
    need_systemd!();
    skip_if!(!spec_tests::cgroup::has("memory"), "no memory controller");
    let container = Container::in_a_scope(|bundle| {
        bundle.set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
        bundle.args(["tail", "-c", "64m", "/dev/zero"]);
    });
    for _ in 0..2 {
        assert_eq!(container.run().output().code, 137);
        container.assert_nothing_left();
    }
}

#[test]
fn killed_while_it_creates_forced_delete_leaves_no_scope() {
    need_systemd!();
    skip_if!(
        subject().is_crun() || subject().is_runc_1_1(),
        "the peers leave a state that delete does not know"
    );
    for milliseconds in [1, 2, 4, 8, 12, 16, 24, 32, 48] {
        let container = Container::in_a_scope(|bundle| {
            bundle.args(["sleep", "1000"]);
        });
        let create = container.create().by(["timeout", "--signal=KILL", &format!("0.{milliseconds:03}")]);
        let _ = create.output();
        container.command(["delete", "--force", &container.id]).output().ok();
        container.assert_nothing_left();
    }
}

#[test]
fn twenty_containers_at_once() {
    need_systemd!();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut container = Container::in_a_scope(|_| {});
                container.bundle.sh("exit 7");
                let run = container.run().output();
                assert_eq!(run.code, 7, "{run}");
                container.assert_nothing_left();
            });
        }
    });
}

/// systemd takes the scope away when init has ended: perhaps in the midst of what the runtime does with its cgroup.
#[test]
fn what_init_failed_at_is_told_though_its_cgroup_has_gone() {
    need_systemd!();
    only_corten!("limiting the cgroup while init prepares itself");
    skip_if!(!spec_tests::cgroup::has("pids"), "no pids controller");
    let container = Container::in_a_scope(|bundle| {
        bundle.args(["/etc"]).set("/linux/resources/pids", json!({"limit": 64}));
    });
    let hierarchy = if is_unified() { "" } else { "/pids" };
    let cgroup = format!("/sys/fs/cgroup{hierarchy}/spec.slice/{}", unit(&container.id));
    let log = container.path("strace");
    let late = ["strace", "-f", "-qq", "-o", &log, "-P", &cgroup, "-e", "inject=openat:delay_enter=1s"];
    let said = container.run().by(late.map(str::to_owned)).output();
    let log = std::fs::read_to_string(log).expect("a log of strace");
    assert!(log.contains("DELAYED") && log.contains("ENOENT"), "{cgroup} {log}");
    said.fails_with("/etc");
    container.assert_nothing_left();
}
