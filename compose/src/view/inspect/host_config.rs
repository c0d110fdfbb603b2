//! `HostConfig`: what a container was asked to be, in the words of Docker's API.

use serde_json::{Map, Value, json};

use super::{config, mounts};
use crate::model::network_mode::DEFAULT_NETWORK;
use crate::model::types::{Attachment, BlkioConfig, Service, ThrottleDevice};
use crate::observe::Observed;
use crate::spec::limits;

/// What the container was asked to be. `spec` is its spec.
pub fn host_config(observed: &Observed, spec: &Value) -> Value {
    let record = observed.record.clone().unwrap_or_default();
    let service = &record.service;
    let restart = service.restart_policy().to_string();
    let (policy, times) = restart.split_once(':').unwrap_or((&restart, "0"));
    let mut about = json!({
        "Binds": mounts::binds(&record),
        "ContainerIDFile": "",
        "LogConfig": log_config(service),
        "NetworkMode": network_mode(service),
        "PortBindings": port_bindings(service),
        "RestartPolicy": { "Name": policy, "MaximumRetryCount": times.parse::<u32>().unwrap_or(0) },
        "AutoRemove": record.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": none_of(&volumes_from(service)),
        "ConsoleSize": [0, 0],
        "CapAdd": none_of(&service.cap_add),
        "CapDrop": none_of(&service.cap_drop),
        "CgroupnsMode": cgroup_namespace(spec),
        "Dns": service.dns,
        "DnsOptions": service.dns_opt,
        "DnsSearch": service.dns_search,
        "ExtraHosts": none_of(&extra_hosts(service)),
        "GroupAdd": none_of(&service.group_add),
        "IpcMode": service.ipc.as_deref().unwrap_or("private"),
        "Cgroup": "",
        "Links": none_of(&service.external_links),
        "OomScoreAdj": service.oom_score_adj.unwrap_or_default(),
        "PidMode": service.pid.as_deref().unwrap_or_default(),
        "Privileged": service.privileged,
        "PublishAllPorts": false,
        "ReadonlyRootfs": service.read_only,
        "SecurityOpt": none_of(&service.security_opt),
        "UTSMode": service.uts.as_deref().unwrap_or_default(),
        "UsernsMode": service.userns_mode.as_deref().unwrap_or_default(),
        "ShmSize": service.shm_bytes(),
        "Runtime": observed.container.runtime.as_ref().map(|runtime| &runtime.name),
        "Isolation": "",
        "MaskedPaths": spec["linux"]["maskedPaths"],
        "ReadonlyPaths": spec["linux"]["readonlyPaths"],
    });
    let mut add = |more: Value| {
        if let (Some(about), Value::Object(more)) = (about.as_object_mut(), more) {
            about.extend(more);
        }
    };
    add(resources(service));
    add(block_io(&service.blkio_config.clone().unwrap_or_default()));
    add(if_any(service));
    about
}

fn volumes_from(service: &Service) -> Vec<String> {
    let name = |from: &String| from.strip_prefix("container:").unwrap_or(from).to_owned();
    service.volumes_from.iter().map(name).collect()
}

/// Limits, those of `deploy.resources` too.
fn resources(service: &Service) -> Value {
    let memory = limits::memory(service);
    let cpus = limits::cpus(service).unwrap_or_default();
    let ulimits = service.ulimits.iter();
    let devices = service.devices.iter().map(|device| {
        json!({
            "PathOnHost": device.source,
            "PathInContainer": device.target.as_ref().unwrap_or(&device.source),
            "CgroupPermissions": device.permissions.as_deref().unwrap_or("rwm"),
        })
    });
    json!({
        "CpuShares": service.cpu_shares.unwrap_or_default(),
        "Memory": memory.limit.unwrap_or_default(),
        "NanoCpus": (cpus * 1e9).round() as i64,
        "CgroupParent": service.cgroup_parent.as_deref().unwrap_or_default(),
        "CpuPeriod": service.cpu_period.unwrap_or_default(),
        "CpuQuota": service.cpu_quota.unwrap_or_default(),
        "CpuRealtimePeriod": service.cpu_rt_period.unwrap_or_default(),
        "CpuRealtimeRuntime": service.cpu_rt_runtime.unwrap_or_default(),
        "CpusetCpus": service.cpuset.as_deref().unwrap_or_default(),
        "CpusetMems": service.cpuset_mems.as_deref().unwrap_or_default(),
        "Devices": devices.collect::<Vec<_>>(),
        "DeviceCgroupRules": none_of(&service.device_cgroup_rules),
        "DeviceRequests": null,
        "MemoryReservation": memory.reservation.unwrap_or_default(),
        "MemorySwap": memory.swap.unwrap_or_default(),
        "MemorySwappiness": service.mem_swappiness.map(|bytes| bytes.0),
        "OomKillDisable": service.oom_kill_disable,
        "PidsLimit": limits::pids(service),
        "Ulimits": ulimits
            .map(|(name, limit)| json!({ "Name": name, "Hard": limit.hard, "Soft": limit.soft }))
            .collect::<Vec<_>>(),
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    })
}

fn block_io(config: &BlkioConfig) -> Value {
    let throttles = |devices: &[ThrottleDevice]| -> Value {
        devices.iter().map(|device| json!({ "Path": device.path, "Rate": device.rate.0 })).collect()
    };
    let weights = config.weight_device.iter();
    json!({
        "BlkioWeight": config.weight.unwrap_or_default(),
        "BlkioWeightDevice": weights
            .map(|device| json!({ "Path": device.path, "Weight": device.weight }))
            .collect::<Vec<_>>(),
        "BlkioDeviceReadBps": throttles(&config.device_read_bps),
        "BlkioDeviceWriteBps": throttles(&config.device_write_bps),
        "BlkioDeviceReadIOps": throttles(&config.device_read_iops),
        "BlkioDeviceWriteIOps": throttles(&config.device_write_iops),
    })
}

/// What Docker leaves out where there is none.
fn if_any(service: &Service) -> Value {
    let tmpfs = service.tmpfs.iter().map(|line| line.split_once(':').unwrap_or((line, "")));
    let tmpfs: Map<String, Value> = tmpfs.map(|(path, options)| (path.to_owned(), options.into())).collect();
    let all = [
        ("Annotations", json!(service.annotations)),
        ("Init", json!(service.init)),
        ("Mounts", Value::Array(mounts::asked(service))),
        ("StorageOpt", json!(service.storage_opt)),
        ("Sysctls", json!(service.sysctls)),
        ("Tmpfs", Value::Object(tmpfs)),
    ];
    let is_any = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(items) => !items.is_empty(),
        _ => true,
    };
    let all = all.into_iter().filter(|(_, value)| is_any(value));
    Value::Object(all.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn log_config(service: &Service) -> Value {
    let logging = service.logging.clone().unwrap_or_default();
    let driver = logging.driver.filter(|driver| !driver.is_empty());
    json!({ "Type": driver.as_deref().unwrap_or("json-file"), "Config": logging.options })
}

/// The mode, or the network that goes first.
fn network_mode(service: &Service) -> &str {
    let priority = |(_, attachment): &(&String, &Attachment)| attachment.priority.unwrap_or_default();
    // Of those that are equal, the first.
    let first = service.networks.iter().rev().max_by_key(priority).map(|(name, _)| name.as_str());
    service.network_mode.as_deref().or(first).unwrap_or(DEFAULT_NETWORK)
}

fn cgroup_namespace(spec: &Value) -> &'static str {
    let namespaces = spec["linux"]["namespaces"].as_array();
    let is_own = namespaces.is_some_and(|all| all.iter().any(|namespace| namespace["type"] == "cgroup"));
    if is_own { "private" } else { "host" }
}

/// `HOST:ADDRESS`
fn extra_hosts(service: &Service) -> Vec<String> {
    service.extra_hosts.iter().map(|line| line.replacen('=', ":", 1)).collect()
}

/// By the container's ports, where each was asked to be on the host.
fn port_bindings(service: &Service) -> Value {
    let mut bindings = Map::new();
    for port in &service.ports {
        let place = json!({
            "HostIp": port.host_ip.as_deref().unwrap_or_default(),
            "HostPort": port.published.as_deref().unwrap_or_default(),
        });
        let places = bindings.entry(config::port(port)).or_insert_with(|| json!([]));
        if let Some(places) = places.as_array_mut() {
            places.push(place);
        }
    }
    Value::Object(bindings)
}

/// An empty list of Docker's is null.
fn none_of(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}
