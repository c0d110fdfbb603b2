//! Capabilities, seccomp, no_new_privileges, devices and `--privileged`.

use std::fs;

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::role::lacking_capabilities;
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::{Scenario, run, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop, ensure};

pub fn scenarios() -> Vec<Scenario> {
    [capabilities(), seccomp(), devices(), privileged()].into_iter().flatten().collect()
}

fn capabilities() -> Vec<Scenario> {
    vec![
        run(
            "capabilities_by_default",
            &[BUSYBOX, "grep", "Cap", "/proc/self/status"],
            Shows(&["CapBnd:\t00000000a80425fb", "CapAmb:\t0000000000000000"]),
        ),
        run(
            "another_user_keeps_only_the_bounding_set",
            &["--user", "alice", BUSYBOX, "grep", "Cap", "/proc/self/status"],
            Shows(&["CapEff:\t0000000000000000", "CapBnd:\t00000000a80425fb"]),
        ),
        run(
            "cap_add",
            &[
                "--cap-add",
                "NET_ADMIN",
                BUSYBOX,
                "sh",
                "-c",
                "ip link add v0 type veth peer name v1 && ip link | grep -c v0",
            ],
            Says("2\n"),
        ),
        run(
            "without_cap_add",
            &[BUSYBOX, "ip", "link", "add", "v0", "type", "veth"],
            Fails(2, "Operation not permitted"),
        ),
        run(
            "cap_drop",
            &["--cap-drop", "CHOWN", BUSYBOX, "chown", "5", "/etc/passwd"],
            Fails(1, "Operation not permitted"),
        ),
        run(
            "cap_drop_all",
            &["--cap-drop", "ALL", BUSYBOX, "grep", "Cap", "/proc/self/status"],
            Shows(&["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"]),
        ),
        run(
            "cap_drop_all_add_one",
            &["--cap-drop", "ALL", "--cap-add", "CHOWN", BUSYBOX, "grep", "CapEff", "/proc/self/status"],
            Says("CapEff:\t0000000000000001\n"),
        ),
        run(
            "an_unknown_capability_is_refused",
            &["--cap-add", "NOSUCH", BUSYBOX, "true"],
            Fails(125, "NOSUCH"),
        ),
        run(
            "no_new_privileges",
            &["--security-opt", "no-new-privileges", BUSYBOX, "grep", "NoNewPrivs", "/proc/self/status"],
            Says("NoNewPrivs:\t1\n"),
        ),
        run(
            "no_new_privileges_for_another_user",
            &[
                "--security-opt",
                "no-new-privileges",
                "--user",
                "alice",
                BUSYBOX,
                "grep",
                "-E",
                "NoNewPrivs|Seccomp:",
                "/proc/self/status",
            ],
            Says("NoNewPrivs:\t1\nSeccomp:\t2\n"),
        ),
    ]
}

fn seccomp() -> Vec<Scenario> {
    vec![
        run("seccomp_by_default", &[BUSYBOX, "grep", "Seccomp:", "/proc/self/status"], Says("Seccomp:\t2\n")),
        run(
            "seccomp_unconfined",
            &["--security-opt", "seccomp=unconfined", BUSYBOX, "grep", "Seccomp:", "/proc/self/status"],
            Says("Seccomp:\t0\n"),
        ),
        run(
            "default_profile_keeps_unshare_away",
            &[BUSYBOX, "unshare", "-U", "true"],
            Fails(1, "Operation not permitted"),
        ),
        run(
            "unconfined_lets_unshare_through",
            &["--security-opt", "seccomp=unconfined", BUSYBOX, "unshare", "-U", "echo", "in"],
            Says("in\n"),
        ),
        run(
            "default_profile_follows_the_capabilities",
            &[
                "--cap-add",
                "SYS_ADMIN",
                BUSYBOX,
                "sh",
                "-c",
                "mount -t tmpfs t /mnt 2>&1 || mkdir /mnt && mount -t tmpfs t /mnt && grep -c ' /mnt tmpfs' /proc/mounts",
            ],
            Shows(&["1"]),
        ),
        scenario("profile_gives_an_errno", |session| {
            let profile = r#"[{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]"#;
            with_profile(session, profile, "mkdir /x; rmdir /etc/x")?
                .exits(1)?
                .complains("No space left on device")
                .map(drop)
        }),
        scenario("profile_gives_eperm_without_an_errno", |session| {
            let profile = r#"[{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]"#;
            with_profile(session, profile, "mkdir /x")?
                .exits(1)?
                .complains("Operation not permitted")
                .map(drop)
        }),
        scenario("profile_kills", |session| {
            let profile = r#"[{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL"}]"#;
            with_profile(session, profile, "(exec mkdir /x); echo $?")?.ok()?.says("159\n").map(drop)
        }),
        scenario("profile_traps", |session| {
            let profile = r#"[{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_TRAP"}]"#;
            with_profile(session, profile, "(exec mkdir /x); echo $?")?.ok()?.says("159\n").map(drop)
        }),
        scenario("profile_compares_arguments", |session| {
            let profile = r#"[{"names": ["kill"], "action": "SCMP_ACT_ERRNO",
                              "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}]"#;
            let script = "trap : USR2; kill -USR2 $$ && echo sent; kill -USR1 $$ 2>&1";
            with_profile(session, profile, script)?
                .exits(1)?
                .shows("sent\n")?
                .shows("Operation not permitted")
                .map(drop)
        }),
        scenario("profile_masks_arguments", |session| {
            // socket(…, type | SOCK_CLOEXEC, …): the mask picks the type out of the flags.
            let profile = r#"[{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
                              "args": [{"index": 1, "value": 15, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]}]"#;
            with_profile(session, profile, "nslookup x 127.0.0.1 2>&1; nc -w 1 127.0.0.1 9 2>&1; true")?
                .ok()?
                .shows("socket: Permission denied")?
                .shows("Connection refused")
                .map(drop)
        }),
        scenario("profile_that_allows_by_list", |session| {
            let file = session.dir("profile")?.join("list.json");
            let profile = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}]}"#;
            fs::write(&file, profile).map_err(Stop::failed)?;
            // How it ends depends on the call that fails first, in the runtime or in the process.
            let option = format!("seccomp={}", file.display());
            let args = ["--security-opt", &option, BUSYBOX, "true"];
            let said = session.ask(&session.with_runtime(&["run", "--rm"], &args))?;
            ensure(said.code != 0, || "busybox ran with execve alone".into())
        }),
        scenario("an_unknown_seccomp_action_is_refused", |session| {
            with_profile(session, r#"[{"names": ["mkdir"], "action": "SCMP_ACT_NOSUCH"}]"#, "true")?
                .exits(125)
                .map(drop)
        }),
    ]
}

/// Runs a script under a profile that allows everything but what `rules` say.
fn with_profile(session: &Session, rules: &str, script: &str) -> Outcome<spec_tests::engine::process::Said> {
    let file = session.dir("profile")?.join("profile.json");
    let text = format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"], "syscalls": {rules}}}"#
    );
    fs::write(&file, text).map_err(Stop::failed)?;
    session.run(&["--security-opt", &format!("seccomp={}", file.display()), BUSYBOX, "sh", "-c", script])
}

fn devices() -> Vec<Scenario> {
    vec![
        run(
            "device",
            &[
                "--device",
                "/dev/loop-control:/dev/lc",
                BUSYBOX,
                "sh",
                "-c",
                "stat -c '%F %a %u:%g %t,%T' /dev/lc; exec 3<>/dev/lc && echo open",
            ],
            Shows(&["character special file", "a,ed", "open"]),
        ),
        run(
            "device_read_only",
            &["--device", "/dev/null:/dev/n:r", BUSYBOX, "sh", "-c", "cat /dev/n && echo x > /dev/n"],
            Shows(&[""]),
        ),
        run(
            "device_that_may_only_be_read",
            &["--device", "/dev/kmsg:/dev/k:r", BUSYBOX, "sh", "-c", "echo x > /dev/k"],
            Fails(1, "Operation not permitted"),
        ),
        run(
            "a_missing_device_is_refused",
            &["--device", "/dev/nosuch", BUSYBOX, "true"],
            Fails(127, "/dev/nosuch"),
        ),
        run(
            "mknod_of_a_device_that_is_not_allowed",
            &[BUSYBOX, "sh", "-c", "mknod /k c 1 11 && cat /k"],
            Fails(1, "Operation not permitted"),
        ),
        run(
            "device_cgroup_rule",
            &[
                "--device-cgroup-rule",
                "c 10:237 rw",
                BUSYBOX,
                "sh",
                "-c",
                "mknod /lc c 10 237 && exec 3<>/lc && echo open",
            ],
            Says("open\n"),
        ),
        scenario("devices_cgroup_by_default", |session| {
            session.needs_cgroup_v1()?;
            session
                .run(&[BUSYBOX, "sort", "/sys/fs/cgroup/devices/devices.list"])?
                .ok()?
                .shows("c 1:3 rwm")
                .map(drop)
        }),
    ]
}

fn privileged() -> Vec<Scenario> {
    vec![
        run(
            "privileged_has_the_host_s_devices",
            &[
                "--privileged",
                BUSYBOX,
                "sh",
                "-c",
                "ls /dev | grep -vE '^(pts|console)$'; cat /sys/fs/cgroup/devices/devices.list 2>/dev/null; true",
            ],
            Shows(&["kmsg", "zero"]),
        ),
        run(
            "privileged_is_unconfined",
            &["--privileged", BUSYBOX, "grep", "-E", "Cap|Seccomp:|NoNewPrivs", "/proc/self/status"],
            Shows(&["Seccomp:\t0", "NoNewPrivs:\t0"]),
        ),
        run(
            "privileged_can_mount",
            &[
                "--privileged",
                BUSYBOX,
                "sh",
                "-c",
                "mkdir /m && mount -t tmpfs t /m && grep -c ' /m tmpfs' /proc/mounts",
            ],
            Says("1\n"),
        ),
        run(
            "privileged_can_write_proc_and_sys",
            &[
                "--privileged",
                BUSYBOX,
                "sh",
                "-c",
                "echo 77 > /proc/sys/net/core/somaxconn && cat /proc/sys/net/core/somaxconn; cd /sys/fs/cgroup; [ -d pids ] && cd pids; mkdir x && rmdir x && echo cgroup; grep -E ' /(proc|sys) ' /proc/mounts",
            ],
            Shows(&["77\ncgroup\n", "sysfs rw"]),
        ),
        run(
            "privileged_as_another_user",
            &["--privileged", "--user", "alice", BUSYBOX, "grep", "CapEff", "/proc/self/status"],
            Shows(&["CapEff:\t0000000000000000"]),
        ),
        run(
            "systempaths_unconfined",
            &["--security-opt", "systempaths=unconfined", BUSYBOX, "grep", "-c", " /proc", "/proc/mounts"],
            Says("1\n"),
        ),
        scenario("privileged_where_root_lacks_a_capability", |session| {
            if lacking_capabilities().is_empty() {
                return Err(Stop::Skipped("root has every capability here".into()));
            }
            let runtime = session.runtime();
            let look = ["grep", "CapBnd", "/proc/self/status"];
            let run = ["run", "--rm", "--privileged", "--runtime", runtime, BUSYBOX];
            let said = session.docker(&[&run[..], &look].concat())?;
            if said.code == 0 {
                // Newer engines ask for no more than they have.
                let of_host = session.machine().shell(&look.join(" "))?.ok()?;
                return said.says(&of_host.stdout).map(drop);
            }
            said.exits(125)?.complains("operation not permitted").map(drop)
        }),
    ]
}
