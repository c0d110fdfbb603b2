//! Capabilities, seccomp, no-new-privileges, --privileged.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{Podman, run_once, scenario};
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::Scenario;

const CAPABILITIES: &[&str] = &[BUSYBOX, "grep", "Cap", "/proc/self/status"];

pub fn scenarios() -> Vec<Scenario<Podman>> {
    vec![
        run_once(
            "default_capabilities",
            CAPABILITIES,
            Shows(&["CapEff:\t00000000800405fb", "CapAmb:\t0000000000000000"]),
        ),
        run_once(
            "added_and_dropped",
            &[
                "--cap-drop",
                "CHOWN,KILL",
                "--cap-add",
                "NET_ADMIN",
                BUSYBOX,
                "grep",
                "Cap",
                "/proc/self/status",
            ],
            Shows(&["CapEff:\t00000000800415da"]),
        ),
        run_once(
            "all_dropped",
            &["--cap-drop", "ALL", BUSYBOX, "grep", "Cap", "/proc/self/status"],
            Shows(&["CapBnd:\t0000000000000000"]),
        ),
        run_once(
            "a_user_gets_what_was_added",
            &["--user", "alice", "--cap-add", "NET_ADMIN", BUSYBOX, "grep", "Cap", "/proc/self/status"],
            Shows(&["CapEff:\t0000000000001000", "CapAmb:\t0000000000001000"]),
        ),
        run_once(
            "an_unknown_capability_is_refused",
            &["--cap-add", "NOSUCH", BUSYBOX, "true"],
            Fails(125, "NOSUCH"),
        ),
        run_once(
            "no_new_privileges",
            &["--security-opt", "no-new-privileges", BUSYBOX, "grep", "NoNewPrivs", "/proc/self/status"],
            Says("NoNewPrivs:\t1\n"),
        ),
        run_once(
            "seccomp_of_podman_s_own",
            &[BUSYBOX, "sh", "-c", "unshare -U true; mount -t tmpfs none /tmp"],
            Fails(1, "are you root?"),
        ),
        run_once(
            "seccomp_unconfined",
            &["--security-opt", "seccomp=unconfined", BUSYBOX, "grep", "Seccomp:", "/proc/self/status"],
            Says("Seccomp:\t0\n"),
        ),
        scenario("seccomp_of_a_file", |session| {
            let profile = session.dir("seccomp")?.join("no-mkdir.json");
            let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],
                "action":"SCMP_ACT_ERRNO","errnoRet":38}]}"#;
            std::fs::write(&profile, text).map_err(spec_tests::engine::Stop::failed)?;
            let option = format!("seccomp={}", profile.display());
            let said = session.run(&["--security-opt", &option, BUSYBOX, "mkdir", "/x"])?;
            said.exits(1)?.complains("Function not implemented").map(drop)
        }),
        run_once(
            "privileged",
            &[
                "--privileged",
                BUSYBOX,
                "sh",
                "-c",
                "grep -E 'Cap|Seccomp:' /proc/self/status; grep -E ' (/sys|/proc|/sys/fs/cgroup/pids) ' /proc/mounts; [ -e /dev/fuse ] && mount -t tmpfs none /mnt 2>&1 || mkdir /m && mount -t tmpfs none /m && echo mounted",
            ],
            Shows(&["Seccomp:\t0", "mounted"]),
        ),
        run_once(
            "privileged_sees_what_is_masked",
            &["--privileged", BUSYBOX, "sh", "-c", "head -c 9 /proc/timer_list | wc -c"],
            Says("9\n"),
        ),
        run_once(
            "apparmor_unconfined_and_label_disabled",
            &["--security-opt", "apparmor=unconfined", "--security-opt", "label=disable", BUSYBOX, "true"],
            Says(""),
        ),
        run_once(
            "device_rules",
            &[
                "--device-cgroup-rule",
                "c 10:200 rwm",
                BUSYBOX,
                "sh",
                "-c",
                "mknod /dev/t c 10 200 && mknod /dev/m c 1 1; head -c 1 /dev/m",
            ],
            Fails(1, "Operation not permitted"),
        ),
        run_once(
            "device_throttles",
            &["--device-read-bps", "/dev/nosuch:1mb", BUSYBOX, "true"],
            Fails(125, "nosuch"),
        ),
    ]
}
