//! A procfs of a pid namespace that the process which mounts it is outside of.
//!
//! Linux 6.17 is told the namespace by a descriptor. Before, a procfs shows the pid namespace of the process that
//! makes it. So a helper is forked into the namespace for this one mount, where the namespace's processes can see the
//! helper. The helper must not be worth looking at or seizing. It has an empty root, and no descriptor but the
//! program's streams and the way to hand the mount over. Of all capabilities it has CAP_SYS_ADMIN alone, which a new
//! filesystem takes. Its filter lets it make a filesystem, and set nothing of it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;

use super::build;
use crate::error::{Context, Errno, Error, Result};
use crate::plan::{FilesystemMount, JoinedProcfs, seccomp};
use crate::sys::clock::Deadline;
use crate::sys::credentials::{self, CapabilitySets};
use crate::sys::mount::{self, MountAttr};
use crate::sys::namespace::{self, Forked, InChild};
use crate::sys::pidfd::PidFd;
use crate::sys::process::{self, SingleThreaded};
use crate::sys::seccomp::FilterFlags;
use crate::sys::{descriptors, file, poll, socket};

/// All that the helper may do, and the one command that makes a filesystem (`FSCONFIG_CMD_CREATE`).
const FILTER: &str = r#"{
    "defaultAction": "SCMP_ACT_KILL_PROCESS",
    "syscalls": [
        {"names": ["fsopen", "fsmount", "sendmsg", "close", "clone3", "waitid", "wait4", "exit_group", "mmap", "munmap",
                   "mremap", "brk", "madvise"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["fsconfig"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 6, "op": "SCMP_CMP_EQ"}]}
    ]
}"#;

/// How long the helper may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the helper may take to end, once it has handed the mount over.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Builds a procfs of the pid namespace.
///
/// Errors: Unsupported for options, where the kernel can't be told the namespace.
pub fn build(
    alone: &SingleThreaded,
    filesystem: &FilesystemMount,
    joined: JoinedProcfs,
    attr: MountAttr,
    namespace: &OwnedFd,
) -> Result<OwnedFd> {
    let FilesystemMount { source, options, .. } = filesystem;
    let context = mount::fsopen("proc")?;
    let context = context.as_fd();
    match mount::fsconfig_set_fd(context, "pidns", namespace.as_fd()) {
        Err(err) if err.is(Errno::EINVAL) => {
            return match options.first() {
                Some(option) => Err(no_options(option)),
                None => build_inside(alone, joined, attr, namespace),
            };
        }
        result => result?,
    }
    mount::fsconfig_set_string(context, "source", source)?;
    build::set_options(context, filesystem)?;
    mount::fsconfig_create(context)?;
    mount::fsmount(context, attr)
}

fn build_inside(
    alone: &SingleThreaded,
    joined: JoinedProcfs,
    attr: MountAttr,
    namespace: &OwnedFd,
) -> Result<OwnedFd> {
    let (ours, helpers) = socket::message_pair()?;
    let helper = match namespace::clone3(alone, libc::CLONE_NEWNS as u64, None, false)? {
        Forked::Child(child) => {
            let done = fork_helper(&child, joined, namespace, &helpers, attr);
            process::exit_now(i32::from(done.is_err()))
        }
        Forked::Parent { pidfd, .. } => PidFd::from(pidfd),
    };
    drop(helpers);
    let handed = match poll::readable_by(&ours, Deadline::after(PATIENCE)) {
        Ok(true) => socket::receive(ours.as_fd(), &mut [0; 1]).map(|(_, mut fds)| fds.pop()),
        silence => silence.map(|_| None),
    };
    // A process of the container may trace the helper, and keep it from its parent.
    let ended = match helper.reap_by(Deadline::after(END_PATIENCE))? {
        None => helper.end()?,
        ended => ended,
    };
    handed?.ok_or_else(|| {
        let how = ended.map_or("nothing".into(), |ended| ended.code().to_string());
        Error::internal(format!("the helper in the pid namespace ended with {how}"))
    })
}

fn no_options(option: &str) -> Error {
    Error::unsupported(format!(
        "{option}: a procfs of a joined pid namespace takes no options before Linux 6.17"
    ))
}

/// Becomes what the helper may be, and forks it.
fn fork_helper(
    child: &InChild,
    joined: JoinedProcfs,
    namespace: &OwnedFd,
    channel: &OwnedFd,
    attr: MountAttr,
) -> Result<()> {
    let profile = serde_json::from_str(FILTER).map_err(|err| Error::internal(err.to_string()))?;
    let filter = seccomp::compile(&profile, seccomp::NATIVE)?;
    let namespace = namespace.try_clone().map_err(|err| Error::io("fcntl(F_DUPFD)", &err))?;
    child.close_all_but([namespace.as_fd(), channel.as_fd()], descriptors::host_procfs)?;
    // In a user namespace no process may make a procfs that sees no other one. There nobody may look at the helper:
    // it is not dumpable, so the kernel asks for a right over the user namespace of its memory, which is the
    // runtime's own. And there the pid namespace is joined already.
    if !joined.in_user_namespace {
        empty_root()?;
        namespace::setns(&child.alone, &namespace, libc::CLONE_NEWPID as u64)?;
    }
    drop(namespace);
    let admin = 1 << credentials::capability_number("CAP_SYS_ADMIN").unwrap_or_default();
    credentials::limit_bounding_set(0)?;
    credentials::set_capabilities(&CapabilitySets {
        effective: admin,
        permitted: admin,
        ..Default::default()
    })?;
    process::set_dumpable(false)?;
    process::set_no_new_privileges()?;
    crate::sys::seccomp::install(&filter.program, FilterFlags::NONE)?;
    match namespace::clone3(&child.alone, 0, None, false)? {
        Forked::Child(_) => {
            let made = hand_over_procfs(channel, attr);
            process::exit_now(i32::from(made.is_err()))
        }
        Forked::Parent { pid, .. } => process::wait(pid).map(drop),
    }
}

fn hand_over_procfs(channel: &OwnedFd, attr: MountAttr) -> Result<()> {
    let context = mount::fsopen("proc")?;
    mount::fsconfig_create(context.as_fd())?;
    let mounted = mount::fsmount(context.as_fd(), attr)?;
    socket::send(channel.as_fd(), b"m", &[mounted.as_fd()])
}

/// Puts an empty directory in the place of all mounts.
fn empty_root() -> Result<()> {
    let context = mount::fsopen("tmpfs")?;
    mount::fsconfig_create(context.as_fd())?;
    let empty = mount::fsmount(context.as_fd(), MountAttr::RDONLY)?;
    let root = file::open_following_links(Path::new("/"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
    mount::set_propagation(root.as_fd(), libc::MS_PRIVATE, true)?;
    mount::attach(empty.as_fd(), root.as_fd())?;
    file::enter_directory(&empty)?;
    mount::pivot_root_here()?;
    mount::detach(Path::new(".")).doing("detach the old root")?;
    file::change_directory(Path::new("/"))
}
