//! Keeper and hooks with a real containerd: whoever starts a container, it has network, log, health and restarts.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::docker::{nothing_is_left, with_each_runtime};
use crate::engine::{self, Containerd, exit, state};
use crate::host::{CONTAINERS, isolated, log, program, sh, try_sh, until};
use crate::world::{get, network};

fn runs(id: &str) -> usize {
    log(id).iter().filter(|(_, text)| text == "run\n").count()
}

#[test]
fn what_ends_is_started_again_with_growing_pauses_until_the_user_stops_it() {
    if !isolated() {
        return;
    }
    let _containerd = Containerd::start();
    engine::run(
        "c1",
        "echo run; exit 3",
        json!({"restart": {"name": "always"}}),
        json!({"name": "c1", "hostname": "c1"}),
    );
    until("it was started three times", || runs("c1") == 3);
    assert_eq!(exit("c1")["code"], 3);
    assert!(state("c1")["restarts"]["count"].as_u64().unwrap() >= 2);
    sh("ctr containers label c1 containerd.io/restart.explicitly-stopped=true");
    until("nobody starts it any more", || {
        state("c1")["next_restart"].is_null() && state("c1")["keeper"].is_null()
    });
    assert!(try_sh("ctr tasks ls -q").stdout.is_empty());
}

#[test]
fn what_has_failed_often_enough_is_left_and_no_shim_stays() {
    if !isolated() {
        return;
    }
    let _containerd = Containerd::start();
    let request = json!({"name": "c1", "hostname": "c1"});
    let restart = json!({"restart": {"name": "on-failure", "retries_max": 2}});
    engine::run("c1", "echo run; exit 3", restart, request.clone());
    engine::run("c2", "echo run; exit 0", json!({"restart": {"name": "on-failure"}}), request);
    until("two more times", || runs("c1") == 3 && state("c1")["keeper"].is_null());
    until("the tasks are gone", || try_sh("ctr tasks ls -q").stdout.is_empty());
    assert_eq!((runs("c1"), runs("c2")), (3, 1));
    assert_eq!((exit("c1")["code"].clone(), exit("c2")["code"].clone()), (json!(3), json!(0)));
}

#[test]
fn health_is_probed_and_told() {
    if !isolated() {
        return;
    }
    let _containerd = Containerd::start();
    let ms = |ms: u64| json!({"secs": 0, "nanos": ms * 1_000_000});
    let check =
        json!({"args": ["sh", "-c", "echo looking; test -e /well"], "interval": ms(100), "retries": 2});
    engine::run("c1", "exec sleep 1000", json!({"health": check}), json!({"name": "c1", "hostname": "c1"}));
    let health = |key: &str| state("c1")["health"][key].clone();
    until("it is unhealthy", || health("status") == "unhealthy");
    assert_eq!(health("results")[0]["exit_code"], 1);
    assert_eq!(health("results")[0]["output"], "looking\n");
    std::fs::write("/run/rootfs/well", "").unwrap();
    until("it is healthy", || health("status") == "healthy");
    until("old results go", || health("results").as_array().unwrap().len() == 5);
    assert_eq!(health("failing_streak"), 0);
    let slow = json!({"args": ["sleep", "100"], "interval": ms(50), "timeout": ms(100), "retries": 1});
    engine::run("c2", "exec sleep 1000", json!({"health": slow}), json!({"name": "c2", "hostname": "c2"}));
    until("what is too slow is unhealthy", || state("c2")["health"]["status"] == "unhealthy");
    assert_eq!(state("c2")["health"]["results"][0]["output"], "Health check exceeded timeout (100ms)");
}

#[test]
fn a_verdict_is_there_in_time_whoever_holds_the_probes_output() {
    with_each_runtime(|docker| {
        let late = "echo hi; sleep 100 & sleep 100";
        let check = ["--health-interval", "50ms", "--health-timeout", "200ms", "--health-cmd"];
        docker.ok(&[&["run", "-d", "--name", "late"], &check[..], &[late, "box", "sleep", "1000"]].concat());
        let results =
            || docker.ok(&["inspect", "-f", "{{range .State.Health.Log}}{{.Output}}{{end}}", "late"]);
        let begun = Instant::now();
        until("three probes were too slow", || results().matches("exceeded").count() >= 3);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(results().starts_with("Health check exceeded timeout (200ms): hi\n"), "{}", results());
    });
}

#[test]
fn a_keeper_that_is_killed_holds_nobody_up() {
    with_each_runtime(|docker| {
        let probes = ["--health-cmd", "true", "--health-interval", "1ms"];
        for (round, end) in ["stop", "kill", "restart", "rm", "rm", "rm", "rm"].into_iter().enumerate() {
            let run = [&["run", "-d", "--name", "c1"], &probes[..], &["box", "sleep", "1000"]].concat();
            let id = docker.ok(&run);
            let keeper = state(id.trim())["keeper"]["pid"].as_i64().expect("a keeper");
            std::thread::sleep(Duration::from_millis(100 + 17 * round as u64));
            kill(Pid::from_raw(keeper.try_into().expect("a pid")), Signal::SIGKILL).expect("it runs");
            let begun = Instant::now();
            match end {
                "stop" | "restart" => drop(docker.ok(&[end, "-t", "0", "c1"])),
                "kill" => drop(docker.ok(&["kill", "c1"])),
                _ => {}
            }
            docker.ok(&["rm", "-f", "c1"]);
            assert!(begun.elapsed() < Duration::from_secs(10), "{end}: {:?}", begun.elapsed());
        }
        nothing_is_left();
    });
}

#[test]
fn an_exec_whose_client_is_killed_holds_nobody_up_and_what_is_typed_early_arrives() {
    with_each_runtime(|docker| {
        docker.ok(&["run", "-d", "--name", "c1", "box", "sleep", "1000"]);
        for round in 0..8 {
            let mut client = docker.spawn(&["exec", "-i", "c1", "cat"]);
            std::thread::sleep(Duration::from_millis(8 * round));
            client.kill().expect("it is killed");
            client.wait().expect("it has ended");
            let begun = Instant::now();
            docker.ok(&["exec", "c1", "true"]);
            assert!(begun.elapsed() < Duration::from_secs(5), "{round}: {:?}", begun.elapsed());
        }
        let mut client = docker.spawn(&["exec", "-i", "c1", "cat"]);
        client.stdin.take().expect("its input").write_all(b"typed\n").expect("it is typed");
        assert_eq!(client.wait_with_output().expect("it ends").stdout, b"typed\n");
        docker.ok(&["rm", "-f", "c1"]);
        nothing_is_left();
    });
}

#[test]
fn a_container_that_ctr_starts_has_its_network() {
    if !isolated() {
        return;
    }
    network("front", 0, false);
    let _containerd = Containerd::start();
    let front = json!([{"network": "front"}]);
    let request =
        |name: &str, ports| json!({"name": name, "hostname": name, "attachments": front, "ports": ports});
    let ports = json!([{"host_port": 8080, "container_port": 80, "protocol": "tcp"}]);
    let server = "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho\\necho here\\n' > /www/cgi-bin/client; \
        chmod +x /www/cgi-bin/client; exec httpd -f -p 80 -h /www";
    engine::run("web", server, json!({}), request("web", ports));
    until("the published port is reached", || get(None, "http://127.0.0.1:8080").as_deref() == Some("here"));
    engine::run(
        "client",
        "nslookup web; wget -qO- http://web/cgi-bin/client",
        json!({}),
        request("client", json!([])),
    );
    until("the name is reached", || log("client").last().is_some_and(|(_, text)| text == "here\n"));
    sh("ctr tasks kill -s SIGKILL web");
    until("the task is deleted at its end", || try_sh("ctr tasks ls -q").stdout.is_empty());
    assert_eq!(exit("web")["code"], 137);
    until("the network is gone with it", || !sh("nft list tables").contains(" corten\n"));
}

#[test]
fn a_killed_shim_brings_everything_back_by_containerds_monitor() {
    if !isolated() {
        return;
    }
    network("front", 0, false);
    let _containerd = Containerd::start();
    let request = json!({"name": "c1", "hostname": "c1", "attachments": [{"network": "front"}]});
    engine::run("c1", "echo run; exec sleep 1000", json!({"restart": {"name": "always"}}), request);
    until("it has run", || runs("c1") == 1);
    let keeper = state("c1")["keeper"]["pid"].as_i64().unwrap();
    let shim = sh(&format!("ps -o ppid= -p {keeper}"));
    let uri = format!("binary://{}?keep={}/c1", program(), CONTAINERS);
    sh(&format!(
        "ctr containers label c1 containerd.io/restart.loguri='{uri}' containerd.io/restart.status=running"
    ));
    sh(&format!("kill -9 {shim}"));
    until("it runs again", || runs("c1") == 2);
    assert_ne!(state("c1")["keeper"]["pid"], keeper);
    until("the keeper of the dead one has ended", || {
        !std::path::Path::new(&format!("/proc/{keeper}")).exists()
    });
    let address = sh(&format!("nsenter -t {} -n ip -4 -o addr show eth0", state("c1")["init"]["pid"]));
    assert!(address.contains("10.72.0."), "{address}");
    assert_eq!(sh("ls /run/corten-compose/.addresses/id-of-front | grep -c '^10'").trim(), "1");
    sh("ctr containers label c1 containerd.io/restart.status=stopped");
}

#[test]
fn what_was_killed_with_its_shim_is_started_again_by_us() {
    with_each_runtime(|docker| {
        // containerd's monitor knows nothing of this policy.
        docker.ok(&[
            "run",
            "-dit",
            "--name",
            "web",
            "--restart",
            "on-failure:1",
            "box",
            "sh",
            "-c",
            "echo up; cat",
        ]);
        let runs = || docker.ok(&["logs", "web"]).matches("up\r\n").count();
        until("it has run", || runs() == 1);
        let pid = docker.ok(&["inspect", "-f", "{{.State.Pid}}", "web"]);
        sh(&format!("kill -9 $(ps -o ppid= -p {pid})"));
        until("it runs again", || runs() == 2 && docker.state("web") == "running");
        assert_eq!(docker.ok(&["inspect", "-f", "{{.RestartCount}} {{.Config.Tty}}", "web"]), "1 true\n");
        docker.ok(&["exec", "web", "sh", "-c", "test -t 0 < /proc/1/fd/0"]);
        docker.ok(&["rm", "-f", "web"]);
        // What can't be started again says why.
        let lost = ["box", "sh", "-c", "rm $(which sh); exit 3"];
        docker.ok(&[&["run", "-d", "--name", "lost", "--restart", "on-failure:2"], &lost[..]].concat());
        let told = ["inspect", "-f", "{{.RestartCount}} {{.State.ExitCode}} {{.State.Error}}", "lost"];
        until("it is given up", || docker.state("lost") == "exited");
        let told = docker.ok(&told);
        assert!(told.starts_with("2 127 ") && told.contains("executable file not found"), "{told}");
        assert_eq!(docker.ok(&["logs", "lost"]), "");
        docker.ok(&["rm", "lost"]);
        // One that is removed at its end is removed at this one, too.
        let gone = docker.ok(&["run", "-d", "--rm", "box", "sleep", "1000"]);
        let pid = docker.ok(&["inspect", "-f", "{{.State.Pid}}", gone.trim()]);
        sh(&format!("kill -9 $(ps -o ppid= -p {pid})"));
        until("it is removed", || docker.ok(&["ps", "-aq"]).is_empty());
        nothing_is_left();
    });
}

#[test]
fn a_signal_that_comes_before_the_process_starts_is_given_to_the_process() {
    with_each_runtime(|docker| {
        for delay in [0, 20, 50, 90] {
            let line = "trap 'exit 7' TERM; echo runs; while :; do sleep 0.1; done";
            let mut client = docker.spawn(&["run", "--rm", "-i", "--name", "c1", "box", "sh", "-c", line]);
            until("it has a keeper", || {
                try_sh("ls /run/corten-compose/default/*/state.json").status.success()
            });
            std::thread::sleep(Duration::from_millis(delay));
            let client_pid = Pid::from_raw(client.id().try_into().expect("a pid"));
            kill(client_pid, Signal::SIGTERM).expect("it lives");
            let _ = client.stdout.as_mut().map(|stdout| stdout.read(&mut [0; 4]).unwrap());
            // A first process that has no handler yet gets no signal from the kernel.
            let mut has_ended = || client.try_wait().unwrap().is_some();
            let ends = (0..20).any(|_| {
                std::thread::sleep(Duration::from_millis(50));
                has_ended()
            });
            if !ends {
                kill(client_pid, Signal::SIGTERM).expect("it lives");
            }
            assert_eq!(client.wait().unwrap().code(), Some(7), "after {delay} ms");
            nothing_is_left();
        }
    });
}

#[test]
fn an_exit_that_can_not_be_written_down_keeps_nothing_from_its_next_start_or_its_removal() {
    with_each_runtime(|docker| {
        for how in ["--restart=on-failure", "--rm"] {
            let id = docker.ok(&["run", "-d", how, "box", "sh", "-c", "sleep 0.5; echo run; exit 3"]);
            // No file takes the place of a directory.
            sh(&format!("mkdir {CONTAINERS}/{}/exit.json", id.trim()));
            match how {
                "--rm" => until("it is removed", || docker.ok(&["ps", "-aq"]).is_empty()),
                _ => until("it is started again twice", || runs(id.trim()) == 3),
            }
            docker.says(&["rm", "-f", id.trim()]);
        }
        // Its end is told, and it can be started.
        let id = docker.ok(&["run", "-d", "box", "sh", "-c", "sleep 0.5; echo run; exit 3"]);
        sh(&format!("mkdir {CONTAINERS}/{}/exit.json", id.trim()));
        until("it has ended", || docker.state(id.trim()) == "exited");
        docker.ok(&["start", id.trim()]);
        until("it has run again", || runs(id.trim()) == 2);
        docker.ok(&["rm", "-f", id.trim()]);
        nothing_is_left();
    });
}

#[test]
fn what_follows_the_end_of_a_killed_start_leaves_the_next_users_start_alone() {
    with_each_runtime(|docker| {
        // The hooks of both starts wait for this lock.
        sh("mkdir -p /run/corten-compose");
        let mut lock = std::process::Command::new("flock")
            .args(["/run/corten-compose/.networks.lock", "sleep", "3.5"])
            .spawn()
            .expect("flock");
        let mut first =
            docker.spawn(&["run", "-d", "--restart=always", "--name", "web", "box", "sleep", "1000"]);
        until("its task is being made", || {
            try_sh("ls /run/corten-compose/default/*/state.json").status.success()
        });
        std::thread::sleep(Duration::from_millis(500));
        first.kill().expect("it lives");
        first.wait().expect("it has ended");
        docker.ok(&["start", "web"]);
        assert_eq!(docker.state("web"), "running");
        lock.wait().expect("it ends");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(docker.state("web"), "running");
        docker.ok(&["rm", "-f", "web"]);
        nothing_is_left();
    });
}

#[test]
fn who_has_not_heard_of_the_users_stop_starts_nothing() {
    with_each_runtime(|docker| {
        docker.ok(&["run", "-d", "--name", "web", "--restart=always", "box", "sleep", "1000"]);
        let id = docker.ok(&["inspect", "-f", "{{.Id}}", "web"]);
        let uri =
            sh("ctr containers ls -q | xargs ctr containers info | grep -o 'binary://[^\"]*' | head -n 1");
        docker.ok(&["stop", "-t", "0", "web"]);
        let late = try_sh(&format!("ctr tasks start -d --log-uri '{}' {}", uri.trim(), id.trim()));
        assert!(!late.status.success());
        let said = String::from_utf8_lossy(&late.stderr);
        assert!(said.contains("its user has just stopped it"), "{said}");
        assert_eq!(docker.state("web"), "exited");
        docker.ok(&["start", "web"]);
        assert_eq!(docker.state("web"), "running");
        docker.ok(&["rm", "-f", "web"]);
        nothing_is_left();
    });
}
