//! Kernels older than this one: strace answers calls in the kernel's place. What has a fallback gives the same
//! container, and what has none is refused by the name of the call. `ARCHITECTURE.md` has the table.

use std::fs;

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::view::View;
use spec_tests::{only_corten, skip_if};

/// An injection without effect, for the same container on this machine's own kernel.
const NOTHING: &str = "getrandom:error=ENOSYS";

/// Calls without a fallback, that every start of a container with a bind makes.
const NEEDED: [&str; 7] = ["fsopen", "fsconfig", "fsmount", "open_tree", "move_mount", "clone3", "openat2"];

/// strace with injections such as `mount_setattr:error=ENOSYS`. In a condition `when=N` the counter is one per process.
fn strace(log: &str, injections: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = ["strace", "-qq", "-o", log].map(str::to_owned).into();
    let calls: Vec<&str> = injections.iter().filter_map(|injection| injection.split(':').next()).collect();
    words.extend(["-e".to_owned(), format!("trace={}", calls.join(","))]);
    for injection in injections {
        words.extend(["-e".to_owned(), format!("inject={injection}")]);
    }
    words
}

/// The same for the runtime and for what it forks.
fn strace_all(log: &str, injections: &[&str]) -> Vec<String> {
    [strace(log, injections), vec!["-f".to_owned()]].concat()
}

/// Runs a container in which every kind of protection is asked for, and returns what it sees.
#[track_caller]
fn seen_with(injection: &str, configure: impl FnOnce(&mut Bundle)) -> String {
    let container = Container::new(|bundle| {
        configure(bundle);
        bundle.set("/root/readonly", true);
        bundle.mount("bind", "/bin", "/mnt", &["rbind", "ro", "nosuid"]);
        bundle.set("/linux/readonlyPaths", json!(["/proc/sys", "/proc/bus"]));
        bundle.set("/linux/maskedPaths", json!(["/proc/keys", "/sys/firmware"]));
        bundle.sh("touch /x 2>/dev/null || echo root is read-only; touch /mnt/x 2>/dev/null || echo bind is read-only
                   echo 1 2>/dev/null > /proc/sys/kernel/domainname || echo sysctls are read-only
                   head -c 1 /proc/keys | wc -c; ls /sys/firmware | wc -l; ls /proc/self/fd | wc -l
                   grep -c ' /sys/fs/cgroup.* ro,' /proc/self/mountinfo");
    });
    let log = container.path("strace");
    let seen = container.run().by(strace_all(&log, &[injection])).output().ok();
    assert_injected(&log);
    seen
}

/// Fails the test unless strace has answered a call, because otherwise nothing was tried.
#[track_caller]
fn assert_injected(log: &str) -> String {
    let log = fs::read_to_string(log).expect("a log of strace");
    assert!(log.contains("INJECTED"), "the call is not made at all: {log}");
    log
}

fn has_no_strace() -> bool {
    !fs::exists("/usr/bin/strace").unwrap_or(false)
}

#[test]
fn without_mount_setattr_which_is_5_12() {
    skip_if!(has_no_strace(), "strace is not installed");
    only_corten!("building mounts by descriptor");
    let seen = seen_with("mount_setattr:error=ENOSYS", |_| {});
    let expected = "root is read-only\nbind is read-only\nsysctls are read-only\n0\n0\n4\n";
    assert!(seen.starts_with(expected), "{seen}");
    assert_eq!(seen, seen_with(NOTHING, |_| {}), "a kernel with mount_setattr gives the same");
}

#[test]
fn without_mount_setattr_in_a_user_namespace() {
    skip_if!(has_no_strace(), "strace is not installed");
    only_corten!("building mounts by descriptor");
    let in_user_namespace = |bundle: &mut Bundle| {
        fs::create_dir_all(bundle.rootfs().join("mnt")).expect("make a mount point");
        bundle.user_namespace(100_000);
    };
    let seen = seen_with("mount_setattr:error=ENOSYS", in_user_namespace);
    assert!(seen.contains("bind is read-only"), "{seen}");
    assert_eq!(seen, seen_with(NOTHING, in_user_namespace), "a kernel with mount_setattr gives the same");
}

#[test]
fn without_mount_setattr_nothing_weaker_stands_for_recursive_attributes() {
    skip_if!(has_no_strace(), "strace is not installed");
    only_corten!("building mounts by descriptor");
    let container = Container::new(|bundle| {
        bundle.mount("bind", "/bin", "/mnt", &["rbind", "rro"]);
    });
    let log = container.path("strace");
    let injections = ["mount_setattr:error=ENOSYS"];
    container.run().by(strace_all(&log, &injections)).output().fails_with("mount_setattr");
    assert_injected(&log);
}

#[test]
fn without_close_range_which_is_5_9() {
    skip_if!(has_no_strace(), "strace is not installed");
    only_corten!("closing descriptors by range");
    let seen = seen_with("close_range:error=ENOSYS", |_| {});
    assert!(seen.contains("\n4\n"), "no descriptor but the three and that of ls: {seen}");
}

#[test]
fn without_overlayfs_or_mfd_exec_which_is_6_3() {
    skip_if!(has_no_strace(), "strace is not installed");
    only_corten!("the sealed image");
    let container = Container::new(|bundle| {
        bundle.sh("echo runs");
    });
    let log = container.path("strace");
    // The injection isn't for the processes that the runtime forks, because init mounts by fsopen, too.
    let strace = strace(&log, &["fsopen:error=ENODEV", "memfd_create:error=EINVAL:when=1"]);
    assert_eq!(container.run().by(strace).output().ok(), "runs");
    let log = assert_injected(&log);
    assert!(log.contains("EINVAL"), "the image is not sealed in memory: {log}");
}

#[test]
fn without_cgroup_kill_which_is_5_14() {
    skip_if!(has_no_strace(), "strace is not installed");
    only_corten!("cgroup.kill");
    // In the host's pid namespace, the end of the container's first process ends no other process.
    let container = Container::in_view(View::V2, |bundle| {
        bundle.share_namespace("pid").sh("sleep 1000 & sleep 1000 & exec sleep 1000");
    });
    container.create().output().ok();
    container.start().ok();
    let log = container.path("strace");
    let strace = [strace(&log, &["openat:error=ENOENT"]), vec!["-P".to_owned(), "cgroup.kill".to_owned()]];
    container.command(["delete", "--force", &container.id]).by(strace.concat()).output().ok();
    assert_injected(&log);
    container.assert_nothing_left();
}

#[test]
fn without_a_call_that_has_no_fallback_the_start_fails_by_its_name() {
    skip_if!(has_no_strace(), "strace is not installed");
    only_corten!("building mounts by descriptor");
    for call in NEEDED {
        let container = Container::new(|bundle| {
            bundle.mount("bind", "/bin", "/mnt", &["bind"]);
        });
        let log = container.path("strace");
        let strace = strace_all(&log, &[&format!("{call}:error=ENOSYS")]);
        let error = container.run().by(strace).output().fails();
        assert_injected(&log);
        assert!(error.contains(call) && error.contains("ENOSYS"), "{call}: {error}");
        container.assert_nothing_left();
    }
}

#[test]
fn without_setns_by_pidfd_which_is_5_8_exec_fails_by_its_name() {
    skip_if!(has_no_strace(), "strace is not installed");
    only_corten!("joining namespaces by pidfd");
    let container = Container::sleeping(|_| {});
    let log = container.path("strace");
    let error = container.exec(&["true"]).by(strace_all(&log, &["setns:error=EINVAL"])).output().fails();
    assert_injected(&log);
    assert!(error.contains("setns") && error.contains("EINVAL"), "{error}");
}

/// The process that builds this root is in another pid namespace than the container's own /proc shows.
#[test]
fn without_mount_setattr_in_a_joined_pid_namespace() {
    only_corten!("its own fallback");
    let owner = Container::sleeping(|_| {});
    let joined = |bundle: &mut Bundle| {
        bundle.namespace("pid", Some(&format!("/proc/{}/ns/pid", owner.pid())));
    };
    assert_eq!(seen_with("mount_setattr:error=ENOSYS", joined), seen_with(NOTHING, joined));
}
