//! The cgroups below a cgroup. A container that may make cgroups nests them as deep as it likes: nothing here calls
//! itself, and below the first directory each step names one directory alone.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::freezer;
use crate::error::{Errno, Result, best_effort};
use crate::sys::cgroupfs::{Dir, Top, is_gone};
use crate::sys::clock::Deadline;

/// All processes of the cgroup at `path` and of the cgroups below it; none if the cgroup is gone. A process of another
/// pid namespace, which has no number here, is left out.
pub(super) fn pids_below(top: &Top, path: &Path) -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    walk(top, path, |dir| collect_pids(dir, &mut pids), |_, _| Ok(()))?;
    Ok(pids)
}

fn collect_pids(dir: &Dir, pids: &mut Vec<i32>) -> Result<()> {
    let listed = match dir.read("cgroup.procs") {
        // In a threaded cgroup only threads can be listed.
        Err(err) if err.is(Errno::EOPNOTSUPP) => dir.read("cgroup.threads")?,
        listed => listed?,
    };
    pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    Ok(())
}

/// The directories that are frozen themselves: that of the cgroup at `path`, and those below it. None if it is gone.
pub(super) fn frozen_below(top: &Top, path: &Path) -> Result<Vec<PathBuf>> {
    let mut frozen = Vec::new();
    let collect = |dir: &Dir| {
        if freezer::is_frozen(dir)? {
            frozen.push(dir.path().to_owned());
        }
        Ok(())
    };
    walk(top, path, collect, |_, _| Ok(()))?;
    Ok(frozen)
}

/// Removes the cgroup at `path` and the cgroups below it, the deepest first. A cgroup that is gone is no error.
pub(super) fn remove_tree(top: &Top, path: &Path, deadline: Deadline) -> Result<()> {
    // Mostly the cgroup is empty already: neither processes nor cgroups are in it.
    match top.remove_dir(path) {
        Err(err) if err.is(Errno::EBUSY) || err.is(Errno::ENOTEMPTY) => {}
        removed => return removed,
    }
    let remove =
        |parent: &Dir, name: &OsStr| remove_by(|| parent.child(name), || parent.remove_child(name), deadline);
    walk(top, path, |_| Ok(()), remove)?;
    remove_when_empty(top, path, deadline)
}

/// Removes the cgroup at `path` as soon as its processes are gone. Nobody is killed.
pub(super) fn remove_when_empty(top: &Top, path: &Path, deadline: Deadline) -> Result<()> {
    remove_by(|| top.open_dir(path), || top.remove_dir(path), deadline)
}

fn remove_by(
    open: impl Fn() -> Result<Dir>,
    remove: impl Fn() -> Result<()>,
    deadline: Deadline,
) -> Result<()> {
    let mut pause = Duration::from_micros(100);
    loop {
        // v2 tells when the last process has left. v1 has to be tried again.
        let left = open().and_then(|dir| freezer::wait_for_event(&dir, "populated", "0", deadline));
        best_effort(left, "removing it tells what is wrong");
        match remove() {
            Err(err) if err.is(Errno::EBUSY) && !deadline.passed() => {}
            removed => return removed,
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Goes through the cgroup at `path` and the cgroups below it: `arrive` sees each before what is below it, and `leave`
/// gets each but the first by its parent and its name, after what is below it. Cgroups that go meanwhile are passed
/// over.
fn walk(
    top: &Top,
    path: &Path,
    mut arrive: impl FnMut(&Dir) -> Result<()>,
    mut leave: impl FnMut(&Dir, &OsStr) -> Result<()>,
) -> Result<()> {
    let mut enter = |dir: Result<Dir>| {
        let entered = dir.and_then(|dir| {
            arrive(&dir)?;
            let below = dir.children()?;
            Ok((dir, below))
        });
        match entered {
            Err(err) if is_gone(&err) => Ok(None),
            entered => entered.map(Some),
        }
    };
    let Some((mut here, mut unseen)) = enter(top.open_dir(path))? else { return Ok(()) };
    // The names of the directories that lead here, each with what is still to be seen beside it.
    let mut above: Vec<(OsString, Vec<OsString>)> = Vec::new();
    loop {
        if let Some(name) = unseen.pop() {
            if let Some((child, below)) = enter(here.child(&name))? {
                above.push((name, std::mem::replace(&mut unseen, below)));
                here = child;
            }
        } else if let Some((name, beside)) = above.pop() {
            here = here.parent()?;
            unseen = beside;
            leave(&here, &name)?;
        } else {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Deeper than a path is long, and than a thread's stack has room for.
    const DEPTH: usize = 5000;

    #[test]
    fn directories_are_walked_however_deep_they_are() {
        // Of a file system that counts directories in links, as cgroupfs does.
        let place = Path::new("/dev/shm").join(format!("corten-tree-{}", std::process::id()));
        fs::create_dir_all(place.join("a/b")).expect("directories");
        fs::create_dir(place.join("c")).expect("a directory");
        let top = Top::open();
        let mut dir = Dir::open(&place).expect("it is there");
        for _ in 0..DEPTH {
            nix::sys::stat::mkdirat(&dir, "d", nix::sys::stat::Mode::S_IRWXU).expect("a directory");
            dir = dir.child(OsStr::new("d")).expect("it is there");
        }
        let walked = std::thread::Builder::new().stack_size(128 * 1024).spawn({
            let place = place.clone();
            move || {
                let (mut arrived, mut left) = (0, 0);
                let arrive = |_: &Dir| {
                    arrived += 1;
                    Ok(())
                };
                let leave = |_: &Dir, _: &OsStr| {
                    left += 1;
                    Ok(())
                };
                walk(&top, &place, arrive, leave).expect("they are walked");
                remove_tree(&top, &place, Deadline::after(Duration::from_secs(60)))
                    .expect("they are removed");
                (arrived, left)
            }
        });
        let (arrived, left) = walked.expect("a thread").join().expect("no panic");
        assert_eq!((arrived, left), (DEPTH + 4, DEPTH + 3));
        assert!(!place.exists());
    }
}
