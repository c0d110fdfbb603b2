//! `--filter`: which things are meant.

use std::collections::BTreeMap;

use super::logs::moment_of;
use crate::error::{Error, Result};
use crate::reference::Reference;

/// Whether a thing passes. Values of one key are alternatives, but all labels have to be there.
pub fn passes(filters: &[(String, String)], fits: impl Fn(&str, &str) -> Result<bool>) -> Result<bool> {
    for (key, value) in filters {
        let is_label = key.starts_with("label");
        let mut fits_any = false;
        for (_, value) in filters.iter().filter(|(other, own)| other == key && (!is_label || own == value)) {
            fits_any |= fits(key, value)?;
        }
        if !fits_any {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `label=KEY` and `label=KEY=VALUE`.
pub fn has_label<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>, value: &str) -> bool {
    let (name, wanted) = value.split_once('=').map_or((value, None), |(name, wanted)| (name, Some(wanted)));
    let mut labels = labels;
    labels.any(|(key, label)| key == name && wanted.is_none_or(|wanted| wanted == label))
}

/// What prunes take: `until`, `label`, `label!`. `created` is in seconds since 1970.
pub fn is_pruned<'a>(
    filters: &[(String, String)],
    created: Option<i64>,
    labels: impl Iterator<Item = (&'a String, &'a String)> + Clone,
) -> Result<bool> {
    passes(filters, |key, value| match key {
        "until" => Ok(created.is_some_and(|created| created < until(value).unwrap_or(i64::MIN))),
        "label" => Ok(has_label(labels.clone(), value)),
        // `label!=KEY` was split at its sign.
        "label!" => Ok(!has_label(labels.clone(), value)),
        _ => Err(is_refused(key)),
    })
}

/// What Docker calls the states of containers.
const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
/// What Docker calls the health of containers.
const HEALTHS: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

/// Errors: a key that the command doesn't take, or a value that its key can't have, before anything is done.
pub fn check(filters: &[(String, String)], keys: &[&str]) -> Result<()> {
    for (key, value) in filters {
        if !keys.contains(&key.as_str()) {
            return Err(is_refused(key));
        }
        match key.as_str() {
            "until" => until(value).map(drop)?,
            "dangling" | "is-task" | "all" => truth(key, value).map(drop)?,
            "status" => one_of((key, value), "state", &STATES)?,
            "health" => one_of((key, value), "health", &HEALTHS)?,
            "exited" if value.parse::<i32>().is_err() => return Err(is_no_value(key, value)),
            "expose" | "publish" => ports(key, value).map(drop)?,
            "name" if value.contains(PATTERNS) => {
                return Err(Error::new(format!(
                    "invalid filter 'name={value}': only ^ and $ can be matched here"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Docker's words for a key that a command doesn't take.
pub fn is_refused(key: &str) -> Error {
    Error::new(format!("invalid filter '{key}'"))
}

fn is_no_value(key: &str, value: &str) -> Error {
    Error::new(format!("invalid filter '{key}={value}'"))
}

fn one_of((key, value): (&str, &str), what: &str, all: &[&str]) -> Result<()> {
    if all.contains(&value) {
        return Ok(());
    }
    let all = all.join(", ");
    Err(Error::new(format!(
        "invalid filter '{key}={value}': invalid value for {what} ({value}): must be one of {all}"
    )))
}

/// The moment before which something was made, in seconds since 1970.
pub fn until(value: &str) -> Result<i64> {
    let found = moment_of(value).map(|(seconds, _)| seconds);
    found.ok_or_else(|| Error::new(format!("invalid filter 'until={value}': no time")))
}

/// Signs of regular expressions beside `^`, `$` and `.`, which no name has.
const PATTERNS: [char; 11] = ['*', '+', '?', '[', ']', '(', ')', '{', '}', '|', '\\'];

/// Whether a name has the text in it; with `^` at its beginning, with `$` at its end. A dot is itself.
pub fn is_named(name: &str, value: &str) -> bool {
    let (is_begin, value) = value.strip_prefix('^').map_or((false, value), |rest| (true, rest));
    let (is_end, value) = value.strip_suffix('$').map_or((false, value), |rest| (true, rest));
    // Docker's names of containers begin with a slash.
    let value = value.strip_prefix('/').unwrap_or(value);
    match (is_begin, is_end) {
        (true, true) => name == value,
        (true, false) => name.starts_with(value),
        (false, true) => name.ends_with(value),
        (false, false) => name.contains(value),
    }
}

/// `80`, `80/udp`, `8000-8010/tcp`: the first and the last port, and the protocol.
///
/// Errors: what is no port.
pub fn ports(key: &str, value: &str) -> Result<(u16, u16, String)> {
    let (numbers, protocol) = value.split_once('/').unwrap_or((value, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok((first, last, protocol.to_ascii_lowercase())),
        _ => Err(is_no_value(key, value)),
    }
}

/// Whether an image's name is what is meant: whole, without its tag, or as a pattern of a shell's.
pub fn is_called(name: &str, wanted: &str) -> bool {
    let Ok(own) = Reference::parse(name) else { return false };
    let is_same = Reference::parse(wanted).is_ok_and(|wanted| wanted.familiar() == own.familiar());
    is_same || is_like(wanted, &own.familiar()) || is_like(wanted, &own.repository())
}

/// Whether a text is as a pattern says: `*` and `?` stand for anything but a slash, `[a-z]` for one of these.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut rest = text.chars();
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let after = &pattern[first.len_utf8()..];
    match first {
        '*' => {
            let end = text.find('/').unwrap_or(text.len());
            text.char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .take_while(|&at| at <= end)
                .any(|at| is_like(after, &text[at..]))
        }
        '?' => rest.next().is_some_and(|one| one != '/') && is_like(after, rest.as_str()),
        '[' => match (after.split_once(']'), rest.next()) {
            (Some((set, after)), Some(one)) => is_in(set, one) && is_like(after, rest.as_str()),
            _ => false,
        },
        _ => rest.next() == Some(first) && is_like(after, rest.as_str()),
    }
}

/// Whether a set has a character: `a-z0`, or `^a-z` for all others.
fn is_in(set: &str, one: char) -> bool {
    let (is_not, set) = set.strip_prefix('^').map_or((false, set), |set| (true, set));
    let set: Vec<char> = set.chars().collect();
    let mut at = 0;
    let mut is_there = false;
    while at < set.len() {
        let is_range = set.get(at + 1) == Some(&'-') && at + 2 < set.len();
        let last = if is_range { set[at + 2] } else { set[at] };
        is_there |= (set[at]..=last).contains(&one);
        at += if is_range { 3 } else { 1 };
    }
    is_there != is_not
}

/// `true`, `1`, `false`, `0`.
pub fn truth(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" | "t" | "T" | "True" | "TRUE" => Ok(true),
        "false" | "0" | "f" | "F" | "False" | "FALSE" => Ok(false),
        _ => Err(is_no_value(key, value)),
    }
}

/// Labels as lists show them.
pub fn shown(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_are_alternatives_and_labels_are_not() {
        let labels: BTreeMap<_, _> = pairs(&[("a", "1"), ("b", "2")]).into_iter().collect();
        let is_meant =
            |filters: &[(&str, &str)]| is_pruned(&pairs(filters), Some(100), labels.iter()).unwrap();
        assert!(is_meant(&[]));
        assert!(is_meant(&[("label", "a"), ("label", "b=2")]));
        assert!(!is_meant(&[("label", "a"), ("label", "b=1")]));
        assert!(!is_meant(&[("label!", "a")]) && is_meant(&[("label!", "a=2")]));
        assert!(is_meant(&[("until", "101")]) && !is_meant(&[("until", "100")]));
        assert!(is_meant(&[("until", "1h")]));
        let named = |name: &str| {
            passes(&pairs(&[("name", "x"), ("name", "y")]), |_, value| Ok(value == name)).unwrap()
        };
        assert!(named("x") && named("y") && !named("z"));
        let keys = ["until", "status", "health", "exited", "name", "publish", "dangling"];
        let wrong = [
            ("until", "soon"),
            ("colour", "red"),
            ("status", "nope"),
            ("health", "nope"),
            ("exited", "x"),
            ("name", "a|b"),
            ("publish", "x"),
            ("dangling", "maybe"),
        ];
        for (key, value) in wrong {
            let err = check(&pairs(&[(key, value)]), &keys).unwrap_err().to_string();
            assert!(err.starts_with(&format!("invalid filter '{key}")), "{err}");
        }
        let right = [
            ("status", "dead"),
            ("health", "none"),
            ("exited", "-1"),
            ("name", "^/a.b$"),
            ("publish", "1-2/udp"),
        ];
        check(&pairs(&right), &keys).unwrap();
    }

    #[test]
    fn names_are_matched_as_docker_matches_them() {
        for (value, expected) in
            [("we", true), ("^we", true), ("^eb", false), ("eb$", true), ("^/web$", true), ("^we$", false)]
        {
            assert_eq!(is_named("web", value), expected, "{value}");
        }
        for (wanted, expected) in [
            ("box", true),
            ("box:1.2", true),
            ("box:2", false),
            ("docker.io/library/box:1.2", true),
            ("b*", true),
            ("b?x:1*", true),
            ("[a-c]ox", true),
            ("[^a-c]ox", false),
            ("*:2", false),
            ("bo", false),
        ] {
            assert_eq!(is_called("docker.io/library/box:1.2", wanted), expected, "{wanted}");
        }
        assert!(!is_called("ghcr.io/a/b:1", "*") && is_called("ghcr.io/a/b:1", "ghcr.io/*/b"));
    }
}
