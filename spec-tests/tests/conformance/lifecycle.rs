//! create, start, run, delete: the order of things and the exit codes.

use std::fs;

use spec_tests::container::Container;
use spec_tests::only_corten;
use spec_tests::runtime::eventually;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;

#[test]
fn create_does_not_run_the_payload_until_start() {
    let container = Container::new(|bundle| {
        bundle.sh("touch /started; sleep 1000");
    });
    container.create().output().ok();
    assert_eq!(container.status(), "created");
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!container.bundle.rootfs().join("started").exists());

    container.start().ok();
    assert_eq!(container.status(), "running");
    eventually("started", || container.bundle.rootfs().join("started").exists());
}

#[test]
fn delete_after_the_end_leaves_nothing() {
    let container = Container::sleeping(|_| {});
    container.kill("KILL").ok();
    container.wait_stopped();
    container.delete().ok();
    container.assert_nothing_left();
    container.command(["state", &container.id]).output().fails_with("does not exist");
}

#[test]
fn delete_of_a_created_container_ends_it() {
    let container = Container::new(|_| {});
    container.create().output().ok();
    container.delete().ok();
    container.assert_nothing_left();
}

#[test]
fn run_in_the_foreground_deletes_the_container_at_its_end() {
    let container = Container::new(|_| {});
    assert_eq!(container.sees("echo $$"), "1");
    container.assert_nothing_left();
}

#[test]
fn run_with_keep_leaves_a_stopped_container() {
    let container = Container::new(|_| {});
    let help = container.command(["run", "--help"]).output();
    spec_tests::skip_if!(!help.stdout.contains("keep"), "run has no --keep");
    container.run_with(["--keep"]).output().ok();
    assert_eq!(container.status(), "stopped");
    container.delete().ok();
}

#[test]
fn run_passes_the_exit_code_through() {
    let mut container = Container::new(|_| {});
    container.bundle.sh("exit 7");
    assert_eq!(container.run().output().code, 7);
}

#[test]
fn run_exits_with_128_and_the_signal_that_killed_the_payload() {
    let mut container = Container::new(|_| {});
    // Another process kills pid 1 from outside: it is immune to what comes from its own namespace.
    container.bundle.sh("touch /started; sleep 1000");
    let running = container.run().spawn();
    eventually("started", || container.bundle.rootfs().join("started").exists());
    container.kill("KILL").ok();
    assert_eq!(running.wait().code, 128 + 9);
}

#[test]
fn run_forwards_signals_to_the_payload() {
    let mut container = Container::new(|_| {});
    container.bundle.sh("trap 'echo got it; exit 3' TERM; touch /started; while :; do sleep 0.02; done");
    let running = container.run().spawn();
    eventually("started", || container.bundle.rootfs().join("started").exists());
    let pid = rustix::process::Pid::from_raw(running.pid() as i32).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
    let outcome = running.wait();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, "got it\n"));
}

#[test]
fn run_forwards_a_signal_that_comes_as_soon_as_the_program_runs() {
    let mut container = Container::new(|_| {});
    container.bundle.hook("startContainer", "touch /waiting; read word < /go");
    container.bundle.sh("trap 'echo got it; exit 3' TERM; touch /started; while :; do sleep 0.02; done");
    let go = container.bundle.rootfs().join("go");
    rustix::fs::mknodat(rustix::fs::CWD, &go, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a fifo");
    let running = container.run().spawn();
    let exists = |name| container.bundle.rootfs().join(name).exists();
    eventually("the hook waits", || exists("waiting"));
    let pid = rustix::process::Pid::from_raw(running.pid() as i32).expect("a pid");
    let send = |signal| rustix::process::kill_process(pid, signal).expect("kill");
    // While the runtime is stopped, the program starts and the signal comes: the runtime finds both at once.
    send(rustix::process::Signal::STOP);
    fs::write(&go, "go\n").expect("the hook reads");
    eventually("started", || exists("started"));
    send(rustix::process::Signal::TERM);
    send(rustix::process::Signal::CONT);
    let outcome = running.wait();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, "got it\n"));
}

#[test]
fn run_passes_standard_input_and_error_through() {
    let mut container = Container::new(|_| {});
    container.bundle.sh("cat; echo problem >&2");
    let outcome = container.run().stdin("hello").output();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("hello", "problem\n"));
}

#[test]
fn run_detached_that_fails_to_start_leaves_nothing() {
    only_corten!("looking whether the program was executed");
    let container = Container::new(|bundle| {
        bundle.hook("startContainer", "exit 1").args(["sleep", "1000"]);
    });
    container.run_with(["--detach"]).output().fails();
    container.assert_nothing_left();
}

#[test]
fn run_detached_returns_while_the_payload_goes_on() {
    let container = Container::new(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    container.run_with(["--detach"]).output().ok();
    assert_eq!(container.status(), "running");
}

#[test]
fn pid_file_holds_the_pid_and_nothing_else() {
    let container = Container::new(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    let pid_file = container.path("pid");
    container.create_with(["--pid-file", &pid_file]).output().ok();
    assert_eq!(fs::read_to_string(pid_file).unwrap(), container.pid().to_string());
    let beside = fs::read_dir(&container.dir).unwrap().flatten();
    let partial = beside.filter(|entry| entry.file_name().to_string_lossy().contains("pid")).count();
    assert_eq!(partial, 1, "a temporary pid file is left");
}

#[test]
fn create_under_a_taken_id_is_refused() {
    let container = Container::sleeping(|_| {});
    container.create().output().fails_with("container with given ID already exists");
    container.run().output().fails_with("container with given ID already exists");
    assert_eq!(container.status(), "running");
}

#[test]
fn create_outlives_the_process_that_called_it() {
    let container = Container::new(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    container.create().output().ok();
    assert_eq!(container.status(), "created");
    container.start().ok();
    container.inside("true");
}

#[test]
fn start_of_an_unknown_container_is_refused() {
    Container::new(|_| {}).start().fails_with("container does not exist");
}

#[test]
fn start_twice_is_refused() {
    let container = Container::sleeping(|_| {});
    container.start().fails();
    assert_eq!(container.status(), "running");
}

#[test]
fn start_of_a_stopped_container_is_refused() {
    let container = Container::sleeping(|_| {});
    container.kill("KILL").ok();
    container.wait_stopped();
    container.start().fails();
}

#[test]
fn bundle_is_the_working_directory_by_default() {
    let container = Container::new(|bundle| {
        bundle.sh("echo here");
    });
    container.bundle.save();
    let enter = format!("cd {}", container.bundle.dir.display());
    assert_eq!(container.command(["run", &container.id]).prologue(&enter).output().ok(), "here");
}

#[test]
fn no_pivot_still_gives_the_container_its_root() {
    let mut container = Container::new(|_| {});
    container.bundle.sh("ls / | grep -c bundle; ls /bin/busybox");
    let outcome = container.run_with(["--no-pivot"]).output();
    assert_eq!(outcome.ok(), "0\n/bin/busybox");
}

#[test]
fn twenty_containers_at_a_time_all_start_and_end() {
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(Container::new(|_| {}).sees("echo $$"), "1"));
        }
    });
}

#[test]
fn the_config_may_be_another_file_than_the_bundles() {
    only_corten!("--config");
    let container = Container::new(|_| {});
    container.bundle.save();
    let other = container.path("other.json");
    let config = std::fs::read_to_string(container.path("bundle/config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["process"]["args"] = serde_json::json!(["echo", "from the other"]);
    std::fs::write(&other, config.to_string()).unwrap();
    assert_eq!(container.run_with(["--config", &other]).output().ok(), "from the other");
    container.run_with(["--config", "/nowhere.json"]).output().fails_with("no such file or directory");
}

#[test]
fn run_of_a_container_that_is_deleted_meanwhile_ends_as_its_process_did() {
    let container = Container::new(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    let run = container.run().spawn();
    eventually("running", || {
        container.command(["state", &container.id]).output().stdout.contains("\"running\"")
    });
    container.command(["delete", "--force", &container.id]).output().ok();
    let ended = run.wait();
    assert_eq!((ended.code, ended.stderr.as_str()), (137, ""), "{ended}");
}

#[test]
fn run_leaves_a_container_alone_that_has_taken_the_name_of_its_own() {
    known_to_fail_on_runc_1_1_5(|| {
        let container = Container::new(|bundle| {
            bundle.args(["sleep", "1000"]);
        });
        let run = container.run().spawn();
        let status = || container.command(["state", &container.id]).output().stdout;
        eventually("running", || status().contains("\"running\""));
        // A refusal waits for whoever works on the container: from then on `run` only waits.
        container.command(["delete", &container.id]).output().fails();
        let pid = rustix::process::Pid::from_raw(run.pid() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        container.command(["delete", "--force", &container.id]).output().ok();
        container.run_with(["--detach"]).output().ok();
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        assert_eq!(run.wait().code, 137);
        assert_eq!(container.status(), "running");
    });
}
