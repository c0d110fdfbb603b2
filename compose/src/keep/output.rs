//! What the container writes: into the log, and to whoever watches.

use std::path::Path;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::attach::Clients;
use super::log::{self, Lines, Log, Stream};
use crate::error::{Context, Result};

/// How much is read at once.
const CHUNK: usize = 16 << 10;
/// How long a stream may be silent that is drained: what the kernel has is there at once.
const SILENCE: Duration = Duration::from_millis(1);

/// The two streams, the log and the watchers.
pub struct Output {
    sources: Vec<Source>,
    sinks: Sinks,
}

struct Source {
    pipe: pipe::Receiver,
    stream: Stream,
    lines: Lines,
    has_ended: bool,
}

struct Sinks {
    log: Log,
    clients: Clients,
}

impl Output {
    /// Nothing is read yet.
    pub fn to(log: Log, clients: Clients) -> Output {
        Output { sources: Vec::new(), sinks: Sinks { log, clients } }
    }

    /// Reads from a pipe. It is opened, because only what the keeper has opened itself may be made non-blocking: a shim
    /// has the other descriptor still.
    pub fn add(&mut self, stream: Stream, path: &Path) -> Result<()> {
        let pipe = pipe::OpenOptions::new().open_receiver(path).at(path.display())?;
        self.sources.push(Source { pipe, stream, lines: Lines::of(stream), has_ended: false });
        Ok(())
    }

    /// Copies until `ended`, and what is there then. `drained` is answered once all that was written before is copied,
    /// and `dry` told when nobody can write any more.
    pub async fn copy(
        mut self,
        mut drained: oneshot::Receiver<oneshot::Sender<()>>,
        mut ended: oneshot::Receiver<()>,
        dry: oneshot::Sender<()>,
    ) {
        let mut may_drain = true;
        let mut dry = Some(dry);
        loop {
            if self.sources.iter().all(|source| source.has_ended) {
                drop(dry.take());
            }
            let [stdout, stderr] = self.sources.as_mut_slice() else { return };
            tokio::select! {
                chunk = stdout.read() => self.sinks.take(stdout, &chunk).await,
                chunk = stderr.read() => self.sinks.take(stderr, &chunk).await,
                answer = &mut drained, if may_drain => {
                    may_drain = false;
                    self.drain().await;
                    drop(answer);
                }
                _ = &mut ended => {
                    self.drain().await;
                    // Who waits sees at least the end.
                    return self.sinks.clients.welcome();
                }
            }
        }
    }

    async fn drain(&mut self) {
        for source in &mut self.sources {
            while let Ok(chunk) = tokio::time::timeout(SILENCE, source.read()).await {
                self.sinks.take(source, &chunk).await;
            }
            let mut text = Vec::new();
            source.lines.finish(&log::now(), &mut text);
            self.sinks.store(&text);
        }
    }
}

impl Source {
    /// The next chunk; empty at the end, and never after it. Memory is asked for when there is something to read.
    async fn read(&mut self) -> Vec<u8> {
        while !self.has_ended {
            if self.pipe.readable().await.is_err() {
                break;
            }
            let mut chunk = Vec::with_capacity(CHUNK);
            match self.pipe.try_read_buf(&mut chunk) {
                Err(err) if err.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(length) if length > 0 => return chunk,
                Ok(_) | Err(_) => {
                    self.has_ended = true;
                    return Vec::new();
                }
            }
        }
        std::future::pending().await
    }
}

impl Sinks {
    async fn take(&mut self, source: &mut Source, chunk: &[u8]) {
        let mut text = Vec::new();
        let now = log::now();
        if chunk.is_empty() {
            source.lines.finish(&now, &mut text);
        } else {
            source.lines.take(chunk, &now, &mut text);
        }
        self.store(&text);
        self.clients.show(source.stream, chunk).await;
    }

    fn store(&mut self, lines: &[u8]) {
        // Nobody could be told. The container must go on, though its log can't.
        drop(self.log.append(lines));
    }
}
