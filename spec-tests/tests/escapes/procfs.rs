//! Class P: procfs, sysfs and devices that are not what they seem (CVE-2019-16884, CVE-2025-31133, CVE-2025-52565,
//! CVE-2025-52881, CVE-2023-25809).

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::console::Terminal;
use spec_tests::container::Container;
use spec_tests::race::Racer;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;
use spec_tests::view::View;

const DEV_MOUNTS: [&str; 4] = ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];

/// Gives the container a directory of the attacker's for its /dev.
fn attackers_dev(bundle: &mut Bundle) -> std::path::PathBuf {
    for destination in DEV_MOUNTS {
        bundle.unmount(destination);
    }
    let dev = bundle.dir.join("attackers-dev");
    fs::create_dir(&dev).unwrap();
    bundle.mount("bind", &dev, "/dev", &["bind"]);
    dev
}

#[test]
fn something_else_than_procfs_on_proc_is_refused() {
    for (kind, source, options) in [("tmpfs", "tmpfs", &[][..]), ("bind", "/tmp", &["rbind"])] {
        let container = Container::new(|bundle| {
            bundle.unmount("/proc").mount(kind, source, "/proc", options);
        });
        container.create().output().fails();
        container.assert_nothing_left();
    }
}

/// Ways to name a place below /proc; the rootfs has a link to /proc/self.
const BELOW_PROC: [&str; 7] = [
    "/proc/self",
    "/proc/self/attr",
    "/proc/sys",
    "/proc/1/attr/exec",
    "/proc/thread-self",
    "/link/attr",
    "/var/../proc/./self/../sys",
];

fn covering(kind: &str, source: &str, destination: &str, options: &[&str]) {
    let container = Container::new(|bundle| {
        symlink("/proc/self", bundle.rootfs().join("link")).unwrap();
        bundle.mount(kind, source, destination, options);
    });
    let outcome = container.create().output();
    assert_ne!(outcome.code, 0, "{kind} on {destination}: {outcome}");
    container.assert_nothing_left();
}

#[test]
fn a_bind_that_covers_parts_of_proc_is_refused() {
    for destination in BELOW_PROC {
        covering("bind", "/var", destination, &["bind", "ro"]);
    }
}

#[test]
fn a_tmpfs_that_covers_parts_of_proc_is_refused() {
    known_to_fail_on_runc_1_1_5(|| {
        for destination in BELOW_PROC {
            covering("tmpfs", "tmpfs", destination, &[]);
        }
    });
}

#[test]
fn a_dev_null_that_is_a_symlink_masks_nothing_with_what_it_leads_to() {
    known_to_fail_on_runc_1_1_5(|| {
        let container = Container::new(|bundle| {
            fs::write(bundle.rootfs().join("decoy"), "decoy").unwrap();
            fs::write(bundle.rootfs().join("masked"), "masked").unwrap();
            symlink("/decoy", attackers_dev(bundle).join("null")).unwrap();
            bundle.set("/linux/maskedPaths", json!(["/masked"])).args(["cat", "/masked"]);
        });
        let outcome = container.run().output();
        assert!(
            !outcome.stdout.contains("decoy"),
            "the link's target was bound over a masked path: {outcome}"
        );
        assert!(!outcome.stdout.contains("masked"), "{outcome}");
    });
}

#[test]
fn a_dev_null_that_is_a_file_masks_nothing() {
    known_to_fail_on_runc_1_1_5(|| {
        let container = Container::new(|bundle| {
            fs::write(bundle.rootfs().join("masked"), "masked").unwrap();
            fs::write(attackers_dev(bundle).join("null"), "decoy").unwrap();
            bundle.set("/linux/maskedPaths", json!(["/masked"])).args(["cat", "/masked"]);
        });
        let outcome = container.run().output();
        assert_eq!(outcome.stdout, "", "{outcome}");
    });
}

#[test]
fn a_dev_null_swapped_midway_masks_nothing_with_what_it_leads_to() {
    known_to_fail_on_runc_1_1_5(|| {
        let mut dev = None;
        let mut container = Container::new(|bundle| {
            fs::write(bundle.rootfs().join("decoy"), "decoy").unwrap();
            let path = attackers_dev(bundle);
            rustix::fs::mknodat(
                rustix::fs::CWD,
                path.join("null"),
                rustix::fs::FileType::CharacterDevice,
                rustix::fs::Mode::from_raw_mode(0o666),
                rustix::fs::makedev(1, 3),
            )
            .expect("mknod");
            symlink("/decoy", path.join("other")).unwrap();
            dev = Some(path);
        });
        let dev = dev.expect("configured");
        for number in 0..20 {
            fs::write(container.bundle.rootfs().join(format!("masked{number}")), "masked").unwrap();
            container.bundle.push("/linux/maskedPaths", format!("/masked{number}"));
        }
        container.bundle.sh("cat /masked*");
        let _racer = Racer::exchange(dev.join("null"), dev.join("other"));
        for _ in 0..60 {
            let outcome = container.run().output();
            assert!(!outcome.stdout.contains("decoy") && !outcome.stdout.contains("masked"), "{outcome}");
        }
    });
}

#[test]
fn a_dev_console_that_is_a_symlink_is_not_followed() {
    known_to_fail_on_runc_1_1_5(|| {
        let container = Container::new(|bundle| {
            fs::write(bundle.rootfs().join("victim"), "untouched").unwrap();
            bundle.unmount("/dev").unmount("/dev/pts").unmount("/dev/shm").unmount("/dev/mqueue");
            symlink("/victim", bundle.rootfs().join("dev/console")).unwrap();
            fs::create_dir(bundle.rootfs().join("dev/pts")).unwrap();
            bundle.mount("devpts", "devpts", "/dev/pts", &["newinstance", "ptmxmode=0666"]);
            bundle.set("/process/terminal", true).sh("stat -c %F /victim; echo end");
        });
        let (mut terminal, slave) = Terminal::open();
        let outcome = container.run().terminal(slave).spawn();
        let seen = terminal.read_until_closed_or("end");
        outcome.wait();
        assert!(!seen.contains("character special"), "the terminal was bound over the link's target: {seen}");
        let victim = fs::read_to_string(container.bundle.rootfs().join("victim")).unwrap();
        assert_eq!(victim, "untouched", "the link's target was truncated");
    });
}

#[test]
fn a_terminal_multiplexer_of_the_attacker_is_refused() {
    let container = Container::new(|bundle| {
        let dev = attackers_dev(bundle);
        fs::create_dir(dev.join("pts")).unwrap();
        for file in ["ptmx", "pts/ptmx", "pts/0"] {
            fs::write(dev.join(file), "decoy").unwrap();
        }
        bundle.set("/process/terminal", true).sh("cat /dev/console");
    });
    let (mut terminal, slave) = Terminal::open();
    let outcome = container.run().terminal(slave).spawn();
    let seen = terminal.read_until_closed_or("decoy");
    assert_ne!(outcome.wait().code, 0);
    assert!(!seen.contains("decoy"), "{seen}");
}

/// A container without a procfs of its own, whose image brings files in its place.
fn without_procfs(configure: impl FnOnce(&mut Bundle)) -> Container {
    Container::new(|bundle| {
        bundle.unmount("/proc").capabilities(&["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]);
        bundle.set("/linux/maskedPaths", json!([])).set("/linux/readonlyPaths", json!([]));
        fs::create_dir_all(bundle.rootfs().join("proc/sys/net/ipv4")).unwrap();
        fs::create_dir_all(bundle.rootfs().join("proc/self")).unwrap();
        configure(bundle);
    })
}

#[test]
fn a_sysctl_is_not_written_to_a_file_of_the_image() {
    known_to_fail_on_runc_1_1_5(|| {
        let container = without_procfs(|bundle| {
            fs::write(bundle.rootfs().join("proc/sys/net/ipv4/ip_forward"), "decoy").unwrap();
            bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
            bundle.sh("mkdir /p; mount -t proc proc /p && cat /p/sys/net/ipv4/ip_forward");
        });
        let outcome = container.run().output();
        assert!(outcome.code != 0 || outcome.stdout == "1\n", "the sysctl went elsewhere: {outcome}");
        let decoy =
            fs::read_to_string(container.bundle.rootfs().join("proc/sys/net/ipv4/ip_forward")).unwrap();
        assert_eq!(decoy, "decoy");
    });
}

#[test]
fn a_sysctl_is_not_written_through_a_symlink_of_the_image() {
    known_to_fail_on_runc_1_1_5(|| {
        let container = without_procfs(|bundle| {
            fs::write(bundle.rootfs().join("victim"), "untouched").unwrap();
            symlink("/victim", bundle.rootfs().join("proc/sys/net/ipv4/ip_forward")).unwrap();
            bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
        });
        container.run().output();
        assert_eq!(fs::read_to_string(container.bundle.rootfs().join("victim")).unwrap(), "untouched");
    });
}

#[test]
fn the_oom_score_is_not_written_to_a_file_of_the_image() {
    let container = without_procfs(|bundle| {
        fs::write(bundle.rootfs().join("proc/self/oom_score_adj"), "decoy").unwrap();
        bundle
            .set("/process/oomScoreAdj", 321)
            .sh("mkdir /p; mount -t proc proc /p && cat /p/self/oom_score_adj");
    });
    let outcome = container.run().output();
    assert!(outcome.code != 0 || outcome.stdout == "321\n", "the score went elsewhere: {outcome}");
    let decoy = fs::read_to_string(container.bundle.rootfs().join("proc/self/oom_score_adj")).unwrap();
    assert_eq!(decoy, "decoy");
}

#[test]
fn a_sysctl_beside_a_volume_over_its_directory_is_the_real_one() {
    // The volume may not cover /proc/sys at all; if a runtime allows it, the value must still be real.
    let container = Container::new(|bundle| {
        let fake = bundle.dir.join("fake");
        fs::create_dir_all(fake.join("ipv4")).unwrap();
        fs::write(fake.join("ipv4/ip_forward"), "decoy").unwrap();
        bundle.mount("bind", &fake, "/proc/sys/net", &["bind"]).capabilities(&["CAP_SYS_ADMIN"]);
        bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
        bundle.sh("mkdir /p; mount -t proc proc /p && cat /p/sys/net/ipv4/ip_forward");
    });
    let outcome = container.run().output();
    assert!(outcome.code != 0 || outcome.stdout == "1\n", "{outcome}");
}

#[test]
fn cgroups_are_not_writable_without_a_cgroup_namespace() {
    for view in View::all() {
        let container = Container::in_view(*view, |_| {});
        let script = "find /sys/fs/cgroup -name cgroup.procs | while read f; do
                          mkdir ${f%/*}/made 2> /dev/null && echo made; (echo 1 > $f) 2> /dev/null && echo wrote
                      done; true";
        assert_eq!(container.sees(script), "", "{view:?}");
    }
}

#[test]
fn a_release_agent_cannot_be_set() {
    let container = Container::new(|_| {});
    let script = "find /sys/fs/cgroup -name release_agent | while read f; do (echo /x > $f) 2>/dev/null && echo wrote; done; true";
    assert_eq!(container.sees(script), "");
}

#[test]
fn what_is_dangerous_in_proc_and_sys_is_not_writable() {
    let container = Container::new(|_| {});
    // Opened for writing, never written to: the machine must survive a runtime that fails here.
    let script = "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger \
                      /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /proc/sys/vm/panic_on_oom; do
                      test -e $f && (: >> $f) 2> /dev/null && echo $f
                  done; true";
    assert_eq!(container.sees(script), "");
}
