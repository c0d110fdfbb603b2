//! The ways in which a runtime can find cgroups mounted, on one machine.

use std::fs;

use crate::manager::Manager;

/// A view of `/sys/fs/cgroup`, given to one command in a mount namespace of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// As the machine has it.
    #[default]
    Plain,
    /// The v1 hierarchies of a hybrid machine, without its cgroup2 mount.
    V1,
    /// One cgroup2 mount, with the controllers that no v1 hierarchy took.
    V2,
}

impl View {
    /// The name in options and in reports.
    pub fn name(self) -> &'static str {
        match self {
            View::Plain => "plain",
            View::V1 => "v1",
            View::V2 => "v2",
        }
    }

    /// The shell lines that make the view in a private mount namespace; none for the machine's own.
    pub fn prologue(self) -> Option<&'static str> {
        match self {
            View::Plain => None,
            View::V1 if !is_hybrid() => None,
            View::V1 => Some("umount /sys/fs/cgroup/unified"),
            View::V2 if is_unified() => None,
            View::V2 => Some("umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"),
        }
    }

    /// The views that this machine can give, its own first where they are the same.
    pub fn all() -> &'static [View] {
        if Manager::of_environment() == Manager::Systemd {
            // systemd keeps to the mounts that it has found.
            return &[View::Plain];
        }
        if is_unified() { &[View::V2] } else { &[View::V1, View::V2] }
    }
}

/// Tells whether the machine has cgroup2 alone.
pub fn is_unified() -> bool {
    fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false)
}

fn is_hybrid() -> bool {
    fs::exists("/sys/fs/cgroup/unified/cgroup.controllers").unwrap_or(false)
}
