//! Directories in which something changes, as the kernel tells of it.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::{Context, Result};

/// A queue of changes in directories. What changes while nobody waits is told at the next wait.
pub struct Changes(AsyncFd<Queue>);

struct Queue(Inotify);

impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Changes {
    /// An empty queue.
    #[expect(
        deprecated,
        reason = "its successor is unsafe for types that don't own what they name, which this one does"
    )]
    pub fn new() -> Result<Changes> {
        let queue = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).at("inotify")?;
        AsyncFd::with_interest(Queue(queue), Interest::READABLE).at("inotify").map(Changes)
    }

    /// The changes of these directories, as of now.
    pub fn of<'a>(dirs: impl IntoIterator<Item = &'a Path>) -> Result<Changes> {
        let changes = Changes::new()?;
        dirs.into_iter().try_for_each(|dir| changes.watch(dir))?;
        Ok(changes)
    }

    /// Watches a directory, too. Instead of one that isn't there yet, its parent is watched. To watch a directory twice
    /// is to watch it once.
    pub fn watch(&self, dir: &Path) -> Result<()> {
        let what = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF;
        let mut dir = dir;
        loop {
            match (self.0.get_ref().0.add_watch(dir, what), dir.parent()) {
                (Err(Errno::ENOENT), Some(parent)) => dir = parent,
                (watched, _) => return watched.map(drop).at(dir.display()),
            }
        }
    }

    /// Waits until something has changed since the last wait. Unfinished files, whose names begin with a dot, don't
    /// count.
    pub async fn next(&self) -> Result<()> {
        loop {
            let mut ready = self.0.readable().await.at("inotify")?;
            match self.0.get_ref().0.read_events() {
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).at("inotify"),
                Ok(events) if events.iter().any(counts) => return Ok(()),
                Ok(_) => {}
            }
        }
    }
}

fn counts(event: &InotifyEvent) -> bool {
    !event.name.as_ref().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::disk;

    #[test]
    fn what_is_written_while_nobody_waits_is_told_and_nothing_is_told_twice() {
        let dir = std::env::temp_dir().join(format!("corten-compose-changes-{}", std::process::id()));
        disk::make_dir(&dir).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let inside = dir.join("inside");
            let changes = Changes::of([inside.as_path()]).unwrap();
            let told =
                || async { tokio::time::timeout(Duration::from_millis(20), changes.next()).await.is_ok() };
            std::fs::write(dir.join(".unfinished"), "").unwrap();
            assert!(!told().await);
            disk::make_dir(&inside).unwrap();
            assert!(told().await);
            changes.watch(&inside).unwrap();
            disk::write(&inside.join("state.json"), b"1").unwrap();
            assert!(told().await);
            assert!(!told().await);
        });
        disk::remove_dir(&dir).unwrap();
    }
}
