//! JSON to `oci-spec`'s types, with the JSON path of whatever doesn't fit.
//!
//! A good text is read in one pass, by `exact`. A text that fails there is read again as the callers' Go would, by
//! `go`: that reading takes whatever Go takes, and its errors are those that are shown.

use serde::de::DeserializeOwned;

use super::{SIZE_BYTES_MAX, exact, go, oci};
use crate::error::{Error, Result};

/// The text of a config.json, and what was passed over in it.
///
/// Errors: InvalidSpec with the JSON path of what doesn't fit.
pub fn config(text: &[u8]) -> Result<(oci::Spec, Vec<String>)> {
    read(text, |spec: &oci::Spec| {
        let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
        resources.is_some_and(leaves_pids_open) || spec.process().as_ref().is_some_and(leaves_class_open)
    })
}

/// The text of a process.json, likewise.
pub fn process(text: &[u8]) -> Result<(oci::Process, Vec<String>)> {
    read(text, leaves_class_open)
}

/// The text of `linux.resources` alone, likewise.
pub fn resources(text: &[u8]) -> Result<oci::LinuxResources> {
    read(text, leaves_pids_open).map(|(resources, _)| resources)
}

/// Whether the value doesn't tell if there is a limit on processes: `pids: {}` sets none since spec 1.3, and 0 is a
/// limit; the shared types have 0 for either.
fn leaves_pids_open(resources: &oci::LinuxResources) -> bool {
    resources.pids().as_ref().is_some_and(|pids| pids.limit() == 0)
}

/// Whether the value doesn't tell if there is a class of I/O priority: the shared types have best effort for none.
fn leaves_class_open(process: &oci::Process) -> bool {
    process.io_priority().as_ref().is_some_and(|priority| priority.class() == oci::IOPriorityClass::default())
}

fn read<T: DeserializeOwned>(text: &[u8], leaves_open: impl Fn(&T) -> bool) -> Result<(T, Vec<String>)> {
    if text.len() > SIZE_BYTES_MAX {
        return Err(Error::invalid(format!("longer than {SIZE_BYTES_MAX} bytes")));
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::invalid("empty"));
    }
    match exact::from_slice(text) {
        Ok(value) if !may_have_nul(text) && !leaves_open(&value) => Ok((value, Vec::new())),
        _ => go::from_slice(text).map_err(|err| Error::invalid(err.to_string())),
    }
}

fn may_have_nul(text: &[u8]) -> bool {
    const ESCAPE: &[u8] = b"\\u0000";
    text.windows(ESCAPE.len()).any(|window| window == ESCAPE)
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
        assert_eq!(path(r#"{"mounts":[{"destination":"/a"},{"source":7}]}"#), "mounts[1].source");
        assert_eq!(path(r#"{"linux":{"namespaces":[{"path":"/a"}]}}"#), "linux.namespaces[0].type");
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
    fn a_path_left_out_is_empty_and_refused_as_such() {
        for (rest, path) in [
            (r#""mounts":[{"source":"/"}]"#, "mounts[0].destination"),
            (r#""hooks":{"poststop":[{"path":"/a"},{"env":[]}]}"#, "hooks.poststop[1].path"),
            (r#""process":{}"#, "process.cwd"),
        ] {
            let text = format!(r#"{{"root":{{"path":"/"}},{rest}}}"#);
            let err = crate::spec::Spec::load(text.as_bytes()).unwrap_err().to_string();
            assert!(err.starts_with(&format!("{path}: ")), "{err}");
        }
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
    fn what_go_refuses_is_refused_where_a_later_value_hides_it_too() {
        for (text, path) in [
            (r#"{"memory":{"limit":1.0,"limit":5}}"#, "memory.limit"),
            (r#"{"memory":{"limit":99999999999999999999,"limit":5}}"#, "memory.limit"),
            (r#"{"devices":[false],"devices":[]}"#, "devices[]"),
            (r#"{"devices":[{},{"major":"1"}],"devices":[{}]}"#, "devices[].major"),
            (r#"{"devices":[{"type":1,"type":""}]}"#, "devices[0].type"),
            (r#"{"pids":{"limit":[]}}"#, "pids.limit"),
            (r#"{"memory":{"swappiness":-0}}"#, "memory.swappiness"),
        ] {
            let err = resources(text.as_bytes()).unwrap_err().to_string();
            assert!(err.starts_with(&format!("{path}: ")), "{text}: {err}");
        }
        let capabilities = |sets: &str| process(format!(r#"{{"capabilities":{{{sets}}}}}"#).as_bytes());
        assert!(capabilities(r#""bounding":[7],"bounding":["CAP_TELEPORT"]"#).is_err());
        assert!(capabilities(r#""bounding":[7],"bounding":[]"#).is_err());
    }

    #[test]
    fn a_hidden_value_is_judged_by_its_type_alone() {
        let text = r#"{"linux":{"namespaces":[{"type":"pid"},{}],"namespaces":[{}]}}"#;
        let (spec, _) = config(text.as_bytes()).unwrap();
        assert_eq!(spec.linux().as_ref().unwrap().namespaces().as_ref().unwrap().len(), 1);
        let text = r#"{"args":["\u0000"],"args":[],"rlimits":[{"type":"?"}],"rlimits":[],
            "capabilities":{"bounding":["CAP_TELEPORT"],"bounding":[]}}"#;
        let (process, warnings) = process(text.as_bytes()).unwrap();
        assert_eq!((process.args().as_ref().unwrap().len(), warnings.len()), (0, 0));
    }

    #[test]
    fn a_minus_before_zero_says_nothing() {
        let resources = resources(br#"{"memory":{"limit":-0}}"#).unwrap();
        assert_eq!(resources.memory().as_ref().unwrap().limit(), Some(0));
    }

    #[test]
    fn null_takes_nothing_back_in_a_map() {
        let resources = resources(br#"{"unified":{"a":"1","b":null,"a":null}}"#).unwrap();
        let unified = resources.unified().as_ref().unwrap();
        assert_eq!((unified["a"].as_str(), unified["b"].as_str()), ("1", ""));
    }

    #[test]
    fn a_capability_that_is_null_is_left_out_with_a_warning() {
        let (process, warnings) = process(br#"{"capabilities":{"bounding":[null]}}"#).unwrap();
        let bounding = process.capabilities().as_ref().unwrap().bounding().as_ref().unwrap().len();
        assert_eq!((bounding, warnings.len()), (0, 1));
    }

    #[test]
    fn a_class_of_io_priority_must_be_said() {
        for class in ["", r#""class":null,"#, r#""class":"","#] {
            let text = format!(r#"{{"process":{{"ioPriority":{{{class}"priority":3}}}}}}"#);
            let err = config(text.as_bytes()).unwrap_err().to_string();
            assert_eq!(err, "process.ioPriority.class: is missing or empty");
        }
        assert!(process(br#"{"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":3}}"#).is_ok());
    }

    #[test]
    fn a_profile_without_action_and_rules_is_absent_if_it_fits() {
        let profile = |profile: &str| config(format!(r#"{{"linux":{{"seccomp":{profile}}}}}"#).as_bytes());
        for good in ["{}", r#"{"syscalls":[ ]}"#, r#"{"defaultAction":"SCMP_ACT_LOG","defaultAction":""}"#] {
            let (spec, _) = profile(good).unwrap();
            assert!(spec.linux().as_ref().unwrap().seccomp().is_none(), "{good}");
        }
        for (bad, field) in
            [(r#"{"flags":7}"#, ".flags"), (r#"{"defaultAction":[]}"#, ".defaultAction"), ("[]", "")]
        {
            let err = profile(bad).unwrap_err().to_string();
            assert!(err.starts_with(&format!("linux.seccomp{field}: ")), "{err}");
        }
    }

    #[test]
    fn a_property_of_nobody_may_be_as_deep_as_it_likes() {
        let deep = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        for text in [format!(r#"{{"future":{deep}}}"#), format!(r#"{{"future":{deep},"ociVersion":null}}"#)] {
            assert!(config(text.as_bytes()).is_ok());
        }
        assert!(config(format!(r#"{{"mounts":{deep}}}"#).as_bytes()).is_err());
    }

    #[test]
    fn a_truncated_text_is_refused_in_one_line() {
        let err = config(br#"{"ociVersion":"1.0.2","#).unwrap_err().to_string();
        assert!(err.contains("EOF while parsing") && !err.contains('\n'), "{err}");
        assert_eq!(config(b" \n").unwrap_err().to_string(), "empty");
    }
}
