//! Class B: a link of the image bends a mount onto a place of the runtime's own (CVE-2026-41579): a volume onto /dev,
//! where the runtime makes and removes files, or anything onto the root.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::console::Terminal;
use spec_tests::container::Container;
use spec_tests::only_corten;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;
use spec_tests::victim::Victim;
use spec_tests::view::View;

/// Links of an image, and a destination that they lead to /dev or below.
const ONTO_DEV: [(&[(&str, &str)], &str); 8] = [
    (&[("data", "/dev")], "/data"),
    (&[("data", "../../../dev")], "/data"),
    (&[("host", "/")], "/host/dev"),
    (&[("host", ".")], "/host/./dev/../dev"),
    (&[("a", "b"), ("b", "/")], "/a/a/dev"),
    (&[("var/dev", "../dev")], "/var/dev"),
    (&[("data", "/dev/net")], "/data"),
    (&[("data", "dev/new")], "/data"),
];

fn put_links(bundle: &Bundle, links: &[(&str, &str)]) {
    for (name, target) in links {
        symlink(target, bundle.rootfs().join(name)).unwrap();
    }
}

/// Runs a container with a volume that the links of the image lead to /dev, and looks at the volume.
fn bend_volume(options: &[&str], configure: impl Fn(&mut Bundle)) {
    for (links, destination) in ONTO_DEV {
        let mut container = Container::new(|bundle| {
            put_links(bundle, links);
            bundle.set(
                "/linux/devices",
                json!([
                    {"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200, "fileMode": 0o666},
                    {"path": "/dev/new/deep/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
                ]),
            );
        });
        let victim = Victim::of(&container);
        container.bundle.mount("bind", &victim.path, destination, options);
        configure(&mut container.bundle);
        container.run().output();
        victim.assert_untouched();
    }
}

#[test]
fn nothing_is_made_in_a_volume_that_a_link_leads_to_dev() {
    known_to_fail_on_runc_1_1_5(|| bend_volume(&["rbind"], |_| {}));
}

#[test]
fn nothing_is_made_in_a_readonly_or_private_volume_either() {
    bend_volume(&["bind", "ro", "rprivate"], |_| {});
}

#[test]
fn nothing_is_made_in_it_from_a_user_namespace() {
    known_to_fail_on_runc_1_1_5(|| {
        bend_volume(&["rbind"], |bundle| {
            bundle.user_namespace(0);
        });
    });
}

#[test]
fn nothing_is_made_in_it_by_who_joins_a_pid_namespace() {
    known_to_fail_on_runc_1_1_5(|| {
        let pod = Container::sleeping(|_| {});
        let path = format!("/proc/{}/ns/pid", pod.pid());
        bend_volume(&["rbind"], |bundle| {
            bundle.namespace("pid", Some(&path));
        });
    });
}

#[test]
fn nothing_is_made_in_it_without_a_dev_of_the_containers_own() {
    known_to_fail_on_runc_1_1_5(|| {
        bend_volume(&["rbind"], |bundle| {
            for destination in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
                bundle.unmount(destination);
            }
        });
    });
}

#[test]
fn nothing_is_made_in_what_is_mounted_in_the_volume() {
    known_to_fail_on_runc_1_1_5(|| {
        let mut container = Container::new(|bundle| {
            put_links(bundle, &[("data", "/dev")]);
            let tun = json!({"path": "/dev/inner/tun", "type": "c", "major": 10, "minor": 200});
            bundle.push("/linux/devices", tun);
        });
        let victim = Victim::of(&container);
        let tree = container.path("tree");
        container.bundle.mount("bind", &tree, "/data", &["rbind"]);
        let prologue = format!("mkdir -p {tree}/inner; mount --bind {} {tree}/inner", victim.text());
        container.run().private_mounts().prologue(&prologue).output();
        victim.assert_untouched();
    });
}

#[test]
fn no_console_is_made_in_a_volume_that_a_link_leads_to_dev() {
    let mut container = Container::new(|bundle| {
        put_links(bundle, &[("data", "/dev")]);
        bundle.mount("bind", "/dev", "/dev", &["rbind"]).set("/process/terminal", true);
    });
    let victim = Victim::of(&container);
    container.bundle.mount("bind", &victim.path, "/data", &["rbind"]);
    container.bundle.mount("devpts", "devpts", "/dev/pts", &["newinstance", "ptmxmode=0666"]);
    fs::create_dir(victim.path.join("pts")).unwrap();
    let (mut terminal, slave) = Terminal::open();
    let outcome = container.run().terminal(slave).spawn();
    terminal.read_until_closed_or("no such text");
    outcome.wait();
    assert!(!victim.path.join("console").exists(), "made in the volume");
    fs::remove_dir(victim.path.join("pts")).unwrap();
    victim.assert_untouched();
}

#[test]
fn a_whole_dev_that_is_named_as_on_the_host_is_left_alone() {
    known_to_fail_on_runc_1_1_5(|| {
        let mut container = Container::new(|bundle| {
            for destination in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
                bundle.unmount(destination);
            }
        });
        let victim = Victim::of(&container);
        let destination = container.bundle.rootfs().join("dev");
        container.bundle.mount("bind", &victim.path, destination.to_str().unwrap(), &["rbind"]);
        container.run().output();
        victim.assert_untouched();
    });
}

#[test]
fn the_kernels_own_devtmpfs_is_left_alone() {
    only_corten!("a plan");
    let container = Container::new(|bundle| {
        bundle.unmount("/dev").mount("devtmpfs", "devtmpfs", "/dev", &[]).save();
    });
    let bundle = container.bundle.dir.to_str().unwrap();
    let plan = container.command(["plan", bundle]).output().ok();
    assert!(plan.contains("devtmpfs") && !plan.contains("make-device"), "{plan}");
}

#[test]
fn a_new_tmpfs_that_a_link_leads_to_dev_is_filled() {
    let container = Container::new(|bundle| {
        put_links(bundle, &[("data", "/dev")]);
        bundle.mount("tmpfs", "tmpfs", "/data", &["mode=755"]);
    });
    assert_eq!(container.sees("echo x > /dev/null; readlink /dev/ptmx"), "pts/ptmx");
}

#[test]
fn a_cgroup_mount_that_a_link_leads_to_proc_is_refused() {
    for view in View::all() {
        for options in [&[][..], &["ro"]] {
            let container = Container::in_view(*view, |bundle| {
                put_links(bundle, &[("data", "/proc")]);
                bundle.mount("cgroup", "cgroup", "/data", options);
            });
            container.create().output().fails();
            container.assert_nothing_left();
        }
    }
}

#[test]
fn nothing_is_made_in_a_cgroup_mount_that_a_link_leads_to_dev() {
    for view in View::all() {
        let container = Container::in_view(*view, |bundle| {
            put_links(bundle, &[("data", "/dev")]);
            bundle.mount("cgroup", "cgroup", "/data", &["rw"]);
            let made = json!({"path": "/dev/pids/made/null", "type": "c", "major": 1, "minor": 3});
            bundle.push("/linux/devices", made);
        });
        container.create().output().fails();
        container.assert_nothing_left();
    }
}

/// A link of an image, if there has to be one, and a destination or path that is the root.
const ONTO_ROOT: [(Option<&str>, &str); 6] = [
    (Some("/"), "/data"),
    (Some("."), "/data"),
    (Some("../../.."), "/data"),
    (Some("proc/.."), "/data/data"),
    (None, "/.."),
    (None, "/etc/./.."),
];

/// Expects that no destination which leads to the root is taken for this mount.
fn refused_on_the_root(kind: &str, options: &[&str]) {
    for (link, destination) in ONTO_ROOT {
        let mut container = Container::new(|bundle| put_link_to_root(bundle, link));
        let volume = container.path("bundle");
        container.bundle.mount(kind, &volume, destination, options);
        container.create().output().fails();
        container.assert_nothing_left();
    }
}

fn put_link_to_root(bundle: &Bundle, link: Option<&str>) {
    let links: Vec<(&str, &str)> = link.map(|target| ("data", target)).into_iter().collect();
    put_links(bundle, &links);
}

#[test]
fn a_mount_on_what_leads_to_the_root_is_refused() {
    refused_on_the_root("bind", &["bind"]);
    refused_on_the_root("tmpfs", &["mode=755"]);
    refused_on_the_root("tmpfs", &["size=64k,mode=755"]);
}

#[test]
fn a_remount_of_what_leads_to_the_root_is_refused() {
    known_to_fail_on_runc_1_1_5(|| refused_on_the_root("tmpfs", &["remount", "ro"]));
}

fn protects_the_root(link: Option<&str>, path: &str) {
    let container = Container::new(|bundle| {
        put_link_to_root(bundle, link);
        bundle.push("/linux/readonlyPaths", path).push("/linux/readonlyPaths", "/proc/sys");
    });
    assert_eq!(container.sees("touch /w 2>/dev/null || echo refused; touch /dev/w"), "refused", "{path}");
}

#[test]
fn a_readonly_path_that_leads_to_the_root_makes_the_root_readonly() {
    for (link, path) in [(Some("/"), "/data"), (Some("."), "/data"), (None, "/"), (None, "//")] {
        protects_the_root(link, path);
    }
}

#[test]
fn a_readonly_path_that_climbs_to_the_root_makes_the_root_readonly() {
    known_to_fail_on_runc_1_1_5(|| {
        for (link, path) in ONTO_ROOT {
            protects_the_root(link, path);
        }
    });
}

#[test]
fn a_masked_path_that_leads_to_the_root_is_refused() {
    known_to_fail_on_runc_1_1_5(|| {
        for path in ["/", "/..", "/data"] {
            let container = Container::new(|bundle| {
                put_links(bundle, &[("data", "/")]);
                bundle.push("/linux/maskedPaths", path);
            });
            container.create().output().fails();
            container.assert_nothing_left();
        }
    });
}
