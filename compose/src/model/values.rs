//! Values that are text in a Compose file and mean more: durations, sizes, permissions, policies.

use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Reads with `FromStr`, prints with `Display`: both ways of serde for what is one piece of text.
macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                from.deserialize_any(Text).and_then(|text| text.parse().map_err(D::Error::custom))
            }
        }
    };
}

/// Takes text, and whole numbers as text: `1024` is a size too.
struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

/// A length of time: `1h2m3.5s`.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Duration(pub std::time::Duration);
as_text!(Duration);

/// The units of durations, in nanoseconds, the longest first. Weeks and days are read and never printed.
const TIMES: [(&str, u64); 9] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Duration, String> {
        let wrong = || format!("must be a duration as `1m30s`, not {text:?}");
        let mut rest = text;
        let mut nanoseconds = 0u64;
        if text == "0" {
            return Ok(Duration::default());
        }
        while !rest.is_empty() || text.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let (number, after) = rest.split_at(digits);
            let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, after) = after.split_at(letters);
            let (_, length) = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            let part = times(number, *length).ok_or_else(wrong)?;
            nanoseconds = nanoseconds.checked_add(part).ok_or_else(wrong)?;
            rest = after;
        }
        Ok(Duration(std::time::Duration::from_nanos(nanoseconds)))
    }
}

/// The decimal `number` times `unit`, without what a float would round.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}").parse::<u128>().ok()?;
    let places = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = digits.checked_mul(u128::from(unit))? / places;
    i64::try_from(product).ok().and_then(|product| u64::try_from(product).ok())
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.0.as_secs(), self.0.subsec_nanos());
        if seconds == 0 {
            return match nanoseconds {
                0 => f.write_str("0s"),
                1..1_000 => write!(f, "{nanoseconds}ns"),
                1_000..1_000_000 => write!(f, "{}µs", decimal(nanoseconds, 1_000)),
                _ => write!(f, "{}ms", decimal(nanoseconds, 1_000_000)),
            };
        }
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        let fraction = decimal(nanoseconds, 1_000_000_000);
        write!(f, "{seconds}{}s", fraction.trim_start_matches('0'))
    }
}

/// `number / unit` as a decimal number without trailing zeros.
fn decimal(number: u32, unit: u32) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", number / unit, number % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A size in bytes: `1024`, `64m`, `1.5 GiB`. What is negative means "no limit".
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Bytes(pub i64);
as_text!(Bytes);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        let wrong = || format!("must be a size as `64m`, not {text:?}");
        if let Ok(bytes) = text.parse::<i64>() {
            return Ok(Bytes(bytes));
        }
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
        let unit = unit.strip_suffix('b').unwrap_or(&unit);
        let power = match unit.strip_suffix('i').unwrap_or(unit) {
            "" => 0,
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            "p" => 5,
            _ => return Err(wrong()),
        };
        let bytes = times(number, 1 << (10 * power)).ok_or_else(wrong)?;
        i64::try_from(bytes).map(Bytes).map_err(|_| wrong())
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Permissions: `0440`, as text in octal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FileMode(pub u32);

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("0{:o}", self.0))
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<FileMode, D::Error> {
        struct Mode;

        impl Visitor<'_> for Mode {
            type Value = FileMode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("permissions as 0440")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FileMode, E> {
                let digits = text.strip_prefix("0o").unwrap_or(text);
                let mode = u32::from_str_radix(digits, 8)
                    .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
                Ok(FileMode(mode))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<FileMode, E> {
                let wrong = |_| E::invalid_value(Unexpected::Unsigned(number), &self);
                u32::try_from(number).map(FileMode).map_err(wrong)
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<FileMode, E> {
                let wrong = |_| E::invalid_value(Unexpected::Signed(number), &self);
                u32::try_from(number).map(FileMode).map_err(wrong)
            }
        }

        from.deserialize_any(Mode)
    }
}

/// What happens when a container ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Restart {
    /// Nothing.
    #[default]
    No,
    /// It starts again.
    Always,
    /// It starts again unless its code was 0, so many times at most.
    OnFailure(Option<u32>),
    /// It starts again unless the user stopped it.
    UnlessStopped,
}
as_text!(Restart);

impl FromStr for Restart {
    type Err = String;

    fn from_str(text: &str) -> Result<Restart, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("no", "") => Ok(Restart::No),
            ("always", "") => Ok(Restart::Always),
            ("unless-stopped", "") => Ok(Restart::UnlessStopped),
            ("on-failure", "") => Ok(Restart::OnFailure(None)),
            // 0 is without end, as Docker's is.
            ("on-failure", times) if times.parse::<u32>().is_ok() => {
                Ok(Restart::OnFailure(times.parse().ok().filter(|times| *times > 0)))
            }
            _ => Err(format!("must be no, always, unless-stopped or on-failure[:TIMES], not {text:?}")),
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Restart::No => f.write_str("no"),
            Restart::Always => f.write_str("always"),
            Restart::OnFailure(None) => f.write_str("on-failure"),
            Restart::OnFailure(Some(times)) => write!(f, "on-failure:{times}"),
            Restart::UnlessStopped => f.write_str("unless-stopped"),
        }
    }
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PullPolicy {
    /// At each `up`.
    Always,
    /// Never.
    Never,
    /// When it isn't there.
    #[default]
    Missing,
    /// Never: it is built at each `up`.
    Build,
    /// When it was last pulled so long ago.
    Every(Duration),
}
as_text!(PullPolicy);

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
const WEEK: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 60 * 60);

impl FromStr for PullPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<PullPolicy, String> {
        match text {
            "always" => Ok(PullPolicy::Always),
            "never" => Ok(PullPolicy::Never),
            "missing" | "if_not_present" => Ok(PullPolicy::Missing),
            "build" => Ok(PullPolicy::Build),
            "daily" => Ok(PullPolicy::Every(Duration(DAY))),
            "weekly" => Ok(PullPolicy::Every(Duration(WEEK))),
            _ => match text.strip_prefix("every_").map(str::parse) {
                Some(Ok(time)) => Ok(PullPolicy::Every(time)),
                _ => Err(format!(
                    "must be always, never, missing, build, daily, weekly or every_DURATION, not {text:?}"
                )),
            },
        }
    }
}

impl fmt::Display for PullPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PullPolicy::Always => f.write_str("always"),
            PullPolicy::Never => f.write_str("never"),
            PullPolicy::Missing => f.write_str("missing"),
            PullPolicy::Build => f.write_str("build"),
            PullPolicy::Every(Duration(time)) if *time == DAY => f.write_str("daily"),
            PullPolicy::Every(Duration(time)) if *time == WEEK => f.write_str("weekly"),
            // As people write it: `every_2h`, not `every_2h0m0s`.
            PullPolicy::Every(time) => {
                write!(f, "every_{}", time.to_string().replace("m0s", "m").replace("h0m", "h"))
            }
        }
    }
}

/// How far a service has to be before its dependents start.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Condition {
    /// Its containers are started.
    #[default]
    #[serde(rename = "service_started")]
    Started,
    /// Its containers are healthy.
    #[serde(rename = "service_healthy")]
    Healthy,
    /// Its containers have ended with 0.
    #[serde(rename = "service_completed_successfully")]
    CompletedSuccessfully,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A path of the host.
    Bind,
    /// A volume, named or anonymous.
    #[default]
    Volume,
    /// Memory.
    Tmpfs,
    /// Windows only.
    Npipe,
    /// Swarm's.
    Cluster,
    /// An image.
    Image,
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Duration, PullPolicy, Restart};
    use std::fmt::Display;
    use std::str::FromStr;

    fn again<T: FromStr + Display>(text: &str) -> Option<String> {
        text.parse::<T>().ok().map(|value| value.to_string())
    }

    #[test]
    fn durations_are_read_and_printed_as_go_does() {
        for (text, printed) in [
            ("0", "0s"),
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1.5h", "1h30m0s"),
            ("1500ms", "1.5s"),
            ("1ms500us", "1.5ms"),
            ("250µs", "250µs"),
            ("7ns", "7ns"),
            ("1.000000001s", "1.000000001s"),
            ("10m0.5s", "10m0.5s"),
            ("1d", "24h0m0s"),
            ("1w", "168h0m0s"),
            (".5s", "500ms"),
        ] {
            assert_eq!(again::<Duration>(text).as_deref(), Some(printed), "{text}");
            assert_eq!(again::<Duration>(printed).as_deref(), Some(printed));
        }
        for text in ["", "5", "s", "1m30", "-1s", "1 s", "1S", "1..5s", "99999999999h", "1x"] {
            assert_eq!(again::<Duration>(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        let sizes =
            [("1", 1), ("1b", 1), ("1K", 1 << 10), ("1kb", 1 << 10), ("1KiB", 1 << 10), ("1.5g", 3 << 29)];
        for (text, bytes) in
            sizes.into_iter().chain([("1 gb", 1 << 30), ("-1", -1), ("8p", 1 << 53), ("0.5t", 1 << 39)])
        {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "k", "1e", "1kk", "1.2.3m", "1m ", "99999p", "-1k", "0x10"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn policies_are_printed_as_they_are_written() {
        for text in ["no", "always", "unless-stopped", "on-failure", "on-failure:3"] {
            assert_eq!(again::<Restart>(text).as_deref(), Some(text));
        }
        for text in [
            "always",
            "never",
            "missing",
            "build",
            "daily",
            "weekly",
            "every_2h",
            "every_1h30m",
            "every_90ms",
        ] {
            assert_eq!(again::<PullPolicy>(text).as_deref(), Some(text));
        }
        assert_eq!(again::<PullPolicy>("if_not_present").as_deref(), Some("missing"));
        for text in ["on-failure:x", "always:3", "No", "", "sometimes"] {
            assert_eq!(again::<Restart>(text), None, "{text}");
        }
        for text in ["every_", "every_2", "hourly", ""] {
            assert_eq!(again::<PullPolicy>(text), None, "{text}");
        }
    }
}
