//! Readings of the controllers of v1.

use std::collections::BTreeMap;

use super::{Keyed, Pids, Rdma, if_there, keyed, keyed_file, number, pids, rdma, text, unexpected};
use crate::error::Result;
use crate::plan::cgroup::CgroupPaths;
use crate::sys::cgroupfs::Dir;
use crate::sys::list;

/// The numbers of each controller that the container has a cgroup of.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each field is the controller of that name.
pub struct V1 {
    pub cpuacct: Option<Cpuacct>,
    /// `cpu.stat`.
    pub cpu: Keyed,
    pub cpuset: Option<Cpuset>,
    pub memory: Option<Memory>,
    pub pids: Option<Pids>,
    pub blkio: Blkio,
    /// By size of the pages: `2MB`.
    pub hugetlb: BTreeMap<String, Hugetlb>,
    pub rdma: Rdma,
}

/// `cpuacct.*`: CPU time, in all and by CPU.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Cpuacct {
    pub usage_nsec: u64,
    pub usage_percpu_nsec: Vec<u64>,
    /// Both columns of `cpuacct.usage_all`; empty before Linux 4.9.
    pub user_percpu_nsec: Vec<u64>,
    pub system_percpu_nsec: Vec<u64>,
    /// `cpuacct.stat` counts in USER_HZ; see [`Cpuacct::TICK_NSEC`].
    pub user_ticks: u64,
    pub system_ticks: u64,
}

impl Cpuacct {
    /// The length of a tick: USER_HZ is 100 on every architecture that we know.
    pub const TICK_NSEC: u64 = 10_000_000;
}

/// `cpuset.*`: settings.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Cpuset {
    pub cpus: Vec<usize>,
    pub mems: Vec<usize>,
    pub cpu_exclusive: u64,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// `memory.*`, in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Memory {
    pub stat: Keyed,
    pub usage: MemoryUse,
    /// Memory and swap together.
    pub memsw: MemoryUse,
    pub kmem: MemoryUse,
    pub kmem_tcp: MemoryUse,
    pub oom_control: OomControl,
}

/// One kind of memory, in bytes; all 0 where the kernel doesn't account it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct MemoryUse {
    pub usage: u64,
    pub max_usage: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
    /// 0 for kernel memory since Linux 6.1, which has no limit on it.
    pub limit: u64,
}

/// `memory.oom_control`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct OomControl {
    pub oom_kill_disable: u64,
    pub under_oom: u64,
    /// Since Linux 4.13.
    pub oom_kill: u64,
}

/// `blkio.*`: the tables of the first scheduler that has counted anything.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Blkio {
    pub io_service_bytes: Vec<BlkioEntry>,
    pub io_serviced: Vec<BlkioEntry>,
    pub io_queued: Vec<BlkioEntry>,
    pub io_service_time: Vec<BlkioEntry>,
    pub io_wait_time: Vec<BlkioEntry>,
    pub io_merged: Vec<BlkioEntry>,
    pub time: Vec<BlkioEntry>,
    pub sectors: Vec<BlkioEntry>,
}

/// One number of one device; `op` is `Read`, `Write` …, or empty.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct BlkioEntry {
    pub major: u64,
    pub minor: u64,
    pub op: String,
    pub value: u64,
}

/// `hugetlb.SIZE.*`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Hugetlb {
    pub usage: HugetlbUse,
    /// `hugetlb.SIZE.rsvd.*`; since Linux 5.7.
    pub reserved: Option<HugetlbUse>,
}

/// Huge pages of one size, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct HugetlbUse {
    pub usage: u64,
    pub max_usage: u64,
    pub failcnt: u64,
}

pub(super) fn read(paths: &CgroupPaths) -> Result<V1> {
    let open = |controller: &str| match paths.get(controller) {
        Some(path) => if_there(Dir::open(path)),
        None => Ok(None),
    };
    Ok(V1 {
        cpuacct: open("cpuacct")?.as_ref().map(cpuacct).transpose()?,
        cpu: open("cpu")?.map_or(Ok(None), |dir| keyed_file(&dir, "cpu.stat"))?.unwrap_or_default(),
        cpuset: open("cpuset")?.as_ref().map(cpuset).transpose()?,
        memory: open("memory")?.as_ref().map_or(Ok(None), memory)?,
        pids: open("pids")?.as_ref().map_or(Ok(None), pids)?,
        blkio: open("blkio")?.as_ref().map(blkio).transpose()?.unwrap_or_default(),
        hugetlb: open("hugetlb")?.as_ref().map(hugetlb).transpose()?.unwrap_or_default(),
        rdma: open("rdma")?.as_ref().map(rdma).transpose()?.unwrap_or_default(),
    })
}

fn cpuacct(dir: &Dir) -> Result<Cpuacct> {
    let stat: BTreeMap<_, _> = keyed_file(dir, "cpuacct.stat")?.unwrap_or_default();
    let ticks = |key| stat.get(key).copied().unwrap_or(0);
    let percpu = dir.read("cpuacct.usage_percpu")?;
    let modes = if_there(dir.read("cpuacct.usage_all"))?.unwrap_or_default();
    Ok(Cpuacct {
        usage_nsec: number(dir, "cpuacct.usage")?,
        usage_percpu_nsec: percpu.split_whitespace().filter_map(text::number).collect(),
        user_percpu_nsec: column(&modes, 1),
        system_percpu_nsec: column(&modes, 2),
        user_ticks: ticks("user"),
        system_ticks: ticks("system"),
    })
}

/// One column of a table that has a heading.
fn column(table: &str, index: usize) -> Vec<u64> {
    table.lines().skip(1).filter_map(|line| text::number(line.split(' ').nth(index)?)).collect()
}

fn cpuset(dir: &Dir) -> Result<Cpuset> {
    let numbers = |file: &str| -> Result<Vec<usize>> {
        let content = dir.read(file)?;
        list::numbers(&content).ok_or_else(|| unexpected(file, &content))
    };
    let flag = |name: &str| if_there(number(dir, &format!("cpuset.{name}"))).map(Option::unwrap_or_default);
    let level = if_there(dir.read("cpuset.sched_relax_domain_level"))?.unwrap_or_default();
    Ok(Cpuset {
        cpus: numbers("cpuset.cpus")?,
        mems: numbers("cpuset.mems")?,
        cpu_exclusive: flag("cpu_exclusive")?,
        mem_hardwall: flag("mem_hardwall")?,
        mem_exclusive: flag("mem_exclusive")?,
        memory_migrate: flag("memory_migrate")?,
        memory_spread_page: flag("memory_spread_page")?,
        memory_spread_slab: flag("memory_spread_slab")?,
        memory_pressure: flag("memory_pressure")?,
        sched_load_balance: flag("sched_load_balance")?,
        // -1 stands for the system's own level.
        sched_relax_domain_level: level.trim().parse().unwrap_or_default(),
    })
}

fn memory(dir: &Dir) -> Result<Option<Memory>> {
    let Some(stat) = keyed_file(dir, "memory.stat")? else { return Ok(None) };
    Ok(Some(Memory {
        stat,
        usage: memory_use(dir, "memory")?,
        memsw: memory_use(dir, "memory.memsw")?,
        kmem: memory_use(dir, "memory.kmem")?,
        kmem_tcp: memory_use(dir, "memory.kmem.tcp")?,
        oom_control: oom_control(dir)?,
    }))
}

fn memory_use(dir: &Dir, prefix: &str) -> Result<MemoryUse> {
    let file = |name| format!("{prefix}.{name}");
    let Some(usage) = if_there(number(dir, &file("usage_in_bytes")))? else {
        return Ok(MemoryUse::default());
    };
    Ok(MemoryUse {
        usage,
        max_usage: number(dir, &file("max_usage_in_bytes"))?,
        failcnt: number(dir, &file("failcnt"))?,
        limit: if_there(number(dir, &file("limit_in_bytes")))?.unwrap_or(0),
    })
}

fn oom_control(dir: &Dir) -> Result<OomControl> {
    let content = if_there(dir.read("memory.oom_control"))?.unwrap_or_default();
    let value = |key| keyed(&content).find(|(known, _)| *known == key).map_or(0, |(_, value)| value);
    Ok(OomControl {
        oom_kill_disable: value("oom_kill_disable"),
        under_oom: value("under_oom"),
        oom_kill: value("oom_kill"),
    })
}

/// The first of the schedulers' sets of files that this kernel has, the richest first.
fn blkio(dir: &Dir) -> Result<Blkio> {
    for scheduler in ["blkio.bfq.", "blkio."] {
        let read = |name: &str| table(dir, &format!("{scheduler}{name}_recursive"));
        if let Some(sectors) = read("sectors")? {
            let rest = |name: &str| read(name).map(Option::unwrap_or_default);
            return Ok(Blkio {
                sectors,
                io_service_time: rest("io_service_time")?,
                io_wait_time: rest("io_wait_time")?,
                io_merged: rest("io_merged")?,
                io_queued: rest("io_queued")?,
                time: rest("time")?,
                io_serviced: rest("io_serviced")?,
                io_service_bytes: rest("io_service_bytes")?,
            });
        }
    }
    for (prefix, suffix) in
        [("blkio.bfq.", "_recursive"), ("blkio.throttle.", "_recursive"), ("blkio.throttle.", "")]
    {
        let read = |name: &str| table(dir, &format!("{prefix}{name}{suffix}"));
        if let Some(io_serviced) = read("io_serviced")? {
            let io_service_bytes = read("io_service_bytes")?.unwrap_or_default();
            return Ok(Blkio { io_serviced, io_service_bytes, ..Blkio::default() });
        }
    }
    Ok(Blkio::default())
}

fn table(dir: &Dir, file: &str) -> Result<Option<Vec<BlkioEntry>>> {
    let entries = if_there(dir.read(file))?.map(|content| content.lines().filter_map(blkio_entry).collect());
    // The files of a scheduler that no device uses exist and are empty.
    Ok(entries.filter(|entries: &Vec<_>| !entries.is_empty()))
}

/// `8:0 Read 42` or `8:0 42`; sums over all devices have no device.
fn blkio_entry(line: &str) -> Option<BlkioEntry> {
    let mut words = line.split_whitespace();
    let (major, minor) = text::device(words.next()?)?;
    let (second, third) = (words.next()?, words.next());
    let (op, value) = third.map_or(("", second), |third| (second, third));
    Some(BlkioEntry { major, minor, op: op.to_owned(), value: text::number(value)? })
}

fn hugetlb(dir: &Dir) -> Result<BTreeMap<String, Hugetlb>> {
    let mut all = BTreeMap::new();
    for size in super::huge_page_sizes() {
        if let Some(usage) = hugetlb_use(dir, &format!("hugetlb.{size}"))? {
            let reserved = hugetlb_use(dir, &format!("hugetlb.{size}.rsvd"))?;
            all.insert(size, Hugetlb { usage, reserved });
        }
    }
    Ok(all)
}

fn hugetlb_use(dir: &Dir, prefix: &str) -> Result<Option<HugetlbUse>> {
    let file = |name| format!("{prefix}.{name}");
    let Some(usage) = if_there(number(dir, &file("usage_in_bytes")))? else { return Ok(None) };
    let max_usage = number(dir, &file("max_usage_in_bytes"))?;
    Ok(Some(HugetlbUse { usage, max_usage, failcnt: number(dir, &file("failcnt"))? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_a_heading() {
        let table = "cpu user system\n0 10 20\n1 30 40\n";
        assert_eq!((column(table, 1), column(table, 2)), (vec![10, 30], vec![20, 40]));
    }

    #[test]
    fn block_io_lines_with_and_without_an_operation() {
        let entry = |op: &str, value| BlkioEntry { major: 8, minor: 16, op: op.to_owned(), value };
        assert_eq!(blkio_entry("8:16 Read 42"), Some(entry("Read", 42)));
        assert_eq!(blkio_entry("8:16 42"), Some(entry("", 42)));
        assert_eq!(blkio_entry("Total 42"), None);
    }
}
