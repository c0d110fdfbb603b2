//! JSON to `oci-spec`'s types, with the JSON path of whatever doesn't fit.
//!
//! A good text is read in one pass. A text that fails is looked at again, for capabilities that this version doesn't
//! know.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{SIZE_BYTES_MAX, oci};
use crate::error::{Error, Result};

pub(super) fn config(text: &[u8]) -> Result<(oci::Spec, Vec<String>)> {
    let (mut spec, warnings) = parse(text, "/process")?;
    drop_missing_pids_limit(&mut spec, text);
    Ok((spec, warnings))
}

fn drop_missing_pids_limit(spec: &mut oci::Spec, text: &[u8]) {
    let resources = spec.linux_mut().as_mut().and_then(|linux| linux.resources_mut().as_mut());
    let Some(resources) = resources else { return };
    if resources.pids().as_ref().is_some_and(|pids| pids.limit() == 0) {
        let value: Option<Value> = serde_json::from_slice(text).ok();
        let asked = value.as_ref().and_then(|value| value.pointer("/linux/resources"));
        if asked.is_none_or(|asked| !limits_pids(asked)) {
            resources.set_pids(None);
        }
    }
}

/// Whether `linux.resources` has a limit on processes. `pids: {}` sets none since spec 1.3, and 0 is a limit; the
/// shared types have 0 for either.
pub fn limits_pids(resources: &Value) -> bool {
    resources.pointer("/pids/limit").is_some_and(|limit| !limit.is_null())
}

pub(super) fn process(text: &[u8]) -> Result<(oci::Process, Vec<String>)> {
    parse(text, "")
}

fn parse<T: DeserializeOwned>(text: &[u8], process: &str) -> Result<(T, Vec<String>)> {
    if text.len() > SIZE_BYTES_MAX {
        return Err(Error::invalid(format!("longer than {SIZE_BYTES_MAX} bytes")));
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::invalid("empty"));
    }
    refuse_nul(text)?;
    match read(text) {
        Ok(value) => Ok((value, Vec::new())),
        // What callers rely on and the shared types don't take is mended. Everything else that doesn't fit stays an
        // error.
        Err(err) => match mended(text, process) {
            Some((text, warnings)) => Ok((read(&text)?, warnings)),
            None => Err(err),
        },
    }
}

/// One pass over the text. The types of a whole config make much code, so this is the only place that reads them.
fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|err| {
        Error::invalid(match path_of(&err, text) {
            Some(path) => format!("{path}: {err}"),
            None => err.to_string(),
        })
    })
}

/// The path of what `err` complains of; `None` for the text as a whole.
///
/// To follow the path while a text is read would add a tenth to the time. So only a bad text is read again for its
/// path: cut off within the wrong value, it fails there.
fn path_of(err: &serde_json::Error, text: &[u8]) -> Option<String> {
    let lines_before = text.split_inclusive(|byte| *byte == b'\n').take(err.line().checked_sub(1)?);
    let end = (lines_before.map(<[u8]>::len).sum::<usize>() + err.column()).min(text.len());
    let mut cut = text[..end].to_vec();
    match cut.last()? {
        // Without its closing byte, a string or an object stays open, and the text fails within it. An object is wrong
        // as a whole where a field is missing at its end.
        b'"' | b'}' | b']' => drop(cut.pop()),
        // A number or a word that is cut off would be complete. An open string in its place isn't.
        _ => {
            cut.truncate(cut.iter().rposition(|byte| !is_of_a_word(*byte)).map_or(0, |last| last + 1));
            cut.push(b'"');
        }
    }
    let mut json = serde_json::Deserializer::from_slice(&cut);
    let found = serde_path_to_error::deserialize::<_, Value>(&mut json).err()?.path().to_string();
    // Between two fields of an object, the path ends without a name.
    let path = found.trim_end_matches(['?', '.']);
    (!path.is_empty()).then(|| path.to_string())
}

fn is_of_a_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// The kernel's texts end at a NUL: a text with a NUL inside would be cut there, or refused half-way.
fn refuse_nul(text: &[u8]) -> Result<()> {
    const ESCAPE: &[u8] = b"\\u0000";
    if !text.windows(ESCAPE.len()).any(|window| window == ESCAPE) {
        return Ok(());
    }
    match serde_json::from_slice::<Value>(text).ok().and_then(|value| path_of_nul(&value)) {
        Some(path) => Err(Error::invalid(format!("{path}: has a NUL byte inside"))),
        None => Ok(()),
    }
}

fn path_of_nul(value: &Value) -> Option<String> {
    let join =
        |key: &str, rest: String| if rest.is_empty() { key.to_string() } else { format!("{key}.{rest}") };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .find_map(|(at, value)| Some(join(&format!("[{at}]"), path_of_nul(value)?))),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            if key.contains('\0') {
                Some(key.escape_default().to_string())
            } else {
                Some(join(key, path_of_nul(value)?))
            }
        }),
        _ => None,
    }
}

/// The text without the capabilities that this version doesn't know, as the OCI spec asks, and with what the shared
/// types miss in the process at the pointer `process`; `None` if there is nothing to mend.
fn mended(text: &[u8], process: &str) -> Option<(Vec<u8>, Vec<String>)> {
    let mut value: Value = serde_json::from_slice(text).ok()?;
    let before = value.clone();
    let process = value.pointer_mut(process)?.as_object_mut()?;
    complete_user(process);
    process.get_mut("scheduler").map(rename_scheduler_flags);
    let warnings = process.get_mut("capabilities").map(drop_unknown_capabilities).unwrap_or_default();
    (value != before).then_some((serde_json::to_vec(&value).ok()?, warnings))
}

/// Callers of runc leave out the user or the group where it is 0.
fn complete_user(process: &mut Map<String, Value>) {
    let user = process.entry("user").or_insert(Value::Null);
    if user.is_null() {
        *user = Value::Object(Map::new());
    }
    if let Some(user) = user.as_object_mut() {
        for id in ["uid", "gid"] {
            user.entry(id).or_insert_with(|| Value::from(0));
        }
    }
}

/// The shared types misspell two flags of the spec.
fn rename_scheduler_flags(scheduler: &mut Value) {
    for flag in scheduler.pointer_mut("/flags").and_then(Value::as_array_mut).into_iter().flatten() {
        match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => *flag = "SCHED_RESET_ON_FORK".into(),
            Some("SCHED_FLAG_DL_OVERRUN") => *flag = "SCHED_FLAG_D_L_OVERRUN".into(),
            _ => {}
        }
    }
}

fn drop_unknown_capabilities(sets: &mut Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (set, list) in sets.as_object_mut().into_iter().flatten() {
        let Some(list) = list.as_array_mut() else { continue };
        list.retain(|name| {
            let known = !name.is_string() || oci::Capability::deserialize(name).is_ok();
            if !known {
                warnings
                    .push(format!("process.capabilities.{set}: {name} is not known here and is left out"));
            }
            known
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_value_is_refused_with_its_path() {
        let err =
            config(br#"{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"wormhole"}]}}"#).unwrap_err();
        assert!(err.to_string().starts_with("linux.namespaces[0].type: unknown variant `wormhole`"), "{err}");
    }

    #[test]
    fn an_error_has_the_path_of_what_is_wrong() {
        let path = |text: &str| {
            let err = config(text.as_bytes()).unwrap_err().to_string();
            err.split_once(": ").map_or(String::new(), |(path, _)| path.to_string())
        };
        let memory = |limit: &str| {
            format!(
                "{{\"ociVersion\":\"1\",\n \"linux\":{{\"resources\":{{\"memory\":{{\"limit\": {limit} }}}}}}}}"
            )
        };
        for limit in [
            "\"64M\"",
            "\"\"",
            "\"a\\\\\"",
            "true",
            "[1]",
            "{\"a\":1}",
            "1e400",
            "-1.5",
            "99999999999999999999",
        ] {
            assert_eq!(path(&memory(limit)), "linux.resources.memory.limit", "{limit}");
        }
        let list = |args: &str| {
            format!(
                r#"{{"ociVersion":"1","process":{{"cwd":"/","user":{{"uid":0,"gid":0}},"args":{args}}}}}"#
            )
        };
        for (args, expected) in [("7", ""), (r#"["a", 7]"#, "[1]"), ("[[]]", "[0]"), (r#"["a",{}]"#, "[1]")] {
            assert_eq!(path(&list(args)), format!("process.args{expected}"), "{args}");
        }
        assert_eq!(path(r#"{"ociVersion":"1","mounts":[{"source":"/"}]}"#), "mounts[0]");
        assert_eq!(
            path(r#"{"ociVersion":"1","hooks":{"poststop":[{"path":"/a"},{"env":[]}]}}"#),
            "hooks.poststop[1]"
        );
        assert_eq!(path("7"), "invalid type");
    }

    #[test]
    fn an_unknown_property_is_ignored() {
        config(br#"{"ociVersion":"1.0.2","future":{"x":1}}"#).unwrap();
    }

    #[test]
    fn an_unknown_capability_is_left_out_with_a_warning() {
        let text = br#"{"cwd":"/","user":{"uid":0,"gid":0},"capabilities":{"bounding":["CAP_KILL","CAP_TELEPORT"]}}"#;
        let (process, warnings) = process(text).unwrap();
        let bounding = process.capabilities().as_ref().unwrap().bounding().as_ref().unwrap().len();
        assert_eq!((bounding, warnings.len()), (1, 1));
        assert!(warnings[0].contains("CAP_TELEPORT"));
    }

    #[test]
    fn a_user_or_group_left_out_is_root() {
        for user in [r#""#, r#","user":null"#, r#","user":{}"#, r#","user":{"gid":0}"#] {
            let text = format!(r#"{{"cwd":"/"{user}}}"#);
            let (process, _) = process(text.as_bytes()).unwrap();
            assert_eq!((process.user().uid(), process.user().gid()), (0, 0), "{text}");
        }
        let (spec, _) = config(br#"{"ociVersion":"1.0.2","process":{"cwd":"/","user":{"uid":7}}}"#).unwrap();
        let user = spec.process().as_ref().unwrap().user();
        assert_eq!((user.uid(), user.gid()), (7, 0));
    }

    #[test]
    fn scheduler_flags_are_spelled_as_in_the_spec() {
        let flags = ["RESET_ON_FORK", "RECLAIM", "DL_OVERRUN", "KEEP_POLICY", "KEEP_PARAMS"];
        let flags: Vec<String> = flags.iter().map(|flag| format!("SCHED_FLAG_{flag}")).collect();
        let scheduler = serde_json::json!({ "policy": "SCHED_BATCH", "flags": flags });
        let text = serde_json::json!({ "cwd": "/", "scheduler": scheduler }).to_string();
        let (process, _) = process(text.as_bytes()).unwrap();
        let known = process.scheduler().as_ref().unwrap().flags().as_ref().unwrap().len();
        assert_eq!(known, 5);
    }

    #[test]
    fn a_truncated_text_is_refused_in_one_line() {
        let err = config(br#"{"ociVersion":"1.0.2","#).unwrap_err().to_string();
        assert!(err.contains("EOF while parsing") && !err.contains('\n'), "{err}");
        assert_eq!(config(b" \n").unwrap_err().to_string(), "empty");
    }
}
