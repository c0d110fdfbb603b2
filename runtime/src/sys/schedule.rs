//! Scheduling policy, I/O priority, CPU affinity, core scheduling and personality.

use super::check;
use crate::error::Result;

/// `struct sched_attr` of sched_setattr(2), first version.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedulerAttributes {
    /// Size of this structure.
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For SCHED_OTHER and SCHED_BATCH: -20 to 19.
    pub nice: i32,
    /// For SCHED_FIFO and SCHED_RR: 1 to 99.
    pub priority: u32,
    /// For SCHED_DEADLINE, in nanoseconds.
    pub runtime_ns: u64,
    /// For SCHED_DEADLINE, in nanoseconds.
    pub deadline_ns: u64,
    /// For SCHED_DEADLINE, in nanoseconds.
    pub period_ns: u64,
}

/// `sched_setattr(0, attributes)`.
///
/// Errors: EPERM without CAP_SYS_NICE; EINVAL for a combination that the kernel doesn't take. Kernel: 3.14.
pub fn set_scheduler(attributes: &SchedulerAttributes) -> Result<()> {
    let sized = SchedulerAttributes { size: size_of::<SchedulerAttributes>() as u32, ..*attributes };
    // SAFETY: the kernel reads `size` bytes of the structure during the call.
    let ret = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const sized, 0) };
    check(ret, || format!("sched_setattr(policy {}, flags {:#x})", attributes.policy, attributes.flags))
        .map(drop)
}

/// `ioprio_set(WHO_PROCESS, 0)`: class 1 (real-time), 2 (best-effort) or 3 (idle), priority 0 (highest) to 7.
pub fn set_io_priority(class: u32, priority: u32) -> Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    const IOPRIO_CLASS_SHIFT: u32 = 13;
    let value = class << IOPRIO_CLASS_SHIFT | priority;
    // SAFETY: takes integers only.
    let ret = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) };
    check(ret, || format!("ioprio_set(class {class}, priority {priority})")).map(drop)
}

/// `personality(domain)`.
pub fn set_personality(domain: u64) -> Result<()> {
    // SAFETY: takes an integer only.
    let ret = unsafe { libc::personality(domain as libc::c_ulong) };
    check(ret.into(), || format!("personality({domain:#x})")).map(drop)
}

/// `prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PIDTYPE_PGID)`: from here on, the processes of the caller's process
/// group share a core with each other only. Their children inherit that.
///
/// Errors: EINVAL where the kernel is built without core scheduling; ENODEV where a core has one thread. Kernel: 5.14.
/// Source: PR_SCHED_CORE(2const).
pub fn create_core_of_process_group() -> Result<()> {
    const PIDTYPE_PGID: libc::c_ulong = 2;
    const CALLER: libc::c_ulong = 0;
    // SAFETY: takes integers only.
    let ret = unsafe {
        libc::prctl(libc::PR_SCHED_CORE, libc::PR_SCHED_CORE_CREATE, CALLER, PIDTYPE_PGID, 0 as libc::c_ulong)
    };
    check(ret.into(), || "prctl(PR_SCHED_CORE_CREATE, PIDTYPE_PGID)".into()).map(drop)
}

/// `sched_setaffinity(0)`: the CPUs that the caller may use.
pub fn set_affinity(cpus: &[usize]) -> Result<()> {
    let words = cpus.iter().max().map_or(1, |last| last / 64 + 1);
    let mut mask = vec![0_u64; words];
    for cpu in cpus {
        mask[cpu / 64] |= 1 << (cpu % 64);
    }
    // SAFETY: the kernel reads `len` bytes of the mask during the call.
    let ret = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, mask.len() * 8, mask.as_ptr()) };
    check(ret, || format!("sched_setaffinity({cpus:?})")).map(drop)
}

/// Lets the caller use every CPU that its cpuset allows.
pub fn set_affinity_to_all() -> Result<()> {
    const CPUS_MAX: usize = 1024;
    let mask = [u64::MAX; CPUS_MAX / 64];
    // SAFETY: the kernel reads `size_of_val(&mask)` bytes of the mask during the call.
    let ret = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&mask), mask.as_ptr()) };
    check(ret, || "sched_setaffinity(all)".into()).map(drop)
}
