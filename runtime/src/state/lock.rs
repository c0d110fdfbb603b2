//! The lock on a container's directory: one command at a time changes the container.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;

use super::ContainerDir;
use super::directory::does_not_exist;
use crate::error::{Context, Error, Kind, Result, best_effort};
use crate::sys::clock::Deadline;
use crate::sys::file;

/// How long a command waits for another command that works on the same container.
const WAIT: Duration = Duration::from_secs(30);

/// The first pause between two tries, doubled up to the last pause.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_LAST: Duration = Duration::from_millis(50);

/// As long as the lock lives, no other command changes the container.
pub struct Lock(OwnedFd);

impl ContainerDir {
    /// Locks the container, once no other command holds the lock.
    ///
    /// Tries without blocking, with pauses that grow from 1 to 50 ms: flock(2) has no deadline of its own. A signal
    /// could interrupt flock(2), but would be more machinery than a pause, and only a second command at the same
    /// container ever pauses.
    ///
    /// Errors: WrongState at the deadline; NotFound if the other command deleted the container.
    pub fn lock(&self) -> Result<Lock> {
        let deadline = Deadline::after(WAIT);
        let mut pause = PAUSE_FIRST;
        loop {
            if let Some(lock) = self.try_lock()? {
                return if self.is_linked()? { Ok(lock) } else { Err(does_not_exist()) };
            }
            if deadline.passed() {
                let waited = WAIT.as_secs();
                return Err(Error::new(
                    Kind::WrongState,
                    format!("container {} is held by another command for {waited} seconds now", self.id()),
                ));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }

    /// Locks the container if no other command holds the lock.
    ///
    /// The lock belongs to an open file of its own, so that it ends with the guard, even if a child still has a copy of
    /// the descriptor.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        let this = file::open_at(&self.dir, Path::new("."), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let locked = file::try_lock(&this).doing_with(|| format!("lock {}", self.path.display()))?;
        Ok(locked.then(|| Lock(this)))
    }

    /// Whether the directory is still there under its name: an unlinked directory has no links left.
    pub(super) fn is_linked(&self) -> Result<bool> {
        Ok(file::stat_of(&self.dir)?.st_nlink > 0)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        best_effort(file::unlock(&self.0), "closing the file unlocks it too, unless a child has a copy");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TestRoot, id};
    use super::*;

    #[test]
    fn lock_excludes_and_is_let_go_when_dropped() -> Result<()> {
        let root = TestRoot::new();
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        let other = ContainerDir::open(&root.0, &id("c1"))?;
        let lock = dir.lock()?;
        assert!(other.try_lock()?.is_none());
        drop(lock);
        assert!(other.try_lock()?.is_some());
        Ok(())
    }

    #[test]
    fn lock_on_a_deleted_container_tells_that_it_is_gone() -> Result<()> {
        let root = TestRoot::new();
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        ContainerDir::open(&root.0, &id("c1"))?.remove()?;
        assert_eq!(dir.lock().err().expect("gone").kind(), Kind::NotFound);
        Ok(())
    }
}
