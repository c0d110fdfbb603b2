//! What the host is like.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use nix::sys::utsname::uname;

use crate::error::{Context, Error, Result};
use crate::spec::check::Cpus;
use crate::spec::{Host, oci};

/// Linux has recursive read-only mounts since 5.12.
const RECURSIVE_READONLY_SINCE: (u32, u32) = (5, 12);

/// Where the kernel says whether AppArmor is on: Y.
const APPARMOR: &str = "/sys/module/apparmor/parameters/enabled";

/// Programs that are an init for containers.
const INITS: [&str; 4] = ["docker-init", "tini-static", "tini", "catatonit"];

/// Corten's own shim.
pub const CORTEN: &str = "io.containerd.corten.v2";

/// The runtimes by preference, with the shim that each is.
const RUNTIMES: [(&str, &str); 2] =
    [("containerd-shim-corten-v2", CORTEN), ("containerd-shim-runc-v2", "io.containerd.runc.v2")];

/// Looks at this host.
pub fn look() -> Host {
    Host {
        systemd: Path::new("/run/systemd/system").is_dir(),
        unified_cgroups: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        recursive_readonly: kernel() >= RECURSIVE_READONLY_SINCE,
        kernel: kernel(),
        apparmor: fs::read_to_string(APPARMOR).is_ok_and(|is_on| is_on.starts_with('Y')),
        capabilities: capabilities(),
        memory_nodes: first_list(&MEMORY_NODES),
        init: INITS.iter().find_map(|init| on_path(init)).map(|path| path.to_string_lossy().into_owned()),
    }
}

/// Where the kernel says which CPUs there are: for containers, and at all.
const CPUS: [&str; 3] = [
    "/sys/fs/cgroup/cpuset.cpus.effective",
    "/sys/fs/cgroup/cpuset/cpuset.effective_cpus",
    "/sys/devices/system/cpu/online",
];

/// The same of memory nodes.
const MEMORY_NODES: [&str; 3] = [
    "/sys/fs/cgroup/cpuset.mems.effective",
    "/sys/fs/cgroup/cpuset/cpuset.effective_mems",
    "/sys/devices/system/node/has_memory",
];

/// The CPUs that containers can have.
pub fn cpus() -> Result<Cpus> {
    Cpus::parse(&first_list(&CPUS))
}

/// The first list among files that is there and not empty.
fn first_list(files: &[&str]) -> String {
    let lists = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    lists.into_iter().find(|list| !list.trim().is_empty()).unwrap_or_default()
}

/// The runtime of containers that name none: Corten's, where it is installed.
pub fn runtime() -> &'static str {
    let installed = RUNTIMES.iter().find(|(shim, _)| on_path(shim).is_some());
    installed.map_or(RUNTIMES[1].1, |(_, runtime)| runtime)
}

/// The runtimes that are installed, by preference.
pub fn runtimes() -> Vec<&'static str> {
    let installed = RUNTIMES.iter().filter(|(shim, _)| on_path(shim).is_some());
    installed.map(|(_, runtime)| *runtime).collect()
}

/// The runtime's whole name: people say `runc` and `corten`.
pub fn runtime_named(typed: &str) -> String {
    if typed.contains(['.', '/']) { typed.to_owned() } else { format!("io.containerd.{typed}.v2") }
}

/// The devices at a path: the device itself, or all that are below a directory.
pub fn devices(path: &str) -> Result<Vec<oci::Device>> {
    let about = fs::metadata(path).at(path)?;
    if !about.is_dir() {
        return device(Path::new(path), &about)
            .map(|device| vec![device])
            .ok_or_else(|| Error::new(format!("{path}: not a device node")));
    }
    let mut devices = Vec::new();
    below(Path::new(path), &mut devices);
    devices.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(devices)
}

/// The mounts in /dev are the container's own, and its console is not the host's.
const NOT_DEVICES: [&str; 6] = ["pts", "shm", "fd", "mqueue", ".lxc", "console"];

fn below(dir: &Path, devices: &mut Vec<oci::Device>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_str().is_none_or(|name| NOT_DEVICES.contains(&name)) {
            continue;
        }
        match entry.metadata() {
            Ok(about) if about.is_dir() => below(&path, devices),
            // What can't be read is gone again.
            about => devices.extend(about.ok().and_then(|about| device(&path, &about))),
        }
    }
}

fn device(path: &Path, about: &fs::Metadata) -> Option<oci::Device> {
    let kind = match about.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return None,
    };
    Some(oci::Device {
        path: path.to_str()?.to_owned(),
        kind,
        major: major(about.rdev()),
        minor: minor(about.rdev()),
        file_mode: about.permissions().mode() & 0o777,
        uid: about.uid(),
        gid: about.gid(),
    })
}

/// Major and minor number of the kernel's version. One that can't be read is an old one.
fn kernel() -> (u32, u32) {
    let release =
        uname().ok().and_then(|name| name.release().to_str().map(str::to_owned)).unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The capabilities of this process. None, where the kernel doesn't tell them.
fn capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:"));
    permitted.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default()
}

/// Where a program is on PATH, which is taken for containerd's too.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|place| place.is_file())
}
