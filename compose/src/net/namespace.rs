//! Work within another process's network namespace.

use std::fs::File;
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns};

use crate::error::{Context, Error, Result};

/// The network namespace of a process.
pub fn of(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

/// Does something in the network namespace of a process. Sockets stay in it, and so do programs that are started.
///
/// A thread of its own enters: a namespace is a thread's, and there would be a way back only for root.
pub fn within<T: Send>(pid: i32, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let path = of(pid);
    let namespace = File::open(&path).at(path.display())?;
    std::thread::scope(|scope| {
        let entered = scope.spawn(|| {
            setns(&namespace, CloneFlags::CLONE_NEWNET).at(path.display())?;
            work()
        });
        entered
            .join()
            .unwrap_or_else(|_| Err(Error::new(format!("{}: the thread inside failed", path.display()))))
    })
}
