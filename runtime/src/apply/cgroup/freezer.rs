//! Stops and continues all processes of a cgroup.

use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::Duration;

use super::PATIENCE;
use crate::error::{Errno, Error, Result, best_effort};
use crate::sys::cgroupfs::{self, Dir, is_gone};
use crate::sys::clock::Deadline;

/// Stops all processes of a v2 cgroup, and returns once they have stopped. If they don't, they go on.
pub(super) fn freeze_v2(dir: &Dir) -> Result<()> {
    dir.write("cgroup.freeze", "1")?;
    let frozen = wait_for_event(dir, "frozen", "1", Deadline::after(PATIENCE));
    if frozen.is_err() {
        best_effort(thaw_v2(dir), "a cgroup that is half frozen is worse than none");
    }
    frozen
}

/// Lets all processes of a v2 cgroup go on.
pub(super) fn thaw_v2(dir: &Dir) -> Result<()> {
    dir.write("cgroup.freeze", "0")
}

/// Stops all processes of a v1 cgroup, and returns once they have stopped. If they don't, they go on.
pub(super) fn freeze_v1(dir: &Dir) -> Result<()> {
    let frozen = try_freeze_v1(dir);
    if frozen.is_err() {
        best_effort(thaw_v1(dir), "a cgroup that is half frozen is worse than none");
    }
    frozen
}

/// Lets all processes of a v1 cgroup go on.
pub(super) fn thaw_v1(dir: &Dir) -> Result<()> {
    dir.write("freezer.state", "THAWED")
}

/// Whether the cgroup itself is frozen, and not only a cgroup above it. A cgroup that is gone isn't frozen.
pub(super) fn is_frozen(dir: &Dir) -> Result<bool> {
    if let Some(state) = read_if_there(dir, "cgroup.freeze")? {
        return Ok(state.trim() == "1");
    }
    let state = read_if_there(dir, "freezer.state")?;
    if state.is_none_or(|state| state.trim() == "THAWED") {
        return Ok(false);
    }
    // Since 3.8 the kernel tells whether the cgroup itself was frozen, or a cgroup above it.
    Ok(read_if_there(dir, "freezer.self_freezing")?.is_none_or(|own| own.trim() == "1"))
}

/// Whether a process that joins the cgroup stops: the cgroup itself is frozen, or a cgroup above it.
pub(super) fn stops_processes(dir: &Dir) -> Result<bool> {
    if is_frozen(dir)? {
        return Ok(true);
    }
    if let Some(events) = read_if_there(dir, "cgroup.events")? {
        return Ok(events.lines().any(|line| line == "frozen 1"));
    }
    Ok(read_if_there(dir, "freezer.state")?.is_some_and(|state| state.trim() != "THAWED"))
}

/// Waits until `cgroup.events` of a v2 cgroup says `key value`.
pub(super) fn wait_for_event(dir: &Dir, key: &str, value: &str, deadline: Deadline) -> Result<()> {
    let events = dir.open_to_watch("cgroup.events")?;
    let line = format!("{key} {value}");
    loop {
        // The kernel tells of changes since the last read, so each wait comes after a read.
        let text = cgroupfs::read_from_start(events.as_fd())?;
        if text.lines().any(|known| known == line) {
            return Ok(());
        }
        if !cgroupfs::wait_for_change(events.as_fd(), deadline)? && deadline.passed() {
            let cause = format!("cgroup.events of {} doesn't say {line:?} in time", dir.path().display());
            return Err(Error::kernel(cause, Errno::ETIMEDOUT));
        }
    }
}

fn try_freeze_v1(dir: &Dir) -> Result<()> {
    let deadline = Deadline::after(PATIENCE);
    let mut pause = Duration::from_micros(10);
    for attempt in 1.. {
        dir.write("freezer.state", "FROZEN")?;
        if dir.read("freezer.state")?.trim() == "FROZEN" {
            return Ok(());
        }
        if deadline.passed() {
            break;
        }
        // A process that forks or joins meanwhile keeps v1 in FREEZING. Asking again helps, and now and then letting
        // all processes go on first.
        if attempt % 32 == 0 {
            thaw_v1(dir)?;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Err(Error::kernel(format!("freezer.state of {} stays FREEZING", dir.path().display()), Errno::ETIMEDOUT))
}

fn read_if_there(dir: &Dir, file: &str) -> Result<Option<String>> {
    match dir.read(file) {
        Ok(text) => Ok(Some(text)),
        Err(err) if is_gone(&err) => Ok(None),
        Err(err) => Err(err),
    }
}
