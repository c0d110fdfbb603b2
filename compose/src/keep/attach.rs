//! Whoever watches a container's output, by a socket: each chunk has Docker's header of eight bytes before it.
//!
//! A client that doesn't read is waited for a while, because its user may want each byte, and dropped then, because the
//! container must go on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::log::Stream;
use crate::error::{Context, Result};

/// How long the container waits for a client that doesn't read.
const PATIENCE: Duration = Duration::from_secs(2);

/// The socket in the container's directory below /run.
pub fn socket(running: &Path) -> PathBuf {
    running.join("attach.sock")
}

/// Listens at a path, instead of a keeper that is gone.
pub fn listen(path: &Path) -> Result<UnixListener> {
    crate::disk::remove_file(path)?;
    UnixListener::bind(path).at(path.display())
}

/// Those who watch now.
#[derive(Default)]
pub struct Clients(Vec<UnixStream>);

impl Clients {
    /// One more.
    pub fn add(&mut self, client: UnixStream) {
        self.0.push(client);
    }

    /// Shows a chunk to all of them.
    pub async fn show(&mut self, stream: Stream, chunk: &[u8]) {
        if self.0.is_empty() {
            return;
        }
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut framed = vec![stream as u8, 0, 0, 0];
        framed.extend(length);
        framed.extend(chunk);
        for mut client in std::mem::take(&mut self.0) {
            if let Ok(Ok(())) = timeout(PATIENCE, client.write_all(&framed)).await {
                self.0.push(client);
            }
        }
    }
}
