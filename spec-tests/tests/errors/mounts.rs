//! Mounts, devices and the root filesystem.

use std::fs;

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::not_in_runc_1_1;

use crate::refused;

/// The index of the first mount that a test adds to Docker's seven.
const FIRST: &str = "mounts[7]";

fn mounting(kind: &str, source: &str, destination: &str, options: &[&str]) -> Container {
    Container::new(|bundle| {
        bundle.mount(kind, source, destination, options);
    })
}

#[test]
fn a_bind_source_that_is_missing() {
    let container = mounting("bind", "/nonexistent/source", "/data", &["rbind"]);
    let phrases = ["/nonexistent/source", "no such file or directory"];
    refused(&container, &container.create().output(), &phrases, &[FIRST, "ENOENT"]);
}

#[test]
fn an_option_that_does_not_exist() {
    let container = mounting("tmpfs", "tmpfs", "/data", &["nonsense"]);
    refused(
        &container,
        &container.create().output(),
        &["/data", "invalid argument"],
        &[FIRST, "nonsense", "EINVAL"],
    );
}

#[test]
fn an_option_whose_value_makes_no_sense() {
    let container = mounting("tmpfs", "tmpfs", "/data", &["size=lots"]);
    refused(
        &container,
        &container.create().output(),
        &["/data", "invalid argument"],
        &[FIRST, "size", "EINVAL"],
    );
}

#[test]
fn a_type_that_does_not_exist() {
    let container = mounting("nosuchfs", "none", "/data", &[]);
    refused(
        &container,
        &container.create().output(),
        &["/data", "no such device"],
        &[FIRST, "nosuchfs", "ENODEV"],
    );
}

#[test]
fn a_mount_point_below_a_file() {
    let container = mounting("tmpfs", "tmpfs", "/etc/passwd/below", &[]);
    refused(&container, &container.create().output(), &["not a directory"], &[FIRST, "/etc/passwd/below"]);
}

#[test]
fn a_directory_bound_on_a_file() {
    let container = mounting("bind", "/etc", "/etc/passwd", &["bind"]);
    refused(&container, &container.create().output(), &["not a directory"], &[FIRST]);
}

#[test]
fn a_mount_on_the_root_itself() {
    let container = mounting("tmpfs", "tmpfs", "/", &[]);
    let outcome = container.create().output();
    spec_tests::skip_if!(outcome.code == 0, "this runtime mounts on the root");
    refused(&container, &outcome, &[], &[FIRST]);
}

#[test]
fn a_mount_without_a_destination() {
    let container = Container::new(|bundle| {
        bundle.push("/mounts", json!({"type": "tmpfs", "source": "tmpfs"}));
    });
    refused(&container, &container.create().output(), &[], &[FIRST]);
}

#[test]
fn a_failing_mount_in_the_middle_undoes_those_before() {
    let container = Container::new(|bundle| {
        for number in 0..10 {
            bundle.mount("tmpfs", "tmpfs", &format!("/good{number}"), &["shared"]);
        }
        bundle.mount("nosuchfs", "none", "/bad", &[]);
    });
    refused(&container, &container.create().output(), &["/bad"], &["mounts[17]"]);
}

#[test]
fn an_idmapped_mount_of_a_filesystem_that_cannot() {
    not_in_runc_1_1!("knows no idmapped mounts");
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    let container = Container::new(|bundle| {
        bundle.push(
            "/mounts",
            json!({"destination": "/data", "type": "bind", "source": "/proc", "options": ["bind", "idmap"],
                   "uidMappings": map, "gidMappings": map}),
        );
    });
    refused(&container, &container.create().output(), &["/data"], &[FIRST, "EINVAL"]);
}

#[test]
fn a_rootfs_that_is_missing() {
    let container = Container::new(|bundle| {
        bundle.set("/root/path", "nowhere");
    });
    refused(
        &container,
        &container.create().output(),
        &["nowhere"],
        &["root.path", "no such file or directory"],
    );
}

#[test]
fn a_rootfs_that_cannot_be_written_where_a_mount_point_is_missing() {
    let container = mounting("tmpfs", "tmpfs", "/not/there", &[]);
    let rootfs = container.bundle.rootfs().display().to_string();
    let prologue = format!("mount --bind {rootfs} {rootfs}; mount -o remount,bind,ro {rootfs}");
    let outcome = container.create().private_mounts().prologue(&prologue).output();
    refused(&container, &outcome, &["read-only file system"], &[FIRST, "/not/there", "EROFS"]);
}

#[test]
fn a_tmpcopyup_that_does_not_fit() {
    let container = Container::new(|bundle| {
        fs::create_dir(bundle.rootfs().join("t")).unwrap();
        fs::write(bundle.rootfs().join("t/big"), vec![7; 1 << 20]).unwrap();
        bundle.mount("tmpfs", "tmpfs", "/t", &["tmpcopyup", "size=64k"]);
    });
    refused(&container, &container.create().output(), &["no space left on device"], &[FIRST, "/t"]);
}

#[test]
fn the_hosts_own_root_as_a_rootfs() {
    let container = Container::new(|bundle| {
        // What the host has at these places is mounted over.
        bundle.set("/root/path", "/../");
    });
    spec_tests::only_corten!("refusing it before anything is done");
    refused(&container, &container.create().output(), &[], &["root.path"]);
}

#[test]
fn a_long_description_is_shortened_and_not_left_out() {
    let container = mounting("tmpfs", "tmpfs", "/data", &["nonsense", &format!("size=0{}", "0".repeat(240))]);
    let ours = [FIRST, "tmpfs", "on /data", "EINVAL"];
    refused(&container, &container.create().output(), &["/data", "invalid argument"], &ours);
}

#[test]
fn a_protected_path_without_a_name() {
    spec_tests::only_corten!("refusing what protects nothing");
    for field in ["maskedPaths", "readonlyPaths"] {
        let container = Container::new(|bundle| {
            bundle.set(&format!("/linux/{field}"), json!([""]));
        });
        refused(&container, &container.create().output(), &[], &[&format!("linux.{field}[0]")]);
    }
}
