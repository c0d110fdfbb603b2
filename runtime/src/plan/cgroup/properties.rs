//! Limits as properties of a unit, so that systemd knows them too: it writes all of its own again when its
//! configuration is reloaded. Sources: org.freedesktop.systemd1(5), systemd.resource-control(5).

use std::fmt;

use super::devices::Policy;
use super::host::Drivers;
use super::limits::{OnFailure, Value, Write};
use crate::error::{Error, Result};
use crate::sys::list::numbers;

/// A property of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// `MemoryMax`
    pub name: String,
    /// What it is set to.
    pub value: PropertyValue,
    /// The first version of systemd that knows it.
    pub since: u32,
}

/// The value of a property, in the types that D-Bus has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyValue {
    /// `b`
    Bool(bool),
    /// `i`
    Int(i32),
    /// `t`
    Number(u64),
    /// `s`
    Text(String),
    /// `as`
    Texts(Vec<String>),
    /// `ay`: a set of numbers, a bit for each.
    Bits(Vec<u8>),
    /// `a(st)`: a rate or a weight by device.
    Rates(Vec<(String, u64)>),
    /// `a(ss)`: what may be done with a device.
    Devices(Vec<(String, String)>),
}

/// What "no limit" is, as a number.
const INFINITY: u64 = u64::MAX;

/// Older than every systemd that has transient scopes.
const ALWAYS: u32 = 0;

impl Property {
    fn new(name: &str, value: PropertyValue) -> Property {
        Property { name: name.to_owned(), value, since: ALWAYS }
    }

    fn since(self, version: u32) -> Property {
        Property { since: version, ..self }
    }

    fn number(name: &str, number: u64) -> Property {
        Property::new(name, PropertyValue::Number(number))
    }
}

/// What every container's unit has.
pub(super) fn of_every_unit(id: &str, slice: &str, is_scope: bool) -> Vec<Property> {
    let switched_on = |name| Property::new(name, PropertyValue::Bool(true));
    let text = |name, text: String| Property::new(name, PropertyValue::Text(text));
    let mut properties = vec![
        text("Description", description(id)),
        Property::new("DefaultDependencies", PropertyValue::Bool(false)),
        // A unit that failed would keep its name for ever.
        text("CollectMode", "inactive-or-failed".to_owned()).since(236),
        switched_on("MemoryAccounting"),
        switched_on("CPUAccounting"),
        switched_on("IOAccounting"),
        switched_on("TasksAccounting"),
    ];
    if is_scope {
        let slice = if slice.is_empty() { "-.slice" } else { slice };
        properties.push(text("Slice", slice.to_owned()));
        // What is below the scope's cgroup is not systemd's.
        properties.push(switched_on("Delegate"));
    }
    properties
}

/// What a container's unit is described as. It tells the unit from another of the same name.
pub fn description(id: &str) -> String {
    format!("Corten container {id}")
}

/// What of `writes` systemd has properties for.
pub fn of_limits<'a>(writes: impl Iterator<Item = &'a Write> + Clone) -> Vec<Property> {
    let mut properties = Vec::new();
    for write in writes.clone() {
        let Value::Text(text) = &write.value else { continue };
        // systemd sets its limit at once, when an intermediate process may still have to fork init.
        let text = if write.has_room_for_one() { "2" } else { text };
        put_all(&mut properties, of_file(&write.file, text));
        if let OnFailure::Use(file, text) = &write.on_failure {
            put_all(&mut properties, of_file(file, text));
        }
    }
    // On v1 the quota and its period are two files.
    let text = |file: &str| writes.clone().find(|write| write.file == file).map(|write| &write.value);
    if let Some(Value::Text(quota)) = text("cpu.cfs_quota_us") {
        let period = text("cpu.cfs_period_us").and_then(|period| match period {
            Value::Text(period) => period.parse().ok(),
            _ => None,
        });
        put_all(&mut properties, cpu_quota(quota, period));
    }
    properties
}

/// Adds `new`. A property that stands already is replaced, or completed where it is a list by device.
pub(super) fn put_all(properties: &mut Vec<Property>, new: Vec<Property>) {
    for property in new {
        match properties.iter_mut().find(|standing| standing.name == property.name) {
            None => properties.push(property),
            Some(standing) => match (&mut standing.value, property.value) {
                (PropertyValue::Rates(all), PropertyValue::Rates(more)) => all.extend(more),
                (standing, value) => *standing = value,
            },
        }
    }
}

/// The properties that say the same as `text` in `file` of a cgroup; none where systemd has no such property.
fn of_file(file: &str, text: &str) -> Vec<Property> {
    let size = |name| size(text).map(|size| Property::number(name, size)).into_iter().collect();
    match file {
        "memory.max" => size("MemoryMax"),
        "memory.high" => size("MemoryHigh"),
        "memory.low" => size("MemoryLow"),
        "memory.min" => size("MemoryMin"),
        "memory.swap.max" => size("MemorySwapMax"),
        "memory.limit_in_bytes" => size("MemoryLimit"),
        "pids.max" => size("TasksMax"),
        "cpu.weight" => size("CPUWeight"),
        "cpu.shares" => size("CPUShares"),
        "blkio.weight" | "blkio.bfq.weight" => size("BlockIOWeight"),
        "cpu.idle" if text == "1" => vec![Property::number("CPUWeight", 0).since(252)],
        "cpu.max" => {
            let mut parts = text.split(' ');
            cpu_quota(parts.next().unwrap_or("max"), parts.next().and_then(|period| period.parse().ok()))
        }
        "cpuset.cpus" => bits("AllowedCPUs", text),
        "cpuset.mems" => bits("AllowedMemoryNodes", text),
        "io.weight" => io_weight(text),
        "io.max" => io_max(text),
        _ => Vec::new(),
    }
}

/// A size, a number of tasks or a weight. -1 and `max` are no limit.
fn size(text: &str) -> Option<u64> {
    match text.trim() {
        "max" | "-1" => Some(INFINITY),
        text => text.parse().ok(),
    }
}

/// systemd counts in steps of 10 ms per second, and refuses a quota below one step.
fn cpu_quota(quota: &str, period: Option<u64>) -> Vec<Property> {
    const SECOND_US: u128 = 1_000_000;
    const STEP_US: u128 = 10_000;
    const KERNEL_PERIOD_US: u64 = 100_000;
    let per_second = match quota.parse::<u64>() {
        Err(_) | Ok(0) => INFINITY,
        Ok(quota) => {
            let per_second =
                u128::from(quota) * SECOND_US / u128::from(period.unwrap_or(KERNEL_PERIOD_US).max(1));
            let rounded = per_second.div_ceil(STEP_US) * STEP_US;
            u64::try_from(rounded).unwrap_or(INFINITY)
        }
    };
    let period = period.map(|period| Property::number("CPUQuotaPeriodUSec", period).since(242));
    let quota = Property::number("CPUQuotaPerSecUSec", per_second);
    [Some(quota), period].into_iter().flatten().collect()
}

fn bits(name: &str, text: &str) -> Vec<Property> {
    // The kernel judges a list that can't be read.
    let Some(numbers) = numbers(text) else { return Vec::new() };
    let mut bits = Vec::new();
    for number in numbers {
        let (byte, bit) = (number / 8, number % 8);
        if bits.len() <= byte {
            bits.resize(byte + 1, 0u8);
        }
        bits[byte] |= 1 << bit;
    }
    vec![Property::new(name, PropertyValue::Bits(bits)).since(244)]
}

/// `120`, `default 120`, `8:0 120`.
fn io_weight(text: &str) -> Vec<Property> {
    let mut parts = text.split_whitespace().rev();
    let Some(weight) = parts.next().and_then(|weight| weight.parse().ok()) else { return Vec::new() };
    match parts.next() {
        None | Some("default") => vec![Property::number("IOWeight", weight)],
        Some(device) => rates("IODeviceWeight", device, weight),
    }
}

/// `8:0 rbps=1048576 wiops=max`.
fn io_max(text: &str) -> Vec<Property> {
    let mut parts = text.split_whitespace();
    let Some(device) = parts.next() else { return Vec::new() };
    parts
        .filter_map(|part| part.split_once('='))
        .flat_map(|(key, rate)| {
            let name = match key {
                "rbps" => "IOReadBandwidthMax",
                "wbps" => "IOWriteBandwidthMax",
                "riops" => "IOReadIOPSMax",
                "wiops" => "IOWriteIOPSMax",
                _ => return Vec::new(),
            };
            size(rate).map(|rate| rates(name, device, rate)).unwrap_or_default()
        })
        .collect()
}

fn rates(name: &str, device: &str, rate: u64) -> Vec<Property> {
    vec![Property::new(name, PropertyValue::Rates(vec![(format!("/dev/block/{device}"), rate)]))]
}

/// On v1 systemd writes its own device rules whenever it is reloaded, and without any it allows everything. (On v2 it
/// has no program of its own unless it is told to, and the runtime's stays.)
pub(super) fn of_devices_on_v1(policy: &Policy, drivers: &Drivers) -> Vec<Property> {
    let Some(allowed) = policy.for_systemd(drivers) else { return Vec::new() };
    let text = |name, text: &str| Property::new(name, PropertyValue::Text(text.to_owned()));
    vec![text("DevicePolicy", "strict"), Property::new("DeviceAllow", PropertyValue::Devices(allowed))]
}

/// The annotations `org.systemd.property.NAME`, whose values are GVariant texts.
///
/// Errors: a property that could do more than describe how the unit is watched and ended; a value that is not of the
/// property's type.
pub(super) fn of_annotations<'a>(
    annotations: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<Vec<Property>> {
    let mut properties = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(ANNOTATION) else { continue };
        let (property, as_seconds) = match name.strip_suffix("Sec") {
            Some(stem) if !name.ends_with("USec") => (format!("{stem}USec"), true),
            _ => (name.to_owned(), false),
        };
        let Some((_, kind)) = ALLOWED.iter().find(|(allowed, _)| *allowed == property) else {
            let cause = format!("annotations[{key:?}]: {name} is not one of the properties that may be set");
            let known = ALLOWED.map(|(name, _)| name).join(", ");
            return Err(Error::invalid(cause).with_hint(format!("those are {known}")));
        };
        let value = kind.parse(text.trim(), as_seconds).ok_or_else(|| {
            Error::invalid(format!("annotations[{key:?}]: {text:?} is not {}", kind.what(as_seconds)))
        })?;
        put_all(&mut properties, vec![Property::new(&property, value)]);
    }
    properties.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(properties)
}

const ANNOTATION: &str = "org.systemd.property.";

/// The properties that a config may set. With others (`OnFailure`, `Conflicts`, `SuccessAction`), whoever writes
/// annotations could stop units of the host, or the host.
const ALLOWED: [(&str, Kind); 16] = [
    ("After", Kind::Texts),
    ("Before", Kind::Texts),
    ("CollectMode", Kind::Text),
    ("DefaultDependencies", Kind::Bool),
    ("Documentation", Kind::Texts),
    ("FinalKillSignal", Kind::Int),
    ("KillMode", Kind::Text),
    ("KillSignal", Kind::Int),
    ("ManagedOOMMemoryPressure", Kind::Text),
    ("ManagedOOMPreference", Kind::Text),
    ("ManagedOOMSwap", Kind::Text),
    ("OOMPolicy", Kind::Text),
    ("RuntimeMaxUSec", Kind::Number),
    ("SendSIGHUP", Kind::Bool),
    ("SendSIGKILL", Kind::Bool),
    ("TimeoutStopUSec", Kind::Number),
];

/// The type of a property's value.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Int,
    Number,
    Text,
    Texts,
}

impl Kind {
    fn parse(self, text: &str, as_seconds: bool) -> Option<PropertyValue> {
        // GVariant may name the type before the value.
        let after = |types: &[&str]| {
            let named = types.iter().find_map(|name| text.strip_prefix(name)?.strip_prefix(' '));
            named.unwrap_or(text).trim()
        };
        const NUMBERS: [&str; 8] =
            ["byte", "int16", "uint16", "int32", "uint32", "int64", "uint64", "handle"];
        match self {
            Kind::Bool => match after(&["boolean"]) {
                "true" => Some(PropertyValue::Bool(true)),
                "false" => Some(PropertyValue::Bool(false)),
                _ => None,
            },
            Kind::Int => after(&NUMBERS).parse().ok().map(PropertyValue::Int),
            Kind::Number if as_seconds => {
                let seconds: u64 = after(&NUMBERS).parse().ok()?;
                seconds.checked_mul(1_000_000).map(PropertyValue::Number)
            }
            Kind::Number => after(&NUMBERS).parse().ok().map(PropertyValue::Number),
            Kind::Text => unquoted(after(&["string"])).map(PropertyValue::Text),
            Kind::Texts => {
                let inner = text.strip_prefix('[')?.strip_suffix(']')?.trim();
                let parts = inner.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(unquoted).collect::<Option<Vec<_>>>().map(PropertyValue::Texts)
            }
        }
    }

    fn what(self, as_seconds: bool) -> &'static str {
        match self {
            Kind::Bool => "true or false",
            Kind::Int => "a number",
            Kind::Number if as_seconds => "a number of seconds",
            Kind::Number => "a number of microseconds",
            Kind::Text => "a text in quotes",
            Kind::Texts => "a list of texts in quotes",
        }
    }
}

/// The text between its quotes. One that would have to be unescaped is not taken.
fn unquoted(text: &str) -> Option<String> {
    let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    let inner = quoted('\'').or_else(|| quoted('"'))?;
    (!inner.contains(['\\', '\'', '"'])).then(|| inner.to_owned())
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Property { name, value, .. } = self;
        match value {
            PropertyValue::Bool(on) => write!(f, "{name}={on}"),
            PropertyValue::Int(number) => write!(f, "{name}={number}"),
            PropertyValue::Number(INFINITY) => write!(f, "{name}=infinity"),
            PropertyValue::Number(number) => write!(f, "{name}={number}"),
            PropertyValue::Text(text) => write!(f, "{name}={text:?}"),
            PropertyValue::Texts(texts) => write!(f, "{name}={texts:?}"),
            PropertyValue::Bits(bits) => {
                let is_set = |at: &usize| bits[at / 8] & (1 << (at % 8)) != 0;
                let numbers: Vec<String> =
                    (0..bits.len() * 8).filter(is_set).map(|number| number.to_string()).collect();
                write!(f, "{name}={}", numbers.join(","))
            }
            PropertyValue::Rates(rates) => {
                let rates: Vec<String> =
                    rates.iter().map(|(device, rate)| format!("{device} {rate}")).collect();
                write!(f, "{name}={}", rates.join(", "))
            }
            PropertyValue::Devices(devices) => {
                let devices: Vec<String> =
                    devices.iter().map(|(device, access)| format!("{device} {access}")).collect();
                write!(f, "{name}={}", devices.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(file: &str, text: &str) -> String {
        of_file(file, text).iter().map(Property::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn files_as_properties() {
        for (file, text, property) in [
            ("memory.max", "67108864", "MemoryMax=67108864"),
            ("memory.max", "max", "MemoryMax=infinity"),
            ("memory.limit_in_bytes", "-1", "MemoryLimit=infinity"),
            ("pids.max", "max", "TasksMax=infinity"),
            ("cpu.weight", "59", "CPUWeight=59"),
            ("cpu.idle", "1", "CPUWeight=0"),
            ("cpu.idle", "0", ""),
            ("cpu.max", "50000 100000", "CPUQuotaPerSecUSec=500000; CPUQuotaPeriodUSec=100000"),
            ("cpu.max", "50000", "CPUQuotaPerSecUSec=500000"),
            ("cpu.max", "100500 100000", "CPUQuotaPerSecUSec=1010000; CPUQuotaPeriodUSec=100000"),
            ("cpu.max", "max 50000", "CPUQuotaPerSecUSec=infinity; CPUQuotaPeriodUSec=50000"),
            ("cpuset.cpus", "0-1,9", "AllowedCPUs=0,1,9"),
            ("cpuset.mems", "0", "AllowedMemoryNodes=0"),
            ("io.weight", "1010", "IOWeight=1010"),
            ("io.weight", "default 50", "IOWeight=50"),
            ("io.weight", "8:0 200", "IODeviceWeight=/dev/block/8:0 200"),
            ("io.max", "8:0 rbps=1024", "IOReadBandwidthMax=/dev/block/8:0 1024"),
            ("hugetlb.2MB.max", "0", ""),
        ] {
            assert_eq!(shown(file, text), property, "{file} {text}");
        }
    }

    fn annotated(name: &str, value: &str) -> Result<String> {
        let (key, value) = (format!("{ANNOTATION}{name}"), value.to_owned());
        let properties = of_annotations([(&key, &value)].into_iter())?;
        Ok(properties.iter().map(Property::to_string).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn annotations_set_what_is_harmless() {
        for (name, value, property) in [
            ("TimeoutStopUSec", "uint64 10000000", "TimeoutStopUSec=10000000"),
            ("TimeoutStopSec", "10", "TimeoutStopUSec=10000000"),
            ("KillSignal", "15", "KillSignal=15"),
            ("CollectMode", "'inactive'", "CollectMode=\"inactive\""),
            ("DefaultDependencies", "true", "DefaultDependencies=true"),
            ("After", "['a.service', 'b.service']", "After=[\"a.service\", \"b.service\"]"),
        ] {
            assert_eq!(annotated(name, value).unwrap(), property);
        }
    }

    #[test]
    fn annotations_set_nothing_else() {
        for name in ["ExecStartPre", "OnFailure", "SuccessAction", "Delegate", "PIDs", "MemoryMax", "", "Sec"]
        {
            let text = annotated(name, "'x'").unwrap_err().to_string();
            assert!(text.contains("is not one of the properties that may be set"), "{text}");
        }
        for (name, value) in [
            ("TimeoutStopUSec", "'x'"),
            ("TimeoutStopUSec", "-1"),
            ("KillSignal", ""),
            ("CollectMode", "inactive"),
            ("CollectMode", "'it\\'s'"),
            ("After", "'a'"),
            ("SendSIGHUP", "1"),
        ] {
            let text = annotated(name, value).unwrap_err().to_string();
            assert!(text.contains(" is not "), "{text}");
        }
    }
}
