//! Whether a container is healthy, from what its probes say. Pure.
//!
//! The rules are Docker's. One success is healthy. So many failures in a row are unhealthy, but those of probes that
//! began in the start period don't count, as long as there was no success.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::settings::Check;
use crate::model::values;

/// How many results are kept.
const RESULTS_MAX: usize = 5;
/// How much of a probe's output is kept, in bytes.
pub const OUTPUT_MAX: usize = 4096;
/// The exit code that a probe has which was too slow.
pub const TOO_SLOW: i32 = -1;

/// What is known of a container's health.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Health {
    /// The verdict.
    pub status: Status,
    /// How many failures in a row have counted.
    pub failing_streak: u32,
    /// The last results, the oldest first.
    pub results: VecDeque<ProbeResult>,
}

/// The verdict.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody knows yet.
    Starting,
    /// The last probe that counted has succeeded.
    Healthy,
    /// Too many in a row have failed.
    Unhealthy,
}

impl Status {
    /// Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Healthy => "healthy",
            Status::Unhealthy => "unhealthy",
        }
    }
}

/// What a probe has said.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ProbeResult {
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// Its exit code, or [`TOO_SLOW`].
    pub exit_code: i32,
    /// The beginning of its output.
    pub output: String,
}

impl ProbeResult {
    /// The result of a probe that had to be killed, and has said this.
    pub fn too_slow(start: SystemTime, end: SystemTime, timeout: Duration, said: &str) -> ProbeResult {
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        let output = format!("Health check exceeded timeout ({}){said}", values::Duration(timeout));
        ProbeResult { start, end, exit_code: TOO_SLOW, output }
    }
}

impl Default for Health {
    fn default() -> Health {
        Health { status: Status::Starting, failing_streak: 0, results: VecDeque::new() }
    }
}

impl Health {
    /// How long to wait for the next probe, from the end of the last one or from the start.
    pub fn pause(&self, check: &Check, lived: Duration) -> Duration {
        let is_starting = self.status == Status::Starting && lived < check.start_period;
        if is_starting { check.start_interval } else { check.interval }
    }

    /// Takes a result in. `started` is when the container has.
    pub fn note(&mut self, check: &Check, started: SystemTime, result: ProbeResult) {
        let lived = result.start.duration_since(started).unwrap_or_default();
        if result.exit_code == 0 {
            self.status = Status::Healthy;
            self.failing_streak = 0;
        } else if self.status != Status::Starting || lived >= check.start_period {
            self.failing_streak += 1;
            if self.failing_streak >= check.retries {
                self.status = Status::Unhealthy;
            }
        }
        self.results.push_back(result);
        if self.results.len() > RESULTS_MAX {
            self.results.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn check(start_period: u32) -> Check {
        Check { start_period: SECOND * start_period, ..Check::of(vec!["true".into()]) }
    }

    /// The health after probes at these seconds with these codes.
    fn after(check: &Check, probes: &[(u32, i32)]) -> Health {
        let mut health = Health::default();
        for (second, exit_code) in probes {
            let start = SystemTime::UNIX_EPOCH + SECOND * *second;
            let result = ProbeResult { start, end: start, exit_code: *exit_code, output: String::new() };
            health.note(check, SystemTime::UNIX_EPOCH, result);
        }
        health
    }

    #[test]
    fn one_success_is_healthy_and_retries_failures_are_not() {
        let check = check(0);
        assert_eq!(after(&check, &[]).status, Status::Starting);
        assert_eq!(after(&check, &[(30, 0)]).status, Status::Healthy);
        assert_eq!(after(&check, &[(30, 1), (60, 1)]).status, Status::Starting);
        assert_eq!(after(&check, &[(30, 1), (60, TOO_SLOW), (90, 7)]).status, Status::Unhealthy);
        assert_eq!(after(&check, &[(30, 0), (60, 1), (90, 1)]).status, Status::Healthy);
        let recovered = after(&check, &[(30, 1), (60, 1), (90, 1), (120, 0)]);
        assert_eq!((recovered.status, recovered.failing_streak), (Status::Healthy, 0));
    }

    #[test]
    fn failures_of_the_start_period_count_only_after_a_success() {
        let check = check(100);
        let patient = after(&check, &[(5, 1), (10, 1), (15, 1), (20, 1)]);
        assert_eq!((patient.status, patient.failing_streak), (Status::Starting, 0));
        assert_eq!(after(&check, &[(5, 0), (10, 1), (15, 1), (20, 1)]).status, Status::Unhealthy);
        assert_eq!(after(&check, &[(5, 1), (100, 1), (130, 1), (160, 1)]).status, Status::Unhealthy);
    }

    #[test]
    fn probes_come_faster_in_the_start_period_until_the_first_success() {
        let check = check(100);
        assert_eq!(after(&check, &[]).pause(&check, SECOND), 5 * SECOND);
        assert_eq!(after(&check, &[]).pause(&check, 100 * SECOND), 30 * SECOND);
        assert_eq!(after(&check, &[(5, 0)]).pause(&check, 6 * SECOND), 30 * SECOND);
    }

    #[test]
    fn the_last_five_results_are_kept() {
        let health = after(&check(0), &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)]);
        let codes = health.results.iter().map(|result| result.exit_code).collect::<Vec<_>>();
        assert_eq!(codes, [2, 3, 4, 5, 6]);
    }
}
