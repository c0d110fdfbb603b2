//! The container's terminal, made in the container's own devpts.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;

use super::inside::Root;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Console;
use crate::sys::{descriptors, file, mount, tty};

const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Both ends of a terminal.
pub struct Terminal {
    /// The end of whoever attends the container's process.
    pub master: OwnedFd,
    /// The end of the container's process.
    pub peer: OwnedFd,
}

/// Opens a terminal in the container.
///
/// Nothing is opened by a name that an image or a process in the container could have replaced: the multiplexer is
/// checked to be devpts's own, and the peer comes from the kernel. A terminal that the runtime relays (`relayed`)
/// leaves line ends as they are: they become CR LF in the caller's terminal, and stay LF where the output goes to no
/// terminal.
pub fn open(root: &Root, console: Console) -> Result<Terminal> {
    let master = root.open_without_links(Path::new("/dev/pts/ptmx"), OFlag::O_RDWR | OFlag::O_NOCTTY)?;
    let stat = file::stat_of(&master)?;
    let multiplexer = file::device_number(5, 2);
    if file::filesystem_magic(&master)? != DEVPTS_SUPER_MAGIC || stat.st_rdev != multiplexer {
        return Err(Error::new(Kind::Denied, "/dev/pts/ptmx is not the multiplexer of a devpts"));
    }
    root.workplace(Path::new("/dev/pts"))?;
    tty::unlock(&master)?;
    let peer = tty::open_peer(&master)?;
    if let Some((rows, columns)) = size_of(console) {
        tty::set_size(&master, rows, columns)?;
    }
    if console.relayed {
        tty::keep_line_ends(&master)?;
    }
    Ok(Terminal { master, peer })
}

/// A relayed terminal has the size of the caller's terminal, which is still the standard input here. The relay sets the
/// size as well, but perhaps only after the program has asked for it.
fn size_of(console: Console) -> Option<(u16, u16)> {
    let callers = if console.relayed { tty::size(std::io::stdin()).ok() } else { None };
    callers.or(console.size)
}

/// Binds the terminal on /dev/console.
pub fn bind(root: &Root, peer: &OwnedFd) -> Result<()> {
    let dev = root.workplace(Path::new("/dev"))?;
    let name = Path::new("console");
    match file::create_at(&dev, name, OFlag::O_RDONLY, 0o666) {
        Err(err) if !err.is(crate::error::Errno::EEXIST) => return Err(err),
        _ => {}
    }
    let target = file::open_at(&dev, name, OFlag::O_PATH)?;
    let node = mount::clone_tree(peer.as_fd(), Path::new(""), false)?;
    mount::attach(node.as_fd(), target.as_fd()).doing("bind the terminal on /dev/console")
}

/// Makes the terminal the standard streams of this process.
pub fn become_streams(peer: &OwnedFd) -> Result<()> {
    descriptors::become_standard_streams(peer)
}

/// Makes the terminal, which is the standard input, the controlling terminal of this process's session.
pub fn take_control() -> Result<()> {
    tty::make_controlling(std::io::stdin())
}

/// Gives the terminal, which is the standard input, to the user of the process: it may reopen the terminal by name.
pub fn give(uid: u32) -> Result<()> {
    let terminal = std::io::stdin();
    let group = file::stat_of(&terminal)?.st_gid;
    file::change_owner(&terminal, uid, group).doing("give the terminal to the user of the process")
}
