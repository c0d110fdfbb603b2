//! The cgroup layer against the kernel's own cgroups: v1 as the machine has it, and v2 as a mount namespace of
//! one's own can show it. Each test leaves no cgroup behind, and says why where it can't run.

use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use corten::internals::apply::cgroup::{Cgroup, CreatedCgroup, OomEvent, create};
use corten::internals::plan::cgroup::host::{CgroupHost, Mode};
use corten::internals::plan::cgroup::{Driver, Manager, Plan, decide, decide_update};
use corten::internals::probe;
use nix::poll::{PollFd, PollFlags, poll};
use oci_spec::runtime::LinuxResources;

// ---- v1

#[test]
fn v1_container_lives_in_every_hierarchy_and_leaves_none_behind() {
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
fn v1_devices_list_is_exactly_the_policy() {
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
fn v1_privileged_container_may_use_every_device() {
    let Some(test) = Test::on_v1("v1-privileged", r#"{"devices":[{"allow":true,"access":"rwm"}]}"#) else {
        return;
    };
    limit_all(&create(&test.plan).unwrap(), &test.plan);
    assert_eq!(test.text("devices", "devices.list"), "a *:* rwm");
}

#[test]
fn v1_memory_and_swap_move_together_up_and_down() {
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
fn v1_period_below_the_quota_s_share_is_taken_after_the_quota() {
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
fn v1_update_that_fails_changes_nothing() {
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
fn v1_cpuset_is_inherited_unless_it_is_given() {
    let Some(test) = Test::on_v1("v1-cpuset", r#"{"cpu":{"cpus":"0"}}"#) else { return };
    create(&test.plan).unwrap();
    assert_eq!(test.text("cpuset", "cpuset.cpus"), "0");
    let top = std::fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.mems").unwrap();
    assert_eq!(test.text("cpuset", "cpuset.mems"), top.trim());
    assert!(!test.cgroup().stats().unwrap().cpuset.mems.is_empty());
}

#[test]
fn v1_cgroup_with_processes_is_refused() {
    let Some(test) = Test::on_v1("v1-used", "{}") else { return };
    assert_used_cgroup_is_refused(&test);
}

#[test]
fn v1_frozen_cgroup_is_refused() {
    let Some(test) = Test::on_v1("v1-frozen", "{}") else { return };
    assert_frozen_cgroup_is_refused(&test);
}

#[test]
fn v1_undo_removes_what_was_made_and_nothing_else() {
    let Some(test) = Test::on_v1("v1-undo", "{}") else { return };
    let existing = test.dir("memory").parent().unwrap().to_owned();
    std::fs::create_dir(&existing).unwrap();
    create(&test.plan).unwrap().undo().unwrap();
    assert!(existing.exists());
    let parent = |controller| test.dir(controller).parent().unwrap().to_owned();
    assert!(!parent("devices").exists() && !parent("cpuset").exists() && !test.dir("memory").exists());
}

#[test]
fn v1_statistics_are_filled_in() {
    let Some(test) = Test::on_v1("v1-stats", r#"{"memory":{"limit":67108864},"pids":{"limit":20}}"#) else {
        return;
    };
    let created = create(&test.plan).unwrap();
    limit_all(&created, &test.plan);
    run_in(&test, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    let stats = test.cgroup().stats().unwrap();
    assert!(stats.cpu.usage.total > 0 && !stats.cpu.usage.percpu.is_empty(), "{:?}", stats.cpu);
    assert_eq!(stats.memory.usage.limit, 67108864);
    assert!(stats.memory.raw.contains_key("total_rss"), "{:?}", stats.memory.raw);
    assert_eq!(stats.pids.limit, 20);
}

#[test]
fn v1_out_of_memory_is_told_and_counted() {
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
fn v1_memory_below_what_is_in_use_names_field_call_and_use() {
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
fn v1_read_only_cgroups_name_the_path() {
    if !std::fs::exists("/sys/fs/cgroup/devices").unwrap() {
        return skip("this machine has another version of cgroups");
    }
    in_namespace(
        "v1_read_only_cgroups_name_the_path",
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
        "plain_v1_without_the_unified_hierarchy_is_enough",
        "umount /sys/fs/cgroup/unified 2>/dev/null || true",
        || {
            let Some(test) = Test::on_v1("v1-plain", "{}") else { return };
            assert!(test.plan.dirs.iter().all(|dir| !dir.is_unified()), "{:?}", test.plan.dirs);
            limit_all(&create(&test.plan).unwrap(), &test.plan);
        },
    );
}

// ---- v2

#[test]
fn v2_container_lives_and_dies_in_one_cgroup() {
    on_v2("v2_container_lives_and_dies_in_one_cgroup", "{}", |test| {
        let created = create(&test.plan).unwrap();
        let mut sleeper = sleeper();
        test.enter(sleeper.id());
        limit_all(&created, &test.plan);
        let cgroup = test.cgroup();
        assert_eq!(cgroup.pids().unwrap(), [sleeper.id()]);

        cgroup.freeze().unwrap();
        assert!(cgroup.is_frozen().unwrap());
        assert!(test.text("", "cgroup.events").contains("frozen 1"));
        cgroup.signal_all(libc::SIGTERM).unwrap();
        assert!(cgroup.is_frozen().unwrap());
        cgroup.thaw().unwrap();
        assert!(!sleeper.wait().success());

        assert_eq!(cgroup.stats().unwrap().pids.current, 0);
        cgroup.remove().unwrap();
        assert!(!cgroup.exists());
    });
}

#[test]
fn v2_kill_and_remove_reach_cgroups_below() {
    on_v2("v2_kill_and_remove_reach_cgroups_below", "{}", |test| {
        create(&test.plan).unwrap();
        std::fs::create_dir_all(test.dir("").join("a/b")).unwrap();
        let (mut outer, mut inner) = (sleeper(), sleeper());
        test.enter(outer.id());
        move_into(&test.dir("").join("a/b"), inner.id());
        let cgroup = test.cgroup();
        let mut pids = cgroup.pids().unwrap();
        pids.sort_unstable();
        let mut wanted = [outer.id(), inner.id()];
        wanted.sort_unstable();
        assert_eq!(pids, wanted);
        cgroup.freeze().unwrap();
        cgroup.kill_all().unwrap();
        // Removal waits for the last of them to be gone.
        cgroup.remove().unwrap();
        assert!(!outer.wait().success() && !inner.wait().success());
        let err = cgroup.below(&[(String::new(), "../x".into())]).map(drop).unwrap_err();
        assert_eq!(err.to_string(), "bad sub cgroup path: ../x");
    });
}

#[test]
fn v2_devices_are_restricted_by_one_program_that_is_replaced() {
    on_v2("v2_devices_are_restricted_by_one_program_that_is_replaced", "{}", |test| {
        let programs = || {
            let dir = std::fs::File::open(test.dir("")).unwrap();
            corten::internals::sys::bpf::device_program_ids(std::os::fd::AsFd::as_fd(&dir)).unwrap()
        };
        limit_all(&create(&test.plan).unwrap(), &test.plan);
        let first = programs();
        assert_eq!(first.len(), 1);
        assert_opens_only_allowed_devices(test);

        limit_all(&create(&test.plan).unwrap(), &test.plan);
        let second = programs();
        assert_eq!(second.len(), 1);
        assert_ne!(first, second);

        let everything = resources(r#"{"devices":[{"allow":true,"access":"rwm"}]}"#);
        let plan = decide(Manager::Cgroupfs, "c", Some(&test.path), Some(&everything), &test.host).unwrap();
        limit_all(&create(&plan).unwrap(), &plan);
        assert!(programs().is_empty());
    });
}

#[test]
fn v2_verifier_takes_long_and_odd_lists_of_devices() {
    on_v2("v2_verifier_takes_long_and_odd_lists_of_devices", "{}", |test| {
        let numbers = |of: &dyn Fn(usize) -> String| (0..500).map(of).collect::<Vec<_>>().join(",");
        let allowed = numbers(&|n| format!(r#"{{"allow":true,"type":"c","major":{n},"access":"rw"}}"#));
        let denied = numbers(&|n| format!(r#"{{"allow":false,"minor":{n},"access":"w"}}"#));
        let odd = r#"{"allow":true,"type":"b","major":4294967295,"minor":0,"access":"m"}"#.to_owned();
        let denied = format!(r#"{{"allow":true,"access":"rwm"}},{denied}"#);
        for list in [allowed, denied, odd] {
            let resources = resources(&format!(r#"{{"devices":[{list}]}}"#));
            let plan =
                decide(Manager::Cgroupfs, "c", Some(&test.path), Some(&resources), &test.host).unwrap();
            limit_all(&create(&plan).unwrap(), &plan);
        }
    });
}

#[test]
fn v2_cgroup_with_processes_is_refused() {
    on_v2("v2_cgroup_with_processes_is_refused", "{}", assert_used_cgroup_is_refused);
}

#[test]
fn v2_frozen_cgroup_is_refused() {
    on_v2("v2_frozen_cgroup_is_refused", "{}", assert_frozen_cgroup_is_refused);
}

#[test]
fn v2_controllers_are_enabled_down_to_the_cgroup() {
    on_v2("v2_controllers_are_enabled_down_to_the_cgroup", "{}", |test| {
        if !test.has("hugetlb") {
            return skip("the v2 view has no hugetlb controller");
        }
        let limit = resources(r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#);
        let plan =
            decide(Manager::Cgroupfs, "c", Some(&test.path.join("x/y")), Some(&limit), &test.host).unwrap();
        let created = create(&plan).unwrap();
        limit_all(&created, &plan);
        let dir = &plan.dirs[0].path;
        assert_eq!(read(&dir.join("hugetlb.2MB.max")), "4194304");
        assert!(Cgroup::open(plan.paths()).stats().unwrap().hugetlb.contains_key("2MB"));
        created.undo().unwrap();
        assert!(!test.dir("").exists());
    });
}

#[test]
fn v2_resource_without_its_controller_is_an_error_that_names_both() {
    on_v2("v2_resource_without_its_controller_is_an_error_that_names_both", "{}", |test| {
        if test.has("memory") {
            return skip("the v2 view has a memory controller");
        }
        let decide =
            |json| decide(Manager::Cgroupfs, "c", Some(&test.path), Some(&resources(json)), &test.host);
        let err = decide(r#"{"memory":{"limit":4096}}"#).map(drop).unwrap_err();
        let text = "linux.resources.memory.limit: the memory controller is not there (cgroup v2)";
        assert_eq!(err.to_string(), text);

        let plan = decide(r#"{"unified":{"memory.high":"4096"}}"#).unwrap();
        let created = create(&plan).unwrap();
        let text = created.limit_resources(&plan).unwrap_err().to_string();
        assert_eq!(
            text,
            format!(
                "set a v2 parameter to 4096 (linux.resources.unified[\"memory.high\"]): \
                 controller \"memory\" not available in {}",
                plan.dirs[0].path.display()
            )
        );
        created.undo().unwrap();
        assert!(!plan.dirs[0].path.exists());

        let plan = decide(r#"{"unified":{"cgroup.max.descendants":"3"}}"#).unwrap();
        limit_all(&create(&plan).unwrap(), &plan);
        assert_eq!(test.text("", "cgroup.max.descendants"), "3");
    });
}

#[test]
fn v2_container_below_a_threaded_cgroup_becomes_threaded() {
    on_v2("v2_container_below_a_threaded_cgroup_becomes_threaded", "{}", |test| {
        let parent = test.dir("").parent().unwrap().to_owned();
        std::fs::create_dir(&parent).unwrap();
        std::fs::create_dir(parent.join("threaded")).unwrap();
        std::fs::write(parent.join("threaded/cgroup.type"), "threaded").unwrap();
        create(&test.plan).unwrap();
        assert_eq!(test.text("", "cgroup.type"), "threaded");
        let mut sleeper = sleeper();
        test.enter(sleeper.id());
        assert_eq!(test.cgroup().pids().unwrap(), [sleeper.id()]);
        test.cgroup().kill_all().unwrap();
        assert!(!sleeper.wait().success());
        test.cgroup().remove().unwrap();
        std::fs::remove_dir(parent.join("threaded")).unwrap();
    });
}

// ---- both

fn assert_used_cgroup_is_refused(test: &Test) {
    create(&test.plan).unwrap();
    let sleeper = sleeper();
    test.enter(sleeper.id());
    let err = create(&test.plan).map(drop).unwrap_err().to_string();
    assert!(err.starts_with("create cgroup /sys/fs/cgroup/"), "{err}");
    assert!(err.ends_with("container's cgroup is not empty: 1 process(es) found"), "{err}");
    // What was there before stays.
    assert_eq!(test.cgroup().pids().unwrap(), [sleeper.id()]);
}

fn assert_frozen_cgroup_is_refused(test: &Test) {
    create(&test.plan).unwrap();
    test.cgroup().freeze().unwrap();
    let err = create(&test.plan).map(drop).unwrap_err().to_string();
    assert!(err.ends_with("container's cgroup unexpectedly frozen"), "{err}");
    test.cgroup().thaw().unwrap();
    create(&test.plan).unwrap();
}

/// A process of the cgroup may use /dev/null and may make a node of /dev/kmsg, and may not open that.
fn assert_opens_only_allowed_devices(test: &Test) {
    let node = std::env::temp_dir().join(format!("corten-kmsg-{}", std::process::id()));
    let enter_and = |script: &str| {
        let mut process = Process(shell(script).stderr(Stdio::null()).spawn().unwrap());
        test.enter(process.id());
        process.go_on();
        process.wait().success()
    };
    assert!(enter_and("exec 3<>/dev/null"));
    assert!(enter_and(&format!("mknod {} c 1 11", node.display())));
    assert!(std::fs::File::open(&node).is_ok());
    assert!(!enter_and(&format!("exec 3<{}", node.display())));
    std::fs::remove_file(&node).unwrap();
}

/// One container's cgroup; what is left of it at the end is removed.
struct Test {
    host: CgroupHost,
    path: PathBuf,
    plan: Plan,
}

impl Test {
    fn on_v1(name: &str, resources: &str) -> Option<Test> {
        Test::new(name, resources, |mode| matches!(mode, Mode::V1 { .. }))
    }

    fn new(name: &str, json: &str, fits: fn(&Mode) -> bool) -> Option<Test> {
        if !nix::unistd::geteuid().is_root() {
            skip("only root can make cgroups");
            return None;
        }
        let host = probe::cgroups().unwrap();
        if !fits(&host.mode) {
            skip("this machine has another version of cgroups");
            return None;
        }
        let path = PathBuf::from(format!("/corten-test-{}-{name}/c", std::process::id()));
        let plan = decide(Manager::Cgroupfs, "c", Some(&path), Some(&resources(json)), &host).unwrap();
        Some(Test { host, path, plan })
    }

    fn cgroup(&self) -> Cgroup {
        Cgroup::open(self.plan.paths())
    }

    /// Moves a process into it.
    fn enter(&self, pid: i32) {
        self.plan.paths().iter().for_each(|(_, path)| move_into(path, pid));
    }

    fn dir(&self, controller: &str) -> PathBuf {
        self.plan.paths().get(controller).unwrap().to_owned()
    }

    fn text(&self, controller: &str, file: &str) -> String {
        read(&self.dir(controller).join(file))
    }

    fn has(&self, controller: &str) -> bool {
        matches!(&self.plan.driver, Driver::Own { enable } if enable.iter().any(|name| name == controller))
    }

    fn update(&self, json: &str) -> corten::error::Result<()> {
        let writes = decide_update(&self.plan.paths(), &resources(json), &self.host)?;
        self.cgroup().update(&writes)
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        let _ = self.cgroup().kill_all();
        let _ = self.cgroup().remove();
        for dir in &self.plan.dirs {
            let parent = dir.path.parent().unwrap();
            let _ = std::fs::remove_dir(parent);
            if !std::thread::panicking() {
                assert!(!parent.exists(), "{} is left behind", parent.display());
            }
        }
    }
}

/// Runs `body` with cgroups as v2 shows them, in a process of its own.
fn on_v2(name: &str, resources: &str, body: impl FnOnce(&Test)) {
    let view = "umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup";
    in_namespace(name, view, || {
        if let Some(test) = Test::new("v2", resources, |mode| matches!(mode, Mode::V2 { .. })) {
            body(&test);
        }
    });
}

/// Runs `body`, the body of test `name`, in a process of its own whose mount namespace `setup` has changed.
fn in_namespace(name: &str, setup: &str, body: impl FnOnce()) {
    const INSIDE: &str = "CORTEN_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    if !nix::unistd::geteuid().is_root() {
        return skip("only root can change its mounts");
    }
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(format!("{setup} && exec \"$0\" --exact {name} --nocapture --test-threads=1"))
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{stdout}");
    for line in stderr.lines().filter(|line| line.starts_with("skipped")) {
        // Past libtest's capture, as in the process that said it.
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
}

fn skip(why: &str) {
    spec_tests::skip::record(why);
}

fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|err| panic!("{}: {err}", path.display())).trim().to_owned()
}

/// Sets all limits and restricts devices, as a supervisor does.
fn limit_all(cgroup: &CreatedCgroup, plan: &Plan) {
    cgroup.limit_resources(plan).unwrap();
    let program = cgroup.load_device_program(plan).unwrap();
    cgroup.restrict_devices(plan, program).unwrap();
}

fn readable(watch: &corten::internals::apply::cgroup::OomWatch) -> bool {
    let fd = std::os::fd::AsFd::as_fd(watch);
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], 5000u16).unwrap() == 1
}

/// Moves a process into the cgroup at `path`.
fn move_into(path: &Path, pid: i32) {
    let procs = path.join("cgroup.procs");
    std::fs::write(&procs, pid.to_string()).unwrap_or_else(|err| panic!("{}: {err}", procs.display()));
}

/// Runs `script` in the cgroup, from its first command on.
fn run_in(test: &Test, script: &str) -> ExitStatus {
    let mut process = Process(shell(script).spawn().unwrap());
    test.enter(process.id());
    process.go_on();
    process.wait()
}

/// A shell that waits for a line before it runs `script`.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("read go; {script}")).stdin(Stdio::piped());
    // Its children, if it has any, end with it.
    command.process_group(0);
    command
}

fn sleeper() -> Process {
    Process(Command::new("sleep").arg("1000").spawn().unwrap())
}

/// A child that doesn't outlive its test.
struct Process(Child);

impl Process {
    fn id(&self) -> i32 {
        self.0.id() as i32
    }

    fn go_on(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    fn wait_for_line(&mut self) {
        use std::io::Read as _;
        self.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return status,
                None if Instant::now() > deadline => panic!("process {} doesn't end", self.id()),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
