//! What a container's cgroup has used, in the form of runc's `events --stats`. This form has the names of cgroup v1;
//! the readings of v2 are fitted into it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::apply::cgroup::readings::{
    self, Keyed, Pressure, PressureLine, Readings, UNLIMITED, V1, V2, v1, v2,
};

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
    pub cpus: Vec<usize>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<usize>,
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

/// Nothing: what a resctrl group has used is not read.
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

impl From<&Readings> for Stats {
    fn from(readings: &Readings) -> Stats {
        match readings {
            Readings::V1(v1) => of_v1(v1),
            Readings::V2(v2) => of_v2(v2),
        }
    }
}

fn of_v1(read: &V1) -> Stats {
    Stats {
        cpu: Cpu {
            usage: read.cpuacct.as_ref().map_or_else(CpuUsage::default, cpu_usage),
            throttling: throttling(&read.cpu, value(&read.cpu, "throttled_time")),
            psi: None,
        },
        cpuset: read.cpuset.as_ref().map_or_else(Cpuset::default, cpuset),
        memory: read.memory.as_ref().map_or_else(Memory::default, memory_of_v1),
        pids: pids(read.pids),
        blkio: blkio_of_v1(&read.blkio),
        hugetlb: read.hugetlb.iter().map(|(size, read)| (size.clone(), hugetlb_of_v1(read))).collect(),
        ..Stats::default()
    }
}

fn cpu_usage(read: &v1::Cpuacct) -> CpuUsage {
    let nanoseconds = |ticks: u64| ticks.saturating_mul(v1::Cpuacct::TICK_NSEC);
    CpuUsage {
        total: read.usage_nsec,
        percpu: read.usage_percpu_nsec.clone(),
        percpu_kernel: read.system_percpu_nsec.clone(),
        percpu_user: read.user_percpu_nsec.clone(),
        kernel: nanoseconds(read.system_ticks),
        user: nanoseconds(read.user_ticks),
    }
}

fn cpuset(read: &v1::Cpuset) -> Cpuset {
    Cpuset {
        cpus: read.cpus.clone(),
        cpu_exclusive: read.cpu_exclusive,
        mems: read.mems.clone(),
        mem_hardwall: read.mem_hardwall,
        mem_exclusive: read.mem_exclusive,
        memory_migrate: read.memory_migrate,
        memory_spread_page: read.memory_spread_page,
        memory_spread_slab: read.memory_spread_slab,
        memory_pressure: read.memory_pressure,
        sched_load_balance: read.sched_load_balance,
        sched_relax_domain_level: read.sched_relax_domain_level,
    }
}

fn memory_of_v1(read: &v1::Memory) -> Memory {
    let each = |read: v1::MemoryUse| MemoryUse {
        limit: read.limit,
        usage: read.usage,
        max: read.max_usage,
        failcnt: read.failcnt,
    };
    Memory {
        cache: value(&read.stat, "cache"),
        usage: each(read.usage),
        swap: each(read.memsw),
        kernel: each(read.kmem),
        kernel_tcp: each(read.kmem_tcp),
        raw: read.stat.clone(),
        psi: None,
    }
}

fn blkio_of_v1(read: &v1::Blkio) -> Blkio {
    let entry = |read: &v1::BlkioEntry| BlkioEntry {
        major: read.major,
        minor: read.minor,
        op: read.op.clone(),
        value: read.value,
    };
    let table = |read: &[v1::BlkioEntry]| read.iter().map(entry).collect();
    Blkio {
        io_service_bytes_recursive: table(&read.io_service_bytes),
        io_serviced_recursive: table(&read.io_serviced),
        io_queued_recursive: table(&read.io_queued),
        io_service_time_recursive: table(&read.io_service_time),
        io_wait_time_recursive: table(&read.io_wait_time),
        io_merged_recursive: table(&read.io_merged),
        io_time_recursive: table(&read.time),
        sectors_recursive: table(&read.sectors),
        psi: None,
    }
}

/// The reserved pages where the kernel counts reservations, elsewhere the used ones.
fn hugetlb_of_v1(read: &v1::Hugetlb) -> Hugetlb {
    let read = read.reserved.unwrap_or(read.usage);
    Hugetlb { usage: read.usage, max: read.max_usage, failcnt: read.failcnt }
}

fn of_v2(read: &V2) -> Stats {
    let nanoseconds = |key| value(&read.cpu, key).saturating_mul(1000);
    Stats {
        cpu: Cpu {
            usage: CpuUsage {
                total: nanoseconds("usage_usec"),
                kernel: nanoseconds("system_usec"),
                user: nanoseconds("user_usec"),
                ..CpuUsage::default()
            },
            throttling: throttling(&read.cpu, nanoseconds("throttled_usec")),
            psi: read.cpu_pressure.map(psi),
        },
        memory: Memory {
            psi: read.memory_pressure.map(psi),
            ..read.memory.as_ref().map_or_else(Memory::default, memory_of_v2)
        },
        pids: match read.pids {
            None => Pids { current: read.processes, limit: 0 },
            counted => pids(counted),
        },
        blkio: Blkio { psi: read.io.pressure.map(psi), ..blkio_of_v2(&read.io.devices) },
        hugetlb: read.hugetlb.iter().map(|(size, read)| (size.clone(), hugetlb_of_v2(read))).collect(),
        ..Stats::default()
    }
}

fn memory_of_v2(read: &v2::Memory) -> Memory {
    let v2::MemoryUse { current, max, peak } = read.usage;
    let swap = MemoryUse {
        usage: read.swap.current.saturating_add(current),
        limit: read.swap.max.saturating_add(max),
        // The peaks of memory and of swap needn't have been at the same time, so there is no peak of both.
        ..MemoryUse::default()
    };
    let usage = MemoryUse { limit: max, usage: current, max: peak, failcnt: 0 };
    Memory { cache: value(&read.stat, "file"), usage, swap, raw: read.stat.clone(), ..Memory::default() }
}

fn blkio_of_v2(devices: &[v2::IoDevice]) -> Blkio {
    let table = |read: &str, write: &str| {
        let entries = devices.iter().flat_map(|device| {
            let entry = |key, op: &str| {
                let v2::IoDevice { major, minor, .. } = *device;
                Some(BlkioEntry { major, minor, op: op.to_owned(), value: *device.stat.get(key)? })
            };
            [entry(read, "Read"), entry(write, "Write")]
        });
        entries.flatten().collect()
    };
    Blkio {
        io_service_bytes_recursive: table("rbytes", "wbytes"),
        io_serviced_recursive: table("rios", "wios"),
        ..Blkio::default()
    }
}

/// The reserved pages where the kernel counts reservations, elsewhere the used ones.
fn hugetlb_of_v2(read: &v2::Hugetlb) -> Hugetlb {
    Hugetlb { usage: read.reserved_current.unwrap_or(read.current), max: 0, failcnt: read.events_max }
}

fn throttling(stat: &Keyed, throttled_time: u64) -> Throttling {
    Throttling {
        periods: value(stat, "nr_periods"),
        throttled_periods: value(stat, "nr_throttled"),
        throttled_time,
    }
}

fn pids(read: Option<readings::Pids>) -> Pids {
    let limit = |max| if max == UNLIMITED { 0 } else { max };
    read.map_or_else(Pids::default, |read| Pids { current: read.current, limit: limit(read.max) })
}

fn psi(read: Pressure) -> Psi {
    let line = |read: PressureLine| PsiLine {
        avg10: read.avg10,
        avg60: read.avg60,
        avg300: read.avg300,
        total: read.total_usec,
    };
    Psi { some: line(read.some), full: line(read.full) }
}

/// 0 if the kernel has no such line.
fn value(stat: &Keyed, key: &str) -> u64 {
    stat.get(key).copied().unwrap_or(0)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Go writes `0` where serde writes `0.0`.
fn as_go_does<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
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

    fn keyed(lines: &[(&str, u64)]) -> Keyed {
        lines.iter().map(|(key, value)| (key.to_string(), *value)).collect()
    }

    #[test]
    fn readings_of_v1_keep_their_tables_and_units() {
        let entry = v1::BlkioEntry { major: 8, minor: 0, op: "Read".into(), value: 7 };
        let plain = v1::HugetlbUse { usage: 1, max_usage: 2, failcnt: 3 };
        let reserved = v1::HugetlbUse { usage: 4, max_usage: 5, failcnt: 6 };
        let read = V1 {
            cpuacct: Some(v1::Cpuacct { usage_nsec: 9, system_ticks: 2, ..v1::Cpuacct::default() }),
            cpu: keyed(&[("nr_throttled", 1), ("throttled_time", 50)]),
            memory: Some(v1::Memory {
                stat: keyed(&[("cache", 11)]),
                memsw: v1::MemoryUse { usage: 12, max_usage: 13, failcnt: 14, limit: 15 },
                ..v1::Memory::default()
            }),
            pids: Some(readings::Pids { current: 3, max: UNLIMITED }),
            blkio: v1::Blkio { time: vec![entry], ..v1::Blkio::default() },
            hugetlb: [
                ("1GB".to_owned(), v1::Hugetlb { usage: plain, reserved: None }),
                ("2MB".to_owned(), v1::Hugetlb { usage: plain, reserved: Some(reserved) }),
            ]
            .into(),
            ..V1::default()
        };
        let stats = Stats::from(&Readings::V1(Box::new(read)));
        assert_eq!((stats.cpu.usage.total, stats.cpu.usage.kernel), (9, 20_000_000));
        assert_eq!(stats.cpu.throttling, Throttling { periods: 0, throttled_periods: 1, throttled_time: 50 });
        assert_eq!(stats.memory.cache, 11);
        assert_eq!(stats.memory.swap, MemoryUse { limit: 15, usage: 12, max: 13, failcnt: 14 });
        assert_eq!(stats.pids, Pids { current: 3, limit: 0 });
        assert_eq!(stats.blkio.io_time_recursive[0].value, 7);
        let pages = |size| (stats.hugetlb[size].usage, stats.hugetlb[size].max, stats.hugetlb[size].failcnt);
        assert_eq!((pages("1GB"), pages("2MB")), ((1, 2, 3), (4, 5, 6)));
    }

    #[test]
    fn readings_of_v2_are_put_into_the_tables_and_units_of_v1() {
        let device = v2::IoDevice {
            major: 8,
            minor: 16,
            stat: keyed(&[("rbytes", 10), ("wbytes", 20), ("rios", 3), ("wios", 4), ("dios", 5)]),
        };
        let line = PressureLine { total_usec: 9, ..PressureLine::default() };
        let read = V2 {
            cpu: keyed(&[("usage_usec", 7), ("throttled_usec", 2)]),
            cpu_pressure: Some(Pressure { some: line, ..Pressure::default() }),
            memory: Some(v2::Memory {
                stat: keyed(&[("file", 1)]),
                usage: v2::MemoryUse { current: 100, max: 200, peak: 150 },
                swap: v2::MemoryUse { current: 5, max: UNLIMITED, peak: 50 },
                ..v2::Memory::default()
            }),
            processes: 2,
            io: v2::Io { devices: vec![device], pressure: None },
            hugetlb: [(
                "2MB".to_owned(),
                v2::Hugetlb { current: 1, events_max: 2, ..v2::Hugetlb::default() },
            )]
            .into(),
            ..V2::default()
        };
        let stats = Stats::from(&Readings::V2(Box::new(read)));
        assert_eq!((stats.cpu.usage.total, stats.cpu.throttling.throttled_time), (7000, 2000));
        assert_eq!(stats.cpu.psi.unwrap_or_default().some.total, 9);
        assert_eq!(stats.memory.usage, MemoryUse { limit: 200, usage: 100, max: 150, failcnt: 0 });
        assert_eq!(stats.memory.swap, MemoryUse { limit: UNLIMITED, usage: 105, max: 0, failcnt: 0 });
        assert_eq!((stats.memory.cache, stats.memory.psi), (1, None));
        assert_eq!(stats.pids, Pids { current: 2, limit: 0 });
        let entry = |op: &str, value| BlkioEntry { major: 8, minor: 16, op: op.to_owned(), value };
        assert_eq!(stats.blkio.io_service_bytes_recursive, [entry("Read", 10), entry("Write", 20)]);
        assert_eq!(stats.blkio.io_serviced_recursive, [entry("Read", 3), entry("Write", 4)]);
        assert_eq!(stats.hugetlb["2MB"], Hugetlb { usage: 1, max: 0, failcnt: 2 });
    }
}
