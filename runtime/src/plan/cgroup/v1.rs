//! Resources as writes into the cgroups of the v1 hierarchies.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxRdma, LinuxResources};

use super::limits::{self, Limits, OnFailure, Write};
use crate::error::{Error, Result};

/// Whether containers join the hierarchy of `controller`. Others, `name=mine` say, are somebody's own.
pub(super) fn joins(controller: &str) -> bool {
    is_optional(controller) || CONTROLLERS.contains(&controller)
}

/// Whether a container can do without the hierarchy of `controller`, as nothing is limited there.
pub(super) fn is_optional(controller: &str) -> bool {
    ["name=systemd", "misc", ""].contains(&controller)
}

const CONTROLLERS: [&str; 13] = [
    "cpuset",
    "devices",
    "memory",
    "cpu",
    "cpuacct",
    "pids",
    "blkio",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "freezer",
    "rdma",
];

/// The limits of a new cgroup. `has` knows the controllers of the host.
pub(super) fn limits<'a>(resources: &LinuxResources, has: &'a dyn Fn(&str) -> bool) -> Result<Limits<'a>> {
    let mut limits = Limits::new("v1", has);
    if resources.unified().as_ref().is_some_and(|unified| !unified.is_empty()) {
        let cause = "linux.resources.unified: invalid configuration: cannot use unified on cgroup v1";
        return Err(Error::unsupported(cause));
    }
    if let Some(of) = resources.memory() {
        memory(of, &mut limits)?;
    }
    if let Some(of) = resources.cpu() {
        cpuset(of, &mut limits)?;
        cpu(of, &mut limits)?;
        realtime(of, &mut limits)?;
    }
    if let Some(pids) = resources.pids() {
        let (max, field) = (limits::pids_max(pids.limit()), "linux.resources.pids.limit");
        limits.add(Write::new("pids.max", max, "limit the number of processes", field))?;
    }
    if let Some(of) = resources.block_io() {
        block_io(of, &mut limits)?;
    }
    huge_pages(resources, "limit_in_bytes", &mut limits)?;
    if let Some(of) = resources.network() {
        network(of, &mut limits)?;
    }
    rdma(resources, &mut limits)?;
    Ok(limits)
}

/// The limits that change in a cgroup that has some.
pub(super) fn changes(resources: &LinuxResources, has: &dyn Fn(&str) -> bool) -> Result<Vec<Write>> {
    let limits = limits(resources, has)?;
    Ok([limits.before_enter, limits.writes].concat())
}

/// Limits of both versions on huge pages: of use, and of reservation where the kernel knows it (5.7).
pub(super) fn huge_pages(resources: &LinuxResources, file: &str, limits: &mut Limits<'_>) -> Result<()> {
    for (index, huge) in resources.hugepage_limits().iter().flatten().enumerate() {
        let (size, limit) = (huge.page_size(), huge.limit());
        let field = format!("linux.resources.hugepageLimits[{index}]");
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::invalid(format!("{field}: {size:?} is not a page size")));
        }
        let both = [
            (format!("hugetlb.{size}.{file}"), "limit huge pages", OnFailure::Fail),
            (format!("hugetlb.{size}.rsvd.{file}"), "limit reserved huge pages", OnFailure::IgnoreMissing),
        ];
        for (file, aim, on_failure) in both {
            limits.add(Write::new(file, limit, aim, field.clone()).or(on_failure))?;
        }
    }
    Ok(())
}

/// Limits of both versions on RDMA devices, by name of the device.
pub(super) fn rdma(resources: &LinuxResources, limits: &mut Limits<'_>) -> Result<()> {
    let mut devices: Vec<_> = resources.rdma().iter().flatten().collect();
    devices.sort_by_key(|(name, _)| name.as_str());
    for (name, limit) in devices {
        if let Some(value) = rdma_max(name, limit) {
            let field = format!("linux.resources.rdma[{name:?}]");
            limits.add(Write::new("rdma.max", value, "limit an rdma device", field))?;
        }
    }
    Ok(())
}

fn rdma_max(name: &str, limit: &LinuxRdma) -> Option<String> {
    let parts = [("hca_handle", limit.hca_handles()), ("hca_object", limit.hca_objects())];
    let asked: String =
        parts.iter().filter_map(|(key, value)| value.map(|value| format!(" {key}={value}"))).collect();
    (!asked.is_empty()).then(|| format!("{name}{asked}"))
}

fn memory(of: &LinuxMemory, limits: &mut Limits<'_>) -> Result<()> {
    const LIMIT: &str = "linux.resources.memory.limit";
    const SWAP: &str = "linux.resources.memory.swap";
    const RESERVATION: &str = "linux.resources.memory.reservation";

    let limit = limits::size(of.limit(), LIMIT)?;
    let swap = limits::size(of.swap(), SWAP)?;
    // No limit on memory makes no sense below a limit on memory and swap, so that one goes too.
    let (swap, on_missing) = match (limit, swap) {
        (Some(-1), None) => (Some(-1), OnFailure::IgnoreMissing),
        (_, swap) => (swap, OnFailure::Fail),
    };
    if let Some(limit) = limit {
        let write = Write::new("memory.limit_in_bytes", limit, "limit memory", LIMIT);
        // The kernel insists that memory stays within memory and swap, so of two that rise the latter is first.
        limits.add(write.or_if(swap.is_some(), OnFailure::RetryLast))?;
    }
    if let Some(swap) = swap {
        let write = Write::new("memory.memsw.limit_in_bytes", swap, "limit memory and swap", SWAP);
        limits.add(write.or(on_missing))?;
    }
    if let Some(size) = limits::size(of.reservation(), RESERVATION)? {
        limits.add(Write::new("memory.soft_limit_in_bytes", size, "reserve memory", RESERVATION))?;
    }
    oom_and_swappiness(of, limits)?;
    kernel_memory(of, limits);
    Ok(())
}

fn oom_and_swappiness(of: &LinuxMemory, limits: &mut Limits<'_>) -> Result<()> {
    if of.disable_oom_killer() == Some(true) {
        let field = "linux.resources.memory.disableOOMKiller";
        limits.add(Write::new("memory.oom_control", 1, "keep the OOM killer out", field))?;
    }
    let field = "linux.resources.memory.swappiness";
    match of.swappiness() {
        // -1, as some callers have it, is the host's own.
        None | Some(u64::MAX) => Ok(()),
        Some(value @ 0..=100) => limits.add(Write::new("memory.swappiness", value, "tune swapping", field)),
        Some(value) => Err(Error::invalid(format!("{field}: {value} is not within 0 and 100"))),
    }
}

#[allow(deprecated)]
fn kernel_memory(of: &LinuxMemory, limits: &mut Limits<'_>) {
    let why = "the kernel has given it up";
    limits.pass_over(limits::set(of.kernel()).is_some(), "linux.resources.memory.kernel", why);
    limits.pass_over(limits::set(of.kernel_tcp()).is_some(), "linux.resources.memory.kernelTCP", why);
    let asked = limits::set(of.use_hierarchy()).is_some();
    limits.pass_over(asked, "linux.resources.memory.useHierarchy", "the kernel always does so");
}

fn cpuset(of: &LinuxCpu, limits: &mut Limits<'_>) -> Result<()> {
    // No process can join a cpuset without cpus and memory nodes.
    if let Some(cpus) = limits::set_text(of.cpus()) {
        let write = Write::new("cpuset.cpus", cpus, "choose cpus", "linux.resources.cpu.cpus");
        limits.add_before_enter(write)?;
    }
    if let Some(mems) = limits::set_text(of.mems()) {
        let write = Write::new("cpuset.mems", mems, "choose memory nodes", "linux.resources.cpu.mems");
        limits.add_before_enter(write)?;
    }
    Ok(())
}

fn cpu(of: &LinuxCpu, limits: &mut Limits<'_>) -> Result<()> {
    let quota = limits::set(of.quota());
    if let Some(shares) = limits::set(of.shares()) {
        let field = "linux.resources.cpu.shares";
        limits.add(Write::new("cpu.shares", within_kernel_range(shares, field)?, "weigh the cpu", field))?;
    }
    // A period and a burst must fit the quota, so the kernel may take them only after it.
    if let Some(period) = limits::set(of.period()) {
        let field = "linux.resources.cpu.period";
        let write = Write::new("cpu.cfs_period_us", period, "set the period of cpu time", field);
        limits.add(write.or_if(quota.is_some(), OnFailure::RetryLast))?;
    }
    if let Some(burst) = of.burst() {
        let field = "linux.resources.cpu.burst";
        let write = Write::new("cpu.cfs_burst_us", burst, "let the cpu time burst", field);
        // Kernels before 5.15 never burst.
        let write = write.or_if(burst == 0, OnFailure::IgnoreMissing);
        limits.add(write.or_if(burst != 0 && quota.is_some(), OnFailure::RetryLast))?;
    }
    if let Some(quota) = quota {
        limits.add(Write::new("cpu.cfs_quota_us", quota, "limit cpu time", "linux.resources.cpu.quota"))?;
    }
    if let Some(idle) = of.idle() {
        limits.add(Write::new("cpu.idle", idle, "schedule when idle", "linux.resources.cpu.idle"))?;
    }
    Ok(())
}

/// The kernel moves shares into its range without a word; what was asked for would not be what one gets.
fn within_kernel_range(shares: u64, field: &str) -> Result<u64> {
    match shares {
        0..2 => Err(Error::invalid(format!("{field}: the minimum allowed cpu-shares is 2"))),
        262_145.. => Err(Error::invalid(format!("{field}: the maximum allowed cpu-shares is 262144"))),
        _ => Ok(shares),
    }
}

fn realtime(of: &LinuxCpu, limits: &mut Limits<'_>) -> Result<()> {
    let runtime = limits::set(of.realtime_runtime());
    // No realtime process can join a cgroup that has no time for it. Time must fit the period.
    if let Some(period) = limits::set(of.realtime_period()) {
        let field = "linux.resources.cpu.realtimePeriod";
        let write = Write::new("cpu.rt_period_us", period, "set the period of realtime", field);
        limits.add_before_enter(write.or_if(runtime.is_some(), OnFailure::RetryLast))?;
    }
    if let Some(runtime) = runtime {
        let field = "linux.resources.cpu.realtimeRuntime";
        limits.add_before_enter(Write::new("cpu.rt_runtime_us", runtime, "allow realtime", field))?;
    }
    Ok(())
}

fn block_io(of: &LinuxBlockIo, limits: &mut Limits<'_>) -> Result<()> {
    const AIM: &str = "weigh block i/o";
    let field = "linux.resources.blockIO.weight";
    if let Some(weight) = limits::io_weight(of.weight(), field)? {
        let otherwise = OnFailure::Use("blkio.bfq.weight", weight.to_string());
        limits.add(Write::new("blkio.weight", weight, AIM, field).or(otherwise))?;
    }
    let field = "linux.resources.blockIO.leafWeight";
    if let Some(weight) = limits::io_weight(of.leaf_weight(), field)? {
        limits.add(Write::new("blkio.leaf_weight", weight, AIM, field))?;
    }
    device_weights(of, limits)?;
    for (devices, name, file) in [
        (of.throttle_read_bps_device(), "throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
        (of.throttle_write_bps_device(), "throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
        (of.throttle_read_iops_device(), "throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
        (of.throttle_write_iops_device(), "throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
    ] {
        for (index, device) in devices.iter().flatten().enumerate() {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            let field = format!("linux.resources.blockIO.{name}[{index}]");
            limits.add(Write::new(file, value, "throttle i/o of a device", field))?;
        }
    }
    Ok(())
}

fn device_weights(of: &LinuxBlockIo, limits: &mut Limits<'_>) -> Result<()> {
    const AIM: &str = "weigh i/o of a device";
    for (index, device) in of.weight_device().iter().flatten().enumerate() {
        let (major, minor) = (device.major(), device.minor());
        let field = format!("linux.resources.blockIO.weightDevice[{index}]");
        if let Some(weight) = limits::io_weight(device.weight(), &field)? {
            let value = format!("{major}:{minor} {weight}");
            let otherwise = OnFailure::Use("blkio.bfq.weight_device", value.clone());
            limits.add(Write::new("blkio.weight_device", value, AIM, field.clone()).or(otherwise))?;
        }
        if let Some(weight) = limits::io_weight(device.leaf_weight(), &field)? {
            let value = format!("{major}:{minor} {weight}");
            limits.add(Write::new("blkio.leaf_weight_device", value, AIM, field))?;
        }
    }
    Ok(())
}

fn network(of: &LinuxNetwork, limits: &mut Limits<'_>) -> Result<()> {
    if let Some(class) = limits::set(of.class_id()) {
        let field = "linux.resources.network.classID";
        limits.add(Write::new("net_cls.classid", class, "classify packets", field))?;
    }
    for (index, priority) in of.priorities().iter().flatten().enumerate() {
        let value = format!("{} {}", priority.name(), priority.priority());
        let field = format!("linux.resources.network.priorities[{index}]");
        limits.add(Write::new("net_prio.ifpriomap", value, "prioritise an interface", field))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    fn lines(json: &str) -> Vec<String> {
        let writes = changes(&resources(json), &|_| true).unwrap();
        writes.iter().map(|write| format!("{}={}", write.file, write.value)).collect()
    }

    fn error(json: &str) -> String {
        changes(&resources(json), &|_| true).unwrap_err().to_string()
    }

    #[test]
    fn memory_comes_before_memory_and_swap_and_again_after_it_if_it_must() {
        let writes = changes(&resources(r#"{"memory":{"limit":100,"swap":200}}"#), &|_| true).unwrap();
        let files: Vec<_> = writes.iter().map(|write| (write.file.as_ref(), &write.on_failure)).collect();
        assert_eq!(
            files,
            [
                ("memory.limit_in_bytes", &OnFailure::RetryLast),
                ("memory.memsw.limit_in_bytes", &OnFailure::Fail)
            ]
        );
    }

    #[test]
    fn unlimited_memory_takes_the_limit_on_swap_away_where_there_is_one() {
        let writes = changes(&resources(r#"{"memory":{"limit":-1}}"#), &|_| true).unwrap();
        assert_eq!(
            writes[1].to_string(),
            "memory.memsw.limit_in_bytes = -1: limit memory and swap (linux.resources.memory.swap)"
        );
        assert_eq!(writes[1].on_failure, OnFailure::IgnoreMissing);
    }

    #[test]
    fn every_resource_has_its_file() {
        let json = r#"{
            "memory":{"limit":100,"reservation":50,"swappiness":10,"disableOOMKiller":true},
            "cpu":{"shares":512,"quota":-1,"period":100000,"burst":0,"idle":1,"cpus":"0-1","mems":"0",
                "realtimeRuntime":9,"realtimePeriod":10},
            "pids":{"limit":-1},
            "blockIO":{"weight":10,"leafWeight":20,
                "weightDevice":[{"major":8,"minor":0,"weight":30,"leafWeight":40}],
                "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}],
                "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":2}],
                "throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":3}],
                "throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":0}]},
            "hugepageLimits":[{"pageSize":"1GB","limit":0}],
            "network":{"classID":1048577,"priorities":[{"name":"eth0","priority":500}]}}"#;
        assert_eq!(
            lines(json),
            [
                "cpuset.cpus=0-1",
                "cpuset.mems=0",
                "cpu.rt_period_us=10",
                "cpu.rt_runtime_us=9",
                "memory.limit_in_bytes=100",
                "memory.soft_limit_in_bytes=50",
                "memory.oom_control=1",
                "memory.swappiness=10",
                "cpu.shares=512",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_burst_us=0",
                "cpu.cfs_quota_us=-1",
                "cpu.idle=1",
                "pids.max=max",
                "blkio.weight=10",
                "blkio.leaf_weight=20",
                "blkio.weight_device=8:0 30",
                "blkio.leaf_weight_device=8:0 40",
                "blkio.throttle.read_bps_device=8:0 1",
                "blkio.throttle.write_bps_device=8:0 2",
                "blkio.throttle.read_iops_device=8:0 3",
                "blkio.throttle.write_iops_device=8:0 0",
                "hugetlb.1GB.limit_in_bytes=0",
                "hugetlb.1GB.rsvd.limit_in_bytes=0",
                "net_cls.classid=1048577",
                "net_prio.ifpriomap=eth0 500",
            ]
        );
    }

    #[test]
    fn values_that_the_kernel_would_bend_are_refused() {
        assert!(error(r#"{"cpu":{"shares":1}}"#).contains("minimum allowed cpu-shares is 2"));
        assert!(error(r#"{"cpu":{"shares":262145}}"#).contains("maximum allowed cpu-shares is 262144"));
        assert!(error(r#"{"memory":{"swappiness":101}}"#).contains("101 is not within 0 and 100"));
        assert!(error(r#"{"unified":{"memory.max":"1"}}"#).contains("cannot use unified on cgroup v1"));
        assert!(error(r#"{"hugepageLimits":[{"pageSize":"../2MB","limit":0}]}"#).contains("not a page size"));
        assert_eq!(lines(r#"{"memory":{"swappiness":18446744073709551615},"unified":{}}"#), [""; 0]);
    }
}
