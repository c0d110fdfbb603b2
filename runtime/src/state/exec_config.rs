//! What `exec` needs of a config.json: all but the rules of its seccomp profile. The compiled filter is kept in place
//! of the rules, because they are by far the longest part, and each `exec` would read and compile them again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::plan::seccomp::Filter;

/// An object of JSON whose values stay text.
type Object<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    config: &'a RawValue,
    filter: Option<Filter>,
}

/// The text to be kept, of a config.json and of the filter that was compiled from its profile.
pub(super) fn write(config: &[u8], filter: Option<&Filter>) -> Result<Vec<u8>> {
    let config = within(config, "linux", |linux| {
        within(linux, "seccomp", |profile| {
            let mut profile: Object = serde_json::from_slice(profile)?;
            profile.remove("syscalls");
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

/// The text of an object with the value at `key` changed, if there is one and the value is itself an object.
fn within(
    object: &[u8],
    key: &str,
    change: impl FnOnce(&[u8]) -> serde_json::Result<String>,
) -> serde_json::Result<String> {
    let mut object: Object = serde_json::from_slice(object)?;
    let changed = match object.get(key).filter(|value| value.get().starts_with('{')) {
        Some(value) => RawValue::from_string(change(value.get().as_bytes())?)?,
        None => return serde_json::to_string(&object),
    };
    object.insert(key.into(), &changed);
    serde_json::to_string(&object)
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
