//! `spec`: a config.json to begin with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use oci_spec::runtime::{
    LinuxIdMapping, LinuxIdMappingBuilder, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, Spec,
};
use serde::Serialize;

use crate::cli::SpecArgs;
use crate::error::{Error, Result};

/// A shell in a container of its own, as root.
const DEFAULT: &str = include_str!("default-config.json");

/// Writes config.json into the bundle.
pub fn run(args: SpecArgs) -> Result<u8> {
    let mut spec = default()?;
    if is_cgroup_v2() {
        add_namespace(&mut spec, LinuxNamespaceType::Cgroup)?;
    }
    if args.rootless {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        make_rootless(&mut spec, uid, gid)?;
    }
    write_new(&args.bundle.join("config.json"), &indented(&spec)?)?;
    Ok(0)
}

fn default() -> Result<Spec> {
    serde_json::from_str(DEFAULT).map_err(|err| Error::internal(format!("the default config: {err}")))
}

fn is_cgroup_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Changes what needs root: the user is root in a user namespace instead, shares the host's network, gets the
/// host's /sys, and limits nothing.
fn make_rootless(spec: &mut Spec, uid: u32, gid: u32) -> Result<()> {
    if let Some(linux) = spec.linux_mut() {
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.retain(|namespace| namespace.typ() != LinuxNamespaceType::Network);
        linux.set_namespaces(Some(namespaces));
        linux.set_uid_mappings(Some(vec![root_is(uid)?]));
        linux.set_gid_mappings(Some(vec![root_is(gid)?]));
        linux.set_resources(None);
    }
    add_namespace(spec, LinuxNamespaceType::User)?;
    for mount in spec.mounts_mut().iter_mut().flatten() {
        make_mount_rootless(mount);
    }
    Ok(())
}

fn make_mount_rootless(mount: &mut Mount) {
    if mount.destination() == Path::new("/sys") {
        mount.set_typ(Some("none".into()));
        mount.set_source(Some("/sys".into()));
        mount.set_options(Some(["rbind", "nosuid", "noexec", "nodev", "ro"].map(String::from).into()));
    } else if let Some(options) = mount.options_mut() {
        // No other id than the user's own is mapped.
        options.retain(|option| !option.starts_with("uid=") && !option.starts_with("gid="));
    }
}

fn add_namespace(spec: &mut Spec, kind: LinuxNamespaceType) -> Result<()> {
    let namespace = LinuxNamespaceBuilder::default().typ(kind).build();
    let namespace = namespace.map_err(|err| Error::internal(err.to_string()))?;
    if let Some(linux) = spec.linux_mut() {
        linux.namespaces_mut().get_or_insert_with(Vec::new).push(namespace);
    }
    Ok(())
}

fn root_is(host_id: u32) -> Result<LinuxIdMapping> {
    LinuxIdMappingBuilder::default()
        .container_id(0_u32)
        .host_id(host_id)
        .size(1_u32)
        .build()
        .map_err(|err| Error::internal(err.to_string()))
}

fn indented(spec: &Spec) -> Result<Vec<u8>> {
    let mut json = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    spec.serialize(&mut serde_json::Serializer::with_formatter(&mut json, formatter))
        .map_err(|err| Error::internal(err.to_string()))?;
    json.push(b'\n');
    Ok(json)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(|err| match err.kind() {
        ErrorKind::AlreadyExists => {
            Error::invalid(format!("File {} exists. Remove it first", path.display()))
        }
        _ => Error::io(format!("write {}", path.display()), &err),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_loses_nothing_in_the_types() {
        let typed = serde_json::to_value(default().expect("the default")).expect("json");
        let text: serde_json::Value = serde_json::from_str(DEFAULT).expect("json");
        assert_eq!(typed, text);
    }

    #[test]
    fn rootless_config_needs_no_root() {
        let mut spec = default().expect("the default");
        make_rootless(&mut spec, 1000, 100).expect("rootless");
        let json = serde_json::to_value(&spec).expect("json");
        assert_eq!(
            json["linux"]["uidMappings"][0],
            serde_json::json!({"containerID": 0, "hostID": 1000, "size": 1})
        );
        assert_eq!(json["linux"]["gidMappings"][0]["hostID"], 100);
        assert!(json["linux"].get("resources").is_none());
        let namespaces = json["linux"]["namespaces"].to_string();
        assert!(namespaces.contains("user") && !namespaces.contains("network"), "{namespaces}");
        let mounts = json["mounts"].to_string();
        assert!(!mounts.contains("gid=") && mounts.contains("rbind"), "{mounts}");
    }

    #[test]
    fn file_that_is_there_is_kept() {
        let err = write_new(Path::new("/etc/passwd"), b"").expect_err("there").to_string();
        assert_eq!(err, "File /etc/passwd exists. Remove it first");
    }
}
