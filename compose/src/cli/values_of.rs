//! Values of `run`'s and `create`'s flags that are more than text. What is none is refused in Docker's words.

use super::typed::Typed;
use crate::error::{Context, Error, Result};
use crate::input;
use crate::model::refused::{limit_name, limit_values};
use crate::model::types::{Device, DeviceRequest, Map, Ulimit};
use crate::model::values::Duration;

/// The longest time in seconds whose nanoseconds are counted.
const SECONDS_MAX: u64 = i64::MAX as u64 / 1_000_000_000;

fn wrong(flag: &str, text: &str, why: impl std::fmt::Display) -> Error {
    Error::new(format!("invalid argument \"{text}\" for \"{flag}\" flag: {why}"))
}

/// The lines of a file that say something, of variables (`env`) or labels. Each begins with a name.
pub(super) fn lines(file: &str, kind: &str) -> Result<Vec<String>> {
    let text = input::text(file.as_ref()).at(file)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let says_something = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim_start).filter(says_something) {
        let name = line.split_once('=').map_or(line, |(name, _)| name);
        let why = if name.is_empty() {
            format!("no variable name on line '{line}'")
        } else if name.contains(char::is_whitespace) {
            format!("variable '{name}' contains whitespaces")
        } else {
            lines.push(line.to_owned());
            continue;
        };
        return Err(Error::new(format!("invalid {kind} file ({file}): {why}")));
    }
    Ok(lines)
}

/// The files' labels, then those of the command line.
pub(super) fn labels(typed: &Typed) -> Result<Map<String>> {
    let mut labels = Map::new();
    let mut add = |line: &str| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        labels.insert(name.to_owned(), value.to_owned());
    };
    for file in typed.texts("label-file") {
        lines(&file, "label")?.iter().for_each(|line| add(line));
    }
    for label in typed.texts("label") {
        if label.is_empty() || label.starts_with('=') {
            return Err(wrong("-l, --label", &label, format_args!("invalid label '{label}': empty name")));
        }
        add(&label);
    }
    Ok(labels)
}

/// `HOST[:CONTAINER][:rwm]` each.
pub(super) fn devices(typed: &Typed) -> Result<Vec<Device>> {
    let read = |text: &String| device(text).map_err(|why| wrong("--device", text, why));
    typed.texts("device").iter().map(read).collect()
}

fn device(text: &str) -> std::result::Result<Device, String> {
    let is_mode = |text: &str| {
        let once = |letter: char| text.matches(letter).count() == 1;
        !text.is_empty() && text.chars().all(|letter| "rwm".contains(letter) && once(letter))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [source] => (source, None, None),
        [source, mode] if is_mode(mode) => (source, None, Some(mode)),
        [source, target] => (source, Some(target), None),
        [_, _, mode] if !is_mode(mode) => return Err(format!("bad mode specified: {mode}")),
        [source, target, mode] => (source, Some(target), Some(mode)),
        _ => return Err(format!("bad format for path: {text}")),
    };
    if source.is_empty() {
        return Err(format!("bad format for path: {text}"));
    }
    let place = target.unwrap_or(source);
    if !place.starts_with('/') {
        return Err(format!("{place} is not an absolute path"));
    }
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok(Device {
        source: source.to_owned(),
        target: owned(target),
        permissions: owned(mode),
        ..Device::default()
    })
}

/// `all`, or a number. Other forms name devices.
pub(super) fn gpus(typed: &Typed) -> Result<Vec<DeviceRequest>> {
    let Some(text) = typed.text("gpus") else { return Ok(Vec::new()) };
    let count = match text.as_str() {
        "all" => Some(-1),
        text => text.parse::<i64>().ok(),
    };
    if count.is_none() && !text.contains('=') {
        return Err(wrong("--gpus", &text, format_args!("unexpected key '{text}' in '{text}'")));
    }
    Ok(vec![DeviceRequest { capabilities: vec!["gpu".to_owned()], count, ..DeviceRequest::default() }])
}

/// `NAME=SOFT[:HARD]` each.
pub(super) fn ulimits(typed: &Typed) -> Result<Map<Ulimit>> {
    let read = |text: &String| ulimit(text).map_err(|why| wrong("--ulimit", text, why));
    typed.texts("ulimit").iter().map(read).collect()
}

fn ulimit(text: &str) -> std::result::Result<(String, Ulimit), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    limit_name(name)?;
    let number = |text: &str| text.parse::<i64>().map_err(|_| format!("invalid ulimit argument: {text}"));
    let (soft, hard) = value.split_once(':').unwrap_or((value, value));
    if hard.contains(':') {
        return Err(format!(
            "too many limit value arguments - {value}, can only have up to two, `soft[:hard]`"
        ));
    }
    let (soft, hard) = (number(soft)?, number(hard)?);
    let limit = Ulimit { soft, hard, ..Ulimit::default() };
    limit_values(&limit).map(|()| (name.to_owned(), limit))
}

/// `NAME=VALUE` each.
pub(super) fn sysctls(typed: &Typed) -> Result<Map<String>> {
    let read = |text: String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(wrong("--sysctl", &text, format_args!("sysctl '{text}' is not allowed"))),
    };
    typed.texts("sysctl").into_iter().map(read).collect()
}

/// How long a stop waits, in seconds.
pub(super) fn stop_timeout(typed: &Typed) -> Result<Option<Duration>> {
    match typed.read::<u64>("stop-timeout")? {
        Some(seconds) if seconds > SECONDS_MAX => {
            Err(wrong("--stop-timeout", &seconds.to_string(), "value out of range"))
        }
        seconds => Ok(seconds.map(|seconds| Duration(std::time::Duration::from_secs(seconds)))),
    }
}

/// `target=PORT[,published=PORT][,protocol=NAME]` as a port is written in short.
pub(super) fn port(text: &str) -> Result<String> {
    let (mut target, mut published, mut protocol) = ("", "", "tcp");
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("target", value)) => target = value,
            Some(("published", value)) => published = value,
            Some(("protocol", value)) => protocol = value,
            Some((name, _)) if !name.is_empty() => {}
            _ => {
                return Err(Error::new(format!(
                    "invalid publish opts format (should be name=value but got '{part}')"
                )));
            }
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_container_could_start_with_is_refused_in_dockers_words() {
        let soft = "ulimit soft limit must be less than or equal to hard limit:";
        for (text, why) in [
            ("foo=1", "invalid ulimit type: foo".to_owned()),
            ("nofile", "invalid ulimit argument: nofile".to_owned()),
            ("nofile=5:1", format!("{soft} 5 > 1")),
            ("nofile=-1:1", format!("{soft} soft: -1 (unlimited), hard: 1")),
        ] {
            assert_eq!(ulimit(text).map(drop), Err(why));
        }
        assert!(["nofile=1", "nofile=1:2", "core=0:-1", "core=-1"].iter().all(|text| ulimit(text).is_ok()));
        for (text, why) in [
            ("/dev/null:/dev/n:rwx", "bad mode specified: rwx"),
            ("/dev/null:/dev/n:rr", "bad mode specified: rr"),
            ("/dev/null:n", "n is not an absolute path"),
            (":/dev/n", "bad format for path: :/dev/n"),
            ("/a:/b:r:w", "bad format for path: /a:/b:r:w"),
        ] {
            assert_eq!(device(text).map(drop), Err(why.to_owned()));
        }
        let read = device("/dev/null:rw").expect("a device");
        assert_eq!((read.target, read.permissions.as_deref()), (None, Some("rw")));
        assert_eq!(port("target=80,published=81").as_deref(), Ok("81:80/tcp"));
        assert!(port("target=80,x").is_err());
    }

    #[test]
    fn names_in_files_are_words() {
        let path = std::env::temp_dir().join(format!("corten-compose-lines-{}", std::process::id()));
        let file = path.to_string_lossy().into_owned();
        let read = |text: &str| {
            std::fs::write(&path, text).expect("it is written");
            lines(&file, "env")
                .map_err(|err| err.to_string().rsplit("): ").next().unwrap_or_default().to_owned())
        };
        assert_eq!(read("\u{feff}A=1 \n # x\n\n  B\n"), Ok(vec!["A=1 ".to_owned(), "B".to_owned()]));
        assert_eq!(read("A =1"), Err("variable 'A ' contains whitespaces".to_owned()));
        assert_eq!(read("=1"), Err("no variable name on line '=1'".to_owned()));
        std::fs::remove_file(path).expect("removed");
    }
}
