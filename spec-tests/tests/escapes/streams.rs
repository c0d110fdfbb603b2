//! What of the caller's is given to the container's user: pipes and sockets, and nothing that has a name on the host.
//! It would stay the user's, and with it any process's of the host that has the same id.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use spec_tests::bundle::Bundle;
use spec_tests::console::Terminal;
use spec_tests::container::Container;
use spec_tests::runtime::Call;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;

const USER: &str = "1000:1000";

#[test]
fn a_terminal_of_the_caller() {
    let (_master, slave) = Terminal::open();
    let name = fs::read_link(format!("/proc/self/fd/{}", slave.as_raw_fd())).unwrap();
    stays_the_callers(|_| name.to_str().unwrap().to_owned());
}

#[test]
fn a_file_of_the_caller() {
    stays_the_callers(|container| {
        let path = container.file("secret", "");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    });
}

#[test]
fn a_device_node_of_the_caller() {
    stays_the_callers(|container| {
        let path = container.path("zero");
        assert!(Command::new("mknod").args([&path, "c", "1", "5"]).status().unwrap().success());
        path
    });
}

#[test]
fn a_fifo_of_the_caller() {
    stays_the_callers(|container| {
        let path = container.path("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    });
}

#[test]
fn a_pipe_of_the_caller_is_the_users() {
    let container = Container::new(|bundle| {
        user(bundle).sh("echo hello >> /dev/stdout");
    });
    let to_a_pipe = ["sh", "-c", "\"$@\" | cat", "sh"];
    assert_eq!(container.run().by(to_a_pipe).output().ok(), "hello");
    let container = Container::sleeping(|_| {});
    let process = container.exec_with(&["--user", USER], &["sh", "-c", "echo hello >> /dev/stdout"]);
    assert_eq!(process.by(to_a_pipe).output().ok(), "hello");
}

/// Gives what `make` makes to each command, as each of the standard streams.
fn stays_the_callers(make: impl Fn(&Container) -> String + std::panic::UnwindSafe) {
    known_to_fail_on_runc_1_1_5(move || {
        let running = Container::sleeping(|_| {});
        let path = make(&running);
        let owner = || fs::metadata(&path).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
        let before = owner();
        let check = |call: Call, what: &str| {
            let result = call.output();
            assert_eq!(result.code, 0, "{what}: {result}");
            assert_eq!(owner(), before, "{what}: {result}");
        };
        for stream in 0..=2 {
            let given = format!("exec {stream}<>{path}");
            for flags in [&["--user", USER][..], &["--user", USER, "--detach"]] {
                check(running.exec_with(flags, &["true"]).prologue(&given), &format!("exec, {given}"));
            }
            let container = Container::new(|bundle| {
                user(bundle);
            });
            check(container.run().prologue(&given), &format!("run, {given}"));
            check(container.create().prologue(&given), &format!("create, {given}"));
            container.command(["delete", "--force", &container.id]).output().ok();
            check(container.run_with(["--detach"]).prologue(&given), &format!("run --detach, {given}"));
        }
    });
}

fn user(bundle: &mut Bundle) -> &mut Bundle {
    bundle.set("/process/user/uid", 1000).set("/process/user/gid", 1000)
}
