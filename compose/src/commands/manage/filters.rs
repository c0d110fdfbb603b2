//! `--filter`: which things are meant.

use std::collections::BTreeMap;

use super::is_refused;
use crate::commands::logs::moment_of;
use crate::error::{Error, Result};

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

/// Errors: what no prune takes, before anything is removed.
pub fn check(filters: &[(String, String)], keys: &[&str]) -> Result<()> {
    for (key, value) in filters {
        if !keys.contains(&key.as_str()) {
            return Err(is_refused(key));
        }
        if key == "until" {
            until(value)?;
        }
    }
    Ok(())
}

fn until(value: &str) -> Result<i64> {
    let found = moment_of(value).map(|(seconds, _)| seconds);
    found.ok_or_else(|| Error::new(format!("invalid filter 'until={value}': no time")))
}

/// `true`, `1`, `false`, `0`.
pub fn truth(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" | "t" | "T" | "True" | "TRUE" => Ok(true),
        "false" | "0" | "f" | "F" | "False" | "FALSE" => Ok(false),
        _ => Err(Error::new(format!("invalid filter '{key}={value}'"))),
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
        for wrong in [("until", "soon"), ("colour", "red")] {
            assert!(check(&pairs(&[wrong]), &["until"]).is_err());
        }
    }
}
