//! Class C, part one: a process holds more than it was given (CVE-2022-27650, CVE-2022-29162, CVE-2025-27612).

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::root::copy_program;

const INHERITABLE: &str = "grep CapInh /proc/self/status";

#[test]
fn exec_has_no_inheritable_capabilities() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.inside(INHERITABLE), "CapInh:\t0000000000000000");
    let outcome = container.exec_with(&["--cap", "CAP_SYS_ADMIN"], &["sh", "-c", INHERITABLE]).output();
    assert_eq!(outcome.ok(), "CapInh:\t0000000000000000");
}

#[test]
fn exec_by_a_process_file_has_no_inheritable_capabilities_unless_it_lists_them() {
    let container = Container::sleeping(|_| {});
    let capabilities =
        json!({"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"]});
    let process = json!({
        "cwd": "/", "args": ["sh", "-c", INHERITABLE], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
        "capabilities": capabilities,
    });
    let file = container.file("process.json", &process.to_string());
    let outcome = container.command(["exec", "--process", &file, &container.id]).output();
    assert_eq!(outcome.ok(), "CapInh:\t0000000000000000");
}

#[test]
fn exec_as_another_user_has_no_capabilities() {
    let container = Container::sleeping(|_| {});
    let script = "grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2 | sort -u";
    let outcome = container.exec_with(&["--user", "1000"], &["sh", "-c", script]).output();
    assert_eq!(outcome.ok(), "0000000000000000");
}

#[test]
fn the_payload_cannot_regain_what_the_bounding_set_lacks() {
    let container = Container::new(|bundle| {
        std::fs::create_dir(bundle.rootfs().join("setuid")).unwrap();
        for applet in ["id", "grep"] {
            let copy = bundle.rootfs().join("setuid").join(applet);
            copy_program(bundle.rootfs().join("bin/busybox"), &copy).unwrap();
            std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
        }
        bundle.set("/process/user/uid", 1000).set("/process/noNewPrivileges", true);
    });
    let seen = container.sees("/setuid/id -u; /setuid/grep CapEff /proc/self/status");
    assert_eq!(seen, "1000\nCapEff:\t0000000000000000");
}

#[test]
fn seccomp_holds_for_exec_as_well() {
    let container = Container::sleeping(|bundle| {
        let rules = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]);
        bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    });
    assert_eq!(
        container.inside("grep Seccomp: /proc/1/status; grep Seccomp: /proc/self/status"),
        "Seccomp:\t2\nSeccomp:\t2"
    );
    assert_eq!(container.inside("mkdir /tmp/x 2> /dev/null || echo refused"), "refused");
}

#[test]
fn joining_with_fewer_privileges_keeps_no_new_privileges() {
    let container = Container::sleeping(|bundle| {
        bundle.set("/process/noNewPrivileges", true);
    });
    assert_eq!(container.inside("grep NoNewPrivs /proc/self/status"), "NoNewPrivs:\t1");
}
