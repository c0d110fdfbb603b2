//! Statistics of a v2 cgroup.

use super::*;

/// What the controllers that are enabled can tell.
pub(super) fn read(dir: &Dir) -> Result<Stats> {
    Ok(Stats {
        cpu: cpu(dir)?,
        memory: memory(dir)?,
        pids: pids(dir)?,
        blkio: blkio(dir)?,
        hugetlb: hugetlb(dir)?,
        ..Stats::default()
    })
}

fn cpu(dir: &Dir) -> Result<Cpu> {
    let stat = if_there(dir.read("cpu.stat"))?.unwrap_or_default();
    let nanoseconds = |key| value_of(&stat, key).saturating_mul(1000);
    Ok(Cpu {
        usage: CpuUsage {
            total: nanoseconds("usage_usec"),
            kernel: nanoseconds("system_usec"),
            user: nanoseconds("user_usec"),
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: value_of(&stat, "nr_periods"),
            throttled_periods: value_of(&stat, "nr_throttled"),
            throttled_time: nanoseconds("throttled_usec"),
        },
        psi: psi(dir, "cpu.pressure")?,
    })
}

fn memory(dir: &Dir) -> Result<Memory> {
    let psi = psi(dir, "memory.pressure")?;
    let Some(stat) = if_there(dir.read("memory.stat"))? else {
        return Ok(Memory { psi, ..Memory::default() });
    };
    let raw: BTreeMap<String, u64> = keyed(&stat).map(|(key, value)| (key.to_owned(), value)).collect();
    let usage = memory_use(dir, "memory")?.unwrap_or_default();
    let mut swap = memory_use(dir, "memory.swap")?.unwrap_or_default();
    // Together with memory, as v1 has it; their highest points needn't have been at the same time.
    swap.usage = swap.usage.saturating_add(usage.usage);
    swap.limit = swap.limit.saturating_add(usage.limit);
    swap.max = 0;
    let cache = raw.get("file").copied().unwrap_or(0);
    Ok(Memory { cache, usage, swap, raw, psi, ..Memory::default() })
}

fn memory_use(dir: &Dir, prefix: &str) -> Result<Option<MemoryUse>> {
    let Some(usage) = if_there(number(dir, &format!("{prefix}.current")))? else { return Ok(None) };
    let limit = number(dir, &format!("{prefix}.max"))?;
    let max = if_there(number(dir, &format!("{prefix}.peak")))?.unwrap_or(0);
    Ok(Some(MemoryUse { limit, usage, max, failcnt: 0 }))
}

fn pids(dir: &Dir) -> Result<Pids> {
    match if_there(number(dir, "pids.current"))? {
        Some(current) => {
            let limit = number(dir, "pids.max")?;
            Ok(Pids { current, limit: if limit == u64::MAX { 0 } else { limit } })
        }
        // Without the controller they can still be counted.
        None => {
            let listed = match dir.read("cgroup.procs") {
                Err(err) if err.is(Errno::EOPNOTSUPP) => dir.read("cgroup.threads")?,
                listed => listed?,
            };
            Ok(Pids { current: listed.lines().count() as u64, limit: 0 })
        }
    }
}

fn blkio(dir: &Dir) -> Result<Blkio> {
    let stat = if_there(dir.read("io.stat"))?.unwrap_or_default();
    let mut blkio = parse_io(&stat);
    blkio.psi = psi(dir, "io.pressure")?;
    Ok(blkio)
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` in the tables of v1.
fn parse_io(stat: &str) -> Blkio {
    let mut blkio = Blkio::default();
    for line in stat.lines() {
        let mut words = line.split_whitespace();
        let device = words.next().and_then(|device| device.split_once(':'));
        let Some((Some(major), Some(minor))) = device.map(|(a, b)| (parse(a), parse(b))) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (table, op) = match key {
                "rbytes" => (&mut blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut blkio.io_service_bytes_recursive, "Write"),
                "rios" => (&mut blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut blkio.io_serviced_recursive, "Write"),
                _ => continue,
            };
            if let Some(value) = parse(value) {
                table.push(BlkioEntry { major, minor, op: op.to_owned(), value });
            }
        }
    }
    blkio
}

fn hugetlb(dir: &Dir) -> Result<BTreeMap<String, Hugetlb>> {
    let mut all = BTreeMap::new();
    for size in huge_page_sizes() {
        let reserved = if_there(number(dir, &format!("hugetlb.{size}.rsvd.current")))?;
        let usage = match reserved {
            None => if_there(number(dir, &format!("hugetlb.{size}.current")))?,
            reserved => reserved,
        };
        if let Some(usage) = usage {
            let failcnt = value_of(&dir.read(&format!("hugetlb.{size}.events"))?, "max");
            all.insert(size, Hugetlb { usage, max: 0, failcnt });
        }
    }
    Ok(all)
}

fn psi(dir: &Dir, file: &str) -> Result<Option<Psi>> {
    match dir.read(file) {
        Ok(text) => Ok(Some(parse_psi(&text))),
        // Not built in, not switched on, or switched off for this cgroup.
        Err(err) if err.is(Errno::ENOENT) || err.is(Errno::EOPNOTSUPP) => Ok(None),
        Err(err) => Err(err),
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`.
fn parse_psi(text: &str) -> Psi {
    let mut psi = Psi::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let of = match words.next() {
            Some("some") => &mut psi.some,
            Some("full") => &mut psi.full,
            _ => continue,
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => of.avg10 = value.parse().unwrap_or_default(),
                "avg60" => of.avg60 = value.parse().unwrap_or_default(),
                "avg300" => of.avg300 = value.parse().unwrap_or_default(),
                "total" => of.total = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
    }
    psi
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_statistics_are_sorted_into_the_tables_of_v1() {
        let blkio = parse_io("8:0 rbytes=10 wbytes=20 rios=3 wios=4 dbytes=0 dios=0\n\n8:16 \n");
        let entry = |op: &str, value| BlkioEntry { major: 8, minor: 0, op: op.to_owned(), value };
        assert_eq!(blkio.io_service_bytes_recursive, [entry("Read", 10), entry("Write", 20)]);
        assert_eq!(blkio.io_serviced_recursive, [entry("Read", 3), entry("Write", 4)]);
    }

    #[test]
    fn pressure_is_read_per_line() {
        let psi = parse_psi(
            "some avg10=0.50 avg60=0.25 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
        );
        assert_eq!((psi.some.avg10, psi.some.avg60, psi.some.total, psi.full.total), (0.5, 0.25, 42, 7));
    }
}
