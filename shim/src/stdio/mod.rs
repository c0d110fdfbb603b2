//! The standard streams of a process, between containerd and the container.
//!
//! A process without a terminal gets pipes, whose other ends are the shim's, or /dev/null. Of a terminal the shim gets
//! the master from the runtime. What the process writes is copied to where containerd wants it, by tasks of the one
//! thread. Neither containerd's absence nor a slow reader is an error for the process: the process waits. Only a logger
//! reads the process's pipes itself.

mod copy;
mod fifo;
mod logger;
mod pipe;
mod terminal;
#[cfg(test)]
mod tests;
mod uri;

use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use copy::{Sink, Watched, copy, watch_unblocked};
use logger::Logger;
pub use logger::all_ended as loggers_ended;
use pipe::{give, null, pipe};
use terminal::Console;
use uri::Place;

use crate::machine::call::Streams;
use crate::refusal::{Code, Refusal};

/// Whose streams they are, for loggers.
#[derive(Clone, Debug)]
pub struct Owner {
    /// containerd's namespace.
    pub namespace: String,
    /// The container's id, or the id of the process that was added to it.
    pub id: String,
}

/// What the process is to be given.
#[derive(Debug)]
pub enum ForProcess {
    /// Its descriptors 0, 1 and 2. Nobody else may keep them: its output ends when they are all closed.
    Streams([OwnedFd; 3]),
    /// The path of the socket that the runtime sends the terminal's master to. The socket is removed once the master
    /// has come.
    Terminal(PathBuf),
}

/// The shim's side of the streams. Dropped, all copying ends, and a logger is told to end.
pub struct Stdio {
    /// Keeps the fifo of stdin from ending while no client has it open.
    stdin_kept_open: Option<OwnedFd>,
    waiting: Option<Waiting>,
    master: Option<Watched>,
    input: JoinSet<()>,
    outputs: JoinSet<()>,
    logger: Option<Logger>,
}

/// What is copied once there is a process.
enum Waiting {
    Streams { input: Option<(Watched, Sink)>, outputs: Vec<(Watched, Sink)> },
    Terminal { console: Console, input: Option<Watched>, output: TerminalOutput },
}

/// Where a terminal's output goes. A logger has a pipe for stderr, too: it ends when the output does.
struct TerminalOutput {
    sink: Sink,
    _stderr: Option<OwnedFd>,
}

impl Stdio {
    /// Opens what `streams` names; the pipes that the process gets belong to `user`.
    ///
    /// Errors: InvalidArgument for a place that can't be what it is asked to be; what the kernel says of it; a logger
    /// that can't be executed or doesn't become ready.
    pub async fn open(
        streams: &Streams,
        user: Option<(u32, u32)>,
        owner: &Owner,
    ) -> Result<(Stdio, ForProcess), Refusal> {
        if streams.terminal {
            Stdio::open_terminal(streams, owner).await
        } else {
            Stdio::open_streams(streams, user, owner).await
        }
    }

    async fn open_streams(
        streams: &Streams,
        user: Option<(u32, u32)>,
        owner: &Owner,
    ) -> Result<(Stdio, ForProcess), Refusal> {
        let mut stdio = Stdio::new();
        let mut input = None;
        let stdin = match stdio.open_stdin(&streams.stdin)? {
            None => null()?,
            Some(fifo) => {
                let (end, ours) = pipe()?;
                give(&end, user)?;
                input = Some((fifo, Sink::Pipe(watch_unblocked(ours)?)));
                end
            }
        };
        let mut outputs = Vec::new();
        let [stdout, stderr] = match Outputs::of(streams)? {
            Outputs::Logger(program) => {
                let (logger, ends) = Logger::start(program, owner).await?;
                stdio.logger = Some(logger);
                for end in &ends {
                    give(end, user)?;
                }
                ends
            }
            Outputs::Sinks(sinks) => {
                let mut end = |sink| match sink {
                    Sink::Nowhere => null(),
                    sink => {
                        let (ours, end) = pipe()?;
                        give(&end, user)?;
                        outputs.push((watch_unblocked(ours)?, sink));
                        Ok(end)
                    }
                };
                let [stdout, stderr] = sinks;
                [end(stdout)?, end(stderr)?]
            }
        };
        stdio.waiting = Some(Waiting::Streams { input, outputs });
        Ok((stdio, ForProcess::Streams([stdin, stdout, stderr])))
    }

    async fn open_terminal(streams: &Streams, owner: &Owner) -> Result<(Stdio, ForProcess), Refusal> {
        let mut stdio = Stdio::new();
        let input = stdio.open_stdin(&streams.stdin)?;
        // A terminal has one output.
        let stdout = Streams { stderr: String::new(), ..streams.clone() };
        let output = match Outputs::of(&stdout)? {
            Outputs::Logger(program) => {
                let (logger, [stdout, stderr]) = Logger::start(program, owner).await?;
                stdio.logger = Some(logger);
                TerminalOutput { sink: Sink::Pipe(watch_unblocked(stdout)?), _stderr: Some(stderr) }
            }
            Outputs::Sinks([sink, _]) => TerminalOutput { sink, _stderr: None },
        };
        let console = Console::listen()?;
        let path = console.path();
        stdio.waiting = Some(Waiting::Terminal { console, input, output });
        Ok((stdio, ForProcess::Terminal(path)))
    }

    fn new() -> Stdio {
        Stdio {
            stdin_kept_open: None,
            waiting: None,
            master: None,
            input: JoinSet::new(),
            outputs: JoinSet::new(),
            logger: None,
        }
    }

    fn open_stdin(&mut self, text: &str) -> Result<Option<Watched>, Refusal> {
        let opened = || -> Result<_, Refusal> {
            let Some(path) = Place::parse(text)?.fifo(text)? else { return Ok(None) };
            let (read, write) = fifo::open_input(&path)?;
            Ok(Some((watch_unblocked(read)?, write)))
        };
        let opened = opened().map_err(|refusal| refusal.at("stdin"))?;
        Ok(opened.map(|(read, write)| {
            self.stdin_kept_open = Some(write);
            read
        }))
    }

    /// Begins to copy, now that the process is there. Receives the terminal's master first, if it has one.
    ///
    /// Errors: the runtime has sent no master within 30 s.
    pub async fn begin(&mut self) -> Result<(), Refusal> {
        match self.waiting.take() {
            None => {}
            Some(Waiting::Streams { input, outputs }) => {
                for (source, sink) in outputs {
                    self.outputs.spawn(copy_output(source, sink));
                }
                if let Some((source, sink)) = input {
                    self.input.spawn(async move { copy(&source, &sink).await });
                }
            }
            Some(Waiting::Terminal { console, input, output }) => {
                let master = watch_unblocked(console.master().await?)?;
                self.master = Some(master.clone());
                if let Some(source) = input {
                    let master = master.clone();
                    self.input.spawn(async move {
                        let sink = Sink::Terminal(master.clone());
                        copy(&source, &sink).await;
                        drop(source);
                        terminal::end_input(&master, &sink).await;
                    });
                }
                self.outputs.spawn(async move {
                    let TerminalOutput { sink, _stderr } = output;
                    copy_output(master, sink).await;
                });
            }
        }
        Ok(())
    }

    /// Lets standard input end, once its clients have closed it.
    pub fn close_stdin(&mut self) {
        self.stdin_kept_open = None;
    }

    /// Sets the size of the terminal, if it is one.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<(), Refusal> {
        self.master.as_ref().map_or(Ok(()), |master| terminal::resize(master, columns, rows))
    }

    /// Waits until all output is copied, but not longer than `cap`: a process that the ended one has left behind may
    /// hold its streams for ever.
    pub async fn drained(&mut self, cap: Duration) {
        let all = async {
            while self.outputs.join_next().await.is_some() {}
            if let Some(logger) = &mut self.logger {
                logger.drained().await;
            }
        };
        // What isn't copied by then never is.
        let _in_time = timeout(cap, all).await;
    }
}

/// Where stdout and stderr go.
enum Outputs {
    /// Both to one program.
    Logger(uri::Program),
    Sinks([Sink; 2]),
}

impl Outputs {
    /// stdout decides: a logger takes both, whatever stderr says; a file takes stderr, too, if stderr names nothing.
    fn of(streams: &Streams) -> Result<Outputs, Refusal> {
        let stdout = Place::parse(&streams.stdout).map_err(|refusal| refusal.at("stdout"))?;
        if let Place::Logger(program) = stdout {
            return Ok(Outputs::Logger(program));
        }
        let stderr = Place::parse(&streams.stderr).map_err(|refusal| refusal.at("stderr"))?;
        let stderr = match (&stdout, stderr) {
            (Place::File(path), Place::Nowhere) => Place::File(path.clone()),
            (_, stderr) => stderr,
        };
        let stdout = sink(stdout).map_err(|refusal| refusal.at("stdout"))?;
        let stderr = sink(stderr).map_err(|refusal| refusal.at("stderr"))?;
        Ok(Outputs::Sinks([stdout, stderr]))
    }
}

/// Copies until the source has ended, and lets go of it before the sink is closed.
async fn copy_output(source: Watched, sink: Sink) {
    copy(&source, &sink).await;
    drop(source);
    sink.close().await;
}

fn sink(place: Place) -> Result<Sink, Refusal> {
    match place {
        Place::Nowhere => Ok(Sink::Nowhere),
        Place::Fifo(path) => fifo::Output::open(&path).map(Sink::Fifo),
        Place::File(path) => open_log(&path),
        Place::Logger(_) => Err(Refusal::new(Code::InvalidArgument, "a logger is started for stdout only")),
    }
}

/// Opens a file to append to; it and its directory are made if they aren't there. What is no regular file, such as a
/// fifo or a terminal, may make its writer wait, and is written to as a fifo is.
fn open_log(path: &Path) -> Result<Sink, Refusal> {
    let failed = |call: &str, err| Refusal::unknown(format!("{call}({path:?}): {err}"));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|err| failed("mkdir", err))?;
    }
    if std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
        return fifo::Output::open(path).map(Sink::Fifo);
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().append(true).create(true).custom_flags(flags).open(path);
    let file = opened.map_err(|err| failed("open", err))?;
    if file.is_terminal() {
        return watch_unblocked(file.into()).map(Sink::Pipe);
    }
    Ok(Sink::File(file))
}
