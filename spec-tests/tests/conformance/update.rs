//! update: new limits for a living container.

use serde_json::json;
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::skip_if;

#[test]
fn update_sets_limits_by_flags() {
    skip_if!(
        !cgroup::has("memory") || !cgroup::has("cpu") || !cgroup::has("pids"),
        "controllers are missing"
    );
    let container = Container::sleeping(|_| {});
    let flags = [
        "update",
        "--memory",
        "67108864",
        "--memory-reservation",
        "33554432",
        "--cpu-quota",
        "30000",
        "--cpu-period",
        "60000",
        "--pids-limit",
        "31",
        &container.id,
    ];
    container.command(flags).run().ok();
    let cgroup = container.cgroup();
    assert_eq!(cgroup.read_either("memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(cgroup.read_either("memory.soft_limit_in_bytes", "memory.low"), "33554432");
    assert_eq!(cgroup.read("pids.max"), "31");
    if cgroup::is_v1("cpu") {
        assert_eq!(
            (cgroup.read("cpu.cfs_quota_us"), cgroup.read("cpu.cfs_period_us")),
            ("30000".into(), "60000".into())
        );
    } else {
        assert_eq!(cgroup.read("cpu.max"), "30000 60000");
    }
}

#[test]
fn update_sets_shares_and_cpuset() {
    skip_if!(!cgroup::is_v1("cpu") || !cgroup::is_v1("cpuset"), "no v1 hierarchies");
    let container = Container::sleeping(|_| {});
    container
        .command(["update", "--cpu-share", "512", "--cpuset-cpus", "0", "--cpuset-mems", "0", &container.id])
        .run()
        .ok();
    assert_eq!(container.cgroup().read("cpu.shares"), "512");
    assert_eq!(container.cgroup().read("cpuset.cpus"), "0");
}

#[test]
fn update_takes_resources_from_standard_input_and_from_a_file() {
    skip_if!(!cgroup::has("memory") || !cgroup::has("pids"), "controllers are missing");
    let container = Container::sleeping(|_| {});
    let limit =
        |memory: u64, pids: u64| json!({"memory": {"limit": memory}, "pids": {"limit": pids}}).to_string();
    let check = |memory: &str, pids: &str| {
        assert_eq!(container.cgroup().read_either("memory.limit_in_bytes", "memory.max"), memory);
        assert_eq!(container.cgroup().read("pids.max"), pids);
    };
    container.command(["update", "--resources=-", &container.id]).stdin(limit(50 << 20, 20)).run().ok();
    check("52428800", "20");
    let file = container.file("resources.json", &limit(60 << 20, 25));
    container.command(["update", "--resources", &file, &container.id]).run().ok();
    check("62914560", "25");
    container.command(["update", "-r", "-", &container.id]).stdin(limit(70 << 20, 30)).run().ok();
    check("73400320", "30");
}

#[test]
fn update_leaves_alone_what_it_does_not_name() {
    skip_if!(!cgroup::has("memory") || !cgroup::has("pids"), "controllers are missing");
    let container = Container::sleeping(|bundle| {
        bundle
            .set("/linux/resources/memory", json!({"limit": 64 << 20}))
            .set("/linux/resources/pids", json!({"limit": 20}));
    });
    container.command(["update", "--memory", "83886080", &container.id]).run().ok();
    assert_eq!(container.cgroup().read_either("memory.limit_in_bytes", "memory.max"), "83886080");
    assert_eq!(container.cgroup().read("pids.max"), "20");
}

#[test]
fn update_raises_and_lowers_memory_with_swap() {
    skip_if!(!cgroup::is_v1("memory"), "no v1 memory hierarchy");
    let container = Container::sleeping(|bundle| {
        bundle.set("/linux/resources/memory", json!({"limit": 64 << 20, "swap": 64 << 20}));
    });
    skip_if!(container.cgroup().read("memory.memsw.limit_in_bytes").is_empty(), "no swap accounting");
    for mib in [96_u64, 32] {
        let bytes = (mib << 20).to_string();
        container.command(["update", "--memory", &bytes, "--memory-swap", &bytes, &container.id]).run().ok();
        assert_eq!(container.cgroup().read("memory.limit_in_bytes"), bytes);
        assert_eq!(container.cgroup().read("memory.memsw.limit_in_bytes"), bytes);
    }
}

#[test]
fn update_keeps_the_devices_of_the_container() {
    let container = Container::sleeping(|bundle| {
        bundle.sh("while cat /dev/null; do sleep 0.001; done; touch /lost");
    });
    for limit in 20..30 {
        container.command(["update", "--pids-limit", &limit.to_string(), &container.id]).run().ok();
    }
    assert!(!container.bundle.rootfs().join("lost").exists());
    assert_eq!(container.status(), "running");
}

#[test]
fn update_of_a_created_container_takes_effect() {
    skip_if!(!cgroup::has("pids"), "no pids controller");
    let container = Container::new(|_| {});
    container.create().run().ok();
    container.command(["update", "--pids-limit", "19", &container.id]).run().ok();
    assert_eq!(container.cgroup().read("pids.max"), "19");
}

#[test]
fn update_refuses_what_it_cannot_read() {
    let container = Container::sleeping(|_| {});
    container.command(["update", "--resources=-", &container.id]).stdin("{\"memory\":").run().fails();
    container.command(["update", "--memory", "much", &container.id]).run().fails();
    container.command(["update", "--pids-limit", "5", "nobody"]).run().fails_with("container does not exist");
}

#[test]
fn update_with_nothing_to_change_succeeds() {
    let container = Container::sleeping(|_| {});
    container.command(["update", "--resources=-", &container.id]).stdin("{}").run().ok();
}

#[test]
fn update_burst() {
    spec_tests::not_in_runc_1_1!("update has no --cpu-burst");
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    let container = Container::sleeping(|_| {});
    let flags =
        ["update", "--cpu-quota", "50000", "--cpu-period", "100000", "--cpu-burst", "10000", &container.id];
    container.command(flags).run().ok();
    assert_eq!(container.cgroup().read_either("cpu.cfs_burst_us", "cpu.max.burst"), "10000");
}
