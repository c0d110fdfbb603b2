//! Copies from one descriptor to another, in tasks of the one thread, and waits for neither of them otherwise.
//!
//! All copies share one buffer, which is empty whenever a task waits: a copy keeps bytes of its own only as long as
//! the sink takes none. Until it does, the source isn't read, and whoever writes there waits.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::fifo;
use crate::refusal::Refusal;
use crate::watch::watched;

/// How much is copied at a time: at first a page, and after much at once what a pipe holds by default.
const BUFFER_BYTES: usize = 4 << 10;
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// When a terminal that takes nothing is tried again. The kernel doesn't tell each time that there is room.
const TRY_TERMINAL_AGAIN: Duration = Duration::from_secs(1);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A descriptor that doesn't wait, watched by the runtime. Both directions of a terminal share one.
pub(super) type Watched = Arc<AsyncFd<OwnedFd>>;

/// Sets O_NONBLOCK, and has the runtime watch the descriptor.
pub(super) fn watch_unblocked(fd: OwnedFd) -> Result<Watched, Refusal> {
    let flags = fcntl(&fd, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
    let set = flags.and_then(|flags| fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)));
    set.map_err(|errno| Refusal::unknown(format!("fcntl(O_NONBLOCK): {} ({errno:?})", errno.desc())))?;
    watch(fd)
}

/// Has the runtime watch the descriptor.
pub(super) fn watch(fd: OwnedFd) -> Result<Watched, Refusal> {
    let watched = watched(fd, Interest::READABLE | Interest::WRITABLE);
    watched.map(Arc::new).map_err(|err| Refusal::unknown(format!("epoll_ctl(): {err}")))
}

/// What is copied to.
pub(super) enum Sink {
    /// Takes everything.
    Nowhere,
    /// Is written at once: a regular file is always ready.
    File(File),
    Pipe(Watched),
    Fifo(fifo::Output),
    /// The master of a terminal.
    Terminal(Watched),
}

/// Copies until the source has ended, or nobody reads the sink any more.
pub(super) async fn copy(source: &AsyncFd<OwnedFd>, sink: &Sink) {
    while let Ok(mut ready) = source.readable().await {
        // `None` says that there was nothing to read.
        let copied = BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(buffer.len().max(BUFFER_BYTES), 0);
            let read = ready.try_io(|fd| Ok(unistd::read(fd.get_ref(), buffer)?)).ok()?;
            // EIO: the last process has closed the terminal.
            let len = read.unwrap_or(0);
            let copied = sink.copy_now(&buffer[..len]);
            if len == buffer.len() && len < BUFFER_BYTES_MAX {
                buffer.resize(2 * len, 0);
            }
            Some(copied)
        });
        match copied {
            None => {}
            Some(Copied::All) => tokio::task::yield_now().await,
            Some(Copied::Rest(rest)) => match sink.take_rest(&rest).await {
                Ok(()) => {}
                Err(_) => return,
            },
            Some(Copied::End) => return,
        }
    }
}

enum Copied {
    All,
    /// The sink is full; these bytes are still to be written.
    Rest(Vec<u8>),
    End,
}

impl Sink {
    fn copy_now(&self, bytes: &[u8]) -> Copied {
        match self.take(bytes) {
            _ if bytes.is_empty() => Copied::End,
            Ok(taken) if taken == bytes.len() => Copied::All,
            Ok(taken) => Copied::Rest(bytes[taken..].to_vec()),
            Err(_) => Copied::End,
        }
    }

    /// Writes the beginning of `bytes`, and returns how much of it was taken now.
    ///
    /// Errors: EPIPE if nobody reads any more.
    fn take(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match self {
            Sink::Nowhere => Ok(bytes.len()),
            Sink::File(file) => {
                // What a full disk doesn't hold is lost. The process isn't to wait for room that may never come.
                let _lost = (&*file).write_all(bytes);
                Ok(bytes.len())
            }
            Sink::Pipe(fd) | Sink::Terminal(fd) => write_now(fd, bytes),
            Sink::Fifo(output) => write_now(&output.fd, bytes).inspect(|taken| output.note(*taken)),
        }
    }

    /// Closes the sink, once what is in it has a reader.
    pub(super) async fn close(self) {
        if let Sink::Fifo(output) = self {
            output.close().await;
        }
    }

    /// Writes all of `rest`, as the sink has room for it.
    pub(super) async fn take_rest(&self, mut rest: &[u8]) -> Result<(), Errno> {
        while !rest.is_empty() {
            let taken = match self {
                Sink::Nowhere | Sink::File(_) => self.take(rest)?,
                Sink::Pipe(fd) => write_when_ready(fd, rest).await?,
                Sink::Fifo(output) => {
                    write_when_ready(&output.fd, rest).await.inspect(|taken| output.note(*taken))?
                }
                Sink::Terminal(fd) => match timeout(TRY_TERMINAL_AGAIN, write_when_ready(fd, rest)).await {
                    Ok(result) => result?,
                    Err(_) => write_now(fd, rest)?,
                },
            };
            rest = &rest[taken..];
        }
        Ok(())
    }
}

fn write_now(fd: &AsyncFd<OwnedFd>, bytes: &[u8]) -> Result<usize, Errno> {
    match unistd::write(fd.get_ref(), bytes) {
        Err(Errno::EAGAIN) => Ok(0),
        result => result,
    }
}

async fn write_when_ready(fd: &AsyncFd<OwnedFd>, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        let mut ready = fd.writable().await.map_err(|_| Errno::EPIPE)?;
        // The runtime remembers that there was room; the write finds out whether there is.
        match ready.try_io(|fd| Ok(unistd::write(fd.get_ref(), bytes)?)) {
            Ok(Ok(taken)) => return Ok(taken),
            Ok(Err(err)) => return Err(Errno::try_from(err).unwrap_or(Errno::EIO)),
            Err(_would_block) => {}
        }
    }
}
