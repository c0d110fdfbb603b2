//! What is looked at or changed while containers run, by both names, with a real containerd and each runtime.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::docker::{Docker, nothing_is_left, with_each_runtime};
use crate::host::{sh, try_sh, until};
use crate::project::Project;

/// A command that goes on, and what it has said so far.
struct Follower {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
    /// Lines that nobody has asked for yet.
    others: RefCell<Vec<String>>,
}

impl Follower {
    fn of(mut child: Child) -> Follower {
        let (sender, lines) = std::sync::mpsc::channel();
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Follower { child, lines, others: RefCell::default() }
    }

    /// Waits for a line that has this in it. What comes of two causes, comes in either order.
    fn says(&self, part: &str) -> String {
        let begun = Instant::now();
        let mut others = self.others.borrow_mut();
        if let Some(at) = others.iter().position(|line| line.contains(part)) {
            return others.remove(at);
        }
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(20).saturating_sub(begun.elapsed()))
        {
            if line.contains(part) {
                return line;
            }
            others.push(line);
        }
        panic!("no {part:?} in {:#?}", *others)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Follows events until the first of them has come: whatever follows is seen.
fn events(docker: &Docker, words: &[&str]) -> Follower {
    let follower = Follower::of(docker.spawn(&[&["events"], words].concat()));
    // Nobody says when it listens, so that it is asked by an image's name until it answers.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        docker.ok(&["tag", "box", "heard:latest"]);
        if follower.lines.recv_timeout(Duration::from_millis(200)).is_ok() {
            return follower;
        }
    }
    panic!("no event has come")
}

#[test]
fn what_happens_is_told_as_it_happens() {
    with_each_runtime(|docker| {
        let lines = events(docker, &[]);
        let json = events(docker, &["--format", "json"]);
        let check = ["--health-cmd", "true", "--health-interval", "100ms"];
        let start = ["run", "-d", "--name", "web", "--label", "tier=front"];
        docker.ok(&[&start[..], &check, &["box", "sleep", "1000"]].concat());
        assert!(lines.says(" create ").contains("name=web, tier=front"));
        lines.says(" container start ");
        lines.says(" container health_status: healthy ");
        docker.ok(&["pause", "web"]);
        lines.says(" container pause ");
        docker.ok(&["unpause", "web"]);
        lines.says(" container unpause ");
        docker.ok(&["rename", "web", "site"]);
        assert!(lines.says(" container rename ").contains("name=site, oldName=/web"));
        docker.ok(&["kill", "site"]);
        assert!(lines.says(" container kill ").contains("signal=9"));
        let died = lines.says(" container die ");
        assert!(died.contains("exitCode=137, image=box") && died.contains("name=site"), "{died}");
        docker.ok(&["rm", "-v", "site"]);
        lines.says(" container destroy ");
        let die: Value = serde_json::from_str(&json.says("\"die\"")).expect("JSON");
        assert_eq!(die["Actor"]["Attributes"]["exitCode"], "137");
        assert_eq!((&die["Type"], &die["from"]), (&"container".into(), &"box".into()));
        // Who reads no more ends it at the next event.
        let mut closed = events(docker, &["--filter", "type=image", "--format", "{{.Action}} {{.ID}}"]);
        let (_, nobody) = std::sync::mpsc::channel();
        closed.lines = nobody;
        until("it has ended", || {
            docker.ok(&["tag", "box", "heard:latest"]);
            closed.child.try_wait().expect("a child").is_some()
        });
        assert_eq!(docker.says(&["events", "--since", "1h"]).2, 1);
        assert_eq!(docker.ok(&["events", "--until", "0s"]), "");
        nothing_is_left();
    });
}

#[test]
fn limits_and_policies_change_and_a_restart_keeps_them() {
    with_each_runtime(|docker| {
        docker.ok(&["run", "-d", "--init", "--name", "web", "-m", "64m", "box", "sleep", "1000"]);
        let limits = ["-m", "96m", "--memory-swap", "192m", "--pids-limit", "77", "--cpus", "0.5"];
        assert_eq!(docker.ok(&[&["update"], &limits[..], &["--restart", "always", "web"]].concat()), "web\n");
        let asked = "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.PidsLimit}}";
        let used = |docker: &Docker| {
            let stats = ["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "web"];
            docker.ok(&stats)
        };
        assert_eq!(docker.ok(&["inspect", "-f", asked, "web"]), "100663296 always 77\n");
        let before = used(docker);
        assert!(before.starts_with("web ") && before.contains(" / 96MiB"), "{before}");
        docker.ok(&["restart", "-t", "0", "web"]);
        assert!(used(docker).contains(" / 96MiB"));
        // The keeper goes by the new policy.
        let id = docker.ok(&["inspect", "-f", "{{.Id}}", "web"]).trim().to_owned();
        let started = || docker.ok(&["inspect", "-f", "{{.State.StartedAt}}", "web"]);
        let first = started();
        sh(&format!("ctr tasks kill -s SIGKILL {id}"));
        until("it is another start", || started() != first && docker.state("web") == "running");
        docker.ok(&["update", "--restart", "no", "web"]);
        sh(&format!("ctr tasks kill -s SIGKILL {id}"));
        until("it stays", || docker.ok(&["ps", "-a", "--format", "{{.State}}"]) == "exited\n");
        let zero = docker.ok(&["stats", "-a", "--no-stream"]);
        assert!(zero.contains("0.00%") && zero.contains("0B / 0B"), "{zero}");
        for (words, why) in [
            (&["update", "web"][..], "you must provide one or more flags"),
            (&["update", "-m", "1m", "web"], "6MB"),
            (&["update", "-m", "1g", "web"], "update the memoryswap at the same time"),
            (&["update", "--restart", "maybe", "web"], "unknown policy 'maybe'"),
            (&["update", "-m", "64m", "nobody"], "No such container: nobody"),
            (&["stats", "--no-stream", "nobody"], "No such container: nobody"),
            (&["stats", "--no-stream", "--format", "{{.Nothing", "web"], "template"),
            (&["stats", "--no-stream", "--format", "{{.Nothing}}", "web"], "no field Nothing"),
            (&["port", "nobody"], "No such container: nobody"),
            (&["rename", "web", "-"], "Invalid container name"),
            (&["rename", "web", "web"], "same name"),
            (&["diff", "nobody"], "No such container: nobody"),
        ] {
            let (_, stderr, code) = docker.says(words);
            assert!(code == 1 && stderr.contains(why), "{words:?}: {code} {stderr}");
        }
        docker.ok(&["rm", "-v", "web"]);
        nothing_is_left();
    });
}

#[test]
fn names_ports_and_changed_paths_are_told() {
    with_each_runtime(|docker| {
        let change = "echo x > /new; mkdir /dir; echo y > /dir/in; rm /etc/group; echo z >> /etc/passwd; \
            exec sleep 1000";
        let ports = ["-p", "8080:80", "-p", "127.0.0.1:5353:53/udp"];
        docker.ok(&[&["run", "-d", "--name", "web"], &ports[..], &["box", "sh", "-c", change]].concat());
        let all = "53/udp -> 127.0.0.1:5353\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n";
        assert_eq!(docker.ok(&["port", "web"]), all);
        assert_eq!(docker.ok(&["port", "web", "80"]), "0.0.0.0:8080\n[::]:8080\n");
        assert_eq!(docker.ok(&["port", "web", "53/udp"]), "127.0.0.1:5353\n");
        assert!(docker.says(&["port", "web", "81"]).1.contains("no public port '81/tcp' published for web"));
        let has = |line: &str| docker.ok(&["diff", "web"]).lines().any(|other| other == line);
        until("all is changed", || has("C /etc/passwd"));
        for line in ["A /new", "A /dir", "A /dir/in", "C /etc", "D /etc/group"] {
            assert!(has(line), "{line}: {}", docker.ok(&["diff", "web"]));
        }
        assert!(!has("C /bin") && !has("A /dev") && !has("A /etc/hosts"));
        docker.ok(&["rename", "web", "site"]);
        assert_eq!(docker.says(&["stop", "web"]).2, 1);
        let found = |name: &str| docker.says(&["run", "--rm", "box", "nslookup", name]).2;
        assert_eq!((found("site"), found("web") == 0), (0, false));
        docker.ok(&["run", "-d", "--name", "web", "box", "sleep", "1000"]);
        assert!(docker.says(&["rename", "site", "web"]).1.contains("is already in use by container"));
        docker.ok(&["stop", "-t", "0", "site"]);
        docker.ok(&["export", "-o", "/run/site.tar", "site"]);
        assert_eq!(sh("tar -xOf /run/site.tar ./new"), "x\n");
        assert_eq!(docker.ok(&["port", "site"]), "");
        assert!(has_line(&docker.ok(&["diff", "site"]), "A /dir/in"));
        docker.ok(&["rm", "-f", "-v", "site", "web"]);
        nothing_is_left();
    });
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|other| other == line)
}

/// What `ctr` has made has none of our labels, records, keepers.
#[test]
fn containers_of_other_clients_are_seen_as_far_as_they_go() {
    with_each_runtime(|docker| {
        sh("ctr run -d --rootfs /run/rootfs other /bin/sleep 1000");
        assert_eq!(docker.ok(&["ps", "--format", "{{.Names}} {{.State}} {{.Ports}}"]), "other running \n");
        assert!(docker.ok(&["top", "other"]).contains("sleep 1000"));
        assert!(docker.ok(&["top", "other", "-o", "pid,args"]).contains("sleep 1000"));
        assert!(docker.ok(&["stats", "--no-stream"]).contains("other"));
        assert_eq!(docker.ok(&["port", "other"]), "");
        assert!(docker.says(&["diff", "other"]).1.contains("no snapshot"));
        docker.ok(&["export", "-o", "/run/other.tar", "other"]);
        docker.ok(&["pause", "other"]);
        docker.ok(&["unpause", "other"]);
        docker.ok(&["update", "--pids-limit", "50", "other"]);
        for words in [
            &["update", "--restart", "always", "other"][..],
            &["rename", "other", "mine"],
            &["logs", "other"],
        ] {
            let (_, stderr, code) = docker.says(words);
            assert!(code == 1 && stderr.contains("not made by cortenctl"), "{words:?}: {stderr}");
        }
        docker.ok(&["kill", "other"]);
        until("it has ended", || docker.ok(&["ps", "-a", "--format", "{{.State}}"]) == "exited\n");
        docker.ok(&["rm", "other"]);
        assert!(try_sh("ctr containers ls -q").stdout.is_empty());
        nothing_is_left();
    });
}

const PAIR: &str = "
services:
  web: {COMMON, init: true, command: sh -c 'echo begun; sleep 1000', ports: ['8080:80'], volumes: ['data:/data']}
  job: {COMMON, init: true, command: sh -c 'sleep 1; exit 7'}
volumes: {data: }
";

#[test]
fn a_projects_containers_are_looked_at_and_changed() {
    with_each_runtime(|docker| {
        let project = Project::new(docker, PAIR);
        project.ok(&["up", "-d"]);
        let mut logs =
            project.command(&["logs", "-f", "job", "web"]).stdout(Stdio::piped()).spawn().expect("logs");
        let begun = Instant::now();
        let waited = project.says(&["wait", "job"]);
        assert_eq!(waited.code, 7);
        assert!(waited.stdout.contains("exited with status code 7"), "{}", waited.stdout);
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        let top = project.ok(&["top"]).stdout;
        assert!(top.starts_with("SERVICE") && top.contains("sleep 1000"), "{top}");
        assert!(project.ok(&["stats", "--no-stream", "web"]).stdout.contains("shop-web-1"));
        assert_eq!(project.ok(&["port", "web", "80"]).stdout, "0.0.0.0:8080\n");
        let refused = project.says(&["port", "web", "81"]);
        assert!(
            refused.code == 1 && refused.stderr.contains("no port 81/tcp for container shop-web-1: 80/tcp")
        );
        assert!(project.says(&["port", "--index", "2", "web", "80"]).stderr.contains("container #2"));
        assert!(project.says(&["top", "nobody"]).stderr.contains("no such service: nobody"));
        assert_eq!(project.ok(&["volumes", "-q"]).stdout, "shop_data\n");
        assert_eq!(project.ok(&["volumes", "-q", "job"]).stdout, "");
        let images: Value =
            serde_json::from_str(&project.ok(&["images", "--format", "json"]).stdout).expect("JSON");
        assert_eq!(
            (&images[1]["ContainerName"], &images[1]["Repository"]),
            (&"shop-web-1".into(), &"box".into())
        );
        assert_eq!(project.ok(&["images", "-q"]).stdout.trim().len(), 64);
        assert_eq!(project.ok(&["version", "--short"]).stdout.trim(), env!("CARGO_PKG_VERSION"));
        assert!(project.ok(&["--dry-run", "pause"]).stdout.contains("freeze shop-web-1"));
        assert!(project.ok(&["pause"]).stderr.contains("Container shop-web-1  Paused"));
        assert_eq!(project.says(&["pause"]).code, 1);
        project.ok(&["unpause", "web"]);
        project.ok(&["kill", "-s", "SIGKILL", "web"]);
        until("it is dead", || project.running().is_empty());
        assert!(project.ok(&["kill"]).stderr.contains("No container to kill"));
        let mut followed = String::new();
        logs.stdout.take().expect("a pipe").read_to_string(&mut followed).expect("text");
        assert!(
            logs.wait().expect("it ends by itself").success() && followed.contains("web-1  | begun"),
            "{followed}"
        );
        // Nobody answers the question.
        project.ok(&["rm"]);
        assert!(project.ok(&["ps", "-a", "-q"]).stdout.lines().count() == 2);
        project.ok(&["rm", "-f", "job"]);
        project.ok(&["scale", "job=2"]);
        assert_eq!(project.ok(&["ps", "-a", "-q", "job"]).stdout.lines().count(), 2);
        assert!(project.says(&["scale", "web=2"]).stderr.contains("can't all have port 8080"));
        assert!(project.says(&["scale", "web=x"]).stderr.contains("invalid scale specifier"));
        project.ok(&["rm", "-f", "-s", "-v"]);
        assert!(project.ok(&["rm", "-f"]).stderr.contains("No stopped containers"));
        project.is_gone();
    });
}
