//! Readings of a v2 cgroup.

use std::collections::BTreeMap;

use super::{Keyed, Pids, Pressure, Rdma, UNLIMITED, if_there, keyed_file, number, pids, rdma, text};
use crate::error::{Errno, Result};
use crate::sys::cgroupfs::Dir;

/// The numbers of each controller that is enabled, and of those files that need none.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each field is the controller of that name.
pub struct V2 {
    /// `cpu.stat`, in microseconds.
    pub cpu: Keyed,
    pub cpu_pressure: Option<Pressure>,
    pub memory: Option<Memory>,
    pub memory_pressure: Option<Pressure>,
    pub pids: Option<Pids>,
    /// The processes, or in a threaded cgroup the threads, of the cgroup itself; counted only without `pids`.
    pub processes: u64,
    pub io: Io,
    /// By size of the pages: `2MB`.
    pub hugetlb: BTreeMap<String, Hugetlb>,
    pub rdma: Rdma,
}

/// `memory.*`, in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Memory {
    pub stat: Keyed,
    /// How often a limit was hit, and the OOM killer has killed.
    pub events: Keyed,
    pub usage: MemoryUse,
    /// `memory.swap.*`: swap alone.
    pub swap: MemoryUse,
}

/// Memory or swap, in bytes; all 0 where the kernel doesn't account it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct MemoryUse {
    pub current: u64,
    pub max: u64,
    /// Since Linux 5.19 for memory, 6.5 for swap; 0 before.
    pub peak: u64,
}

/// `io.*`.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Io {
    pub devices: Vec<IoDevice>,
    pub pressure: Option<Pressure>,
}

/// A line of `io.stat`.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct IoDevice {
    pub major: u64,
    pub minor: u64,
    /// `rbytes`, `wbytes`, `rios`, `wios`, `dbytes`, `dios`.
    pub stat: Keyed,
}

/// `hugetlb.SIZE.*`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Hugetlb {
    pub current: u64,
    pub max: u64,
    /// `hugetlb.SIZE.rsvd.current`; since Linux 5.7.
    pub reserved_current: Option<u64>,
    /// How often the limit was hit.
    pub events_max: u64,
}

pub(super) fn read(dir: &Dir) -> Result<V2> {
    let pids = pids(dir)?;
    Ok(V2 {
        cpu: keyed_file(dir, "cpu.stat")?.unwrap_or_default(),
        cpu_pressure: pressure(dir, "cpu.pressure")?,
        memory: memory(dir)?,
        memory_pressure: pressure(dir, "memory.pressure")?,
        pids,
        processes: if pids.is_some() { 0 } else { processes(dir)? },
        io: io(dir)?,
        hugetlb: hugetlb(dir)?,
        rdma: rdma(dir)?,
    })
}

fn memory(dir: &Dir) -> Result<Option<Memory>> {
    let Some(stat) = keyed_file(dir, "memory.stat")? else { return Ok(None) };
    Ok(Some(Memory {
        stat,
        events: keyed_file(dir, "memory.events")?.unwrap_or_default(),
        usage: memory_use(dir, "memory")?,
        swap: memory_use(dir, "memory.swap")?,
    }))
}

fn memory_use(dir: &Dir, prefix: &str) -> Result<MemoryUse> {
    let file = |name| format!("{prefix}.{name}");
    let Some(current) = if_there(number(dir, &file("current")))? else { return Ok(MemoryUse::default()) };
    let peak = if_there(number(dir, &file("peak")))?.unwrap_or(0);
    Ok(MemoryUse { current, max: number(dir, &file("max"))?, peak })
}

fn processes(dir: &Dir) -> Result<u64> {
    let listed = match dir.read("cgroup.procs") {
        Err(err) if err.is(Errno::EOPNOTSUPP) => dir.read("cgroup.threads")?,
        listed => listed?,
    };
    Ok(listed.lines().count() as u64)
}

fn io(dir: &Dir) -> Result<Io> {
    let stat = if_there(dir.read("io.stat"))?.unwrap_or_default();
    Ok(Io { devices: io_devices(&stat), pressure: pressure(dir, "io.pressure")? })
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`
fn io_devices(stat: &str) -> Vec<IoDevice> {
    let device = |(name, pairs)| {
        let (major, minor) = text::device(name)?;
        let counted = |(key, value): (&str, &str)| Some((key.to_owned(), text::number(value)?));
        Some(IoDevice { major, minor, stat: Iterator::filter_map(pairs, counted).collect() })
    };
    text::nested(stat).filter_map(device).collect()
}

fn hugetlb(dir: &Dir) -> Result<BTreeMap<String, Hugetlb>> {
    let mut all = BTreeMap::new();
    for size in super::huge_page_sizes() {
        let file = |name| format!("hugetlb.{size}.{name}");
        let Some(current) = if_there(number(dir, &file("current")))? else { continue };
        let events = keyed_file(dir, &file("events"))?.unwrap_or_default();
        let read = Hugetlb {
            current,
            max: if_there(number(dir, &file("max")))?.unwrap_or(UNLIMITED),
            reserved_current: if_there(number(dir, &file("rsvd.current")))?,
            events_max: events.get("max").copied().unwrap_or(0),
        };
        all.insert(size, read);
    }
    Ok(all)
}

fn pressure(dir: &Dir, file: &str) -> Result<Option<Pressure>> {
    match dir.read(file) {
        Ok(content) => Ok(Some(text::pressure(&content))),
        // Not built in, not switched on, or switched off for this cgroup.
        Err(err) if err.is(Errno::ENOENT) || err.is(Errno::EOPNOTSUPP) => Ok(None),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_statistics_are_read_by_device() {
        let devices =
            io_devices("8:0 rbytes=10 wbytes=20 rios=3 wios=4 dbytes=0 dios=0\n\n8:16 \nnone a=1\n");
        assert_eq!(
            devices.iter().map(|device| (device.major, device.minor)).collect::<Vec<_>>(),
            [(8, 0), (8, 16)]
        );
        assert_eq!((devices[0].stat["rbytes"], devices[0].stat["wios"]), (10, 4));
        assert!(devices[1].stat.is_empty());
    }
}
