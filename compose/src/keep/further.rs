//! What a further process of the container puts out: both of its streams in one fifo, so that lines stay in order.

use std::path::{Path, PathBuf};
use std::pin::pin;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::net::unix::pipe;

use crate::disk;
use crate::error::{Context, Result};

const CHUNK_BYTES: usize = 16 << 10;

/// What a pipe holds at most, unless somebody has asked for more.
const PIPE_BYTES: usize = 64 << 10;

/// The fifo. It goes with this value.
pub struct FurtherOutput {
    path: PathBuf,
    pipe: pipe::Receiver,
}

impl FurtherOutput {
    /// Makes it in the container's directory below /run. `id` is the process's.
    pub fn open(running: &Path, id: &str) -> Result<FurtherOutput> {
        let path = running.join(id);
        mkfifo(&path, Mode::from_bits_truncate(0o600)).at(path.display())?;
        // Opened for writing too: there is no end before the first writer comes, and none that a child of the
        // process's holds up.
        let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(&path).at(path.display())?;
        Ok(FurtherOutput { path, pipe })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives `take` what comes until `ended`, and then what is there still.
    pub async fn read_while<T>(&self, ended: impl Future<Output = T>, mut take: impl FnMut(&[u8])) -> T {
        let mut ended = pin!(ended);
        let ended = loop {
            tokio::select! {
                ended = &mut ended => break ended,
                _ = self.pipe.readable() => drop(self.read(&mut take)),
            }
        };
        // No more than the pipe held by then: a child of the process's may write for ever.
        let mut left = PIPE_BYTES / CHUNK_BYTES;
        while left > 0 && self.read(&mut take) {
            left -= 1;
        }
        ended
    }

    /// Whether there was something.
    fn read(&self, take: &mut impl FnMut(&[u8])) -> bool {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let length = self.pipe.try_read_buf(&mut chunk).unwrap_or(0);
        take(&chunk);
        length > 0
    }
}

impl Drop for FurtherOutput {
    fn drop(&mut self) {
        drop(disk::remove_file(&self.path));
    }
}
