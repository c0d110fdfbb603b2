//! A container without a mount namespace of its own: its mounts are among those of its caller, who gets them back as
//! they were.

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::{leftovers, only_corten};

/// Asks for no mount namespace, and for nothing that needs one.
fn among_the_callers(bundle: &mut Bundle) {
    bundle
        .share_namespace("mount")
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .set("/linux/rootfsPropagation", "");
}

/// `mountinfo` without what other tests have mounted meanwhile: all lines of a root that never changes.
fn root_mount() -> String {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    table.lines().find(|line| line.split(' ').nth(4) == Some("/")).expect("a root").to_owned()
}

#[test]
fn the_root_is_the_containers_all_the_same() {
    let mut container = Container::new(among_the_callers);
    container.bundle.sh("cat /etc/passwd | head -n 1; ls /proc/1/status; ls -d /nowhere || echo none");
    let expected = "/proc/1/status\nnone";
    let seen = container.run().private_mounts().output().ok();
    assert!(seen.ends_with(expected) && seen.starts_with("root:"), "{seen}");
}

#[test]
fn its_mounts_are_the_callers_and_go_with_it() {
    only_corten!("taking the mounts away again");
    let before = root_mount();
    let container = Container::sleeping(among_the_callers);
    let own = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    let its = std::fs::read_link(format!("/proc/{}/ns/mnt", container.pid())).unwrap();
    assert_eq!(own, its);
    let mounts = leftovers::mounts(&container.id);
    let rootfs = container.bundle.rootfs();
    assert!(mounts.iter().any(|at| at.ends_with("/proc")), "{mounts:?}");
    assert!(!mounts.iter().any(|at| std::path::Path::new(at).starts_with(&rootfs)), "{mounts:?}");
    container.kill("KILL").ok();
    container.wait_stopped();
    container.delete().ok();
    container.assert_nothing_left();
    assert_eq!(root_mount(), before);
    assert!(rootfs.join("bin/busybox").exists());
}

#[test]
fn a_failed_create_leaves_no_mount() {
    only_corten!("taking the mounts away again");
    let container = Container::new(|bundle| {
        among_the_callers(bundle);
        bundle.args(["/no/such/program"]);
    });
    container.create().output().fails();
    container.assert_nothing_left();
    assert!(container.bundle.rootfs().join("bin/busybox").exists());
}

#[test]
fn what_joins_has_the_containers_root() {
    only_corten!("giving what joins the root");
    let container = Container::sleeping(|bundle| {
        among_the_callers(bundle);
        bundle.set("/process/cwd", "/var");
        std::fs::write(bundle.rootfs().join("mark"), "inside").unwrap();
    });
    assert_eq!(container.inside("cat /mark; pwd; cd /; cd ../..; cat mark"), "inside/var\ninside");
}

#[test]
fn a_read_only_root_is_one() {
    only_corten!("a read-only root without a mount namespace");
    let container = Container::new(|bundle| {
        among_the_callers(bundle);
        bundle.set("/root/readonly", true);
    });
    assert_eq!(container.sees("touch /x 2>/dev/null || echo read-only"), "read-only");
    assert!(!container.bundle.rootfs().join("x").exists());
}

#[test]
fn masked_and_read_only_paths_need_a_mount_namespace() {
    for field in ["maskedPaths", "readonlyPaths"] {
        let container = Container::new(|bundle| {
            among_the_callers(bundle);
            bundle.set(&format!("/linux/{field}"), json!(["/proc/kcore"]));
        });
        container.create().private_mounts().output().fails();
        container.assert_nothing_left();
    }
}

#[test]
fn what_would_change_the_callers_mounts_is_refused_by_name() {
    only_corten!("refusing what would change the caller's mounts");
    let propagation = Container::new(|bundle| {
        among_the_callers(bundle);
        bundle.set("/linux/rootfsPropagation", "shared");
    });
    let text = propagation.create().private_mounts().output().fails();
    assert!(text.contains("linux.rootfsPropagation: needs a mount namespace"), "{text}");
    let users = Container::new(|bundle| {
        among_the_callers(bundle);
        bundle.user_namespace(100_000);
    });
    let text = users.create().private_mounts().output().fails();
    assert!(text.contains("linux.namespaces[user]: needs a mount namespace"), "{text}");
    let moved = Container::new(among_the_callers);
    let text = moved.create_with(["--no-pivot"]).private_mounts().output().fails();
    assert!(text.contains("--no-pivot: needs a mount namespace"), "{text}");
}
