//! seccomp(2): filters of classic BPF over `struct seccomp_data`.

use std::fmt;
use std::ops::BitOr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::error::{Errno, Error, Result};

/// The most instructions that the kernel takes in one filter (`BPF_MAXINSNS`).
pub const INSTRUCTIONS_MAX: usize = 4096;

/// One instruction of classic BPF, laid out as `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u16, u8, u8, u32)", into = "(u16, u8, u8, u32)")]
pub struct Instruction {
    /// Class, size, mode and operation.
    pub code: u16,
    /// How many instructions to skip if the comparison holds.
    pub jt: u8,
    /// How many instructions to skip if it does not.
    pub jf: u8,
    /// The operand: an offset, a constant, a jump's distance or the value to return.
    pub k: u32,
}

impl From<(u16, u8, u8, u32)> for Instruction {
    fn from((code, jt, jf, k): (u16, u8, u8, u32)) -> Self {
        Instruction { code, jt, jf, k }
    }
}

impl From<Instruction> for (u16, u8, u8, u32) {
    fn from(Instruction { code, jt, jf, k }: Instruction) -> Self {
        (code, jt, jf, k)
    }
}

/// The flags of `SECCOMP_SET_MODE_FILTER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterFlags(u32);

impl FilterFlags {
    /// No flag.
    pub const NONE: FilterFlags = FilterFlags(0);
    /// Log every action but ALLOW that the administrator lets be logged. Kernel: 4.14.
    pub const LOG: FilterFlags = FilterFlags(1 << 1);
    /// Leave the mitigation of Speculative Store Bypass off. Kernel: 4.17.
    pub const SPEC_ALLOW: FilterFlags = FilterFlags(1 << 2);
    /// Return a file descriptor that gives notice of each USER_NOTIF action. Kernel: 5.0.
    pub const NEW_LISTENER: FilterFlags = FilterFlags(1 << 3);
    /// Only a fatal signal interrupts a call whose notice the listener has read; needs NEW_LISTENER. Kernel: 5.19.
    pub const WAIT_KILLABLE_RECV: FilterFlags = FilterFlags(1 << 5);

    const NAMES: [(FilterFlags, &'static str); 4] = [
        (FilterFlags::LOG, "LOG"),
        (FilterFlags::SPEC_ALLOW, "SPEC_ALLOW"),
        (FilterFlags::NEW_LISTENER, "NEW_LISTENER"),
        (FilterFlags::WAIT_KILLABLE_RECV, "WAIT_KILLABLE_RECV"),
    ];

    /// The flags as the kernel takes them.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is set.
    pub fn contains(self, other: FilterFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for FilterFlags {
    type Output = FilterFlags;

    fn bitor(self, other: FilterFlags) -> FilterFlags {
        FilterFlags(self.0 | other.0)
    }
}

impl fmt::Display for FilterFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| *name);
        match set.collect::<Vec<_>>() {
            names if names.is_empty() => f.write_str("0"),
            names => f.write_str(&names.join("|")),
        }
    }
}

/// `seccomp(SECCOMP_SET_MODE_FILTER, flags, program)`: filters all later system calls of this thread, of its children,
/// and of the programs that they execute. Returns the listener if `flags` ask for one.
///
/// Errors: EACCES without no_new_privs or CAP_SYS_ADMIN in the user namespace. EINVAL for a program that the verifier
/// refuses, or a flag that the kernel does not know. EBUSY if a filter in force has a listener already. ENOMEM if the
/// filters in force exceed 32768 instructions together.
/// Kernel: 3.17. Source: seccomp(2).
pub fn install(program: &[Instruction], flags: FilterFlags) -> Result<Option<OwnedFd>> {
    let call = || format!("seccomp(SECCOMP_SET_MODE_FILTER, {flags}, {{len={}}})", program.len());
    let len = u16::try_from(program.len()).map_err(|_| Error::kernel(call(), Errno::EINVAL))?;
    // The cast is sound for the layout (`Instruction` is `struct sock_filter`) and the kernel only reads.
    let program = libc::sock_fprog { len, filter: program.as_ptr() as *mut libc::sock_filter };
    let fd = set_mode_filter(flags.bits(), &program).map_err(|errno| Error::kernel(call(), errno))?;
    // SAFETY: with NEW_LISTENER the call returned a descriptor that is open and that nothing else owns.
    Ok(flags.contains(FilterFlags::NEW_LISTENER).then(|| unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Whether the kernel knows all of `flags`.
///
/// Asks by a filter at a null address. If the kernel knows the flags, it tries to read the filter and says EFAULT.
pub fn flags_supported(flags: FilterFlags) -> bool {
    // The kernel takes WAIT_KILLABLE_RECV only together with NEW_LISTENER.
    let with =
        if flags.contains(FilterFlags::WAIT_KILLABLE_RECV) { FilterFlags::NEW_LISTENER } else { flags };
    set_mode_filter((flags | with).bits(), std::ptr::null()) == Err(Errno::EFAULT)
}

/// `seccomp(SECCOMP_GET_ACTION_AVAIL)`: whether the kernel knows the action of `verdict`, a filter's return value.
///
/// Kernel: 4.14; an older kernel says that it knows none. Source: seccomp(2).
pub fn action_supported(verdict: u32) -> bool {
    let action = verdict & libc::SECCOMP_RET_ACTION_FULL;
    // SAFETY: the kernel reads the four bytes at `action`, which live until the call returns, and keeps nothing.
    let ret =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    ret == 0
}

/// Whether `fd` is the listener of a filter, by the name that the kernel gives it. No file can be called so: the name
/// of a file begins with a slash.
pub fn is_listener(fd: impl AsFd) -> Result<bool> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let name = std::fs::read_link(&path).map_err(|err| Error::io(format!("readlink({path})"), &err))?;
    Ok(name.as_os_str() == "anon_inode:seccomp notify")
}

fn set_mode_filter(flags: u32, program: *const libc::sock_fprog) -> Result<i32, Errno> {
    // SAFETY: `program` is null, which the kernel answers with EFAULT, or points to a `sock_fprog` whose `filter`
    // is an array of `len` instructions; both live until the call returns. The kernel copies them before it
    // verifies them, writes nothing to this process and keeps no pointer.
    let ret = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, program) };
    Errno::result(ret).map(|fd| fd as i32)
}
