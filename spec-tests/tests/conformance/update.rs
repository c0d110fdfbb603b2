//! update: new limits for a living container.

use serde_json::json;
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::manager::Manager;
use spec_tests::{not_in_runc_1_1, only_corten, skip_if};

use crate::cgroups::root_device;

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
    container.command(flags).output().ok();
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
    skip_if!(!cgroup::has("cpu") || !cgroup::has("cpuset"), "controllers are missing");
    let container = Container::sleeping(|_| {});
    container
        .command(["update", "--cpu-share", "512", "--cpuset-cpus", "0", "--cpuset-mems", "0", &container.id])
        .output()
        .ok();
    assert_eq!(container.cgroup().read("cpuset.cpus"), "0");
    assert_eq!(container.cgroup().read("cpuset.mems"), "0");
    let seen = container.cgroup().read_either("cpu.shares", "cpu.weight");
    if cgroup::is_v1("cpu") {
        assert_eq!(seen, "512");
    } else {
        not_in_runc_1_1!("makes another weight of it");
        assert_eq!(seen, "59");
    }
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
    container.command(["update", "--resources=-", &container.id]).stdin(limit(50 << 20, 20)).output().ok();
    check("52428800", "20");
    let file = container.file("resources.json", &limit(60 << 20, 25));
    container.command(["update", "--resources", &file, &container.id]).output().ok();
    check("62914560", "25");
    container.command(["update", "-r", "-", &container.id]).stdin(limit(70 << 20, 30)).output().ok();
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
    container.command(["update", "--memory", "83886080", &container.id]).output().ok();
    assert_eq!(container.cgroup().read_either("memory.limit_in_bytes", "memory.max"), "83886080");
    assert_eq!(container.cgroup().read("pids.max"), "20");
}

#[test]
fn update_raises_and_lowers_memory_with_swap() {
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let container = Container::sleeping(|bundle| {
        bundle.set("/linux/resources/memory", json!({"limit": 64 << 20, "swap": 64 << 20}));
    });
    let swap = || container.cgroup().read_either("memory.memsw.limit_in_bytes", "memory.swap.max");
    skip_if!(swap().is_empty(), "no swap accounting");
    for (memory, total) in [(96_u64, 96_u64), (32, 32), (48, 80)] {
        let [memory, swap_alone, total] = [memory, total - memory, total].map(|mib| (mib << 20).to_string());
        container
            .command(["update", "--memory", &memory, "--memory-swap", &total, &container.id])
            .output()
            .ok();
        assert_eq!(container.cgroup().read_either("memory.limit_in_bytes", "memory.max"), memory);
        assert_eq!(swap(), if cgroup::is_v1("memory") { total } else { swap_alone });
    }
}

#[test]
fn update_to_minus_one_takes_limits_away() {
    skip_if!(!cgroup::is_v2("memory") || !cgroup::is_v2("cpu"), "no v2 memory and cpu controllers");
    let container = Container::sleeping(|bundle| {
        bundle
            .set("/linux/resources/memory", json!({"limit": 64 << 20, "swap": 96 << 20}))
            .set("/linux/resources/cpu", json!({"quota": 50_000, "period": 200_000}))
            .set("/linux/resources/pids", json!({"limit": 20}));
    });
    let flags =
        ["update", "--memory", "-1", "--memory-swap", "-1", "--cpu-quota", "-1", "--pids-limit", "-1"];
    container.command(flags.into_iter().chain([container.id.as_str()])).output().ok();
    for (file, expected) in
        [("memory.max", "max"), ("memory.swap.max", "max"), ("cpu.max", "max 200000"), ("pids.max", "max")]
    {
        assert_eq!(container.cgroup().read(file), expected, "{file}");
    }
}

#[test]
fn update_idle() {
    not_in_runc_1_1!("knows no cpu.idle");
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    let container = Container::sleeping(|_| {});
    for idle in ["1", "0"] {
        container.command(["update", "--cpu-idle", idle, &container.id]).output().ok();
        assert_eq!(container.cgroup().read("cpu.idle"), idle);
    }
}

#[test]
fn update_of_the_io_weight_on_v2() {
    skip_if!(!cgroup::is_v2("io"), "no v2 io controller");
    let container = Container::sleeping(|_| {});
    let file =
        ["io.bfq.weight", "io.weight"].into_iter().find(|file| !container.cgroup().read(file).is_empty());
    skip_if!(file.is_none(), "no i/o weight in this kernel");
    container.command(["update", "--blkio-weight", "500", &container.id]).output().ok();
    let expected = if file == Some("io.weight") { "default 4950" } else { "default 500" };
    assert_eq!(container.cgroup().read(file.unwrap()), expected);
}

#[test]
fn update_takes_unified_keys() {
    skip_if!(!cgroup::is_v2("memory") || !cgroup::is_v2("cpu"), "no v2 memory and cpu controllers");
    let container = Container::sleeping(|_| {});
    let unified = json!({"unified": {"memory.high": "33554432", "cpu.weight": "77"}});
    container.command(["update", "--resources=-", &container.id]).stdin(unified.to_string()).output().ok();
    assert_eq!(container.cgroup().read("memory.high"), "33554432");
    assert_eq!(container.cgroup().read("cpu.weight"), "77");
}

#[test]
fn update_takes_huge_pages_and_throttles() {
    only_corten!("update of all resources that config.json has");
    skip_if!(!cgroup::is_v2("io") || !cgroup::is_v2("hugetlb"), "no v2 io and hugetlb controllers");
    let device = root_device();
    skip_if!(device.is_none(), "the root filesystem has no block device");
    let (major, minor) = device.unwrap();
    let container = Container::sleeping(|_| {});
    let throttle = |rate: u64| {
        let resources = json!({
            "hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}],
            "blockIO": {"throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": rate}]},
        });
        container.command(["update", "-r", "-", &container.id]).stdin(resources.to_string()).output().ok();
    };
    throttle(1_048_576);
    assert_eq!(container.cgroup().read("hugetlb.2MB.max"), "4194304");
    let expected = format!("{major}:{minor} rbps=1048576 wbps=max riops=max wiops=max");
    assert_eq!(container.cgroup().read("io.max"), expected);
    throttle(0);
    assert_eq!(container.cgroup().read("io.max"), "");
}

#[test]
fn update_below_what_is_in_use_ends_in_an_oom_kill_on_v2() {
    skip_if!(!cgroup::is_v2("memory"), "no v2 memory controller");
    let container = Container::sleeping(|bundle| {
        bundle.sh("x=aaaaaaaa; while [ ${#x} -lt 16000000 ]; do x=$x$x; done; touch /full; sleep 1000; true");
    });
    spec_tests::runtime::eventually("full", || container.bundle.rootfs().join("full").exists());
    container
        .command(["update", "--memory", "1048576", "--memory-swap", "1048576", &container.id])
        .output()
        .ok();
    container.wait_stopped();
    // systemd takes the cgroup away with its last process.
    if container.runtime.manager == Manager::Systemd {
        return;
    }
    // The kernel may kill the other process too before the memory of the first one is free.
    let events = container.cgroup().read("memory.events");
    let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse::<u32>().ok());
    assert!(kills.is_some_and(|kills| kills > 0), "{events}");
}

#[test]
fn update_keeps_the_devices_of_the_container() {
    let container = Container::sleeping(|bundle| {
        bundle.sh("while cat /dev/null; do sleep 0.001; done; touch /lost");
    });
    for limit in 20..30 {
        container.command(["update", "--pids-limit", &limit.to_string(), &container.id]).output().ok();
    }
    assert!(!container.bundle.rootfs().join("lost").exists());
    assert_eq!(container.status(), "running");
}

#[test]
fn update_of_a_created_container_takes_effect() {
    skip_if!(!cgroup::has("pids"), "no pids controller");
    let container = Container::new(|_| {});
    container.create().output().ok();
    container.command(["update", "--pids-limit", "19", &container.id]).output().ok();
    assert_eq!(container.cgroup().read("pids.max"), "19");
}

#[test]
fn update_refuses_what_it_cannot_read() {
    let container = Container::sleeping(|_| {});
    container.command(["update", "--resources=-", &container.id]).stdin("{\"memory\":").output().fails();
    container.command(["update", "--memory", "much", &container.id]).output().fails();
    container
        .command(["update", "--pids-limit", "5", "nobody"])
        .output()
        .fails_with("container does not exist");
}

#[test]
fn update_with_nothing_to_change_succeeds() {
    let container = Container::sleeping(|_| {});
    container.command(["update", "--resources=-", &container.id]).stdin("{}").output().ok();
}

#[test]
fn update_burst() {
    not_in_runc_1_1!("update has no --cpu-burst");
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    let container = Container::sleeping(|_| {});
    let flags =
        ["update", "--cpu-quota", "50000", "--cpu-period", "100000", "--cpu-burst", "10000", &container.id];
    container.command(flags).output().ok();
    assert_eq!(container.cgroup().read_either("cpu.cfs_burst_us", "cpu.max.burst"), "10000");
}
