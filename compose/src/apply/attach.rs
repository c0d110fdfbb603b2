//! A command's own streams and a process's, tied together for as long as the process lives.

use std::io::{Read, Write, stdin};
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::stdio::Fifos;
use super::terminal::{self, Raw};
use crate::engine::Engine;
use crate::engine::tasks::{CloseIo, Kill, ResizePty, Wait};
use crate::error::{Context, Error, Result};

const CHUNK_BYTES: usize = 32 << 10;

/// Which process: a container's first one, or one that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub container: String,
    /// Empty for the first process.
    pub exec: String,
}

/// Our ends of a process's streams. Ends of fifos are opened before the process is made, so that nothing is lost.
pub struct Ends {
    stdin: Option<Sender>,
    output: Output,
    terminal: bool,
    // The fifos go when nobody needs them any more.
    _fifos: Option<Fifos>,
}

/// Where a process's output comes from.
enum Output {
    Fifos(Receiver, Option<Receiver>),
    /// The keeper's socket, which is there once the process is made.
    Keeper(PathBuf),
}

impl Ends {
    /// Of a process whose output comes by fifos.
    pub fn of_fifos(fifos: Fifos) -> Result<Ends> {
        let streams = &fifos.streams;
        let receiver = |path: &String| OpenOptions::new().open_receiver(path).at(path);
        let stderr = Some(&streams.stderr).filter(|path| !path.is_empty());
        let output = Output::Fifos(receiver(&streams.stdout)?, stderr.map(receiver).transpose()?);
        Ok(Ends { stdin: sender(&streams.stdin)?, output, terminal: streams.terminal, _fifos: Some(fifos) })
    }

    /// Of a container whose keeper shows the output, at the socket, and that reads from the fifo, if there is one.
    pub fn of_keeper(socket: PathBuf, terminal: bool, input: Option<Fifos>) -> Result<Ends> {
        let stdin = input.as_ref().map(|fifos| sender(&fifos.streams.stdin)).transpose()?.flatten();
        Ok(Ends { stdin, output: Output::Keeper(socket), terminal, _fifos: input })
    }

    /// Ties the streams together until the process has ended and all its output is shown. To be called when the process
    /// was made: from then on the end of a stream is the end of the output. `start` starts the process.
    ///
    /// Gives the exit code.
    pub async fn tie(
        self,
        engine: &Engine,
        target: &Target,
        start: impl Future<Output = Result<()>>,
    ) -> Result<u32> {
        let Ends { stdin, output, terminal, _fifos } = self;
        let raw = if terminal && stdin.is_some() { Raw::enter()? } else { None };
        let wait = Wait { container_id: target.container.clone(), exec_id: target.exec.clone() };
        // From before the start, so that the shortest life is seen.
        let waiting = tokio::spawn({
            let engine = engine.clone();
            async move { engine.call(wait).await }
        });
        let input = tokio::spawn(feed(engine.clone(), target.clone(), stdin));
        let forwarding = tokio::spawn(forward(engine.clone(), target.clone(), terminal));
        let shown = output.open().await?;
        let ended = async {
            start.await?;
            if terminal {
                resize(engine, target).await;
            }
            let exited = waiting.await.map_err(|err| Error::new(err.to_string())).at("waiting")??;
            Ok(exited.exit_status)
        };
        let ended = shown_to_the_end(ended, shown.show()).await;
        input.abort();
        forwarding.abort();
        drop(raw);
        ended
    }
}

/// The shim opens its end of the input later: who opens to write alone would have to wait for it.
fn sender(path: &str) -> Result<Option<Sender>> {
    let open = || OpenOptions::new().read_write(true).open_sender(path).at(path);
    if path.is_empty() { Ok(None) } else { open().map(Some) }
}

impl Output {
    async fn open(self) -> Result<Shown> {
        match self {
            Output::Fifos(stdout, stderr) => Ok(Shown::Streams(stdout, stderr)),
            Output::Keeper(socket) => {
                UnixStream::connect(&socket).await.at(socket.display()).map(Shown::Frames)
            }
        }
    }
}

/// Output that can be shown.
enum Shown {
    Streams(Receiver, Option<Receiver>),
    Frames(UnixStream),
}

impl Shown {
    /// Shows what comes, until nothing more can come.
    async fn show(self) {
        match self {
            Shown::Streams(stdout, stderr) => {
                tokio::join!(show(stdout, std::io::stdout()), show_some(stderr));
            }
            // The keeper may be killed in the middle of a frame: then that was all.
            Shown::Frames(stream) => drop(show_frames(stream).await),
        }
    }
}

/// Each chunk has Docker's header before it: the stream, three bytes of nothing, and the length.
async fn show_frames(mut from: UnixStream) -> std::io::Result<()> {
    const STDERR: u8 = 2;
    loop {
        let mut header = [0; 8];
        from.read_exact(&mut header).await?;
        let [stream, _, _, _, length @ ..] = header;
        let mut chunk = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut chunk).await?;
        if stream == STDERR {
            put(&mut std::io::stderr(), &chunk)
        } else {
            put(&mut std::io::stdout(), &chunk)
        }
    }
}

/// Who doesn't want to see it, as `head`, has gone; the process goes on.
fn put(to: &mut impl Write, chunk: &[u8]) {
    drop(to.write_all(chunk).and_then(|()| to.flush()));
}

/// Shows the output meanwhile, and after the end what is still to come. Of a process that didn't start nothing comes.
async fn shown_to_the_end<T>(ended: impl Future<Output = Result<T>>, output: impl Future) -> Result<T> {
    tokio::pin!(ended, output);
    tokio::select! {
        ended = &mut ended => {
            if ended.is_ok() {
                output.await;
            }
            ended
        }
        _ = &mut output => ended.await,
    }
}

async fn show_some(from: Option<Receiver>) {
    if let Some(from) = from {
        show(from, std::io::stderr()).await;
    }
}

/// Shows what comes, until nobody can write any more.
async fn show(mut from: Receiver, mut to: impl Write) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length) = from.read(&mut chunk).await {
        if length == 0 {
            break;
        }
        put(&mut to, &chunk[..length]);
    }
}

/// Gives our standard input to the process, and then tells of the end of it.
async fn feed(engine: Engine, target: Target, to: Option<Sender>) {
    let Some(mut to) = to else { return };
    let mut typed = standard_input();
    while let Some(chunk) = typed.recv().await {
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
    drop(to);
    let close = CloseIo { container_id: target.container, exec_id: target.exec, stdin: true };
    // A process that has ended meanwhile reads no more.
    drop(engine.call(close).await);
}

/// Standard input may be a file, which no poll takes, or a terminal, which nobody wakes at the end: a thread reads it,
/// and ends with this program.
fn standard_input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match stdin().read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => {
                    if sender.blocking_send(chunk[..length].to_vec()).is_err() {
                        return;
                    }
                }
                Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

/// Gives signals to the process, and tells its terminal of our terminal's size.
async fn forward(engine: Engine, target: Target, terminal: bool) {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::quit(),
        SignalKind::hangup(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
        SignalKind::window_change(),
    ];
    let (sender, mut caught) = mpsc::channel(1);
    let mut watching = JoinSet::new();
    for kind in kinds {
        watching.spawn(watch(kind, sender.clone()));
    }
    while let Some(kind) = caught.recv().await {
        if kind == SignalKind::window_change() {
            if terminal {
                resize(&engine, &target).await;
            }
            continue;
        }
        let Target { container, exec } = target.clone();
        let signal = kind.as_raw_value().unsigned_abs();
        // A process that has ended meanwhile needs none.
        drop(engine.call(Kill { container_id: container, exec_id: exec, signal, all: false }).await);
    }
}

async fn watch(kind: SignalKind, caught: mpsc::Sender<SignalKind>) {
    let Ok(mut signals) = signal(kind) else { return };
    while signals.recv().await.is_some() && caught.send(kind).await.is_ok() {}
}

async fn resize(engine: &Engine, target: &Target) {
    let Some((width, height)) = terminal::size() else { return };
    let Target { container, exec } = target.clone();
    // A process that has ended meanwhile needs none.
    drop(engine.call(ResizePty { container_id: container, exec_id: exec, width, height }).await);
}
