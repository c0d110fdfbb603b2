//! What is copied: entries, each with its path below the place that all go to.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::Result;

/// What is known of an entry beside its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Permissions, with the bits for set-user-id, set-group-id and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// When it was last changed: seconds and nanoseconds since 1970.
    pub changed: (i64, i64),
}

/// What an entry is.
pub enum Kind<'a> {
    Directory,
    /// A file with its content, and how many bytes there are of it.
    File(&'a mut dyn Read, u64),
    Symlink(PathBuf),
    /// A further name of an entry that came before, at that path.
    Link(PathBuf),
    /// A device or a fifo: the type among the bits of its mode, and its number.
    Node(u32, u64),
}

/// Where entries go.
pub trait Sink {
    /// Takes an entry. What is in a directory comes behind the directory. An empty path is the place itself.
    fn take(&mut self, path: &Path, about: &About, kind: Kind) -> Result<()>;

    /// Does what can only be done once all are there.
    fn finish(&mut self) -> Result<()>;
}
