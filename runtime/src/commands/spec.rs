//! `spec`: a config.json to begin with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::cli::SpecArgs;
use crate::error::{Error, Result};
use crate::sys::credentials;

/// A shell in a container of its own, as root.
const DEFAULT: &str = include_str!("default-config.json");

/// Writes config.json into the bundle.
pub(super) fn run(args: SpecArgs) -> Result<u8> {
    let mut config = DEFAULT.to_owned();
    if args.rootless {
        config = rootless(&config, credentials::effective_uid(), credentials::effective_gid());
    }
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        config = with_cgroup_namespace(&config);
    }
    write_new(&args.bundle.join("config.json"), &config)?;
    Ok(0)
}

/// Changes what needs root: the user is root in a user namespace instead, shares the host's network, gets the host's
/// /sys, and limits nothing. No group but the user's own is mapped, so devpts gets no `gid`.
fn rootless(config: &str, uid: u32, gid: u32) -> String {
    let mapped =
        |key: &str, id: u32| format!(r#""{key}": [{{"containerID": 0, "hostID": {id}, "size": 1}}],"#);
    let mappings = format!("{}\n\t\t{}", mapped("uidMappings", uid), mapped("gidMappings", gid));
    config
        .replace(r#""resources": {"devices": [{"allow": false, "access": "rwm"}]},"#, &mappings)
        .replace(r#"{"type": "network"}"#, r#"{"type": "user"}"#)
        .replace(r#", "gid=5""#, "")
        .replace(r#""type": "sysfs""#, r#""type": "none""#)
        .replace(r#""source": "sysfs""#, r#""source": "/sys""#)
        .replace(r#"["nosuid", "noexec", "nodev", "ro"]"#, r#"["rbind", "nosuid", "noexec", "nodev", "ro"]"#)
}

/// On v2, the container sees its cgroup as the top of the tree.
fn with_cgroup_namespace(config: &str) -> String {
    config.replace(r#"{"type": "mount"}"#, "{\"type\": \"mount\"},\n\t\t\t{\"type\": \"cgroup\"}")
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|err| match err.kind() {
        ErrorKind::AlreadyExists => {
            Error::invalid(format!("File {} exists. Remove it first", path.display()))
        }
        _ => Error::io(format!("write {}", path.display()), &err),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(config: &str) -> Value {
        serde_json::from_str(config).expect("JSON")
    }

    fn namespaces(config: &Value) -> Vec<&str> {
        let list = config["linux"]["namespaces"].as_array().expect("a list");
        list.iter().filter_map(|namespace| namespace["type"].as_str()).collect()
    }

    #[test]
    fn types_of_the_specification_take_the_default() {
        serde_json::from_str::<oci_spec::runtime::Spec>(DEFAULT).expect("a spec");
        let config = parse(DEFAULT);
        assert_eq!(namespaces(&config), ["pid", "network", "ipc", "uts", "mount"]);
        assert_eq!(namespaces(&parse(&with_cgroup_namespace(DEFAULT))).last(), Some(&"cgroup"));
    }

    #[test]
    fn rootless_config_needs_no_root() {
        let config = parse(&rootless(DEFAULT, 1000, 100));
        assert_eq!(config["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": 1000, "size": 1}]));
        assert_eq!(config["linux"]["gidMappings"][0]["hostID"], 100);
        assert!(config["linux"].get("resources").is_none());
        assert_eq!(namespaces(&config), ["pid", "user", "ipc", "uts", "mount"]);
        let mounts = config["mounts"].as_array().expect("a list");
        let sys = json!({
            "destination": "/sys", "type": "none", "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]
        });
        assert!(mounts.contains(&sys), "{mounts:?}");
        assert!(!config.to_string().contains("gid="));
        let before = parse(DEFAULT);
        let before = before["mounts"].as_array().expect("a list");
        let changed = mounts.iter().zip(before).filter(|(now, before)| now != before);
        assert_eq!(changed.count(), 2);
    }

    #[test]
    fn file_that_is_there_is_kept() {
        let err = write_new(Path::new("/etc/passwd"), "").expect_err("there").to_string();
        assert_eq!(err, "File /etc/passwd exists. Remove it first");
    }
}
