//! Directories with what a build needs and the user has no file of.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::disk::{self, Disk};
use crate::error::{Context, Error, Result};
use crate::id;
use crate::process::{Process, child};

/// The name of a Dockerfile that is a text.
const DOCKERFILE: &str = "Dockerfile";
/// What decides whether a file is an archive.
const HEAD_BYTES: usize = 512;
/// Where a tar archive says that it is one, and how.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");
/// How compressed archives begin: gzip, bzip2, xz, zstd.
const COMPRESSED: [&[u8]; 4] = [&[0x1f, 0x8b], b"BZh", b"\xfd7zXZ", &[0x28, 0xb5, 0x2f, 0xfd]];

/// A directory that is gone when this is dropped. The next build removes what a killed one has left.
pub struct Stage(PathBuf);

impl Stage {
    /// Makes one.
    pub fn new(disk: &Disk) -> Result<Stage> {
        let builds = disk.builds();
        for dir in disk::list(&builds)? {
            if !owner(&dir).is_some_and(|owner| owner.is_alive()) {
                disk::remove_dir(&dir)?;
            }
        }
        let own = Process::own().ok_or_else(|| Error::new("/proc tells nothing of this process"))?;
        let dir = builds.join(format!("{}-{}-{}", own.pid, own.started, id::short(&id::random()?)));
        disk::make_dir(&dir)?;
        Ok(Stage(dir))
    }

    /// The place of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A directory with nothing but this Dockerfile.
    pub fn dockerfile(&self, text: &str) -> Result<PathBuf> {
        let dir = self.path("dockerfile");
        disk::make_dir(&dir)?;
        disk::write(&dir.join(DOCKERFILE), text.as_bytes())?;
        Ok(dir)
    }

    /// An empty directory.
    pub fn empty(&self, name: &str) -> Result<PathBuf> {
        let dir = self.path(name);
        disk::make_dir(&dir)?;
        Ok(dir)
    }

    /// Lays out an archive.
    pub fn unpack(&self, name: &str, archive: &Path) -> Result<PathBuf> {
        let dir = self.empty(name)?;
        let mut tar = child::command("tar");
        tar.arg("--no-same-owner").arg("-xf").arg(archive).arg("-C").arg(&dir).stdin(Stdio::null());
        let done = tar.output().at("tar")?;
        if done.status.success() {
            return Ok(dir);
        }
        let said = String::from_utf8_lossy(&done.stderr);
        Err(Error::new(said.lines().next_back().unwrap_or("tar failed").to_owned())).at("unpack the context")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(disk::remove_dir(&self.0));
        if let Some(builds) = self.0.parent() {
            // Where another build is at work, it stays.
            drop(std::fs::remove_dir(builds));
        }
    }
}

/// Whose stage it is, by its name.
fn owner(dir: &Path) -> Option<Process> {
    let mut parts = dir.file_name()?.to_str()?.split('-');
    Some(Process { pid: parts.next()?.parse().ok()?, started: parts.next()?.parse().ok()? })
}

/// What `docker build -` reads: a Dockerfile, or an archive of a whole context.
#[derive(Debug, PartialEq)]
pub enum Piped {
    Dockerfile(String),
    /// The directory that the archive is laid out in.
    Context(PathBuf),
}

/// Reads a context from a pipe.
pub fn context(stage: &Stage, mut from: impl Read) -> Result<Piped> {
    let mut head = Vec::new();
    from.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).at("standard input")?;
    if !is_archive(&head) {
        from.read_to_end(&mut head).at("standard input")?;
        let text =
            String::from_utf8(head).map_err(|_| Error::new("standard input: no Dockerfile and no archive"));
        return text.map(Piped::Dockerfile);
    }
    let archive = stage.path("context.tar");
    let mut file = std::fs::File::create(&archive).at(archive.display())?;
    file.write_all(&head).and_then(|()| std::io::copy(&mut from, &mut file)).at(archive.display())?;
    let dir = stage.unpack("context", &archive)?;
    disk::remove_file(&archive)?;
    Ok(Piped::Context(dir))
}

fn is_archive(head: &[u8]) -> bool {
    let (at, magic) = TAR_MAGIC;
    COMPRESSED.iter().any(|magic| head.starts_with(magic)) || head.get(at..at + magic.len()) == Some(magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_from_dockerfiles() {
        assert!(!is_archive(b"FROM scratch\n") && !is_archive(b""));
        assert!(is_archive(&[0x1f, 0x8b, 8]) && is_archive(b"BZh9"));
        let mut tar = vec![0; HEAD_BYTES];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(is_archive(&tar));
    }

    #[test]
    fn a_stage_has_its_owner_in_its_name() {
        assert_eq!(owner(Path::new("/b/12-34-ab")), Some(Process { pid: 12, started: 34 }));
        assert_eq!(owner(Path::new("/b/x")), None);
    }
}
