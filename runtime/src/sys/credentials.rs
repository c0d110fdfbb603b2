//! The ids, groups and capabilities of a process.

use caps::{CapSet, Capability, CapsHashSet};

use super::process::SingleThreaded;
use super::{Named, check};
use crate::error::{Errno, Error, Result};

/// To change to any group, and to map any.
pub const CAP_SETGID: u32 = 6;
/// To change to any user, and to map any.
pub const CAP_SETUID: u32 = 7;
/// To mount, and to make and enter namespaces.
pub const CAP_SYS_ADMIN: u32 = 21;
/// To raise hard limits, and to set those of other users' processes.
pub const CAP_SYS_RESOURCE: u32 = 24;

/// `setgroups`. Here and below the raw system call is made, because libc's function would change other threads too.
///
/// Errors: EPERM where the user namespace denies it.
pub fn set_groups(_alone: &SingleThreaded, groups: &[u32]) -> Result<()> {
    // SAFETY: the kernel reads `len` ids from the slice during the call.
    let ret = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    check(ret, || format!("setgroups({groups:?})")).map(drop)
}

/// `setresgid`: real, effective and saved group at once.
pub fn set_gid(_alone: &SingleThreaded, gid: u32) -> Result<()> {
    // SAFETY: takes integers only.
    let ret = unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) };
    check(ret, || format!("setresgid({gid})")).map(drop)
}

/// `setresuid`: real, effective and saved user at once.
pub fn set_uid(_alone: &SingleThreaded, uid: u32) -> Result<()> {
    // SAFETY: takes integers only.
    let ret = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
    check(ret, || format!("setresuid({uid})")).map(drop)
}

/// `geteuid`.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// `getegid`.
pub fn effective_gid() -> u32 {
    nix::unistd::getegid().as_raw()
}

/// `prctl(PR_SET_KEEPCAPS)`: permitted capabilities outlive the change to another user.
pub fn keep_capabilities(keep: bool) -> Result<()> {
    nix::sys::prctl::set_keepcaps(keep).named(|| "prctl(PR_SET_KEEPCAPS)".into())
}

/// The five capability sets of a process, as bit masks by capability number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// What `execve` can ever grant.
    pub bounding: u64,
    /// What the kernel checks.
    pub effective: u64,
    /// What `execve` hands to a program whose file has the same bits.
    pub inheritable: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// What `execve` hands to any program.
    pub ambient: u64,
}

/// The highest capability number of the running kernel.
///
/// Errors: Internal if not even capability 0 is known.
pub fn last_capability() -> Result<u32> {
    let known = |number: u32| {
        // SAFETY: takes integers only; EINVAL is the answer for a number that the kernel doesn't know.
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, number as libc::c_ulong, 0, 0, 0) >= 0 }
    };
    // The newest capability that this program knows is mostly the kernel's last too, which takes two calls to see.
    let newest = CAP_CHECKPOINT_RESTORE;
    let mut last = newest;
    if known(newest) {
        while last < 63 && known(last + 1) {
            last += 1;
        }
    } else {
        while !known(last) {
            last = last.checked_sub(1).ok_or_else(|| Error::internal("the kernel knows no capability"))?;
        }
    }
    Ok(last)
}

const CAP_CHECKPOINT_RESTORE: u32 = 40;

/// Drops from the bounding set all that `keep` lacks (`PR_CAPBSET_DROP`).
///
/// Errors: EPERM without CAP_SETPCAP.
pub fn limit_bounding_set(keep: u64) -> Result<()> {
    for number in 0..=last_capability()? {
        if keep & (1 << number) != 0 {
            continue;
        }
        // SAFETY: takes integers only.
        let ret = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number as libc::c_ulong, 0, 0, 0) };
        check(ret.into(), || format!("prctl(PR_CAPBSET_DROP, {number})"))?;
    }
    Ok(())
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

impl Header {
    /// The calling process, with two words for each set.
    const ITSELF: Header = Header { version: 0x2008_0522, pid: 0 };
}

/// `struct __user_cap_data_struct`: 32 bits of each set.
#[repr(C)]
#[derive(Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets effective, permitted and inheritable in one `capset`.
///
/// Errors: EPERM for a permitted capability that the caller lacks.
pub fn set_capabilities(sets: &CapabilitySets) -> Result<()> {
    let word = |shift: u32| Data {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let (header, data) = (Header::ITSELF, [word(0), word(32)]);
    // SAFETY: the kernel reads the header and, for its version, two data words, all alive until the call returns.
    let ret = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    check(ret, || {
        format!(
            "capset(effective {:#x}, permitted {:#x}, inheritable {:#x})",
            sets.effective, sets.permitted, sets.inheritable
        )
    })
    .map(drop)
}

/// The capabilities that are in effect, by mask (`capget`). None where the kernel doesn't say.
pub fn effective_capabilities() -> u64 {
    let (mut header, mut data) = (Header::ITSELF, [Data::default(), Data::default()]);
    // SAFETY: the kernel reads the header, may write the version that it prefers into it, and writes two data words;
    // all of them are alive until the call returns.
    let ret = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if ret == 0 { u64::from(data[0].effective) | u64::from(data[1].effective) << 32 } else { 0 }
}

/// Replaces the ambient set (`PR_CAP_AMBIENT`).
///
/// Errors: EPERM for a capability that isn't both permitted and inheritable.
pub fn set_ambient(ambient: u64) -> Result<()> {
    caps::clear(None, CapSet::Ambient)
        .map_err(|err| Error::kernel(format!("prctl(PR_CAP_AMBIENT_CLEAR_ALL): {err}"), Errno::last()))?;
    for number in (0..64).filter(|number| ambient & (1 << number) != 0) {
        // SAFETY: takes integers only.
        let ret = unsafe {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number as libc::c_ulong, 0, 0)
        };
        check(ret.into(), || format!("prctl(PR_CAP_AMBIENT_RAISE, {number})"))?;
    }
    Ok(())
}

/// The number of a capability by its name, `CAP_NET_ADMIN`.
pub fn capability_number(name: &str) -> Option<u32> {
    name.parse::<Capability>().ok().map(|capability| u32::from(capability.index()))
}

/// The names of a mask's capabilities, in the order of their numbers.
pub fn capability_names(mask: u64) -> Vec<String> {
    let all: CapsHashSet = caps::all();
    let mut named: Vec<Capability> = all.into_iter().filter(|cap| mask & cap.bitmask() != 0).collect();
    named.sort_by_key(|cap| cap.index());
    named.iter().map(ToString::to_string).collect()
}
