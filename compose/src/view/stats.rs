//! `stats`: a row for each container, from what it has used at two moments. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::table::{Column, binary_bytes, bytes};
use crate::engine::metrics::Used;
use crate::id;
use crate::observe::Observed;

pub const COLUMNS: [Column; 8] = [
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

/// The headings of all fields.
pub const HEADINGS: [Column; 9] = [
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

/// What a container has used up to some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The moment, since whatever all samples count from.
    pub at: Duration,
    pub used: Used,
    /// What its own network interfaces have taken in and sent.
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

/// The row of a container, whose last samples are these, the older one first. `memory_bytes` is the host's. A container
/// without samples uses nothing.
pub fn row(
    one: &Observed,
    typed: &str,
    (before, now): (Option<Sample>, Option<Sample>),
    memory_bytes: u64,
    no_trunc: bool,
) -> Value {
    let sample = now.unwrap_or_default();
    let used = sample.used;
    // A limit above what the host has is none.
    let limit = match used.memory_bytes_max {
        0 => memory_bytes,
        limit => limit.min(memory_bytes),
    };
    let limit = if now.is_some() { limit } else { 0 };
    let percent = |part: f64, whole: f64| if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
    let both = |first: u64, second: u64| format!("{} / {}", decimal(first), decimal(second));
    json!({
        "Container": typed,
        "ID": if no_trunc { one.id() } else { id::short(one.id()) },
        "Name": one.name(),
        "CPUPerc": format!("{:.2}%", cpu_percent(before, now)),
        "MemUsage": format!("{} / {}", binary_bytes(used.memory_bytes), binary_bytes(limit)),
        "MemPerc": format!("{:.2}%", percent(used.memory_bytes as f64, limit as f64)),
        "NetIO": both(sample.received_bytes, sample.sent_bytes),
        "BlockIO": both(used.read_bytes, used.written_bytes),
        "PIDs": used.processes.to_string(),
    })
}

fn decimal(size: u64) -> String {
    bytes(i64::try_from(size).unwrap_or(i64::MAX))
}

/// 100 is one CPU. A counter that went back is another task's.
fn cpu_percent(before: Option<Sample>, now: Option<Sample>) -> f64 {
    let Some((before, now)) = before.zip(now) else { return 0.0 };
    let nanos = now.used.cpu_nanos.saturating_sub(before.used.cpu_nanos);
    let passed = now.at.saturating_sub(before.at).as_nanos();
    if passed == 0 { 0.0 } else { nanos as f64 / passed as f64 * 100.0 }
}

/// What the interfaces of a `/proc/PID/net/dev` have taken in and sent, the loopback aside.
pub fn network(dev: &str) -> (u64, u64) {
    let interfaces = dev.lines().filter_map(|line| line.split_once(':'));
    let counters = interfaces.filter(|(name, _)| name.trim() != "lo").map(|(_, counters)| {
        let number = |at| counters.split_whitespace().nth(at).and_then(|number| number.parse().ok());
        (number(0).unwrap_or(0), number(8).unwrap_or(0))
    });
    counters.fold((0, 0), |sum: (u64, u64), (received, sent): (u64, u64)| {
        (sum.0.saturating_add(received), sum.1.saturating_add(sent))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_what_was_used_between_two_samples() {
        let sample = |seconds, cpu_nanos| {
            let at = Duration::from_secs(seconds);
            Some(Sample { at, used: Used { cpu_nanos, ..Used::default() }, ..Sample::default() })
        };
        assert_eq!(cpu_percent(sample(1, 0), sample(3, 1_000_000_000)), 50.0);
        assert_eq!(cpu_percent(None, sample(3, 1_000_000_000)), 0.0);
        assert_eq!(cpu_percent(sample(3, 9), sample(3, 10)), 0.0);
        assert_eq!(cpu_percent(sample(1, 9), sample(3, 1)), 0.0);
    }

    #[test]
    fn traffic_is_that_of_all_interfaces_but_the_loopback() {
        let dev = "Inter-|   Receive  |  Transmit\n face |bytes packets errs\n\
            lo: 9 0 0 0 0 0 0 0 9 0\n  eth0: 100 1 0 0 0 0 0 0 200 2\neth1:1 1 0 0 0 0 0 0 2 2\n";
        assert_eq!(network(dev), (101, 202));
        assert_eq!(network("eth0: x"), (0, 0));
    }
}
