//! What a further process of the container puts out: both of its streams in one pipe, so that lines stay in order.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;

use tokio::net::unix::pipe;

use crate::error::{Context, Result};
use crate::pipe::{Name, NamedPipe};

const CHUNK_BYTES: usize = 16 << 10;

/// What a pipe holds at most, unless somebody has asked for more.
const PIPE_BYTES: usize = 64 << 10;

/// The pipe. Its path goes with this value.
pub struct FurtherOutput {
    name: Name,
    pipe: pipe::Receiver,
    // There is no end before the first writer comes, and none that a child of the process's holds up.
    _write: OwnedFd,
}

impl FurtherOutput {
    /// Makes it in the container's directory below /run. `id` is the process's.
    pub fn open(running: &Path, id: &str) -> Result<FurtherOutput> {
        let NamedPipe { name, read, write } = NamedPipe::at(&running.join(id))?;
        let pipe = pipe::Receiver::from_owned_fd(read).at(name.path().display())?;
        Ok(FurtherOutput { name, pipe, _write: write })
    }

    pub fn path(&self) -> &Path {
        self.name.path()
    }

    /// Gives `take` what comes until `ended`, and then what is there still.
    pub async fn read_while<T>(&self, ended: impl Future<Output = T>, mut take: impl FnMut(&[u8])) -> T {
        let mut ended = pin!(ended);
        let ended = loop {
            tokio::select! {
                ended = &mut ended => break ended,
                _ = self.pipe.readable() => self.read(&mut take),
            }
        };
        self.read_rest(take);
        ended
    }

    fn read(&self, take: &mut impl FnMut(&[u8])) {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        if self.pipe.try_read_buf(&mut chunk).is_ok() {
            take(&chunk);
        }
    }

    /// The kernel is asked: the runtime may not yet have heard that there is something.
    fn read_rest(&self, mut take: impl FnMut(&[u8])) {
        // No more than a pipe holds: a child of the process's may write for ever.
        let mut chunk = [0; CHUNK_BYTES];
        for _ in 0..PIPE_BYTES / CHUNK_BYTES {
            match nix::unistd::read(&self.pipe, &mut chunk) {
                Ok(read @ 1..) => take(&chunk[..read]),
                _ => return,
            }
        }
    }
}
