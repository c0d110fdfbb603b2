//! sd_notify: the container says that it is ready, and the runtime tells the manager that NOTIFY_SOCKET leads to.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::notify::{Manager, install};
use spec_tests::runtime::{Running, eventually};
use spec_tests::{not_in_runc_1_1, only_corten};

/// A container with a program `notify`, and a manager.
fn notifying(script: &str) -> (Container, Manager) {
    notifying_with(script, |_| {})
}

fn notifying_with(script: &str, configure: impl FnOnce(&mut Bundle)) -> (Container, Manager) {
    let container = Container::new(|bundle| {
        install(bundle);
        configure(bundle);
        bundle.sh(script);
    });
    let manager = Manager::at(container.path("manager"));
    (container, manager)
}

/// Creates the container and begins to start it, both for the manager.
fn starting(container: &Container, manager: &Manager) -> Running {
    container.create().env("NOTIFY_SOCKET", &manager.address).output().ok();
    container.command(["start", &container.id]).env("NOTIFY_SOCKET", &manager.address).spawn()
}

/// Runs the container for the manager.
fn running(container: &Container, manager: &Manager) -> Running {
    container.run().env("NOTIFY_SOCKET", &manager.address).spawn()
}

/// The manager hears that the container is ready, and which its first process is. The process lives on.
#[track_caller]
fn hears_of_init(manager: &Manager, container: &Container) {
    manager.hears_that_it_is_ready(|| container.pid());
}

#[test]
fn start_returns_when_the_container_is_ready() {
    let (container, manager) = notifying("sleep 0.3; touch /said; notify READY=1; sleep 1000");
    let start = starting(&container, &manager);
    hears_of_init(&manager, &container);
    start.wait().ok();
    assert!(container.bundle.rootfs().join("said").exists());
    assert_eq!(container.status(), "running");
}

#[test]
fn start_waits_for_the_manager_to_confirm() {
    not_in_runc_1_1!("sends no barrier");
    let (container, manager) = notifying("notify READY=1; sleep 1000");
    let start = starting(&container, &manager);
    assert_eq!(manager.hears(), "READY=1\n");
    assert!(manager.hears().starts_with("MAINPID="));
    std::thread::sleep(Duration::from_millis(200));
    let alive =
        Pid::from_raw(start.pid() as i32).and_then(|pid| rustix::process::test_kill_process(pid).ok());
    assert!(alive.is_some(), "start didn't wait");
    assert_eq!(manager.hears(), "BARRIER=1");
    start.wait().ok();
}

#[test]
fn run_detached_returns_when_the_container_is_ready() {
    let (container, manager) = notifying("sleep 0.3; touch /said; notify READY=1; sleep 1000");
    let run = container.run_with(["--detach"]).env("NOTIFY_SOCKET", &manager.address).spawn();
    hears_of_init(&manager, &container);
    run.wait().ok();
    assert!(container.bundle.rootfs().join("said").exists());
    assert_eq!(container.status(), "running");
}

#[test]
fn run_in_the_foreground_is_what_the_manager_attends() {
    let (container, manager) = notifying("notify READY=1; sleep 0.3; exit 3");
    let run = running(&container, &manager);
    manager.hears_that_it_is_ready(|| run.pid());
    assert_eq!(run.wait().code, 3);
    container.assert_nothing_left();
}

#[test]
fn run_in_the_foreground_attends_a_container_that_is_not_ready_yet() {
    only_corten!("attending the container before it is ready");
    let (container, manager) =
        notifying("trap 'notify READY=1; exit 3' TERM; touch /started; while :; do sleep 0.02; done");
    let run = running(&container, &manager);
    eventually("started", || container.bundle.rootfs().join("started").exists());
    manager.hears_nothing();
    kill_process(Pid::from_raw(run.pid() as i32).expect("a pid"), Signal::TERM).expect("kill");
    // What the container said just before its end is passed on before the runtime ends.
    manager.hears_that_it_is_ready(|| run.pid());
    assert_eq!(run.wait().code, 3);
}

#[test]
fn run_in_the_foreground_ends_with_a_container_that_never_was_ready() {
    only_corten!("ending then");
    let (container, manager) = notifying("exit 4");
    assert_eq!(container.run().env("NOTIFY_SOCKET", &manager.address).output().code, 4);
    manager.hears_nothing();
    container.assert_nothing_left();
}

#[test]
fn run_in_the_foreground_keeps_reading_what_the_container_says() {
    // More messages than a socket's queue holds: no process waits for a reader.
    let script =
        "notify READY=1; for n in 1 2 3; do notify STATUS=a STATUS=b STATUS=c STATUS=d STATUS=e; done";
    let (container, manager) = notifying(script);
    let run = running(&container, &manager);
    manager.hears_that_it_is_ready(|| run.pid());
    run.wait().ok();
}

#[test]
fn the_terminal_is_relayed_while_the_container_is_waited_for() {
    only_corten!("relaying before it is ready");
    let (container, manager) = notifying_with("read word; echo got $word; notify READY=1", |bundle| {
        bundle.set("/process/terminal", true);
    });
    let run = container.run().stdin("word\n").env("NOTIFY_SOCKET", &manager.address).spawn();
    manager.hears_that_it_is_ready(|| run.pid());
    let outcome = run.wait();
    assert!(outcome.ok().contains("got word"), "{outcome}");
}

#[test]
fn nothing_but_ready_is_passed_on() {
    let (container, manager) = notifying(
        "notify STATUS=coming STOPPING=1 WATCHDOG=1 MAINPID=1 '' XREADY=1; notify READY=1; sleep 1000",
    );
    let start = starting(&container, &manager);
    hears_of_init(&manager, &container);
    start.wait().ok();
    manager.hears_nothing();
}

#[test]
fn of_a_message_of_several_lines_only_ready_is_passed_on() {
    let (container, manager) = notifying("notify 'READY=1\nSTATUS=up\nMAINPID=1'; sleep 1000");
    let start = starting(&container, &manager);
    hears_of_init(&manager, &container);
    start.wait().ok();
    manager.hears_nothing();
}

#[test]
fn ready_may_stand_on_any_line_of_a_message() {
    only_corten!("looking at all lines");
    let (container, manager) = notifying("notify 'STATUS=up\nREADY=1'");
    let run = running(&container, &manager);
    manager.hears_that_it_is_ready(|| run.pid());
    run.wait().ok();
}

#[test]
fn start_returns_when_the_container_ends_without_being_ready() {
    let (container, manager) = notifying("sleep 0.2; exit 5");
    starting(&container, &manager).wait().ok();
    manager.hears_nothing();
    container.wait_stopped();
}

#[test]
fn a_container_that_is_waited_for_can_be_killed_and_deleted() {
    let (container, manager) = notifying("sleep 1000");
    let start = starting(&container, &manager);
    eventually("running", || container.status() == "running");
    container.command(["delete", "--force", &container.id]).output().ok();
    start.wait().ok();
    container.assert_nothing_left();
}

#[test]
fn an_abstract_socket_hears_it_too() {
    let (container, _) = notifying("notify READY=1; sleep 0.1");
    let manager = Manager::abstractly(&format!("{}-manager", container.id));
    let run = running(&container, &manager);
    manager.hears_that_it_is_ready(|| run.pid());
    run.wait().ok();
}

#[test]
fn start_fails_if_there_is_no_manager_but_the_container_runs() {
    let (container, _) = notifying("sleep 1000");
    let missing = container.path("missing");
    container.create().env("NOTIFY_SOCKET", &missing).output().ok();
    let started = container.command(["start", &container.id]).env("NOTIFY_SOCKET", &missing).output();
    assert!(started.fails().contains("missing"), "{started}");
    assert_eq!(container.status(), "running");
}

#[test]
fn run_goes_on_if_there_is_no_manager() {
    let (mut container, _) = notifying("exit 6");
    let missing = container.path("missing");
    assert_eq!(container.run().env("NOTIFY_SOCKET", &missing).output().code, 6);
    container.bundle.sh("sleep 1000");
    container.run_with(["--detach"]).env("NOTIFY_SOCKET", &missing).output().ok();
    assert_eq!(container.status(), "running");
}

#[test]
fn start_for_a_manager_needs_a_container_that_was_created_for_one() {
    let (container, manager) = notifying("sleep 1000");
    container.create().output().ok();
    let start = container.command(["start", &container.id]).env("NOTIFY_SOCKET", &manager.address).output();
    start.fails();
    assert_eq!(container.status(), "created");
    container.start().ok();
    assert_eq!(container.status(), "running");
}

#[test]
fn start_for_nobody_waits_for_nothing() {
    let (container, manager) = notifying("sleep 1000");
    container.create().env("NOTIFY_SOCKET", &manager.address).output().ok();
    container.start().ok();
    assert_eq!(container.inside("ls -a /run/notify"), ".\n..");
}

#[test]
fn the_variable_is_the_containers_own_whatever_the_config_says() {
    let (container, manager) = notifying_with("echo $NOTIFY_SOCKET; notify READY=1", |bundle| {
        bundle.push("/process/env", "NOTIFY_SOCKET=/elsewhere");
    });
    let run = running(&container, &manager);
    manager.hears_that_it_is_ready(|| run.pid());
    assert_eq!(run.wait().ok(), "/run/notify/notify.sock");
}

#[test]
fn exec_does_not_get_it() {
    let (container, manager) = notifying("notify READY=1; sleep 1000");
    let start = starting(&container, &manager);
    hears_of_init(&manager, &container);
    start.wait().ok();
    let exec = container.exec(&["env"]).env("NOTIFY_SOCKET", &manager.address).output().ok();
    assert!(!exec.contains("NOTIFY_SOCKET"), "{exec}");
}

#[test]
fn the_directory_is_a_mount_that_the_container_does_not_write_to() {
    let script =
        "grep ' /run/notify ' /proc/self/mountinfo | cut -d' ' -f6; touch /run/notify/x 2>&1; notify READY=1";
    let (container, manager) = notifying(script);
    let run = running(&container, &manager);
    manager.hears_that_it_is_ready(|| run.pid());
    let seen = run.wait().ok();
    let options = seen.lines().next().unwrap_or_default();
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(options.split(',').any(|word| word == option), "{option}: {seen}");
    }
    assert!(seen.contains("Read-only file system"), "{seen}");
}

#[test]
fn root_of_a_user_namespace_and_any_user_can_say_it() {
    for (first, uid) in [(Some(100_000), 0), (Some(100_000), 1000), (None, 1000)] {
        let (container, manager) = notifying_with("notify READY=1", |bundle| {
            if let Some(first) = first {
                bundle.user_namespace(first).mount("tmpfs", "tmpfs", "/run", &[]);
            }
            bundle.set("/process/user/uid", uid).set("/process/user/gid", uid);
        });
        let run = running(&container, &manager);
        manager.hears_that_it_is_ready(|| run.pid());
        run.wait().ok();
    }
}

#[test]
fn a_caller_with_a_narrow_umask_shuts_nobody_out() {
    only_corten!("a directory without the caller's umask");
    let (container, manager) = notifying_with("notify READY=1", |bundle| {
        bundle.set("/process/user/uid", 1000);
    });
    let run = container.run().prologue("umask 0077").env("NOTIFY_SOCKET", &manager.address).spawn();
    manager.hears_that_it_is_ready(|| run.pid());
    run.wait().ok();
}

#[test]
fn a_root_that_is_read_only_in_the_end_has_the_directory() {
    let (container, manager) = notifying_with("notify READY=1; touch /run/x 2>&1", |bundle| {
        bundle.set("/root/readonly", true);
    });
    let run = running(&container, &manager);
    manager.hears_that_it_is_ready(|| run.pid());
    assert!(run.wait().stdout.contains("Read-only file system"));
}
