//! The five capability sets.

use serde_json::json;
use spec_tests::container::Container;

const SETS: &str = "grep ^Cap /proc/self/status";

/// The masks by name, as the kernel prints them.
fn masks(status: &str) -> Vec<(String, u64)> {
    let pair = |line: &str| {
        let (name, mask) = line.split_once(":\t").expect("a set");
        (name.to_owned(), u64::from_str_radix(mask, 16).expect("hexadecimal"))
    };
    status.lines().map(pair).collect()
}

#[test]
fn each_set_is_what_config_json_says() {
    // CAP_CHOWN 0, CAP_KILL 5, CAP_SETUID 7, CAP_NET_RAW 13.
    let mut container = Container::new(|bundle| {
        bundle.set(
            "/process/capabilities",
            json!({
                "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_NET_RAW"],
                "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
                "effective": ["CAP_CHOWN", "CAP_KILL"],
                "inheritable": ["CAP_KILL"],
                "ambient": ["CAP_KILL"],
            }),
        );
        bundle.set("/process/user/uid", 1000);
    });
    container.bundle.args(["grep", "^Cap", "/proc/self/status"]);
    let seen = masks(&container.run().output().ok());
    // A user other than root keeps by execve what is ambient.
    let expected =
        [("CapInh", 1 << 5), ("CapPrm", 1 << 5), ("CapEff", 1 << 5), ("CapBnd", 0x20a1), ("CapAmb", 1 << 5)];
    assert_eq!(seen, expected.map(|(name, mask)| (name.to_owned(), mask)));
}

#[test]
fn no_capabilities_means_none() {
    let container = Container::new(|bundle| {
        bundle.set("/process/capabilities", json!({}));
    });
    assert!(masks(&container.sees(SETS)).iter().all(|(_, mask)| *mask == 0));
}

/// No step of a start that comes after the capabilities are set needs one, whichever place the filter has among them.
#[test]
fn a_start_without_any_capability_succeeds_with_and_without_no_new_privileges() {
    for no_new_privileges in [false, true] {
        let container = Container::new(|bundle| {
            bundle
                .set("/process/capabilities", json!({}))
                .set("/process/noNewPrivileges", no_new_privileges)
                .set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}))
                .args(["echo", "started"]);
        });
        assert_eq!(container.run().output().ok(), "started", "noNewPrivileges {no_new_privileges}");
    }
}

#[test]
fn the_bounding_set_bounds_root() {
    let container = Container::new(|_| {});
    let seen = masks(&container.sees(SETS));
    let dockers = 0xa804_25fb;
    assert_eq!(seen[0].1, 0, "inheritable");
    assert_eq!(seen[1].1, dockers, "permitted");
    assert_eq!(seen[2].1, dockers, "effective");
    assert_eq!(seen[3].1, dockers, "bounding");
    assert_eq!(seen[4].1, 0, "ambient");
}

#[test]
fn all_capabilities_are_given_to_who_asks() {
    let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    let own = u64::from_str_radix(own, 16).unwrap();
    let names: Vec<&str> = NAMES
        .iter()
        .copied()
        .take(last as usize + 1)
        .enumerate()
        .filter(|(bit, _)| own & (1 << bit) != 0)
        .map(|(_, name)| name)
        .collect();
    let container = Container::new(|bundle| {
        bundle.capabilities(&names);
    });
    let expected =
        names.iter().fold(0, |mask, name| mask | 1_u64 << NAMES.iter().position(|n| n == name).unwrap());
    assert!(masks(&container.sees(SETS)).iter().all(|(_, mask)| *mask == expected));
}

#[test]
fn an_ambient_capability_out_of_reach_is_left_out() {
    let mut container = Container::new(|bundle| {
        bundle.capabilities(&["CAP_CHOWN", "CAP_KILL"]);
        bundle.set("/process/capabilities/inheritable", json!(["CAP_KILL"]));
    });
    container.bundle.args(["grep", "CapAmb", "/proc/self/status"]);
    let outcome = container.run().output();
    assert_eq!(outcome.ok(), "CapAmb:\t0000000000000020");
    // buildah asks for such capabilities each time, and shows what the runtime says.
    assert_eq!(outcome.stderr, "");
}

#[test]
fn a_missing_capability_is_really_missing() {
    let container = Container::new(|bundle| {
        bundle.capabilities(&[]);
    });
    assert_eq!(container.sees("chown 1 /tmp 2>/dev/null || echo refused"), "refused");
    let container = Container::new(|bundle| {
        bundle.capabilities(&["CAP_CHOWN"]);
    });
    assert_eq!(container.sees("chown 1 /tmp && echo done"), "done");
}

#[test]
fn exec_has_the_capabilities_of_the_container() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.inside(SETS), container.inside("grep ^Cap /proc/1/status"));
}

#[test]
fn a_user_other_than_root_has_no_effective_capabilities() {
    let container = Container::new(|bundle| {
        bundle.set("/process/user/uid", 1000);
    });
    let seen = masks(&container.sees(SETS));
    assert_eq!(seen[2], ("CapEff".to_owned(), 0));
}

/// In the order of their numbers.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

#[test]
fn an_unknown_capability_for_exec_is_left_out_with_a_warning() {
    let container = Container::sleeping(|_| {});
    let outcome =
        container.exec_with(&["--cap", "CAP_TELEPORT", "--cap", "CAP_SYS_TIME"], &["true"]).output();
    outcome.ok();
    assert!(outcome.stderr.contains("CAP_TELEPORT"), "{outcome}");
}

#[test]
fn an_unknown_capability_in_a_process_for_exec_is_left_out_with_a_warning() {
    let container = Container::sleeping(|_| {});
    let process = json!({
        "cwd": "/", "args": ["true"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
        "capabilities": {"bounding": ["CAP_TELEPORT", "CAP_SYS_TIME"]},
    });
    let file = container.file("process.json", &process.to_string());
    let outcome = container.command(["exec", "--process", &file, &container.id]).output();
    outcome.ok();
    assert!(outcome.stderr.contains("CAP_TELEPORT"), "{outcome}");
}
