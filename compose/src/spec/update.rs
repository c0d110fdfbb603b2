//! Limits that change while a container is there: what a spec says of its resources, with what is asked for in its
//! place. Pure.

use serde_json::{Map, Value, json};

use super::check::{self, Cpus};
use super::limits::CPU_PERIOD;
use crate::error::{Error, Result};
use crate::model::values::{Bytes, Restart};

/// What a running container may be told anew.
const CHANGEABLE: [&str; 4] = ["memory", "cpu", "pids", "blockIO"];

/// What is to be changed. What isn't named stays, and so does what is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// The restart policy.
    pub restart: Option<Restart>,
    /// Memory at most.
    pub memory: Option<Bytes>,
    /// Memory and swap at most; -1: any amount of swap.
    pub memory_swap: Option<Bytes>,
    /// Memory that it keeps under pressure.
    pub memory_reservation: Option<Bytes>,
    /// CPUs at most.
    pub cpus: Option<f64>,
    /// Its weight among others.
    pub cpu_shares: Option<i64>,
    /// The quota's period in microseconds.
    pub cpu_period: Option<i64>,
    /// The quota in microseconds; -1: none.
    pub cpu_quota: Option<i64>,
    /// Which CPUs: `0-3`.
    pub cpuset_cpus: Option<String>,
    /// Processes at most; 0 and below: any number.
    pub pids_limit: Option<i64>,
    /// Its weight among users of disks, 10 to 1000.
    pub blkio_weight: Option<u16>,
}

/// Changes the resources of a spec, and gives what of them a running container is told, on a host with these CPUs.
///
/// Errors: what contradicts itself or what is there, in Docker's words.
pub fn resources(spec: &mut Value, change: &Change, cpus: &Cpus) -> Result<Value> {
    check::change(change, cpus)?;
    let Some(spec) = spec.as_object_mut() else { return Err(Error::new("the container's spec is none")) };
    let linux = spec.entry("linux").or_insert_with(|| json!({}));
    let Some(linux) = linux.as_object_mut() else { return Err(Error::new("linux: no object")) };
    let resources = linux.entry("resources").or_insert_with(|| json!({}));
    let Some(resources) = resources.as_object_mut() else {
        return Err(Error::new("linux.resources: no object"));
    };
    memory(resources, change)?;
    cpu(resources, change);
    if let Some(limit) = change.pids_limit {
        set(resources, "pids", "limit", if limit > 0 { limit } else { -1 });
    }
    if let Some(weight) = change.blkio_weight.filter(|&weight| weight != 0) {
        set(resources, "blockIO", "weight", weight);
    }
    let told = CHANGEABLE.iter().filter_map(|part| Some(((*part).to_owned(), resources.get(*part)?.clone())));
    Ok(Value::Object(told.collect()))
}

/// What a part of the resources says of a key, if it is a number and not 0.
fn get(resources: &Map<String, Value>, part: &str, key: &str) -> Option<i64> {
    resources.get(part)?.get(key)?.as_i64().filter(|&number| number != 0)
}

fn set(resources: &mut Map<String, Value>, part: &str, key: &str, value: impl Into<Value>) {
    let part = resources.entry(part).or_insert_with(|| json!({}));
    if !part.is_object() {
        *part = json!({});
    }
    part[key] = value.into();
}

fn memory(resources: &mut Map<String, Value>, change: &Change) -> Result<()> {
    let given = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0).filter(|&bytes| bytes != 0);
    let (limit, swap) = (given(change.memory), given(change.memory_swap));
    let reservation = given(change.memory_reservation);
    let present = |key| get(resources, "memory", key);
    if let (Some(limit), None, Some(swap)) = (limit, swap, present("swap")) {
        if swap > 0 && limit > swap {
            return Err(Error::new(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same \
                 time",
            ));
        }
    }
    let effective = limit.or(present("limit"));
    match (swap, effective) {
        (Some(swap), None) if swap > 0 => {
            return Err(Error::new(
                "You should always set the Memory limit when using Memoryswap limit, see usage",
            ));
        }
        (Some(swap), Some(limit)) if swap > 0 && swap < limit => {
            return Err(Error::new("Minimum memoryswap limit should be larger than memory limit, see usage"));
        }
        _ => {}
    }
    let reserved = reservation.or(present("reservation"));
    if effective.zip(reserved).is_some_and(|(limit, reserved)| limit > 0 && limit < reserved) {
        return Err(Error::new(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ));
    }
    for (key, bytes) in [("limit", limit), ("swap", swap), ("reservation", reservation)] {
        if let Some(bytes) = bytes {
            set(resources, "memory", key, bytes);
        }
    }
    Ok(())
}

fn cpu(resources: &mut Map<String, Value>, change: &Change) {
    let given = |number: Option<i64>| number.filter(|&number| number != 0);
    let (period, quota) = (given(change.cpu_period), given(change.cpu_quota));
    if let Some(cpus) = change.cpus.filter(|&cpus| cpus != 0.0) {
        set(resources, "cpu", "quota", (cpus * CPU_PERIOD as f64).round() as i64);
        set(resources, "cpu", "period", CPU_PERIOD);
    }
    let shares = given(change.cpu_shares);
    for (key, number) in [("period", period), ("quota", quota), ("shares", shares)] {
        if let Some(number) = number {
            set(resources, "cpu", key, number);
        }
    }
    if let Some(cpus) = change.cpuset_cpus.as_ref().filter(|cpus| !cpus.is_empty()) {
        set(resources, "cpu", "cpus", cpus.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i64 = 1 << 20;

    fn spec() -> Value {
        json!({"linux": {"resources": {
            "devices": [{"allow": false}],
            "memory": {"limit": 64 * MIB, "swap": 128 * MIB},
        }}})
    }

    fn cpus() -> Cpus {
        Cpus::parse("0-1").expect("a list")
    }

    fn refused(change: Change) -> String {
        resources(&mut spec(), &change, &cpus()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_named_changes_and_the_devices_are_not_told_again() {
        let change = Change {
            memory: Some(Bytes(96 * MIB)),
            cpus: Some(1.5),
            cpu_shares: Some(512),
            cpuset_cpus: Some("0".to_owned()),
            pids_limit: Some(-1),
            ..Change::default()
        };
        let mut spec = spec();
        let told = resources(&mut spec, &change, &cpus()).unwrap();
        let expected = json!({
            "memory": {"limit": 96 * MIB, "swap": 128 * MIB},
            "cpu": {"quota": 150_000, "period": 100_000, "shares": 512, "cpus": "0"},
            "pids": {"limit": -1},
        });
        assert_eq!(told, expected);
        assert_eq!(spec["linux"]["resources"]["devices"], json!([{"allow": false}]));
        assert_eq!(spec["linux"]["resources"]["memory"], expected["memory"]);
        assert_eq!(
            resources(&mut json!({}), &Change { pids_limit: Some(7), ..Change::default() }, &cpus()).unwrap()
                ["pids"]["limit"],
            7
        );
    }

    #[test]
    fn what_contradicts_itself_is_refused_in_dockers_words() {
        let memory = |bytes| Some(Bytes(bytes));
        let none = Change::default;
        assert!(refused(Change { memory: memory(1), ..none() }).contains("6MB"));
        assert!(refused(Change { memory: memory(256 * MIB), ..none() }).contains("update the memoryswap"));
        assert!(
            refused(Change { memory_swap: memory(32 * MIB), ..none() }).contains("larger than memory limit")
        );
        assert!(refused(Change { cpus: Some(1.0), cpu_quota: Some(5000), ..none() }).contains("Nano CPUs"));
        for cpus in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(refused(Change { cpus: Some(cpus), ..none() }).contains("0.01"));
        }
        assert!(refused(Change { blkio_weight: Some(5), ..none() }).contains("10 to 1000"));
        for broken in [json!(null), json!({"linux": 1}), json!({"linux": {"resources": []}})] {
            assert!(resources(&mut broken.clone(), &none(), &cpus()).is_err(), "{broken}");
        }
    }
}
