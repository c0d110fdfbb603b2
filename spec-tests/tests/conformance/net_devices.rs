//! `linux.netDevices`: network devices of the caller that the container gets. Each test has a network namespace of its
//! own for the caller, with a pair of virtual devices in it; the machine's own devices are never touched.

use std::process::Command;

use serde_json::{Value, json};
use spec_tests::container::Container;
use spec_tests::runtime::{Call, Outcome};
use spec_tests::{not_in_runc_1_1, only_corten, skip_if};

/// The caller's network namespace, and what it has: `one` with its peer `two`.
const SETUP: &str = "ip link add one type veth peer name two
    ip link set one mtu 1400 address 02:00:00:00:00:01
    ip addr add 10.9.8.7/24 broadcast 10.9.8.255 dev one
    ip addr add 169.254.9.9/32 scope link dev one
    ip -6 addr add fd00:9::7/64 dev one nodad
    ip link set one up";

fn cannot_make_devices() -> bool {
    let made = Command::new("unshare").args(["--net", "sh", "-ec", SETUP]).output();
    !made.is_ok_and(|output| output.status.success())
}

fn with(devices: Value) -> Container {
    Container::new(|bundle| {
        bundle.set("/linux/netDevices", devices);
    })
}

/// In a network namespace of its own.
fn apart(call: Call<'_>) -> Call<'_> {
    apart_after(call, "")
}

fn apart_after<'a>(call: Call<'a>, more: &str) -> Call<'a> {
    let script = format!("{SETUP}\n{more}\nexec \"$@\"");
    call.by(["unshare", "--net", "sh", "-ec", &script, "sh"])
}

#[track_caller]
fn run(container: &mut Container, script: &str) -> Outcome {
    container.bundle.sh(script);
    apart(container.run()).output()
}

#[test]
fn a_device_is_moved_with_its_attributes_and_addresses() {
    not_in_runc_1_1!("moves no network devices");
    skip_if!(cannot_make_devices(), "no virtual network devices");
    let mut container = with(json!({"one": {}}));
    let seen = run(&mut container, "ip link show dev one; ip addr show dev one").ok();
    for wanted in ["mtu 1400", "02:00:00:00:00:01", "10.9.8.7/24 brd 10.9.8.255", "fd00:9::7/64", ",UP"] {
        assert!(seen.contains(wanted), "no {wanted} in {seen}");
    }
    assert!(!seen.contains("169.254.9.9"), "{seen}");
}

#[test]
fn a_device_gets_the_name_that_is_asked_for() {
    not_in_runc_1_1!("moves no network devices");
    skip_if!(cannot_make_devices(), "no virtual network devices");
    let mut container = with(json!({"one": {"name": "inside0"}}));
    let seen = run(&mut container, "cd /sys/class/net; ls").ok();
    assert_eq!(seen.split_whitespace().filter(|name| *name != "lo").collect::<Vec<_>>(), ["inside0"]);
}

#[test]
fn a_name_with_a_number_is_the_first_that_is_free() {
    only_corten!("taking a template for a name");
    skip_if!(cannot_make_devices(), "no virtual network devices");
    let mut container = with(json!({"one": {"name": "net%d"}, "two": {"name": "net%d"}}));
    let seen = run(&mut container, "cd /sys/class/net; ls -d net*").ok();
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["net0", "net1"]);
}

#[test]
fn a_device_goes_into_a_user_namespace_too() {
    not_in_runc_1_1!("moves no network devices");
    skip_if!(cannot_make_devices(), "no virtual network devices");
    let mut container = Container::new(|bundle| {
        bundle.user_namespace(100_000).set("/linux/netDevices", json!({"one": {}}));
    });
    let seen = run(&mut container, "ip addr show dev one").ok();
    assert!(seen.contains("10.9.8.7/24"), "{seen}");
}

#[test]
fn a_device_that_cannot_be_moved_is_an_error_and_stays() {
    not_in_runc_1_1!("moves no network devices");
    skip_if!(cannot_make_devices(), "no virtual network devices");
    let both = json!({"one": {"name": "same"}, "two": {"name": "same"}});
    for (devices, field) in [
        (json!({"nosuch": {}}), "linux.netDevices"),
        (json!({"one": {"name": "lo"}}), "linux.netDevices"),
        (json!({"one": {"name": "a/b"}}), r#"linux.netDevices["one"].name"#),
        (json!({"sixteen-bytes-on": {}}), r#"linux.netDevices["sixteen-bytes-on"]"#),
        (both, "linux.netDevices"),
    ] {
        let container = with(devices.clone());
        // The caller looks at its device afterwards.
        let script = format!("{SETUP}\n\"$@\" && exit 99; ip addr show dev one");
        let outcome = container.create().by(["unshare", "--net", "sh", "-ec", &script, "sh"]).output();
        assert!(outcome.code == 0 && outcome.stdout.contains("10.9.8.7/24"), "{devices}: {outcome}");
        if spec_tests::subject::subject().is_corten() {
            assert!(outcome.stderr.contains(field), "{devices}: {outcome}");
            container.assert_nothing_left();
        }
    }
}

/// A virtual device that was moved would go with the namespace.
#[test]
fn no_device_is_moved_before_all_are_found_and_have_names() {
    only_corten!("looking at all devices first");
    skip_if!(cannot_make_devices(), "no virtual network devices");
    let alternative = "ip link property add dev one altname other";
    for devices in [
        json!({"one": {}, "zz": {}}),
        json!({"one": {}, "two": {"name": "lo"}}),
        json!({"one": {"name": "other"}}),
        json!({"other": {}}),
        json!({"one": {"name": "a"}, "other": {"name": "b"}}),
    ] {
        let container = with(devices.clone());
        let script = format!("{SETUP}\n{alternative}\n\"$@\" && exit 99; ip addr show dev one");
        let outcome = container.create().by(["unshare", "--net", "sh", "-ec", &script, "sh"]).output();
        assert!(outcome.code == 0 && outcome.stdout.contains("10.9.8.7/24"), "{devices}: {outcome}");
        assert!(outcome.stderr.contains("linux.netDevices"), "{devices}: {outcome}");
        container.assert_nothing_left();
    }
}

#[test]
fn a_name_that_is_given_as_it_is_comes_before_one_with_a_number() {
    only_corten!("taking a template for a name");
    skip_if!(cannot_make_devices(), "no virtual network devices");
    let mut container = with(json!({"one": {"name": "net%d"}, "two": {"name": "net0"}}));
    let seen = run(&mut container, "ip addr show dev net1; ip link show dev net0").ok();
    assert!(seen.contains("10.9.8.7/24"), "{seen}");
}

#[test]
fn devices_need_a_network_namespace_to_go_to() {
    not_in_runc_1_1!("moves no network devices");
    let container = Container::new(|bundle| {
        bundle.share_namespace("network").set("/linux/netDevices", json!({"one": {}}));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}
