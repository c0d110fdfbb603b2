//! An attacker who changes the filesystem while the runtime works on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// A thread that exchanges two paths, again and again, until it is dropped.
pub struct Racer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Racer {
    /// Starts exchanging `one` and `other`.
    pub fn exchange(one: impl AsRef<Path>, other: impl AsRef<Path>) -> Racer {
        let (one, other): (PathBuf, PathBuf) = (one.as_ref().into(), other.as_ref().into());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // The exchange fails while the runtime holds a mount on a path, which is no reason to give up.
                let _ = renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
            }
        });
        Racer { stop, thread: Some(thread) }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
