//! Where a container's cgroup is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::host::{Hierarchy, SystemdManager};
use crate::error::{Error, Result};
use crate::paths;

/// The directory of a container's cgroup by controller, as state.json keeps it. The key `""` is the unified hierarchy;
/// where it is the only key, the cgroup is v2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CgroupPaths(BTreeMap<String, PathBuf>);

impl CgroupPaths {
    /// The key of the unified hierarchy.
    pub const UNIFIED: &str = "";

    /// The paths as they are stored.
    pub fn new(paths: BTreeMap<String, PathBuf>) -> Self {
        CgroupPaths(paths)
    }

    /// Whether the cgroup is in a v2 hierarchy alone.
    pub fn is_v2(&self) -> bool {
        self.0.len() == 1 && self.0.contains_key(Self::UNIFIED)
    }

    /// The directory that holds the files of `controller`.
    pub fn get(&self, controller: &str) -> Option<&Path> {
        let key = if self.is_v2() { Self::UNIFIED } else { controller };
        self.0.get(key).map(PathBuf::as_path)
    }

    /// Each controller with its directory.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.0.iter().map(|(controller, path)| (controller.as_str(), path.as_path()))
    }
}

/// The unit of systemd that a container's cgroup is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedUnit {
    /// `docker-1a2b.scope`
    pub name: String,
    /// The manager that has it.
    pub manager: SystemdManager,
}

/// Where a cgroup is, in terms that hold in each hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Below the top of the hierarchy.
    Top(PathBuf),
    /// Below the runtime's own cgroup.
    Own(PathBuf),
}

impl Place {
    /// An absolute `linux.cgroupsPath` counts from the top, a relative one from the runtime's own cgroup,
    /// and without one the container's id is the name.
    pub fn choose(id: &str, cgroups_path: Option<&Path>) -> Result<Place> {
        let asked = cgroups_path.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(id));
        // A `..` at the top stays there, so no path leaves the hierarchy.
        let inner = paths::below_root(asked);
        if inner.as_os_str().is_empty() {
            let asked = asked.display();
            return Err(Error::invalid(format!("linux.cgroupsPath: {asked} names no cgroup of its own")));
        }
        Ok(if asked.is_absolute() { Place::Top(inner) } else { Place::Own(inner) })
    }

    /// The directory in one hierarchy.
    pub fn on(&self, hierarchy: &Hierarchy, is_v2: bool) -> PathBuf {
        if is_v2 { self.on_v2(hierarchy) } else { self.on_v1(hierarchy) }
    }

    fn on_v1(&self, hierarchy: &Hierarchy) -> PathBuf {
        match self {
            Place::Top(inner) => hierarchy.mountpoint.join(inner),
            Place::Own(inner) => hierarchy.mountpoint.join(&hierarchy.own).join(inner),
        }
    }

    fn on_v2(&self, hierarchy: &Hierarchy) -> PathBuf {
        // A v2 cgroup with processes can't give controllers to cgroups below it, and the runtime is a process of its
        // own cgroup. So the container's cgroup is made beside the runtime's, not in it.
        let beside = hierarchy.own.parent().unwrap_or(Path::new(""));
        match self {
            Place::Top(inner) => hierarchy.mountpoint.join(inner),
            Place::Own(inner) => hierarchy.mountpoint.join(beside).join(inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(path: &str) -> Place {
        Place::choose("c1", Some(Path::new(path))).unwrap()
    }

    #[test]
    fn path_decides_from_where_it_counts() {
        assert_eq!(Place::choose("c1", None).unwrap(), Place::Own("c1".into()));
        assert_eq!(choose(""), Place::Own("c1".into()));
        assert_eq!(choose("a/b"), Place::Own("a/b".into()));
        assert_eq!(choose("/docker/c1/"), Place::Top("docker/c1".into()));
    }

    #[test]
    fn dots_never_leave_the_hierarchy() {
        assert_eq!(choose("../../../etc"), Place::Own("etc".into()));
        assert_eq!(choose("/../../a/./b/../c"), Place::Top("a/c".into()));
        assert_eq!(choose("a/../../../b"), Place::Own("b".into()));
    }

    #[test]
    fn path_to_the_top_or_to_the_runtime_s_own_cgroup_is_refused() {
        for path in ["/", "/..", ".", "..", "a/.."] {
            let err = Place::choose("c1", Some(Path::new(path))).unwrap_err().to_string();
            assert_eq!(err, format!("linux.cgroupsPath: {path} names no cgroup of its own"));
        }
    }

    #[test]
    fn paths_are_stored_by_controller() {
        let paths = CgroupPaths::new([("cpu".to_owned(), "/c".into()), ("".to_owned(), "/u".into())].into());
        assert_eq!(serde_json::to_string(&paths).unwrap(), r#"{"":"/u","cpu":"/c"}"#);
        assert!(!paths.is_v2());
        let v2: CgroupPaths = serde_json::from_str(r#"{"":"/sys/fs/cgroup/x"}"#).unwrap();
        assert_eq!(v2.get("memory"), Some(Path::new("/sys/fs/cgroup/x")));
    }
}
