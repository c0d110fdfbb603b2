//! bpf(2), as far as cgroup device programs need it.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::{Errno, Error, Result};

/// One eBPF instruction, as the kernel reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// Class, operation and source of the operand.
    pub code: u8,
    /// The two registers: destination and source, a nibble each.
    pub regs: u8,
    /// Offset of a load or of a jump.
    pub off: i16,
    /// The operand, where it isn't a register.
    pub imm: i32,
}

/// `BPF_PROG_LOAD` of a program of type `CGROUP_DEVICE`.
///
/// Errors: EPERM without CAP_BPF, or where RLIMIT_MEMLOCK is too low (kernels before 5.11); EINVAL and
/// EACCES from the verifier. Source: bpf(2).
pub fn load_device_program(program: &[Insn]) -> Result<OwnedFd> {
    match load(program) {
        Err(err) if err.is(Errno::EPERM) => with_unlimited_memlock(|| load(program)).unwrap_or(Err(err)),
        loaded => loaded,
    }
}

/// `BPF_PROG_ATTACH`: adds `program` to the programs of `cgroup`. All of them have to allow an access.
///
/// Errors: EPERM where a parent's program admits no further programs; E2BIG from the 65th program on.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    attach(cgroup, program, BPF_F_ALLOW_MULTI, 0)
}

/// As [`attach_device_program`], but `program` replaces `old` in one step.
///
/// Errors: ENOENT if `old` isn't attached to `cgroup`. Kernel: 5.6.
pub fn replace_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    old: BorrowedFd<'_>,
) -> Result<()> {
    attach(cgroup, program, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, old.as_raw_fd() as u32)
}

/// `BPF_PROG_DETACH`: takes `program` off `cgroup`.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        ..AttachAttr::default()
    };
    // SAFETY: the kernel reads `attr`, which holds numbers only, writes nothing and keeps nothing of it.
    unsafe { bpf(BPF_PROG_DETACH, &mut attr, "bpf(BPF_PROG_DETACH, BPF_CGROUP_DEVICE)") }.map(drop)
}

/// `BPF_PROG_QUERY`: the ids of the device programs attached to `cgroup` itself.
pub fn device_program_ids(cgroup: BorrowedFd<'_>) -> Result<Vec<u32>> {
    // The kernel attaches at most this many programs to one cgroup.
    let mut ids = [0u32; 64];
    let mut attr = QueryAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: ids.len() as u32,
        ..QueryAttr::default()
    };
    // SAFETY: the kernel writes at most `prog_cnt` numbers through `prog_ids`, into `ids`, which lives
    // until the call returns, and the results into `attr`; it keeps neither.
    unsafe { bpf(BPF_PROG_QUERY, &mut attr, "bpf(BPF_PROG_QUERY, BPF_CGROUP_DEVICE)") }?;
    Ok(ids[..attr.prog_cnt as usize].to_vec())
}

/// `BPF_PROG_GET_FD_BY_ID`: opens a loaded program.
///
/// Errors: ENOENT once the program is gone; EPERM and EACCES where an LSM keeps it from us.
pub fn program_by_id(id: u32) -> Result<OwnedFd> {
    let mut attr = IdAttr { id };
    // SAFETY: the kernel reads the one number in `attr`, writes nothing and keeps nothing of it.
    let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attr, "bpf(BPF_PROG_GET_FD_BY_ID)") }?;
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn load(program: &[Insn]) -> Result<OwnedFd> {
    let mut attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
    };
    // A signal can interrupt the verifier, which then answers EAGAIN.
    for _ in 0..LOAD_TRIES {
        // SAFETY: the kernel reads `insn_cnt` instructions through `insns` and a string through `license`;
        // both live until the call returns, and it copies them.
        match unsafe { bpf(BPF_PROG_LOAD, &mut attr, "bpf(BPF_PROG_LOAD, BPF_PROG_TYPE_CGROUP_DEVICE)") } {
            Err(err) if err.is(Errno::EAGAIN) => continue,
            // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
            loaded => return loaded.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
        }
    }
    Err(Error::kernel("bpf(BPF_PROG_LOAD)", Errno::EAGAIN))
}

fn attach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, flags: u32, replaced: u32) -> Result<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: flags,
        replace_bpf_fd: replaced,
    };
    // SAFETY: the kernel reads `attr`, which holds numbers only, and writes nothing. The cgroup keeps the
    // program, not our descriptors.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attr, "bpf(BPF_PROG_ATTACH, BPF_CGROUP_DEVICE)") }.map(drop)
}

/// Runs `attempt` with RLIMIT_MEMLOCK lifted, and sets the old limit again, because the container must not inherit the
/// lifted one. `None` where the limit can't be lifted.
fn with_unlimited_memlock<T>(attempt: impl FnOnce() -> T) -> Option<T> {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
    setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).ok()?;
    let result = attempt();
    setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard).ok()?;
    Some(result)
}

/// `bpf(command, attr, sizeof attr)`; `call` is its name in an error.
///
/// # Safety
/// `T` is the prefix of `union bpf_attr` that belongs to `command`, and each address in it is valid for what
/// the command reads and writes there.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T, call: &str) -> Result<i32> {
    // SAFETY: the kernel reads and writes `size_of::<T>()` bytes of `attr`, which is borrowed for the call;
    // the caller vouches for the rest.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attr as *mut T, size_of::<T>()) };
    if answer < 0 { Err(Error::kernel(call, Errno::last())) } else { Ok(answer as i32) }
}

#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// Linux 6.17 to 7.1 write `revision` whatever size of the structure they are told, so the field has to be there.
#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

#[repr(C)]
struct IdAttr {
    id: u32,
}

const LOAD_TRIES: usize = 30;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_PROG_QUERY: libc::c_int = 16;

const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;
