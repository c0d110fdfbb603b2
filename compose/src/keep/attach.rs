//! Whoever watches a container's output, by a socket: each chunk has Docker's header of eight bytes before it.
//!
//! A client that doesn't read is waited for a while, because its user may want each byte, and dropped then, because the
//! container must go on.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

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
    let listener = UnixListener::bind(path).at(path.display())?;
    listener.set_nonblocking(true).at(path.display())?;
    Ok(listener)
}

/// Everybody who watches now.
pub struct Clients {
    listener: UnixListener,
    clients: Vec<UnixStream>,
}

impl Clients {
    /// Nobody has come yet.
    pub fn of(listener: UnixListener) -> Clients {
        Clients { listener, clients: Vec::new() }
    }

    /// Shows a chunk to all of them.
    pub async fn show(&mut self, stream: Stream, chunk: &[u8]) {
        self.welcome();
        if self.clients.is_empty() {
            return;
        }
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut framed = vec![stream as u8, 0, 0, 0];
        framed.extend(length);
        framed.extend(chunk);
        // All of them together, or ten that sleep would stop the container ten times as long.
        let deadline = Instant::now() + PATIENCE;
        for mut client in std::mem::take(&mut self.clients) {
            if let Ok(Ok(())) = timeout_at(deadline, client.write_all(&framed)).await {
                self.clients.push(client);
            }
        }
    }

    /// Lets in who waits. Only when there is something to show, and always then: who came before the container wrote
    /// must see what it wrote.
    pub fn welcome(&mut self) {
        while let Ok((client, _)) = self.listener.accept() {
            let client = client.set_nonblocking(true).and_then(|()| UnixStream::from_std(client));
            self.clients.extend(client);
        }
    }
}
