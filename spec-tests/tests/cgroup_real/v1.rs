//! The cgroups of v1, and a unified hierarchy beside them.

use std::process::Stdio;

use corten::container::Readings;
use corten::container::readings::V1;
use corten::internals::apply::cgroup::{OomEvent, create};

use super::{
    Process, Test, assert_frozen_cgroup_is_refused, assert_opens_only_allowed_devices,
    assert_used_cgroup_is_refused, in_namespace, limit_all, readable, run_in, shell, skip, sleeper,
};

#[test]
fn container_lives_in_every_hierarchy_and_leaves_none_behind() {
    let Some(test) = Test::on_v1("v1-life", r#"{"memory":{"limit":67108864},"pids":{"limit":20}}"#) else {
        return;
    };
    let created = create(&test.plan).unwrap();
    let mut sleeper = sleeper();
    test.enter(sleeper.id());
    limit_all(&created, &test.plan);

    assert_eq!(test.text("memory", "memory.limit_in_bytes"), "67108864");
    assert_eq!(test.text("pids", "pids.max"), "20");
    let joined = std::fs::read_to_string(format!("/proc/{}/cgroup", sleeper.id())).unwrap();
    for (controller, path) in test.plan.paths().iter().filter(|(name, _)| !name.is_empty()) {
        let inner = path.to_str().unwrap().splitn(6, '/').last().unwrap();
        assert!(joined.contains(&format!("{controller}:/{inner}\n")), "{controller}: {joined}");
    }

    let cgroup = test.cgroup();
    assert_eq!(cgroup.pids().unwrap(), [sleeper.id()]);
    assert!(!cgroup.is_frozen().unwrap());
    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    // A frozen container dies, too.
    cgroup.kill_all().unwrap();
    assert!(!sleeper.wait().success());
    cgroup.remove().unwrap();
    assert!(!cgroup.exists());
    assert!(cgroup.pids().unwrap().is_empty());
    cgroup.remove().unwrap();
}

#[test]
fn devices_list_is_exactly_the_policy() {
    let docker = r#"{"devices":[{"allow":false,"access":"rwm"},
        {"allow":true,"type":"c","major":5,"minor":1,"access":"rwm"},
        {"allow":false,"type":"c","major":10,"minor":229,"access":"rwm"}]}"#;
    let Some(test) = Test::on_v1("v1-devices", docker) else { return };
    limit_all(&create(&test.plan).unwrap(), &test.plan);
    let listed = test.text("devices", "devices.list");
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    let mut wanted: Vec<String> = test.plan.devices.v1_lines().into_iter().map(|line| line.text).collect();
    wanted.retain(|line| line != "a");
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    assert!(listed.contains(&"c 5:1 rwm"));
    assert_opens_only_allowed_devices(&test);
}

#[test]
fn privileged_container_may_use_every_device() {
    let Some(test) = Test::on_v1("v1-privileged", r#"{"devices":[{"allow":true,"access":"rwm"}]}"#) else {
        return;
    };
    limit_all(&create(&test.plan).unwrap(), &test.plan);
    assert_eq!(test.text("devices", "devices.list"), "a *:* rwm");
}

#[test]
fn memory_and_swap_move_together_up_and_down() {
    let Some(test) = Test::on_v1("v1-memory", r#"{"memory":{"limit":67108864,"swap":134217728}}"#) else {
        return;
    };
    if !test.dir("memory").parent().unwrap().parent().unwrap().join("memory.memsw.limit_in_bytes").exists() {
        return skip("the kernel doesn't account swap");
    }
    limit_all(&create(&test.plan).unwrap(), &test.plan);
    for (limit, swap) in
        [(268435456, 536870912i64), (33554432, 33554432), (67108864, -1), (16777216, 33554432)]
    {
        test.update(&format!(r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#)).unwrap();
        assert_eq!(test.text("memory", "memory.limit_in_bytes"), limit.to_string());
        if swap > 0 {
            assert_eq!(test.text("memory", "memory.memsw.limit_in_bytes"), swap.to_string());
        }
    }
    test.update(r#"{"memory":{"limit":-1}}"#).unwrap();
    assert!(test.text("memory", "memory.memsw.limit_in_bytes").len() > 15);
}

#[test]
fn period_below_the_quota_s_share_is_taken_after_the_quota() {
    let Some(test) = Test::on_v1("v1-cpu", r#"{"cpu":{"shares":512,"quota":5000,"period":10000}}"#) else {
        return;
    };
    limit_all(&create(&test.plan).unwrap(), &test.plan);
    test.update(r#"{"cpu":{"quota":2000,"period":5000,"burst":1000}}"#).unwrap();
    assert_eq!(test.text("cpu", "cpu.cfs_quota_us"), "2000");
    assert_eq!(test.text("cpu", "cpu.cfs_period_us"), "5000");
    assert_eq!(test.text("cpu", "cpu.shares"), "512");
    let err = test.update(r#"{"cpu":{"period":1}}"#).unwrap_err().to_string();
    assert_eq!(
        err,
        "set the period of cpu time to 1 (linux.resources.cpu.period): write(cpu.cfs_period_us): \
         invalid argument (EINVAL)"
    );
}

#[test]
fn update_that_fails_changes_nothing() {
    let json = r#"{"memory":{"limit":67108864},"cpu":{"shares":512},"pids":{"limit":20}}"#;
    let Some(test) = Test::on_v1("v1-rollback", json) else { return };
    limit_all(&create(&test.plan).unwrap(), &test.plan);
    let change = r#"{"memory":{"limit":33554432},"cpu":{"shares":1024,"period":1},"pids":{"limit":5}}"#;
    assert!(test.update(change).is_err());
    assert_eq!(test.text("memory", "memory.limit_in_bytes"), "67108864");
    assert_eq!(test.text("cpu", "cpu.shares"), "512");
    assert_eq!(test.text("pids", "pids.max"), "20");
}

#[test]
fn hybrid_process_that_left_the_unified_hierarchy_is_killed_too() {
    let Some(test) = Test::on_v1("v1-left", "{}") else { return };
    let Some(unified) = test.plan.dirs.iter().find(|dir| dir.is_unified()) else {
        return skip("there is no unified hierarchy beside those of v1");
    };
    create(&test.plan).unwrap();
    let (mut stays, mut leaves) = (sleeper(), sleeper());
    test.enter(stays.id());
    test.enter(leaves.id());
    std::fs::write(unified.mountpoint.join("cgroup.procs"), leaves.id().to_string()).unwrap();
    test.cgroup().kill_all().unwrap();
    assert!(!stays.wait().success() && !leaves.wait().success());
}

#[test]
fn cpuset_is_inherited_unless_it_is_given() {
    let Some(test) = Test::on_v1("v1-cpuset", r#"{"cpu":{"cpus":"0"}}"#) else { return };
    create(&test.plan).unwrap();
    assert_eq!(test.text("cpuset", "cpuset.cpus"), "0");
    let top = std::fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.mems").unwrap();
    assert_eq!(test.text("cpuset", "cpuset.mems"), top.trim());
    assert!(!readings(&test).cpuset.unwrap().mems.is_empty());
}

#[test]
fn cgroup_with_processes_is_refused() {
    let Some(test) = Test::on_v1("v1-used", "{}") else { return };
    assert_used_cgroup_is_refused(&test);
}

#[test]
fn frozen_cgroup_is_refused() {
    let Some(test) = Test::on_v1("v1-frozen", "{}") else { return };
    assert_frozen_cgroup_is_refused(&test);
}

#[test]
fn undo_removes_what_was_made_and_nothing_else() {
    let Some(test) = Test::on_v1("v1-undo", "{}") else { return };
    let existing = test.dir("memory").parent().unwrap().to_owned();
    std::fs::create_dir(&existing).unwrap();
    create(&test.plan).unwrap().undo().unwrap();
    assert!(existing.exists());
    let parent = |controller| test.dir(controller).parent().unwrap().to_owned();
    assert!(!parent("devices").exists() && !parent("cpuset").exists() && !test.dir("memory").exists());
}

#[test]
fn readings_are_filled_in() {
    let Some(test) = Test::on_v1("v1-readings", r#"{"memory":{"limit":67108864},"pids":{"limit":20}}"#)
    else {
        return;
    };
    let created = create(&test.plan).unwrap();
    limit_all(&created, &test.plan);
    run_in(&test, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    let readings = readings(&test);
    let cpuacct = readings.cpuacct.unwrap();
    assert!(cpuacct.usage_nsec > 0 && !cpuacct.usage_percpu_nsec.is_empty(), "{cpuacct:?}");
    let memory = readings.memory.unwrap();
    assert_eq!(memory.usage.limit, 67108864);
    assert!(memory.stat.contains_key("total_rss"), "{memory:?}");
    assert_eq!(readings.pids.unwrap().max, 20);
}

#[test]
fn out_of_memory_is_told_and_counted() {
    let Some(test) = Test::on_v1("v1-oom", r#"{"memory":{"limit":8388608}}"#) else { return };
    let created = create(&test.plan).unwrap();
    limit_all(&created, &test.plan);
    let cgroup = test.cgroup();
    let mut watch = cgroup.watch_oom().unwrap();
    assert_eq!(watch.read().unwrap(), None);
    assert!(!run_in(&test, "x=aaaaaaaa; while :; do x=$x$x; done").success());
    assert!(readable(&watch));
    assert_eq!(watch.read().unwrap(), Some(OomEvent::Oom));
    assert!(cgroup.oom_kills().unwrap() > 0);
    cgroup.remove().unwrap();
    assert!(readable(&watch));
    assert_eq!(watch.read().unwrap(), Some(OomEvent::Gone));
}

#[test]
fn memory_below_what_is_in_use_names_field_call_and_use() {
    let Some(test) = Test::on_v1("v1-busy", r#"{"memory":{"limit":67108864}}"#) else { return };
    let created = create(&test.plan).unwrap();
    limit_all(&created, &test.plan);
    let mut holder = shell("x=aaaaaaaa; while [ ${#x} -lt 4000000 ]; do x=$x$x; done; echo; read x");
    holder.stdout(Stdio::piped());
    let mut holder = Process(holder.spawn().unwrap());
    test.enter(holder.id());
    holder.go_on();
    holder.wait_for_line();
    // It can swap or drop pages, but it can't shrink to nothing.
    let err = test.update(r#"{"memory":{"limit":4096}}"#).unwrap_err();
    let text = err.to_string();
    assert_eq!(
        text,
        "limit memory to 4096 (linux.resources.memory.limit): write(memory.limit_in_bytes): \
         device or resource busy (EBUSY)"
    );
    assert!(err.hint().unwrap().starts_with("the cgroup uses "));
}

#[test]
fn read_only_cgroups_name_the_path() {
    if !std::fs::exists("/sys/fs/cgroup/devices").unwrap() {
        return skip("this machine has another version of cgroups");
    }
    in_namespace(
        "v1::read_only_cgroups_name_the_path",
        "mount -o remount,bind,ro /sys/fs/cgroup/devices",
        || {
            let Some(test) = Test::on_v1("v1-read-only", "{}") else { return };
            let err = create(&test.plan).map(drop).unwrap_err().to_string();
            let path = test.dir("devices");
            let parent = path.parent().unwrap().display();
            let wanted =
                format!("create cgroup {}: mkdir({parent}): read-only file system (EROFS)", path.display());
            assert_eq!(err, wanted);
            assert!(!test.dir("cpu").parent().unwrap().exists());
        },
    );
}

#[test]
fn plain_v1_without_the_unified_hierarchy_is_enough() {
    in_namespace(
        "v1::plain_v1_without_the_unified_hierarchy_is_enough",
        "umount /sys/fs/cgroup/unified 2>/dev/null || true",
        || {
            let Some(test) = Test::on_v1("v1-plain", "{}") else { return };
            assert!(test.plan.dirs.iter().all(|dir| !dir.is_unified()), "{:?}", test.plan.dirs);
            limit_all(&create(&test.plan).unwrap(), &test.plan);
        },
    );
}

fn readings(test: &Test) -> V1 {
    match test.cgroup().readings().unwrap() {
        Readings::V1(readings) => *readings,
        Readings::V2(readings) => panic!("of v2: {readings:?}"),
    }
}
