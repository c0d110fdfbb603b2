//! A new container's cgroup, up to the moment when its process runs in it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::enter::Entrance;
use super::tree::{pids_below, remove_tree, remove_when_empty};
use super::write::{Places, perform};
use super::{PATIENCE, devices, freezer};
use crate::error::{Context, Errno, Error, Kind, Result, best_effort};
use crate::plan::cgroup::{CgroupPaths, Dir as PlannedDir, Driver, Plan, Write};
use crate::sys::cgroupfs::{Dir, Top, is_gone, read_file};
use crate::sys::clock::Deadline;

/// How long a directory that is left to others is waited for to become empty.
const LEAVING: Duration = Duration::from_millis(500);

/// The cgroup of a container whose process hasn't run yet: it exists, it was empty, and a process can join it.
pub struct CreatedCgroup {
    top: Top,
    dirs: Vec<CreatedDir>,
    /// The directories that weren't there before, in the order in which they were made.
    made: Vec<PathBuf>,
    is_v2: bool,
    /// Whether a process is moved into the cgroup by systemd, when it has been born outside.
    is_moved_into: bool,
}

struct CreatedDir {
    controllers: Vec<String>,
    dir: Dir,
    optional: bool,
    is_new: bool,
}

/// Makes the cgroup of `plan` and prepares it for a process to join. If that fails, the directories that were made are
/// removed.
///
/// Errors: WrongState if a cgroup of that path has processes or is frozen; otherwise what the kernel says, with the
/// path.
pub fn create(plan: &Plan) -> Result<CreatedCgroup> {
    let (top, is_v2) = (Top::open(), plan.is_v2());
    let mut cgroup =
        CreatedCgroup { top, dirs: Vec::new(), made: Vec::new(), is_v2, is_moved_into: plan.is_moved() };
    match cgroup.build(plan) {
        Ok(()) => Ok(cgroup),
        Err(err) => {
            best_effort(cgroup.undo(), "the first failure is the one to tell");
            Err(err)
        }
    }
}

impl CreatedCgroup {
    /// The way into the cgroup.
    pub fn entrance(&self) -> Result<Entrance> {
        let mut entrance = Entrance::default();
        if self.is_moved_into {
            return Ok(entrance);
        }
        for CreatedDir { controllers, dir, optional, .. } in &self.dirs {
            if controllers.iter().any(|name| name == CgroupPaths::UNIFIED) {
                entrance.add_unified(dir, *optional)?;
            } else {
                entrance.add_v1(dir, *optional)?;
            }
        }
        Ok(entrance)
    }

    /// v1: moves a process in that was born outside. Directories that somebody has removed meanwhile are made again:
    /// they were empty.
    pub fn take_in(&mut self, plan: &Plan, pid: i32) -> Result<()> {
        for planned in &plan.dirs {
            let enter =
                |cgroup: &mut Self| cgroup.make_again(plan, planned)?.write("cgroup.procs", &pid.to_string());
            // systemd may take the directory away once more before the process is in it.
            let mut taken = enter(self);
            for _ in 0..PARENT_TRIES {
                if !taken.as_ref().is_err_and(is_gone) {
                    break;
                }
                taken = enter(self);
            }
            match taken {
                Err(_) if planned.optional => {}
                taken => taken.doing_with(|| format!("enter the cgroup {}", planned.path.display()))?,
            }
        }
        Ok(())
    }

    fn make_again(&mut self, plan: &Plan, planned: &PlannedDir) -> Result<&Dir> {
        let (dir, is_new) = self.make_and_open(planned)?;
        let at = self.dirs.iter().position(|created| created.dir.path() == planned.path);
        let PlannedDir { controllers, optional, .. } = planned;
        let created = CreatedDir { controllers: controllers.clone(), dir, optional: *optional, is_new };
        match at {
            Some(at) => self.dirs[at] = CreatedDir { is_new: is_new || self.dirs[at].is_new, ..created },
            None => self.dirs.push(created),
        }
        if is_new {
            // A new cpuset takes no process before it has CPUs.
            self.prepare_v1(plan, planned)?;
        }
        let found = self.dirs.iter().find(|created| created.dir.path() == planned.path);
        found.map(|created| &created.dir).ok_or_else(|| Error::internal("the cgroup was just made"))
    }

    /// v2: makes a user the owner of the directory and of those files that the kernel lets the root of a cgroup
    /// namespace write.
    ///
    /// Source: cgroups(7), "/sys/kernel/cgroup/delegate".
    pub fn delegate(&self, uid: u32) -> Result<()> {
        let files =
            read_file("/sys/kernel/cgroup/delegate").unwrap_or_else(|_| DELEGATED_EVERYWHERE.to_owned());
        let dir = &self.place_of(CgroupPaths::UNIFIED)?.dir;
        dir.give(uid, files.lines()).doing_with(|| format!("delegate the cgroup {}", dir.path().display()))
    }

    /// Writes all limits.
    pub fn limit_resources(&self, plan: &Plan) -> Result<()> {
        perform(self, &plan.writes)
    }

    /// v2: loads the program that [restricts devices](Self::restrict_devices), if one is needed. The kernel takes a
    /// while to verify it; nothing is restricted yet.
    pub fn load_device_program(&self, plan: &Plan) -> Result<Option<OwnedFd>> {
        if self.is_v2 { devices::load(&plan.devices).doing(RESTRICT_DEVICES) } else { Ok(None) }
    }

    /// Restricts devices, on v2 by a program that was [loaded](Self::load_device_program).
    ///
    /// On v1 there is a moment in which no device can be used, so no process of the cgroup may be about to use one.
    pub fn restrict_devices(&self, plan: &Plan, program: Option<OwnedFd>) -> Result<()> {
        let created = self.place_of("devices")?;
        let restricted = if self.is_v2 {
            devices::restrict_v2(&created.dir, program.as_ref(), created.is_new)
        } else {
            devices::restrict_v1(&created.dir, &plan.devices)
        };
        restricted.doing(RESTRICT_DEVICES)
    }

    /// Removes the directories that [`create`] has made, parents included where no other cgroup uses them yet.
    pub fn undo(self) -> Result<()> {
        let (deadline, mut first) = (Deadline::after(PATIENCE), Ok(()));
        for path in self.made.iter().rev() {
            if self.dirs.iter().any(|created| created.dir.path() == path) {
                first = first.and(remove_tree(&self.top, path, deadline));
            } else {
                best_effort(self.top.remove_dir(path), "another container may live in it by now");
            }
        }
        first
    }

    /// Removes of what [`create`] has made only what is empty, or is soon: a child that was killed may still be on its
    /// way out, and processes of others may be in the rest.
    pub fn leave(self) {
        let deadline = Deadline::after(LEAVING);
        for path in self.made.iter().rev() {
            best_effort(remove_when_empty(&self.top, path, deadline), "others may live in it");
        }
    }

    fn build(&mut self, plan: &Plan) -> Result<()> {
        let Driver::Own { enable, .. } = &plan.driver else {
            return Err(Error::internal("the plan makes no cgroup"));
        };
        for planned in &plan.dirs {
            match self.make(planned) {
                // The container can do without an optional cgroup, but never shares one with other processes.
                Err(err) if planned.optional && err.kind() != Kind::WrongState => {}
                made => made.doing_with(|| format!("create cgroup {}", planned.path.display()))?,
            }
        }
        if self.is_v2 {
            return self.prepare_v2(plan, enable);
        }
        plan.dirs.iter().try_for_each(|planned| self.prepare_v1(plan, planned))
    }

    /// Has a hierarchy of v1 take a process.
    fn prepare_v1(&self, plan: &Plan, planned: &PlannedDir) -> Result<()> {
        if planned.holds("cpuset") {
            let cpuset = self.place_of("cpuset")?;
            let given = |file: &str| plan.before_enter.iter().any(|write| write.file == file);
            let path = cpuset.dir.path().display();
            inherit_cpuset(cpuset, given).doing_with(|| format!("inherit the cpuset of {path}"))?;
        }
        let is_here = |write: &&Write| planned.holds(&write.controller);
        let writes: Vec<Write> = plan.before_enter.iter().filter(is_here).cloned().collect();
        perform(self, &writes)
    }

    fn make(&mut self, planned: &PlannedDir) -> Result<()> {
        let (dir, is_new) = self.make_and_open(planned)?;
        if !is_new {
            refuse_used(&self.top, &dir)?;
        }
        if planned.is_unified() || planned.holds("freezer") {
            refuse_frozen(&dir)?;
        }
        let PlannedDir { controllers, optional, .. } = planned;
        self.dirs.push(CreatedDir { controllers: controllers.clone(), dir, optional: *optional, is_new });
        Ok(())
    }

    /// Opens the directory, which is made if it is missing; says whether the directory is new.
    fn make_and_open(&mut self, planned: &PlannedDir) -> Result<(Dir, bool)> {
        let mut tries = 0;
        loop {
            let is_new = self.make_with_parents(&planned.path, &planned.mountpoint)?;
            match self.top.open_dir(&planned.path) {
                // On v1 systemd removes empty directories below its slices.
                Err(err) if err.is(Errno::ENOENT) && tries < PARENT_TRIES => tries += 1,
                opened => return Ok((opened?, is_new)),
            }
        }
    }

    /// Makes the directory and its missing parents; says whether the directory itself is new.
    fn make_with_parents(&mut self, path: &Path, mountpoint: &Path) -> Result<bool> {
        // Another runtime may remove a parent that it has made, just before we make a directory in the parent.
        for _ in 0..PARENT_TRIES {
            match self.top.make_dir(path) {
                Err(err) if err.is(Errno::ENOENT) => {
                    let parent = path.parent().filter(|parent| parent.starts_with(mountpoint)).ok_or(err)?;
                    self.make_with_parents(parent, mountpoint)?;
                }
                made => {
                    let is_new = made?;
                    self.made.extend(is_new.then(|| path.to_owned()));
                    return Ok(is_new);
                }
            }
        }
        Err(Error::kernel(format!("mkdir({})", path.display()), Errno::ENOENT))
    }

    /// The directory that holds the files of `controller`.
    fn place_of(&self, controller: &str) -> Result<&CreatedDir> {
        let holds = |created: &&CreatedDir| created.controllers.iter().any(|name| name == controller);
        let found = if self.is_v2 { self.dirs.first() } else { self.dirs.iter().find(holds) };
        found.ok_or_else(|| Error::internal(format!("the plan has no {controller} cgroup")))
    }

    /// Enables controllers from the top of the hierarchy down to the cgroup, and lets a process join.
    fn prepare_v2(&self, plan: &Plan, controllers: &[String]) -> Result<()> {
        let (Some(created), Some(planned)) = (self.dirs.first(), plan.dirs.first()) else { return Ok(()) };
        let lacks = |there: &str| {
            let there: Vec<&str> = there.split_whitespace().collect();
            controllers.iter().any(|wanted| !there.contains(&wanted.as_str()))
        };
        if lacks(&created.dir.read("cgroup.controllers")?) {
            let parents: Vec<&Path> = planned.path.ancestors().skip(1).collect();
            let parents = parents.iter().rev().skip_while(|parent| !parent.starts_with(&planned.mountpoint));
            for parent in parents {
                let parent = self.top.open_dir(parent)?;
                if lacks(&parent.read("cgroup.subtree_control")?) {
                    enable(&parent, controllers);
                }
            }
        }
        settle_type(&created.dir, plan)?;
        perform(self, &plan.before_enter)
    }
}

impl Places for CreatedCgroup {
    fn place(&self, controller: &str) -> Result<&Dir> {
        self.place_of(controller).map(|created| &created.dir)
    }
}

const RESTRICT_DEVICES: &str = "restrict devices (linux.resources.devices)";

/// The files that a kernel delegates which doesn't say so itself.
const DELEGATED_EVERYWHERE: &str = "cgroup.procs\ncgroup.threads\ncgroup.subtree_control";

const PARENT_TRIES: usize = 16;

/// A container never shares a cgroup with processes of anything else.
fn refuse_used(top: &Top, dir: &Dir) -> Result<()> {
    let processes = pids_below(top, dir.path())?.len();
    if processes != 0 {
        let cause = format!("container's cgroup is not empty: {processes} process(es) found");
        return Err(Error::new(Kind::WrongState, cause));
    }
    Ok(())
}

/// A process that joins a frozen cgroup, or a cgroup below a frozen cgroup, stops before it can report anything.
fn refuse_frozen(dir: &Dir) -> Result<()> {
    if freezer::stops_processes(dir)? {
        return Err(Error::new(Kind::WrongState, "container's cgroup unexpectedly frozen"));
    }
    Ok(())
}

/// Gives `controllers` to the cgroups below `parent`. A controller that can't be given is no error yet: a limit of this
/// controller fails later, because its file is missing.
fn enable(parent: &Dir, controllers: &[String]) {
    let all: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
    // The kernel takes all controllers of a write, or none.
    if parent.write("cgroup.subtree_control", &all.join(" ")).is_err() {
        for one in &all {
            best_effort(parent.write("cgroup.subtree_control", one), "a limit that needs it will tell");
        }
    }
}

/// Makes sure that a process can join: a new cgroup below a threaded cgroup takes no processes until it is threaded
/// too.
fn settle_type(dir: &Dir, plan: &Plan) -> Result<()> {
    const THREADED: [&str; 4] = ["cpu", "cpuset", "perf_event", "pids"];

    let kind = dir.read("cgroup.type")?;
    let kind = kind.trim();
    if kind == "domain" {
        return Ok(());
    }
    let can_be_threaded = |write: &&Write| THREADED.contains(&write.controller.as_ref());
    if let Some(Write { field, controller, .. }) = plan.writes.iter().find(|write| !can_be_threaded(write)) {
        let cause = format!("{field}: the {controller} controller can't limit a cgroup that is {kind}");
        return Err(Error::unsupported(cause));
    }
    match kind {
        "domain invalid" => dir.write("cgroup.type", "threaded"),
        _ => Ok(()),
    }
}

/// Gives a v1 cpuset the parent's CPUs and memory nodes, unless the spec gives it some. The kernel leaves a new cpuset
/// empty, and takes no process into an empty cpuset. An empty parent is filled from its own parent first.
fn inherit_cpuset(cpuset: &CreatedDir, given: impl Fn(&str) -> bool) -> Result<()> {
    let dir = &cpuset.dir;
    let parent = dir.parent()?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let from_parent = filled(&parent, file)?;
        let is_empty = || Ok(cpuset.is_new || dir.read(file)?.trim().is_empty());
        if !given(file) && is_empty()? {
            dir.write(file, from_parent.trim())?;
        }
    }
    Ok(())
}

/// The text of `file`. If the file is empty, it first gets the text of the parent's file.
fn filled(dir: &Dir, file: &str) -> Result<String> {
    let own = dir.read(file)?;
    if !own.trim().is_empty() {
        return Ok(own);
    }
    let parent = dir.parent()?;
    let from_parent = filled(&parent, file)?;
    dir.write(file, from_parent.trim())?;
    Ok(from_parent)
}
