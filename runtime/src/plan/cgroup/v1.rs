//! Resources as writes into the cgroups of the v1 hierarchies.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources};

use super::both;
use super::limits::{self, Collector, Limits, OnFailure, Write};
use crate::error::{Error, Result};

/// Whether containers join the hierarchy of `controller`. Any other hierarchy, `name=mine` say, belongs to some
/// program.
pub(super) fn joins(controller: &str) -> bool {
    is_optional(controller) || CONTROLLERS.contains(&controller)
}

/// Whether a container can do without the hierarchy of `controller`, because nothing is limited there.
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
pub(super) fn limits(resources: &LinuxResources, has: &dyn Fn(&str) -> bool) -> Result<Limits> {
    let mut limits = Collector::new("v1", has);
    if resources.unified().as_ref().is_some_and(|unified| !unified.is_empty()) {
        let cause = "linux.resources.unified: invalid configuration: cannot use unified on cgroup v1";
        return Err(Error::unsupported(cause));
    }
    if let Some(asked) = resources.memory() {
        memory(asked, &mut limits)?;
    }
    if let Some(asked) = resources.cpu() {
        cpuset(asked, &mut limits)?;
        cpu(asked, &mut limits)?;
        realtime(asked, &mut limits)?;
    }
    both::pids(resources, &mut limits)?;
    if let Some(asked) = resources.block_io() {
        block_io(asked, &mut limits)?;
    }
    both::huge_pages(resources, "limit_in_bytes", &mut limits)?;
    if let Some(asked) = resources.network() {
        network(asked, &mut limits)?;
    }
    both::rdma(resources, &mut limits)?;
    Ok(limits.finish())
}

/// The limits that change in a cgroup that has some.
pub(super) fn changes(resources: &LinuxResources, has: &dyn Fn(&str) -> bool) -> Result<Vec<Write>> {
    let limits = limits(resources, has)?;
    Ok([limits.before_enter, limits.writes].concat())
}

fn memory(memory: &LinuxMemory, limits: &mut Collector<'_>) -> Result<()> {
    const LIMIT: &str = "linux.resources.memory.limit";
    const SWAP: &str = "linux.resources.memory.swap";
    const RESERVATION: &str = "linux.resources.memory.reservation";

    let limit = limits::size(memory.limit(), LIMIT)?;
    let swap = limits::size(memory.swap(), SWAP)?;
    // Unlimited memory makes no sense while memory and swap are limited together, so the limit on both is lifted too.
    let (swap, on_missing) = match (limit, swap) {
        (Some(-1), None) => (Some(-1), OnFailure::IgnoreMissing),
        (_, swap) => (swap, OnFailure::Fail),
    };
    if let Some(limit) = limit {
        let write = Write::new("memory.limit_in_bytes", limit, "limit memory", LIMIT);
        // The kernel wants the limit on memory within the limit on memory and swap, so the wider limit rises first.
        limits.add(write.or_if(swap.is_some(), OnFailure::RetryLast))?;
    }
    if let Some(swap) = swap {
        let write = Write::new("memory.memsw.limit_in_bytes", swap, "limit memory and swap", SWAP);
        limits.add(write.or(on_missing))?;
    }
    if let Some(size) = limits::size(memory.reservation(), RESERVATION)? {
        limits.add(Write::new("memory.soft_limit_in_bytes", size, "reserve memory", RESERVATION))?;
    }
    oom_and_swappiness(memory, limits)?;
    kernel_memory(memory, limits);
    Ok(())
}

fn oom_and_swappiness(memory: &LinuxMemory, limits: &mut Collector<'_>) -> Result<()> {
    if memory.disable_oom_killer() == Some(true) {
        let field = "linux.resources.memory.disableOOMKiller";
        limits.add(Write::new("memory.oom_control", 1, "keep the OOM killer out", field))?;
    }
    let field = "linux.resources.memory.swappiness";
    match memory.swappiness() {
        // Some callers send -1, which leaves the host's own setting.
        None | Some(u64::MAX) => Ok(()),
        Some(value @ 0..=100) => limits.add(Write::new("memory.swappiness", value, "tune swapping", field)),
        Some(value) => Err(Error::invalid(format!("{field}: {value} is not within 0 and 100"))),
    }
}

#[allow(deprecated)]
fn kernel_memory(memory: &LinuxMemory, limits: &mut Collector<'_>) {
    let why = "the kernel has given it up";
    limits.pass_over(limits::set(memory.kernel()).is_some(), "linux.resources.memory.kernel", why);
    limits.pass_over(limits::set(memory.kernel_tcp()).is_some(), "linux.resources.memory.kernelTCP", why);
    let asked = limits::set(memory.use_hierarchy()).is_some();
    limits.pass_over(asked, "linux.resources.memory.useHierarchy", "the kernel always does so");
}

fn cpuset(cpu: &LinuxCpu, limits: &mut Collector<'_>) -> Result<()> {
    // No process can join a cpuset without cpus and memory nodes.
    if let Some(cpus) = limits::set_text(cpu.cpus()) {
        let write = Write::new("cpuset.cpus", cpus, "choose cpus", "linux.resources.cpu.cpus");
        limits.add_before_enter(write)?;
    }
    if let Some(mems) = limits::set_text(cpu.mems()) {
        let write = Write::new("cpuset.mems", mems, "choose memory nodes", "linux.resources.cpu.mems");
        limits.add_before_enter(write)?;
    }
    Ok(())
}

fn cpu(cpu: &LinuxCpu, limits: &mut Collector<'_>) -> Result<()> {
    let quota = limits::set(cpu.quota());
    if let Some(shares) = limits::set(cpu.shares()) {
        let field = "linux.resources.cpu.shares";
        limits.add(Write::new("cpu.shares", within_kernel_range(shares, field)?, "weigh the cpu", field))?;
    }
    // A period and a burst must fit the quota: the kernel may take them only after the new quota.
    if let Some(period) = limits::set(cpu.period()) {
        let field = "linux.resources.cpu.period";
        let write = Write::new("cpu.cfs_period_us", period, "set the period of cpu time", field);
        limits.add(write.or_if(quota.is_some(), OnFailure::RetryLast))?;
    }
    if let Some(burst) = cpu.burst() {
        let field = "linux.resources.cpu.burst";
        let write = Write::new("cpu.cfs_burst_us", burst, "let the cpu time burst", field);
        // Kernels before 5.15 never burst.
        let write = write.or_if(burst == 0, OnFailure::IgnoreMissing);
        limits.add(write.or_if(burst != 0 && quota.is_some(), OnFailure::RetryLast))?;
    }
    if let Some(quota) = quota {
        limits.add(Write::new("cpu.cfs_quota_us", quota, "limit cpu time", "linux.resources.cpu.quota"))?;
    }
    if let Some(idle) = cpu.idle() {
        limits.add(Write::new("cpu.idle", idle, "schedule when idle", "linux.resources.cpu.idle"))?;
    }
    Ok(())
}

/// The kernel moves shares into its range without a word. An error is better than other shares than were asked for.
fn within_kernel_range(shares: u64, field: &str) -> Result<u64> {
    match shares {
        0..2 => Err(Error::invalid(format!("{field}: the minimum allowed cpu-shares is 2"))),
        262_145.. => Err(Error::invalid(format!("{field}: the maximum allowed cpu-shares is 262144"))),
        _ => Ok(shares),
    }
}

fn realtime(cpu: &LinuxCpu, limits: &mut Collector<'_>) -> Result<()> {
    let runtime = limits::set(cpu.realtime_runtime());
    // No realtime process can join a cgroup without realtime. The kernel checks runtime and period against each other,
    // so a period that doesn't fit yet is written again last.
    if let Some(period) = limits::set(cpu.realtime_period()) {
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

fn block_io(block_io: &LinuxBlockIo, limits: &mut Collector<'_>) -> Result<()> {
    const AIM: &str = "weigh block i/o";
    let field = "linux.resources.blockIO.weight";
    if let Some(weight) = limits::io_weight(block_io.weight(), field)? {
        let otherwise = OnFailure::Use("blkio.bfq.weight", weight.to_string());
        limits.add(Write::new("blkio.weight", weight, AIM, field).or(otherwise))?;
    }
    let field = "linux.resources.blockIO.leafWeight";
    if let Some(weight) = limits::io_weight(block_io.leaf_weight(), field)? {
        limits.add(Write::new("blkio.leaf_weight", weight, AIM, field))?;
    }
    device_weights(block_io, limits)?;
    for (devices, name, file) in [
        (block_io.throttle_read_bps_device(), "throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
        (block_io.throttle_write_bps_device(), "throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
        (block_io.throttle_read_iops_device(), "throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
        (
            block_io.throttle_write_iops_device(),
            "throttleWriteIOPSDevice",
            "blkio.throttle.write_iops_device",
        ),
    ] {
        for (index, device) in devices.iter().flatten().enumerate() {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            let field = format!("linux.resources.blockIO.{name}[{index}]");
            limits.add(Write::new(file, value, "throttle i/o of a device", field))?;
        }
    }
    Ok(())
}

fn device_weights(block_io: &LinuxBlockIo, limits: &mut Collector<'_>) -> Result<()> {
    const AIM: &str = "weigh i/o of a device";
    for (index, device) in block_io.weight_device().iter().flatten().enumerate() {
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

fn network(network: &LinuxNetwork, limits: &mut Collector<'_>) -> Result<()> {
    if let Some(class) = limits::set(network.class_id()) {
        let field = "linux.resources.network.classID";
        limits.add(Write::new("net_cls.classid", class, "classify packets", field))?;
    }
    for (index, priority) in network.priorities().iter().flatten().enumerate() {
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
