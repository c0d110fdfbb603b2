//! Resources as writes into a v2 cgroup.
//!
//! The spec speaks of v1. A value with another name or scale on v2 is converted. A value without a counterpart is an
//! error, unless engines send it by habit: then it is passed over, with a note.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources, LinuxThrottleDevice,
};

use super::both;
use super::limits::{self, Collector, Limits, OnFailure, Value, Write};
use crate::error::{Error, Result};

/// The limits of a new cgroup. `has` knows the controllers of the host.
pub(super) fn limits(resources: &LinuxResources, has: &dyn Fn(&str) -> bool) -> Result<Limits> {
    let Limits { writes, notes, .. } = translate(resources, Cgroup::New, has)?;
    // The kernel maps the nodes of a process's memory policy, and moves its pages, when its cpuset changes.
    let (before_enter, writes) = writes.into_iter().partition(|write| write.controller == "cpuset");
    Ok(Limits { before_enter, writes, notes })
}

/// The limits that change in a cgroup that has some.
pub(super) fn changes(resources: &LinuxResources, has: &dyn Fn(&str) -> bool) -> Result<Vec<Write>> {
    Ok(translate(resources, Cgroup::InUse, has)?.writes)
}

/// Whether the cgroup has limits already. Where two limits belong together, a change of the first has to fit the
/// standing value of the second.
#[derive(Clone, Copy, PartialEq)]
enum Cgroup {
    New,
    InUse,
}

fn translate(resources: &LinuxResources, cgroup: Cgroup, has: &dyn Fn(&str) -> bool) -> Result<Limits> {
    let mut limits = Collector::new("v2", has);
    both::pids(resources, &mut limits)?;
    if let Some(asked) = resources.memory() {
        memory(asked, cgroup, &mut limits)?;
    }
    if let Some(asked) = resources.block_io() {
        block_io(asked, &mut limits)?;
    }
    if let Some(asked) = resources.cpu() {
        cpu(asked, cgroup, &mut limits)?;
        cpuset(asked, &mut limits)?;
    }
    both::huge_pages(resources, "max", &mut limits)?;
    both::rdma(resources, &mut limits)?;
    if let Some(asked) = resources.network() {
        network(asked, &mut limits);
    }
    unified(resources, &mut limits)?;
    Ok(limits.finish())
}

fn memory(memory: &LinuxMemory, cgroup: Cgroup, limits: &mut Collector<'_>) -> Result<()> {
    const LIMIT: &str = "linux.resources.memory.limit";
    const SWAP: &str = "linux.resources.memory.swap";
    const RESERVATION: &str = "linux.resources.memory.reservation";

    let limit = limits::size(memory.limit(), LIMIT)?;
    // Swap first: lowering memory pushes pages out, and they need somewhere to go.
    if let Some(value) = swap_max(limit, limits::size(memory.swap(), SWAP)?, cgroup)? {
        let nothing_to_limit = match &value {
            Value::Text(text) => text == "0" || text == "max",
            Value::SwapBesideLimit(_) => true,
            _ => false,
        };
        let write = Write::with("memory.swap.max", value, "limit swap", SWAP);
        limits.add(write.or_if(nothing_to_limit, OnFailure::IgnoreMissing))?;
    }
    if let Some(limit) = limit {
        let write = Write::new("memory.max", or_max(limit), "limit memory", LIMIT);
        let checked = memory.check_before_update().unwrap_or(false) && limit > 0;
        limits.add(if checked { write.above("memory.current") } else { write })?;
    }
    if let Some(reservation) = limits::size(memory.reservation(), RESERVATION)? {
        limits.add(Write::new("memory.low", or_max(reservation), "reserve memory", RESERVATION))?;
    }
    memory_of_v1(memory, limits);
    Ok(())
}

/// The spec's `swap` is the total of memory and swap, v2's is swap alone.
fn swap_max(limit: Option<i64>, total: Option<i64>, cgroup: Cgroup) -> Result<Option<Value>> {
    const FIELD: &str = "linux.resources.memory.swap";
    Ok(match (limit, total) {
        (None, None) => None,
        (_, Some(-1)) | (Some(-1), None) => Some(Value::text("max")),
        (Some(-1), Some(total)) => Some(Value::text(total)),
        (Some(limit), Some(total)) if total < limit => {
            return Err(Error::invalid(format!("{FIELD}: memory+swap limit should be >= memory limit")));
        }
        (Some(limit), Some(total)) => Some(Value::text(total - limit)),
        (None, Some(total)) if cgroup == Cgroup::InUse => Some(Value::SwapInTotal(total.unsigned_abs())),
        (None, Some(_)) => {
            return Err(Error::invalid(format!("{FIELD}: unable to set swap limit without memory limit")));
        }
        (Some(limit), None) if cgroup == Cgroup::InUse => Some(Value::SwapBesideLimit(limit.unsigned_abs())),
        (Some(_), None) => None,
    })
}

#[allow(deprecated)]
fn memory_of_v1(memory: &LinuxMemory, limits: &mut Collector<'_>) {
    let given = limits::set(memory.kernel()).is_some();
    limits.pass_over(given, "linux.resources.memory.kernel", NOT_ON_V2);
    let given = limits::set(memory.kernel_tcp()).is_some();
    limits.pass_over(given, "linux.resources.memory.kernelTCP", NOT_ON_V2);
    limits.pass_over(memory.swappiness().is_some(), "linux.resources.memory.swappiness", NOT_ON_V2);
    let given = limits::set(memory.disable_oom_killer()).is_some();
    limits.pass_over(given, "linux.resources.memory.disableOOMKiller", NOT_ON_V2);
    let given = limits::set(memory.use_hierarchy()).is_some();
    limits.pass_over(given, "linux.resources.memory.useHierarchy", "cgroup v2 always does so");
}

fn cpu(cpu: &LinuxCpu, cgroup: Cgroup, limits: &mut Collector<'_>) -> Result<()> {
    let (quota, period) = (limits::set(cpu.quota()), limits::set(cpu.period()));
    if let Some(shares) = limits::set(cpu.shares()) {
        let write =
            Write::new("cpu.weight", cpu_weight(shares), "weigh the cpu", "linux.resources.cpu.shares");
        // An idle cgroup takes no weight, so an update that ends the idling writes the weight afterwards.
        limits.add(write.or_if(cpu.idle().is_some(), OnFailure::RetryLast))?;
    }
    if let Some(idle) = cpu.idle() {
        limits.add(Write::new("cpu.idle", idle, "schedule when idle", "linux.resources.cpu.idle"))?;
    }
    if let Some(burst) = cpu.burst() {
        let write = Write::new("cpu.max.burst", burst, "let the cpu time burst", "linux.resources.cpu.burst");
        // A burst must fit the quota.
        limits.add(write.or_if(quota.is_some(), OnFailure::RetryLast))?;
    }
    if let Some((value, field)) = cpu_max(quota, period, cgroup) {
        limits.add(Write::with("cpu.max", value, "limit cpu time", field))?;
    }
    let given = limits::set(cpu.realtime_runtime()).is_some();
    limits.pass_over(given, "linux.resources.cpu.realtimeRuntime", NOT_ON_V2);
    let given = limits::set(cpu.realtime_period()).is_some();
    limits.pass_over(given, "linux.resources.cpu.realtimePeriod", NOT_ON_V2);
    Ok(())
}

fn cpu_max(quota: Option<i64>, period: Option<u64>, cgroup: Cgroup) -> Option<(Value, &'static str)> {
    const QUOTA: &str = "linux.resources.cpu.quota";
    const PERIOD: &str = "linux.resources.cpu.period";
    let quota_text = quota.map(|quota| if quota > 0 { quota.to_string() } else { "max".to_owned() });
    match (quota_text, period, cgroup) {
        (None, None, _) => None,
        (Some(quota), Some(period), _) => Some((Value::text(format!("{quota} {period}")), QUOTA)),
        // Without a period in the text, the kernel leaves the period as it is: 100000 in a new cgroup.
        (Some(quota), None, _) => Some((Value::text(quota), QUOTA)),
        (None, Some(period), Cgroup::New) => Some((Value::text(format!("max {period}")), PERIOD)),
        (None, Some(period), Cgroup::InUse) => Some((Value::PeriodForQuota(period), PERIOD)),
    }
}

fn cpuset(cpu: &LinuxCpu, limits: &mut Collector<'_>) -> Result<()> {
    if let Some(cpus) = limits::set_text(cpu.cpus()) {
        limits.add(Write::new("cpuset.cpus", cpus, "choose cpus", "linux.resources.cpu.cpus"))?;
    }
    if let Some(mems) = limits::set_text(cpu.mems()) {
        limits.add(Write::new("cpuset.mems", mems, "choose memory nodes", "linux.resources.cpu.mems"))?;
    }
    Ok(())
}

fn block_io(block_io: &LinuxBlockIo, limits: &mut Collector<'_>) -> Result<()> {
    const WEIGHT: &str = "linux.resources.blockIO.weight";
    const LEAF_WEIGHT: &str = "linux.resources.blockIO.leafWeight";

    refuse_leaf_weight(block_io.leaf_weight(), LEAF_WEIGHT)?;
    if let Some(weight) = limits::io_weight(block_io.weight(), WEIGHT)? {
        // The BFQ scheduler has the spec's scale and a file of its own.
        let otherwise = OnFailure::Use("io.weight", io_weight(weight).to_string());
        limits.add(Write::new("io.bfq.weight", weight, "weigh block i/o", WEIGHT).or(otherwise))?;
    }
    for (index, device) in block_io.weight_device().iter().flatten().enumerate() {
        let field = format!("linux.resources.blockIO.weightDevice[{index}]");
        refuse_leaf_weight(device.leaf_weight(), &field)?;
        let Some(weight) = limits::io_weight(device.weight(), &field)? else { continue };
        let (major, minor) = (device.major(), device.minor());
        let otherwise = OnFailure::Use("io.weight", format!("{major}:{minor} {}", io_weight(weight)));
        let value = format!("{major}:{minor} {weight}");
        let write = Write::new("io.bfq.weight", value, "weigh i/o of a device", field);
        limits.add(write.or(otherwise))?;
    }
    for (devices, name, key) in [
        (block_io.throttle_read_bps_device(), "throttleReadBpsDevice", "rbps"),
        (block_io.throttle_write_bps_device(), "throttleWriteBpsDevice", "wbps"),
        (block_io.throttle_read_iops_device(), "throttleReadIOPSDevice", "riops"),
        (block_io.throttle_write_iops_device(), "throttleWriteIOPSDevice", "wiops"),
    ] {
        for (index, device) in devices.iter().flatten().enumerate() {
            let field = format!("linux.resources.blockIO.{name}[{index}]");
            limits.add(Write::new("io.max", io_max(device, key), "throttle i/o of a device", field))?;
        }
    }
    Ok(())
}

fn refuse_leaf_weight(weight: Option<u16>, field: &str) -> Result<()> {
    match limits::set(weight) {
        None => Ok(()),
        Some(_) => Err(Error::unsupported(format!("{field}: leafWeight has no counterpart on cgroup v2"))),
    }
}

fn io_max(device: &LinuxThrottleDevice, key: &str) -> String {
    // On v1, 0 takes the limit away.
    let rate = if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
    format!("{}:{} {key}={rate}", device.major(), device.minor())
}

fn network(network: &LinuxNetwork, limits: &mut Collector<'_>) {
    limits.pass_over(limits::set(network.class_id()).is_some(), "linux.resources.network.classID", NOT_ON_V2);
    let given = network.priorities().as_ref().is_some_and(|priorities| !priorities.is_empty());
    limits.pass_over(given, "linux.resources.network.priorities", NOT_ON_V2);
}

/// `linux.resources.unified`: file names and texts. They are written last, so that they win. In a text of several
/// lines, each line is a command.
fn unified(resources: &LinuxResources, limits: &mut Collector<'_>) -> Result<()> {
    let mut entries: Vec<_> = resources.unified().iter().flatten().collect();
    entries.sort();
    for (file, text) in entries {
        let field = format!("linux.resources.unified[{file:?}]");
        if file.contains('/') || !file.contains('.') {
            return Err(Error::invalid(format!("{field}: not a file name of the form CONTROLLER.PARAMETER")));
        }
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            // Not checked against the host's controllers: `cpu.pressure`, say, needs none.
            limits.add_unchecked(Write::new(file.clone(), line, "set a v2 parameter", field.clone()));
        }
    }
    Ok(())
}

/// Shares of v1 (2 to 262144, by default 1024) as weight of v2 (1 to 10000, by default 100). runc and crun settled on
/// this curve through the three points.
fn cpu_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
        }
    }
}

/// Weight of v1 (10 to 1000) as weight of v2 (1 to 10000), in proportion.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

fn or_max(size: i64) -> String {
    if size < 0 { "max".to_owned() } else { size.to_string() }
}

const NOT_ON_V2: &str = "cgroup v2 has no such thing";

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "cpuset cpu io memory hugetlb pids rdma misc";

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    fn has(controller: &str) -> bool {
        ALL.split(' ').any(|known| known == controller)
    }

    fn lines(json: &str) -> Vec<String> {
        short(&limits(&resources(json), &has).unwrap().writes)
    }

    fn changes_of(json: &str) -> Vec<String> {
        short(&changes(&resources(json), &has).unwrap())
    }

    fn short(writes: &[Write]) -> Vec<String> {
        writes.iter().map(|write| format!("{}={}", write.file, write.value)).collect()
    }

    fn error(json: &str) -> String {
        limits(&resources(json), &has).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn swap_is_the_total_less_memory() {
        let both =
            |limit: i64, swap: i64| lines(&format!(r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#));
        assert_eq!(both(100, 300), ["memory.swap.max=200", "memory.max=100"]);
        assert_eq!(both(100, 100), ["memory.swap.max=0", "memory.max=100"]);
        assert_eq!(both(100, -1), ["memory.swap.max=max", "memory.max=100"]);
        assert_eq!(both(100, 0), ["memory.max=100"]);
        assert_eq!(both(-1, 0), ["memory.swap.max=max", "memory.max=max"]);
        assert_eq!(both(-1, 300), ["memory.swap.max=300", "memory.max=max"]);
        assert_eq!(both(0, -1), ["memory.swap.max=max"]);
        assert_eq!(both(0, 0), Vec::<String>::new());
        assert!(error(r#"{"memory":{"swap":5}}"#).contains("swap limit without memory limit"));
        assert!(error(r#"{"memory":{"limit":6,"swap":5}}"#).contains("memory+swap limit should be >="));
        assert!(error(r#"{"memory":{"limit":-6}}"#).contains("linux.resources.memory.limit: -6"));
    }

    #[test]
    fn missing_swap_accounting_matters_only_where_swap_is_limited() {
        let on_failure = |json| limits(&resources(json), &has).unwrap().writes[0].on_failure.clone();
        assert_eq!(on_failure(r#"{"memory":{"limit":5,"swap":5}}"#), OnFailure::IgnoreMissing);
        assert_eq!(on_failure(r#"{"memory":{"limit":5,"swap":-1}}"#), OnFailure::IgnoreMissing);
        assert_eq!(on_failure(r#"{"memory":{"limit":5,"swap":6}}"#), OnFailure::Fail);
    }

    #[test]
    fn update_of_one_half_of_memory_and_swap_keeps_the_other() {
        assert_eq!(changes_of(r#"{"memory":{"swap":300}}"#), ["memory.swap.max=300 - <memory.max>"]);
        assert_eq!(
            changes_of(r#"{"memory":{"limit":300}}"#),
            ["memory.swap.max=<memory.swap.max> + <memory.max> - 300", "memory.max=300"]
        );
        assert_eq!(
            changes_of(r#"{"memory":{"limit":100,"swap":300}}"#),
            ["memory.swap.max=200", "memory.max=100"]
        );
    }

    #[test]
    fn check_before_update_is_a_condition_on_the_limit() {
        let writes =
            changes(&resources(r#"{"memory":{"limit":9,"swap":9,"checkBeforeUpdate":true}}"#), &has).unwrap();
        assert_eq!(writes[1].must_exceed, Some("memory.current"));
    }

    #[test]
    fn shares_become_weight_along_the_agreed_curve() {
        let weights: Vec<u64> =
            [1, 2, 3, 256, 512, 1024, 2048, 262_143, 262_144, u64::MAX].into_iter().map(cpu_weight).collect();
        assert_eq!(weights, [1, 1, 2, 35, 59, 100, 174, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn quota_and_period_share_a_file() {
        assert_eq!(lines(r#"{"cpu":{"quota":50000,"period":200000}}"#), ["cpu.max=50000 200000"]);
        assert_eq!(lines(r#"{"cpu":{"quota":50000}}"#), ["cpu.max=50000"]);
        assert_eq!(lines(r#"{"cpu":{"period":200000}}"#), ["cpu.max=max 200000"]);
        assert_eq!(lines(r#"{"cpu":{"quota":-1,"period":200000}}"#), ["cpu.max=max 200000"]);
        assert_eq!(changes_of(r#"{"cpu":{"period":200000}}"#), ["cpu.max=<its quota> 200000"]);
        assert_eq!(changes_of(r#"{"cpu":{"quota":-1}}"#), ["cpu.max=max"]);
        assert_eq!(changes_of(r#"{"cpu":{"quota":0,"period":0,"shares":0}}"#), Vec::<String>::new());
    }

    #[test]
    fn burst_may_have_to_wait_for_its_quota_and_weight_for_the_end_of_idling() {
        let writes = limits(&resources(r#"{"cpu":{"quota":5,"burst":1,"idle":0,"shares":7}}"#), &has);
        let failures: Vec<_> = writes.unwrap().writes.into_iter().map(|write| write.on_failure).collect();
        assert_eq!(failures, [OnFailure::RetryLast, OnFailure::Fail, OnFailure::RetryLast, OnFailure::Fail]);
        let writes = limits(&resources(r#"{"cpu":{"burst":1}}"#), &has).unwrap().writes;
        assert_eq!(writes[0].on_failure, OnFailure::Fail);
    }

    #[test]
    fn block_io_is_converted_where_bfq_is_not_there() {
        let json = r#"{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":10}],
            "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1000}],
            "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":0}]}}"#;
        assert_eq!(
            lines(json),
            ["io.bfq.weight=500", "io.bfq.weight=8:0 10", "io.max=8:0 rbps=1000", "io.max=8:16 wiops=max"]
        );
        let writes = limits(&resources(json), &has).unwrap().writes;
        assert_eq!(writes[0].on_failure, OnFailure::Use("io.weight", "4950".to_owned()));
        assert_eq!(writes[1].on_failure, OnFailure::Use("io.weight", "8:0 1".to_owned()));
        assert_eq!(io_weight(1000), 10_000);
        assert!(error(r#"{"blockIO":{"weight":5}}"#).contains("5 is not within 10 and 1000"));
        assert!(error(r#"{"blockIO":{"leafWeight":50}}"#).contains("no counterpart on cgroup v2"));
    }

    #[test]
    fn huge_pages_limit_use_and_where_known_reservation() {
        let json = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":209715200}]}"#;
        assert_eq!(lines(json), ["hugetlb.2MB.max=209715200", "hugetlb.2MB.rsvd.max=209715200"]);
        let writes = limits(&resources(json), &has).unwrap().writes;
        assert_eq!(writes[1].on_failure, OnFailure::IgnoreMissing);
    }

    #[test]
    fn unified_comes_last_by_name_and_line_by_line() {
        let json = r#"{"unified":{"memory.high":"5","io.max":"8:0 rbps=1\n8:16 rbps=2\n"},
            "rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000},"mlx4_0":{"hcaObjects":1}},
            "pids":{"limit":0}}"#;
        assert_eq!(
            lines(json),
            [
                "pids.max=max",
                "rdma.max=mlx4_0 hca_object=1",
                "rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
                "io.max=8:0 rbps=1",
                "io.max=8:16 rbps=2",
                "memory.high=5",
            ]
        );
        assert!(error(r#"{"unified":{"a/b.c":"5"}}"#).contains(r#"linux.resources.unified["a/b.c"]"#));
        assert!(error(r#"{"unified":{"memory":"5"}}"#).contains("CONTROLLER.PARAMETER"));
    }

    #[test]
    fn fields_of_v1_are_noted_and_never_written() {
        let limits = limits(
            &resources(
                r#"{"memory":{"kernel":1,"kernelTCP":1,"swappiness":0,"disableOOMKiller":true,"useHierarchy":true},
                    "cpu":{"realtimeRuntime":1,"realtimePeriod":1},
                    "network":{"classID":1,"priorities":[{"name":"eth0","priority":1}]}}"#,
            ),
            &has,
        )
        .unwrap();
        assert_eq!(limits.writes, []);
        assert_eq!(limits.notes.len(), 9, "{:?}", limits.notes);
    }

    #[test]
    fn missing_controller_is_named_with_the_field() {
        let err = limits(&resources(r#"{"memory":{"limit":5}}"#), &|_| false).map(drop).unwrap_err();
        let text = "linux.resources.memory.limit: the memory controller is not there (cgroup v2)";
        assert_eq!(err.to_string(), text);
        assert!(limits(&resources(r#"{"memory":{},"cpu":{}}"#), &|_| false).is_ok());
    }
}
