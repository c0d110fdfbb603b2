//! A process's terminal: how its master comes from the runtime, and how its input ends.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener as Listener;
use std::path::PathBuf;
use std::time::Duration;

use corten::internals::sys::{socket, tty};
use tokio::net::UnixListener;
use tokio::time::{sleep, timeout};

use super::copy::{Sink, Watched};
use crate::refusal::Refusal;

/// How long the runtime may take to send the master, once it has made the process.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(30);

/// When a terminal is looked at whose input has ended, first and at the latest: the time between two looks doubles. The
/// kernel doesn't tell when a program changes how it reads.
const LOOK_AT_READER: Duration = Duration::from_millis(50);
const LOOK_AT_READER_MAX: Duration = Duration::from_secs(10);

/// The socket that the runtime sends the terminal's master to.
pub(super) struct Console {
    listener: UnixListener,
    // Dropped after the listener.
    place: PrivateDir,
}

/// A directory of this user alone, which goes with the value.
struct PrivateDir(PathBuf);

impl Console {
    pub(super) fn listen() -> Result<Console, Refusal> {
        let place = PrivateDir::make()?;
        let path = place.socket();
        let listener = Listener::bind(&path)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .and_then(UnixListener::from_std);
        let listener = listener.map_err(|err| Refusal::unknown(format!("bind({path:?}): {err}")))?;
        Ok(Console { listener, place })
    }

    /// Where the runtime is to connect to.
    pub(super) fn path(&self) -> PathBuf {
        self.place.socket()
    }

    /// Receives the master, and closes the socket.
    pub(super) async fn master(self) -> Result<OwnedFd, Refusal> {
        match timeout(RUNTIME_PATIENCE, self.receive()).await {
            Ok(received) => received.map_err(|why| Refusal::unknown(format!("receive the terminal: {why}"))),
            Err(_) => Err(Refusal::unknown("receive the terminal: the runtime sent none within 30 s")),
        }
    }

    async fn receive(&self) -> Result<OwnedFd, String> {
        let (stream, _) = self.listener.accept().await.map_err(|err| err.to_string())?;
        // The message goes with the descriptor; it says what the terminal is called.
        let mut name = [0; 4096];
        loop {
            stream.readable().await.map_err(|err| err.to_string())?;
            let received = stream.try_io(tokio::io::Interest::READABLE, || {
                socket::receive(stream.as_fd(), &mut name).map_err(|err| match err.errno() {
                    Some(errno) => errno.into(),
                    None => std::io::Error::other(err.to_string()),
                })
            });
            match received {
                Ok((_, fds)) => return fds.into_iter().next().ok_or_else(|| "no descriptor came".to_owned()),
                Err(err) if err.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(err) => return Err(err.to_string()),
            }
        }
    }
}

impl PrivateDir {
    fn make() -> Result<PrivateDir, Refusal> {
        // A socket's path holds 107 bytes at most, so that the bundle's directory won't do.
        let parent = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let template = parent.join("corten-console-XXXXXX");
        let made = nix::unistd::mkdtemp(&template);
        made.map(PrivateDir).map_err(|errno| Refusal::unknown(format!("mkdtemp({template:?}): {errno}")))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        // Nobody else can have put anything there.
        let _removed = std::fs::remove_file(self.socket()).and_then(|()| std::fs::remove_dir(&self.0));
    }
}

/// Types the character for the end of input, where the program may wait for more: a terminal's input has no end of its
/// own, and the terminal itself goes on to show what the program prints.
///
/// A program that reads by lines finds the end each time that it reads, as at the end of a file. A program that reads
/// byte by byte finds the character once each time that it changes its way of reading, in which it may drop what was
/// typed before.
pub(super) async fn end_input(master: &Watched, sink: &Sink) {
    let mut read_by = None;
    let mut pause = LOOK_AT_READER;
    loop {
        let Ok(reading) = tty::reading(master.get_ref()) else { return };
        let told = if reading.by_lines {
            // Fails once no process can open the terminal any more.
            tty::has_unread_input(master.get_ref()).unwrap_or(true)
        } else {
            read_by == Some(reading)
        };
        read_by = Some(reading);
        if !told {
            if let Some(end) = reading.end {
                if sink.take_rest(&[end]).await.is_err() {
                    return;
                }
            }
        }
        sleep(pause).await;
        pause = LOOK_AT_READER_MAX.min(2 * pause);
    }
}

/// `ioctl(TIOCSWINSZ)`.
pub(super) fn resize(master: &Watched, columns: u16, rows: u16) -> Result<(), Refusal> {
    tty::set_size(master.get_ref(), rows, columns).map_err(|err| Refusal::unknown(err.to_string()))
}
