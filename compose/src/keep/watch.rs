//! The end of a process that isn't a child.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::process::Process;

/// How often a process is looked at where the kernel can't tell.
const LOOK: Duration = Duration::from_millis(200);

/// Returns once the process has ended.
pub async fn end_of(process: Process) {
    let pidfd = Pid::from_raw(process.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // The pid may be another process's since: then this one has ended.
    if process.is_alive() {
        if let Some(watched) = pidfd.and_then(watched) {
            drop(watched.readable().await);
        }
    }
    while process.is_alive() {
        tokio::time::sleep(LOOK).await;
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for types that don't own what they name, which this one does"
)]
fn watched(pidfd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE).ok()
}
