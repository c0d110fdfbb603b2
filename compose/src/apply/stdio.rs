//! Where a container's streams go: the one place that knows it.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::net::unix::pipe::Receiver;

use super::keeper;
use crate::disk;
use crate::error::{Context, Result};
use crate::pipe::NamedPipe;

/// The streams of a process, as containerd is told them. An empty name is /dev/null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    pub stdin: String,
    pub stdout: String,
    pub stderr: String,
    pub terminal: bool,
}

/// The streams of a container whose keeper takes the output. With a terminal, there is one stream of it.
pub fn kept(dir: &Path, terminal: bool) -> Result<Streams> {
    let uri = keeper::log_uri(dir)?;
    let stderr = if terminal { String::new() } else { uri.clone() };
    Ok(Streams { stdin: String::new(), stdout: uri, stderr, terminal })
}

/// The fifo by which a container that runs is typed to, if it reads.
pub fn input(running: &Path) -> Option<PathBuf> {
    Some(disk::input(running)).filter(|path| path.exists())
}

/// Fifos in a directory, for a process that somebody is attached to. They go when this is dropped, unless they are to
/// stay.
#[derive(Debug)]
pub struct Fifos {
    dir: PathBuf,
    stay: Cell<bool>,
    pub streams: Streams,
}

impl Fifos {
    /// Makes one for the input, in a directory of its own, beside what is there for the output.
    pub fn for_input(dir: &Path, output: Streams) -> Result<Fifos> {
        let mut made = Fifos::empty(dir)?;
        made.streams = Streams { stdin: made.fifo(disk::STDIN)?, ..output };
        Ok(made)
    }

    /// Makes them for the output, and for the input if the process reads from somebody.
    pub fn for_all(dir: &Path, reads: bool, terminal: bool) -> Result<Fifos> {
        let mut made = Fifos::empty(dir)?;
        made.streams = Streams {
            stdin: if reads { made.fifo(disk::STDIN)? } else { String::new() },
            stdout: made.fifo("stdout")?,
            stderr: if terminal { String::new() } else { made.fifo("stderr")? },
            terminal,
        };
        Ok(made)
    }

    /// Leaves them where they are, for as long as the container's directory below /run is there.
    pub fn leave(self) -> Streams {
        self.stay(true);
        self.streams.clone()
    }

    /// Says whether they are left where they are when this is dropped.
    pub fn stay(&self, stay: bool) {
        self.stay.set(stay);
    }

    fn empty(dir: &Path) -> Result<Fifos> {
        disk::remove_dir(dir)?;
        disk::make_dir(dir)?;
        Ok(Fifos { dir: dir.to_owned(), stay: Cell::new(false), streams: Streams::default() })
    }

    fn fifo(&self, name: &str) -> Result<String> {
        let path = self.dir.join(name);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).at(path.display())?;
        Ok(path.to_string_lossy().into_owned())
    }
}

/// Pipes for the output of a process that this program alone reads, and a fifo for its input, if it reads.
pub struct Pipes {
    /// What containerd is told of. They go with this value.
    pub fifos: Fifos,
    pub stdout: Receiver,
    pub stderr: Option<Receiver>,
    /// To be kept until the process has started: before, there would be an end of the output.
    pub writers: Vec<OwnedFd>,
}

impl Pipes {
    /// Makes them in a directory of their own. With a terminal there is one stream of output.
    pub fn new(dir: &Path, reads: bool, terminal: bool) -> Result<Pipes> {
        let mut fifos = Fifos::empty(dir)?;
        let mut writers = Vec::new();
        let mut output = |name: &str| -> Result<(String, Receiver)> {
            let path = dir.join(name);
            let NamedPipe { name, read, write } = NamedPipe::at(&path)?;
            writers.push(write);
            // The path goes with the directory.
            std::mem::forget(name);
            let receiver = Receiver::from_owned_fd(read).at(path.display())?;
            Ok((path.to_string_lossy().into_owned(), receiver))
        };
        let (stdout_path, stdout) = output("stdout")?;
        let (stderr_path, stderr) = if terminal { None } else { Some(output("stderr")?) }.unzip();
        fifos.streams = Streams {
            stdin: if reads { fifos.fifo(disk::STDIN)? } else { String::new() },
            stdout: stdout_path,
            stderr: stderr_path.unwrap_or_default(),
            terminal,
        };
        Ok(Pipes { fifos, stdout, stderr, writers })
    }
}

impl Drop for Fifos {
    fn drop(&mut self) {
        if !self.stay.get() {
            // What can't be removed goes with the boot.
            drop(disk::remove_dir(&self.dir));
        }
    }
}
