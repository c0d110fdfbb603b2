//! `create`: load, plan, apply.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::fcntl::OFlag;

use super::Invocation;
use crate::apply::foreground::OwnConsole;
use crate::apply::{self, Created, Creation, Tracer};
use crate::cli::{CgroupManager, CreateArgs};
use crate::error::{Context, Error, Result};
use crate::paths;
use crate::plan::cgroup::Manager;
use crate::plan::{self, Plan};
use crate::probe;
use crate::spec::{SIZE_BYTES_MAX, Spec};
use crate::sys::{descriptors, file, socket};

/// Creates a container.
pub fn run(invocation: &Invocation, args: CreateArgs) -> Result<u8> {
    let console = Console::Handed(args.console_socket.clone());
    create(invocation, args, Then::Wait, console).map(|_| 0)
}

/// What comes after a container is created.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It waits for `start`.
    Wait,
    /// It is started at once.
    Start,
}

/// Where the container's terminal goes, if it has one.
pub enum Console {
    /// To the caller's socket.
    Handed(Option<PathBuf>),
    /// To this very process, which runs the container in the foreground.
    Own,
}

/// A container that waits for `start`, and its terminal if this process keeps that.
pub struct Ready {
    /// The container.
    pub created: Created,
    /// Its terminal arrives here.
    pub console: Option<OwnConsole>,
}

/// Creates a container from a bundle.
///
/// Errors: what is wrong with the config, or what the failing step says; then nothing of the container is left.
pub fn create(invocation: &Invocation, args: CreateArgs, then: Then, console: Console) -> Result<Ready> {
    let tracer = Tracer::to(invocation.global.trace.as_deref())?;
    let config = read_config(&args)?;
    let spec = Spec::load(&config).doing("config.json")?;
    for warning in spec.warnings() {
        invocation.report.warning(warning);
    }
    let plan = decide(invocation, &spec, &args, then, matches!(console, Console::Own))?;
    invocation.report.debug(|| plan.explain());
    let terminal = spec.process().and_then(|process| process.terminal()).unwrap_or(false);
    let (console, console_socket) = connect_console(console, terminal)?;
    let created = apply::create(Creation {
        root: &invocation.root_to_create_in()?,
        id: &args.id,
        config: &config,
        console_socket,
        tracer: &tracer,
        plan: &plan,
    })?;
    Ok(Ready { created, console })
}

/// Reads the config.json of a bundle, or the file that was named in its place.
pub(super) fn read_config(args: &CreateArgs) -> Result<Vec<u8>> {
    let path = args.config.clone().unwrap_or_else(|| args.bundle.join("config.json"));
    let opened = file::open_following_links(&path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
    file::read_limited(opened, SIZE_BYTES_MAX).doing("config.json")
}

/// Decides what creating the container means on this host.
pub(super) fn decide(
    invocation: &Invocation,
    spec: &Spec,
    args: &CreateArgs,
    then: Then,
    terminal_relayed: bool,
) -> Result<Plan> {
    let bundle = std::fs::canonicalize(&args.bundle)
        .map_err(|err| Error::io(format!("find the bundle {}", args.bundle.display()), &err))?;
    let named = spec.rootfs_in(&bundle);
    let rootfs = std::fs::canonicalize(&named)
        .map_err(|err| Error::io(format!("find the rootfs {} (root.path)", named.display()), &err))?;
    if !rootfs.is_dir() {
        return Err(Error::invalid(format!("root.path: {} is not a directory", rootfs.display())));
    }
    // What a link points to may change between this look and the mount.
    if paths::from_root(&named) != rootfs {
        return Err(Error::invalid(format!("root.path: {} is reached by a symbolic link", named.display())));
    }
    let request = plan::Request {
        id: args.id.as_str().to_string(),
        bundle,
        rootfs,
        cgroup_manager: match invocation.global.cgroup_manager {
            CgroupManager::Cgroupfs => Manager::Cgroupfs,
            CgroupManager::Disabled => Manager::Disabled,
        },
        no_pivot: args.no_pivot,
        no_new_keyring: args.no_new_keyring,
        start_at_once: then == Then::Start,
        terminal_relayed,
        preserve_fds: args.preserve_fds,
        listen_fds: listen_fds(),
        notify_directory: match notify_socket() {
            Some(_) => Some(invocation.root()?.notify_directory(&args.id)?),
            None => None,
        },
        pid_file: args.pid_file.clone(),
        pidfd_socket: args.pidfd_socket.clone(),
    };
    check_preserved("--preserve-fds", request.preserve_fds)?;
    check_preserved("LISTEN_FDS", request.preserve_fds.saturating_add(request.listen_fds))?;
    plan::create(spec, &request, &probe::host()?)
}

/// A number that stands for nothing would become some descriptor of ours.
pub(super) fn check_preserved(asked_by: &str, count: u32) -> Result<()> {
    let end = i32::try_from(count).ok().and_then(|count| count.checked_add(3)).unwrap_or(i32::MAX);
    match descriptors::first_not_inherited() {
        number if number < end => Err(Error::invalid(format!("{asked_by}: descriptor {number} is not open"))),
        _ => Ok(()),
    }
}

/// How many sockets systemd, or who does as it does, hands to the container.
///
/// LISTEN_PID says whom they are for: an engine that was itself started by its socket hands its environment on, and
/// what stands at these numbers then is no socket for a container.
fn listen_fds() -> u32 {
    let number = |text: String| text.parse::<u32>().ok();
    match std::env::var("LISTEN_PID").ok().and_then(number) {
        Some(pid) if pid == std::process::id() => {
            std::env::var("LISTEN_FDS").ok().and_then(number).unwrap_or(0)
        }
        _ => 0,
    }
}

/// Where the caller wants to hear that the container is ready, as systemd, or who does as it does, says it.
pub(super) fn notify_socket() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
}

/// Connects the console socket before anything is made, and finds terminal and socket to be of one mind.
pub(super) fn connect_console(
    console: Console,
    terminal: bool,
) -> Result<(Option<OwnConsole>, Option<OwnedFd>)> {
    match (terminal, console) {
        (true, Console::Own) => OwnConsole::pair().map(|(own, init)| (Some(own), Some(init))),
        (true, Console::Handed(Some(path))) => {
            socket::connect(&path).doing("--console-socket").map(|socket| (None, Some(socket)))
        }
        (true, Console::Handed(None)) => Err(Error::invalid(
            "process.terminal: needs --console-socket where nobody stays to attend the terminal",
        )),
        (false, Console::Handed(Some(_))) => Err(Error::invalid(
            "--console-socket: is for a process with a terminal, and process.terminal is false",
        )),
        (false, _) => Ok((None, None)),
    }
}
