//! Many containers, and many processes that race with the end of init.

use std::thread;

use ttrpc::Code;

use super::containerd::{Containerd, Server, is_of_containerd};
use super::events::Event::{self, Create, Delete, ExecStarted, Exit, Start};
use super::load::times;
use super::options::{CRUN, RUNC, below, is_missing, view_for};
use super::task::{Streams, creation};

const SHORT_LIVES: usize = 100;
/// The same below another runtime, which takes longer.
const SHORT_LIVES_OF_OTHERS: usize = 10;

/// How often init is killed, and how many execs each time.
const RACES: (usize, usize) = (20, 50);
/// The same below another runtime, which takes up to ten times as long.
const RACES_OF_OTHERS: (usize, usize) = (6, 10);

/// How much more memory a server may have after many lives than after a few, in KiB.
const GROWTH_MAX: u64 = 512;

#[test]
fn short_containers_of_a_group_lose_no_event_and_leave_nothing() {
    short_lives(times(SHORT_LIVES), None);
}

#[test]
fn short_containers_of_runc_lose_no_event_and_leave_nothing() {
    short_lives(times(SHORT_LIVES_OF_OTHERS), Some(RUNC));
}

#[test]
fn short_containers_of_crun_lose_no_event_and_leave_nothing() {
    short_lives(times(SHORT_LIVES_OF_OTHERS), Some(CRUN));
}

/// Lets so many containers run, one after the other, under a single server.
fn short_lives(lives: usize, binary: Option<&str>) {
    let Some(containerd) = Containerd::with(view_for(binary)) else { return };
    if is_missing(binary) {
        return;
    }
    let (server, request) = containerd.server_for("pod", &["sleep", "600"]);
    server.task.run(&request);
    let before = server.descriptors();
    let mut memory = 0;
    for number in 0..lives {
        lives_shortly(&containerd, &server, &format!("c{number}"), binary);
        if number == lives / 10 {
            memory = server.memory("Private_Dirty");
        }
    }
    server.has_descriptors(&before);
    let grown = server.memory("Private_Dirty").saturating_sub(memory);
    assert!(grown <= GROWTH_MAX || is_of_containerd(), "{grown} KiB");
    server.task.kill("pod", "", 9).expect("it is there");
    server.task.wait("pod", "").expect("its exit");
    containerd.ends(&server, "pod");
    (0..lives).for_each(|number| was_told(&containerd, &format!("c{number}")));
}

fn lives_shortly(containerd: &Containerd, server: &Server, id: &str, binary: Option<&str>) {
    let bundle = containerd.bundle(id, &["true"]);
    let mut request = creation(id, &bundle, Streams::default());
    request.options = binary.map(below).into();
    server.task.run(&request);
    assert_eq!(server.task.wait(id, "").expect("its exit").exit_status, 0);
    assert_eq!(server.task.delete(id, "").expect("it is deleted").exit_status, 0);
}

fn was_told(containerd: &Containerd, id: &str) {
    let of = || id.to_owned();
    let events = containerd.events.of(id);
    assert_eq!(events, [Create(of()), Start(of()), Exit(of(), of(), 0), Delete(of(), 0)]);
}

#[test]
fn short_containers_alone_lose_no_event_and_leave_nothing() {
    let Some(containerd) = Containerd::new() else { return };
    let lives = times(SHORT_LIVES);
    let ids: Vec<String> = (0..lives).map(|number| format!("c{number}")).collect();
    thread::scope(|scope| {
        for share in ids.chunks(lives / 4) {
            let containerd = &containerd;
            scope.spawn(move || {
                for id in share {
                    let (server, request) = containerd.server_for(id, &["true"]);
                    server.task.run(&request);
                    assert_eq!(server.task.wait(id, "").expect("its exit").exit_status, 0);
                    server.task.delete(id, "").expect("it is deleted");
                    server.task.shutdown(id);
                    server.is_gone();
                }
            });
        }
    });
    ids.iter().for_each(|id| was_told(&containerd, id));
    containerd.leaves_nothing();
}

#[test]
fn execs_that_race_with_the_end_of_init_end_before_it() {
    races(many_of(RACES), None, |_| {});
}

#[test]
fn execs_that_race_with_the_end_of_init_in_the_hosts_pid_namespace_end_before_it() {
    races(many_of(RACES), None, without_a_pid_namespace);
}

#[test]
fn execs_of_runc_that_race_with_the_end_of_init_end_before_it() {
    races(many_of(RACES_OF_OTHERS), Some(RUNC), |_| {});
}

#[test]
fn execs_of_runc_that_race_with_the_end_of_init_in_the_hosts_pid_namespace_end_before_it() {
    races(many_of(RACES_OF_OTHERS), Some(RUNC), without_a_pid_namespace);
}

#[test]
fn execs_of_crun_that_race_with_the_end_of_init_end_before_it() {
    races(many_of(RACES_OF_OTHERS), Some(CRUN), |_| {});
}

fn many_of((rounds, execs): (usize, usize)) -> (usize, usize) {
    (times(rounds), execs)
}

fn without_a_pid_namespace(config: &mut serde_json::Value) {
    let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.retain(|namespace| namespace["type"] != "pid");
}

/// Lets execs start while init is killed, again and again, under a single server.
fn races((rounds, execs): (usize, usize), binary: Option<&str>, change: impl Fn(&mut serde_json::Value)) {
    if is_of_containerd() {
        // An exec may keep back the exit of init for good.
        return;
    }
    let Some(containerd) = Containerd::with(view_for(binary)) else { return };
    if is_missing(binary) {
        return;
    }
    let (server, request) = containerd.server_for("pod", &["sleep", "600"]);
    server.task.run(&request);
    let before = server.descriptors();
    let mut memory = 0;
    for round in 0..rounds {
        let id = format!("c{round}");
        let bundle = containerd.bundle_with(&id, &["sleep", "600"], &change);
        let mut request = creation(&id, &bundle, Streams::default());
        request.options = binary.map(below).into();
        server.task.run(&request);
        race(&containerd, &server, &id, (round % execs, execs));
        server.task.delete(&id, "").expect("it is deleted");
        if round == rounds / 4 {
            memory = server.memory("Private_Dirty");
        }
    }
    server.has_descriptors(&before);
    let grown = server.memory("Private_Dirty").saturating_sub(memory);
    assert!(grown <= GROWTH_MAX, "{grown} KiB");
    server.task.kill("pod", "", 9).expect("it is there");
    server.task.wait("pod", "").expect("its exit");
    containerd.ends(&server, "pod");
    for round in 0..rounds {
        judge(&format!("c{round}"), &containerd.events.of(&format!("c{round}")));
    }
}

/// Kills init once so many of the execs have started.
fn race(containerd: &Containerd, server: &Server, id: &str, (early, execs): (usize, usize)) {
    thread::scope(|scope| {
        for number in 0..execs {
            let (task, exec) = (server.task.clone(), format!("e{number}"));
            scope.spawn(move || {
                if task.exec(id, &exec, &["sleep", "600"]).is_err() {
                    return;
                }
                match task.start(id, &exec) {
                    Ok(_) => assert_ne!(task.wait(id, &exec).expect("its exit").exit_status, 0),
                    // What the end of init finds half begun fails in the runtime's own words.
                    Err(refused) => {
                        assert!(
                            matches!(refused.code, Code::FAILED_PRECONDITION | Code::UNKNOWN),
                            "{refused:?}"
                        );
                    }
                }
                task.delete(id, &exec).map(drop).unwrap_or_else(|refused| {
                    assert_eq!(refused.code, Code::NOT_FOUND, "{refused:?}");
                });
            });
        }
        if early > 0 {
            let started = |events: &[Event]| {
                let started = |event: &&Event| matches!(event, ExecStarted(of, _) if of == id);
                events.iter().filter(started).count() >= early
            };
            containerd.events.wait_until("execs", started);
        }
        server.task.kill(id, "", 9).expect("it is there");
        assert_eq!(server.task.wait(id, "").expect("its exit").exit_status, 137);
        let refused = server.task.exec(id, "late", &["true"]).map(drop);
        let refused = refused.and_then(|()| server.task.start(id, "late").map(drop));
        assert!(refused.is_err(), "an exec after init");
    });
}

/// Makes sure that each process that was started has ended, each once, and init last of all.
fn judge(id: &str, events: &[Event]) {
    let started: Vec<_> = events.iter().filter(|event| matches!(event, ExecStarted(..))).collect();
    let exits: Vec<_> = events.iter().filter(|event| matches!(event, Exit(..))).collect();
    assert_eq!(exits.len(), started.len() + 1, "{events:?}");
    let [.., Exit(_, last, 137), Delete(_, 137)] = events else { panic!("init is not last: {events:?}") };
    assert_eq!(last, id);
    for event in started {
        let ExecStarted(_, exec) = event else { continue };
        let begun = events.iter().position(|other| other == event);
        let over = events.iter().position(|other| matches!(other, Exit(_, name, _) if name == exec));
        assert!(begun < over, "{exec} of {events:?}");
    }
}

#[test]
fn a_container_is_created_again_right_after_the_shutdown() {
    const LIVES: usize = 20;
    let Some(containerd) = Containerd::new() else { return };
    for _ in 0..LIVES {
        let (server, request) = containerd.server_for("c", &["true"]);
        server.task.run(&request);
        assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 0);
        server.task.delete("c", "").expect("it is deleted");
        server.task.shutdown("c");
    }
    containerd.leaves_nothing();
}
