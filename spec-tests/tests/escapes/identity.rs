//! Class C, part two: a process runs as somebody else than it was told (CVE-2016-3697, CVE-2024-40635,
//! CVE-2026-30892, CVE-2026-46680).

use serde_json::{Value, json};
use spec_tests::container::Container;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;

#[test]
fn a_number_that_is_a_name_in_passwd_stays_a_number() {
    let container = Container::sleeping(|bundle| {
        let line = "1000:x:0:0:root:/:/bin/sh\nroot:x:0:0::/:/bin/sh\n";
        std::fs::write(bundle.rootfs().join("etc/passwd"), line).unwrap();
        std::fs::write(bundle.rootfs().join("etc/group"), "1000:x:0:\n").unwrap();
    });
    assert_eq!(
        container.exec_with(&["--user", "1000:1000"], &["sh", "-c", "id -u; id -g"]).output().ok(),
        "1000\n1000"
    );
}

#[test]
fn a_name_from_passwd_is_not_looked_up() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.exec_with(&["--user", "user"], &["true"]).output().code, 255);
}

#[test]
fn a_user_of_1_is_user_1() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.exec_with(&["--user", "1"], &["id", "-u"]).output().ok(), "1");
    assert_eq!(container.exec_with(&["--user", "1:2"], &["sh", "-c", "id -u; id -g"]).output().ok(), "1\n2");
}

#[test]
fn a_user_that_is_no_number_in_range_is_refused_to_exec() {
    known_to_fail_on_runc_1_1_5(|| {
        let container = Container::sleeping(|_| {});
        for user in [
            "4294967295",
            "4294967296",
            "18446744073709551616",
            "-1",
            ":",
            "1:",
            ":1",
            "1:2:3",
            "1x",
            " 1",
            "+1",
            "0x1",
            "1:4294967295",
            "1:-1",
        ] {
            let outcome = container.exec_with(&["--user", user], &["id", "-u"]).output();
            assert_ne!(outcome.code, 0, "`{user}`: {outcome}");
        }
    });
}

#[test]
fn a_user_that_is_no_number_in_range_is_refused_to_create() {
    for id in [json!(4_294_967_295_u64), json!(4_294_967_296_u64), json!(-1), json!(1.5), json!("0")] {
        for field in ["uid", "gid"] {
            refused(&format!("/process/user/{field}"), &id);
        }
        refused("/process/user/additionalGids", &json!([id]));
    }
}

#[track_caller]
fn refused(field: &str, value: &Value) {
    let container = Container::new(|bundle| {
        bundle.set(field, value.clone());
    });
    let outcome = container.run().output();
    assert_ne!(outcome.code, 0, "{field}: {value}: {outcome}");
    container.assert_nothing_left();
}
