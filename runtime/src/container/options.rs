//! What a caller of `create` or `exec` may want beside the bundle or the process.

use std::path::{Path, PathBuf};

use super::{CgroupManager, Rootless};
use crate::apply::Tracer;
use crate::error::{Context, Error, Result};
use crate::sys::file;

/// What is wanted of a new container beside its bundle. The default wants nothing: no terminal, no descriptors.
#[derive(Default)]
pub struct CreateOptions {
    /// Where its terminal goes.
    pub console: Console,
    /// The file that the pid of init is written to, whole or not at all.
    pub pid_file: Option<PathBuf>,
    /// The listening socket that gets the pidfd of init.
    pub pidfd_socket: Option<PathBuf>,
    /// Who makes its cgroup.
    pub cgroup_manager: CgroupManager,
    /// Whether it may do without a cgroup that the caller may not make.
    pub rootless: Rootless,
    /// Enters the rootfs by chroot instead of pivot_root, for hosts that run from a ramdisk. The old root stays in the
    /// container's mount namespace.
    pub no_pivot: bool,
    /// Keeps the caller's session keyring.
    pub no_new_keyring: bool,
    /// Starts the container as soon as it is created: see [`NewContainer::wait_until_running`].
    ///
    /// [`NewContainer::wait_until_running`]: super::NewContainer::wait_until_running
    pub start_at_once: bool,
    /// How many of the caller's descriptors, from number 3 on, the container gets.
    pub preserve_fds: u32,
    /// How many further descriptors it gets as the sockets of socket activation (LISTEN_FDS).
    pub listen_fds: u32,
    /// Set if a service manager wants to hear when the container is ready: [`Runtime::notify_directory`].
    ///
    /// [`Runtime::notify_directory`]: super::Runtime::notify_directory
    pub notify_directory: Option<PathBuf>,
    /// Times the steps.
    pub tracer: Tracer,
}

/// What is wanted of `exec` beside the process. The default wants nothing: no terminal, no descriptors.
#[derive(Default)]
pub struct ExecOptions {
    /// Where the process's terminal goes.
    pub console: Console,
    /// The file that the pid of the process is written to, whole or not at all.
    pub pid_file: Option<PathBuf>,
    /// The listening socket that gets the pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// How many of the caller's descriptors, from number 3 on, the process gets.
    pub preserve_fds: u32,
    /// Cgroups below the container's, for the process to join instead of the container's own. Each goes with a
    /// controller of cgroup v1, or with an empty text for all hierarchies that no other entry names.
    pub cgroups: Vec<(String, PathBuf)>,
    /// Times the steps.
    pub tracer: Tracer,
}

/// Where the terminal goes of a process that has one (`process.terminal`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Console {
    /// To nobody: a process with a terminal is refused.
    #[default]
    Nobody,
    /// To the listener at this socket, as a message with the descriptor of the terminal's master. A process without
    /// a terminal is refused.
    Socket(PathBuf),
    /// To the calling process, which copies it to a terminal of its own.
    Relayed,
}

impl Console {
    /// Makes sure that somebody takes a terminal, and that a console socket gets a terminal. Nothing is connected yet:
    /// `send-console` does that.
    ///
    /// Errors: InvalidSpec, or what is wrong with the path.
    pub(super) fn check(&self, has_terminal: bool) -> Result<()> {
        match (has_terminal, self) {
            (true, Console::Nobody) => Err(Error::invalid(
                "process.terminal: needs --console-socket where nobody stays to attend the terminal",
            )),
            (false, Console::Socket(_)) => Err(Error::invalid(
                "--console-socket: is for a process with a terminal, and process.terminal is false",
            )),
            (true, Console::Socket(path)) => {
                file::stat_following_links(path).map(drop).doing("--console-socket")
            }
            (true, Console::Relayed) | (false, Console::Nobody | Console::Relayed) => Ok(()),
        }
    }

    pub(super) fn is_relayed(&self) -> bool {
        *self == Console::Relayed
    }

    pub(super) fn socket(&self) -> Option<&Path> {
        match self {
            Console::Socket(path) => Some(path),
            Console::Nobody | Console::Relayed => None,
        }
    }
}
