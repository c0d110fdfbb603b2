//! What the mounts of the host forbid and hide stays so for a container in a user namespace, whatever it may do there.

use spec_tests::container::Container;

/// A volume of the host with a file that a submount hides, mounted with `flags`.
fn with_volume(options: &[&str], script: &str) -> (Container, String) {
    let mut container = Container::new(|bundle| {
        bundle.user_namespace(100_000).capabilities(&["CAP_SYS_ADMIN"]).set("/linux/seccomp", ());
        bundle.sh(script);
    });
    let volume = container.path("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::create_dir(container.bundle.rootfs().join("volume")).unwrap();
    container.bundle.mount("bind", &volume, "/volume", options);
    let prologue = format!(
        "mount -t tmpfs -o mode=755 t {volume} && mkdir {volume}/hidden && echo secret > {volume}/hidden/file \
         && mount -t tmpfs t {volume}/hidden && mount -o remount,bind,ro,nosuid,nodev,noexec {volume}"
    );
    (container, prologue)
}

#[test]
fn what_the_host_forbids_cannot_be_allowed() {
    let script = "mount -o remount,bind,rw,suid,dev,exec /volume 2> /dev/null
                  grep ' /volume ' /proc/self/mountinfo | cut -d' ' -f6";
    let (container, prologue) = with_volume(&["rbind"], script);
    let seen = container.run().private_mounts().prologue(&prologue).output().ok();
    assert_eq!(seen.split(',').take(4).collect::<Vec<_>>(), ["ro", "nosuid", "nodev", "noexec"]);
}

#[test]
fn what_the_host_forbids_is_not_allowed_by_habit() {
    spec_tests::not_in_runc_1_1!("it refuses to change locked flags, asked or not");
    let script = "grep ' /volume ' /proc/self/mountinfo | cut -d' ' -f6";
    let (container, prologue) = with_volume(&["rbind", "ro"], script);
    let seen = container.run().private_mounts().prologue(&prologue).output().ok();
    assert_eq!(seen.split(',').take(4).collect::<Vec<_>>(), ["ro", "nosuid", "nodev", "noexec"]);
}

#[test]
fn what_a_mount_of_the_host_hides_cannot_be_uncovered() {
    let (container, prologue) =
        with_volume(&["rbind"], "umount /volume/hidden; cat /volume/hidden/file; true");
    let seen = container.run().private_mounts().prologue(&prologue).output();
    assert_eq!(seen.ok(), "");
}
