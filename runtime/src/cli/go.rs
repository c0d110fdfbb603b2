//! Values as Go programs take them: callers of a container runtime write them for runc, which is written in Go.

use std::time::Duration;

use crate::error::{Error, Result};

/// `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `time.ParseDuration`: decimal numbers with a unit, such as `5s`, `100ms`, `1m30.5s`; never negative here.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let invalid =
        || Error::invalid(format!("{text:?} is not a duration such as \"5s\", \"100ms\" or \"1m30s\""));
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, after) = split_where(after, |c| c.is_ascii_digit() || c == '.');
        let part = nanoseconds_in(unit).and_then(|unit| times(number, unit)).ok_or_else(invalid)?;
        total = total.checked_add(Duration::from_nanos(part)).ok_or_else(invalid)?;
        rest = after;
    }
    Ok(total)
}

fn nanoseconds_in(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // Both signs for micro that Unicode has.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// A size in bytes as Docker takes it: `67108864`, `64M`, `64MiB`, `1.5g`; every unit counts in 1024s.
pub fn parse_bytes(text: &str) -> Result<i64> {
    let invalid =
        || Error::invalid(format!("{text:?} is not a size such as \"67108864\", \"64M\" or \"1.5g\""));
    let (number, unit) = split_where(text, |c| !c.is_ascii_digit() && c != '.');
    let unit = unit.trim_start().to_ascii_lowercase();
    let prefix = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit);
    let power = match prefix {
        "" if unit != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(invalid()),
    };
    let bytes = times(number, 1 << (10 * power)).ok_or_else(invalid)?;
    i64::try_from(bytes).map_err(|_| invalid())
}

/// A decimal number such as `1.5` times `unit`, rounded down.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits after the 18th add less than 1 in any unit.
    let fraction = &fraction[..fraction.len().min(18)];
    let numerator: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let part = u128::from(unit) * numerator / 10_u128.pow(fraction.len() as u32);
    whole.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ms = |text: &str| parse_duration(text).ok().map(|time| time.as_millis());
        assert_eq!(ms("5s"), Some(5000));
        assert_eq!(ms("100ms"), Some(100));
        assert_eq!(ms("1m30.5s"), Some(90_500));
        assert_eq!(ms("1h"), Some(3_600_000));
        assert_eq!(ms(".5s"), Some(500));
        assert_eq!(ms("2500\u{b5}s"), Some(2));
        assert_eq!(ms("0"), Some(0));
        for text in ["", "5", "s", "-5s", "5x", "5 s", "1..5s", "99999999999999h", ".s"] {
            assert_eq!(ms(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        let bytes = |text: &str| parse_bytes(text).ok();
        assert_eq!(bytes("67108864"), Some(64 << 20));
        for text in ["64M", "64m", "64mb", "64MiB", "64 MB"] {
            assert_eq!(bytes(text), Some(64 << 20), "{text:?}");
        }
        assert_eq!(bytes("32k"), Some(32 << 10));
        assert_eq!(bytes("1.5g"), Some(3 << 29));
        assert_eq!(bytes("7b"), Some(7));
        for text in ["", "M", "-1", "5x", "5kk", "9999999p", "1e3", "5ib"] {
            assert_eq!(bytes(text), None, "{text:?}");
        }
    }

    #[test]
    fn booleans() {
        assert_eq!(parse_bool("true"), Some(true));
        assert_eq!(parse_bool("F"), Some(false));
        assert_eq!(parse_bool("yes"), None);
    }
}
