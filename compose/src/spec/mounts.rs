//! What is mounted: the kernel's own file systems, the container's files, and what the service asks for.

use std::path::{Path, PathBuf};

use super::process::INIT;
use super::{Inputs, oci, wrong};
use crate::error::Result;
use crate::model::types::{Mount, TmpfsOptions};
use crate::model::values::MountKind;

/// The files that are the container's and not the image's.
const FILES: [&str; 3] = ["resolv.conf", "hostname", "hosts"];

/// A directory or file of the host at a place in the container: a volume, a bind, a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bind {
    pub source: String,
    /// Directories of an image's layers, the highest first, or a file of one. Empty: the source.
    pub layers: Vec<PathBuf>,
    pub target: String,
    pub read_only: bool,
    /// Unset: `rprivate`.
    pub propagation: Option<String>,
    /// Unset: a read-only bind is read-only with all below it, where the kernel can do it.
    pub recursive: Option<String>,
}

/// Parents stand before what is mounted below them. The container's own files come last: somebody may mount over /etc.
pub fn of(inputs: &Inputs) -> Result<Vec<oci::Mount>> {
    let mut asked = asked(inputs)?;
    asked.sort_by_key(|mount| Path::new(&mount.destination).components().count());
    let is_free = |mount: &oci::Mount| asked.iter().all(|asked| asked.destination != mount.destination);
    let mut mounts: Vec<_> = kernel_mounts(inputs).into_iter().filter(is_free).collect();
    if inputs.service.read_only {
        mounts.iter_mut().for_each(protect);
    }
    let files: Vec<_> = file_mounts(inputs).into_iter().filter(is_free).collect();
    Ok(mounts.into_iter().chain(asked).chain(files).collect())
}

/// What every container has.
fn kernel_mounts(inputs: &Inputs) -> Vec<oci::Mount> {
    let privileged = inputs.service.privileged;
    let sys: &[&str] =
        if privileged { &["nosuid", "noexec", "nodev"] } else { &["nosuid", "noexec", "nodev", "ro"] };
    let cgroup: &[&str] =
        if privileged { &["nosuid", "noexec", "nodev"] } else { &["ro", "nosuid", "noexec", "nodev"] };
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &pts),
        mount("/sys", "sysfs", "sysfs", sys),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", cgroup),
    ];
    mounts.extend(ipc_mounts(inputs));
    mounts
}

/// Queues and shared memory are of whoever's IPC namespace it is.
fn ipc_mounts(inputs: &Inputs) -> Vec<oci::Mount> {
    let service = inputs.service;
    let size = format!("size={}", service.shm_bytes());
    let mqueue = mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]);
    match service.ipc.as_deref() {
        Some("none") => vec![mqueue],
        Some("host") => vec![
            mount("/dev/mqueue", "bind", "/dev/mqueue", &["rbind", "nosuid", "noexec", "nodev"]),
            mount("/dev/shm", "bind", "/dev/shm", &["rbind", "rprivate"]),
        ],
        // The hook mounts that of a joined namespace over it.
        _ => vec![
            mqueue,
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]),
        ],
    }
}

fn file_mounts(inputs: &Inputs) -> Vec<oci::Mount> {
    let readonly = if inputs.host.recursive_readonly { "rro" } else { "ro" };
    let options: &[&str] =
        if inputs.service.read_only { &["rbind", readonly, "rprivate"] } else { &["rbind", "rprivate"] };
    let file =
        |dir: &Path, name| mount(&format!("/etc/{name}"), "bind", &dir.join(name).to_string_lossy(), options);
    let files = inputs.files.into_iter().flat_map(|dir| FILES.map(|name| file(dir, name)));
    files.collect()
}

/// What the service asks for. Volumes and binds have their place on the host by now.
fn asked(inputs: &Inputs) -> Result<Vec<oci::Mount>> {
    let service = inputs.service;
    let mut mounts: Vec<_> =
        inputs.binds.iter().map(|bind| bind_mount(inputs, bind)).collect::<Result<_>>()?;
    mounts.extend(service.tmpfs.iter().map(|typed| tmpfs(typed)));
    let is_tmpfs = |mount: &&Mount| mount.kind == MountKind::Tmpfs;
    mounts.extend(service.volumes.iter().filter(is_tmpfs).map(tmpfs_mount));
    if service.init == Some(true) {
        let source = inputs.host.init.as_deref().unwrap_or_default();
        mounts.push(mount(INIT, "bind", source, &["bind", "ro"]));
    }
    Ok(mounts)
}

fn bind_mount(inputs: &Inputs, bind: &Bind) -> Result<oci::Mount> {
    match bind.layers.as_slice() {
        [] => {}
        [layer] => {
            return Ok(mount(&bind.target, "bind", &layer.to_string_lossy(), &["rbind", "ro", "rprivate"]));
        }
        layers => {
            let layers: Vec<_> = layers.iter().map(|layer| escaped(&layer.to_string_lossy())).collect();
            let lower = format!("lowerdir={}", layers.join(":"));
            return Ok(mount(&bind.target, "overlay", "overlay", &["ro", &lower]));
        }
    }
    const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
    let propagation = bind.propagation.as_deref().unwrap_or("rprivate");
    if !PROPAGATIONS.contains(&propagation) {
        return Err(wrong("volumes", format!("{}: propagation {propagation:?} is none", bind.target)));
    }
    let can = inputs.host.recursive_readonly;
    let (binding, readonly) = match bind.recursive.as_deref() {
        Some("disabled") => ("bind", "ro"),
        Some("writable") => ("rbind", "ro"),
        Some("readonly") if !can => {
            return Err(wrong(
                "volumes",
                format!("{}: this kernel has no recursive read-only mounts", bind.target),
            ));
        }
        _ => ("rbind", if can { "rro" } else { "ro" }),
    };
    let options: &[&str] =
        if bind.read_only { &[binding, readonly, propagation] } else { &[binding, propagation] };
    Ok(mount(&bind.target, "bind", &bind.source, options))
}

/// A layer's directory among overlay's. The kernel takes the character behind a backslash as it is, whether the runtime
/// passes all options in one text, which commas divide, or one by one.
fn escaped(layer: &str) -> String {
    let is_special = |c: char| matches!(c, '\\' | ':' | ',');
    layer.chars().flat_map(|c| is_special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// `PATH[:OPTIONS]`.
fn tmpfs(typed: &str) -> oci::Mount {
    let (target, options) = typed.split_once(':').unwrap_or((typed, ""));
    let options: Vec<&str> = options.split(',').filter(|option| !option.is_empty()).collect();
    // What is typed may switch off one of the defaults.
    let opposite = |default: &str| default.strip_prefix("no").unwrap_or_default().to_owned();
    let defaults = ["noexec", "nosuid", "nodev"].into_iter();
    let defaults = defaults.filter(|default| !options.contains(&opposite(default).as_str()));
    let mut all: Vec<&str> = defaults.chain(["rprivate"]).collect();
    all.extend(&options);
    mount(target, "tmpfs", "tmpfs", &all)
}

fn tmpfs_mount(asked: &Mount) -> oci::Mount {
    let asked_options = asked.tmpfs.clone().unwrap_or_default();
    let TmpfsOptions { size, mode, .. } = asked_options;
    let mut made = mount(&asked.target, "tmpfs", "tmpfs", &["noexec", "nosuid", "nodev", "rprivate"]);
    made.options.extend(size.map(|size| format!("size={}", size.0)));
    made.options.extend(mode.map(|mode| format!("mode={mode:o}")));
    made.options.extend(asked.read_only.then(|| "ro".to_owned()));
    made
}

/// With a read-only root, what is mounted on it is read-only too, but for where programs have to write.
fn protect(mount: &mut oci::Mount) {
    const WRITABLE: [&str; 5] = ["/proc", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"];
    let is_writable = WRITABLE.contains(&mount.destination.as_str());
    if !is_writable && !mount.options.iter().any(|option| option == "ro") {
        mount.options.push("ro".to_owned());
    }
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> oci::Mount {
    oci::Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_layers_stay_apart_whatever_their_names_are() {
        assert_eq!(escaped("/s/1/fs/plain dir"), "/s/1/fs/plain dir");
        assert_eq!(escaped("/x:/c,d/q\\w"), "/x\\:/c\\,d/q\\\\w");
    }
}
