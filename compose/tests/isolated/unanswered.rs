//! Commands that get no answer: their connection to containerd breaks off, or containerd hangs, or a shim. Containers
//! that run go on.

use std::fs;
use std::io::{BufRead, BufReader, copy};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::docker::{Docker, nothing_is_left, nothing_is_left_by_the_killed, said, with_each_runtime};
use crate::engine::{ADDRESS, state};
use crate::host::{sh, try_sh, until};

/// A socket that leads to containerd.
struct Proxy {
    connections: Arc<Mutex<Vec<UnixStream>>>,
}

impl Proxy {
    const ADDRESS: &str = "/run/proxy.sock";

    fn start() -> Proxy {
        drop(fs::remove_file(Proxy::ADDRESS));
        let listener = UnixListener::bind(Proxy::ADDRESS).expect("a socket");
        let connections = Arc::<Mutex<Vec<UnixStream>>>::default();
        let proxy = Proxy { connections: connections.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a client");
                // At the end of the test containerd is no longer there.
                let Ok(server) = UnixStream::connect(ADDRESS) else { return };
                let again = |stream: &UnixStream| stream.try_clone().expect("a descriptor");
                for (mut from, mut to) in [(again(&client), again(&server)), (again(&server), again(&client))]
                {
                    std::thread::spawn(move || {
                        drop(copy(&mut from, &mut to));
                        drop(to.shutdown(Shutdown::Both));
                    });
                }
                connections.lock().expect("it is whole").extend([client, server]);
            }
        });
        proxy
    }

    /// Cuts all connections that there are.
    fn cut(&self) {
        for stream in self.connections.lock().expect("it is whole").drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// A command that comes by this way.
    fn command(docker: &Docker, words: &[&str]) -> Command {
        let mut command = docker.command(words);
        command.env("CONTAINERD_ADDRESS", Proxy::ADDRESS);
        command
    }
}

const WAITS: &str = "echo up; until [ -e /go ]; do sleep 0.05; done";

#[test]
fn a_container_goes_on_whose_client_is_cut_off_and_one_line_tells_why() {
    with_each_runtime(|docker| {
        let proxy = Proxy::start();
        let broken = "cortenctl: containerd at /run/proxy.sock: the connection has broken off (";
        let create = ["create", "--rm", "--name", "c1", "box", "sh", "-c", WAITS];
        let run = [&["run"], &create[1..]].concat();
        for (words, code) in [(&run[..], 125), (&["start", "-a", "c1"], 1)] {
            if words[0] == "start" {
                let made = Proxy::command(docker, &create).status();
                assert!(made.expect("it begins").success());
            }
            let client = Proxy::command(docker, words).spawn().expect("it begins");
            until("it runs", || docker.says(&["logs", "c1"]).0 == "up\n");
            proxy.cut();
            let (_, told, ended) = said(&client.wait_with_output().expect("it ends"));
            assert_eq!((ended, told.lines().count()), (code, 1), "{words:?}: {told}");
            assert!(told.starts_with(broken), "{told}");
            assert_eq!(docker.state("c1"), "running", "{words:?}");
            docker.ok(&["exec", "c1", "touch", "/go"]);
            until("it is removed at its end", || docker.ok(&["ps", "-aq"]).is_empty());
        }
        nothing_is_left();
    });
}

fn signal(client: &Child, signal: Signal) {
    kill(Pid::from_raw(client.id().try_into().expect("a pid")), signal).expect("it lives");
}

/// A process that hangs, until this is dropped.
struct Hanging(String);

impl Hanging {
    fn new(pid: impl ToString) -> Hanging {
        sh(&format!("kill -STOP {}", pid.to_string()));
        Hanging(pid.to_string())
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        try_sh(&format!("kill -CONT {}", self.0));
    }
}

/// Ends a client that waits for what hangs, by the third signal.
fn lets_go(mut client: Child, _hangs: Hanging) {
    for round in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT] {
        std::thread::sleep(Duration::from_millis(150));
        signal(&client, round);
    }
    until("it ends", || client.try_wait().expect("it is ours").is_some());
    let (_, told, code) = said(&client.wait_with_output().expect("its output"));
    assert_eq!(code, 1, "{told}");
    assert!(told.ends_with("got 3 SIGTERM/SIGINTs, forcefully exiting\n"), "{told}");
}

#[test]
fn who_is_attached_to_what_hangs_is_let_go_of_by_signals_that_nobody_gets_and_by_no_others() {
    with_each_runtime(|docker| {
        let line = "trap 'echo heard' INT; echo up; while :; do sleep 0.05; done";
        let mut client = docker.spawn(&["run", "--rm", "--name", "c1", "box", "sh", "-c", line]);
        let mut shown = BufReader::new(client.stdout.take().expect("its output")).lines();
        let mut next = || shown.next().expect("a line").expect("a text");
        assert_eq!(next(), "up");
        for _ in 0..4 {
            signal(&client, Signal::SIGINT);
            assert_eq!(next(), "heard");
        }
        assert!(client.try_wait().expect("it is ours").is_none(), "a process that gets them may have more");
        let shim = sh(&format!("ps -o ppid= -p {}", docker.ok(&["inspect", "-f", "{{.State.Pid}}", "c1"])));
        lets_go(client, Hanging::new(shim.trim()));
        assert_eq!(docker.state("c1"), "running");
        docker.ok(&["rm", "-f", "c1"]);

        let run = ["run", "--rm", "--name", "c1", "box", "sleep", "1000"];
        let client = docker.spawn(&run);
        until("it runs", || docker.says(&["inspect", "-f", "{{.State.Status}}", "c1"]).0 == "running\n");
        let id = docker.ok(&["inspect", "-f", "{{.Id}}", "c1"]);
        let keeper = state(id.trim())["keeper"]["pid"].to_string();
        let hangs = Hanging::new(keeper);
        docker.ok(&["kill", "c1"]);
        lets_go(client, hangs);
        // The next one's keeper is looked for below.
        nothing_is_left();

        let client = docker.spawn(&run);
        until("it has a keeper", || try_sh("ls /run/corten-compose/default/*/state.json").status.success());
        lets_go(client, Hanging::new(docker.containerd.pid()));
        docker.says(&["rm", "-f", "c1"]);
        nothing_is_left_by_the_killed();
    });
}

#[test]
fn a_restart_that_is_killed_leaves_no_container_that_is_removed_at_its_end() {
    with_each_runtime(|docker| {
        let deaf = "trap : TERM; while :; do sleep 0.1; done";
        let client = docker.spawn(&["run", "--rm", "--name", "c1", "box", "sh", "-c", deaf]);
        until("it runs", || docker.says(&["inspect", "-f", "{{.State.Status}}", "c1"]).0 == "running\n");
        docker.ok(&["restart", "-t", "0", "c1"]);
        assert_eq!(said(&client.wait_with_output().expect("it ends")).2, 137);
        assert_eq!(docker.state("c1"), "running", "it stays for who restarts it");
        let mut restarting = docker.spawn(&["restart", "-t", "100", "c1"]);
        until("it is about to be restarted", || stays("c1", docker));
        restarting.kill().expect("it is killed");
        restarting.wait().expect("it has ended");
        docker.ok(&["kill", "c1"]);
        until("it is removed", || docker.ok(&["ps", "-aq"]).is_empty());
        nothing_is_left();
    });
}

/// Whether somebody is about to start the container again once it has ended.
fn stays(name: &str, docker: &Docker) -> bool {
    let id = docker.ok(&["inspect", "-f", "{{.Id}}", name]);
    let path = format!("/var/lib/corten-compose/default/containers/{}/keep.json", id.trim());
    !fs::read_to_string(path).expect("its settings").contains(r#""stays_for":null"#)
}
