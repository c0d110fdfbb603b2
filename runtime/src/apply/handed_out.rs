//! How a caller comes to know a process: by its pid in a file, by its pidfd from a socket.

use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::Path;

use crate::error::{Error, Result, best_effort};
use crate::sys::pidfd::PidFd;
use crate::sys::socket;

/// Writes a pid file whole or not at all: its reader waits for its name to appear.
pub(super) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
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
