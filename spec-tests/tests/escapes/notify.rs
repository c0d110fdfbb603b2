//! The directory of the socket for sd_notify: the one part of the state that the container sees.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use spec_tests::container::Container;
use spec_tests::notify::{Manager, install};

#[test]
fn a_link_in_place_of_the_socket_is_not_followed() {
    let container = Container::new(|bundle| {
        bundle.args(["true"]);
    });
    let manager = Manager::at(container.path("manager"));
    let kept = container.file("kept", "kept");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();
    let absent = container.path("absent");
    let socket = container.runtime.root.join(&container.id).join("notify/notify.sock");
    for target in [&kept, &absent] {
        container.create().env("NOTIFY_SOCKET", &manager.address).output().ok();
        // A hook could do the same, and so could the container if it may mount.
        symlink(target, &socket).unwrap();
        // A refusal is as good as a start.
        container.command(["start", &container.id]).env("NOTIFY_SOCKET", &manager.address).output();
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
        assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(&absent).is_err(), "made where the link led to");
        container.command(["delete", "--force", &container.id]).output().ok();
        container.assert_nothing_left();
    }
}

#[test]
fn what_the_container_leaves_beside_the_socket_is_removed_and_not_followed() {
    let mut container = Container::new(|bundle| {
        install(bundle);
        bundle.capabilities(&["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]);
    });
    let manager = Manager::at(container.path("manager"));
    let kept = container.file("kept", "kept");
    container.bundle.sh(&format!(
        "mount -o remount,bind,rw /run/notify && cd /run/notify && ln -s {kept} link && ln -s {} dir && \
         n=0; while [ $n -lt 300 ]; do mkdir d && cd d && n=$((n+1)); done; touch /built; notify READY=1",
        container.path("")
    ));
    let run = container.run().env("NOTIFY_SOCKET", &manager.address).spawn();
    manager.hears_that_it_is_ready(|| run.pid());
    run.wait();
    assert!(container.bundle.rootfs().join("built").exists());
    assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    container.assert_nothing_left();
}
