//! Where a container's streams go: the one place that knows it.

use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::keeper;
use crate::disk;
use crate::error::{Context, Result};

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

/// Fifos in a directory, for a process that somebody is attached to. They go when this is dropped.
#[derive(Debug)]
pub struct Fifos {
    dir: PathBuf,
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
        let streams = self.streams.clone();
        std::mem::forget(self);
        streams
    }

    fn empty(dir: &Path) -> Result<Fifos> {
        disk::remove_dir(dir)?;
        disk::make_dir(dir)?;
        Ok(Fifos { dir: dir.to_owned(), streams: Streams::default() })
    }

    fn fifo(&self, name: &str) -> Result<String> {
        let path = self.dir.join(name);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).at(path.display())?;
        Ok(path.to_string_lossy().into_owned())
    }
}

impl Drop for Fifos {
    fn drop(&mut self) {
        // What stays goes with the boot.
        drop(disk::remove_dir(&self.dir));
    }
}
