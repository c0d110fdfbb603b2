//! Deadlines for waits, and the time of day as RFC 3339 writes it.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::poll::PollTimeout;

/// When a wait gives up. The earlier of two deadlines is the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    /// At once: the wait only looks.
    Now,
    /// At this moment.
    At(Instant),
    /// Never.
    Never,
}

impl Deadline {
    /// A deadline `wait` from now; never, if the clock does not go as far.
    pub fn after(wait: Duration) -> Deadline {
        Instant::now().checked_add(wait).map_or(Deadline::Never, Deadline::At)
    }

    /// Whether the deadline has passed.
    pub fn passed(self) -> bool {
        match self {
            Deadline::Now => true,
            Deadline::At(moment) => moment <= Instant::now(),
            Deadline::Never => false,
        }
    }

    /// The time that is left as poll(2) takes it: in milliseconds, rounded up so that a wait never ends early.
    pub(super) fn poll_timeout(self) -> PollTimeout {
        match self {
            Deadline::Now => PollTimeout::ZERO,
            Deadline::At(moment) => {
                let left = moment.saturating_duration_since(Instant::now());
                let milliseconds = left.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
                PollTimeout::try_from(milliseconds as i32).unwrap_or(PollTimeout::MAX)
            }
            Deadline::Never => PollTimeout::NONE,
        }
    }
}

/// A moment in UTC. Its text is RFC 3339 with as many digits of a second as it needs, which is how Go prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    unix_seconds: u64,
    nanoseconds: u32,
}

impl Timestamp {
    /// The time of day.
    pub fn now() -> Timestamp {
        // A clock before 1970 is printed as 1970: no reason to fail a container.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp { unix_seconds: since_epoch.as_secs(), nanoseconds: since_epoch.subsec_nanos() }
    }

    /// The same moment without its fraction, as log records have it.
    pub fn to_whole_seconds(self) -> Timestamp {
        Timestamp { nanoseconds: 0, ..self }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second_of_day) = (self.unix_seconds / 86_400, self.unix_seconds % 86_400);
        let (year, month, day) = civil_date(days);
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.nanoseconds != 0 {
            write!(f, ".{}", format!("{:09}", self.nanoseconds).trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// The Gregorian date of the day `days` after 1970-01-01.
///
/// Counts in years that begin on the first of March, so that a leap day is the last day of its year.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days_since_march_year_0 = days + 719_468;
    let era = days_since_march_year_0 / 146_097;
    let day_of_era = days_since_march_year_0 % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unix_seconds: u64, nanoseconds: u32) -> String {
        Timestamp { unix_seconds, nanoseconds }.to_string()
    }

    #[test]
    fn dates_around_leap_days_and_centuries() {
        assert_eq!(text(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(text(951_782_399, 0), "2000-02-28T23:59:59Z");
        assert_eq!(text(951_782_400, 0), "2000-02-29T00:00:00Z");
        assert_eq!(text(1_709_251_199, 0), "2024-02-29T23:59:59Z");
        assert_eq!(text(1_709_251_200, 0), "2024-03-01T00:00:00Z");
        assert_eq!(text(1_787_393_472, 0), "2026-08-22T10:11:12Z");
        assert_eq!(text(4_107_542_399, 0), "2100-02-28T23:59:59Z");
        assert_eq!(text(4_107_542_400, 0), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn fraction_has_only_the_digits_it_needs() {
        assert_eq!(text(0, 123_456_789), "1970-01-01T00:00:00.123456789Z");
        assert_eq!(text(0, 120_000_000), "1970-01-01T00:00:00.12Z");
        assert_eq!(text(0, 1_000), "1970-01-01T00:00:00.000001Z");
        assert_eq!(
            Timestamp { unix_seconds: 1, nanoseconds: 5 }.to_whole_seconds().to_string(),
            "1970-01-01T00:00:01Z"
        );
    }

    #[test]
    fn deadlines_pass_in_their_order() {
        let soon = Deadline::after(Duration::ZERO);
        assert!(soon.passed() && Deadline::Now.passed() && !Deadline::Never.passed());
        assert_eq!(soon.poll_timeout(), PollTimeout::ZERO);
        let hour = Deadline::after(Duration::from_secs(3600));
        assert!(!hour.passed() && hour.poll_timeout().as_millis() > Some(3_599_000));
        assert_eq!(Deadline::after(Duration::from_micros(999_999)).poll_timeout().as_millis(), Some(1000));
        assert_eq!(Deadline::after(Duration::from_secs(1 << 40)).poll_timeout(), PollTimeout::MAX);
        assert_eq!(Deadline::after(Duration::MAX), Deadline::Never);
    }
}
