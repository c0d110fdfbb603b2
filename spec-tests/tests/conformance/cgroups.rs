//! cgroups: where the container is put, and its resources as the kernel then shows them.

use serde_json::{Value, json};
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::manager::Manager;
use spec_tests::view::View;
use spec_tests::{not_in_runc_1_1, only_corten, skip_if};

/// Creates a container with these resources beside the device rules.
fn with_resources(resources: Value) -> Container {
    Container::sleeping(|bundle| {
        for (name, value) in resources.as_object().unwrap() {
            bundle.set(&format!("/linux/resources/{name}"), value.clone());
        }
    })
}

#[test]
fn the_container_is_in_the_cgroup_it_names_in_every_hierarchy() {
    let container = Container::sleeping(|_| {});
    let seen = std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    let path = container.cgroup().path;
    for line in seen.lines().filter(|line| !line.starts_with("0::")) {
        assert!(line.ends_with(&path), "{line}");
    }
}

#[test]
fn the_container_is_in_its_cgroup_on_v2() {
    let container = Container::in_view(View::V2, |bundle| {
        bundle.args(["sleep", "1000"]);
    });
    container.create().output().ok();
    let seen = std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    assert!(seen.lines().any(|line| line == format!("0::{}", container.cgroup().path)), "{seen}");
}

#[test]
fn a_container_that_names_no_cgroup_gets_one_of_its_own() {
    let container = Container::sleeping(|bundle| {
        bundle.config["linux"].as_object_mut().unwrap().remove("cgroupsPath");
    });
    let seen = std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    assert!(seen.lines().any(|line| line.contains(&container.id)), "{seen}");
}

#[test]
fn a_relative_cgroup_path_is_taken_below_one_of_the_runtimes_choice() {
    let mut container = Container::new(|_| {});
    skip_if!(container.runtime.manager == Manager::Systemd, "systemd's paths have three parts");
    container.bundle.set("/linux/cgroupsPath", container.id.clone());
    assert!(container.sees("cat /proc/self/cgroup").contains(&container.id));
}

#[test]
fn the_cgroup_of_a_container_is_removed_and_that_above_it_is_left_alone() {
    let container = Container::sleeping(|_| {});
    assert!(!container.cgroup().existing().is_empty());
    container.command(["delete", "--force", &container.id]).output().ok();
    assert_eq!(container.cgroup().existing(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn sub_cgroups_that_the_container_made_are_removed_with_it() {
    let container = Container::sleeping(|_| {});
    for dir in container.cgroup().existing() {
        std::fs::create_dir_all(dir.join("below/deeper")).unwrap();
    }
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

#[test]
fn a_process_in_a_sub_cgroup_ends_with_the_container() {
    let container = Container::sleeping(|bundle| {
        bundle.share_namespace("pid").sh("sleep 1000 & sleep 1000 & wait");
    });
    spec_tests::runtime::eventually("three processes", || {
        spec_tests::leftovers::processes(&container.id).len() == 3
    });
    let pids = spec_tests::leftovers::processes(&container.id);
    for dir in container.cgroup().existing() {
        std::fs::create_dir(dir.join("below")).unwrap();
        // Where this hierarchy has not got them, the kernel refuses nothing: they are the test's own processes.
        let _ = std::fs::write(dir.join("below/cgroup.procs"), pids.last().unwrap().to_string());
    }
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

#[test]
fn memory_limits() {
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let mib = 1 << 20;
    let container = with_resources(json!({"memory": {"limit": 64 * mib, "reservation": 32 * mib}}));
    let cgroup = container.cgroup();
    assert_eq!(cgroup.read_either("memory.limit_in_bytes", "memory.max"), (64 * mib).to_string());
    assert_eq!(cgroup.read_either("memory.soft_limit_in_bytes", "memory.low"), (32 * mib).to_string());
}

#[test]
fn memory_and_swap() {
    let swap_file = |container: &Container| {
        container.cgroup().read_either("memory.memsw.limit_in_bytes", "memory.swap.max")
    };
    skip_if!(
        !cgroup::has("memory") || swap_file(&with_resources(json!({}))).is_empty(),
        "no swap accounting"
    );
    let mib = 1 << 20;
    let container = with_resources(json!({"memory": {"limit": 64 * mib, "swap": 96 * mib}}));
    let expected = if cgroup::is_v1("memory") { 96 * mib } else { 32 * mib };
    assert_eq!(swap_file(&container), expected.to_string());
}

#[test]
fn swap_of_minus_one_is_no_limit_on_v2() {
    skip_if!(!cgroup::is_v2("memory"), "no v2 memory controller");
    let container = with_resources(json!({"memory": {"limit": 64 << 20, "swap": -1}}));
    assert_eq!(container.cgroup().read("memory.max"), (64 << 20).to_string());
    assert_eq!(container.cgroup().read("memory.swap.max"), "max");
}

#[test]
fn memory_of_minus_one_is_no_limit() {
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let container = with_resources(json!({"memory": {"limit": -1, "swap": -1}}));
    let seen = container.cgroup().read_either("memory.limit_in_bytes", "memory.max");
    assert!(seen == "max" || seen.parse::<u64>().unwrap() > 1 << 60, "{seen}");
}

#[test]
fn memory_swappiness_and_oom_killer_on_v1() {
    skip_if!(!cgroup::is_v1("memory"), "no v1 memory hierarchy");
    let container =
        with_resources(json!({"memory": {"limit": 1 << 26, "swappiness": 30, "disableOOMKiller": true}}));
    assert_eq!(container.cgroup().read("memory.swappiness"), "30");
    assert!(container.cgroup().read("memory.oom_control").starts_with("oom_kill_disable 1"));
}

#[test]
fn kernel_memory_is_passed_over() {
    skip_if!(!cgroup::is_v1("memory"), "no v1 memory hierarchy");
    let container =
        with_resources(json!({"memory": {"limit": 1 << 26, "kernel": 1 << 24, "kernelTCP": 1 << 23}}));
    assert_eq!(container.cgroup().read("memory.limit_in_bytes"), (1 << 26).to_string());
}

#[test]
fn a_payload_over_its_memory_limit_is_killed() {
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let mut container = Container::new(|bundle| {
        bundle.set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
    });
    container.bundle.args(["tail", "-c", "64m", "/dev/zero"]);
    assert_eq!(container.run().output().code, 137);
}

#[test]
fn the_cgroup_counts_a_payload_that_the_oom_killer_has_ended() {
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
        bundle.sh("tail -c 64m /dev/zero; echo $? > /code.new; mv /code.new /code; sleep 1000");
    });
    container.create().output().ok();
    container.start().ok();
    let code = container.bundle.rootfs().join("code");
    spec_tests::runtime::eventually("killed", || code.exists());
    assert_eq!(std::fs::read_to_string(code).unwrap(), "137\n");
    let events = container.cgroup().read_either("memory.oom_control", "memory.events");
    assert!(events.lines().any(|line| line == "oom_kill 1"), "{events}");
    assert_eq!(container.status(), "running");
}

#[test]
fn cpu_shares_and_quota() {
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    let container = with_resources(json!({"cpu": {"shares": 1024, "quota": 50_000, "period": 100_000}}));
    let cgroup = container.cgroup();
    if cgroup::is_v1("cpu") {
        assert_eq!(cgroup.read("cpu.shares"), "1024");
        assert_eq!(cgroup.read("cpu.cfs_quota_us"), "50000");
        assert_eq!(cgroup.read("cpu.cfs_period_us"), "100000");
    } else {
        assert_eq!(cgroup.read("cpu.max"), "50000 100000");
    }
}

#[test]
fn cpu_shares_become_a_weight_on_v2() {
    skip_if!(!cgroup::is_v2("cpu"), "no v2 cpu controller");
    not_in_runc_1_1!("uses the older formula");
    for (shares, weight) in [(2, "1"), (1024, "100"), (262_144, "10000")] {
        let container = with_resources(json!({"cpu": {"shares": shares}}));
        assert_eq!(container.cgroup().read("cpu.weight"), weight, "{shares}");
    }
}

#[test]
fn cpu_quota_alone_and_period_alone() {
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    for (cpu, v1_file, on_v1, on_v2) in [
        (json!({"quota": 20_000}), "cpu.cfs_quota_us", "20000", "20000 100000"),
        (json!({"period": 50_000}), "cpu.cfs_period_us", "50000", "max 50000"),
        (json!({"quota": -1}), "cpu.cfs_quota_us", "-1", "max 100000"),
    ] {
        let container = with_resources(json!({"cpu": cpu}));
        let expected = if cgroup::is_v1("cpu") { on_v1 } else { on_v2 };
        assert_eq!(container.cgroup().read_either(v1_file, "cpu.max"), expected, "{cpu}");
    }
}

#[test]
fn cpu_burst() {
    not_in_runc_1_1!("knows no cpu.burst");
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    let container = with_resources(json!({"cpu": {"quota": 50_000, "period": 100_000, "burst": 20_000}}));
    let seen = container.cgroup().read_either("cpu.cfs_burst_us", "cpu.max.burst");
    assert_eq!(seen, "20000");
}

#[test]
fn cpu_idle() {
    not_in_runc_1_1!("knows no cpu.idle");
    skip_if!(!cgroup::has("cpu"), "no cpu controller");
    let container = with_resources(json!({"cpu": {"idle": 1}}));
    assert_eq!(container.cgroup().read("cpu.idle"), "1");
}

#[test]
fn cpuset() {
    skip_if!(!cgroup::has("cpuset"), "no cpuset controller");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/cpu", json!({"cpus": "0", "mems": "0"}));
    });
    assert_eq!(
        container.sees("grep -E 'Cpus_allowed_list|Mems_allowed_list' /proc/self/status | cut -f2"),
        "0\n0"
    );
}

#[test]
fn cpuset_files() {
    skip_if!(!cgroup::has("cpuset"), "no cpuset controller");
    let container = with_resources(json!({"cpu": {"cpus": "0", "mems": "0"}}));
    assert_eq!(container.cgroup().read("cpuset.cpus"), "0");
    assert_eq!(container.cgroup().read("cpuset.mems"), "0");
}

#[test]
fn pids_limit() {
    skip_if!(!cgroup::has("pids"), "no pids controller");
    assert_eq!(with_resources(json!({"pids": {"limit": 17}})).cgroup().read("pids.max"), "17");
    if Manager::of_environment() == Manager::Systemd {
        // Every unit has a limit by default.
        return;
    }
    assert_eq!(with_resources(json!({"pids": {"limit": -1}})).cgroup().read("pids.max"), "max");
    assert_eq!(with_resources(json!({})).cgroup().read("pids.max"), "max");
}

#[test]
fn a_pids_limit_of_0_is_no_limit() {
    skip_if!(!cgroup::has("pids"), "no pids controller");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/pids", json!({"limit": 0})).sh("sleep 0 & wait");
    });
    container.run().output().ok();
}

#[test]
fn a_payload_at_its_pids_limit_cannot_fork() {
    skip_if!(!cgroup::has("pids"), "no pids controller");
    let container = Container::new(|bundle| {
        bundle
            .set("/linux/resources/pids", json!({"limit": 5}))
            .sh("for i in 1 2 3 4 5 6; do sleep 10 & done; wait");
    });
    let outcome = container.run().output();
    assert!(outcome.stderr.contains("can't fork"), "{outcome}");
}

#[test]
fn blkio_weight_and_throttles_on_v1() {
    skip_if!(!cgroup::is_v1("blkio"), "no v1 blkio hierarchy");
    let device = root_device();
    skip_if!(device.is_none(), "the root filesystem has no block device");
    let (major, minor) = device.unwrap();
    let container = with_resources(json!({"blockIO": {
        "throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 1_048_576}],
        "throttleWriteIOPSDevice": [{"major": major, "minor": minor, "rate": 500}],
    }}));
    let cgroup = container.cgroup();
    assert_eq!(cgroup.read("blkio.throttle.read_bps_device"), format!("{major}:{minor} 1048576"));
    assert_eq!(cgroup.read("blkio.throttle.write_iops_device"), format!("{major}:{minor} 500"));
}

#[test]
fn blkio_weight_on_v1() {
    skip_if!(!cgroup::is_v1("blkio"), "no v1 blkio hierarchy");
    let file = ["blkio.bfq.weight", "blkio.weight"]
        .into_iter()
        .find(|file| !with_resources(json!({})).cgroup().read(file).is_empty());
    skip_if!(file.is_none(), "no blkio weight in this kernel");
    let container = with_resources(json!({"blockIO": {"weight": 300}}));
    let seen = container.cgroup().read(file.unwrap());
    assert!(seen == "300" || seen == "default 300", "{seen}");
}

#[test]
fn io_throttles_on_v2() {
    skip_if!(!cgroup::is_v2("io"), "no v2 io controller");
    let device = root_device();
    skip_if!(device.is_none(), "the root filesystem has no block device");
    let (major, minor) = device.unwrap();
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let container = with_resources(json!({"blockIO": {
        "throttleReadBpsDevice": rate(1_048_576),
        "throttleWriteBpsDevice": rate(2_097_152),
        "throttleReadIOPSDevice": rate(400),
        "throttleWriteIOPSDevice": rate(500),
    }}));
    let expected = format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=400 wiops=500");
    assert_eq!(container.cgroup().read("io.max"), expected);
}

#[test]
fn io_weight_on_v2() {
    skip_if!(!cgroup::is_v2("io"), "no v2 io controller");
    let has = |file: &str| !with_resources(json!({})).cgroup().read(file).is_empty();
    let bfq = has("io.bfq.weight");
    skip_if!(!bfq && !has("io.weight"), "no i/o weight in this kernel");
    // BFQ has the spec's scale; `io.weight` goes to 10000.
    let (file, expected) = if bfq { ("io.bfq.weight", "default 300") } else { ("io.weight", "default 2930") };
    let container = with_resources(json!({"blockIO": {"weight": 300}}));
    assert_eq!(container.cgroup().read(file), expected);
}

#[test]
fn hugepage_limits() {
    skip_if!(!cgroup::has("hugetlb"), "no hugetlb controller");
    let container = Container::in_view(View::V2, |bundle| {
        bundle.set("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": 4_194_304}]));
        bundle.args(["sleep", "1000"]);
    });
    container.create().output().ok();
    assert_eq!(container.cgroup().read_either("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"), "4194304");
}

#[test]
fn unified_keys_are_written_on_v2() {
    let container = Container::in_view(View::V2, |bundle| {
        bundle
            .set("/linux/resources/unified", json!({"cgroup.max.descendants": "7"}))
            .args(["sleep", "1000"]);
    });
    container.create().output().ok();
    let seen = std::fs::read_to_string(container.cgroup().unified().join("cgroup.max.descendants")).unwrap();
    assert_eq!(seen.trim(), "7");
}

#[test]
fn unified_keys_of_controllers_win_over_the_other_fields() {
    let controllers = ["memory", "cpu", "pids", "cpuset"];
    skip_if!(!controllers.into_iter().all(cgroup::is_v2), "v2 controllers are missing");
    let container = with_resources(json!({
        "memory": {"limit": 64 << 20},
        "pids": {"limit": 50},
        "unified": {
            "memory.max": "33554432", "memory.high": "16777216", "memory.oom.group": "1", "pids.max": "40",
            "cpu.weight": "77", "cpu.max": "30000 60000", "cpuset.cpus": "0",
        },
    }));
    for (file, expected) in [
        ("memory.max", "33554432"),
        ("memory.high", "16777216"),
        ("memory.oom.group", "1"),
        ("pids.max", "40"),
        ("cpu.weight", "77"),
        ("cpu.max", "30000 60000"),
        ("cpuset.cpus", "0"),
    ] {
        assert_eq!(container.cgroup().read(file), expected, "{file}");
    }
}

#[test]
fn a_unified_key_that_the_kernel_does_not_know_is_an_error() {
    skip_if!(!cgroup::is_v2("memory"), "no v2 memory controller");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/unified", json!({"memory.nonsense": "1"}));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn unified_keys_are_refused_on_v1() {
    skip_if!(!cgroup::is_v1("pids"), "no v1 hierarchies");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/unified", json!({"memory.max": "1000000"}));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_unified_key_with_a_slash_is_refused() {
    let container = Container::in_view(View::V2, |bundle| {
        bundle.set("/linux/resources/unified", json!({"../cgroup.max.depth": "7"}));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_limit_whose_controller_is_missing_is_an_error() {
    skip_if!(cgroup::is_v2("memory"), "v2 has a memory controller here");
    let container = Container::in_view(View::V2, |bundle| {
        bundle.set("/linux/resources/memory", json!({"limit": 64 << 20}));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_limit_whose_controller_the_cgroup_above_cannot_give_is_an_error() {
    let limits = [
        ("memory", json!({"memory": {"limit": 64 << 20}})),
        ("io", json!({"blockIO": {"weight": 300}})),
        ("hugetlb", json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]})),
    ];
    skip_if!(!limits.iter().all(|(controller, _)| cgroup::is_v2(controller)), "v2 controllers are missing");
    skip_if!(Manager::of_environment() == Manager::Systemd, "systemd gives its slices all controllers");
    for (controller, resources) in limits {
        let container = Container::new(|bundle| {
            let (name, value) = resources.as_object().unwrap().iter().next().unwrap();
            bundle.set(&format!("/linux/resources/{name}"), value.clone());
        });
        // A cgroup with processes of its own has no controllers for the cgroups below it.
        let above = container.cgroup().unified().parent().unwrap().to_owned();
        std::fs::create_dir(&above).unwrap();
        let mut inhabitant = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        std::fs::write(above.join("cgroup.procs"), inhabitant.id().to_string()).unwrap();
        let outcome = container.create().output();
        inhabitant.kill().unwrap();
        inhabitant.wait().unwrap();
        let said = outcome.fails();
        // runc says that the cgroup is in an invalid state.
        assert!(!spec_tests::subject::subject().is_corten() || said.contains(controller), "{outcome}");
        container.assert_nothing_left();
        std::fs::remove_dir(&above).unwrap();
    }
}

#[test]
fn limits_bind_before_the_payload_runs() {
    skip_if!(!cgroup::has("pids"), "no pids controller");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/pids", json!({"limit": 23}));
    });
    let dir = if cgroup::is_v1("pids") { "pids" } else { "$(cut -d : -f 3 /proc/self/cgroup)" };
    assert_eq!(container.sees(&format!("cat /sys/fs/cgroup/{dir}/pids.max")), "23");
}

#[test]
fn a_frozen_cgroup_is_not_entered() {
    skip_if!(!cgroup::is_v1("freezer"), "no v1 freezer");
    let container = Container::new(|_| {});
    let dir = container.cgroup().dir("freezer").unwrap();
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("freezer.state"), "FROZEN").unwrap();
    container.create().output().fails();
    std::fs::write(dir.join("freezer.state"), "THAWED").unwrap();
    container.cgroup().remove();
}

/// The numbers of the disk that holds the root filesystem; throttles take whole disks.
pub fn root_device() -> Option<(u64, u64)> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mountinfo.lines().find(|line| line.split(' ').nth(4) == Some("/"))?;
    let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
    let whole = std::fs::exists(format!("/sys/dev/block/{major}:{minor}/queue")).ok()?;
    whole.then_some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn without_a_cgroup_the_container_stays_in_its_callers() {
    only_corten!("--cgroup-manager");
    skip_if!(Manager::of_environment() == Manager::Systemd, "--systemd-cgroup says the opposite");
    for view in View::all() {
        let disabled = ["--cgroup-manager", "disabled"];
        let container = Container::in_view(*view, |bundle| {
            bundle.args(["sleep", "1000"]);
            bundle.set("/linux/resources", json!({"devices": [{"allow": false, "access": "rwm"}]}));
        });
        container.create().global(disabled).output().ok();
        container.start().ok();
        assert_eq!(container.cgroup().existing(), Vec::<std::path::PathBuf>::new());
        let of = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert_eq!(of(&container.pid().to_string()), of("self"));
        container.exec(&["true"]).output().ok();
        container.command(["pause", &container.id]).output().fails_with("no cgroup with a freezer");
        container.kill("KILL").ok();

        let limited = Container::in_view(*view, |bundle| {
            bundle.set("/linux/resources", json!({"memory": {"limit": 64 << 20}}));
        });
        limited.create().global(disabled).output().fails_with("linux.resources.memory.limit");
    }
}

/// What a container in a user namespace, whose process runs as `user`, sees of its cgroup's owners.
fn owners_of_a_cgroup(user: u32, options: &[&str]) -> String {
    let container = Container::in_view(View::V2, |bundle| {
        bundle
            .user_namespace(100_000)
            .namespace("cgroup", None)
            .unmount("/sys/fs/cgroup")
            .mount("cgroup", "cgroup", "/sys/fs/cgroup", options)
            .set("/process/user/uid", user);
    });
    container.sees(
        "cd /sys/fs/cgroup; stat -c %u . cgroup.procs cgroup.subtree_control cgroup.max.depth | tr '\n' ' '
         mkdir x 2> /dev/null && echo 0 > x/cgroup.procs && rmdir x 2> /dev/null; ls -d x 2> /dev/null || true",
    )
}

#[test]
fn a_cgroup_that_can_be_written_is_the_container_s_user_s_on_v2() {
    // runc gives cgroups of systemd's alone, crun each cgroup, and to the container's root.
    only_corten!("the process's user as owner of a cgroup that can be written");
    assert_eq!(owners_of_a_cgroup(0, &[]), "0 0 0 65534 x");
    assert_eq!(owners_of_a_cgroup(5, &["rw"]), "5 5 5 65534 x");
    assert_eq!(owners_of_a_cgroup(0, &["ro"]), "65534 65534 65534 65534");
}
