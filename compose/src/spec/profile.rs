//! Docker's format of a seccomp profile → the runtime specification's, for one container on this host. Pure.
//!
//! Docker's has more than the specification's: architectures by the machine, and rules for some capabilities,
//! machines and kernels only. Whatever differs from container to container is settled here.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::seccomp;
use crate::error::{Error, Result};

/// What a rule, or a profile by default, does with a call.
const ACTIONS: [&str; 9] =
    ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY"];

/// How an argument is compared.
const OPERATORS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];

/// Major and minor number of a kernel.
pub type Kernel = (u32, u32);

/// A profile. Lists may be null, as Go writes empty ones.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(deserialize_with = "or_default")]
    architectures: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    arch_map: Vec<Machine>,
    #[serde(deserialize_with = "or_default")]
    flags: Vec<String>,
    listener_path: String,
    listener_metadata: String,
    #[serde(deserialize_with = "or_default")]
    syscalls: Vec<Rule>,
}

/// A machine, and those whose programs it runs, too.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Machine {
    architecture: String,
    #[serde(deserialize_with = "or_default")]
    sub_architectures: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    name: String,
    #[serde(deserialize_with = "or_default")]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(deserialize_with = "or_default")]
    args: Vec<Argument>,
    #[serde(deserialize_with = "or_default")]
    includes: Filter,
    #[serde(deserialize_with = "or_default")]
    excludes: Filter,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// For which containers a rule is, or isn't.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Filter {
    #[serde(deserialize_with = "or_default")]
    caps: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    arches: Vec<String>,
    min_kernel: String,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> std::result::Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// The profile of a container with these capabilities on a host with this kernel. None, if the text says nothing:
/// then all calls are free.
///
/// Errors: what is no profile.
pub fn of(text: &str, capabilities: &[String], kernel: Kernel) -> Result<Option<Value>> {
    let wrong = |why: String| Error::new(format!("Decoding seccomp profile failed: {why}"));
    let profile: Profile = serde_json::from_str(text).map_err(|err| wrong(err.to_string()))?;
    if profile.default_action.is_empty() && profile.syscalls.is_empty() {
        return Ok(None);
    }
    profile.settle(capabilities, kernel).map(Some).map_err(wrong)
}

impl Profile {
    fn settle(self, capabilities: &[String], kernel: Kernel) -> std::result::Result<Value, String> {
        known("action", "SCMP_ACT_", &ACTIONS, &self.default_action)?;
        let mut calls = Vec::new();
        for rule in &self.syscalls {
            let call = rule.settle()?;
            calls.extend(rule.is_for(capabilities, kernel)?.then_some(call));
        }
        let architectures = match (self.arch_map.is_empty(), self.architectures.is_empty()) {
            (false, false) => {
                return Err("use either 'architectures' or 'archMap'".to_owned());
            }
            (false, true) => {
                self.arch_map.into_iter().filter(Machine::is_ours).flat_map(Machine::all).collect()
            }
            (true, _) => self.architectures,
        };
        let mut settled = json!({ "defaultAction": self.default_action, "syscalls": calls });
        let texts = [("listenerPath", self.listener_path), ("listenerMetadata", self.listener_metadata)];
        let mut set = |key: &str, value: Value, is_set: bool| {
            if is_set {
                settled[key] = value;
            }
        };
        set("defaultErrnoRet", json!(self.default_errno_ret), self.default_errno_ret.is_some());
        set("architectures", json!(architectures), !architectures.is_empty());
        set("flags", json!(self.flags), !self.flags.is_empty());
        texts.into_iter().for_each(|(key, text)| set(key, json!(text), !text.is_empty()));
        Ok(settled)
    }
}

impl Machine {
    fn is_ours(&self) -> bool {
        seccomp::architecture() == Some(self.architecture.as_str())
    }

    fn all(self) -> impl Iterator<Item = String> {
        [self.architecture].into_iter().chain(self.sub_architectures)
    }
}

impl Rule {
    /// The rule in the specification's words.
    fn settle(&self) -> std::result::Result<Value, String> {
        known("action", "SCMP_ACT_", &ACTIONS, &self.action)?;
        let names = match (self.name.is_empty(), self.names.is_empty()) {
            (false, false) => return Err("use either 'name' or 'names'".to_owned()),
            (false, true) => std::slice::from_ref(&self.name),
            (true, _) => &self.names,
        };
        let mut call = json!({ "names": names, "action": self.action });
        if let Some(number) = self.errno_ret {
            call["errnoRet"] = number.into();
        }
        let mut arguments = Vec::new();
        for Argument { index, value, value_two, op } in &self.args {
            known("operator", "SCMP_CMP_", &OPERATORS, op)?;
            arguments.push(json!({ "index": index, "value": value, "valueTwo": value_two, "op": op }));
        }
        if !arguments.is_empty() {
            call["args"] = arguments.into();
        }
        Ok(call)
    }

    /// Whether the rule is for a container with these capabilities on this host.
    fn is_for(&self, capabilities: &[String], kernel: Kernel) -> std::result::Result<bool, String> {
        let (with, without) = (&self.includes, &self.excludes);
        let is_ours = |machine: &String| seccomp::machine() == Some(machine.as_str());
        let held = |capability: &String| capabilities.contains(capability);
        let is_excluded = without.arches.iter().any(is_ours)
            || without.caps.iter().any(held)
            || since(&without.min_kernel)?.is_some_and(|since| kernel >= since);
        let is_included = (with.arches.is_empty() || with.arches.iter().any(is_ours))
            && with.caps.iter().all(held)
            && since(&with.min_kernel)?.is_none_or(|since| kernel >= since);
        Ok(is_included && !is_excluded)
    }
}

/// The version that a text names, if it names one.
fn since(text: &str) -> std::result::Result<Option<Kernel>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let version =
        text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    version.map(Some).ok_or_else(|| format!("invalid kernel version: {text:?}"))
}

fn known(what: &str, start: &str, known: &[&str], text: &str) -> std::result::Result<(), String> {
    if text.strip_prefix(start).is_some_and(|name| known.contains(&name)) {
        return Ok(());
    }
    Err(format!("{text:?} is not a valid {what}"))
}

/// The text without what JSON makes nothing of, as Docker's clients send a profile.
///
/// Errors: what is no JSON, or no object.
pub fn compact(text: &str) -> Result<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|err| Error::new(err.to_string()))?;
    if !text.trim_start().starts_with('{') {
        return Err(Error::new("it is no object of JSON"));
    }
    let (mut in_text, mut is_escaped) = (false, false);
    let is_kept = |c: &char| {
        let is_kept = in_text || !c.is_ascii_whitespace();
        in_text ^= *c == '"' && !is_escaped;
        is_escaped = in_text && *c == '\\' && !is_escaped;
        is_kept
    };
    Ok(text.chars().filter(is_kept).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: Kernel = (5, 10);

    /// The names that a profile of these rules has rules for, in a container with one capability.
    fn names(rules: &str) -> std::result::Result<Vec<String>, String> {
        let text = format!("{{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": {rules}}}");
        let settled = of(&text, &["CAP_SYS_BOOT".to_owned()], KERNEL).map_err(|err| err.to_string())?;
        let settled = settled.expect("it says something");
        let calls = settled["syscalls"].as_array().expect("a list").iter();
        Ok(calls.map(|call| call["names"].to_string()).collect())
    }

    #[test]
    fn a_rule_is_there_for_whom_it_is_meant() {
        let own = seccomp::machine().expect("a machine that is known");
        let other = if own == "amd64" { "arm64" } else { "amd64" };
        let rule = |filter: &str| {
            let filter = filter.replace("OWN", own).replace("OTHER", other);
            names(&format!("[{{\"name\": \"reboot\", \"action\": \"SCMP_ACT_ALLOW\", {filter}}}]"))
                .map(|names| names.len())
        };
        for (filter, count) in [
            (r#""includes": {}, "excludes": null, "args": null"#, 1),
            (r#""includes": {"caps": ["CAP_SYS_BOOT"]}"#, 1),
            (r#""includes": {"caps": ["CAP_SYS_BOOT", "CAP_BPF"]}"#, 0),
            (r#""excludes": {"caps": ["CAP_BPF", "CAP_SYS_BOOT"]}"#, 0),
            (r#""includes": {"arches": ["OTHER", "OWN"]}"#, 1),
            (r#""includes": {"arches": ["OTHER"]}"#, 0),
            (r#""excludes": {"arches": ["OWN"]}"#, 0),
            (r#""includes": {"minKernel": "4.8"}"#, 1),
            (r#""includes": {"minKernel": "5.11"}"#, 0),
            (r#""excludes": {"minKernel": "5.10"}"#, 0),
        ] {
            assert_eq!(rule(filter), Ok(count), "{filter}");
        }
    }

    #[test]
    fn a_profile_is_settled_for_this_machine() {
        let architecture = seccomp::architecture().expect("a machine that is known");
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1, "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "archMap": [{{"architecture": "SCMP_ARCH_OTHER", "subArchitectures": null}},
                {{"architecture": "{architecture}", "subArchitectures": ["SCMP_ARCH_X32"]}}],
            "syscalls": [{{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7, "comment": "",
                "args": [{{"index": 1, "value": 18446744073709551615, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}}]}}]}}"#
        );
        let expected = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "defaultErrnoRet": 1,
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "architectures": [architecture, "SCMP_ARCH_X32"],
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7,
                "args": [{ "index": 1, "value": u64::MAX, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ" }] }],
        });
        assert_eq!(of(&text, &[], KERNEL).expect("a profile"), Some(expected));
        assert_eq!(of("{}", &[], KERNEL).expect("nothing"), None);
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        for (rules, why) in [
            ("7", "invalid type: integer"),
            (r#"[{"action": "SCMP_ACT_DENY"}]"#, "\"SCMP_ACT_DENY\" is not a valid action"),
            (r#"[{"action": "SCMP_ACT_LOG", "name": "a", "names": ["b"]}]"#, "use either 'name' or 'names'"),
            (
                r#"[{"action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1, "op": "EQ"}]}]"#,
                "\"EQ\" is not a valid operator",
            ),
            (r#"[{"action": "SCMP_ACT_LOG", "includes": {"minKernel": "x"}}]"#, "invalid kernel version"),
        ] {
            let told = names(rules).expect_err("no profile");
            assert!(told.starts_with("Decoding seccomp profile failed: ") && told.contains(why), "{told}");
        }
        assert!(of("nan", &[], KERNEL).is_err());
    }

    #[test]
    fn a_compact_text_says_the_same() {
        let text = "{ \"a b\" : [ 1,\n\t\"\\\" \\\\\" , true ] }\n";
        assert_eq!(compact(text).expect("JSON"), r#"{"a b":[1,"\" \\",true]}"#);
        for wrong in ["{", "null", " []\n", "\"unconfined\"", ""] {
            assert!(compact(wrong).is_err(), "{wrong}");
        }
    }
}
