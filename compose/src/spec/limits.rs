//! How much of the host a container gets: memory, CPUs, processes, devices.

use super::{Inputs, oci, wrong};
use crate::error::{Context, Result};
use crate::model::types::{BlkioConfig, Resource, Service, ThrottleDevice};

/// Microseconds, against which a share of CPUs is a quota.
pub const CPU_PERIOD: u64 = 100_000;

/// Character devices of every container: null, zero, random, urandom, tty, console.
const DEVICES: [(i64, i64); 6] = [(1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1)];

/// FUSE's device, which takes a capability and an explicit `--device`.
const FUSE: (i64, i64) = (10, 229);

/// The device files that are made in the container.
pub fn devices(inputs: &Inputs) -> Result<Vec<oci::Device>> {
    if inputs.service.privileged {
        return (inputs.devices)("/dev");
    }
    let asked = asked_devices(inputs)?;
    Ok(asked.into_iter().map(|(device, _)| device).collect())
}

pub fn resources(inputs: &Inputs) -> Result<oci::Resources> {
    let service = inputs.service;
    Ok(oci::Resources {
        devices: device_rules(inputs)?,
        memory: memory(service),
        cpu: cpu(service),
        pids: oci::Pids { limit: pids(service).filter(|&limit| limit > 0) },
        block_io: service
            .blkio_config
            .as_ref()
            .map_or_else(|| Ok(oci::BlockIo::default()), |io| block_io(inputs, io))?,
    })
}

/// What of the host a service gets at most, as `deploy` has it.
pub fn limits(service: &Service) -> Option<&Resource> {
    service.deploy.as_ref()?.resources.as_ref()?.limits.as_ref()
}

/// What of the host a service keeps, as `deploy` has it.
pub fn reservations(service: &Service) -> Option<&Resource> {
    service.deploy.as_ref()?.resources.as_ref()?.reservations.as_ref()
}

/// How many processes there may be, as it was asked for.
pub fn pids(service: &Service) -> Option<i64> {
    service.pids_limit.or_else(|| limits(service)?.pids)
}

/// How many CPUs it may use.
pub fn cpus(service: &Service) -> Option<f64> {
    service.cpus.or_else(|| limits(service)?.cpus).filter(|&cpus| cpus > 0.0)
}

/// With a limit of memory and none of swap, there may be as much swap as memory.
pub fn memory(service: &Service) -> oci::Memory {
    let positive = |bytes: &i64| *bytes > 0;
    let limit = service.mem_limit.or_else(|| limits(service)?.memory).map(|bytes| bytes.0).filter(positive);
    let reserved = service.mem_reservation.or_else(|| reservations(service)?.memory).map(|bytes| bytes.0);
    let swap = service.memswap_limit.map(|bytes| bytes.0).filter(|&bytes| bytes != 0);
    oci::Memory {
        limit,
        reservation: reserved.filter(positive),
        swap: swap.or_else(|| limit.map(|limit| limit.saturating_mul(2))),
        swappiness: service.mem_swappiness.and_then(|bytes| u64::try_from(bytes.0).ok()),
        disable_oom_killer: service.oom_kill_disable,
    }
}

fn cpu(service: &Service) -> oci::Cpu {
    let share = cpus(service).map(|cpus| (cpus * CPU_PERIOD as f64).round() as i64);
    let positive =
        |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|&value| value > 0);
    oci::Cpu {
        shares: positive(service.cpu_shares),
        quota: share.or(service.cpu_quota.filter(|&quota| quota != 0)),
        period: share.map(|_| CPU_PERIOD).or(positive(service.cpu_period)),
        realtime_runtime: service.cpu_rt_runtime.filter(|&runtime| runtime != 0),
        realtime_period: positive(service.cpu_rt_period),
        cpus: service.cpuset.clone().unwrap_or_default(),
        mems: service.cpuset_mems.clone().unwrap_or_default(),
    }
}

/// Nothing but what is named. A privileged container may use every device.
fn device_rules(inputs: &Inputs) -> Result<Vec<oci::DeviceRule>> {
    let all = |allow| oci::DeviceRule { allow, access: "rwm".to_owned(), ..oci::DeviceRule::default() };
    if inputs.service.privileged {
        return Ok(vec![all(true)]);
    }
    let of = |allow, (major, minor)| oci::DeviceRule {
        kind: Some('c'),
        major: Some(major),
        minor: Some(minor),
        ..all(allow)
    };
    let mut rules = vec![all(false)];
    rules.extend(DEVICES.map(|device| of(true, device)));
    rules.push(of(false, FUSE));
    for (device, access) in asked_devices(inputs)? {
        rules.push(oci::DeviceRule {
            allow: true,
            kind: Some(device.kind),
            major: Some(device.major as i64),
            minor: Some(device.minor as i64),
            access,
        });
    }
    for rule in &inputs.service.device_cgroup_rules {
        rules.push(
            typed_rule(rule)
                .ok_or_else(|| wrong("device_cgroup_rules", format!("{rule:?}: not `c 1:3 mr`")))?,
        );
    }
    Ok(rules)
}

/// `TYPE MAJOR:MINOR ACCESS`, where `*` is any number.
fn typed_rule(rule: &str) -> Option<oci::DeviceRule> {
    let mut words = rule.split(' ');
    let kind = words.next().filter(|kind| ["a", "b", "c"].contains(kind))?.chars().next();
    let (major, minor) = words.next()?.split_once(':')?;
    let access = words.next().filter(|access| access.chars().all(|letter| "rwm".contains(letter)))?;
    let number = |typed: &str| if typed == "*" { Some(-1) } else { typed.parse::<u32>().ok().map(i64::from) };
    let (major, minor) = (Some(number(major)?), Some(number(minor)?));
    Some(oci::DeviceRule { allow: true, kind, major, minor, access: access.to_owned() })
}

/// The devices of the host that the service asks for, at their places in the container, and the access to each.
fn asked_devices(inputs: &Inputs) -> Result<Vec<(oci::Device, String)>> {
    let mut devices = Vec::new();
    for asked in &inputs.service.devices {
        let target = asked.target.as_deref().unwrap_or(&asked.source);
        let access = asked.permissions.as_deref().unwrap_or("rwm");
        for device in (inputs.devices)(&asked.source).at("devices")? {
            let below = device.path.strip_prefix(&asked.source).unwrap_or_default();
            let path = format!("{target}{below}");
            devices.push((oci::Device { path, ..device }, access.to_owned()));
        }
    }
    Ok(devices)
}

fn block_io(inputs: &Inputs, config: &BlkioConfig) -> Result<oci::BlockIo> {
    let number = |path: &str| -> Result<(u64, u64)> {
        let found = (inputs.devices)(path).at("blkio_config")?;
        let device = found.first().ok_or_else(|| wrong("blkio_config", format!("{path}: no device")))?;
        Ok((device.major, device.minor))
    };
    let throttles = |devices: &[ThrottleDevice]| -> Result<Vec<oci::ThrottleDevice>> {
        let throttle = |device: &ThrottleDevice| {
            let (major, minor) = number(&device.path)?;
            Ok(oci::ThrottleDevice { major, minor, rate: u64::try_from(device.rate.0).unwrap_or(0) })
        };
        devices.iter().map(throttle).collect()
    };
    let weighted = config.weight_device.iter().map(|device| {
        let (major, minor) = number(&device.path)?;
        Ok(oci::WeightDevice { major, minor, weight: device.weight })
    });
    Ok(oci::BlockIo {
        weight: config.weight.filter(|&weight| weight > 0),
        weight_device: weighted.collect::<Result<_>>()?,
        throttle_read_bps_device: throttles(&config.device_read_bps)?,
        throttle_write_bps_device: throttles(&config.device_write_bps)?,
        throttle_read_iops_device: throttles(&config.device_read_iops)?,
        throttle_write_iops_device: throttles(&config.device_write_iops)?,
    })
}
