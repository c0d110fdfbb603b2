//! A test's own cgroup, seen from the host in every hierarchy.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A cgroup by its path from the root of each hierarchy.
#[derive(Clone, Debug)]
pub struct Cgroup {
    /// As in `linux.cgroupsPath`: absolute.
    pub path: String,
}

impl Cgroup {
    /// The cgroup's directory where `controller` is governed, if the machine has that controller.
    pub fn dir(&self, controller: &str) -> Option<PathBuf> {
        let hierarchy = hierarchies().iter().find(|hierarchy| hierarchy.governs(controller))?;
        Some(self.within(hierarchy))
    }

    /// The cgroup's directory in the cgroup2 hierarchy.
    pub fn unified(&self) -> PathBuf {
        let hierarchy = hierarchies().iter().find(|hierarchy| hierarchy.v2).expect("a cgroup2 mount");
        self.within(hierarchy)
    }

    /// Reads a file such as `pids.max` from the hierarchy that its prefix names, trimmed; empty if there is none.
    pub fn read(&self, file: &str) -> String {
        let controller = file.split('.').next().expect("a controller");
        let dir = self.dir(controller).unwrap_or_else(|| self.unified());
        fs::read_to_string(dir.join(file)).unwrap_or_default().trim().to_owned()
    }

    /// Reads the v1 file where the controller has a v1 hierarchy, else the v2 file.
    pub fn read_either(&self, v1_file: &str, v2_file: &str) -> String {
        self.read(if is_v1(v1_file.split('.').next().expect("a controller")) { v1_file } else { v2_file })
    }

    /// The directories of this cgroup that exist.
    pub fn existing(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<_> = hierarchies().iter().map(|hierarchy| self.within(hierarchy)).collect();
        dirs.retain(|dir| dir.is_dir());
        dirs
    }

    /// Lets frozen processes run, so that they can die.
    pub fn thaw(&self) {
        for dir in self.existing() {
            let _ = fs::write(dir.join("freezer.state"), "THAWED");
            let _ = fs::write(dir.join("cgroup.freeze"), "0");
        }
    }

    /// Removes what is left of this cgroup and of those below it.
    pub fn remove(&self) {
        for dir in self.existing() {
            remove_tree(&dir);
        }
    }

    fn within(&self, hierarchy: &Hierarchy) -> PathBuf {
        hierarchy.mountpoint.join(self.path.trim_start_matches('/'))
    }
}

/// Tells whether `controller` has a v1 hierarchy here.
pub fn is_v1(controller: &str) -> bool {
    hierarchies().iter().any(|hierarchy| !hierarchy.v2 && hierarchy.governs(controller))
}

/// Tells whether `controller` is one of the cgroup2 hierarchy here.
pub fn is_v2(controller: &str) -> bool {
    hierarchies().iter().any(|hierarchy| hierarchy.v2 && hierarchy.governs(controller))
}

/// Tells whether the machine has `controller` at all.
pub fn has(controller: &str) -> bool {
    hierarchies().iter().any(|hierarchy| hierarchy.governs(controller))
}

struct Hierarchy {
    mountpoint: PathBuf,
    controllers: Vec<String>,
    v2: bool,
}

impl Hierarchy {
    fn governs(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

fn hierarchies() -> &'static [Hierarchy] {
    static ALL: OnceLock<Vec<Hierarchy>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo");
        mountinfo.lines().filter_map(hierarchy_of_mount).collect()
    })
}

fn hierarchy_of_mount(line: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mountpoint = PathBuf::from(mount.split(' ').nth(4)?);
    let mut fields = filesystem.split(' ');
    match fields.next()? {
        "cgroup" => {
            let options = fields.nth(1)?.split(',').map(str::to_owned).collect();
            Some(Hierarchy { mountpoint, controllers: options, v2: false })
        }
        "cgroup2" => {
            let names = fs::read_to_string(mountpoint.join("cgroup.controllers")).ok()?;
            Some(Hierarchy {
                controllers: names.split_whitespace().map(str::to_owned).collect(),
                mountpoint,
                v2: true,
            })
        }
        _ => None,
    }
}

fn remove_tree(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}
