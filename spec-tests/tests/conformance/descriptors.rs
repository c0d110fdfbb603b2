//! Descriptors that cross into the container, and those that do not.

use std::path::Path;

use spec_tests::console::FdSocket;
use spec_tests::container::Container;
use spec_tests::not_in_runc_1_1;

/// What the payload holds open: `ls` itself opens one more, the directory.
const OPEN: &str = "ls /proc/self/fd | tr '\\n' ' '";

#[test]
fn nothing_but_the_standard_streams_is_open() {
    let mut container = Container::new(|_| {});
    let file = container.file("file", "");
    container.bundle.args(["ls", "/proc/self/fd"]);
    let outcome = container.run().prologue(&format!("exec 3<{file} 4>{file} 7</ 9<{file}")).output();
    assert_eq!(outcome.ok(), "0\n1\n2\n3");
}

#[test]
fn a_container_that_waits_for_start_holds_nothing_of_the_host() {
    not_in_runc_1_1!("keeps what its caller had open");
    let container = Container::new(|_| {});
    let file = container.file("file", "");
    container.create().prologue(&format!("exec 3<{file} 7</ 9<{file}")).output().ok();
    let open = std::fs::read_dir(format!("/proc/{}/fd", container.pid())).unwrap();
    let targets = open.map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap());
    let host: Vec<_> = targets
        .filter(|target| target.is_absolute() && !target.ends_with("exec.fifo"))
        .filter(|target| ![Path::new("/dev/null"), Path::new("/")].contains(&target.as_path()))
        .filter(|target| !target.starts_with(container.path("")) || target.ends_with("file"))
        .collect();
    assert!(host.is_empty(), "{host:?}");
}

#[test]
fn preserved_descriptors_are_open_and_no_others() {
    let mut container = Container::new(|_| {});
    let file = container.file("file", "hello");
    container.bundle.sh(&format!("cat <&4; {OPEN}"));
    let outcome = container
        .run_with(["--preserve-fds", "2"])
        .prologue(&format!("exec 3<{file} 4<{file} 5<{file}"))
        .output();
    assert_eq!(outcome.ok(), "hello0 1 2 3 4 5");
}

#[test]
fn preserved_descriptors_reach_a_created_container() {
    let container = Container::new(|bundle| {
        bundle.sh("cat <&3 > /got; sleep 100");
    });
    let file = container.file("file", "hello");
    container.create_with(["--preserve-fds=1"]).prologue(&format!("exec 3<{file}")).output().ok();
    container.start().ok();
    let got = container.bundle.rootfs().join("got");
    spec_tests::runtime::eventually("read", || {
        std::fs::read_to_string(&got).is_ok_and(|text| text == "hello")
    });
}

#[test]
fn preserving_descriptors_that_are_not_open_is_refused() {
    let container = Container::new(|_| {});
    container.run_with(["--preserve-fds", "5"]).output().fails();
    container.assert_nothing_left();
}

#[test]
fn sockets_of_socket_activation_are_handed_on() {
    let mut container = Container::new(|_| {});
    let file = container.file("file", "");
    container.bundle.sh(&format!("echo $LISTEN_FDS $LISTEN_PID; {OPEN}"));
    let outcome = container
        .run()
        .env("LISTEN_FDS", "1")
        .prologue(&format!("export LISTEN_PID=$$; exec 3<{file} 4<{file}"))
        .output();
    assert_eq!(outcome.ok(), "1 1\n0 1 2 3 4");
}

#[test]
fn sockets_that_are_for_another_process_are_not_handed_on() {
    let mut container = Container::new(|_| {});
    let file = container.file("file", "");
    container.bundle.sh(&format!("echo $LISTEN_FDS $LISTEN_PID; {OPEN}"));
    for pid in ["1", ""] {
        let outcome = container
            .run()
            .env("LISTEN_FDS", "1")
            .env("LISTEN_PID", pid)
            .prologue(&format!("exec 3<{file}"))
            .output();
        assert_eq!(outcome.ok(), "0 1 2 3", "LISTEN_PID {pid:?}");
    }
}

#[test]
fn create_sends_a_pidfd() {
    not_in_runc_1_1!("--pidfd-socket came later");
    let container = Container::new(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    let socket = FdSocket::listen(container.path("sock"));
    let running = container.create_with(["--pidfd-socket", socket.path.to_str().unwrap()]).spawn();
    let (pidfd, _) = socket.receive();
    running.wait().ok();
    container.start().ok();
    rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).expect("a pidfd");
    container.wait_stopped();
}
