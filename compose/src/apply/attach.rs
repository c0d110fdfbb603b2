//! A command's own streams and a process's, tied together for as long as the process lives.

use std::io::{Read, Write, stdin};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::signal::unix::SignalKind;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use super::caught::Caught;
use super::detach::Keys;
use super::stdio::{Fifos, Pipes};
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
    /// What is typed to leave the process alone.
    keys: Keys,
    /// Whether the process hears of the end of our standard input.
    ends_input: bool,
    /// Whether the process gets our signals.
    gives_signals: bool,
    /// What was caught since before the process was made.
    caught: Option<Caught>,
    /// What holds the end of the output up, until the process has started.
    writers: Vec<OwnedFd>,
    // The fifos go when nobody needs them any more.
    _fifos: Option<Fifos>,
}

/// How a container's streams are tied to ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tie {
    /// Whether it gets our standard input; none: as it was asked for.
    pub stdin: Option<bool>,
    pub shows: Shows,
    /// Whether it gets our signals.
    pub signals: bool,
    /// What is typed to leave it alone.
    pub keys: Keys,
}

impl Default for Tie {
    fn default() -> Tie {
        Tie { stdin: None, shows: Shows::default(), signals: true, keys: Keys::default() }
    }
}

/// What of a container's output is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shows {
    pub stdout: bool,
    pub stderr: bool,
}

impl Default for Shows {
    fn default() -> Shows {
        Shows { stdout: true, stderr: true }
    }
}

/// How it ended that streams were tied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The process has ended with this exit code.
    Ended(u8),
    /// The user has typed the keys, and the process goes on.
    Detached,
    /// Nobody reads our standard output any more, and the container goes on.
    Unread,
}

/// The exit code of who is ended by SIGPIPE, as Docker's client is when nobody reads what it shows.
pub const UNREAD: u8 = 141;
const SIGPIPE: u32 = 13;

/// Where a process's output comes from.
enum Output {
    Pipes(Receiver, Option<Receiver>),
    /// The keeper's socket, which is there once the process is made, and what of its output is shown.
    Keeper(PathBuf, Shows),
}

impl Ends {
    /// Of a process whose output comes by pipes.
    pub fn of_pipes(pipes: Pipes) -> Result<Ends> {
        let Pipes { fifos, stdout, stderr, writers } = pipes;
        let (stdin, terminal) = (sender(&fifos.streams.stdin)?, fifos.streams.terminal);
        let ends = Ends::new(stdin, Output::Pipes(stdout, stderr), terminal, Some(fifos));
        Ok(Ends { writers, ..ends })
    }

    /// Of a container whose keeper shows the output, at the socket, and that reads from the fifo, if there is one.
    pub fn of_keeper(socket: PathBuf, terminal: bool, input: Option<Fifos>) -> Result<Ends> {
        let stdin = input.as_ref().map(|fifos| sender(&fifos.streams.stdin)).transpose()?.flatten();
        Ok(Ends::new(stdin, Output::Keeper(socket, Shows::default()), terminal, input))
    }

    /// Of a container that runs, whose others may type too: its input goes on when ours has ended.
    pub fn of_running(socket: PathBuf, terminal: bool, input: Option<&Path>) -> Result<Ends> {
        let stdin = input.map(|path| sender(&path.to_string_lossy())).transpose()?.flatten();
        let ends = Ends::new(stdin, Output::Keeper(socket, Shows::default()), terminal, None);
        Ok(Ends { ends_input: false, ..ends })
    }

    fn new(stdin: Option<Sender>, output: Output, terminal: bool, fifos: Option<Fifos>) -> Ends {
        Ends {
            stdin,
            output,
            terminal,
            keys: Keys::default(),
            ends_input: true,
            gives_signals: true,
            caught: None,
            writers: Vec::new(),
            _fifos: fifos,
        }
    }

    /// With other keys to leave the process alone.
    pub fn detached_by(self, keys: Keys) -> Ends {
        Ends { keys, ..self }
    }

    /// With some of the output of a container alone.
    pub fn that_show(self, shows: Shows) -> Ends {
        match self.output {
            Output::Keeper(socket, _) => Ends { output: Output::Keeper(socket, shows), ..self },
            Output::Pipes(..) => self,
        }
    }

    /// With what is caught for the process already.
    pub fn with(self, caught: Caught) -> Ends {
        Ends { caught: Some(caught), ..self }
    }

    /// Without our signals for the process: they end this program.
    pub fn without_signals(self) -> Ends {
        Ends { gives_signals: false, ..self }
    }

    /// Ties the streams together until the process has ended and all its output is shown. To be called when the process
    /// was made: from then on the end of a stream is the end of the output. `start` starts the process.
    ///
    /// Gives the exit code, unless the user leaves the process alone meanwhile.
    pub async fn tie(
        self,
        engine: &Engine,
        target: &Target,
        start: impl Future<Output = Result<()>>,
    ) -> Result<Outcome> {
        let Ends { stdin, output, terminal, keys, ends_input, gives_signals, caught, writers, _fifos: fifos } =
            self;
        let raw = if terminal && stdin.is_some() { Raw::enter()? } else { None };
        let wait = Wait { container_id: target.container.clone(), exec_id: target.exec.clone() };
        // From before the start, so that the shortest life is seen.
        let waiting = tokio::spawn({
            let engine = engine.clone();
            async move { engine.call(wait).await }
        });
        let (detach, detached) = oneshot::channel();
        let keys = if terminal { keys } else { Keys::none() };
        let (tell_started, started) = oneshot::channel();
        let input =
            Input { engine: engine.clone(), target: target.clone(), to: stdin, keys, ends: ends_input };
        let input = tokio::spawn(async move {
            // A shim may open its end at the start alone: what is typed and closed before is lost.
            if started.await.is_ok() {
                input.feed(detach).await;
            }
        });
        let caught = caught.unwrap_or_else(|| Caught::from_now(gives_signals));
        let shown = output.open().await?;
        let fifos = fifos.as_ref();
        let to_the_end = async {
            caught.unless_interrupted(start).await?;
            // For as long as the process runs somebody may type into them, whatever becomes of this program.
            fifos.inspect(|fifos| fifos.stay(true));
            drop(writers);
            // Whoever doesn't listen has no input to give.
            let _ = tell_started.send(());
            // It ends with the process.
            let mut forwarding = JoinSet::new();
            forwarding.spawn(forward(engine.clone(), target.clone(), terminal, caught));
            if terminal {
                resize(engine, target).await;
            }
            let exited = waiting.await.map_err(|err| Error::new(err.to_string())).at("waiting")??;
            fifos.inspect(|fifos| fifos.stay(false));
            Ok(Outcome::Ended(u8::try_from(exited.exit_status).unwrap_or(u8::MAX)))
        };
        let unread = Notify::new();
        let ended = tokio::select! {
            ended = shown_to_the_end(to_the_end, shown.show(&unread)) => ended,
            () = told(detached) => Ok(Outcome::Detached),
            () = left_by_readers(engine, target, &unread) => Ok(Outcome::Unread),
        };
        input.abort();
        drop(raw);
        ended
    }
}

/// Waits for a message. One that nobody can send any more never comes.
async fn told(message: oneshot::Receiver<()>) {
    if message.await.is_err() {
        std::future::pending().await
    }
}

/// Waits until nobody reads what a container shows. A process that was added is for its reader alone, and hears of it.
async fn left_by_readers(engine: &Engine, target: &Target, unread: &Notify) {
    unread.notified().await;
    if target.exec.is_empty() {
        return;
    }
    let Target { container, exec } = target.clone();
    // A process that has ended meanwhile needs none.
    drop(engine.call(Kill { container_id: container, exec_id: exec, signal: SIGPIPE, all: false }).await);
    std::future::pending().await
}

/// The shim opens its end of the input later: who opens to write alone would have to wait for it.
fn sender(path: &str) -> Result<Option<Sender>> {
    let open = || OpenOptions::new().read_write(true).open_sender(path).at(path);
    if path.is_empty() { Ok(None) } else { open().map(Some) }
}

impl Output {
    async fn open(self) -> Result<Shown> {
        match self {
            Output::Pipes(stdout, stderr) => Ok(Shown::Streams(stdout, stderr)),
            Output::Keeper(socket, shows) => {
                let stream = UnixStream::connect(&socket).await.at(socket.display())?;
                Ok(Shown::Frames(stream, shows))
            }
        }
    }
}

/// Output that can be shown.
enum Shown {
    Streams(Receiver, Option<Receiver>),
    Frames(UnixStream, Shows),
}

impl Shown {
    /// Shows what comes, until nothing more can come, and tells when nobody reads it any more.
    async fn show(self, unread: &Notify) {
        match self {
            Shown::Streams(stdout, stderr) => {
                tokio::join!(show(stdout, std::io::stdout(), unread), show_some(stderr));
            }
            // The keeper may be killed in the middle of a frame: then that was all.
            Shown::Frames(stream, shows) => drop(
                frames(stream, |is_error, chunk| match is_error {
                    true if shows.stderr => put(&mut std::io::stderr(), chunk, &Notify::new()),
                    false if shows.stdout => put(&mut std::io::stdout(), chunk, unread),
                    _ => {}
                })
                .await,
            ),
        }
    }
}

/// Hands on what a keeper's socket shows, until the keeper ends: whether a chunk is of standard error, and the chunk.
/// It has Docker's header before it: the stream, three bytes of nothing, and the length.
pub async fn frames(mut from: UnixStream, mut take: impl FnMut(bool, &[u8])) -> std::io::Result<()> {
    const STDERR: u8 = 2;
    loop {
        let mut header = [0; 8];
        from.read_exact(&mut header).await?;
        let [stream, _, _, _, length @ ..] = header;
        let mut chunk = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut chunk).await?;
        take(stream == STDERR, &chunk);
    }
}

/// What can't be shown is lost.
fn put(to: &mut impl Write, chunk: &[u8], unread: &Notify) {
    let shown = to.write_all(chunk).and_then(|()| to.flush());
    if shown.is_err_and(|err| err.kind() == std::io::ErrorKind::BrokenPipe) {
        unread.notify_one();
    }
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
        show(from, std::io::stderr(), &Notify::new()).await;
    }
}

/// Shows what comes, until nobody can write any more.
async fn show(mut from: Receiver, mut to: impl Write, unread: &Notify) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length) = from.read(&mut chunk).await {
        if length == 0 {
            break;
        }
        put(&mut to, &chunk[..length], unread);
    }
}

/// Our standard input, on its way to the process.
struct Input {
    engine: Engine,
    target: Target,
    to: Option<Sender>,
    keys: Keys,
    /// Whether the process hears of the end.
    ends: bool,
}

impl Input {
    /// Gives what is typed to the process, until the end or until the keys are typed, which `detach` tells of.
    async fn feed(self, detach: oneshot::Sender<()>) {
        let Input { engine, target, to, mut keys, ends } = self;
        let Some(mut to) = to else { return };
        let mut typed = standard_input();
        while let Some(chunk) = typed.recv().await {
            let (chunk, leaves) = keys.take(&chunk);
            if to.write_all(&chunk).await.is_err() {
                return;
            }
            if leaves {
                // Who waits for it may have ended meanwhile.
                let _ = detach.send(());
                return;
            }
        }
        drop(to);
        if ends {
            let close = CloseIo { container_id: target.container, exec_id: target.exec, stdin: true };
            // A process that has ended meanwhile reads no more.
            drop(engine.call(close).await);
        }
    }
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

/// Gives signals to the process, which has started, and tells its terminal of our terminal's size.
async fn forward(engine: Engine, target: Target, terminal: bool, mut caught: Caught) {
    while let Some(kind) = caught.next().await {
        if kind == SignalKind::window_change() {
            if terminal {
                resize(&engine, &target).await;
            }
            continue;
        }
        let Target { container, exec } = target.clone();
        let signal = kind.as_raw_value().unsigned_abs();
        let kill = Kill { container_id: container, exec_id: exec, signal, all: false };
        // A process that has ended gets none: then the user waits for whoever shows its output, a keeper say.
        if engine.call(kill).await.is_ok() {
            caught.given(kind);
        }
    }
}

async fn resize(engine: &Engine, target: &Target) {
    let Some((width, height)) = terminal::size() else { return };
    let Target { container, exec } = target.clone();
    // A process that has ended meanwhile needs none.
    drop(engine.call(ResizePty { container_id: container, exec_id: exec, width, height }).await);
}
