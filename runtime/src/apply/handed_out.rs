//! What a caller is given of a process: its pid in a file, its pidfd and its terminal by a socket.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::error::{Error, Result, best_effort};
use crate::sys::pidfd::PidFd;
use crate::sys::{file, socket};

/// The name that goes with the descriptor of a terminal. Callers don't show it.
const MASTER_NAME: &[u8] = b"/dev/ptmx";

/// Writes a pid file whole or not at all: its reader waits for its name to appear. Returns whether there is a new file.
///
/// A fifo or a device, such as /dev/null, is written to: a file in its place would serve nobody.
pub(super) fn write_pid_file(path: &Path, pid: i32) -> Result<bool> {
    match file::stat_following_links(path) {
        Ok(stat) if file::is_stream(&stat) => {
            let opened =
                file::open_following_links(path, OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
            let name = path.display().to_string();
            file::write_whole(opened.as_fd(), pid.to_string().as_bytes(), &name).map(|()| false)
        }
        _ => replace_file(path, pid).map(|()| true),
    }
}

fn replace_file(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let unfinished = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let open = || std::fs::OpenOptions::new().write(true).create_new(true).open(&unfinished);
    // `create_new` follows no link and opens no file that is there. A file of this name is a leftover of a killed
    // command.
    let written = match open() {
        Err(err) if err.kind() == ErrorKind::AlreadyExists => {
            std::fs::remove_file(&unfinished).and_then(|()| open())
        }
        opened => opened,
    };
    let written = written
        .and_then(|mut file| file.write_all(pid.to_string().as_bytes()))
        .and_then(|()| std::fs::rename(&unfinished, path))
        .map_err(|err| Error::io(format!("write the pid file {}", path.display()), &err));
    if written.is_err() {
        let removed = std::fs::remove_file(&unfinished).map_err(|err| Error::io("unlink", &err));
        best_effort(removed, "the failure to write is the one to tell");
    }
    written
}

/// Sends a pidfd to the process that listens at `path`.
pub(super) fn send_pidfd(path: &Path, pidfd: &PidFd) -> Result<()> {
    let socket = socket::connect(path)?;
    socket::send(socket.as_fd(), b"pidfd", &[pidfd.as_fd()])
}

/// Sends the master of a terminal to the process that listens at `path`.
pub(super) fn send_console(path: &Path, master: &OwnedFd) -> Result<()> {
    let socket = socket::connect(path)?;
    socket::send(socket.as_fd(), MASTER_NAME, &[master.as_fd()])
}
