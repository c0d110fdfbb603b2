//! Where a container's streams go: the one place that knows it.

use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::disk;
use crate::error::{Context, Result};

/// The name of the log in the container's directory.
pub const LOG: &str = "log";

/// The streams of a process, as containerd is told them. An empty name is /dev/null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    pub stdin: String,
    pub stdout: String,
    pub stderr: String,
    pub terminal: bool,
}

/// The URI that a container's output goes to when nobody is there to see it.
pub fn log_uri(dir: &Path) -> String {
    format!("file://{}", dir.join(LOG).display())
}

/// The streams of a container that is on its own. With a terminal, there is one stream of output.
pub fn detached(dir: &Path, terminal: bool) -> Streams {
    let uri = log_uri(dir);
    Streams {
        stdin: String::new(),
        stderr: if terminal { String::new() } else { uri.clone() },
        stdout: uri,
        terminal,
    }
}

/// Fifos in a directory, for a process that somebody is attached to. They go when this is dropped.
#[derive(Debug)]
pub struct Fifos {
    dir: PathBuf,
    pub streams: Streams,
}

/// Which fifos a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Whether it reads from somebody.
    pub stdin: bool,
    /// Whether it has a terminal.
    pub terminal: bool,
}

impl Fifos {
    /// Makes them.
    pub fn make(dir: &Path, wants: Wants) -> Result<Fifos> {
        disk::remove_dir(dir)?;
        disk::make_dir(dir)?;
        let fifo = |name: &str, wanted: bool| -> Result<String> {
            if !wanted {
                return Ok(String::new());
            }
            let path = dir.join(name);
            mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).at(path.display())?;
            Ok(path.to_string_lossy().into_owned())
        };
        let streams = Streams {
            stdin: fifo("stdin", wants.stdin)?,
            stdout: fifo("stdout", true)?,
            stderr: fifo("stderr", !wants.terminal)?,
            terminal: wants.terminal,
        };
        Ok(Fifos { dir: dir.to_owned(), streams })
    }
}

impl Drop for Fifos {
    fn drop(&mut self) {
        // What stays goes with the boot.
        drop(disk::remove_dir(&self.dir));
    }
}
