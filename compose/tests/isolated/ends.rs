//! Containers that are ended: at whatever moment of their lives, and while others are at them. Whoever only waits for
//! an end holds nobody up.

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::docker::{nothing_is_left, own_processes, with_each_runtime};
use crate::engine::{Containerd, state};
use crate::host::{CONTAINERS, sh, try_sh, until};
use crate::project::Project;

/// A program that takes no SIGTERM.
const DEAF: &str = "trap : TERM; while :; do sleep 0.1; done";

/// Longer than any test waits.
const GRACE: &str = "100";

fn succeeds(child: Child) {
    let ended = child.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// Does something, which is not to take as long as somebody else's wait.
fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    assert!(begun.elapsed() < Duration::from_secs(8), "{what}: {:?}", begun.elapsed());
    done
}

#[test]
fn a_crash_loop_is_stopped_and_started_again_at_any_moment() {
    with_each_runtime(|docker| {
        let fails = ["box", "sh", "-c", "exit 3"];
        docker.ok(&[&["run", "-d", "--name", "loop", "--restart", "always"], &fails[..]].concat());
        // A task that has ended goes a moment later.
        let runs = || String::from_utf8_lossy(&try_sh("ctr tasks ls | grep RUNNING").stdout).into_owned();
        let begun = ["running", "restarting"];
        for round in 0..8 {
            std::thread::sleep(Duration::from_millis(60 + 23 * round));
            docker.ok(&["stop", "-t", "0", "loop"]);
            assert_eq!(runs(), "", "{round}");
            until("its end is known", || docker.state("loop") == "exited");
            assert_eq!(runs(), "", "{round}");
            docker.ok(&["start", "loop"]);
            assert!(begun.contains(&docker.state("loop").as_str()), "{round}");
            std::thread::sleep(Duration::from_millis(60 + 23 * round));
            docker.ok(&["restart", "-t", "0", "loop"]);
            until("its start is known", || begun.contains(&docker.state("loop").as_str()));
        }
        docker.ok(&["stop", "loop"]);
        docker.ok(&["rm", "loop"]);
        nothing_is_left();
    });
}

#[test]
fn a_grace_is_nobody_elses() {
    with_each_runtime(|docker| {
        let start = || docker.ok(&["run", "-d", "--name", "deaf", "box", "sh", "-c", DEAF]);
        let stops = |words: &[&str]| {
            let stopping = docker.spawn(words);
            // The signal is sent by then.
            std::thread::sleep(Duration::from_millis(400));
            stopping
        };
        for end in [&["kill", "deaf"][..], &["stop", "-t", "0", "deaf"], &["restart", "-t", "0", "deaf"]] {
            start();
            for first in ["stop", "restart"] {
                docker.ok(&["start", "deaf"]);
                let stopping = stops(&[first, "-t", GRACE, "deaf"]);
                let (_, said, code) = soon("rm", || docker.says(&["rm", "deaf"]));
                assert!(code == 1 && said.contains("container is running"), "{said}");
                soon(end[0], || docker.ok(end));
                soon(first, || succeeds(stopping));
                let runs = first == "restart" || end[0] == "restart";
                assert_eq!(docker.state("deaf") == "running", runs, "{first}, {end:?}");
            }
            docker.ok(&["rm", "-f", "deaf"]);
        }
        start();
        let stopping = stops(&["stop", "-t", GRACE, "deaf"]);
        soon("rm -f", || docker.ok(&["rm", "-f", "deaf"]));
        soon("stop", || succeeds(stopping));
        nothing_is_left();
    });
}

#[test]
fn who_ends_a_container_waits_for_who_starts_it() {
    with_each_runtime(|docker| {
        let ends = [&["stop", "-t", "0", "web"][..], &["kill", "web"], &["rm", "-f", "web"]];
        for end in ends {
            let id = docker.ok(&["run", "-d", "--name", "web", "box", "sleep", "1000"]);
            waits_for_the_holder(id.trim(), docker.spawn(end));
            docker.says(&["rm", "-f", "web"]);
        }
        let project = Project::new(docker, "services: {web: {COMMON, init: true, command: sleep 1000}}\n");
        for end in [&["stop"][..], &["kill"], &["restart"], &["rm", "-sf"], &["down"]] {
            project.ok(&["up", "-d"]);
            let id = project.ok(&["ps", "-q"]).stdout;
            waits_for_the_holder(id.trim(), spawn(&project, end));
        }
        project.is_gone();
    });
}

/// Holds a container as whoever starts it does.
fn waits_for_the_holder(id: &str, mut ending: Child) {
    let dir = File::open(format!("{CONTAINERS}/{id}")).expect("its directory");
    let held =
        Flock::lock(dir, FlockArg::LockExclusive).map_err(|(_, errno)| errno).expect("nobody holds it");
    std::thread::sleep(Duration::from_millis(300));
    assert!(ending.try_wait().expect("it is ours").is_none(), "it waits");
    assert!(!state(id)["init"].is_null(), "it runs");
    drop(held);
    succeeds(ending);
}

fn spawn(project: &Project, words: &[&str]) -> Child {
    let mut command = project.command(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it begins")
}

/// What `up` says that fails.
fn fails(up: Child) -> String {
    let ended = up.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    said
}

#[test]
fn a_project_is_held_by_nobody_who_waits() {
    with_each_runtime(|docker| {
        let deaf =
            format!("services: {{web: {{COMMON, command: [sh, -c, '{DEAF}'], stop_grace_period: 100s}}}}\n");
        let project = Project::new(docker, &deaf);
        for (begin, end) in [("stop", "kill"), ("restart", "kill"), ("stop", "down")] {
            project.ok(&["up", "-d"]);
            let waiting = spawn(&project, &[begin]);
            std::thread::sleep(Duration::from_millis(500));
            let quick = if end == "down" { &["down", "-t", "0"][..] } else { &[end] };
            soon(end, || project.ok(quick));
            soon(begin, || succeeds(waiting));
        }
        project.write(&deaf.replace("COMMON,", "COMMON, network_mode: none,"));
        project.ok(&["up", "-d"]);
        let down = spawn(&project, &["down", "-t", "2"]);
        std::thread::sleep(Duration::from_millis(500));
        sh("nft add table ip corten");
        succeeds(down);
        assert!(!sh("nft list tables").contains(" corten\n"), "what nobody asks for goes with the last");
        project.write(&deaf);
        project.ok(&["create"]);
        let mut asking = spawn(&project, &["rm"]);
        std::thread::sleep(Duration::from_millis(500));
        soon("up", || project.ok(&["up", "-d"]));
        drop(asking.stdin.take());
        succeeds(asking);
        assert_eq!(project.running(), ["shop-web-1"], "nothing was agreed");
        project.ok(&["down", "-t", "0"]);

        for (hook, container) in [("pre_start", "shop-web-pre_start-0"), ("post_start", "shop-web-1")] {
            let runs = "[{command: [sh, -c, 'touch /hooked; sleep 1000']}]";
            project.write(&format!(
                "services: {{web: {{COMMON, init: true, command: sleep 1000, {hook}: {runs}}}}}\n"
            ));
            let up = spawn(&project, &["up", "-d"]);
            let is_hooked = || docker.says(&["exec", container, "test", "-e", "/hooked"]).2 == 0;
            until("the hook runs", is_hooked);
            soon("down", || project.ok(&["down", "-t", "0"]));
            let said = soon("up", || fails(up));
            assert!(said.contains("hook") || said.contains(hook), "{said}");
        }
        project.is_gone();
    });
}

#[test]
fn a_dependency_that_is_restarted_is_waited_for_and_one_without_a_keeper_is_not() {
    with_each_runtime(|docker| {
        let project = Project::new(
            docker,
            "
services:
  db: {COMMON, init: true, command: sleep 1000,
    healthcheck: {test: test -e /ok, start_period: 300s, start_interval: 100ms}}
  web: {COMMON, init: true, command: sleep 1000, depends_on: {db: {condition: service_healthy}}}
",
        );
        let up = spawn(&project, &["up", "-d"]);
        until("it waits", || project.running() == ["shop-db-1"]);
        docker.ok(&["restart", "-t", "0", "shop-db-1"]);
        docker.ok(&["exec", "shop-db-1", "touch", "/ok"]);
        succeeds(up);
        assert_eq!(project.running(), ["shop-db-1", "shop-web-1"]);
        project.ok(&["down", "-t", "0"]);

        let up = spawn(&project, &["up", "-d"]);
        until("it waits", || project.running() == ["shop-db-1"]);
        let id = project.ok(&["ps", "-q"]).stdout;
        let keeper = state(id.trim())["keeper"]["pid"].as_i64().expect("a keeper");
        kill(Pid::from_raw(keeper.try_into().expect("a pid")), Signal::SIGKILL).expect("it runs");
        if docker.runtime == "runc" {
            let said = soon("up", || fails(up));
            let gone =
                "dependency failed to start: container shop-db-1 has an unknown health: its keeper is gone";
            assert!(said.contains(gone), "{said}");
        } else {
            // Corten's shim starts another one.
            docker.ok(&["exec", "shop-db-1", "touch", "/ok"]);
            soon("up", || succeeds(up));
        }
        project.ok(&["down", "-t", "0"]);
        project.is_gone();
    });
}

#[test]
fn a_hook_ends_with_its_command() {
    with_each_runtime(|docker| {
        let services = |turn: &str| {
            format!(
                "services: {{web: {{COMMON, init: true, command: sleep 1000, \
                 {turn}: [{{command: [sh, -c, 'touch /hooked; exec sleep 2000']}}]}}}}\n"
            )
        };
        let project = Project::new(docker, &services("pre_start"));
        let (hook, web) = ("shop-web-pre_start-0", "shop-web-1");
        let is_there = || docker.ok(&["ps", "-a", "--format", "{{.Names}}"]).lines().any(|name| name == hook);
        let end = |words: &[&str], container: &str, signal| {
            let command = spawn(&project, words);
            let is_hooked = || docker.says(&["exec", container, "test", "-e", "/hooked"]).2 == 0;
            until("the hook runs", is_hooked);
            kill(Pid::from_raw(command.id().try_into().expect("a pid")), signal).expect("it runs");
            soon("its end", || command.wait_with_output().expect("it ends").status.code())
        };
        for (words, signal, code) in [
            (&["up"][..], Signal::SIGINT, 130),
            (&["up", "-d"], Signal::SIGTERM, 143),
            (&["start"], Signal::SIGTERM, 143),
        ] {
            assert_eq!(end(words, hook, signal), Some(code), "{words:?}");
            assert!(!is_there(), "{words:?}");
            assert_eq!(docker.state(web), "created", "{words:?}");
        }
        for (words, stays) in
            [(&["stop", "-t", "0"][..], true), (&["kill"], true), (&["rm", "-f", "-s"], false)]
        {
            assert_eq!(end(&["up", "-d"], hook, Signal::SIGKILL), None);
            assert_eq!(docker.state(hook), "running");
            project.ok(words);
            assert_eq!(is_there(), stays, "{words:?}");
            if stays {
                until("it has ended", || docker.state(hook) == "exited");
            }
        }
        // The next `up` takes it away, whatever hooks there are by then.
        assert_eq!(end(&["up", "-d"], hook, Signal::SIGKILL), None);
        project.write(&services("post_start"));
        assert_eq!(end(&["up", "-d"], web, Signal::SIGTERM), Some(143));
        assert!(!is_there());
        let processes = docker.ok(&["top", web]);
        assert!(processes.contains("sleep 1000") && !processes.contains("sleep 2000"), "{processes}");
        project.ok(&["down", "-t", "0"]);
        project.is_gone();
    });
}

#[test]
fn a_process_that_was_never_started_is_no_end_of_its_container() {
    with_each_runtime(|docker| {
        let id = docker.ok(&["run", "-d", "--name", "half", "box", "sleep", "1000"]);
        let id = id.trim();
        let end = || sh(&format!("ctr tasks kill -s SIGKILL {id}"));
        // As a command leaves it that is killed before the start.
        sh(&format!("touch {CONTAINERS}/{id}/starting"));
        end();
        until("it is as it was", || docker.state("half") == "created");
        until("its task is gone", || try_sh("ctr tasks ls -q").stdout.is_empty());
        assert_eq!(docker.state("half"), "created");
        docker.ok(&["start", "half"]);
        end();
        until("its task is gone", || try_sh("ctr tasks ls -q").stdout.is_empty());
        assert_eq!(
            docker.ok(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "half"]),
            "exited 137\n"
        );
        docker.ok(&["rm", "-v", "half"]);
        nothing_is_left();
    });
}

#[test]
fn a_stop_waits_for_the_process_though_containerd_is_started_anew() {
    with_each_runtime(|docker| {
        let until_told = "trap : TERM; while [ ! -e /go ]; do sleep 0.1; done";
        docker.ok(&["run", "-d", "--name", "web", "box", "sh", "-c", until_told]);
        let mut stop = docker.spawn(&["stop", "-t", GRACE, "web"]);
        std::thread::sleep(Duration::from_millis(500));
        let engine = own_processes().into_iter().find(|(_, words)| words[0] == "containerd");
        let (engine, _) = engine.expect("it runs");
        kill(Pid::from_raw(engine), Signal::SIGKILL).expect("it runs");
        let _again = Containerd::start();
        std::thread::sleep(Duration::from_millis(500));
        assert!(stop.try_wait().expect("a child").is_none(), "the process runs");
        docker.ok(&["exec", "web", "touch", "/go"]);
        soon("stop", || succeeds(stop));
        assert_eq!(docker.state("web"), "exited");
        docker.ok(&["rm", "-v", "web"]);
        nothing_is_left();
    });
}
