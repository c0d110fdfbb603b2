//! Device nodes and the links beside them in /dev.
//!
//! In a user namespace no process may make device nodes. There the host's nodes are bound in place: by the supervisor,
//! if it has rights over them that init lacks, and otherwise by init itself. Where the config binds a whole /dev, it is
//! left as it is.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::mount_options::AttrChange;
use super::mounts::{self, Mount, MountSource};
use super::{Caller, ForPreparer, ForSupervisor, Request, Step};
use crate::error::{Error, Result};
use crate::paths;
use crate::spec::{Namespace, Spec, oci};

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The node's path in the container.
    pub path: PathBuf,
    /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`.
    pub kind: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner, by container id.
    pub uid: u32,
    /// Group, by container id.
    pub gid: u32,
    /// How the node comes into the container.
    pub source: DeviceSource,
}

/// How a device node comes into the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceSource {
    /// Init makes the node.
    Made,
    /// The supervisor binds the host's node, and init attaches it.
    BoundBySupervisor,
    /// Init binds the host's node.
    Bound,
}

/// A link in /dev.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLink {
    /// Where it leads.
    pub target: &'static str,
    /// Its name in /dev.
    pub name: &'static str,
}

/// Every container has these, by the OCI spec: path, major, minor.
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/random", 1, 8),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/zero", 1, 5),
    ("/dev/urandom", 1, 9),
];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    // init makes /dev/core only where the procfs has a kcore.
    ("/proc/kcore", "core"),
];

/// A new pts instance has a ptmx of its own; a node in /dev would open the host's.
const PTMX: (&str, &str) = ("pts/ptmx", "ptmx");

pub(super) fn steps(spec: &Spec, request: &Request, caller: Caller) -> Result<Vec<Step>> {
    if mounts::whole_dev_is_hosts(spec, request) {
        return Ok(Vec::new());
    }
    let source = if mounts::is_bound_by_supervisor(spec, caller) {
        DeviceSource::BoundBySupervisor
    } else if spec.namespaces().is_private(Namespace::User) || !caller.makes_devices() {
        DeviceSource::Bound
    } else {
        DeviceSource::Made
    };
    let mut devices = listed(spec, source)?;
    for (path, major, minor) in DEFAULT {
        if !devices.iter().any(|(_, device)| device.path == Path::new(path)) {
            let (kind, mode) = (libc::S_IFCHR, 0o666);
            let device = Device { path: path.into(), kind, major, minor, mode, uid: 0, gid: 0, source };
            devices.push(("default devices".into(), device));
        }
    }
    let mut steps = Vec::new();
    for (field, device) in devices {
        if source == DeviceSource::BoundBySupervisor {
            steps.push(Step::of(field.clone(), ForSupervisor::BuildMount(Box::new(host_node(&device)))));
        }
        steps.push(Step::of(field, ForPreparer::MakeDevice(device)));
    }
    let links = LINKS.into_iter().chain([PTMX]);
    steps.extend(links.map(|(target, name)| {
        Step::of("default devices", ForPreparer::MakeDeviceLink(DeviceLink { target, name }))
    }));
    Ok(steps)
}

fn listed(spec: &Spec, source: DeviceSource) -> Result<Vec<(String, Device)>> {
    let list = spec.linux().and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
    let mut devices: Vec<(String, Device)> = Vec::new();
    let mut paths_seen = HashSet::new();
    for (index, entry) in list.iter().enumerate() {
        let field = format!("linux.devices[{index}]");
        // /dev/ptmx is always the link to the container's own pts.
        if entry.path() == Path::new("/dev/ptmx") {
            continue;
        }
        let path = paths::from_root(entry.path());
        let device = Device {
            path: path.clone(),
            kind: kind(entry.typ(), &field)?,
            major: number(entry.major(), MAJOR_BITS, &format!("{field}.major"))?,
            minor: number(entry.minor(), MINOR_BITS, &format!("{field}.minor"))?,
            mode: entry.file_mode().unwrap_or(0o666) & 0o7777,
            uid: entry.uid().unwrap_or(0),
            gid: entry.gid().unwrap_or(0),
            source,
        };
        // A path listed twice: the first counts, as in runc, where the second finds its node in place.
        if paths_seen.insert(path) {
            devices.push((field, device));
        }
    }
    Ok(devices)
}

fn kind(kind: oci::LinuxDeviceType, field: &str) -> Result<u32> {
    match kind {
        oci::LinuxDeviceType::B => Ok(libc::S_IFBLK),
        oci::LinuxDeviceType::C | oci::LinuxDeviceType::U => Ok(libc::S_IFCHR),
        oci::LinuxDeviceType::P => Ok(libc::S_IFIFO),
        oci::LinuxDeviceType::A => {
            Err(Error::invalid(format!("{field}.type: \"a\" is for cgroup rules only")))
        }
    }
}

/// The kernel's `dev_t` has so many bits for each of the two numbers of a device.
pub(super) const MAJOR_BITS: u32 = 12;
pub(super) const MINOR_BITS: u32 = 20;

/// A device number. What is more than its bits would be cut by mknod(2), and the v1 controller takes ~0 for "any".
pub(super) fn number(number: i64, bits: u32, field: &str) -> Result<u32> {
    let number_max = (1 << bits) - 1;
    u32::try_from(number)
        .ok()
        .filter(|number| *number <= number_max)
        .ok_or_else(|| Error::invalid(format!("{field}: {number} is not in 0 to {number_max}")))
}

/// The host's node, to be bound where none can be made.
fn host_node(device: &Device) -> Mount {
    Mount {
        destination: device.path.clone(),
        source: MountSource::Bind { path: device.path.clone(), recursive: false },
        attr: AttrChange::default(),
        recursive_attr: AttrChange::default(),
        propagation: Vec::new(),
        id_map: None,
        copy_up: false,
        built_by_supervisor: true,
        sealed_later: false,
        written_through: false,
    }
}
