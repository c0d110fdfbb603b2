//! Namespaces: making a child in new ones, leaving old ones, joining those of a process.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::sched::CloneFlags;

use super::file::{change_root_here, enter_directory, open_following_links, stat_of};
use super::process::SingleThreaded;
use super::{Named, check};
use crate::error::{Context, Errno, Result};

/// The `CLONE_NEW*` bits, each with its name in `/proc/PID/ns`.
pub const NAMES: [(u64, &str); 8] = [
    (libc::CLONE_NEWCGROUP as u64, "cgroup"),
    (libc::CLONE_NEWIPC as u64, "ipc"),
    (libc::CLONE_NEWNET as u64, "net"),
    (libc::CLONE_NEWNS as u64, "mnt"),
    (libc::CLONE_NEWPID as u64, "pid"),
    (libc::CLONE_NEWTIME as u64, "time"),
    (libc::CLONE_NEWUSER as u64, "user"),
    (libc::CLONE_NEWUTS as u64, "uts"),
];

/// Proof that this process is a forked child: it has one thread, and a copy of its parent's memory that no other
/// process sees.
#[derive(Debug)]
pub struct InChild {
    /// The child has one thread.
    pub alone: SingleThreaded,
}

impl InChild {
    /// Closes every descriptor from 3 on but `kept`.
    ///
    /// Descriptors are closed that values in the child's copy of memory still own. So the child has to end in an
    /// `execve` or an exit, and must not return into the parent's code.
    pub fn close_all_but<'fd>(
        &self,
        kept: impl IntoIterator<Item = BorrowedFd<'fd>>,
        procfs: impl FnOnce() -> Result<OwnedFd>,
    ) -> Result<()> {
        super::descriptors::close_all_but(kept, procfs)
    }
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a [`clone3`] this is.
pub enum Forked {
    /// The new process.
    Child(InChild),
    /// The caller, with the child's pid and a descriptor of it.
    Parent {
        /// The child's pid in the caller's pid namespace.
        pid: i32,
        /// The child's pidfd.
        pidfd: OwnedFd,
    },
}

/// `clone3(flags)`: forks a child into the namespaces of `flags` and into `cgroup`, and returns its pidfd.
///
/// The child has its own copy of this memory (never `CLONE_VM`) and sends SIGCHLD to its parent. With `sibling`, the
/// new process is a child of the caller's own parent.
///
/// Errors: EPERM without CAP_SYS_ADMIN unless NEWUSER is set; ENOSPC at the nesting limit; EAGAIN at the pids
/// limit; EBUSY, EOPNOTSUPP or EACCES where the cgroup takes no process.
/// Kernel: 5.3; `cgroup` 5.7. Source: clone(2).
pub fn clone3(
    _alone: &SingleThreaded,
    flags: u64,
    cgroup: Option<BorrowedFd>,
    sibling: bool,
) -> Result<Forked> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: flags | libc::CLONE_PIDFD as u64 | if sibling { libc::CLONE_PARENT as u64 } else { 0 },
        pidfd: (&raw mut pidfd) as u64,
        // The kernel refuses an exit signal together with CLONE_PARENT: the child has the caller's.
        exit_signal: if sibling { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` lives on this stack until the call returns; the kernel copies it and writes only through
    // `args.pidfd`. Without CLONE_VM the child has its own copy of this memory. The caller has one
    // thread, so no lock of that copy is held by a thread that the child lacks.
    let ret = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match check(ret, || format!("clone3({})", flag_names(flags)))? {
        0 => Ok(Forked::Child(InChild { alone: SingleThreaded::of_child() })),
        pid => Ok(Forked::Parent {
            pid: pid as i32,
            // SAFETY: the call succeeded, so the kernel has stored a fresh descriptor here.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// Forks a child of the caller's own parent: by [`clone3`] or, where a seccomp filter knows no clone3, by clone(2).
///
/// Errors: those of `clone3`.
pub fn fork_sibling(alone: &SingleThreaded) -> Result<Forked> {
    match clone3(alone, 0, None, true) {
        Err(err) if err.is(Errno::ENOSYS) || err.is(Errno::EPERM) => clone_sibling().map_err(|_| err),
        result => result,
    }
}

fn clone_sibling() -> Result<Forked> {
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_PARENT | libc::CLONE_PIDFD;
    // SAFETY: as in `clone3`. Of the arguments, the third is where the kernel stores the pidfd, on every architecture;
    // the others are zero: no stack of its own, no thread's.
    let ret = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    match check(ret, || "clone(PARENT)".into())? {
        0 => Ok(Forked::Child(InChild { alone: SingleThreaded::of_child() })),
        pid => Ok(Forked::Parent {
            pid: pid as i32,
            // SAFETY: the call succeeded, so the kernel has stored a fresh descriptor here.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// `struct clone_args` up to the cgroup field.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `unshare(flags)`: moves the caller into new namespaces. New pid and time namespaces only its future children enter.
pub fn unshare(_alone: &SingleThreaded, flags: u64) -> Result<()> {
    nix::sched::unshare(CloneFlags::from_bits_retain(flags as i32))
        .named(|| format!("unshare({})", flag_names(flags)))
}

/// `setns(fd, flags)`: joins the namespace that `fd` is open on. If `fd` is a pidfd, joins namespaces of its process.
///
/// `flags` of 0 takes a namespace of any type. Kernel: 5.8 for a pidfd. Source: setns(2).
pub fn setns(_alone: &SingleThreaded, fd: impl AsFd, flags: u64) -> Result<()> {
    nix::sched::setns(fd, CloneFlags::from_bits_retain(flags as i32))
        .named(|| format!("setns({})", flag_names(flags)))
}

/// Does something in another mount namespace, and returns to this one, to its root and its working directory.
///
/// Errors: those of `work`; EPERM without CAP_SYS_CHROOT. Where the way back fails, its failure is the error.
pub fn in_mounts_of<T>(
    alone: &SingleThreaded,
    namespace: impl AsFd,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    use nix::fcntl::OFlag;
    let place = |path: &str| open_following_links(Path::new(path), OFlag::O_PATH | OFlag::O_DIRECTORY);
    let own = open_following_links(Path::new("/proc/self/ns/mnt"), OFlag::O_RDONLY)?;
    let (root, current) = (place("/")?, place(".")?);
    setns(alone, namespace, libc::CLONE_NEWNS as u64)?;
    let result = work();
    setns(alone, &own, libc::CLONE_NEWNS as u64).doing("return to the runtime's own mount namespace")?;
    enter_directory(&root)?;
    change_root_here()?;
    enter_directory(&current)?;
    result
}

/// Does something in another network namespace, and returns to this one.
///
/// Errors: those of `work`. Where the way back fails, that is the error.
pub fn in_network_of<T>(
    alone: &SingleThreaded,
    namespace: impl AsFd,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let own = open_following_links(Path::new("/proc/self/ns/net"), nix::fcntl::OFlag::O_RDONLY)?;
    setns(alone, namespace, libc::CLONE_NEWNET as u64)?;
    let result = work();
    setns(alone, &own, libc::CLONE_NEWNET as u64).doing("return to the runtime's own network namespace")?;
    result
}

/// `sethostname`.
pub fn set_hostname(name: &str) -> Result<()> {
    nix::unistd::sethostname(name).named(|| format!("sethostname({name:?})"))
}

/// `setdomainname`.
pub fn set_domainname(name: &str) -> Result<()> {
    // SAFETY: the kernel reads `len` bytes of the text during the call.
    let ret = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    check(ret.into(), || format!("setdomainname({name:?})")).map(drop)
}

/// The `CLONE_NEW*` type of the namespace that `fd` is open on (`NS_GET_NSTYPE`).
///
/// Errors: ENOTTY where it is no namespace. Kernel: 4.11.
pub fn namespace_type(fd: impl AsFd) -> Result<u64> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: this ioctl takes no argument.
    let ret = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), NS_GET_NSTYPE as _) };
    check(ret.into(), || "ioctl(NS_GET_NSTYPE)".into()).map(|flags| flags as u64)
}

/// Whether the caller's mount namespace belongs to the caller's user namespace (`NS_GET_USERNS`). No, where the kernel
/// doesn't say.
///
/// Kernel: 4.9.
pub fn owns_mounts() -> bool {
    const NS_GET_USERNS: libc::c_ulong = 0xb701;
    let open = |path| open_following_links(Path::new(path), nix::fcntl::OFlag::O_RDONLY);
    let (Ok(mounts), Ok(users)) = (open("/proc/self/ns/mnt"), open("/proc/self/ns/user")) else {
        return false;
    };
    // SAFETY: this ioctl takes no argument.
    let owner = unsafe { libc::ioctl(mounts.as_raw_fd(), NS_GET_USERNS as _) };
    if owner < 0 {
        return false;
    }
    // SAFETY: the call succeeded, so this is a fresh descriptor.
    let owner = unsafe { OwnedFd::from_raw_fd(owner) };
    let identity = |fd: &OwnedFd| stat_of(fd).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    identity(&owner).is_some() && identity(&owner) == identity(&users)
}

/// `NEWNS|NEWPID`, for errors and plans.
pub fn flag_names(flags: u64) -> String {
    let names: Vec<String> = NAMES
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| format!("NEW{}", if *name == "mnt" { "NS".into() } else { name.to_uppercase() }))
        .collect();
    if names.is_empty() { "0".into() } else { names.join("|") }
}
