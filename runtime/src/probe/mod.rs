//! What the host is: facts, read once. They decide what a plan says, and nothing else reads them.

pub mod cgroup;

use std::path::Path;

use crate::error::Result;
use crate::plan::cgroup::host::CgroupHost;
use crate::plan::{Host, Machine};
use crate::spec::oci::Arch;

/// Reads what a plan for a new container depends on.
pub fn host() -> Result<Host> {
    Ok(Host { cgroup: CgroupHost::read()?, machine: machine() })
}

/// Reads what a plan for any process depends on.
pub fn machine() -> Machine {
    Machine {
        apparmor: std::fs::read("/sys/module/apparmor/parameters/enabled")
            .is_ok_and(|text| text.starts_with(b"Y")),
        selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        native: if cfg!(target_arch = "aarch64") { Arch::ScmpArchAarch64 } else { Arch::ScmpArchX86_64 },
    }
}
