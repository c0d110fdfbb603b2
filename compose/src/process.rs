//! Processes that outlive what knows of them: a pid alone may be another process's by now.

pub mod child;

use std::fmt;
use std::fs;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A process, for ever.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Process {
    /// Its pid while it lives.
    pub pid: i32,
    /// When it started, in the kernel's ticks since the boot.
    pub started: u64,
}

impl Process {
    /// The process that has this pid now, if there is one that isn't a zombie.
    pub fn of(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Process { pid, started: started(&stat)? })
    }

    /// This very process.
    pub fn own() -> Option<Process> {
        Process::of(std::process::id().try_into().ok()?)
    }

    /// When it started, as the clock goes now. The kernel counts from the boot, in hundredths of a second.
    pub fn start(&self) -> Option<SystemTime> {
        const TICK: Duration = Duration::from_millis(10);
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
        let since_boot = TICK.checked_mul(self.started.try_into().ok()?)?;
        let lived = Duration::try_from_secs_f64(uptime).ok()?.saturating_sub(since_boot);
        SystemTime::now().checked_sub(lived)
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Process::of(self.pid) == Some(*self)
    }
}

/// As an argument of a program: `PID:STARTED`.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pid, self.started)
    }
}

impl FromStr for Process {
    type Err = Error;

    fn from_str(text: &str) -> Result<Process, Error> {
        let parsed = text.split_once(':').and_then(|(pid, started)| {
            Some(Process { pid: pid.parse().ok()?, started: started.parse().ok()? })
        });
        parsed.ok_or_else(|| Error::new(format!("{text}: not a process")))
    }
}

/// Whether whoever has started this process has had it ignore the signal: `nohup`, or a shell in the background.
pub fn is_ignored(signal: i32) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| has_signal(&status, "SigIgn:", signal))
}

/// The kernel's sets of signals are hexadecimal, with bit 0 for signal 1.
fn has_signal(status: &str, field: &str, signal: i32) -> bool {
    let set = status.lines().find_map(|line| line.strip_prefix(field));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or_default();
    (1..=64).contains(&signal) && set >> (signal - 1) & 1 == 1
}

/// The command's name stands in parentheses and may have any character. State is the field behind it, and the start the
/// 19th after the state.
fn started(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_no_other_of_its_pid() {
        let own = Process::own().unwrap();
        assert!(own.is_alive());
        assert!(!Process { started: own.started + 1, ..own }.is_alive());
        assert_eq!(own.to_string().parse::<Process>().unwrap(), own);
        assert!("7".parse::<Process>().is_err());
        let lived = own.start().unwrap().elapsed().unwrap();
        assert!(lived < Duration::from_secs(3600), "{lived:?}");
    }

    #[test]
    fn sets_of_signals_are_read() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t8000000000001001\nSigCgt:\t0000000000000002\n";
        let ignored: Vec<i32> = (-1..70).filter(|signal| has_signal(status, "SigIgn:", *signal)).collect();
        assert_eq!(ignored, [1, 13, 64]);
        assert!(has_signal(status, "SigCgt:", 2) && !has_signal("", "SigIgn:", 1));
    }

    #[test]
    fn names_with_parentheses_and_zombies_are_told_apart() {
        let fields = "1 ".repeat(18);
        assert_eq!(started(&format!("7 (a) Z (b) S {fields}42 0")), Some(42));
        assert_eq!(started(&format!("7 (a) Z {fields}42 0")), None);
        assert_eq!(started("7"), None);
    }
}
