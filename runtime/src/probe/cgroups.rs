//! The host's cgroups, as this process sees them.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::plan::cgroup::CgroupPaths;
use crate::plan::cgroup::host::{CgroupHost, Hierarchy, Mode};
use crate::sys::cgroupfs::{self, Top, Version};
use crate::sys::mountinfo::{self, MountInfo};

/// Reads which hierarchies there are, where they are mounted, and which cgroup of each this process is in.
///
/// Looks at the usual places below `/sys/fs/cgroup`. The table of mounts, which can be long, is read only where a
/// hierarchy isn't found there, as in some nested containers.
///
/// Errors: Unsupported where no cgroups are mounted.
pub fn cgroups() -> Result<CgroupHost> {
    Ok(CgroupHost { mode: mode_around("self")?, systemd: None })
}

/// The cgroups that another process is in, by their controllers.
///
/// A hierarchy in which the process is at the top is left out, as is the unified one beside those of v1.
pub fn cgroups_of(pid: i32) -> Result<CgroupPaths> {
    let hierarchies = match mode_around(&pid.to_string())? {
        Mode::V2 { hierarchy, .. } => vec![hierarchy],
        Mode::V1 { hierarchies } => {
            hierarchies.into_iter().filter(|hierarchy| hierarchy.controllers != [""]).collect()
        }
    };
    let mut paths = BTreeMap::new();
    for Hierarchy { controllers, mountpoint, own } in hierarchies {
        if !own.as_os_str().is_empty() {
            let dir = mountpoint.join(own);
            paths.extend(controllers.into_iter().map(|controller| (controller, dir.clone())));
        }
    }
    Ok(CgroupPaths::new(paths))
}

/// The hierarchies, each with the cgroup of `process` in it.
fn mode_around(process: &str) -> Result<Mode> {
    let own = cgroupfs::read_file(&format!("/proc/{process}/cgroup"))?;
    let (top, mut mounts) = (Top::open(), Mounts(None));
    match top.version(Path::new(Top::PATH)) {
        Some(Version::V2) => v2(&own, &top, &mut mounts),
        _ => v1(&own, &top, &mut mounts),
    }
}

fn v2(own: &str, top: &Top, mounts: &mut Mounts) -> Result<Mode> {
    let own = memberships(own).find(|(controllers, _)| controllers.is_empty()).map_or("/", |(_, own)| own);
    let mountpoint = Path::new(Top::PATH);
    let own = match below(own).filter(|own| own.as_os_str().is_empty() || is_there(top, mountpoint, own)) {
        Some(own) => own.to_owned(),
        None => relative_to(&mounts.root_of(mountpoint)?, own),
    };
    let hierarchy = Hierarchy { controllers: vec![String::new()], mountpoint: mountpoint.to_owned(), own };
    let controllers = top.open_dir(mountpoint)?.read("cgroup.controllers")?;
    let controllers = controllers.split_whitespace().map(str::to_owned).collect();
    Ok(Mode::V2 { hierarchy, controllers })
}

fn v1(own: &str, top: &Top, mounts: &mut Mounts) -> Result<Mode> {
    let mut hierarchies = Vec::new();
    for (controllers, own) in memberships(own) {
        let found = if controllers.is_empty() {
            in_usual_place(top, "unified", own)
        } else {
            match usual_names(controllers).find_map(|name| in_usual_place(top, name, own)) {
                None => mounts.find(controllers, own)?,
                found => found,
            }
        };
        if let Some((mountpoint, own)) = found {
            let controllers = controllers.split(',').map(str::to_owned).collect();
            hierarchies.push(Hierarchy { controllers, mountpoint, own });
        }
    }
    if hierarchies.iter().all(|hierarchy| hierarchy.controllers == [""]) {
        return Err(Error::unsupported(format!("no cgroup hierarchy is mounted at {}", Top::PATH)));
    }
    Ok(Mode::V1 { hierarchies })
}

/// The lines of `/proc/PID/cgroup`: the controllers of a hierarchy, and the cgroup of the process in it.
pub(super) fn memberships(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?, fields.next()?))
    })
}

/// The names of the directories that a hierarchy is usually mounted at: all its controllers (`cpu,cpuacct`), a single
/// controller (`cpu`), or what follows `name=`.
fn usual_names(controllers: &str) -> impl Iterator<Item = &str> {
    let all = controllers.strip_prefix("name=").unwrap_or(controllers);
    std::iter::once(all).chain(controllers.split(',').filter(move |name| *name != controllers))
}

fn in_usual_place(top: &Top, name: &str, own: &str) -> Option<(PathBuf, PathBuf)> {
    let (mountpoint, own) = (Path::new(Top::PATH).join(name), below(own)?);
    is_there(top, &mountpoint, own).then(|| (mountpoint, own.to_owned()))
}

/// Whether `own`, a path in this process's cgroup namespace, can be found below `mountpoint`. It can't if the mount
/// shows another part of the hierarchy than the cgroup namespace.
fn is_there(top: &Top, mountpoint: &Path, own: &Path) -> bool {
    top.version(&mountpoint.join(own)).is_some()
}

/// `own` relative to the top; `None` for a cgroup above the top of this process's cgroup namespace (`/..`).
fn below(own: &str) -> Option<&Path> {
    let own = Path::new(own.strip_prefix('/')?);
    own.components().all(|part| matches!(part, Component::Normal(_))).then_some(own)
}

/// `own` relative to a mount that shows the hierarchy from `root` on. A cgroup that isn't below `root` can't be reached
/// by this mount; the top of the mount then stands for it.
fn relative_to(root: &Path, own: &str) -> PathBuf {
    let inner = Path::new(own).strip_prefix(root).unwrap_or(Path::new(""));
    let clean = inner.components().all(|part| matches!(part, Component::Normal(_)));
    if clean { inner.to_owned() } else { PathBuf::new() }
}

/// The table of mounts, read when it is first needed.
struct Mounts(Option<String>);

impl Mounts {
    /// Where the v1 hierarchy of `controllers` is mounted, and `own` relative to the mountpoint. `None` if it is
    /// mounted nowhere.
    fn find(&mut self, controllers: &str, own: &str) -> Result<Option<(PathBuf, PathBuf)>> {
        Ok(find_v1(self.text()?, controllers, own))
    }

    /// Which part of its file system the mount at `mountpoint` shows.
    fn root_of(&mut self, mountpoint: &Path) -> Result<PathBuf> {
        // The last mount at a place hides earlier mounts there.
        let mut mounts = MountInfo::all(self.text()?).rev();
        Ok(mounts.find(|mount| mount.point() == mountpoint).map_or("/".into(), |mount| mount.root()))
    }

    fn text(&mut self) -> Result<&str> {
        if self.0.is_none() {
            self.0 = Some(mountinfo::read()?);
        }
        Ok(self.0.as_deref().unwrap_or_default())
    }
}

fn find_v1(table: &str, controllers: &str, own: &str) -> Option<(PathBuf, PathBuf)> {
    let wanted: Vec<&str> = controllers.split(',').collect();
    let mount = MountInfo::all(table).find(|mount| {
        mount.fstype == "cgroup" && mount.super_options.split(',').any(|option| wanted.contains(&option))
    })?;
    Some((mount.point(), relative_to(&mount.root(), own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &str = "\
        31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro master:9 - cgroup cgroup rw,cpu,cpuacct\n\
        33 31 0:30 /docker/abc /my\\040cgroups/memory rw - cgroup cgroup rw,memory\n\
        34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,name=systemd\n";

    fn find(controllers: &str, own: &str) -> Option<(String, String)> {
        let (point, own) = find_v1(NESTED, controllers, own)?;
        Some((point.to_str()?.to_owned(), own.to_str()?.to_owned()))
    }

    #[test]
    fn mount_of_a_part_of_the_hierarchy_shortens_our_path() {
        let found = |point: &str, own: &str| Some((point.to_owned(), own.to_owned()));
        assert_eq!(find("cpu,cpuacct", "/docker/abc"), found("/sys/fs/cgroup/cpu,cpuacct", ""));
        assert_eq!(find("memory", "/docker/abc/init"), found("/my cgroups/memory", "init"));
        assert_eq!(find("memory", "/docker/abcdef"), found("/my cgroups/memory", ""));
        assert_eq!(find("memory", "/../x"), found("/my cgroups/memory", ""));
        assert_eq!(find("name=systemd", "/docker/abc"), found("/sys/fs/cgroup/systemd", "docker/abc"));
        assert_eq!(find("pids", "/"), None);
    }

    #[test]
    fn memberships_keep_colons_of_paths() {
        let lines: Vec<_> = memberships("9:name=systemd:/a:b\n3:cpu,cpuacct:/\n0::/x\n").collect();
        assert_eq!(lines, [("name=systemd", "/a:b"), ("cpu,cpuacct", "/"), ("", "/x")]);
    }

    #[test]
    fn usual_places_of_a_hierarchy() {
        let names = |controllers| usual_names(controllers).collect::<Vec<_>>();
        assert_eq!(names("cpu,cpuacct"), ["cpu,cpuacct", "cpu", "cpuacct"]);
        assert_eq!(names("memory"), ["memory"]);
        assert_eq!(names("name=systemd"), ["systemd"]);
    }

    #[test]
    fn own_cgroup_above_the_namespace_is_not_below_the_mount() {
        assert_eq!(below("/"), Some(Path::new("")));
        assert_eq!(below("/a/b"), Some(Path::new("a/b")));
        assert_eq!(below("/../a"), None);
    }

    #[test]
    fn this_host_can_be_read() {
        match cgroups() {
            Ok(host) => println!("{host:?}"),
            Err(err) => println!("skipped: {err}"),
        }
    }
}
