//! What many containers at once cost, and that they have room: memory, descriptors, starts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::containerd::{Containerd, Server, is_of_containerd, until};
use super::events::Event::{Create, Delete, ExecAdded, ExecStarted, Exit, Oom, Start};
use super::task::{Streams, creation};

/// What a server may cost, in KiB, whether it has no container or ten.
const RSS_MAX: u64 = 4608;
const PRIVATE_DIRTY_MAX: u64 = 600;
/// What each further container may cost, in KiB.
const PRIVATE_DIRTY_OF_ONE_MAX: u64 = 16;

const IDLE: usize = 100;
/// Too few descriptors for so many containers.
const FILES_MAX: usize = 128;

const STARTS_AT_ONCE: usize = 24;
const WORKERS: usize = 10;
const WORKS: usize = 10;
const GREEDY: usize = 3;
/// So many rounds may pass before one is without growth.
const ROUNDS: usize = 30;
/// What would be a leak, in bytes per container.
const LEAK: usize = 512;

/// `number`, as many times as `CORTEN_LOAD` says.
pub fn times(number: usize) -> usize {
    let factor = std::env::var("CORTEN_LOAD").map_or(1, |text| text.parse().expect("a number"));
    number * factor
}

#[test]
fn idle_containers_cost_little_memory() {
    if is_of_containerd() || (std::env::var_os("CORTEN_SHIM").is_none() && cfg!(debug_assertions)) {
        eprintln!("skipped: the budget is for the optimised shim, which CORTEN_SHIM names");
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c0", &["sleep", "600"]);
    server.task.run(&request);
    let of_one = costs(&server);
    idle(&containerd, &server, 1..10);
    let of_ten = costs(&server);
    assert!(of_one.rss <= RSS_MAX && of_ten.rss <= RSS_MAX, "{of_one:?} {of_ten:?}");
    assert!(of_ten.private_dirty <= PRIVATE_DIRTY_MAX, "{of_one:?} {of_ten:?}");
    idle(&containerd, &server, 10..times(IDLE));
    let of_all = costs(&server);
    println!("of one {of_one:?}, of ten {of_ten:?}, of {} {of_all:?}", times(IDLE));
    let further = (times(IDLE) - 10) as u64;
    assert!(of_all.private_dirty <= of_ten.private_dirty + further * PRIVATE_DIRTY_OF_ONE_MAX, "{of_all:?}");
    all_end(&containerd, &server, times(IDLE));
}

#[derive(Debug)]
struct Costs {
    rss: u64,
    private_dirty: u64,
}

/// What an idle server costs: threads that have nothing to do end soon.
fn costs(server: &Server) -> Costs {
    until("threads end", || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", server.pid)).expect("it lives").count();
        if threads == 1 { Ok(()) } else { Err(threads) }
    });
    Costs { rss: server.memory("Rss"), private_dirty: server.memory("Private_Dirty") }
}

fn idle(containerd: &Containerd, server: &Server, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let id = format!("c{number}");
        let bundle = containerd.bundle(&id, &["sleep", "600"]);
        server.task.run(&creation(&id, &bundle, Streams::default()));
    }
}

/// Ends the containers from `c0` on, and their server.
fn all_end(containerd: &Containerd, server: &Server, count: usize) {
    for id in (0..count).rev().map(|number| format!("c{number}")) {
        server.task.kill(&id, "", 9).expect("it is there");
        assert_eq!(server.task.wait(&id, "").expect("its exit").exit_status, 137);
        server.task.delete(&id, "").expect("it is deleted");
    }
    server.task.shutdown("c0");
    server.is_gone();
    containerd.leaves_nothing();
    for id in (0..count).map(|number| format!("c{number}")) {
        let of = || id.clone();
        let mut events = containerd.events.of(&id);
        events.retain(|event| match event {
            ExecAdded(..) | ExecStarted(..) => false,
            Exit(_, process, _) => *process == id,
            _ => true,
        });
        assert_eq!(events, [Create(of()), Start(of()), Exit(of(), of(), 137), Delete(of(), 137)]);
    }
}

#[test]
fn a_low_limit_of_descriptors_is_the_containers_and_not_the_servers() {
    let Some(mut containerd) = Containerd::new() else { return };
    containerd.files_max = Some(FILES_MAX);
    let (server, request) = containerd.server_for("c0", &["sleep", "600"]);
    server.task.run(&request);
    idle(&containerd, &server, 1..times(IDLE));
    let script = format!("test $(ulimit -n) = {FILES_MAX}");
    server.task.run_exec("c0", "e", &["sh", "-c", &script]);
    let kept = server.task.wait("c0", "e").expect("its exit").exit_status == 0;
    // A Go of that time gives its children the limit that it has raised for itself.
    assert!(kept || is_of_containerd());
    server.task.delete("c0", "e").expect("it is deleted");
    let last = format!("c{}", times(IDLE) - 1);
    server.task.run_exec(&last, "e", &["true"]);
    server.task.wait(&last, "e").expect("its exit");
    server.task.delete(&last, "e").expect("it is deleted");
    all_end(&containerd, &server, times(IDLE));
}

#[test]
fn containers_that_start_at_once_all_run() {
    let Some(containerd) = Containerd::new() else { return };
    let ids: Vec<String> = (0..times(STARTS_AT_ONCE)).map(|number| format!("c{number}")).collect();
    thread::scope(|scope| {
        for id in &ids {
            scope.spawn(|| {
                let (server, request) = containerd.server_for(id, &["sleep", "600"]);
                server.task.run(&request);
                server.task.kill(id, "", 9).expect("it is there");
                server.task.wait(id, "").expect("its exit");
                server.task.delete(id, "").expect("it is deleted");
                server.task.shutdown(id);
                server.is_gone();
            });
        }
    });
    for id in &ids {
        let of = || id.clone();
        let told = [Create(of()), Start(of()), Exit(of(), of(), 137), Delete(of(), 137)];
        assert_eq!(containerd.events.of(id), told);
    }
    containerd.leaves_nothing();
}

/// Containers with a process beside init, several at a time: what has been used once is used again.
///
/// An allocator's share grows to what the worst moment has needed, and stays so. With a leak there is growth in each
/// round, of that many bytes per container.
#[test]
fn a_server_does_not_grow_by_work() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("pod", &["sleep", "600"]);
    server.task.run(&request);
    let before = server.descriptors();
    let count = times(WORKS) * WORKERS;
    let mut readings = Vec::new();
    let is_quiet = (0..ROUNDS).any(|round| {
        work(&containerd, &server, &format!("r{round}c"), count);
        let earlier = readings.last().copied();
        readings.push(server.memory("Rss"));
        earlier.is_some_and(|earlier| readings[round] * 1024 < earlier * 1024 + (count * LEAK) as u64)
    });
    server.has_descriptors(&before);
    println!("RSS after each round of {count} containers, in KiB: {readings:?}");
    assert!(is_quiet || is_of_containerd(), "{readings:?}");
    assert_eq!(server.zombies(), [0; 0]);
    server.task.kill("pod", "", 9).expect("it is there");
    server.task.wait("pod", "").expect("its exit");
    containerd.ends(&server, "pod");
}

fn work(containerd: &Containerd, server: &Server, name: &str, count: usize) {
    let begun = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = begun.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let id = format!("{name}{number}");
                    let bundle = containerd.bundle(&id, &["sleep", "600"]);
                    server.task.run(&creation(&id, &bundle, Streams::default()));
                    server.task.run_exec(&id, "e", &["true"]);
                    assert_eq!(server.task.wait(&id, "e").expect("its exit").exit_status, 0);
                    server.task.delete(&id, "e").expect("it is deleted");
                    server.task.kill(&id, "", 9).expect("it is there");
                    assert_eq!(server.task.wait(&id, "").expect("its exit").exit_status, 137);
                    server.task.delete(&id, "").expect("it is deleted");
                    std::fs::remove_dir_all(bundle).expect("it is there");
                }
            });
        }
    });
}

#[test]
fn want_of_memory_is_told_each_time() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("pod", &["sleep", "600"]);
    server.task.run(&request);
    let greedy = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];
    let limited = |config: &mut Value| config["linux"]["resources"] = json!({"memory": {"limit": 16 << 20}});
    for id in (0..times(GREEDY)).map(|number| format!("c{number}")) {
        let bundle = containerd.bundle_with(&id, &greedy, limited);
        server.task.run(&creation(&id, &bundle, Streams::default()));
        assert_eq!(server.task.wait(&id, "").expect("its exit").exit_status, 137);
        server.task.delete(&id, "").expect("it is deleted");
        containerd.events.wait_for(&Delete(id.clone(), 137));
        let events = containerd.events.of(&id);
        let place = |event| events.iter().position(|other| *other == event);
        let exit = place(Exit(id.clone(), id.clone(), 137)).expect("an exit");
        let told = place(Oom(id.clone()));
        assert!(told.is_some_and(|told| told < exit || is_of_containerd()), "{events:?}");
    }
    server.task.kill("pod", "", 9).expect("it is there");
    server.task.wait("pod", "").expect("its exit");
    containerd.ends(&server, "pod");
}
