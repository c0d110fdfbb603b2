//! Files and directories that the command line names, and that are not as they should be.

use std::fs;

use spec_tests::container::Container;

use crate::refused;

#[test]
fn a_bundle_that_is_missing() {
    let container = Container::new(|_| {});
    let outcome = container.command(["create", "--bundle", "/nonexistent/bundle", &container.id]).output();
    refused(&container, &outcome, &["/nonexistent/bundle", "no such file or directory"], &[]);
}

#[test]
fn a_pid_file_in_a_missing_directory() {
    let container = Container::new(|_| {});
    let outcome = container.create_with(["--pid-file", "/nonexistent/dir/pid"]).output();
    refused(&container, &outcome, &["/nonexistent/dir", "no such file or directory"], &["pid file"]);
}

#[test]
fn a_root_that_cannot_be_made() {
    for (root, phrase) in
        [("/proc/nowhere", "no such file or directory"), ("/dev/null/nowhere", "not a directory")]
    {
        let mut container = Container::new(|_| {});
        let own = std::mem::replace(&mut container.runtime.root, root.into());
        let outcome = container.create().output();
        container.runtime.root = own;
        refused(&container, &outcome, &[phrase], &[root]);
    }
}

#[test]
fn a_root_that_is_a_file() {
    let mut container = Container::new(|_| {});
    let file = container.file("file", "content");
    let own = std::mem::replace(&mut container.runtime.root, file.clone().into());
    let outcome = container.create().output();
    container.runtime.root = own;
    refused(&container, &outcome, &[], &[&file]);
    assert_eq!(fs::read_to_string(file).unwrap(), "content");
}

#[test]
fn a_process_file_that_is_missing_or_broken() {
    let container = Container::sleeping(|_| {});
    let broken = container.file("process.json", "{\"args\": [");
    for path in ["/nonexistent/process.json", &broken] {
        let outcome = container.command(["exec", "--process", path, &container.id]).output();
        assert_eq!(outcome.code, 255, "{outcome}");
        assert!(!spec_tests::subject::subject().is_corten() || outcome.fails().contains(path), "{outcome}");
    }
    assert_eq!(container.status(), "running");
}

#[test]
fn a_log_that_cannot_be_written() {
    let container = Container::new(|_| {});
    let outcome = container.create().global(["--log", "/nonexistent/dir/log"]).output();
    refused(&container, &outcome, &["/nonexistent/dir/log"], &[]);
}

#[test]
fn every_failing_create_leaves_one_record_in_the_log() {
    let mut container = Container::new(|_| {});
    let log = container.path("log.json");
    container.bundle.mount("bind", "/nonexistent", "/data", &["bind"]);
    for _ in 0..3 {
        container.create().global(["--log", &log, "--log-format", "json"]).output().fails();
    }
    let text = fs::read_to_string(&log).unwrap();
    let errors = text.lines().filter(|line| line.contains(r#""level":"error""#)).count();
    assert_eq!(errors, 3, "{text}");
}

#[test]
fn too_few_descriptors_to_work_with() {
    let container = Container::new(|_| {});
    let outcome = container.create().prologue("ulimit -n 5").output();
    spec_tests::skip_if!(outcome.code == 0, "five descriptors are enough");
    assert!(!outcome.stderr.is_empty(), "{outcome}");
    container.assert_nothing_left();
}

#[test]
fn too_many_mount_namespaces() {
    let container = Container::new(|_| {});
    // In a user namespace of its own, whose limit binds nobody else.
    let outcome = container
        .create()
        .prologue("exec unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_mnt_namespaces; exec \"$@\"' sh \"$@\"")
        .output();
    assert_ne!(outcome.code, 0, "{outcome}");
    container.assert_nothing_left();
}
