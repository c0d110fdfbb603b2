//! The cgroup of a container that exists, found again by what its record says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::enter::Entrance;
use super::oom::OomWatch;
use super::readings::{self, Readings};
use super::tree::{frozen_below, pids_below, remove_tree};
use super::{PATIENCE, freezer};
use crate::error::{Context, Errno, Error, Result, best_effort};
use crate::plan::cgroup::CgroupPaths;
use crate::sys::cgroupfs::{self, Dir, Top, is_gone};
use crate::sys::clock::Deadline;
use crate::sys::signal;

/// A container's cgroup. Opening it touches nothing: each operation looks at what it needs.
#[derive(Clone)]
pub struct Cgroup {
    pub(super) paths: CgroupPaths,
}

impl Cgroup {
    /// The cgroup that a record describes.
    pub fn open(paths: CgroupPaths) -> Cgroup {
        Cgroup { paths }
    }

    /// A cgroup below this one, for `exec --cgroup`: a path for each controller, or under `""` a path for all of them.
    ///
    /// Errors: a path that leaves the cgroup, or a controller for which the container has no cgroup.
    pub fn below(&self, paths: &[(String, PathBuf)]) -> Result<Cgroup> {
        let mut below: BTreeMap<_, _> =
            self.paths.iter().map(|(controller, path)| (controller.to_owned(), path.to_owned())).collect();
        for (controller, path) in paths {
            let sub = checked_below(path)?;
            let mut chosen =
                below.iter_mut().filter(|(name, _)| controller.is_empty() || controller == *name).peekable();
            if chosen.peek().is_none() {
                return Err(Error::invalid(format!(
                    "unknown controller {controller:?}: the container has no cgroup of it"
                )));
            }
            chosen.for_each(|(_, dir)| dir.push(&sub));
        }
        Ok(Cgroup { paths: CgroupPaths::new(below) })
    }

    /// v2: the cgroup of the container's init, for a process that could not join this one.
    ///
    /// A cgroup takes no processes if it gives its controllers on to cgroups below: so it is in a container that runs
    /// systemd or an engine. Then the process goes where init is, if that is below. If this cgroup is gone, init was
    /// moved out of it, and the process goes wherever init is.
    pub fn instead(&self, failed: &Error, init: i32) -> Result<Option<Cgroup>> {
        let is_gone = failed.is(Errno::ENOENT);
        if !self.paths.is_v2() || !(is_gone || failed.is(Errno::EBUSY) || failed.is(Errno::EOPNOTSUPP)) {
            return Ok(None);
        }
        let memberships = cgroupfs::read_file(&format!("/proc/{init}/cgroup"))?;
        let own = memberships.lines().find_map(|line| line.strip_prefix("0::/")).map(Path::new);
        match own.filter(|own| own.components().all(|part| matches!(part, Component::Normal(_)))) {
            None => Ok(None),
            Some(own) if is_gone => {
                let dir = Path::new(Top::PATH).join(own);
                let paths = BTreeMap::from([(CgroupPaths::UNIFIED.to_owned(), dir)]);
                Ok(Some(Cgroup { paths: CgroupPaths::new(paths) }))
            }
            Some(own) => self.below_with(own),
        }
    }

    /// The cgroup below this one that /proc/PID/cgroup calls `own`.
    fn below_with(&self, own: &Path) -> Result<Option<Cgroup>> {
        // /proc/PID/cgroup counts from the hierarchy's top, our path from its mount point: the longest end of our path
        // that is a beginning of the process's path is the container's cgroup.
        let above = own.ancestors().filter(|above| !above.as_os_str().is_empty());
        let Some(shared) = above.into_iter().find(|above| self.main().ends_with(above)) else {
            return Ok(None);
        };
        match own.strip_prefix(shared) {
            Ok(sub) if !sub.as_os_str().is_empty() => {
                self.below(&[(String::new(), sub.to_owned())]).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The way into the cgroup.
    ///
    /// Errors: ENOENT where the container has ended.
    pub fn entrance(&self) -> Result<Entrance> {
        let (top, mut entrance) = (Top::open(), Entrance::default());
        let mut entered = BTreeSet::new();
        for (controller, path) in self.paths.iter().filter(|(_, path)| entered.insert(*path)) {
            let optional = !self.paths.is_v2() && OPTIONAL.contains(&controller);
            match top.open_dir(path) {
                Err(_) if optional => {}
                dir if controller == CgroupPaths::UNIFIED => entrance.add_unified(&dir?, optional)?,
                dir => entrance.add_v1(&dir?, optional)?,
            }
        }
        Ok(entrance)
    }

    /// Whether a process can leave the pids limit alone. On v2 it would leave every limit and the device program, and
    /// whoever seizes it in the container could fork outside of them.
    pub fn counts_pids_apart(&self) -> bool {
        !self.paths.is_v2()
    }

    /// Moves a process of the cgroup into the cgroup of the calling process, where the pids limit doesn't count it.
    pub fn make_room(&self, pid: i32) -> Result<()> {
        let own = own_cgroup_beside(self.limiting(), pid)?;
        Dir::open(&own)?.write("cgroup.procs", &pid.to_string()).doing("make room below the pids limit")
    }

    /// Moves a process into the cgroup. The pids limit holds no process back that comes from outside.
    pub fn take_in(&self, pid: i32) -> Result<()> {
        Dir::open(self.limiting())?.write("cgroup.procs", &pid.to_string()).doing("enter the pids cgroup")
    }

    /// The directory that the pids limit is in.
    fn limiting(&self) -> &Path {
        self.paths.get("pids").unwrap_or(self.main())
    }

    /// Whether the cgroup is there.
    pub fn exists(&self) -> bool {
        self.main().exists()
    }

    /// Whether the container has a cgroup of its own at all.
    pub fn is_anywhere(&self) -> bool {
        self.paths.iter().next().is_some()
    }

    /// The directories of `others` that are this cgroup's or lie below them.
    pub fn paths_within(&self, others: &CgroupPaths) -> Vec<PathBuf> {
        let own = self.dirs();
        let within = |path: &Path| own.iter().any(|own| path.starts_with(own));
        others.iter().map(|(_, path)| path).filter(|path| within(path)).map(Path::to_owned).collect()
    }

    /// All processes of the cgroup and of those below it, in any hierarchy: a process may have left the others, or
    /// never have come there. A cgroup that is gone has none.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let (top, mut pids) = (Top::open(), BTreeSet::new());
        for path in self.dirs() {
            pids.extend(pids_below(&top, path).doing("list the container's processes")?);
        }
        Ok(pids.into_iter().collect())
    }

    /// Whether no process is in the cgroup, or will be when those that are dying have gone.
    pub fn is_empty_soon(&self) -> Result<bool> {
        let deadline = Deadline::after(PATIENCE);
        while !self.pids()?.is_empty() {
            if deadline.passed() {
                return Ok(false);
            }
            sleep(Duration::from_millis(1));
        }
        Ok(true)
    }

    /// Stops all processes, and returns once they have stopped.
    pub fn freeze(&self) -> Result<()> {
        self.with_freezer(freezer::freeze_v1, freezer::freeze_v2).doing("freeze the container's cgroup")
    }

    /// Lets all processes go on.
    pub fn thaw(&self) -> Result<()> {
        let thawed = self.with_freezer(freezer::thaw_v1, freezer::thaw_v2);
        let unified =
            self.paths.iter().find(|(name, _)| *name == CgroupPaths::UNIFIED && !self.paths.is_v2());
        let unified = unified.map(|(_, path)| Dir::open(path).and_then(|dir| freezer::thaw_v2(&dir)));
        unified.map(|thawed| best_effort(thawed, "on a hybrid host the container need not be there"));
        thawed.doing("thaw the container's cgroup")
    }

    /// Whether the container is frozen: by the freezer of v1, or by the unified hierarchy, on a hybrid host too. A
    /// container without a freezer isn't, nor is one without a cgroup.
    pub fn is_frozen(&self) -> Result<bool> {
        let frozen = |path: &Path| match Dir::open(path) {
            Err(err) if err.is(Errno::ENOENT) => Ok(false),
            dir => freezer::is_frozen(&dir?),
        };
        let mut frozen = self.freezers().into_iter().map(frozen);
        frozen.try_fold(false, |any, frozen| Ok(any || frozen?)).doing("look whether the container is frozen")
    }

    /// The directories of this cgroup, and of the cgroups below it, that are frozen themselves: a container that may
    /// write to cgroups freezes what it likes.
    pub fn frozen(&self) -> Result<Vec<PathBuf>> {
        let (top, mut frozen) = (Top::open(), Vec::new());
        for path in self.freezers() {
            frozen.extend(frozen_below(&top, path)?);
        }
        Ok(frozen)
    }

    /// Lets the processes of one directory of a cgroup go on.
    pub fn thaw_at(path: &Path) -> Result<()> {
        let dir = Dir::open(path)?;
        match freezer::thaw_v2(&dir) {
            Err(err) if is_gone(&err) => freezer::thaw_v1(&dir),
            thawed => thawed,
        }
    }

    /// Kills every process of the cgroup and of the cgroups below it, frozen or not. Processes may still be dying when
    /// this returns.
    pub fn kill_all(&self) -> Result<()> {
        match self.killable().map(|dir| dir.write("cgroup.kill", "1")) {
            Some(Ok(())) if self.paths.is_v2() => Ok(()),
            // On a hybrid host some processes may have left the unified hierarchy.
            Some(Ok(())) => self.signal_each(Signal::SIGKILL, false),
            Some(Err(err)) if !is_gone(&err) && !err.is(Errno::EOPNOTSUPP) => Err(err),
            // v1 and kernels before 5.14 have no cgroup.kill, and a threaded cgroup refuses it.
            _ => self.signal_stopped(Signal::SIGKILL),
        }
        .doing("kill the container's processes")?;
        if !self.paths.is_v2() {
            // A frozen process of v1 dies only when it is thawed.
            best_effort(self.thaw(), "without a freezer nothing is frozen");
        }
        Ok(())
    }

    /// Sends `signal` to every process of the cgroup and of the cgroups below it, while no process can fork. A frozen
    /// container stays frozen, unless it is killed.
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        match signal {
            libc::SIGKILL => self.kill_all(),
            _ => {
                let signal = Signal::try_from(signal)
                    .map_err(|errno| Error::kernel(format!("kill(SIG{signal})"), errno))?;
                self.signal_stopped(signal).doing("signal the container's processes")
            }
        }
    }

    /// Removes the cgroup and the cgroups below it. Processes that are about to end are waited for.
    ///
    /// Errors: EBUSY where processes stay.
    pub fn remove(&self) -> Result<()> {
        let (top, deadline, mut first) = (Top::open(), Deadline::after(PATIENCE), Ok(()));
        for path in self.dirs() {
            let removed =
                remove_tree(&top, path, deadline).doing_with(|| format!("remove cgroup {}", path.display()));
            first = first.and(removed);
        }
        first
    }

    /// Removes the cgroup if it has neither processes nor cgroups below it; says whether it is gone.
    pub fn remove_if_empty(&self) -> Result<bool> {
        let (top, mut gone) = (Top::open(), true);
        for path in self.dirs() {
            match top.remove_dir(path) {
                Err(err) if err.is(Errno::EBUSY) || err.is(Errno::ENOTEMPTY) => gone = false,
                removed => removed?,
            }
        }
        Ok(gone)
    }

    /// What the cgroup has used so far.
    pub fn readings(&self) -> Result<Readings> {
        readings::read(&self.paths).doing("read the container's statistics")
    }

    /// How often the OOM killer has killed a process of the cgroup; `None` if the kernel doesn't count.
    pub fn oom_kills(&self) -> Option<u64> {
        let file = if self.paths.is_v2() { "memory.events" } else { "memory.oom_control" };
        let text = Dir::open(self.paths.get("memory")?).and_then(|dir| dir.read(file)).ok()?;
        readings::keyed(&text).find(|(key, _)| *key == "oom_kill").map(|(_, count)| count)
    }

    /// Starts to watch for the container being out of memory.
    pub fn watch_oom(&self) -> Result<OomWatch> {
        let path = self.paths.get("memory").ok_or_else(|| Error::unsupported("memory controller missing"))?;
        let watch = if self.paths.is_v2() { OomWatch::on_v2(path) } else { OomWatch::on_v1(path) };
        watch.doing_with(|| format!("watch {} for being out of memory", path.display()))
    }

    /// The directory whose processes count as the container's.
    fn main(&self) -> &Path {
        let preferred = ["devices", "freezer", "pids"].iter().find_map(|name| self.paths.get(name));
        preferred.or_else(|| self.paths.iter().map(|(_, path)| path).next()).unwrap_or(Path::new(""))
    }

    /// Each directory once: controllers may share a hierarchy.
    fn dirs(&self) -> BTreeSet<&Path> {
        self.paths.iter().map(|(_, path)| path).collect()
    }

    /// The directories that have a freezer: that of v1, and that of the unified hierarchy.
    fn freezers(&self) -> BTreeSet<&Path> {
        let has_freezer = |name: &str| name == "freezer" || name == CgroupPaths::UNIFIED;
        self.paths.iter().filter(|(name, _)| has_freezer(name)).map(|(_, path)| path).collect()
    }

    /// The directory in which `cgroup.kill` is written: in the unified hierarchy, if the container is in it. On a
    /// hybrid host the container may not be.
    fn killable(&self) -> Option<Dir> {
        let dir = Dir::open(self.paths.iter().find(|(name, _)| *name == CgroupPaths::UNIFIED)?.1).ok()?;
        let joined = self.paths.is_v2()
            || dir.read("cgroup.events").is_ok_and(|events| events.lines().any(|line| line == "populated 1"));
        joined.then_some(dir)
    }

    fn with_freezer(&self, v1: fn(&Dir) -> Result<()>, v2: fn(&Dir) -> Result<()>) -> Result<()> {
        let path = self.paths.get("freezer");
        let path = path.ok_or_else(|| Error::unsupported("the container has no cgroup with a freezer"))?;
        let dir = Dir::open(path)?;
        if self.paths.is_v2() { v2(&dir) } else { v1(&dir) }
    }

    fn signal_stopped(&self, signal: Signal) -> Result<()> {
        let was_frozen = self.is_frozen().unwrap_or(false);
        let frozen = was_frozen || self.freeze().is_ok();
        let signalled = self.signal_each(signal, frozen);
        if !was_frozen || signal == Signal::SIGKILL {
            best_effort(self.thaw(), "without a freezer nothing is frozen");
        }
        signalled
    }

    /// Processes that aren't stopped may fork meanwhile, so they are listed again until the list has no new process.
    fn signal_each(&self, signal: Signal, stopped: bool) -> Result<()> {
        let mut signalled = BTreeSet::new();
        for _ in 0..FORK_RACES {
            let new: Vec<i32> = self.pids()?.into_iter().filter(|pid| signalled.insert(*pid)).collect();
            for &pid in &new {
                match signal::send_by_number(pid, signal) {
                    Err(err) if err.is(Errno::ESRCH) => {}
                    result => result?,
                }
            }
            if stopped || new.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The directory of the calling process's cgroup, in the hierarchy in which `dir` is the cgroup of process `pid`.
fn own_cgroup_beside(dir: &Path, pid: i32) -> Result<PathBuf> {
    let in_hierarchy = |process: &str| -> Result<Option<PathBuf>> {
        let memberships = cgroupfs::read_file(&format!("/proc/{process}/cgroup"))?;
        let mut lines = memberships.lines().filter_map(|line| line.split_once(':')?.1.split_once(":/"));
        let limits = |controllers: &str| controllers.split(',').any(|name| name == "pids");
        let (v1, v2): (Vec<_>, Vec<_>) = lines.by_ref().partition(|(controllers, _)| !controllers.is_empty());
        let found = v1.iter().find(|(controllers, _)| limits(controllers)).or(v2.first());
        Ok(found.map(|(_, path)| PathBuf::from(path)))
    };
    let unknown = || Error::internal(format!("the cgroup of process {pid} is not known"));
    let its = in_hierarchy(&pid.to_string())?.ok_or_else(unknown)?;
    let own = in_hierarchy("self")?.ok_or_else(unknown)?;
    let depth = its.components().count();
    let top = dir.ancestors().nth(depth).filter(|_| dir.ends_with(&its)).ok_or_else(unknown)?;
    Ok(top.join(own))
}

/// A path of `exec --cgroup`, relative to the container's cgroup; an error if it would leave that cgroup.
fn checked_below(path: &Path) -> Result<PathBuf> {
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(Error::invalid(format!("bad sub cgroup path: {}", path.display())));
    }
    Ok(path.components().filter(|part| matches!(part, Component::Normal(_))).collect())
}

/// Hierarchies in which nothing is limited, so that a process may fail to join them.
const OPTIONAL: [&str; 3] = ["name=systemd", "misc", CgroupPaths::UNIFIED];

const FORK_RACES: usize = 100;
