//! The ends of processes: each that the shim knows is waited for by its pidfd, orphans are swept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use corten::container::{Ended, PidFd, reap_orphans};
use corten::error::{Error, Result, best_effort};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::machine::call::Exit;
use crate::watch::watched;

/// The processes whose end somebody waits for.
#[derive(Default)]
pub struct Children(Mutex<Known>);

#[derive(Default)]
struct Known {
    pids: BTreeSet<i32>,
    /// How many operations are at work whose children the shim doesn't know: runtimes before they have told their pid,
    /// and hooks.
    holds: usize,
}

/// No orphan is reaped while this value lives: it might be a child that somebody else is about to wait for.
pub struct Hold(Arc<Children>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.locked().holds -= 1;
        self.0.sweep();
    }
}

impl Children {
    /// Leaves orphans alone for a while.
    pub fn hold(self: &Arc<Self>) -> Hold {
        self.locked().holds += 1;
        Hold(Arc::clone(self))
    }

    /// Makes a child known: from here on nobody but the [`Child`] reaps it.
    ///
    /// Needs: a [`Hold`] from before the child began, so that nobody has reaped it yet.
    pub fn know(self: &Arc<Self>, pid: i32) -> Result<Child> {
        let mark = Mark::new(self, pid);
        let pidfd = watched(PidFd::open(pid)?, Interest::READABLE);
        Ok(Child { pidfd: pidfd.map_err(|err| Error::io("epoll_ctl(pidfd)", &err))?, _mark: mark })
    }

    /// Whether the pid is a known child's that wasn't reaped yet.
    pub fn knows(&self, pid: i32) -> bool {
        self.locked().pids.contains(&pid)
    }

    /// Reaps children that nobody waits for.
    pub fn sweep(&self) {
        let known = self.locked();
        if known.holds == 0 {
            // It fails for want of memory at most, and is tried again.
            drop(reap_orphans(|pid| known.pids.contains(&pid)));
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child whose end is waited for.
pub struct Child {
    pidfd: AsyncFd<PidFd>,
    _mark: Mark,
}

impl Child {
    /// Sends it a signal. It may have ended.
    pub fn signal(&self, signal: i32) {
        best_effort(self.pidfd.get_ref().send_signal(signal), "it has ended, then");
    }

    /// Waits for its end, and reaps it.
    pub async fn end(&self) -> Result<Exit> {
        loop {
            if let Some(ended) = self.pidfd.get_ref().reap_now()? {
                return Ok(exit(ended));
            }
            let ready = self.pidfd.readable().await;
            ready.map_err(|err| Error::io("epoll_wait(pidfd)", &err))?.clear_ready();
        }
    }
}

/// A pid among the known ones.
struct Mark(Arc<Children>, i32);

impl Mark {
    fn new(children: &Arc<Children>, pid: i32) -> Mark {
        children.locked().pids.insert(pid);
        Mark(Arc::clone(children), pid)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.locked().pids.remove(&self.1);
        // A known child that had ended stood before the orphans.
        self.0.sweep();
    }
}

fn exit(ended: Ended) -> Exit {
    Exit { status: ended.code().unsigned_abs(), at: SystemTime::now() }
}
