//! Tells when a container is out of memory.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::readings;
use crate::error::{Error, Result};
use crate::sys::cgroupfs::{Dir, FileWatch, OomCounter, is_gone};

/// What a watch has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomEvent {
    /// The container was out of memory (v1), or the OOM killer has killed one of its processes (v2).
    Oom,
    /// The container's last process is gone, or its cgroup is gone. Nothing will follow.
    Gone,
}

/// A watch for the container being out of memory. Readable (POLLIN) when there is something to
/// [`read`](Self::read).
pub struct OomWatch {
    dir: Dir,
    seen: u64,
    source: Source,
}

enum Source {
    V1(OomCounter),
    /// Changes of `memory.events` and `cgroup.events`.
    V2(FileWatch),
}

impl OomWatch {
    pub(super) fn on_v1(path: &Path) -> Result<OomWatch> {
        let dir = Dir::open(path)?;
        let counter = OomCounter::register(&dir)?;
        Ok(OomWatch { dir, seen: 0, source: Source::V1(counter) })
    }

    pub(super) fn on_v2(path: &Path) -> Result<OomWatch> {
        let dir = Dir::open(path)?;
        let watch = FileWatch::of(&dir, &["memory.events", "cgroup.events"])?;
        let seen = count(&dir, "memory.events", "oom_kill").unwrap_or(0);
        Ok(OomWatch { dir, seen, source: Source::V2(watch) })
    }

    /// What has happened since the last read, if anything has.
    pub fn read(&mut self) -> Result<Option<OomEvent>> {
        match &self.source {
            Source::V1(counter) => {
                let happened = counter.take()?;
                // The kernel adds to the counter when the cgroup is removed, too.
                let there = self.dir.path().exists();
                Ok(happened.then_some(if there { OomEvent::Oom } else { OomEvent::Gone }))
            }
            Source::V2(watch) => {
                watch.take()?;
                self.read_v2()
            }
        }
    }

    fn read_v2(&mut self) -> Result<Option<OomEvent>> {
        match count(&self.dir, "memory.events", "oom_kill") {
            Ok(kills) if kills > self.seen => {
                self.seen = kills;
                return Ok(Some(OomEvent::Oom));
            }
            Err(err) if is_gone(&err) => return Ok(Some(OomEvent::Gone)),
            kills => drop(kills?),
        }
        match count(&self.dir, "cgroup.events", "populated") {
            Ok(1..) => Ok(None),
            Err(err) if !is_gone(&err) => Err(err),
            _ => Ok(Some(OomEvent::Gone)),
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::V1(counter) => counter.as_fd(),
            Source::V2(watch) => watch.as_fd(),
        }
    }
}

fn count(dir: &Dir, file: &str, key: &str) -> Result<u64> {
    let text = dir.read(file)?;
    let found = readings::keyed(&text).find(|(known, _)| *known == key);
    found.map(|(_, count)| count).ok_or_else(|| Error::internal(format!("{file} has no {key}")))
}
