//! What a container's cgroup has used, in the words of runc's `events --stats`.

mod v1;
mod v2;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Serialize, Serializer};

use crate::error::{Errno, Error, Result};
use crate::plan::cgroup::CgroupPaths;
use crate::sys::cgroupfs::Dir;

/// The `data` of an event of type `stats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // Each field is the kernel's or runc's word for itself.
pub struct Stats {
    pub cpu: Cpu,
    pub cpuset: Cpuset,
    pub memory: Memory,
    pub pids: Pids,
    pub blkio: Blkio,
    pub hugetlb: BTreeMap<String, Hugetlb>,
    pub intel_rdt: IntelRdt,
    pub network_interfaces: Option<Vec<NetworkInterface>>,
}

/// CPU time in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Cpu {
    #[serde(skip_serializing_if = "is_default")]
    pub usage: CpuUsage,
    #[serde(skip_serializing_if = "is_default")]
    pub throttling: Throttling,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// CPU time in nanoseconds; `percpu*` on v1 only.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct CpuUsage {
    #[serde(skip_serializing_if = "is_default")]
    pub total: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    pub kernel: u64,
    pub user: u64,
}

/// How often and, in nanoseconds, how long a quota has stopped the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Throttling {
    #[serde(skip_serializing_if = "is_default")]
    pub periods: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_periods: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_time: u64,
}

/// Pressure: the share of time in which some or all processes waited for a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Psi {
    #[serde(skip_serializing_if = "is_default")]
    pub some: PsiLine,
    #[serde(skip_serializing_if = "is_default")]
    pub full: PsiLine,
}

/// Percentages over 10, 60 and 300 seconds, and microseconds in all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct PsiLine {
    #[serde(serialize_with = "as_go_does")]
    pub avg10: f64,
    #[serde(serialize_with = "as_go_does")]
    pub avg60: f64,
    #[serde(serialize_with = "as_go_does")]
    pub avg300: f64,
    pub total: u64,
}

/// The settings of a v1 cpuset; on v2 nothing of it is filled in.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Cpuset {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory in bytes; `swap` is memory and swap together, as on v1.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Memory {
    #[serde(skip_serializing_if = "is_default")]
    pub cache: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub usage: MemoryUse,
    #[serde(skip_serializing_if = "is_default")]
    pub swap: MemoryUse,
    #[serde(skip_serializing_if = "is_default")]
    pub kernel: MemoryUse,
    #[serde(rename = "kernelTCP", skip_serializing_if = "is_default")]
    pub kernel_tcp: MemoryUse,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One kind of memory, in bytes; `failcnt` counts how often the limit was hit. No limit is `u64::MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct MemoryUse {
    pub limit: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    pub failcnt: u64,
}

/// Processes and threads; a limit of 0 is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Pids {
    #[serde(skip_serializing_if = "is_default")]
    pub current: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub limit: u64,
}

/// Block I/O by device, in v1's tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Blkio {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub io_queued_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One number of one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct BlkioEntry {
    #[serde(skip_serializing_if = "is_default")]
    pub major: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub minor: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    #[serde(skip_serializing_if = "is_default")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Hugetlb {
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    pub failcnt: u64,
}

/// Nothing: a container has no resctrl group.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IntelRdt {}

/// Traffic of one network interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct NetworkInterface {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

pub(super) fn read(paths: &CgroupPaths) -> Result<Stats> {
    match paths.get(CgroupPaths::UNIFIED) {
        Some(path) if paths.is_v2() => v2::read(&Dir::open(path)?),
        _ => v1::read(|controller| open_if_there(paths.get(controller))),
    }
}

fn open_if_there(path: Option<&Path>) -> Result<Option<Dir>> {
    path.map_or(Ok(None), |path| if_there(Dir::open(path)))
}

/// The lines `KEY NUMBER` of a file. Numbers that the kernel lets drop below 0 by mistake count as 0.
pub(super) fn keyed(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, parse(value)?))
    })
}

/// The value of `key` among the lines of a file; 0 if it isn't there.
fn value_of(text: &str, key: &str) -> u64 {
    keyed(text).find(|(known, _)| *known == key).map_or(0, |(_, value)| value)
}

fn parse(value: &str) -> Option<u64> {
    match value.trim() {
        "max" => Some(u64::MAX),
        negative if negative.starts_with('-') => Some(0),
        value => value.parse().ok(),
    }
}

/// A file with one number; `max` is `u64::MAX`.
fn number(dir: &Dir, file: &str) -> Result<u64> {
    let text = dir.read(file)?;
    parse(&text).ok_or_else(|| unexpected(file, &text))
}

/// A file that an older kernel, or one configured otherwise, doesn't have.
fn if_there<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(err) if err.is(Errno::ENOENT) => Ok(None),
        Err(err) => Err(err),
    }
}

fn unexpected(file: &str, text: &str) -> Error {
    Error::internal(format!("{file} says {:?}", text.lines().next().unwrap_or_default()))
}

/// The sizes of huge pages of this host as cgroup files spell them: `2MB`.
fn huge_page_sizes() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let mut sizes: Vec<u64> = entries.filter_map(|entry| kilobytes(entry.file_name().to_str()?)).collect();
    sizes.sort_unstable();
    sizes.into_iter().map(spell).collect()
}

fn kilobytes(directory: &str) -> Option<u64> {
    directory.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()
}

fn spell(kilobytes: u64) -> String {
    match kilobytes {
        0x10_0000.. => format!("{}GB", kilobytes >> 20),
        0x400.. => format!("{}MB", kilobytes >> 10),
        _ => format!("{kilobytes}KB"),
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Go writes `0` where serde writes `0.0`.
fn as_go_does<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => serializer.serialize_i64(*value as i64),
        false => serializer.serialize_f64(*value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_statistics_have_the_shape_that_runc_gives_them() {
        assert_eq!(
            serde_json::to_string(&Stats::default()).unwrap(),
            "{\"cpu\":{},\"cpuset\":{\"cpu_exclusive\":0,\"mem_hardwall\":0,\"mem_exclusive\":0,\
             \"memory_migrate\":0,\"memory_spread_page\":0,\"memory_spread_slab\":0,\"memory_pressure\":0,\
             \"sched_load_balance\":0,\"sched_relax_domain_level\":0},\"memory\":{},\"pids\":{},\"blkio\":{},\
             \"hugetlb\":{},\"intel_rdt\":{},\"network_interfaces\":null}"
        );
    }

    #[test]
    fn names_are_those_of_runc() {
        let entry = BlkioEntry { major: 8, minor: 0, op: "Read".into(), value: 5 };
        let blkio = Blkio { io_queued_recursive: vec![entry], ..Blkio::default() };
        assert_eq!(
            serde_json::to_string(&blkio).unwrap(),
            r#"{"ioQueueRecursive":[{"major":8,"op":"Read","value":5}]}"#
        );
        let psi = PsiLine { avg10: 0.0, avg60: 1.5, avg300: 2.0, total: 7 };
        let cpu = Cpu {
            usage: CpuUsage { total: 3, percpu_user: vec![1, 2], ..CpuUsage::default() },
            throttling: Throttling { throttled_periods: 4, ..Throttling::default() },
            psi: Some(Psi { some: psi, full: PsiLine::default() }),
        };
        assert_eq!(
            serde_json::to_string(&cpu).unwrap(),
            "{\"usage\":{\"total\":3,\"percpu_user\":[1,2],\"kernel\":0,\"user\":0},\
             \"throttling\":{\"throttledPeriods\":4},\
             \"psi\":{\"some\":{\"avg10\":0,\"avg60\":1.5,\"avg300\":2,\"total\":7}}}"
        );
    }

    #[test]
    fn huge_page_sizes_are_spelled_as_in_file_names() {
        let sizes = ["hugepages-64kB", "hugepages-2048kB", "hugepages-1048576kB", "other"];
        let sizes: Vec<_> = sizes.iter().filter_map(|name| kilobytes(name)).map(spell).collect();
        assert_eq!(sizes, ["64KB", "2MB", "1GB"]);
    }

    #[test]
    fn numbers_below_zero_and_unlimited_ones() {
        let values: Vec<_> = keyed("a 1\nb -5\nc max\nnonsense\n").collect();
        assert_eq!(values, [("a", 1), ("b", 0), ("c", u64::MAX)]);
    }
}
