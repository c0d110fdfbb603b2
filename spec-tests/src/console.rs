//! Terminals and descriptors that a runtime hands over a unix socket.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

use crate::patience::seconds;

/// A listening socket as `--console-socket` and `--pidfd-socket` want one.
pub struct FdSocket {
    /// The path that it listens at.
    pub path: PathBuf,
    listener: UnixListener,
}

impl FdSocket {
    /// Listens at `path`.
    pub fn listen(path: impl AsRef<Path>) -> FdSocket {
        let path = path.as_ref().to_owned();
        let listener = UnixListener::bind(&path).expect("bind a socket");
        FdSocket { path, listener }
    }

    /// Whether anybody has connected whose connection was not accepted yet.
    pub fn has_visitor(&self) -> bool {
        poll_readable(&self.listener, Duration::ZERO)
    }

    /// Accepts one connection and takes the descriptor that comes over it, with the text sent beside it.
    pub fn receive(&self) -> (OwnedFd, String) {
        readable(&self.listener, "a connection");
        let (stream, _) = self.listener.accept().expect("accept");
        readable(&stream, "a message");
        let mut text = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(&stream, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)
                .expect("recvmsg");
        let fds = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fd = fds.flatten().next().expect("a descriptor comes with the message");
        (fd, String::from_utf8_lossy(&text[..received.bytes]).into_owned())
    }
}

/// The master end of a terminal.
pub struct Terminal {
    master: File,
    seen: String,
}

impl Terminal {
    /// Takes the master that a runtime sent.
    pub fn from_master(master: OwnedFd) -> Terminal {
        Terminal { master: master.into(), seen: String::new() }
    }

    /// Makes a terminal, and returns its two ends.
    pub fn open() -> (Terminal, File) {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("open a pty");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("ptsname");
        let slave =
            OpenOptions::new().read(true).write(true).open(name.to_str().expect("a name")).expect("open pts");
        (Terminal::from_master(master), slave)
    }

    /// Types `text`.
    pub fn write(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("write to a terminal");
    }

    /// Reads until `text` has appeared, and returns all that has been read so far.
    #[track_caller]
    pub fn read_until(&mut self, text: &str) -> String {
        let seen = self.read_until_closed_or(text);
        assert!(seen.contains(text), "the terminal was closed before `{text}`: {seen}");
        seen
    }

    /// Reads until `text` has appeared or the last slave is closed, whichever comes first.
    #[track_caller]
    pub fn read_until_closed_or(&mut self, text: &str) -> String {
        self.read_while(|seen| !seen.contains(text), text)
    }

    /// Reads to the end: until the last slave is closed.
    pub fn read_to_end(mut self) -> String {
        self.read_while(|_| true, "the end")
    }

    /// Rows and columns.
    pub fn size(&self) -> (u16, u16) {
        let size = tcgetwinsize(&self.master).expect("tcgetwinsize");
        (size.ws_row, size.ws_col)
    }

    /// Sets rows and columns.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("tcsetwinsize");
    }

    #[track_caller]
    fn read_while(&mut self, wanted: impl Fn(&str) -> bool, what: &str) -> String {
        let deadline = Instant::now() + seconds(10);
        let mut buffer = [0; 4096];
        while wanted(&self.seen) {
            assert!(Instant::now() < deadline, "no `{what}` on the terminal, only: {}", self.seen);
            if !poll_readable(&self.master, Duration::from_millis(200)) {
                continue;
            }
            match self.master.read(&mut buffer) {
                // A master whose last slave is closed answers EIO.
                Ok(0) => break,
                Err(error) if error.raw_os_error() == Some(libc::EIO) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("read a terminal: {error}"),
                Ok(count) => self.seen.push_str(&String::from_utf8_lossy(&buffer[..count])),
            }
        }
        self.seen.clone()
    }
}

#[track_caller]
fn readable(fd: &impl AsFd, what: &str) {
    assert!(poll_readable(fd, seconds(10)), "no {what} on the socket");
}

fn poll_readable(fd: &impl AsFd, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).expect("a short timeout");
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)).is_ok_and(|ready| ready > 0)
}
