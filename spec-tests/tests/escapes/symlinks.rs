//! Class S: a path inside the container leads to the host, at once or after it was looked at (CVE-2019-18837,
//! CVE-2019-19921, CVE-2021-30465, CVE-2023-27561, CVE-2024-45310, CVE-2025-54867, CVE-2026-41579,
//! CVE-2026-47766).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::race::Racer;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;
use spec_tests::victim::{SECRET, Victim};

/// A container whose rootfs has a link in place of `name`.
fn with_link(name: &str, target: &str) -> Container {
    let container = Container::new(|_| {});
    put_link(&container, name, target);
    container
}

/// Tries an attack twice. The link in place of `name` leads to the victim by its absolute path, and then by climbing
/// out of the root.
fn both_spellings(name: &str, attack: impl Fn(Container, Victim)) {
    for climb in ["", "../../../../../../../.."] {
        let container = Container::new(|_| {});
        let victim = Victim::of(&container);
        put_link(&container, name, &format!("{climb}{}", victim.text()));
        attack(container, victim);
    }
}

fn put_link(container: &Container, name: &str, target: &str) {
    let path = container.bundle.rootfs().join(name);
    let _ = fs::remove_dir(&path);
    symlink(target, path).unwrap();
}

#[test]
fn proc_and_sys_may_not_be_symlinks() {
    for name in ["proc", "sys"] {
        let container = with_link(name, "var");
        container.create().output().fails();
        container.assert_nothing_left();
    }
}

#[test]
fn proc_behind_a_symlink_to_the_host_is_refused() {
    both_spellings("proc", |container, victim| {
        container.create().output().fails();
        victim.assert_untouched();
    });
}

#[test]
fn a_mount_point_behind_a_symlink_is_not_made_on_the_host() {
    both_spellings("link", |mut container, victim| {
        container.bundle.mount("tmpfs", "tmpfs", "/link/new/dir", &[]);
        container.run().output();
        victim.assert_untouched();
    });
}

#[test]
fn a_file_bound_behind_a_symlink_is_not_made_on_the_host() {
    both_spellings("link", |mut container, victim| {
        let file = container.file("file", "content");
        container.bundle.mount("bind", &file, "/link/made", &["bind"]);
        container.run().output();
        victim.assert_untouched();
    });
}

#[test]
fn a_dangling_symlink_in_place_of_a_file_is_not_followed_to_the_host() {
    let mut container = Container::new(|_| {});
    let victim = Victim::of(&container);
    symlink(victim.path.join("made"), container.bundle.rootfs().join("etc/hosts")).unwrap();
    let file = container.file("hosts", "content");
    container.bundle.mount("bind", &file, "/etc/hosts", &["bind"]);
    container.run().output();
    victim.assert_untouched();
}

#[test]
fn a_working_directory_behind_a_symlink_is_not_made_on_the_host() {
    both_spellings("link", |mut container, victim| {
        container.bundle.set("/process/cwd", "/link/new/dir");
        container.run().output();
        victim.assert_untouched();
    });
}

#[test]
fn a_mount_on_a_symlink_to_the_host_shows_nothing_of_it() {
    both_spellings("link", |mut container, victim| {
        container.bundle.mount("tmpfs", "tmpfs", "/link", &["tmpcopyup"]);
        let seen = container.sees("cat /link/secret; mount; true");
        assert!(!seen.contains(SECRET), "{seen}");
        victim.assert_untouched();
    });
}

#[test]
fn tmpcopyup_copies_links_as_links() {
    let mut container = Container::new(|_| {});
    let victim = Victim::of(&container);
    let dir = container.bundle.rootfs().join("t");
    fs::create_dir(&dir).unwrap();
    symlink(victim.path.join("secret"), dir.join("file")).unwrap();
    symlink(&victim.path, dir.join("dir")).unwrap();
    container.bundle.mount("tmpfs", "tmpfs", "/t", &["tmpcopyup"]);
    let seen = container.sees("cat /t/file /t/dir/secret; readlink /t/file /t/dir; true");
    assert!(!seen.contains(SECRET), "{seen}");
}

#[test]
fn masked_and_readonly_paths_behind_symlinks_do_not_reach_the_host() {
    both_spellings("link", |mut container, victim| {
        container
            .bundle
            .push("/linux/maskedPaths", "/link/secret")
            .push("/linux/readonlyPaths", "/link/inner");
        container.run().output();
        victim.assert_untouched();
    });
}

#[test]
fn dev_behind_a_symlink_does_not_reach_the_host() {
    known_to_fail_on_runc_1_1_5(|| {
        both_spellings("dev", |mut container, victim| {
            for destination in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
                container.bundle.unmount(destination);
            }
            container.run().output();
            victim.assert_untouched();
        });
    });
}

#[test]
fn dev_behind_a_symlink_does_not_reach_the_host_by_create_and_start() {
    known_to_fail_on_runc_1_1_5(|| {
        both_spellings("dev", |mut container, victim| {
            for destination in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
                container.bundle.unmount(destination);
            }
            if container.create().output().code == 0 {
                container.start();
            }
            victim.assert_untouched();
        });
    });
}

#[test]
fn dev_pts_behind_a_symlink_does_not_reach_the_host() {
    both_spellings("pts", |mut container, victim| {
        for destination in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
            container.bundle.unmount(destination);
        }
        let rootfs = container.bundle.rootfs();
        fs::rename(rootfs.join("pts"), rootfs.join("dev/pts")).unwrap();
        container.bundle.mount("devpts", "devpts", "/dev/pts", &["newinstance", "ptmxmode=0666"]);
        container.run().output();
        victim.assert_untouched();
    });
}

#[test]
fn a_device_behind_a_symlink_is_not_made_on_the_host() {
    both_spellings("link", |mut container, victim| {
        container.bundle.set(
            "/linux/devices",
            json!([
                {"path": "/link/made", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
                {"path": "/link/new/dir/made", "type": "p", "fileMode": 0o666},
            ]),
        );
        container.run().output();
        victim.assert_untouched();
    });
}

#[test]
fn a_rootfs_that_is_a_symlink_is_refused() {
    let mut container = Container::new(|_| {});
    symlink(container.bundle.rootfs(), container.dir.join("bundle/link")).unwrap();
    container.bundle.set("/root/path", "link");
    container.create().output().fails();
    container.assert_nothing_left();
}

/// A mount destination in a volume that an attacker shares: `dir`, which the attacker exchanges for a link to the
/// victim.
///
/// A later mount binds from the victim: if the earlier mount landed there, its content shows.
fn race(destination: &str, expect: impl Fn(&Victim, &str)) {
    let mut container = Container::new(|_| {});
    let victim = Victim::of(&container);
    let volume = container.dir.join("volume");
    fs::create_dir_all(volume.join("dir/inner")).unwrap();
    symlink(&victim.path, volume.join("link")).unwrap();
    let evil = container.dir.join("evil");
    fs::create_dir(&evil).unwrap();
    fs::write(evil.join("file"), "evil").unwrap();
    container
        .bundle
        .mount("bind", &volume, "/volume", &["rbind"])
        .mount("bind", &evil, destination, &["rbind"])
        .mount("bind", victim.path.join("inner"), "/result", &["rbind"])
        .sh("cat /result/file; mkdir -p /volume/dir/inner");
    let _racer = Racer::exchange(volume.join("dir"), volume.join("link"));
    let until = Instant::now() + Duration::from_secs(8);
    let mut tries = 0;
    while Instant::now() < until && tries < 120 {
        let outcome = container.run().output();
        expect(&victim, &outcome.stdout);
        // The next try has to make the place anew, whichever name the directory has by now.
        let _ = fs::remove_dir_all(volume.join("dir/new"));
        tries += 1;
    }
}

#[test]
fn a_mount_destination_swapped_midway_never_mounts_on_the_host() {
    race("/volume/dir/inner", |_, seen| assert!(!seen.contains("evil"), "mounted on the host's directory"));
}

#[test]
fn a_mount_destination_swapped_midway_makes_nothing_on_the_host() {
    known_to_fail_on_runc_1_1_5(|| race("/volume/dir/new/deeper", |victim, _| victim.assert_untouched()));
}

#[test]
fn a_swapped_device_directory_makes_nothing_on_the_host() {
    known_to_fail_on_runc_1_1_5(|| {
        let mut container = Container::new(|_| {});
        let victim = Victim::of(&container);
        let rootfs = container.bundle.rootfs();
        fs::create_dir(rootfs.join("dir")).unwrap();
        symlink(&victim.path, rootfs.join("link")).unwrap();
        let devices: Vec<_> = (0..20)
            .map(|n| json!({"path": format!("/dir/made{n}"), "type": "p", "fileMode": 0o600}))
            .collect();
        container.bundle.set("/linux/devices", devices);
        let _racer = Racer::exchange(rootfs.join("dir"), rootfs.join("link"));
        let until = Instant::now() + Duration::from_secs(6);
        while Instant::now() < until {
            container.run().output();
            victim.assert_untouched();
            forget_devices(&rootfs);
        }
    });
}

/// Lets the next try make the devices anew, wherever the directory of the rootfs is by now.
fn forget_devices(rootfs: &Path) {
    for dir in ["dir", "link"].map(|name| rootfs.join(name)) {
        if fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_dir()) {
            for n in 0..20 {
                let _ = fs::remove_file(dir.join(format!("made{n}")));
            }
        }
    }
}
