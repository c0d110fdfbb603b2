//! A bus that is not there, or that does not do what a bus does: one line within a deadline, and nothing left.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use spec_tests::container::Container;
use spec_tests::runtime::Call;
use spec_tests::{only_corten, skip_if};

use crate::{need_systemd, sleeping};

/// How long a command may wait for a bus.
const PATIENCE: Duration = Duration::from_secs(45);

/// Has the command find the system's bus at `path`, and no private socket of systemd's.
fn with_bus<'a>(call: Call<'a>, path: &str) -> Call<'a> {
    call.private_mounts()
        .prologue("mount --bind /dev/null /run/systemd/private")
        .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={path}"))
        .deadline(PATIENCE)
}

/// Serves connections by `behave`, for as long as the test runs.
fn serve(container: &Container, behave: fn(UnixStream)) -> String {
    let path = container.path("bus");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || behave(stream));
        }
    });
    path
}

/// Fails the test unless `create` and `delete` of a living container say in one line what is wrong.
#[track_caller]
fn is_refused(behave: Option<fn(UnixStream)>) {
    let container = Container::in_a_scope(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    let path = behave.map_or("/nonexistent/bus".to_owned(), |behave| serve(&container, behave));
    let begun = Instant::now();
    let outcome = with_bus(container.create(), &path).output();
    let complaint = outcome.fails();
    // runc warns beside the error.
    let beside = |line: &&str| line.starts_with("hint:") || line.contains("level=warning");
    assert_eq!(complaint.lines().filter(|line| !beside(line)).count(), 1, "{outcome}");
    assert!(complaint.contains("systemd") || complaint.contains("bus"), "{outcome}");
    assert!(begun.elapsed() < PATIENCE);
    container.assert_nothing_left();
}

/// Reads and says nothing.
fn silent(mut stream: UnixStream) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
}

fn closing(_: UnixStream) {}

fn refusing(mut stream: UnixStream) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
        let _ = stream.write_all(b"REJECTED EXTERNAL\r\n");
    }
}

fn babbling(mut stream: UnixStream) {
    let garbage = [0x6c; 65536];
    while stream.write_all(&garbage).is_ok() {}
}

/// Lets the caller in, and answers what is no message.
fn garbling(mut stream: UnixStream) {
    let mut buffer = [0; 4096];
    let mut seen = Vec::new();
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        let answer: &[u8] = if text.contains("BEGIN") {
            &[b'l', 2, 1, 1, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f]
        } else if text.contains("NEGOTIATE_UNIX_FD") {
            b"AGREE_UNIX_FD\r\n"
        } else {
            b"OK 0123456789abcdef0123456789abcdef\r\n"
        };
        let _ = stream.write_all(answer);
    }
}

/// Lets the caller in, and then says nothing more.
fn silent_after_the_greeting(mut stream: UnixStream) {
    let mut buffer = [0; 4096];
    let mut seen = Vec::new();
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        if text.contains("BEGIN") {
            continue;
        }
        let answer: &[u8] = if text.contains("NEGOTIATE_UNIX_FD") {
            b"AGREE_UNIX_FD\r\n"
        } else {
            b"OK 0123456789abcdef0123456789abcdef\r\n"
        };
        let _ = stream.write_all(answer);
    }
}

#[test]
fn a_bus_that_is_not_there() {
    need_systemd!();
    is_refused(None);
}

#[test]
fn a_bus_that_says_nothing() {
    need_systemd!();
    only_corten!("a deadline for the bus");
    is_refused(Some(silent));
}

#[test]
fn a_bus_that_says_nothing_after_the_greeting() {
    need_systemd!();
    only_corten!("a deadline for the bus");
    is_refused(Some(silent_after_the_greeting));
}

#[test]
fn a_bus_that_closes() {
    need_systemd!();
    is_refused(Some(closing));
}

#[test]
fn a_bus_that_lets_nobody_in() {
    need_systemd!();
    skip_if!(spec_tests::subject::subject().is_crun(), "crun waits for ever");
    is_refused(Some(refusing));
}

#[test]
fn a_bus_that_never_stops_talking() {
    need_systemd!();
    only_corten!("a limit of what the bus says");
    is_refused(Some(babbling));
}

#[test]
fn a_bus_that_answers_with_garbage() {
    need_systemd!();
    only_corten!("a limit of what the bus says");
    is_refused(Some(garbling));
}

#[test]
fn without_a_bus_a_container_is_looked_at_and_killed() {
    need_systemd!();
    let container = sleeping(|_| {});
    let state = with_bus(container.command(["state", &container.id]), "/nonexistent/bus").output().ok();
    assert!(state.contains("running"), "{state}");
    with_bus(container.command(["kill", &container.id, "KILL"]), "/nonexistent/bus").output().ok();
    container.wait_stopped();
}
