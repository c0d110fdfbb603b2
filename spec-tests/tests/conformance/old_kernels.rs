//! Kernels older than this one: a call that they lack answers ENOSYS, by strace, and the container is the same.
//! (What has no fallback is refused; `ARCHITECTURE.md` has the table.)

use std::fs;

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::{only_corten, skip_if};

/// Runs a container in which every kind of protection is asked for, with `call` missing from the kernel.
fn seen_without(call: &str, configure: impl FnOnce(&mut Bundle)) -> String {
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
    let inject = format!("inject={call}:error=ENOSYS");
    let log = container.path("strace");
    let strace = ["strace", "-f", "-qq", "-o", &log, "-e", &format!("trace={call}"), "-e", &inject];
    let seen = container.run().by(strace).output().ok().to_owned();
    assert!(fs::read_to_string(log).unwrap().contains("INJECTED"), "{call} is not called at all");
    seen
}

#[test]
fn without_mount_setattr_which_is_5_12() {
    skip_if!(!fs::exists("/usr/bin/strace").unwrap_or(false), "strace is not installed");
    only_corten!("building mounts by descriptor");
    let seen = seen_without("mount_setattr", |_| {});
    let expected = "root is read-only\nbind is read-only\nsysctls are read-only\n0\n0\n4\n";
    assert!(seen.starts_with(expected), "{seen}");
    assert_eq!(seen, seen_without("getrandom", |_| {}), "a kernel with mount_setattr gives the same");
}

#[test]
fn without_mount_setattr_in_a_user_namespace() {
    skip_if!(!fs::exists("/usr/bin/strace").unwrap_or(false), "strace is not installed");
    only_corten!("building mounts by descriptor");
    let in_user_namespace = |bundle: &mut Bundle| {
        std::fs::create_dir_all(bundle.rootfs().join("mnt")).expect("make a mount point");
        bundle.user_namespace(100_000);
    };
    let seen = seen_without("mount_setattr", in_user_namespace);
    assert!(seen.contains("bind is read-only"), "{seen}");
    assert_eq!(
        seen,
        seen_without("getrandom", in_user_namespace),
        "a kernel with mount_setattr gives the same"
    );
}

#[test]
fn without_close_range_which_is_5_9() {
    skip_if!(!fs::exists("/usr/bin/strace").unwrap_or(false), "strace is not installed");
    only_corten!("closing descriptors by range");
    let seen = seen_without("close_range", |_| {});
    assert!(seen.contains("\n4\n"), "no descriptor but the three and that of ls: {seen}");
}
