//! Where a container's cgroup is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The directory of a container's cgroup by controller, as state.json keeps it: `""` is the unified hierarchy,
/// and where it is alone, the cgroup is v2.
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
