//! `linux.namespaces` by type: the host's, a new one, or one joined by path.

use std::path::{Path, PathBuf};

use super::oci::{self, LinuxNamespaceType};
use crate::error::{Error, Result};

/// The eight types of namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// The view of the cgroup hierarchy.
    Cgroup,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Mount points.
    Mount,
    /// Network devices, addresses, ports.
    Network,
    /// Process ids.
    Pid,
    /// Offsets of the monotonic and the boot-time clock.
    Time,
    /// User and group ids.
    User,
    /// Host name and NIS domain name.
    Uts,
}

impl Namespace {
    /// All types of namespaces.
    pub const ALL: [Namespace; 8] = [
        Namespace::Cgroup,
        Namespace::Ipc,
        Namespace::Mount,
        Namespace::Network,
        Namespace::Pid,
        Namespace::Time,
        Namespace::User,
        Namespace::Uts,
    ];

    /// Its `CLONE_NEW*` bit.
    pub fn flag(self) -> u64 {
        match self {
            Namespace::Cgroup => libc::CLONE_NEWCGROUP as u64,
            Namespace::Ipc => libc::CLONE_NEWIPC as u64,
            Namespace::Mount => libc::CLONE_NEWNS as u64,
            Namespace::Network => libc::CLONE_NEWNET as u64,
            Namespace::Pid => libc::CLONE_NEWPID as u64,
            Namespace::Time => libc::CLONE_NEWTIME as u64,
            Namespace::User => libc::CLONE_NEWUSER as u64,
            Namespace::Uts => libc::CLONE_NEWUTS as u64,
        }
    }

    /// Its name in config.json.
    pub fn name(self) -> &'static str {
        match self {
            Namespace::Cgroup => "cgroup",
            Namespace::Ipc => "ipc",
            Namespace::Mount => "mount",
            Namespace::Network => "network",
            Namespace::Pid => "pid",
            Namespace::Time => "time",
            Namespace::User => "user",
            Namespace::Uts => "uts",
        }
    }
}

/// Where a namespace of the container comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespaceSource {
    /// The runtime's own: the type isn't listed.
    #[default]
    Host,
    /// A new namespace.
    New,
    /// The namespace at this path.
    Path(PathBuf),
}

/// The source of each type of namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces([NamespaceSource; 8]);

impl Namespaces {
    pub(super) fn of(spec: &oci::Spec) -> Result<Namespaces> {
        let listed =
            spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
        let mut namespaces = Namespaces::default();
        for (index, entry) in listed.iter().enumerate() {
            let namespace = match entry.typ() {
                LinuxNamespaceType::Cgroup => Namespace::Cgroup,
                LinuxNamespaceType::Ipc => Namespace::Ipc,
                LinuxNamespaceType::Mount => Namespace::Mount,
                LinuxNamespaceType::Network => Namespace::Network,
                LinuxNamespaceType::Pid => Namespace::Pid,
                LinuxNamespaceType::Time => Namespace::Time,
                LinuxNamespaceType::User => Namespace::User,
                LinuxNamespaceType::Uts => Namespace::Uts,
            };
            let source = match entry.path() {
                Some(path) if !path.as_os_str().is_empty() => NamespaceSource::Path(absolute(path, index)?),
                _ => NamespaceSource::New,
            };
            let slot = &mut namespaces.0[namespace as usize];
            if *slot != NamespaceSource::Host {
                return Err(Error::invalid(format!(
                    "linux.namespaces[{index}]: the {} namespace is listed twice",
                    namespace.name()
                )));
            }
            *slot = source;
        }
        Ok(namespaces)
    }

    /// Where the namespace of this type comes from.
    pub fn source(&self, namespace: Namespace) -> &NamespaceSource {
        &self.0[namespace as usize]
    }

    /// Whether the container gets a new namespace of this type.
    pub fn is_new(&self, namespace: Namespace) -> bool {
        *self.source(namespace) == NamespaceSource::New
    }

    /// Whether the container doesn't share the runtime's own namespace of this type.
    pub fn is_private(&self, namespace: Namespace) -> bool {
        *self.source(namespace) != NamespaceSource::Host
    }

    /// The namespaces that are joined by path.
    pub fn joined(&self) -> impl Iterator<Item = (Namespace, &Path)> {
        Namespace::ALL.into_iter().filter_map(|namespace| match self.source(namespace) {
            NamespaceSource::Path(path) => Some((namespace, path.as_path())),
            _ => None,
        })
    }

    /// The `CLONE_NEW*` bits of the new namespaces.
    pub fn new_flags(&self) -> u64 {
        Namespace::ALL.into_iter().filter(|ns| self.is_new(*ns)).map(Namespace::flag).sum()
    }

    /// The `CLONE_NEW*` bits of all namespaces that aren't the runtime's own.
    pub fn private_flags(&self) -> u64 {
        Namespace::ALL.into_iter().filter(|ns| self.is_private(*ns)).map(Namespace::flag).sum()
    }
}

fn absolute(path: &Path, index: usize) -> Result<PathBuf> {
    if path.is_absolute() {
        return Ok(path.to_path_buf());
    }
    Err(Error::invalid(format!("linux.namespaces[{index}].path: {path:?} is not absolute")))
}
