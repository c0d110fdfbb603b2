//! Who calls the runtime, and what the kernel lets the caller do. A capability counts in the caller's own user
//! namespace alone: root of a user namespace may mount there, and still make no device.

use crate::error::{Error, Result};
use crate::spec::{Namespace, Spec};
use crate::sys::credentials::{CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_RESOURCE};

/// Who calls the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The effective user id, as the caller's user namespace has it.
    pub uid: u32,
    /// The effective group id, likewise.
    pub gid: u32,
    /// The caller's user namespace maps ids, or has only some of the host's.
    pub in_user_namespace: bool,
    /// The caller's mount namespace belongs to the caller's user namespace, and not to a user namespace above it.
    pub owns_mounts: bool,
    /// The caller's user namespace denies setgroups(2), to those below it too.
    pub groups_denied: bool,
    /// The capabilities in effect, by mask.
    pub capabilities: u64,
}

impl Caller {
    /// Root of the host, with every right.
    pub const ROOT: Caller = Caller {
        uid: 0,
        gid: 0,
        in_user_namespace: false,
        owns_mounts: true,
        groups_denied: false,
        capabilities: u64::MAX,
    };

    /// Whether the caller isn't root of the host.
    pub fn is_rootless(self) -> bool {
        self.uid != 0 || self.in_user_namespace
    }

    /// Whether the caller may mount, and make and enter namespaces. An ordinary user may make a user namespace alone,
    /// and all else in it.
    pub fn administers(self) -> bool {
        self.has(CAP_SYS_ADMIN)
    }

    /// Whether the caller may enter another mount namespace, and come back.
    pub fn enters_mounts(self) -> bool {
        self.administers() && self.owns_mounts
    }

    /// Whether the caller may make device nodes.
    pub fn makes_devices(self) -> bool {
        !self.in_user_namespace
    }

    /// Whether the caller may set the rlimits of another user's process.
    pub fn limits_others(self) -> bool {
        self.has(CAP_SYS_RESOURCE)
    }

    /// Whether the caller may map any user ids of its user namespace.
    pub fn maps_users(self) -> bool {
        self.has(CAP_SETUID)
    }

    /// Whether the caller may map any group ids of its user namespace.
    pub fn maps_groups(self) -> bool {
        self.has(CAP_SETGID)
    }

    /// Whether the files of the caller's children in /proc are the caller's own. They are those of the root of the
    /// user namespace in which the runtime was executed, as long as a child is not dumpable.
    pub fn owns_procfs_of_children(self) -> bool {
        self.uid == 0
    }

    fn has(self, capability: u32) -> bool {
        self.capabilities & 1 << capability != 0
    }
}

/// Refuses what takes a right over the host that an ordinary user lacks, and no step could go without.
pub(super) fn check(spec: &Spec, caller: Caller) -> Result<()> {
    let namespaces = spec.namespaces();
    let needs_root = |what: &str| Err(Error::unsupported(format!("{what} needs root of the host")));
    // The runtime's own belongs to the host, and in a user namespace there is no way back into it.
    if namespaces.is_new(Namespace::Time) && (caller.in_user_namespace || !caller.administers()) {
        return needs_root("linux.namespaces[time]: a time namespace");
    }
    if caller.administers() {
        return Ok(());
    }
    if !namespaces.is_private(Namespace::User) {
        let text = "linux.namespaces: rootless container requires user namespaces";
        return Err(Error::invalid(text).with_hint("`corten spec --rootless` writes a config that has one"));
    }
    let joins_pid = namespaces.is_private(Namespace::Pid) && !namespaces.is_new(Namespace::Pid);
    if joins_pid && namespaces.is_new(Namespace::User) {
        return needs_root("linux.namespaces[pid]: to join it from a new user namespace");
    }
    let net_devices = spec.linux().and_then(|linux| linux.net_devices().as_ref());
    if net_devices.is_some_and(|devices| !devices.is_empty()) {
        return needs_root("linux.netDevices: to move network devices");
    }
    Ok(())
}
