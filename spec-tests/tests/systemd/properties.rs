//! What systemd is told of a container, and what holds once systemd writes anew.

use serde_json::{Value, json};
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::manager::systemctl;
use spec_tests::subject::subject;
use spec_tests::{skip_if, view};

use crate::{need_systemd, show, sleeping};

/// A running container with these resources beside the device rules.
fn limited(resources: Value) -> Container {
    sleeping(|bundle| {
        for (name, value) in resources.as_object().unwrap() {
            bundle.set(&format!("/linux/resources/{name}"), value.clone());
        }
    })
}

/// A property by its name of v2, or of v1.
fn either<'a>(v1: &'a str, v2: &'a str) -> &'a str {
    if view::is_unified() { v2 } else { v1 }
}

#[test]
fn the_scope_is_delegated_and_says_what_it_is() {
    need_systemd!();
    let container = sleeping(|_| {});
    assert_eq!(show(&container, "Delegate"), "yes");
    assert_eq!(show(&container, "DefaultDependencies"), "no");
    assert_eq!(show(&container, "Transient"), "yes");
    skip_if!(subject().is_crun(), "crun's description is the same for all");
    let description = show(&container, "Description");
    assert!(description.contains(&container.id), "{description}");
}

#[test]
fn the_scope_goes_before_its_slice_when_the_machine_is_shut_down() {
    need_systemd!();
    let container = sleeping(|_| {});
    assert!(show(&container, "After").contains("spec.slice"));
    assert!(
        show(&container, "Requires").contains("spec.slice")
            || show(&container, "Wants").contains("spec.slice")
    );
}

#[test]
fn a_memory_limit() {
    need_systemd!();
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let container = limited(json!({"memory": {"limit": 64 << 20}}));
    assert_eq!(show(&container, either("MemoryLimit", "MemoryMax")), (64 << 20).to_string());
    let seen = container.cgroup().read_either("memory.limit_in_bytes", "memory.max");
    assert_eq!(seen, (64 << 20).to_string());
}

#[test]
fn a_limit_of_processes() {
    need_systemd!();
    skip_if!(!cgroup::has("pids"), "no pids controller");
    let container = limited(json!({"pids": {"limit": 77}}));
    assert_eq!(show(&container, "TasksMax"), "77");
    assert_eq!(container.cgroup().read("pids.max"), "77");
}

#[test]
fn a_cpu_quota_is_written_exactly_and_told_in_steps_of_ten_milliseconds() {
    need_systemd!();
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    let container = limited(json!({"cpu": {"quota": 50_500, "period": 100_000}}));
    assert_eq!(show(&container, "CPUQuotaPerSecUSec"), "510ms");
    skip_if!(subject().is_crun(), "crun leaves the file to systemd");
    if cgroup::is_v1("cpu") {
        assert_eq!(container.cgroup().read("cpu.cfs_quota_us"), "50500");
    } else {
        assert_eq!(container.cgroup().read("cpu.max"), "50500 100000");
    }
}

#[test]
fn cpu_shares() {
    need_systemd!();
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    let container = limited(json!({"cpu": {"shares": 2048}}));
    if cgroup::is_v1("cpu") {
        assert_eq!(show(&container, "CPUShares"), "2048");
        assert_eq!(container.cgroup().read("cpu.shares"), "2048");
    } else {
        assert_eq!(show(&container, "CPUWeight"), container.cgroup().read("cpu.weight"));
    }
}

#[test]
fn an_update_goes_through_the_unit_and_outlives_a_reload() {
    need_systemd!();
    skip_if!(!cgroup::has("memory") || !cgroup::has("pids"), "no memory or pids controller");
    let container = limited(json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 77}}));
    container.command(["update", "--memory", "33554432", "--pids-limit", "55", &container.id]).output().ok();
    for _ in 0..2 {
        assert_eq!(show(&container, either("MemoryLimit", "MemoryMax")), (32 << 20).to_string());
        assert_eq!(show(&container, "TasksMax"), "55");
        assert_eq!(container.cgroup().read("pids.max"), "55");
        let seen = container.cgroup().read_either("memory.limit_in_bytes", "memory.max");
        assert_eq!(seen, (32 << 20).to_string());
        systemctl(["daemon-reload"]);
    }
}

/// Tells, by exec, which of two devices the container may read: /dev/zero, which is allowed, and one that isn't.
fn readable(container: &Container) -> String {
    container.inside("for d in zero forbidden; do dd if=/dev/$d bs=1 count=1 of=/dev/null 2>&1 | grep -q permitted && echo no $d || echo yes $d; done")
}

#[test]
fn device_rules_hold_before_and_after_systemd_writes_anew() {
    need_systemd!();
    let container = sleeping(|bundle| {
        let cap = json!(["CAP_MKNOD", "CAP_DAC_OVERRIDE"]);
        for set in ["bounding", "effective", "permitted"] {
            bundle.set(&format!("/process/capabilities/{set}"), cap.clone());
        }
        bundle.push(
            "/linux/resources/devices",
            json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "m"}),
        );
        // /dev/kmsg may be made, but not read.
        bundle.set("/process/args", json!(["sh", "-c", "mknod /dev/forbidden c 1 11; sleep 1000"]));
    });
    spec_tests::runtime::eventually("the device is made", || {
        container.exec(&["test", "-e", "/dev/forbidden"]).output().code == 0
    });
    assert_eq!(readable(&container), "yes zero\nno forbidden");
    systemctl(["daemon-reload"]);
    assert_eq!(readable(&container), "yes zero\nno forbidden");
    // systemd attaches its own program with this.
    systemctl(["set-property", "--runtime", &spec_tests::manager::unit(&container.id), "TasksMax=500"]);
    assert_eq!(readable(&container), "yes zero\nno forbidden");
    // Corten's program on v2 is not systemd's, and stays: devices that a hook allows later survive a reload too.
    if subject().is_corten() && !spec_tests::cgroup::is_v1("devices") {
        assert_eq!(show(&container, "DevicePolicy"), "auto");
        return;
    }
    assert_eq!(show(&container, "DevicePolicy"), "strict");
    let allowed = show(&container, "DeviceAllow");
    assert!(allowed.contains("1:5") || allowed.contains("/dev/zero"), "{allowed}");
}

/// Whether the container may open a device: where no driver has it, the kernel says so, but only after the rules.
fn may_open(container: &Container, path: &str) -> bool {
    let text = container.inside(&format!("(: < {path}) 2>&1 || true"));
    !text.contains("not permitted")
}

#[test]
fn rules_for_whole_major_numbers_hold_after_a_reload() {
    need_systemd!();
    skip_if!(subject().is_crun(), "crun leaves the devices to systemd");
    skip_if!(!subject().is_corten(), "runc loses numbers that no driver has, or has beside others");
    // Many drivers share 10, but its number is theirs alone; 42 has none; 8 is one of several of its driver's.
    let allowed = [("c", 10, 229), ("c", 42, 7), ("b", 8, 3)];
    let forbidden = [("c", 43, 7), ("b", 65, 3)];
    let container = sleeping(|bundle| {
        for (kind, major, _) in allowed {
            let rule = json!({"allow": true, "type": kind, "major": major, "access": "rwm"});
            bundle.push("/linux/resources/devices", rule);
        }
        bundle.capabilities(&["CAP_MKNOD", "CAP_DAC_OVERRIDE"]);
    });
    let path = |(kind, major, minor): (&str, u32, u32)| format!("/dev/{kind}-{major}-{minor}");
    for device @ (kind, major, minor) in allowed.into_iter().chain(forbidden) {
        container.inside(&format!("mknod {} {kind} {major} {minor}", path(device)));
    }
    let seen = || {
        let opened = |device| may_open(&container, &path(device));
        (allowed.map(opened), forbidden.map(opened))
    };
    assert_eq!(seen(), ([true; 3], [false; 2]));
    systemctl(["daemon-reload"]);
    assert_eq!(seen(), ([true; 3], [false; 2]));
}

#[test]
fn annotations_become_properties() {
    need_systemd!();
    let container = sleeping(|bundle| {
        bundle.set(
            "/annotations",
            json!({
                "org.systemd.property.TimeoutStopUSec": "uint64 123000000",
                "org.systemd.property.CollectMode": "'inactive-or-failed'",
            }),
        );
    });
    assert_eq!(show(&container, "TimeoutStopUSec"), "2min 3s");
    assert_eq!(show(&container, "CollectMode"), "inactive-or-failed");
}

#[test]
fn a_property_in_seconds_is_told_in_microseconds() {
    need_systemd!();
    skip_if!(subject().is_crun(), "crun knows no property in seconds");
    let container = sleeping(|bundle| {
        bundle.set("/annotations", json!({"org.systemd.property.TimeoutStopSec": "123"}));
    });
    assert_eq!(show(&container, "TimeoutStopUSec"), "2min 3s");
}

#[test]
fn a_property_that_is_none_is_refused_and_leaves_nothing() {
    need_systemd!();
    for (name, value) in [
        ("NoSuchProperty", "true"),
        ("TimeoutStopUSec", "no value"),
        ("TimeoutStopUSec", "'a string'"),
        ("CollectMode", "'no-such-mode'"),
    ] {
        let container = Container::in_a_scope(|bundle| {
            bundle.set("/annotations", json!({format!("org.systemd.property.{name}"): value}));
        });
        container.create().output().fails();
        container.assert_nothing_left();
    }
}
