//! What a container uses, in the messages that containerd's clients decode: one for cgroups of v1, in nanoseconds, and
//! one for v2, in microseconds.
//!
//! A controller that the container has no cgroup of is left out. No limit is the highest number, except that v1 says 0
//! for processes, as its readers expect.

use std::path::Path;

use containerd_shim_protos::cgroups::metrics as of_v1;
use containerd_shim_protos::cgroups_v2::metrics as of_v2;
use corten::container::Readings;
use corten::container::readings::{
    self, Keyed, Pressure, PressureLine, Rdma, RdmaDevice, UNLIMITED, V1, V2, v1, v2,
};
use protobuf::{Message, MessageField};

use crate::refusal::Refusal;

/// The type, as containerd registers it, and the bytes of the message.
pub fn encoded(readings: &Readings) -> Result<(&'static str, Vec<u8>), Refusal> {
    let (kind, bytes) = match readings {
        Readings::V1(read) => {
            ("io.containerd.cgroups.v1.Metrics", metrics_of_v1(read, device_name).write_to_bytes())
        }
        Readings::V2(read) => ("io.containerd.cgroups.v2.Metrics", metrics_of_v2(read).write_to_bytes()),
    };
    let bytes = bytes.map_err(|err| Refusal::unknown(format!("encode {kind}: {err}")))?;
    Ok((kind, bytes))
}

fn metrics_of_v2(read: &V2) -> of_v2::Metrics {
    of_v2::Metrics {
        pids: MessageField::some(match read.pids {
            Some(pids) => of_v2::PidsStat { current: pids.current, limit: pids.max, ..Default::default() },
            None => of_v2::PidsStat { current: read.processes, ..Default::default() },
        }),
        cpu: MessageField::some(of_v2::CPUStat {
            usage_usec: value(&read.cpu, "usage_usec"),
            user_usec: value(&read.cpu, "user_usec"),
            system_usec: value(&read.cpu, "system_usec"),
            nr_periods: value(&read.cpu, "nr_periods"),
            nr_throttled: value(&read.cpu, "nr_throttled"),
            throttled_usec: value(&read.cpu, "throttled_usec"),
            nr_bursts: value(&read.cpu, "nr_bursts"),
            burst_usec: value(&read.cpu, "burst_usec"),
            psi: psi(read.cpu_pressure),
            ..Default::default()
        }),
        memory: some(read.memory.as_ref(), |memory| memory_of_v2(memory, read.memory_pressure)),
        memory_events: some(read.memory.as_ref(), |memory| memory_events(&memory.events)),
        io: MessageField::some(of_v2::IOStat {
            usage: read.io.devices.iter().map(io_entry).collect(),
            psi: psi(read.io.pressure),
            ..Default::default()
        }),
        rdma: some(present(&read.rdma), |rdma| of_v2::RdmaStat {
            current: rdma.current.iter().map(rdma_of_v2).collect(),
            limit: rdma.max.iter().map(rdma_of_v2).collect(),
            ..Default::default()
        }),
        hugetlb: read.hugetlb.iter().map(hugetlb_of_v2).collect(),
        ..Default::default()
    }
}

fn memory_of_v2(read: &v2::Memory, pressure: Option<Pressure>) -> of_v2::MemoryStat {
    let stat = |key| value(&read.stat, key);
    // Since Linux 5.9 counted apart.
    let both = |anon, file, together| stat(together) + stat(anon) + stat(file);
    of_v2::MemoryStat {
        anon: stat("anon"),
        file: stat("file"),
        kernel_stack: stat("kernel_stack"),
        slab: stat("slab"),
        sock: stat("sock"),
        shmem: stat("shmem"),
        file_mapped: stat("file_mapped"),
        file_dirty: stat("file_dirty"),
        file_writeback: stat("file_writeback"),
        anon_thp: stat("anon_thp"),
        inactive_anon: stat("inactive_anon"),
        active_anon: stat("active_anon"),
        inactive_file: stat("inactive_file"),
        active_file: stat("active_file"),
        unevictable: stat("unevictable"),
        slab_reclaimable: stat("slab_reclaimable"),
        slab_unreclaimable: stat("slab_unreclaimable"),
        pgfault: stat("pgfault"),
        pgmajfault: stat("pgmajfault"),
        workingset_refault: both("workingset_refault_anon", "workingset_refault_file", "workingset_refault"),
        workingset_activate: both(
            "workingset_activate_anon",
            "workingset_activate_file",
            "workingset_activate",
        ),
        workingset_nodereclaim: stat("workingset_nodereclaim"),
        pgrefill: stat("pgrefill"),
        pgscan: stat("pgscan"),
        pgsteal: stat("pgsteal"),
        pgactivate: stat("pgactivate"),
        pgdeactivate: stat("pgdeactivate"),
        pglazyfree: stat("pglazyfree"),
        pglazyfreed: stat("pglazyfreed"),
        thp_fault_alloc: stat("thp_fault_alloc"),
        thp_collapse_alloc: stat("thp_collapse_alloc"),
        usage: read.usage.current,
        usage_limit: read.usage.max,
        max_usage: read.usage.peak,
        swap_usage: read.swap.current,
        swap_limit: read.swap.max,
        swap_max_usage: read.swap.peak,
        psi: psi(pressure),
        ..Default::default()
    }
}

fn memory_events(events: &Keyed) -> of_v2::MemoryEvents {
    of_v2::MemoryEvents {
        low: value(events, "low"),
        high: value(events, "high"),
        max: value(events, "max"),
        oom: value(events, "oom"),
        oom_kill: value(events, "oom_kill"),
        oom_group_kill: value(events, "oom_group_kill"),
        ..Default::default()
    }
}

fn io_entry(device: &v2::IoDevice) -> of_v2::IOEntry {
    of_v2::IOEntry {
        major: device.major,
        minor: device.minor,
        rbytes: value(&device.stat, "rbytes"),
        wbytes: value(&device.stat, "wbytes"),
        rios: value(&device.stat, "rios"),
        wios: value(&device.stat, "wios"),
        ..Default::default()
    }
}

fn hugetlb_of_v2((size, read): (&String, &v2::Hugetlb)) -> of_v2::HugeTlbStat {
    of_v2::HugeTlbStat {
        current: read.current,
        max: read.max,
        failcnt: read.events_max,
        pagesize: size.clone(),
        ..Default::default()
    }
}

fn rdma_of_v2((device, read): (&String, &RdmaDevice)) -> of_v2::RdmaEntry {
    of_v2::RdmaEntry {
        device: device.clone(),
        hca_handles: narrow(read.hca_handle),
        hca_objects: narrow(read.hca_object),
        ..Default::default()
    }
}

fn psi(read: Option<Pressure>) -> MessageField<of_v2::PSIStats> {
    let line = |line: PressureLine| {
        MessageField::some(of_v2::PSIData {
            avg10: line.avg10,
            avg60: line.avg60,
            avg300: line.avg300,
            total: line.total_usec,
            ..Default::default()
        })
    };
    let both = |read: Pressure| of_v2::PSIStats {
        some: line(read.some),
        full: line(read.full),
        ..Default::default()
    };
    MessageField::from_option(read.map(both))
}

fn metrics_of_v1(read: &V1, device_name: impl Fn(u64, u64) -> String) -> of_v1::Metrics {
    of_v1::Metrics {
        cpu: MessageField::some(of_v1::CPUStat {
            usage: some(read.cpuacct.as_ref(), cpu_usage),
            throttling: MessageField::some(of_v1::Throttle {
                periods: value(&read.cpu, "nr_periods"),
                throttled_periods: value(&read.cpu, "nr_throttled"),
                throttled_time: value(&read.cpu, "throttled_time"),
                ..Default::default()
            }),
            ..Default::default()
        }),
        memory: field(read.memory.as_ref(), memory_of_v1),
        memory_oom_control: field(read.memory.as_ref(), |memory| of_v1::MemoryOomControl {
            oom_kill_disable: memory.oom_control.oom_kill_disable,
            under_oom: memory.oom_control.under_oom,
            oom_kill: memory.oom_control.oom_kill,
            ..Default::default()
        }),
        pids: field(read.pids.as_ref(), |pids: &readings::Pids| of_v1::PidsStat {
            current: pids.current,
            limit: if pids.max == UNLIMITED { 0 } else { pids.max },
            ..Default::default()
        }),
        blkio: MessageField::some(blkio(&read.blkio, device_name)),
        hugetlb: read.hugetlb.iter().map(hugetlb_of_v1).collect(),
        rdma: field(present(&read.rdma), |rdma| of_v1::RdmaStat {
            current: rdma.current.iter().map(rdma_of_v1).collect(),
            limit: rdma.max.iter().map(rdma_of_v1).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn cpu_usage(read: &v1::Cpuacct) -> of_v1::CPUUsage {
    let nanoseconds = |ticks: u64| ticks.saturating_mul(v1::Cpuacct::TICK_NSEC);
    of_v1::CPUUsage {
        total: read.usage_nsec,
        kernel: nanoseconds(read.system_ticks),
        user: nanoseconds(read.user_ticks),
        per_cpu: read.usage_percpu_nsec.clone(),
        ..Default::default()
    }
}

fn memory_of_v1(read: &v1::Memory) -> of_v1::MemoryStat {
    let stat = |key| value(&read.stat, key);
    of_v1::MemoryStat {
        cache: stat("cache"),
        rss: stat("rss"),
        rss_huge: stat("rss_huge"),
        mapped_file: stat("mapped_file"),
        dirty: stat("dirty"),
        writeback: stat("writeback"),
        pg_pg_in: stat("pgpgin"),
        pg_pg_out: stat("pgpgout"),
        pg_fault: stat("pgfault"),
        pg_maj_fault: stat("pgmajfault"),
        inactive_anon: stat("inactive_anon"),
        active_anon: stat("active_anon"),
        inactive_file: stat("inactive_file"),
        active_file: stat("active_file"),
        unevictable: stat("unevictable"),
        hierarchical_memory_limit: stat("hierarchical_memory_limit"),
        hierarchical_swap_limit: stat("hierarchical_memsw_limit"),
        total_cache: stat("total_cache"),
        total_rss: stat("total_rss"),
        total_rss_huge: stat("total_rss_huge"),
        total_mapped_file: stat("total_mapped_file"),
        total_dirty: stat("total_dirty"),
        total_writeback: stat("total_writeback"),
        total_pg_pg_in: stat("total_pgpgin"),
        total_pg_pg_out: stat("total_pgpgout"),
        total_pg_fault: stat("total_pgfault"),
        total_pg_maj_fault: stat("total_pgmajfault"),
        total_inactive_anon: stat("total_inactive_anon"),
        total_active_anon: stat("total_active_anon"),
        total_inactive_file: stat("total_inactive_file"),
        total_active_file: stat("total_active_file"),
        total_unevictable: stat("total_unevictable"),
        usage: memory_entry(read.usage),
        swap: memory_entry(read.memsw),
        kernel: memory_entry(read.kmem),
        kernel_tcp: memory_entry(read.kmem_tcp),
        ..Default::default()
    }
}

fn memory_entry(read: v1::MemoryUse) -> MessageField<of_v1::MemoryEntry> {
    MessageField::some(of_v1::MemoryEntry {
        limit: read.limit,
        usage: read.usage,
        max: read.max_usage,
        failcnt: read.failcnt,
        ..Default::default()
    })
}

fn blkio(read: &v1::Blkio, device_name: impl Fn(u64, u64) -> String) -> of_v1::BlkIOStat {
    let entry = |read: &v1::BlkioEntry| of_v1::BlkIOEntry {
        op: read.op.clone(),
        device: device_name(read.major, read.minor),
        major: read.major,
        minor: read.minor,
        value: read.value,
        ..Default::default()
    };
    let table = |read: &[v1::BlkioEntry]| read.iter().map(entry).collect();
    of_v1::BlkIOStat {
        io_service_bytes_recursive: table(&read.io_service_bytes),
        io_serviced_recursive: table(&read.io_serviced),
        io_queued_recursive: table(&read.io_queued),
        io_service_time_recursive: table(&read.io_service_time),
        io_wait_time_recursive: table(&read.io_wait_time),
        io_merged_recursive: table(&read.io_merged),
        io_time_recursive: table(&read.time),
        sectors_recursive: table(&read.sectors),
        ..Default::default()
    }
}

fn hugetlb_of_v1((size, read): (&String, &v1::Hugetlb)) -> of_v1::HugetlbStat {
    of_v1::HugetlbStat {
        usage: read.usage.usage,
        max: read.usage.max_usage,
        failcnt: read.usage.failcnt,
        pagesize: size.clone(),
        ..Default::default()
    }
}

fn rdma_of_v1((device, read): (&String, &RdmaDevice)) -> of_v1::RdmaEntry {
    of_v1::RdmaEntry {
        device: device.clone(),
        hca_handles: narrow(read.hca_handle),
        hca_objects: narrow(read.hca_object),
        ..Default::default()
    }
}

/// The path of a block device, or nothing if the kernel knows it no more.
fn device_name(major: u64, minor: u64) -> String {
    let named = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}"));
    let name = named.ok().and_then(|path| Some(Path::new("/dev").join(path.file_name()?)));
    name.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A message that is there even if nothing was read: containerd's own shim never leaves it out, and nerdctl ends in a
/// panic without it.
fn some<T, M: Default>(read: Option<&T>, message: impl FnOnce(&T) -> M) -> MessageField<M> {
    MessageField::some(read.map(message).unwrap_or_default())
}

fn field<T, M>(read: Option<&T>, message: impl FnOnce(&T) -> M) -> MessageField<M> {
    MessageField::from_option(read.map(message))
}

/// A host without such devices has nothing to tell.
fn present(read: &Rdma) -> Option<&Rdma> {
    (*read != Rdma::default()).then_some(read)
}

/// 0 if the kernel has no such line.
fn value(stat: &Keyed, key: &str) -> u64 {
    stat.get(key).copied().unwrap_or(0)
}

/// The messages hold 32 bits of what the kernel counts in an int.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(lines: &[(&str, u64)]) -> Keyed {
        lines.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
    }

    fn rdma() -> Rdma {
        let device = |hca_handle, hca_object| {
            [("mlx4_0".to_owned(), RdmaDevice { hca_handle, hca_object })].into_iter().collect()
        };
        Rdma { current: device(1, 2), max: device(3, UNLIMITED) }
    }

    /// Encodes as the shim does, and decodes as a client does.
    fn decoded_v2(read: V2) -> of_v2::Metrics {
        let (kind, bytes) = encoded(&Readings::V2(Box::new(read))).unwrap();
        assert_eq!(kind, "io.containerd.cgroups.v2.Metrics");
        of_v2::Metrics::parse_from_bytes(&bytes).unwrap()
    }

    fn decoded_v1(read: V1) -> of_v1::Metrics {
        let (kind, bytes) = encoded(&Readings::V1(Box::new(read))).unwrap();
        assert_eq!(kind, "io.containerd.cgroups.v1.Metrics");
        of_v1::Metrics::parse_from_bytes(&bytes).unwrap()
    }

    #[test]
    fn v2_keeps_microseconds_and_the_highest_number_for_no_limit() {
        let line = PressureLine { avg10: 0.5, avg60: 0.25, avg300: 0.125, total_usec: 7 };
        let pressure = Some(Pressure { some: line, full: PressureLine::default() });
        let use_of = |current, max, peak| v2::MemoryUse { current, max, peak };
        let metrics = decoded_v2(V2 {
            cpu: keyed(&[("usage_usec", 1), ("user_usec", 2), ("system_usec", 3), ("nr_bursts", 4)]),
            cpu_pressure: pressure,
            pids: Some(readings::Pids { current: 3, max: UNLIMITED }),
            memory: Some(v2::Memory {
                stat: keyed(&[("anon", 10), ("workingset_refault_anon", 1), ("workingset_refault_file", 2)]),
                events: keyed(&[("max", 5), ("oom_kill", 6)]),
                usage: use_of(100, UNLIMITED, 200),
                swap: use_of(1, 2, 3),
            }),
            rdma: rdma(),
            ..V2::default()
        });
        assert_eq!((metrics.pids.current, metrics.pids.limit), (3, u64::MAX));
        let cpu = &metrics.cpu;
        assert_eq!((cpu.usage_usec, cpu.user_usec, cpu.system_usec, cpu.nr_bursts), (1, 2, 3, 4));
        assert_eq!((cpu.psi.some.avg10, cpu.psi.some.avg300, cpu.psi.some.total), (0.5, 0.125, 7));
        let memory = &metrics.memory;
        assert_eq!((memory.anon, memory.workingset_refault), (10, 3));
        assert_eq!((memory.usage, memory.usage_limit, memory.max_usage), (100, u64::MAX, 200));
        assert_eq!((memory.swap_usage, memory.swap_limit, memory.swap_max_usage), (1, 2, 3));
        assert!(memory.psi.is_none());
        assert_eq!((metrics.memory_events.max, metrics.memory_events.oom_kill), (5, 6));
        assert_eq!((metrics.rdma.current[0].hca_objects, metrics.rdma.limit[0].hca_objects), (2, u32::MAX));
    }

    #[test]
    fn v2_devices_and_huge_pages() {
        let stat = keyed(&[("rbytes", 1), ("wbytes", 2), ("rios", 3), ("wios", 4), ("dbytes", 5)]);
        let huge = v2::Hugetlb { current: 2, max: UNLIMITED, reserved_current: Some(9), events_max: 1 };
        let metrics = decoded_v2(V2 {
            io: v2::Io { devices: vec![v2::IoDevice { major: 8, minor: 16, stat }], pressure: None },
            hugetlb: [("2MB".to_owned(), huge)].into_iter().collect(),
            ..V2::default()
        });
        let entry = &metrics.io.usage[0];
        assert_eq!((entry.major, entry.minor, entry.rbytes, entry.wios), (8, 16, 1, 4));
        let huge = &metrics.hugetlb[0];
        assert_eq!((huge.pagesize.as_str(), huge.current, huge.max, huge.failcnt), ("2MB", 2, u64::MAX, 1));
    }

    #[test]
    fn controllers_that_are_not_there_have_empty_messages_where_clients_look_for_them() {
        let metrics = decoded_v2(V2 { processes: 4, ..V2::default() });
        assert_eq!(metrics.pids.current, 4);
        assert!(metrics.memory.is_some() && metrics.memory_events.is_some() && metrics.rdma.is_some());
        let metrics = decoded_v1(V1::default());
        assert!(metrics.memory.is_none() && metrics.pids.is_none());
        assert!(metrics.cpu.usage.is_some() && metrics.cpu.throttling.is_some());
    }

    #[test]
    fn v1_counts_nanoseconds() {
        let metrics = decoded_v1(V1 {
            cpuacct: Some(v1::Cpuacct {
                usage_nsec: 1_234,
                usage_percpu_nsec: vec![1_000, 234],
                user_ticks: 3,
                system_ticks: 5,
                ..v1::Cpuacct::default()
            }),
            cpu: keyed(&[("nr_periods", 1), ("nr_throttled", 2), ("throttled_time", 3)]),
            pids: Some(readings::Pids { current: 2, max: UNLIMITED }),
            ..V1::default()
        });
        let usage = &metrics.cpu.usage;
        assert_eq!((usage.total, usage.user, usage.kernel), (1_234, 30_000_000, 50_000_000));
        assert_eq!(usage.per_cpu, [1_000, 234]);
        let throttling = &metrics.cpu.throttling;
        assert_eq!((throttling.periods, throttling.throttled_periods, throttling.throttled_time), (1, 2, 3));
        assert_eq!((metrics.pids.current, metrics.pids.limit), (2, 0));
    }

    #[test]
    fn v1_memory_and_block_devices() {
        let used =
            |usage| v1::MemoryUse { usage, max_usage: usage + 1, failcnt: usage + 2, limit: usage + 3 };
        let read = V1 {
            memory: Some(v1::Memory {
                stat: keyed(&[("total_rss", 5), ("pgpgin", 6), ("hierarchical_memsw_limit", 7)]),
                usage: used(10),
                memsw: used(20),
                kmem: used(30),
                kmem_tcp: used(40),
                oom_control: v1::OomControl { oom_kill: 2, ..v1::OomControl::default() },
            }),
            blkio: v1::Blkio {
                io_serviced: vec![v1::BlkioEntry { major: 8, minor: 0, op: "Read".into(), value: 9 }],
                ..v1::Blkio::default()
            },
            rdma: rdma(),
            ..V1::default()
        };
        let metrics = metrics_of_v1(&read, |major, minor| format!("/dev/of-{major}-{minor}"));
        let memory = &metrics.memory;
        assert_eq!((memory.total_rss, memory.pg_pg_in, memory.hierarchical_swap_limit), (5, 6, 7));
        let usage = &memory.usage;
        assert_eq!((usage.usage, usage.max, usage.failcnt, usage.limit), (10, 11, 12, 13));
        assert_eq!((memory.swap.usage, memory.kernel.usage, memory.kernel_tcp.usage), (20, 30, 40));
        assert_eq!(metrics.memory_oom_control.oom_kill, 2);
        let entry = &metrics.blkio.io_serviced_recursive[0];
        assert_eq!((entry.op.as_str(), entry.device.as_str(), entry.value), ("Read", "/dev/of-8-0", 9));
        assert_eq!(metrics.rdma.limit[0].hca_handles, 3);
    }
}
