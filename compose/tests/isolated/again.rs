//! Containers that are started again: by several users at once, and at moments at which they come back by themselves.

use std::process::Stdio;
use std::time::Duration;

use crate::docker::{Docker, nothing_is_left, with_each_runtime};
use crate::host::until;
use crate::project::Project;

/// Runs commands at once, and gives their exit codes.
fn at_once(docker: &Docker, words: &[&str]) -> Vec<Option<i32>> {
    let both = [0, 1].map(|_| docker.spawn(words));
    both.map(|child| child.wait_with_output().expect("cortenctl").status.code()).to_vec()
}

#[test]
fn a_container_is_started_by_one_user_at_a_time() {
    with_each_runtime(|docker| {
        docker.ok(&["create", "--name", "web", "box", "sleep", "1000"]);
        for verb in [&["start", "web"][..], &["restart", "-t", "0", "web"]] {
            for _ in 0..3 {
                assert_eq!(at_once(docker, verb), [Some(0); 2], "{verb:?}");
                assert_eq!(docker.state("web"), "running", "{verb:?}");
                docker.ok(&["stop", "-t", "0", "web"]);
            }
        }
        docker.ok(&["rm", "web"]);
        // Both are attached to the one that either of them has started.
        docker.ok(&["create", "--name", "short", "box", "sh", "-c", "echo once; sleep 0.5; exit 7"]);
        assert_eq!(at_once(docker, &["start", "-a", "short"]), [Some(7); 2]);
        assert_eq!(docker.ok(&["logs", "short"]), "once\n");
        docker.ok(&["rm", "short"]);
        // One that is removed at its end is started again all the same.
        docker.ok(&["run", "-d", "--rm", "--name", "gone", "box", "sleep", "1000"]);
        docker.ok(&["restart", "-t", "0", "gone"]);
        assert_eq!(docker.state("gone"), "running");
        let (_, said, code) = {
            docker.ok(&["pause", "gone"]);
            docker.says(&["start", "gone"])
        };
        assert!(code == 1 && said.contains("cannot start a paused container, try unpause instead"), "{said}");
        docker.ok(&["kill", "gone"]);
        until("it is removed", || docker.ok(&["ps", "-aq"]).is_empty());
        docker.ok(&["create", "--rm", "--name", "lost", "box", "/nowhere"]);
        let (_, said, code) = docker.says(&["start", "lost"]);
        assert!(code == 1 && said.contains("no such file or directory"), "{said}");
        assert_eq!(docker.ok(&["ps", "-aq"]), "");
        nothing_is_left();
    });
}

#[test]
fn a_container_that_is_killed_between_restarts_stays_where_it_is() {
    with_each_runtime(|docker| {
        let fails = ["box", "sh", "-c", "exit 3"];
        docker.ok(&[&["run", "-d", "--name", "loop", "--restart", "on-failure:0"], &fails[..]].concat());
        until("it comes back", || docker.ok(&["inspect", "-f", "{{.RestartCount}}", "loop"]).trim() > "2");
        until("it is between", || docker.state("loop") == "restarting");
        let (_, said, code) = docker.says(&["exec", "loop", "true"]);
        assert!(code == 1 && said.contains("is restarting, wait until the container is running"), "{said}");
        docker.ok(&["kill", "-s", "USR1", "loop"]);
        docker.ok(&["kill", "loop"]);
        let runs = || docker.ok(&["inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "loop"]);
        let told = runs();
        std::thread::sleep(std::time::Duration::from_millis(1500));
        assert!(told.ends_with(" exited\n") && runs() == told, "{told} {}", runs());
        docker.ok(&["rm", "loop"]);
        nothing_is_left();
    });
}

#[test]
fn a_project_that_waits_for_health_is_stopped_by_others_and_a_crash_loop_is_killed() {
    with_each_runtime(|docker| {
        let project = Project::new(
            docker,
            "
services:
  db: {COMMON, init: true, command: sleep 1000, healthcheck: {test: 'false', start_period: 300s}}
  web: {COMMON, init: true, command: sleep 1000, depends_on: {db: {condition: service_healthy}}}
",
        );
        for (end, left) in [(&["stop", "-t", "0"][..], ["shop-db-1"; 1]), (&["kill"], ["shop-db-1"; 1])] {
            let mut up = project.command(&["up", "-d"]).stderr(Stdio::null()).spawn().unwrap();
            until("it waits", || project.running() == left);
            project.ok(end);
            assert_eq!(up.wait().unwrap().code(), Some(1), "{end:?}");
            assert_eq!(project.running(), [""; 0]);
        }
        let mut up = project.command(&["up", "-d"]).stderr(Stdio::null()).spawn().unwrap();
        until("it waits", || project.running() == ["shop-db-1"]);
        project.ok(&["down", "-t", "0"]);
        assert_eq!(up.wait().unwrap().code(), Some(1));
        project.is_gone();

        project.write("services: {loop: {COMMON, command: 'false', restart: always}}\n");
        project.ok(&["up", "-d"]);
        until("it is between two starts", || {
            docker.ok(&["ps", "--format", "{{.Status}}"]).contains("Restarting")
        });
        project.ok(&["kill"]);
        std::thread::sleep(Duration::from_secs(1));
        assert!(docker.ok(&["ps", "-a", "--format", "{{.Status}}"]).starts_with("Exited"));
        project.is_gone();
    });
}
