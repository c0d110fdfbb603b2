//! The root filesystem: readonly, its propagation, what stands around it.

use spec_tests::container::Container;
use spec_tests::mountinfo::mounts_on;
use spec_tests::not_in_runc_1_1;

#[test]
fn a_readonly_root_refuses_writes_and_its_mounts_do_not() {
    let container = Container::new(|bundle| {
        bundle.set("/root/readonly", true).mount("tmpfs", "tmpfs", "/var", &[]);
    });
    let script = "touch /x 2>/dev/null || echo refused; touch /var/x && touch /dev/shm/x && echo may";
    assert_eq!(container.sees(script), "refused\nmay");
}

#[test]
fn mount_points_are_made_below_a_readonly_root() {
    let container = Container::new(|bundle| {
        bundle.set("/root/readonly", true).mount("tmpfs", "tmpfs", "/brand/new", &[]);
    });
    assert_eq!(container.sees("grep -c ' /brand/new ' /proc/mounts"), "1");
}

#[test]
fn a_root_on_a_nosuid_mount_can_be_readonly() {
    let mut container = Container::new(|bundle| {
        bundle.set("/root/readonly", true);
    });
    container.bundle.sh("cat /proc/self/mountinfo");
    let rootfs = container.bundle.rootfs().display().to_string();
    let prologue = format!("mount --bind {rootfs} {rootfs}; mount -o remount,bind,nosuid,nodev {rootfs}");
    let outcome = container.run().private_mounts().prologue(&prologue).output().ok();
    let root = mounts_on(&outcome, "/").pop().unwrap();
    assert!(root.has("ro"), "{root:?}");
}

#[test]
fn an_absolute_root_path_is_taken() {
    let container = Container::new(|bundle| {
        bundle.set("/root/path", bundle.rootfs().to_str().unwrap());
    });
    assert_eq!(container.sees("ls /bin/busybox"), "/bin/busybox");
}

#[test]
fn a_root_that_is_missing_or_no_directory_is_refused() {
    for path in ["missing", "config.json"] {
        let container = Container::new(|bundle| {
            bundle.set("/root/path", path);
        });
        container.create().output().fails();
        container.assert_nothing_left();
    }
}

#[test]
fn the_old_root_is_gone() {
    let container = Container::new(|_| {});
    let seen = container.sees("cat /proc/self/mountinfo; ls /..");
    assert!(!seen.contains("cgroup2 /sys/fs/cgroup/unified") && !seen.contains("bundle\n"), "{seen}");
    assert_eq!(mounts_on(&seen, "/").len(), 1, "{seen}");
}

#[test]
fn propagation_of_the_root() {
    not_in_runc_1_1!("leaves the root private when asked for shared or unbindable");
    for (word, tag) in [
        ("private", None),
        ("rprivate", None),
        ("shared", Some("shared:")),
        ("unbindable", Some("unbindable")),
    ] {
        let container = Container::new(|bundle| {
            bundle.set("/linux/rootfsPropagation", word);
        });
        let root = mounts_on(&container.sees("cat /proc/self/mountinfo"), "/").pop().unwrap();
        assert_eq!(
            root.tags.first().map(|seen| seen.trim_end_matches(char::is_numeric)),
            tag,
            "{word}: {root:?}"
        );
    }
}

#[test]
fn a_root_below_a_shared_mount_works_and_leaks_nothing_to_the_host() {
    let container = Container::new(|bundle| {
        bundle.mount("tmpfs", "leaky", "/t", &[]).sh("mount | grep -c leaky");
    });
    // The runtime's own mount namespace is shared in all its mounts, as systemd makes the host's.
    let prologue = "mount --make-rshared /; trap 'exit 9' EXIT; \"$@\"; trap - EXIT; ! grep leaky /proc/self/mountinfo; exit";
    assert_eq!(container.run().private_mounts().prologue(prologue).output().ok(), "1");
}

#[test]
fn a_slave_root_receives_from_the_host_and_sends_nothing() {
    let container = Container::new(|bundle| {
        bundle.set("/linux/rootfsPropagation", "rslave").sh("cat /proc/self/mountinfo");
    });
    let outcome = container.run().private_mounts().prologue("mount --make-rshared /").output().ok();
    let root = mounts_on(&outcome, "/").pop().unwrap();
    assert!(root.tags.iter().any(|tag| tag.starts_with("master:")), "{root:?}");
    assert!(!root.tags.iter().any(|tag| tag.starts_with("shared:")), "{root:?}");
}

#[test]
fn a_root_without_a_word_for_it_receives_nothing_from_the_host() {
    not_in_runc_1_1!("makes the root's parent private only where it is shared in the new mount namespace");
    let container = Container::new(|bundle| {
        bundle.mount("bind", "rootfs/etc", "/mnt", &["bind"]).sh("cat /proc/self/mountinfo");
    });
    let outcome = container.run().private_mounts().prologue("mount --make-rshared /").output().ok();
    for place in ["/", "/mnt"] {
        let mount = mounts_on(&outcome, place).pop().unwrap();
        assert!(mount.tags.is_empty(), "{mount:?}");
    }
}

#[test]
fn an_unknown_propagation_is_refused() {
    let container = Container::new(|bundle| {
        bundle.set("/linux/rootfsPropagation", "sideways");
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn relative_masked_and_readonly_paths_are_taken_from_the_root() {
    let container = Container::new(|bundle| {
        bundle.push("/linux/maskedPaths", "etc/passwd").push("/linux/readonlyPaths", "var");
    });
    let script = "cat /etc/passwd; touch /var/x 2>/dev/null || echo refused; touch /etc/x";
    assert_eq!(container.sees(script), "refused");
}
