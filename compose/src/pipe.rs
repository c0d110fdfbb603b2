//! Pipes that a shim opens by a path, for as long as the process that reads them lives.
//!
//! Who opens a fifo to write waits for a reader, and containerd's own shim answers nobody else about its container
//! while it waits. A fifo is there still when its reader was killed. The path of a pipe leads nowhere then, and the
//! shim's call fails at once.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::disk;
use crate::error::{Context, Result};

/// A pipe with a path.
pub struct NamedPipe {
    /// Goes with this value.
    pub name: Name,
    /// The end to read from. The path is good for as long as this process has it open.
    pub read: OwnedFd,
    /// The end to write to: while it is open here, the reader sees no end.
    pub write: OwnedFd,
}

/// The path of a pipe. It goes with this value.
pub struct Name(PathBuf);

impl NamedPipe {
    /// Makes it. What an earlier process has left at the path goes.
    pub fn at(path: &Path) -> Result<NamedPipe> {
        disk::remove_file(path)?;
        let (read, write) = pipe2(OFlag::O_CLOEXEC).at(path.display())?;
        symlink(format!("/proc/{}/fd/{}", std::process::id(), read.as_raw_fd()), path).at(path.display())?;
        Ok(NamedPipe { name: Name(path.to_owned()), read, write })
    }
}

impl Name {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // What stays leads nowhere.
        drop(disk::remove_file(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_path_leads_to_the_pipe_and_nobody_who_opens_it_waits() {
        let path = std::env::temp_dir().join(format!("corten-compose-pipe-{}", std::process::id()));
        let pipe = NamedPipe::at(&path).expect("a pipe");
        let mut writer = File::options().write(true).open(&path).expect("its path is opened");
        writer.write_all(b"said").expect("it is written to");
        drop((writer, pipe.write));
        let mut said = String::new();
        File::from(pipe.read).read_to_string(&mut said).expect("it is read to its end");
        assert_eq!(said, "said");
        assert!(File::options().write(true).open(&path).is_err(), "the reader has closed it");
        drop(pipe.name);
        assert!(fs::symlink_metadata(&path).is_err(), "nothing stays");
    }
}
