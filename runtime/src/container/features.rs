//! What this build of the runtime can do, whatever the host can.
//!
//! Source: runtime-spec features.md.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::plan::mount_options::MOUNT_OPTIONS;
use crate::plan::seccomp;
use crate::spec::{HookKind, Namespace, SPEC_VERSION};
use crate::sys::credentials::capability_names;
use crate::sys::memory_policy::{FLAGS, MODES};

/// The features as JSON, indented, as `corten features` prints them.
pub fn features() -> Result<Vec<u8>> {
    let mut json = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    all()
        .serialize(&mut serde_json::Serializer::with_formatter(&mut json, formatter))
        .map_err(|err| Error::internal(err.to_string()))?;
    json.push(b'\n');
    Ok(json)
}

fn all() -> Features {
    Features {
        oci_version_min: "1.0.0",
        oci_version_max: SPEC_VERSION,
        hooks: HookKind::ALL.map(HookKind::name).into(),
        mount_options: MOUNT_OPTIONS.iter().map(|(word, _)| *word).collect(),
        linux: Linux {
            namespaces: Namespace::ALL.map(Namespace::name).into(),
            capabilities: capability_names(u64::MAX),
            cgroup: Cgroup { v1: true, v2: true, systemd: true, systemd_user: true, rdma: true },
            seccomp: Seccomp {
                enabled: true,
                actions: seccomp::ACTIONS.into(),
                operators: seccomp::OPERATORS.into(),
                archs: seccomp::ARCHITECTURES.into(),
                known_flags: seccomp::known_flags().map(|(name, _)| name).collect(),
                supported_flags: seccomp::known_flags().map(|(name, _)| name).collect(),
            },
            apparmor: Enabled { enabled: true },
            selinux: Enabled { enabled: true },
            intel_rdt: IntelRdt { enabled: true, schemata: true, monitoring: true },
            memory_policy: MemoryPolicy {
                modes: MODES.iter().map(|(_, name)| *name).collect(),
                flags: FLAGS.iter().map(|(_, name)| *name).collect(),
            },
            mount_extensions: MountExtensions { idmap: Enabled { enabled: true } },
            net_devices: Enabled { enabled: true },
        },
        annotations: BTreeMap::from([("org.corten.version", env!("CARGO_PKG_VERSION"))]),
        potentially_unsafe_config_annotations: vec!["org.criu.config", "org.systemd.property.", "run.oci."],
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    oci_version_min: &'static str,
    oci_version_max: &'static str,
    hooks: Vec<&'static str>,
    mount_options: Vec<&'static str>,
    linux: Linux,
    annotations: BTreeMap<&'static str, &'static str>,
    /// Engines that hand on a user's annotations leave these out. A name that ends with a dot is a prefix.
    potentially_unsafe_config_annotations: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: Vec<&'static str>,
    capabilities: Vec<String>,
    cgroup: Cgroup,
    seccomp: Seccomp,
    apparmor: Enabled,
    selinux: Enabled,
    intel_rdt: IntelRdt,
    memory_policy: MemoryPolicy,
    mount_extensions: MountExtensions,
    net_devices: Enabled,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    systemd_user: bool,
    rdma: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp {
    enabled: bool,
    actions: Vec<&'static str>,
    operators: Vec<&'static str>,
    archs: Vec<&'static str>,
    known_flags: Vec<String>,
    supported_flags: Vec<String>,
}

#[derive(Serialize)]
struct IntelRdt {
    enabled: bool,
    schemata: bool,
    monitoring: bool,
}

#[derive(Serialize)]
struct MemoryPolicy {
    modes: Vec<&'static str>,
    flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn types_of_the_specification_take_the_features() {
        let json = serde_json::to_value(all()).expect("json");
        let typed: oci_spec::runtime::Features =
            serde_json::from_value(json.clone()).expect("the field's type");
        let linux = typed.linux().as_ref().expect("linux");
        assert_eq!(linux.namespaces().as_ref().map(Vec::len), Some(8));
        assert_eq!(linux.seccomp().as_ref().and_then(|seccomp| *seccomp.enabled()), Some(true));
        assert_eq!(json["ociVersionMax"], "1.3.0");
    }

    #[test]
    fn what_engines_ask_for_is_there() {
        let json = serde_json::to_value(all()).expect("json");
        let options = json["mountOptions"].to_string();
        for word in ["\"rro\"", "\"ro\"", "\"rbind\"", "\"rprivate\"", "\"tmpcopyup\""] {
            assert!(options.contains(word), "{word}");
        }
        assert_eq!(json["linux"]["mountExtensions"]["idmap"]["enabled"], true);
        let hooks =
            ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
        assert_eq!(json["hooks"], serde_json::json!(hooks));
        assert!(json["linux"]["capabilities"].to_string().contains("CAP_SYS_ADMIN"));
    }

    /// The words that the field's type knows, by what it says of another word.
    fn words_of<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
        let known = serde_json::from_str::<T>("\"?\"").err().expect("no word of any type").to_string();
        known.split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn memory_policies_are_all_that_a_config_can_name() {
        use crate::spec::oci::{MemoryPolicyFlagType, MemoryPolicyModeType};
        let MemoryPolicy { modes, flags } = all().linux.memory_policy;
        let set = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(set(modes), words_of::<MemoryPolicyModeType>());
        assert_eq!(set(flags), words_of::<MemoryPolicyFlagType>());
    }

    #[test]
    fn what_is_enabled_is_what_a_config_may_ask_for() {
        let Linux { intel_rdt, net_devices, .. } = all().linux;
        for (enabled, field, value) in [
            (intel_rdt.enabled, "intelRdt", serde_json::json!({"closID": "a"})),
            (intel_rdt.schemata, "intelRdt", serde_json::json!({"schemata": ["L2:0=f"]})),
            (intel_rdt.monitoring, "intelRdt", serde_json::json!({"enableMonitoring": true})),
            (net_devices.enabled, "netDevices", serde_json::json!({"eth1": {}})),
            (true, "memoryPolicy", serde_json::json!({"mode": "MPOL_LOCAL"})),
        ] {
            let config = serde_json::json!({
                "ociVersion": SPEC_VERSION,
                "root": {"path": "rootfs"},
                "process": {"cwd": "/", "args": ["true"]},
                "linux": {"namespaces": [{"type": "mount"}, {"type": "network"}], field: value},
            });
            let accepted = crate::spec::Spec::load(config.to_string().as_bytes());
            assert_eq!(accepted.is_ok(), enabled, "{field}: {:?}", accepted.err());
        }
    }
}
