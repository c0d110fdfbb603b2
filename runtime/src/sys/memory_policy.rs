//! The NUMA memory policy of a process: from which nodes its memory comes.

use std::fmt;

use super::check;
use crate::error::Result;

/// The modes of set_mempolicy(2), with their names; `libc` lacks the newest.
pub const MODES: [(u32, &str); 7] = [
    (0, "MPOL_DEFAULT"),
    (1, "MPOL_PREFERRED"),
    (2, "MPOL_BIND"),
    (3, "MPOL_INTERLEAVE"),
    (4, "MPOL_LOCAL"),
    (5, "MPOL_PREFERRED_MANY"),
    (6, "MPOL_WEIGHTED_INTERLEAVE"),
];

/// The flags of set_mempolicy(2), with their names.
pub const FLAGS: [(u32, &str); 3] = [
    (1 << 13, "MPOL_F_NUMA_BALANCING"),
    (1 << 14, "MPOL_F_RELATIVE_NODES"),
    (1 << 15, "MPOL_F_STATIC_NODES"),
];

/// Where the memory of a process comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `MPOL_*`.
    pub mode: u32,
    /// `MPOL_F_*`.
    pub flags: u32,
    /// The nodes, by number.
    pub nodes: Vec<usize>,
}

impl fmt::Display for MemoryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = MODES.iter().filter(|(number, _)| *number == self.mode);
        let flags = FLAGS.iter().filter(|(bit, _)| self.flags & bit != 0);
        let names: Vec<&str> = mode.chain(flags).map(|(_, name)| *name).collect();
        write!(f, "{}, {:?}", names.join("|"), self.nodes)
    }
}

/// `set_mempolicy(mode|flags, nodes)`: for the caller and for what it executes.
///
/// Errors: EINVAL for a mode or a flag that the kernel doesn't know, for flags that don't fit the mode, and where the
/// caller's cpuset allows none of the nodes. Kernel: 2.6; `MPOL_F_NUMA_BALANCING` 5.12, `MPOL_PREFERRED_MANY` 5.15,
/// `MPOL_WEIGHTED_INTERLEAVE` 6.9.
pub fn set_memory_policy(policy: &MemoryPolicy) -> Result<()> {
    let words = policy.nodes.iter().max().map_or(1, |last| last / 64 + 1);
    let mut mask = vec![0_u64; words];
    for node in &policy.nodes {
        mask[node / 64] |= 1 << (node % 64);
    }
    // The kernel reads one bit less than it is told.
    let (mode, bits) = (policy.mode | policy.flags, mask.len() * 64 + 1);
    // SAFETY: the kernel reads `bits - 1` bits of the mask during the call, which are all of it.
    let ret = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask.as_ptr(), bits) };
    check(ret, || format!("set_mempolicy({policy})")).map(drop)
}
