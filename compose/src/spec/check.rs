//! Which limits a container can have on this host. Pure. The words are Docker's.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::limits::{limits, reservations};
use super::update::Change;
use super::{Host, places, security};
use crate::error::{Error, Result};
use crate::model::types::Service;
use crate::model::values::Bytes;

/// What Docker lets a container have at least.
const MEMORY_BYTES_MIN: i64 = 6 << 20;
/// Microseconds of a CFS period, and of a quota at least.
const PERIOD: RangeInclusive<i64> = 1000..=1_000_000;

/// The limits that are asked for. What isn't, is none or 0.
#[derive(Clone, Debug, Default)]
struct Asked<'a> {
    memory: Option<Bytes>,
    memory_swap: Option<Bytes>,
    memory_reservation: Option<Bytes>,
    swappiness: Option<Bytes>,
    cpus: Option<f64>,
    period: Option<i64>,
    quota: Option<i64>,
    shares: Option<i64>,
    cpuset: Option<&'a str>,
    blkio_weight: Option<u16>,
    /// Whether the container is there, and may have other limits already.
    is_there: bool,
}

/// The numbers of CPUs, as the kernel lists them: `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cpus(BTreeSet<u32>);

impl Cpus {
    /// Reads the kernel's list.
    ///
    /// Errors: what is no such list.
    pub fn parse(list: &str) -> Result<Cpus> {
        // The kernel has at most 8192.
        let ranges = ranges(list.trim()).filter(|ranges| ranges.iter().all(|range| *range.end() < 1 << 16));
        let ranges = ranges.ok_or_else(|| Error::new(format!("no list of CPUs: {list:?}")))?;
        Ok(Cpus(ranges.into_iter().flatten().collect()))
    }

    fn has(&self, range: &RangeInclusive<u32>) -> bool {
        let count = self.0.range(range.clone()).count();
        u32::try_from(count).is_ok_and(|count| count == range.end() - range.start() + 1)
    }
}

impl std::fmt::Display for Cpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for &cpu in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        let range = |(first, last): (u32, u32)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        f.write_str(&ranges.into_iter().map(range).collect::<Vec<_>>().join(","))
    }
}

fn ranges(list: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last && last < u32::MAX).then_some(first..=last)
    };
    list.split(',').map(range).collect()
}

/// Whether a service's container can be made on a host with these CPUs.
///
/// Errors: the first mount, option, device or limit that can't be, in Docker's words.
pub fn service(service: &Service, cpus: &Cpus, host: &Host) -> Result<()> {
    places::check(service)?;
    security::of(service, &[], host)?;
    devices(service)?;
    memory_nodes(service.cpuset_mems.as_deref(), &host.memory_nodes)?;
    let memory = service.mem_limit.or_else(|| limits(service)?.memory);
    let reservation = service.mem_reservation.or_else(|| reservations(service)?.memory);
    let asked = Asked {
        memory,
        memory_swap: service.memswap_limit,
        memory_reservation: reservation,
        // -1 is Docker's word for the kernel's own.
        swappiness: service.mem_swappiness.filter(|percent| percent.0 != -1),
        cpus: service.cpus.or_else(|| limits(service)?.cpus),
        period: service.cpu_period,
        quota: service.cpu_quota,
        shares: service.cpu_shares,
        cpuset: service.cpuset.as_deref(),
        blkio_weight: service.blkio_config.as_ref().and_then(|config| config.weight),
        is_there: false,
    };
    match service.oom_score_adj {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(Error::new(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]")))
        }
        _ if service.shm_size.is_some_and(|bytes| bytes.0 < 0) => {
            Err(Error::new("SHM size can not be less than 0"))
        }
        _ => asked.check(cpus),
    }
}

/// Whether the memory nodes of a list are among those that are available.
fn memory_nodes(asked: Option<&str>, available: &str) -> Result<()> {
    let Some(list) = asked.filter(|list| !list.is_empty()) else { return Ok(()) };
    let asked = ranges(list).ok_or_else(|| Error::new(format!("Invalid value {list} for cpuset mems")))?;
    let Ok(available) = Cpus::parse(available) else { return Ok(()) };
    if asked.iter().all(|range| available.has(range)) {
        return Ok(());
    }
    Err(Error::new(format!(
        "Requested memory nodes are not available - requested {list}, available: {available}"
    )))
}

/// Devices by what they can do. Nobody here knows of any.
fn devices(service: &Service) -> Result<()> {
    let reserved = reservations(service).into_iter().flat_map(|reserved| &reserved.devices);
    let Some(asked) = service.gpus.iter().chain(reserved).next() else { return Ok(()) };
    let driver = asked.driver.as_deref().unwrap_or_default();
    let capabilities = match (asked.capabilities.is_empty(), service.gpus.is_empty()) {
        (true, false) => "gpu".to_owned(),
        _ => asked.capabilities.join(" "),
    };
    Err(Error::new(format!(
        "could not select device driver {driver:?} with capabilities: [[{capabilities}]]"
    )))
}

/// Whether the limits of a change can be on a host with these CPUs, whatever there is already.
///
/// Errors: the first limit that can't be, in Docker's words.
pub fn change(change: &Change, cpus: &Cpus) -> Result<()> {
    let asked = Asked {
        memory: change.memory,
        memory_swap: change.memory_swap,
        memory_reservation: change.memory_reservation,
        swappiness: None,
        cpus: change.cpus,
        period: change.cpu_period,
        quota: change.cpu_quota,
        shares: change.cpu_shares,
        cpuset: change.cpuset_cpus.as_deref(),
        blkio_weight: change.blkio_weight,
        is_there: true,
    };
    asked.check(cpus)
}

impl Asked<'_> {
    fn check(&self, cpus: &Cpus) -> Result<()> {
        self.check_memory().and_then(|()| self.check_cpus(cpus)).map_err(Error::new)?;
        match self.blkio_weight.unwrap_or_default() {
            0 | 10..=1000 => Ok(()),
            _ => Err(Error::new("Range of blkio weight is from 10 to 1000")),
        }
    }

    fn check_memory(&self) -> Result<(), String> {
        let given = |bytes: Option<Bytes>| bytes.map_or(0, |bytes| bytes.0);
        let (limit, swap) = (given(self.memory), given(self.memory_swap));
        let reservation = given(self.memory_reservation);
        if limit != 0 && limit < MEMORY_BYTES_MIN {
            return Err("Minimum memory limit allowed is 6MB".to_owned());
        }
        if limit > 0 && swap > 0 && swap < limit {
            return Err("Minimum memoryswap limit should be larger than memory limit, see usage".to_owned());
        }
        if limit == 0 && swap > 0 && !self.is_there {
            return Err(
                "You should always set the Memory limit when using Memoryswap limit, see usage".to_owned()
            );
        }
        if let Some(Bytes(percent)) = self.swappiness.filter(|percent| !(0..=100).contains(&percent.0)) {
            return Err(format!("Invalid value: {percent}, valid memory swappiness range is 0-100"));
        }
        if reservation > 0 && reservation < MEMORY_BYTES_MIN {
            return Err("Minimum memory reservation allowed is 6MB".to_owned());
        }
        if limit > 0 && reservation > limit {
            return Err(
                "Minimum memory limit can not be less than memory reservation limit, see usage".to_owned()
            );
        }
        Ok(())
    }

    fn check_cpus(&self, available: &Cpus) -> Result<(), String> {
        let given = |number: Option<i64>| number.unwrap_or_default();
        let (period, quota) = (given(self.period), given(self.quota));
        let cpus = self.cpus.unwrap_or_default();
        if cpus > 0.0 && period > 0 {
            return Err("Conflicting options: Nano CPUs and CPU Period cannot both be set".to_owned());
        }
        if cpus > 0.0 && quota > 0 {
            return Err("Conflicting options: Nano CPUs and CPU Quota cannot both be set".to_owned());
        }
        let count = available.0.len();
        if !(0.0..=count as f64).contains(&cpus) {
            return Err(format!(
                "range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
            ));
        }
        if period != 0 && !PERIOD.contains(&period) {
            return Err(
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
                    .to_owned(),
            );
        }
        if quota > 0 && quota < *PERIOD.start() {
            return Err("CPU cfs quota can not be less than 1ms (i.e. 1000)".to_owned());
        }
        if given(self.shares) < 0 {
            return Err("shares: invalid argument".to_owned());
        }
        let Some(list) = self.cpuset.filter(|list| !list.is_empty()) else { return Ok(()) };
        let asked = ranges(list).ok_or_else(|| format!("Invalid value {list} for cpuset cpus"))?;
        if !asked.iter().all(|range| available.has(range)) {
            return Err(format!(
                "Requested CPUs are not available - requested {list}, available: {available}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::types::{BlkioConfig, Deploy, DeviceRequest, Resource, Resources};

    const MIB: i64 = 1 << 20;

    fn cpus() -> Cpus {
        Cpus::parse("0-1,3\n").expect("a list")
    }

    fn refused(asked: Service) -> String {
        service(&asked, &cpus(), &Host::default()).expect_err("it can't be").to_string()
    }

    #[test]
    fn memory_nodes_are_among_those_that_there_are() {
        let told = |list: &str, there: &str| memory_nodes(Some(list), there).map_err(|err| err.to_string());
        assert_eq!((told("0", "0-1\n"), told("", "0"), told("7", "")), (Ok(()), Ok(()), Ok(())));
        assert_eq!(told("x", "0"), Err("Invalid value x for cpuset mems".to_owned()));
        let line = "Requested memory nodes are not available - requested 0,2, available: 0-1";
        assert_eq!(told("0,2", "0-1"), Err(line.to_owned()));
    }

    #[test]
    fn limits_that_cannot_be_are_refused_in_dockers_words() {
        let none = Service::default;
        let bytes = |mib: i64| Some(Bytes(mib * MIB));
        let (memory, swap) = (bytes(64), bytes(32));
        for (asked, why) in [
            (Service { mem_limit: bytes(5), ..none() }, "Minimum memory limit allowed is 6MB"),
            (Service { mem_limit: bytes(-1), ..none() }, "Minimum memory limit allowed is 6MB"),
            (Service { mem_limit: memory, memswap_limit: swap, ..none() }, "Minimum memoryswap limit"),
            (Service { memswap_limit: swap, ..none() }, "You should always set the Memory limit"),
            (Service { mem_swappiness: Some(Bytes(101)), ..none() }, "Invalid value: 101, valid memory"),
            (Service { mem_reservation: bytes(1), ..none() }, "Minimum memory reservation allowed is 6MB"),
            (Service { mem_limit: memory, mem_reservation: bytes(65), ..none() }, "Minimum memory limit can"),
            (
                Service { cpus: Some(3.5), ..none() },
                "range of CPUs is from 0.01 to 3.00, as there are only 3",
            ),
            (Service { cpus: Some(-1.0), ..none() }, "range of CPUs"),
            (Service { cpus: Some(f64::NAN), ..none() }, "range of CPUs"),
            (Service { cpus: Some(1.0), cpu_period: Some(2000), ..none() }, "Nano CPUs and CPU Period"),
            (Service { cpu_period: Some(999), ..none() }, "CPU cfs period can not"),
            (Service { cpu_quota: Some(999), ..none() }, "CPU cfs quota can not"),
            (Service { cpu_shares: Some(-1), ..none() }, "shares: invalid argument"),
            (Service { cpuset: Some("x".to_owned()), ..none() }, "Invalid value x for cpuset cpus"),
            (Service { cpuset: Some("0-4294967295".to_owned()), ..none() }, "Invalid value"),
            (Service { cpuset: Some("1-3".to_owned()), ..none() }, "requested 1-3, available: 0-1,3"),
            (
                Service {
                    blkio_config: Some(BlkioConfig { weight: Some(5), ..BlkioConfig::default() }),
                    ..none()
                },
                "Range of blkio weight",
            ),
            (Service { oom_score_adj: Some(1001), ..none() }, "range for oom score adj"),
        ] {
            let said = refused(asked);
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn devices_that_nobody_knows_are_refused_in_dockers_words() {
        let request = |driver: &str, capability: &str| DeviceRequest {
            driver: Some(driver.to_owned()),
            capabilities: vec![capability.to_owned()],
            ..DeviceRequest::default()
        };
        let reservations = Some(Resource { devices: vec![request("nvidia", "gpu")], ..Resource::default() });
        let resources = Some(Resources { reservations, ..Resources::default() });
        let deploy = Some(Deploy { resources, ..Deploy::default() });
        assert_eq!(
            refused(Service { deploy, ..Service::default() }),
            "could not select device driver \"nvidia\" with capabilities: [[gpu]]"
        );
        let all = DeviceRequest { count: Some(-1), ..DeviceRequest::default() };
        assert_eq!(
            refused(Service { gpus: vec![all], ..Service::default() }),
            "could not select device driver \"\" with capabilities: [[gpu]]"
        );
    }

    #[test]
    fn limits_that_can_be_are_not_refused() {
        let bytes = |mib: i64| Some(Bytes(mib * MIB));
        let all = Service {
            mem_limit: bytes(6),
            memswap_limit: bytes(6),
            mem_reservation: bytes(6),
            mem_swappiness: Some(Bytes(-1)),
            cpus: Some(3.0),
            cpuset: Some("0,3,0-1".to_owned()),
            cpu_shares: Some(0),
            pids_limit: Some(-1),
            ..Service::default()
        };
        service(&all, &cpus(), &Host::default()).unwrap();
        let any_swap = Service { memswap_limit: Some(Bytes(-1)), cpu_quota: Some(-1), ..Service::default() };
        service(&any_swap, &cpus(), &Host::default()).unwrap();
        // What is there may have a limit of memory.
        change(&Change { memory_swap: bytes(64), ..Change::default() }, &cpus()).unwrap();
    }
}
