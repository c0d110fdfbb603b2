//! Moments and durations as Docker writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

/// The time since 1970.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A moment in RFC 3339, with as many digits after the second as it has: `2026-11-26T20:35:53.5Z`.
pub fn rfc3339(seconds: i64, nanos: u32) -> String {
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = format!(".{nanos:09}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// A moment as tables have it: `2026-11-26 20:35:53 +0000 UTC`.
pub fn table(seconds: i64) -> String {
    let text = rfc3339(seconds, 0);
    format!("{} +0000 UTC", text.trim_end_matches('Z').replace('T', " "))
}

/// The moment that RFC 3339's text means, in seconds and nanoseconds since 1970.
pub fn parse_rfc3339(text: &str) -> Option<(i64, u32)> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let days = days(date.next()??, date.next()??, date.next()??);
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let seconds = clock.next()?? * 3600 + clock.next()?? * 60 + clock.next()??;
    let nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some((days * DAY + seconds - offset(zone)?, nanos))
}

/// Seconds that a zone is ahead: `Z`, `+01:30`.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return Some(0),
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    Some(sign * (hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60))
}

/// A duration in words: `Less than a second`, `About an hour`, `3 weeks`.
pub fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    // Hours are rounded, all else is cut.
    let hours = (seconds + 1800) / 3600;
    match (hours, minutes, seconds) {
        (_, _, 0) => "Less than a second".to_owned(),
        (_, _, 1) => "1 second".to_owned(),
        (_, 0, seconds) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (1, _, _) => "About an hour".to_owned(),
        (..48, _, _) => format!("{hours} hours"),
        (..336, _, _) => format!("{} days", hours / 24),
        (..1440, _, _) => format!("{} weeks", hours / 24 / 7),
        (..17520, _, _) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// Year, month and day of a day since 1970-01-01. Source: Hinnant, "chrono-compatible low-level date algorithms".
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that a leap day is the last of its year.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// The day since 1970-01-01 of a date: the other way round.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = (month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_795_725_353, 500_000_000, "2026-11-26T20:35:53.5Z"),
            (-1, 0, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds, nanos), text);
            assert_eq!(parse_rfc3339(text), Some((seconds, nanos)), "{text}");
        }
    }

    #[test]
    fn a_zone_is_taken_off_and_nonsense_is_none() {
        assert_eq!(parse_rfc3339("1970-01-01T01:30:00+01:30"), Some((0, 0)));
        assert_eq!(parse_rfc3339("1969-12-31T23:00:00.25-01:00"), Some((0, 250_000_000)));
        for text in ["", "T", "1970-01-01", "1970-01-01T00:00:00", "a-b-cTd:e:fZ", "1970-01-01T00:00:00+é"] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_in_dockers_words() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (3540, "59 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * DAY as u64, "2 weeks"),
            (60 * DAY as u64, "2 months"),
            (730 * DAY as u64, "2 years"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), text);
        }
    }
}
