//! What `exec` needs of a config.json: all but the rules of its seccomp profile. The compiled filter is kept in place
//! of the rules, because they are by far the longest part, and each `exec` would read and compile them again.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::json::{self, Members};
use crate::plan::seccomp::Filter;

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    config: &'a RawValue,
    filter: Option<Filter>,
}

/// The text to be kept, of a config.json and of the filter that was compiled from its profile.
pub(super) fn write(config: &[u8], filter: Option<&Filter>) -> Result<Vec<u8>> {
    let config = within(&json::text(config), "linux", |linux| {
        within(linux, "seccomp", |profile| {
            let mut profile = Members::of(profile)?;
            profile.0.retain(|(key, _)| !json::is_key(key, "syscalls"));
            serde_json::to_string(&profile)
        })
    });
    let text = config.and_then(|config| {
        serde_json::to_vec(&Stored { config: serde_json::from_str(&config)?, filter: filter.cloned() })
    });
    text.map_err(|err| Error::internal(format!("config.json can't be kept: {err}")))
}

/// The config and the filter of a text that [`write()`] made.
pub(super) fn read(text: &[u8]) -> Result<(String, Option<Filter>)> {
    let stored: Stored = serde_json::from_slice(text)
        .map_err(|err| Error::internal(format!("what `exec` needs of config.json: {err}")))?;
    Ok((stored.config.get().to_owned(), stored.filter))
}

/// The text of an object with each value at `key` changed that is itself an object. The key may be there more than
/// once, and in another case: the text is read again as it was read before.
fn within(
    object: &str,
    key: &str,
    change: impl Fn(&str) -> serde_json::Result<String>,
) -> serde_json::Result<String> {
    let members = Members::of(object)?;
    let mut changed = Vec::new();
    for (name, value) in &members.0 {
        let is_wanted = json::is_key(name, key) && value.get().starts_with('{');
        changed.push(is_wanted.then(|| RawValue::from_string(change(value.get())?)).transpose()?);
    }
    let values = members.0.into_iter().zip(&changed);
    let members = values.map(|((name, value), changed)| (name, changed.as_deref().unwrap_or(value)));
    serde_json::to_string(&Members(members.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rules_of_the_profile_are_left_out() {
        let config =
            br#"{"ociVersion":"1.0.2","linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":["kill"],"action":"SCMP_ACT_ERRNO"}]},"cgroupsPath":"/a"},"hostname":"h"}"#;
        let (kept, filter) = read(&write(config, None).unwrap()).unwrap();
        let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
        let expected = serde_json::json!({"ociVersion": "1.0.2", "hostname": "h",
            "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}, "cgroupsPath": "/a"}});
        assert_eq!((kept, filter), (expected, None));
    }

    #[test]
    fn a_key_may_be_written_with_escapes() {
        let (kept, _) = read(&write(br#"{"\u0061":1,"linux":null}"#, None).unwrap()).unwrap();
        assert_eq!(kept, r#"{"a":1,"linux":null}"#);
    }

    #[test]
    fn keys_in_another_case_and_keys_given_twice_are_kept_as_they_are() {
        let config = br#"{"Linux":{"SECCOMP":{"Syscalls":[],"defaultAction":"SCMP_ACT_ALLOW"}},
            "linux":{"maskedPaths":["/a"]},"linux":{"seccomp":{"syscalls":[]}},"hostname":"\ud800"}"#;
        let (kept, _) = read(&write(config, None).unwrap()).unwrap();
        let expected = r#"{"Linux":{"SECCOMP":{"defaultAction":"SCMP_ACT_ALLOW"}},"linux":{"maskedPaths":["/a"]},"linux":{"seccomp":{}},"hostname":"\ufffd"}"#;
        assert_eq!(kept, expected);
    }

    #[test]
    fn a_filter_comes_back_as_it_was() {
        let profile =
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["kill"],"action":"SCMP_ACT_ERRNO"}]}"#;
        let profile = serde_json::from_str(profile).unwrap();
        let filter =
            crate::plan::seccomp::compile(&profile, oci_spec::runtime::Arch::ScmpArchX86_64).unwrap();
        let (config, kept) = read(&write(b"{}", Some(&filter)).unwrap()).unwrap();
        assert_eq!((config.as_str(), kept), ("{}", Some(filter)));
    }

    #[test]
    fn what_is_no_config_is_an_error() {
        assert!(write(b"[]", None).is_err());
        assert!(read(b"{}").is_err());
        assert!(read(b"").is_err());
    }
}
