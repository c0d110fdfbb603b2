//! A project's lock: only one command at a time changes a project. Whoever only waits for a container doesn't hold it,
//! so that others can stop the container meanwhile.

use std::cell::RefCell;
use std::fs::File;
use std::sync::{Arc, Weak};

use nix::fcntl::Flock;
use tokio::sync::Mutex;

use crate::disk::Disk;
use crate::error::{Error, Result};

/// The lock, held until the last clone is dropped.
#[derive(Clone)]
pub struct Held(Arc<Holding>);

struct Holding {
    disk: Disk,
    project: String,
    _lock: Flock<File>,
}

/// Waits for the lock.
pub async fn hold(disk: &Disk, project: &str) -> Result<Held> {
    let (disk, project) = (disk.clone(), project.to_owned());
    let locked = tokio::task::spawn_blocking(move || {
        let _lock = disk.lock(&format!("project-{project}"))?;
        Ok(Held(Arc::new(Holding { disk, project, _lock })))
    });
    locked.await.map_err(|err| Error::new(err.to_string()))?
}

/// The lock for the steps of a plan, which are at work at the same time: held from before the first one, and let go of
/// while all that are at work wait for containers.
pub struct InTurns {
    disk: Disk,
    project: String,
    first: RefCell<Option<Held>>,
    held: Mutex<Weak<Holding>>,
}

impl InTurns {
    pub fn new(first: Held) -> InTurns {
        let held = Mutex::new(Arc::downgrade(&first.0));
        let (disk, project) = (first.0.disk.clone(), first.0.project.clone());
        InTurns { disk, project, first: RefCell::new(Some(first)), held }
    }

    /// Holds it for a step that changes something.
    pub async fn hold(&self) -> Result<Held> {
        let mut held = self.held.lock().await;
        if let Some(holding) = held.upgrade() {
            return Ok(Held(holding));
        }
        let anew = hold(&self.disk, &self.project).await?;
        *held = Arc::downgrade(&anew.0);
        Ok(anew)
    }

    /// Lets go of it for a step that waits, unless another step holds it.
    pub fn let_go(&self) {
        self.first.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_lets_others_in_and_who_changes_does_not() {
        let disk = Disk::of(&format!("test-of-turns-{}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let is_free = || disk.try_lock("project-p").expect("the lock").is_some();
        runtime.block_on(async {
            let turns = InTurns::new(hold(&disk, "p").await.expect("the lock"));
            let (one, other) = (turns.hold().await.expect("it"), turns.hold().await.expect("it"));
            turns.let_go();
            drop(one);
            assert!(!is_free(), "a step is at work");
            drop(other);
            assert!(is_free(), "all wait");
            let again = turns.hold().await.expect("it");
            assert!(!is_free(), "a step is at work again");
            drop(again);
            assert!(is_free());
        });
    }
}
