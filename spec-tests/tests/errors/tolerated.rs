//! What is no error: the container starts without it, and a log in JSON stays empty.

use std::fs;

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::subject::subject;

#[track_caller]
fn tolerated(configure: impl FnOnce(&mut Bundle)) {
    let mut container = Container::new(configure);
    container.bundle.args(["echo", "started"]);
    let log = container.path("log.json");
    let outcome = container.run().global(["--log", &log, "--log-format", "json"]).output();
    assert_eq!(outcome.ok(), "started");
    if subject().is_corten() {
        assert_eq!(fs::read_to_string(&log).unwrap_or_default(), "", "a warning makes callers stumble");
    }
    container.assert_nothing_left();
}

#[test]
fn a_capability_that_does_not_exist() {
    tolerated(|bundle| {
        for set in ["bounding", "effective", "permitted"] {
            bundle.push(&format!("/process/capabilities/{set}"), "CAP_TELEPORT");
        }
    });
}

#[test]
fn a_seccomp_rule_for_a_system_call_that_does_not_exist() {
    tolerated(|bundle| {
        let rules = json!([{"names": ["teleport", "mkdir"], "action": "SCMP_ACT_ERRNO"}]);
        bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    });
}

#[test]
fn a_property_that_does_not_exist() {
    tolerated(|bundle| {
        bundle
            .set("/teleporter", json!({"range": 7}))
            .set("/linux/teleporter", true)
            .set("/process/teleporter", 1);
    });
}

#[test]
fn a_masked_path_that_does_not_exist() {
    tolerated(|bundle| {
        bundle
            .push("/linux/maskedPaths", "/proc/teleporter")
            .push("/linux/readonlyPaths", "/proc/teleporter");
    });
}

#[test]
fn a_newer_version_of_the_spec() {
    tolerated(|bundle| {
        bundle.set("/ociVersion", "1.99.0");
    });
}

#[test]
fn an_ambient_capability_that_is_not_permitted() {
    tolerated(|bundle| {
        bundle.set("/process/capabilities/ambient", json!(["CAP_SYS_TIME"]));
    });
}
