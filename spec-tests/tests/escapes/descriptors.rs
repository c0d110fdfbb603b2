//! Class F: a descriptor of the host leaks into the container (CVE-2016-9962, CVE-2024-21626).

use std::fs;

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::only_corten;
use spec_tests::root::copy_program;
use spec_tests::runtime::eventually;
use spec_tests::victim::{SECRET, Victim};

#[test]
fn a_working_directory_behind_a_leaked_descriptor_is_refused() {
    let mut container = Container::new(|_| {});
    let victim = Victim::of(&container);
    container.bundle.sh(&format!("cat ../../../../../../../../..{}/secret; true", victim.text()));
    for fd in 3..=64 {
        container.bundle.set("/process/cwd", format!("/proc/self/fd/{fd}"));
        let outcome = container.run().output();
        assert!(!outcome.stdout.contains(SECRET), "through descriptor {fd}: {outcome}");
        outcome.fails();
    }
    container.assert_nothing_left();
}

#[test]
fn a_working_directory_behind_a_leaked_descriptor_is_refused_to_exec() {
    let container = Container::sleeping(|_| {});
    let victim = Victim::of(&container);
    let read = format!("cat ../../../../../../../../..{}/secret; true", victim.text());
    for fd in 3..=64 {
        let outcome =
            container.exec_with(&["--cwd", &format!("/proc/self/fd/{fd}")], &["sh", "-c", &read]).output();
        assert!(!outcome.stdout.contains(SECRET), "through descriptor {fd}: {outcome}");
        outcome.fails();
    }
}

#[test]
fn a_working_directory_that_is_a_symlink_to_a_descriptor_is_refused() {
    let mut container = Container::new(|_| {});
    let victim = Victim::of(&container);
    container.bundle.sh(&format!("cat ../../../../../../../../..{}/secret; true", victim.text()));
    for fd in 3..=20 {
        let link = container.bundle.rootfs().join(format!("link{fd}"));
        std::os::unix::fs::symlink(format!("/proc/self/fd/{fd}"), link).unwrap();
        container.bundle.set("/process/cwd", format!("/link{fd}"));
        let outcome = container.run().output();
        assert!(!outcome.stdout.contains(SECRET), "through descriptor {fd}: {outcome}");
    }
}

#[test]
fn an_executable_behind_a_leaked_descriptor_is_not_run() {
    let mut container = Container::new(|_| {});
    let tool = tool_of_the_host(&container);
    for fd in 3..=64 {
        for up in ["", UP] {
            container.bundle.args([&format!("/proc/self/fd/{fd}{up}{tool}"), "echo", "escaped"]);
            let outcome = container.run().output();
            assert_ne!(outcome.stdout.trim(), "escaped", "through descriptor {fd}: {outcome}");
        }
    }
}

#[test]
fn an_executable_behind_a_leaked_descriptor_is_not_run_by_exec() {
    let container = Container::sleeping(|_| {});
    let tool = tool_of_the_host(&container);
    for fd in 3..=64 {
        let outcome = container.exec(&[&format!("/proc/self/fd/{fd}{UP}{tool}"), "echo", "escaped"]).output();
        assert_ne!(outcome.stdout.trim(), "escaped", "through descriptor {fd}: {outcome}");
    }
}

const UP: &str = "/../../../../../../../..";

/// A static program: a script would be read after its descriptor is closed.
fn tool_of_the_host(container: &Container) -> String {
    let busybox = container.path("busybox");
    copy_program("/bin/busybox", &busybox).unwrap();
    busybox
}

/// A hook in the container executes what the image has at its path.
#[test]
fn a_hook_in_the_container_gets_no_descriptor_of_the_caller() {
    let mut container = Container::new(|_| {});
    let victim = Victim::of(&container);
    let script = "exec > /seen; cat /proc/self/fd/9/secret; ls /proc/self/fd/";
    container
        .bundle
        .push("/hooks/startContainer", json!({"path": "/bin/sh", "args": ["sh", "-c", script]}))
        .args(["true"]);
    container.run().prologue(&format!("exec 9<{}", victim.text())).output().ok();
    let seen = fs::read_to_string(container.bundle.rootfs().join("seen")).unwrap();
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"], "ls itself has 3");
}

#[test]
fn a_joining_process_shows_the_container_no_descriptor_of_the_host() {
    look_at_joining_processes(Container::new(|_| {}));
}

/// A process that may trace others passes every check by which a process protects itself.
#[test]
fn a_joining_process_has_nothing_of_the_host_to_show() {
    look_at_joining_processes(Container::new(|bundle| {
        bundle.capabilities(&["CAP_SYS_PTRACE"]);
    }));
}

fn look_at_joining_processes(mut container: Container) {
    let victim = Victim::of(&container);
    container.bundle.sh(&format!(
        "touch /ready
         while [ ! -e /stop ]; do
             for link in /proc/[0-9]*/fd/* /proc/[0-9]*/cwd /proc/[0-9]*/root; do
                 cat $link/../../../../../../../../..{0}/secret $link{0}/secret 2> /dev/null
             done
         done",
        victim.text()
    ));
    container.create().output().ok();
    let started = container.command(["start", &container.id]).output();
    started.ok();
    eventually("the attacker is ready", || container.bundle.rootfs().join("ready").exists());
    let created = fs::read_dir(container.dir.join("outputs")).unwrap().flatten();
    let outputs: Vec<_> = created.map(|entry| entry.path()).collect();
    for _ in 0..100 {
        container.exec(&["true"]).output().ok();
    }
    fs::write(container.bundle.rootfs().join("stop"), "").unwrap();
    container.wait_stopped();
    let seen: String = outputs.iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
    assert!(!seen.contains(SECRET), "the container read the host's file");
}

#[test]
fn the_environment_of_the_runtime_is_not_shown() {
    let container = Container::sleeping(|_| {});
    let seen = container
        .exec(&["sh", "-c", "cat /proc/1/environ /proc/self/environ"])
        .env("PASSWORD", SECRET)
        .output();
    assert!(!seen.ok().contains(SECRET));
}

#[test]
fn preserved_descriptors_that_are_not_open_are_refused() {
    only_corten!("looking which descriptors are the caller's");
    let container = Container::sleeping(|_| {});
    let log = container.path("log");
    for count in 1..=3 {
        let flags = ["--preserve-fds", &count.to_string()];
        let list = ["ls", "-l", "/proc/self/fd"];
        container
            .exec_with(&flags, &list)
            .global(["--log", &log])
            .output()
            .fails_with("descriptor 3 is not open");
        let other = Container::new(|bundle| {
            bundle.args(list);
        });
        other.run_with(flags).global(["--log", &log]).output().fails_with("descriptor 3 is not open");
    }
}
