//! Readings are what another implementation reads from the same cgroup: the `cgroups-rs` crate.
//!
//! The cgroup is frozen meanwhile, so that nothing uses more.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::Location;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use cgroups_rs::cpu::CpuController;
use cgroups_rs::cpuacct::CpuAcctController;
use cgroups_rs::cpuset::CpuSetController;
use cgroups_rs::hugetlb::HugeTlbController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use cgroups_rs::{Cgroup as Oracle, MaxValue, hierarchies};
use corten::internals::apply::cgroup::readings::{Keyed, Pids, Readings, UNLIMITED, V1, V2};
use corten::internals::apply::cgroup::{Cgroup, create};

use super::fixture::{Test, limit_all, on_v2, skip};
use super::processes::{Process, shell};

#[test]
fn v1_readings_are_the_oracle_s() {
    let limits = r#"{"memory":{"limit":67108864},"pids":{"limit":20},"cpu":{"quota":20000,"period":100000}}"#;
    let Some(test) = Test::on_v1("v1-readings", limits) else { return };
    in_busy_cgroup(&test, |read, oracle, differ| {
        let Readings::V1(read) = read else { panic!("not of v1: {read:?}") };
        cpu_of_v1(&read, oracle, differ);
        cpuset_of_v1(&read, oracle, differ);
        memory_of_v1(&read, oracle, differ);
        differ.compare(read.pids, pids(oracle));
        assert_eq!(read.pids.map(|pids| pids.max), Some(20));
    });
}

#[test]
fn v2_readings_are_the_oracle_s() {
    on_v2("readings::v2_readings_are_the_oracle_s", "{}", |test| {
        in_busy_cgroup(test, |read, oracle, differ| {
            let Readings::V2(read) = read else { panic!("not of v2: {read:?}") };
            assert!(read.cpu["usage_usec"] > 0, "{:?}", read.cpu);
            // Every v2 cgroup has a cpu.stat, with the controller or without.
            let cpu = CpuController::new(test.dir(""), true);
            differ.compare(&read.cpu, &keyed(&cpu.cpu().stat));
            if test.has("pids") {
                differ.compare(read.pids, pids(oracle));
            } else {
                assert_eq!((read.pids, read.processes), (None, 1));
            }
            if test.has("memory") {
                memory_of_v2(&read, oracle, &test.dir(""), differ);
            }
            if test.has("hugetlb") {
                huge_pages_of_v2(&read, oracle, differ);
            }
        });
        if !test.has("memory") {
            skip("the v2 view has no memory controller");
        }
    });
}

/// Compares what both read of a cgroup that has used something, and is frozen. The kernel adds up some numbers late, so
/// both read again until nothing differs.
fn in_busy_cgroup(test: &Test, compare: impl Fn(Readings, &Oracle, &mut Differences)) {
    limit_all(&create(&test.plan).unwrap(), &test.plan);
    let busy = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo; read end";
    let mut busy = Process(shell(busy).stdout(Stdio::piped()).spawn().unwrap());
    test.enter(busy.id());
    busy.go_on();
    busy.wait_for_line();
    let cgroup = test.cgroup();
    cgroup.freeze().unwrap();
    let _thawed_before_the_process_is_killed = Thaw(&cgroup);
    let oracle = Oracle::load(hierarchies::auto(), test.path.strip_prefix("/").unwrap());
    for attempt in 1.. {
        let mut differ = Differences::default();
        compare(cgroup.readings().unwrap(), &oracle, &mut differ);
        if differ.0.is_empty() {
            break;
        }
        assert!(attempt < 50, "{}", differ.0.join("\n"));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Lets a cgroup go on at the end: v1 lets no frozen process die.
struct Thaw<'a>(&'a Cgroup);

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        let _ = self.0.thaw();
    }
}

/// What the two don't agree on.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    #[track_caller]
    fn compare<T: PartialEq + Debug>(&mut self, ours: T, theirs: T) {
        if ours != theirs {
            let line = Location::caller().line();
            self.0.push(format!("line {line}: {ours:?}, oracle: {theirs:?}"));
        }
    }
}

fn cpu_of_v1(read: &V1, oracle: &Oracle, differ: &mut Differences) {
    let controller: &CpuController = oracle.controller_of().unwrap();
    differ.compare(&read.cpu, &keyed(&controller.cpu().stat));

    let controller: &CpuAcctController = oracle.controller_of().unwrap();
    let (read, theirs) = (read.cpuacct.as_ref().unwrap(), controller.cpuacct());
    assert!(read.usage_nsec > 0);
    differ.compare(read.usage_nsec, theirs.usage);
    differ.compare(&read.usage_percpu_nsec, &numbers(&theirs.usage_percpu));
    differ.compare(&read.user_percpu_nsec, &numbers(&theirs.usage_percpu_user));
    differ.compare(&read.system_percpu_nsec, &numbers(&theirs.usage_percpu_sys));
    let ticks = [("system", read.system_ticks), ("user", read.user_ticks)];
    differ.compare(BTreeMap::from(ticks.map(|(key, ticks)| (key.to_owned(), ticks))), keyed(&theirs.stat));
}

fn cpuset_of_v1(read: &V1, oracle: &Oracle, differ: &mut Differences) {
    let controller: &CpuSetController = oracle.controller_of().unwrap();
    let (read, theirs) = (read.cpuset.as_ref().unwrap(), controller.cpuset());
    let expanded = |ranges: &[(u64, u64)]| -> Vec<usize> {
        ranges.iter().flat_map(|(first, last)| *first as usize..=*last as usize).collect()
    };
    assert!(!read.cpus.is_empty() && !read.mems.is_empty());
    differ.compare(&read.cpus, &expanded(&theirs.cpus));
    differ.compare(&read.mems, &expanded(&theirs.mems));
    let flags = [
        (read.cpu_exclusive, theirs.cpu_exclusive),
        (read.mem_hardwall, theirs.mem_hardwall),
        (read.mem_exclusive, theirs.mem_exclusive),
        (read.memory_migrate, theirs.memory_migrate),
        (read.memory_spread_page, theirs.memory_spread_page),
        (read.memory_spread_slab, theirs.memory_spread_slab),
        (read.sched_load_balance, theirs.sched_load_balance),
    ];
    for (at, (ours, theirs)) in flags.into_iter().enumerate() {
        differ.compare((at, ours == 1), (at, theirs));
    }
    differ.compare(read.memory_pressure, theirs.memory_pressure);
}

fn memory_of_v1(read: &V1, oracle: &Oracle, differ: &mut Differences) {
    let controller: &MemController = oracle.controller_of().unwrap();
    let (read, theirs) = (read.memory.as_ref().unwrap(), controller.memory_stat());
    assert_eq!(read.usage.limit, 67108864);
    differ.compare(read.usage.limit, theirs.limit_in_bytes as u64);
    differ.compare(read.usage.usage, theirs.usage_in_bytes);
    differ.compare(read.usage.max_usage, theirs.max_usage_in_bytes);
    differ.compare(read.usage.failcnt, theirs.fail_cnt);
    differ.compare(stat(&read.stat, ["cache", "rss", "mapped_file", "pgfault"]), {
        let stat = &theirs.stat;
        [stat.cache, stat.rss, stat.mapped_file, stat.pgfault]
    });
    let theirs = theirs.oom_control;
    differ.compare(read.oom_control.oom_kill_disable == 1, theirs.oom_kill_disable);
    differ.compare(
        (read.oom_control.under_oom == 1, read.oom_control.oom_kill),
        (theirs.under_oom, theirs.oom_kill),
    );

    let (kmem, tcp, memsw) = (controller.kmem_stat(), controller.kmem_tcp_stat(), controller.memswap());
    differ.compare((read.kmem.usage, read.kmem.max_usage), (kmem.usage_in_bytes, kmem.max_usage_in_bytes));
    differ.compare((read.kmem_tcp.usage, read.kmem_tcp.failcnt), (tcp.usage_in_bytes, tcp.fail_cnt));
    differ
        .compare((read.memsw.usage, read.memsw.max_usage), (memsw.usage_in_bytes, memsw.max_usage_in_bytes));
}

fn memory_of_v2(read: &V2, oracle: &Oracle, dir: &Path, differ: &mut Differences) {
    let controller: &MemController = oracle.controller_of().unwrap();
    let (read, theirs) = (read.memory.as_ref().unwrap(), controller.memory_stat());
    assert!(read.usage.current > 0);
    differ.compare(read.usage.current, theirs.usage_in_bytes);
    differ.compare(read.usage.max, unlimited(theirs.limit_in_bytes));
    // Of v2's keys the oracle knows those that v1 has, too.
    differ.compare(stat(&read.stat, ["active_anon", "inactive_anon", "active_file", "pgfault"]), {
        let stat = &theirs.stat;
        [stat.active_anon, stat.inactive_anon, stat.active_file, stat.pgfault]
    });
    // The oracle can't do without the file, which a kernel that doesn't account swap lacks.
    if dir.join("memory.swap.events").exists() {
        let theirs = controller.memswap_v2();
        differ.compare(read.swap.current, theirs.usage_in_bytes);
        differ.compare(read.swap.peak, theirs.max_usage_in_bytes);
    }
}

fn huge_pages_of_v2(read: &V2, oracle: &Oracle, differ: &mut Differences) {
    let controller: &HugeTlbController = oracle.controller_of().unwrap();
    for (size, read) in &read.hugetlb {
        differ.compare(read.current, controller.usage_in_bytes(size).unwrap());
        differ.compare(read.events_max, controller.failcnt(size).unwrap());
    }
}

fn pids(oracle: &Oracle) -> Option<Pids> {
    let controller: &PidController = oracle.controller_of()?;
    let max = match controller.get_pid_max().ok()? {
        MaxValue::Max => UNLIMITED,
        MaxValue::Value(max) => max as u64,
    };
    Some(Pids { current: controller.get_pid_current().ok()?, max })
}

fn unlimited(limit: i64) -> u64 {
    if limit < 0 { UNLIMITED } else { limit as u64 }
}

fn stat<const N: usize>(stat: &Keyed, keys: [&str; N]) -> [u64; N] {
    keys.map(|key| stat[key])
}

fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

fn keyed(text: &str) -> Keyed {
    let line = |line: &str| line.split_once(' ').map(|(key, value)| (key.to_owned(), value.parse().unwrap()));
    text.lines().filter_map(line).collect()
}
