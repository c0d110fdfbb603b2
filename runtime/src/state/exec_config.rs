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
    let config = json::text(config);
    let text = Members::at(&["linux", "seccomp", "syscalls"], &config).and_then(|rules| {
        let kept = with_null_for(&rules, &config);
        serde_json::to_vec(&Stored { config: serde_json::from_str(&kept)?, filter: filter.cloned() })
    });
    text.map_err(|err| Error::internal(format!("config.json can't be kept: {err}")))
}

/// The text with null, which says nothing, in the place of each of `values`. They are parts of it, in their order.
fn with_null_for(values: &[&RawValue], text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    for value in values {
        let start = value.get().as_ptr().addr() - rest.as_ptr().addr();
        kept.push_str(&rest[..start]);
        kept.push_str("null");
        rest = &rest[start + value.get().len()..];
    }
    kept.push_str(rest);
    kept
}

/// The config and the filter of a text that [`write()`] made.
pub(super) fn read(text: &[u8]) -> Result<(String, Option<Filter>)> {
    let stored: Stored = serde_json::from_slice(text)
        .map_err(|err| Error::internal(format!("what `exec` needs of config.json: {err}")))?;
    Ok((stored.config.get().to_owned(), stored.filter))
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
            "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": null}, "cgroupsPath": "/a"}});
        assert_eq!((kept, filter), (expected, None));
    }

    #[test]
    fn a_key_may_be_written_with_escapes() {
        let config = br#"{"l\u0069nux":{"seccomp":{"s\u0079scalls":[1]}},"linux":null}"#;
        let (kept, _) = read(&write(config, None).unwrap()).unwrap();
        assert_eq!(kept, r#"{"l\u0069nux":{"seccomp":{"s\u0079scalls":null}},"linux":null}"#);
    }

    #[test]
    fn keys_in_another_case_and_keys_given_twice_are_kept_as_they_are() {
        let config = br#"{"Linux":{"SECCOMP":{"Syscalls":[],"defaultAction":"SCMP_ACT_ALLOW"}},
            "linux":{"maskedPaths":["/a"]},"linux":{"seccomp":{"syscalls":[ ],"syscalls":7}},"hostname":"\ud800"}"#;
        let (kept, _) = read(&write(config, None).unwrap()).unwrap();
        let expected = r#"{"Linux":{"SECCOMP":{"Syscalls":null,"defaultAction":"SCMP_ACT_ALLOW"}},
            "linux":{"maskedPaths":["/a"]},"linux":{"seccomp":{"syscalls":null,"syscalls":null}},"hostname":"\ufffd"}"#;
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
