//! kill, delete, pause and resume.

use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::runtime::eventually;
use spec_tests::subject::subject;
use spec_tests::{leftovers, only_corten, skip_if};

/// A container whose payload writes the name of each signal it gets.
fn trapping() -> Container {
    let container = Container::new(|bundle| {
        bundle.sh("for s in HUP INT USR1 USR2 TERM; do trap \"echo $s >> /got\" $s; done; touch /ready
             while :; do sleep 0.02; done");
    });
    container.create().output().ok();
    container.start().ok();
    eventually("ready", || container.bundle.rootfs().join("ready").exists());
    container
}

fn got(container: &Container) -> String {
    std::fs::read_to_string(container.bundle.rootfs().join("got")).unwrap_or_default()
}

#[test]
fn kill_takes_a_signal_by_number_and_by_name_in_any_spelling() {
    let container = trapping();
    for (signal, name) in
        [("1", "HUP"), ("SIGINT", "INT"), ("USR1", "USR1"), ("sigusr2", "USR2"), ("hup", "HUP")]
    {
        container.kill(signal).ok();
        eventually("delivered", || got(&container).ends_with(&format!("{name}\n")));
        std::fs::write(container.bundle.rootfs().join("got"), "").unwrap();
    }
}

#[test]
fn kill_sends_term_by_default() {
    let container = trapping();
    container.command(["kill", &container.id]).output().ok();
    eventually("delivered", || got(&container) == "TERM\n");
}

#[test]
fn kill_refuses_a_signal_that_does_not_exist() {
    let container = Container::sleeping(|_| {});
    container.kill("NOSUCH").fails();
    container.kill("4711").fails();
    assert_eq!(container.status(), "running");
}

#[test]
fn kill_ends_a_created_container() {
    let container = Container::new(|_| {});
    container.create().output().ok();
    container.kill("KILL").ok();
    container.wait_stopped();
}

#[test]
fn kill_of_a_stopped_container_is_refused() {
    let container = Container::sleeping(|_| {});
    container.kill("KILL").ok();
    container.wait_stopped();
    container.kill("TERM").fails_with("container not running");
}

#[test]
fn kill_of_a_created_container_takes_effect() {
    for signal in ["HUP", "INT", "TERM", "KILL"] {
        let container = Container::new(|_| {});
        container.create().output().ok();
        container.kill(signal).ok();
        container.wait_stopped();
    }
}

#[test]
fn kill_of_an_unknown_container_is_refused() {
    Container::new(|_| {})
        .command(["kill", "nobody", "TERM"])
        .output()
        .fails_with("container does not exist");
}

#[test]
fn kill_all_reaches_every_process_of_a_shared_pid_namespace() {
    let container = Container::sleeping(|bundle| {
        bundle.share_namespace("pid").sh("sleep 1000 & sleep 1000 & wait");
    });
    eventually("three processes", || leftovers::processes(&container.id).len() == 3);
    container.command(["kill", "--all", &container.id, "KILL"]).output().ok();
    eventually("none left", || leftovers::processes(&container.id).is_empty());
}

#[test]
fn kill_in_a_shared_pid_namespace_reaches_all_by_sigkill() {
    spec_tests::not_in_runc_1_1!("kills the first process alone unless --all is given");
    let container = Container::sleeping(|bundle| {
        bundle.share_namespace("pid").sh("sleep 1000 & sleep 1000 & wait");
    });
    eventually("three processes", || leftovers::processes(&container.id).len() == 3);
    container.kill("KILL").ok();
    eventually("none left", || leftovers::processes(&container.id).is_empty());
}

#[test]
fn delete_force_ends_every_process_of_a_shared_pid_namespace() {
    skip_if!(
        subject().is_runc_1_1() && cgroup::is_v2("pids"),
        "runc 1.1: may leave the cgroup on a slow machine"
    );
    let container = Container::sleeping(|bundle| {
        bundle.share_namespace("pid").sh("setsid sleep 1000 & sleep 1000 & wait");
    });
    eventually("three processes", || leftovers::processes(&container.id).len() == 3);
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

#[test]
fn delete_of_a_running_container_is_refused() {
    let container = Container::sleeping(|_| {});
    let text = format!("cannot delete container {} that is not stopped: running", container.id);
    container.delete().fails_with(&text);
    assert_eq!(container.status(), "running");
}

#[test]
fn delete_of_an_unknown_container_is_refused() {
    Container::new(|_| {}).command(["delete", "nobody"]).output().fails_with("container does not exist");
}

#[test]
fn delete_force_of_an_unknown_container_succeeds() {
    let outcome = Container::new(|_| {}).command(["delete", "--force", "nobody"]).output();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
}

#[test]
fn delete_force_ends_a_running_container() {
    let container = Container::sleeping(|_| {});
    container.command(["delete", "-f", &container.id]).output().ok();
    container.assert_nothing_left();
}

#[test]
fn delete_force_ends_a_paused_container() {
    let container = Container::sleeping(|_| {});
    container.command(["pause", &container.id]).output().ok();
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

#[test]
fn delete_removes_a_directory_that_has_no_state() {
    let container = Container::new(|_| {});
    let half_made = container.runtime.root.join("half-made");
    std::fs::create_dir_all(&half_made).unwrap();
    container.command(["delete", "half-made"]).output().fails_with("container does not exist");
    assert!(!half_made.exists());
}

#[test]
fn pause_stops_the_processes_and_resume_lets_them_go_on() {
    let container = Container::sleeping(|bundle| {
        bundle.sh("while :; do echo x >> /ticks; sleep 0.01; done");
    });
    let ticks = || std::fs::metadata(container.bundle.rootfs().join("ticks")).map_or(0, |meta| meta.len());
    eventually("ticking", || ticks() > 0);

    container.command(["pause", &container.id]).output().ok();
    assert_eq!(container.status(), "paused");
    let before = ticks();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(ticks(), before);

    container.command(["resume", &container.id]).output().ok();
    assert_eq!(container.status(), "running");
    eventually("ticking again", || ticks() > before);
}

#[test]
fn pause_and_resume_out_of_turn_are_refused() {
    let container = Container::sleeping(|_| {});
    container.command(["resume", &container.id]).output().fails();
    container.command(["pause", &container.id]).output().ok();
    container.command(["resume", &container.id]).output().ok();
    container.kill("KILL").ok();
    container.wait_stopped();
    container.command(["pause", &container.id]).output().fails();
}

#[test]
fn kill_of_a_paused_container_takes_effect() {
    let container = Container::sleeping(|_| {});
    container.command(["pause", &container.id]).output().ok();
    container.kill("KILL").ok();
    container.wait_stopped();
}

#[test]
fn a_regular_expression_stands_for_all_containers_that_match() {
    only_corten!("--regex");
    let mut container = Container::sleeping(|_| {});
    let others = ["a", "b"].map(|end| format!("{}{end}", container.id));
    for other in &others {
        let last = &other[container.id.len()..];
        container.bundle.set("/linux/cgroupsPath", format!("{}{last}", container.cgroups_path()));
        container.bundle.save();
        let bundle = container.path("bundle");
        container.command(["create", "--bundle", &bundle, other]).output().ok();
        container.also_delete(other);
    }
    let pattern = format!("^{}[ab]$", container.id);
    container.command(["delete", "--regex", "--force", &pattern]).output().ok();
    assert_eq!(container.status(), "running");
    for other in &others {
        container.command(["state", other]).output().fails_with("does not exist");
    }
    container.command(["delete", "--regex", "nobody"]).output().ok();
    container.command(["kill", "--regex", "(", "KILL"]).output().fails_with("--regex");
    container.command(["kill", "--regex", &container.id, "KILL"]).output().ok();
    container.wait_stopped();
}
