//! Groups of resctrl: made for a container or shared by several, entered by its processes, removed.
//!
//! A group is a directory that the kernel fills with files. `tasks` lists its processes; `schemata` says what they get.
//! Unlike a cgroup, a group can be removed while processes are in it: they fall back to the default group.
//!
//! Source: Documentation/filesystems/resctrl.rst.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::RdtGroup;
use crate::sys::cgroupfs::{Dir, File, is_gone};

/// What a start has made, so that it can be taken back.
#[derive(Default)]
pub struct Made {
    group: Option<Group>,
    monitor: Option<PathBuf>,
}

/// A group that this start has made, or found.
struct Group {
    path: PathBuf,
    own: bool,
    is_new: bool,
}

impl Made {
    /// Makes the group. A shared group may be there already.
    ///
    /// Errors: WrongState if a group that is to be the container's own is there.
    pub fn make_group(&mut self, planned: &RdtGroup) -> Result<()> {
        let RdtGroup { path, own, .. } = planned;
        let is_new = explained(path, Dir::make(path))?;
        if *own && !is_new {
            return Err(taken(path).with_hint("linux.intelRdt.closID names a group that is to be shared"));
        }
        self.group = Some(Group { path: path.clone(), own: *own, is_new });
        Ok(())
    }

    /// Writes lines into the group's `schemata`. A group that was there is used by others: it must have these values.
    pub fn settle(&self, lines: &str) -> Result<()> {
        let Some(Group { path, is_new, .. }) = &self.group else {
            return Err(Error::internal("there is no resctrl group yet"));
        };
        if *is_new { write_schemata(path, lines) } else { compare(path, lines) }
    }

    /// Makes a monitoring group.
    ///
    /// Errors: WrongState if there is one of its name.
    pub fn make_monitor(&mut self, path: &Path) -> Result<()> {
        match explained(path, Dir::make(path)) {
            Ok(true) => self.monitor = Some(path.to_owned()),
            Ok(false) => return Err(taken(path)),
            Err(err) if err.is(Errno::ENOENT) => {
                return Err(err.with_hint("can this machine monitor groups?"));
            }
            Err(err) => return Err(err),
        }
        Ok(())
    }

    /// Removes what was made. A shared group stays if somebody else has entered it meanwhile.
    pub fn undo(self) -> Result<()> {
        let monitor = self.monitor.as_deref().map_or(Ok(()), Dir::remove);
        let group = match self.group.filter(|group| group.is_new) {
            Some(Group { path, own: true, .. }) => Dir::remove(&path),
            Some(Group { path, own: false, .. }) => remove_unused(&path),
            None => Ok(()),
        };
        monitor.and(group)
    }
}

/// The way into a group, opened while the host's paths can be seen.
pub struct Entrance {
    tasks: Vec<(File, PathBuf)>,
}

impl Entrance {
    /// Opens the way into the group, and into the monitoring group if there is one.
    ///
    /// Errors: ENOENT if a group isn't there.
    pub fn open(group: &RdtGroup) -> Result<Entrance> {
        let open = |path: &PathBuf| match Dir::open(path).and_then(|dir| dir.open_to_write("tasks")) {
            Err(err) if is_gone(&err) => Err(missing(path)),
            opened => opened.map(|tasks| (tasks, path.clone())),
        };
        // The kernel takes a process into a monitoring group only from the group above it.
        let tasks = std::iter::once(&group.path).chain(&group.monitor).map(open).collect::<Result<_>>()?;
        Ok(Entrance { tasks })
    }

    /// Moves the calling process, which has one thread. What it forks later is born in the group.
    pub fn enter(self) -> Result<()> {
        let mut tasks = self.tasks.into_iter();
        tasks
            .try_for_each(|(tasks, path)| tasks.write("0").doing_with(|| format!("enter {}", path.display())))
    }

    /// The descriptors that a process needs until it has entered.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.tasks.iter().map(|(tasks, _)| tasks.as_fd())
    }
}

/// Writes lines into the `schemata` of a group: the kernel takes all of them, or none.
pub fn write_schemata(group: &Path, lines: &str) -> Result<()> {
    let written = Dir::open(group).and_then(|dir| dir.write("schemata", &format!("{lines}\n")));
    match written {
        Err(err) if is_gone(&err) => Err(missing(group)),
        written => explained(group, written),
    }
}

/// Removes the groups that are the container's own.
pub fn remove(group: &RdtGroup) -> Result<()> {
    own(group).try_for_each(Dir::remove)
}

/// Removes the groups that bear the container's name, unless processes are in them: then they are somebody else's.
pub fn remove_if_unused(group: &RdtGroup) -> Result<()> {
    own(group).try_for_each(remove_unused)
}

fn own(group: &RdtGroup) -> impl Iterator<Item = &Path> {
    let RdtGroup { path, own, monitor } = group;
    monitor.as_deref().into_iter().chain(own.then_some(path.as_path()))
}

fn remove_unused(path: &Path) -> Result<()> {
    match Dir::open(path).and_then(|dir| dir.read("tasks")) {
        Err(err) if is_gone(&err) => Ok(()),
        Err(err) => Err(err),
        Ok(tasks) if tasks.trim().is_empty() => Dir::remove(path),
        Ok(_) => Ok(()),
    }
}

fn missing(path: &Path) -> Error {
    Error::kernel(format!("there is no resctrl group {}", path.display()), Errno::ENOENT)
}

fn taken(path: &Path) -> Error {
    Error::new(Kind::WrongState, format!("there is a resctrl group {} already", path.display()))
}

/// Adds what resctrl itself says of a call that has failed.
fn explained<T>(group: &Path, result: Result<T>) -> Result<T> {
    result.map_err(|err| match info(group, "last_cmd_status") {
        Some(status) if status != "ok" && !err.is(Errno::ENOENT) => {
            err.with_hint(format!("the kernel says: {status}"))
        }
        _ => err,
    })
}

/// The text of a file in `info`, which stands at the top of the filesystem that the group is in.
fn info(group: &Path, file: &str) -> Option<String> {
    let text = |top: &Path| Dir::open(&top.join("info")).and_then(|dir| dir.read(file)).ok();
    group.ancestors().find_map(text).map(|text| text.trim().to_owned())
}

/// Refuses a group that has other values than `lines` ask for.
fn compare(group: &Path, lines: &str) -> Result<()> {
    let standing = Dir::open(group)?.read("schemata")?;
    let step = info(group, "MB/bandwidth_gran").and_then(|text| text.parse().ok()).unwrap_or(1);
    if agree(lines, &standing, step) {
        return Ok(());
    }
    let standing: Vec<&str> = standing.lines().map(str::trim).collect();
    let cause = format!("the resctrl group {} is there, and has other schemata", group.display());
    Err(Error::new(Kind::WrongState, cause).with_hint(format!("it has {:?}", standing.join(" "))))
}

/// Whether the kernel, asked for `lines`, would have made it `standing`. It writes numbers its own way, and rounds
/// bandwidths up to the next `step`.
fn agree(lines: &str, standing: &str, step: u64) -> bool {
    let standing: BTreeMap<_, _> = standing.lines().filter_map(settings).flatten().collect();
    let holds = |(at, asked): ((&str, u32), &str)| {
        standing.get(&at).is_some_and(|value| match at {
            ("MB", _) => decimal(asked).is_some_and(|asked| {
                let value = decimal(value);
                value == Some(asked) || value == asked.checked_next_multiple_of(step.max(1))
            }),
            _ => mask(asked).is_some_and(|asked| mask(value) == Some(asked)),
        })
    };
    lines.lines().all(|line| settings(line).is_some_and(|line| line.into_iter().all(holds)))
}

/// The settings of a line `RESOURCE:DOMAIN=VALUE;DOMAIN=VALUE`; `None` if it is none.
fn settings(line: &str) -> Option<Vec<((&str, u32), &str)>> {
    let (resource, domains) = line.split_once(':')?;
    let settings = domains.split_terminator(';').map(|setting| {
        let (domain, value) = setting.split_once('=')?;
        Some(((resource.trim(), domain.trim().parse().ok()?), value.trim()))
    });
    settings.collect::<Option<Vec<_>>>().filter(|settings| !settings.is_empty())
}

fn decimal(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn mask(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like the top of resctrl, with one group.
    struct Fake(PathBuf);

    impl Fake {
        fn new(name: &str) -> Fake {
            let top = std::env::temp_dir().join(format!("corten-resctrl-{name}-{}", std::process::id()));
            std::fs::create_dir_all(top.join("info/MB")).unwrap();
            std::fs::write(top.join("info/last_cmd_status"), "ok\n").unwrap();
            std::fs::write(top.join("info/MB/bandwidth_gran"), "10\n").unwrap();
            let fake = Fake(top);
            fake.fill("gold", "    MB:0= 30;1=100\n    L3:0=0f;1=ff\n");
            fake
        }

        /// Does what the kernel does when a group is made.
        fn fill(&self, name: &str, schemata: &str) {
            std::fs::create_dir_all(self.path(name)).unwrap();
            std::fs::write(self.path(name).join("schemata"), schemata).unwrap();
            std::fs::write(self.path(name).join("tasks"), "").unwrap();
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn read(&self, file: &str) -> String {
            std::fs::read_to_string(self.path(file)).unwrap()
        }

        fn group(&self, name: &str, own: bool) -> RdtGroup {
            RdtGroup { path: self.path(name), own, monitor: None }
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_group_that_is_there_is_nobodys_own() {
        let fake = Fake::new("own");
        let mut made = Made::default();
        let err = made.make_group(&fake.group("gold", true)).unwrap_err();
        assert!(err.to_string().contains("gold already"), "{err}");
        made.undo().unwrap();
        assert!(fake.path("gold").exists());
    }

    #[test]
    fn a_new_group_gets_its_schemata_and_goes_if_the_start_fails() {
        let fake = Fake::new("new");
        let mut made = Made::default();
        made.make_group(&fake.group("web1", true)).unwrap();
        std::fs::write(fake.path("web1/schemata"), "").unwrap();
        made.settle("L3:0=3\nL2:0=1").unwrap();
        assert_eq!(fake.read("web1/schemata"), "L3:0=3\nL2:0=1\n");
        std::fs::remove_file(fake.path("web1/schemata")).unwrap();
        made.undo().unwrap();
        assert!(!fake.path("web1").exists());
    }

    #[test]
    fn a_shared_group_must_have_what_is_asked_for_and_keeps_it() {
        let fake = Fake::new("shared");
        let before = fake.read("gold/schemata");
        let mut made = Made::default();
        made.make_group(&fake.group("gold", false)).unwrap();
        made.settle("L3:1=ff;0=f").unwrap();
        let err = made.settle("L3:0=ff").unwrap_err();
        assert!(err.to_string().contains("has other schemata"), "{err}");
        assert!(err.hint().unwrap().contains("L3:0=0f;1=ff"), "{err:?}");
        made.undo().unwrap();
        assert_eq!(fake.read("gold/schemata"), before);
    }

    #[test]
    fn a_shared_group_that_somebody_else_has_entered_meanwhile_stays() {
        let fake = Fake::new("entered");
        let mut made = Made::default();
        made.make_group(&fake.group("silver", false)).unwrap();
        std::fs::write(fake.path("silver/tasks"), "4711\n").unwrap();
        made.undo().unwrap();
        assert!(fake.path("silver").exists());
    }

    #[test]
    fn numbers_are_compared_and_not_their_spelling() {
        let standing = "    MB:0= 30;1=100\n    L3:0=0f;1=ff\n";
        for asked in ["L3:0=f", "L3:0=0xF;1=FF", "L3:01=00ff;", "MB:0=30", "MB:0=21\nL3:1=ff", "MB: 1 = 100"]
        {
            assert!(agree(asked, standing, 10), "{asked}");
        }
        for asked in
            ["L3:0=ff", "L3:2=f", "L2:0=f", "MB:0=31", "MB:0=20", "L3", "L3:", "L3:0", "L3:0=f;;", "x"]
        {
            assert!(!agree(asked, standing, 10), "{asked}");
        }
        assert!(!agree("MB:0=21", standing, 0));
    }

    #[test]
    fn a_process_enters_the_group_and_then_the_monitoring_group() {
        let fake = Fake::new("enter");
        fake.fill("gold/mon_groups/web1", "");
        let monitor = Some(fake.path("gold/mon_groups/web1"));
        let group = RdtGroup { monitor, ..fake.group("gold", false) };
        let entrance = Entrance::open(&group).unwrap();
        assert_eq!(entrance.descriptors().count(), 2);
        entrance.enter().unwrap();
        assert_eq!(fake.read("gold/tasks") + &fake.read("gold/mon_groups/web1/tasks"), "00");
        let err = Entrance::open(&fake.group("lead", false)).err().unwrap();
        assert!(err.to_string().starts_with("there is no resctrl group"), "{err}");
    }

    #[test]
    fn what_the_kernel_says_of_a_failed_call_is_told() {
        let fake = Fake::new("status");
        std::fs::write(fake.path("info/last_cmd_status"), "Mask f0f not allowed\n").unwrap();
        std::fs::create_dir(fake.path("odd")).unwrap();
        std::fs::create_dir(fake.path("odd/schemata")).unwrap();
        let err = write_schemata(&fake.path("odd"), "L3:0=f0f").unwrap_err();
        assert_eq!(err.hint(), Some("the kernel says: Mask f0f not allowed"));
        let err = write_schemata(&fake.path("lead"), "L3:0=f").unwrap_err();
        assert_eq!(err.hint(), None);
    }
}
