//! What is mounted into a container: as it was asked for, and as it is.

use serde_json::{Value, json};

use crate::model::types::{Mount, Service};
use crate::model::values::MountKind;
use crate::observe::Observed;
use crate::record::Record;

/// `SOURCE:TARGET[:MODE]` of binds and of volumes with a name.
pub fn binds(record: &Record) -> Value {
    let line = |mount: &Mount| {
        let source = mount.source.as_ref().filter(|_| is_bind(mount) || mount.kind == MountKind::Volume)?;
        let mode = mode(record, mount);
        let end = if mode.is_empty() { mode } else { format!(":{mode}") };
        Some(format!("{source}:{}{end}", mount.target))
    };
    let lines: Vec<String> = record.service.volumes.iter().filter_map(line).collect();
    if lines.is_empty() { Value::Null } else { json!(lines) }
}

/// What has no line among the binds.
pub fn asked(service: &Service) -> Vec<Value> {
    let others = service.volumes.iter().filter(|mount| !is_bind(mount) && mount.kind != MountKind::Volume);
    let about = |mount: &Mount| {
        let mut about = json!({ "Type": mount.kind, "Target": mount.target });
        if let Some(source) = &mount.source {
            about["Source"] = json!(source);
        }
        if mount.read_only {
            about["ReadOnly"] = json!(true);
        }
        if let Some(path) = mount.image.as_ref().and_then(|image| image.subpath.as_ref()) {
            about["ImageOptions"] = json!({ "Subpath": path });
        }
        if let Some(tmpfs) = &mount.tmpfs {
            let size = tmpfs.size.map(|bytes| ("SizeBytes", bytes.0));
            let mode = tmpfs.mode.map(|mode| ("Mode", i64::from(mode)));
            let options = size.into_iter().chain(mode);
            let options: serde_json::Map<_, _> =
                options.map(|(key, value)| (key.to_owned(), value.into())).collect();
            if !options.is_empty() {
                about["TmpfsOptions"] = Value::Object(options);
            }
        }
        about
    };
    others.map(about).collect()
}

/// What is mounted, by the spec: volumes, those of the image too, binds, file systems in memory and images.
pub fn mounted(observed: &Observed, spec: &Value) -> Vec<Value> {
    let record = observed.record.clone().unwrap_or_default();
    let mounts = spec["mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    mounts.iter().filter_map(|mount| one(&record, mount)).collect()
}

fn one(record: &Record, mount: &Value) -> Option<Value> {
    let target = mount["destination"].as_str()?;
    let volume = record.volumes.get(target);
    let mut asked = record.service.volumes.iter().chain(&record.inherited);
    let asked = asked.find(|asked| asked.target == target);
    let options: Vec<&str> = mount["options"].as_array()?.iter().filter_map(Value::as_str).collect();
    let mode = asked.map(|asked| mode(record, asked)).unwrap_or_default();
    let kind = match (volume, asked) {
        (Some(_), _) => MountKind::Volume,
        (None, asked) => asked?.kind,
    };
    let mut about = json!({
        "Type": kind,
        "Name": "",
        "Driver": "",
        "Source": mount["source"],
        "Destination": target,
        "Mode": mode,
        "RW": !options.iter().any(|option| ["ro", "rro"].contains(option)),
        "Propagation": "",
    });
    match (kind, volume) {
        (_, Some(name)) => {
            about["Name"] = json!(name);
            about["Driver"] = json!("local");
            if mode.is_empty() {
                // Docker's mode of a volume that nobody gives one.
                about["Mode"] = json!("z");
            }
        }
        (MountKind::Bind, None) => {
            let propagation = options.iter().find(|option| {
                ["private", "shared", "slave"].contains(&option.strip_prefix('r').unwrap_or(option))
            });
            about["Propagation"] = json!(propagation.unwrap_or(&"rprivate"));
        }
        (MountKind::Tmpfs, None) => about["Source"] = json!(""),
        (MountKind::Image, None) => about["Source"] = json!(asked.and_then(|asked| asked.source.as_ref())),
        _ => {}
    }
    Some(about)
}

fn is_bind(mount: &Mount) -> bool {
    mount.kind == MountKind::Bind
}

/// What stands after the second colon: docker compose writes `rw`, too.
fn mode(record: &Record, mount: &Mount) -> String {
    let access = match (mount.read_only, record.member.is_some()) {
        (true, _) => Some("ro"),
        (false, true) => Some("rw"),
        (false, false) => None,
    };
    let bind = mount.bind.as_ref();
    let label = bind.and_then(|bind| bind.selinux.as_deref());
    let propagation = bind.and_then(|bind| bind.propagation.as_deref());
    access.into_iter().chain(label).chain(propagation).collect::<Vec<_>>().join(",")
}
