//! Statistics of a container's cgroups in the v1 hierarchies.

use super::*;

/// What the controllers that the container has a cgroup of can tell; `open` opens that of a controller.
pub(super) fn read(open: impl Fn(&str) -> Result<Option<Dir>>) -> Result<Stats> {
    let of = |controller: &str| open(controller);
    Ok(Stats {
        cpu: Cpu {
            usage: of("cpuacct")?.as_ref().map_or(Ok(CpuUsage::default()), cpu_usage)?,
            throttling: of("cpu")?.as_ref().map_or(Ok(Throttling::default()), throttling)?,
            psi: None,
        },
        cpuset: of("cpuset")?.as_ref().map_or(Ok(Cpuset::default()), cpuset)?,
        memory: of("memory")?.as_ref().map_or(Ok(Memory::default()), memory)?,
        pids: of("pids")?.as_ref().map_or(Ok(Pids::default()), pids)?,
        blkio: of("blkio")?.as_ref().map_or(Ok(Blkio::default()), blkio)?,
        hugetlb: of("hugetlb")?.as_ref().map_or(Ok(BTreeMap::new()), hugetlb)?,
        ..Stats::default()
    })
}

fn cpu_usage(dir: &Dir) -> Result<CpuUsage> {
    // The kernel counts these in USER_HZ, which is 100 on all architectures that we know.
    const NANOSECONDS_PER_TICK: u64 = 10_000_000;

    let stat = dir.read("cpuacct.stat")?;
    let percpu = dir.read("cpuacct.usage_percpu")?;
    let modes = if_there(dir.read("cpuacct.usage_all"))?.unwrap_or_default();
    let column = |index| column(&modes, index);
    Ok(CpuUsage {
        total: number(dir, "cpuacct.usage")?,
        percpu: percpu.split_whitespace().filter_map(parse).collect(),
        percpu_kernel: column(2),
        percpu_user: column(1),
        kernel: value_of(&stat, "system").saturating_mul(NANOSECONDS_PER_TICK),
        user: value_of(&stat, "user").saturating_mul(NANOSECONDS_PER_TICK),
    })
}

/// One column of a table that has a heading.
fn column(table: &str, index: usize) -> Vec<u64> {
    table.lines().skip(1).filter_map(|line| parse(line.split(' ').nth(index)?)).collect()
}

fn throttling(dir: &Dir) -> Result<Throttling> {
    let stat = if_there(dir.read("cpu.stat"))?.unwrap_or_default();
    Ok(Throttling {
        periods: value_of(&stat, "nr_periods"),
        throttled_periods: value_of(&stat, "nr_throttled"),
        throttled_time: value_of(&stat, "throttled_time"),
    })
}

fn cpuset(dir: &Dir) -> Result<Cpuset> {
    let list = |file: &str| -> Result<Vec<u16>> { Ok(expand(&dir.read(file)?)) };
    let flag = |name: &str| if_there(number(dir, &format!("cpuset.{name}"))).map(Option::unwrap_or_default);
    let level = if_there(dir.read("cpuset.sched_relax_domain_level"))?.unwrap_or_default();
    Ok(Cpuset {
        cpus: list("cpuset.cpus")?,
        cpu_exclusive: flag("cpu_exclusive")?,
        mems: list("cpuset.mems")?,
        mem_hardwall: flag("mem_hardwall")?,
        mem_exclusive: flag("mem_exclusive")?,
        memory_migrate: flag("memory_migrate")?,
        memory_spread_page: flag("memory_spread_page")?,
        memory_spread_slab: flag("memory_spread_slab")?,
        memory_pressure: flag("memory_pressure")?,
        sched_load_balance: flag("sched_load_balance")?,
        sched_relax_domain_level: level.trim().parse().unwrap_or_default(),
    })
}

/// `0-2,7` as 0, 1, 2, 7.
fn expand(list: &str) -> Vec<u16> {
    let range = |part: &str| -> Option<std::ops::RangeInclusive<u16>> {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse().ok()?..=to.parse().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten().collect()
}

fn memory(dir: &Dir) -> Result<Memory> {
    let Some(stat) = if_there(dir.read("memory.stat"))? else { return Ok(Memory::default()) };
    let raw: BTreeMap<String, u64> = keyed(&stat).map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: memory_use(dir, "memory")?.unwrap_or_default(),
        swap: memory_use(dir, "memory.memsw")?.unwrap_or_default(),
        kernel: memory_use(dir, "memory.kmem")?.unwrap_or_default(),
        kernel_tcp: memory_use(dir, "memory.kmem.tcp")?.unwrap_or_default(),
        raw,
        psi: None,
    })
}

fn memory_use(dir: &Dir, prefix: &str) -> Result<Option<MemoryUse>> {
    let Some(usage) = if_there(number(dir, &format!("{prefix}.usage_in_bytes")))? else { return Ok(None) };
    let max = number(dir, &format!("{prefix}.max_usage_in_bytes"))?;
    let failcnt = number(dir, &format!("{prefix}.failcnt"))?;
    // Newer kernels have no limit on kernel memory any more.
    let limit = if_there(number(dir, &format!("{prefix}.limit_in_bytes")))?.unwrap_or(0);
    Ok(Some(MemoryUse { limit, usage, max, failcnt }))
}

fn pids(dir: &Dir) -> Result<Pids> {
    let Some(current) = if_there(number(dir, "pids.current"))? else { return Ok(Pids::default()) };
    let limit = number(dir, "pids.max")?;
    Ok(Pids { current, limit: if limit == u64::MAX { 0 } else { limit } })
}

/// The first of the schedulers' sets of files that this kernel has, the richest first.
fn blkio(dir: &Dir) -> Result<Blkio> {
    for scheduler in ["blkio.bfq.", "blkio."] {
        let read = |name: &str| table(dir, &format!("{scheduler}{name}"));
        if let Some(sectors_recursive) = read("sectors_recursive")? {
            let rest = |name: &str| read(name).map(Option::unwrap_or_default);
            return Ok(Blkio {
                sectors_recursive,
                io_service_time_recursive: rest("io_service_time_recursive")?,
                io_wait_time_recursive: rest("io_wait_time_recursive")?,
                io_merged_recursive: rest("io_merged_recursive")?,
                io_queued_recursive: rest("io_queued_recursive")?,
                io_time_recursive: rest("time_recursive")?,
                io_serviced_recursive: rest("io_serviced_recursive")?,
                io_service_bytes_recursive: rest("io_service_bytes_recursive")?,
                psi: None,
            });
        }
    }
    for (prefix, suffix) in
        [("blkio.bfq.", "_recursive"), ("blkio.throttle.", "_recursive"), ("blkio.throttle.", "")]
    {
        let read = |name: &str| table(dir, &format!("{prefix}{name}{suffix}"));
        if let Some(io_serviced_recursive) = read("io_serviced")? {
            let io_service_bytes_recursive = read("io_service_bytes")?.unwrap_or_default();
            return Ok(Blkio { io_serviced_recursive, io_service_bytes_recursive, ..Blkio::default() });
        }
    }
    Ok(Blkio::default())
}

fn table(dir: &Dir, file: &str) -> Result<Option<Vec<BlkioEntry>>> {
    let entries = if_there(dir.read(file))?.map(|text| text.lines().filter_map(parse_blkio).collect());
    // Files of a scheduler that no device uses are there and empty.
    Ok(entries.filter(|entries: &Vec<_>| !entries.is_empty()))
}

/// `8:0 Read 42` or `8:0 42`; sums over all devices have no device.
fn parse_blkio(line: &str) -> Option<BlkioEntry> {
    let mut words = line.split_whitespace();
    let (major, minor) = words.next()?.split_once(':')?;
    let (second, third) = (words.next()?, words.next());
    let (op, value) = third.map_or(("", second), |third| (second, third));
    Some(BlkioEntry { major: parse(major)?, minor: parse(minor)?, op: op.to_owned(), value: parse(value)? })
}

fn hugetlb(dir: &Dir) -> Result<BTreeMap<String, Hugetlb>> {
    let mut all = BTreeMap::new();
    for size in huge_page_sizes() {
        for prefix in [format!("hugetlb.{size}.rsvd"), format!("hugetlb.{size}")] {
            if let Some(usage) = if_there(number(dir, &format!("{prefix}.usage_in_bytes")))? {
                let max = number(dir, &format!("{prefix}.max_usage_in_bytes"))?;
                let failcnt = number(dir, &format!("{prefix}.failcnt"))?;
                all.insert(size, Hugetlb { usage, max, failcnt });
                break;
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_expanded() {
        assert_eq!(expand("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(expand("\n"), [0u16; 0]);
    }

    #[test]
    fn columns_have_a_heading() {
        let table = "cpu user system\n0 10 20\n1 30 40\n";
        assert_eq!((column(table, 1), column(table, 2)), (vec![10, 30], vec![20, 40]));
    }

    #[test]
    fn block_io_lines_with_and_without_an_operation() {
        let entry = |op: &str, value| BlkioEntry { major: 8, minor: 16, op: op.to_owned(), value };
        assert_eq!(parse_blkio("8:16 Read 42"), Some(entry("Read", 42)));
        assert_eq!(parse_blkio("8:16 42"), Some(entry("", 42)));
        assert_eq!(parse_blkio("Total 42"), None);
    }
}
