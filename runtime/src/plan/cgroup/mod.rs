//! Which cgroup a container gets, and what is written into it: decided from the spec and the host's facts.

mod both;
pub mod devices;
pub mod host;
mod limits;
mod paths;
mod v1;
mod v2;

use std::fmt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use crate::error::{Error, Result};
use devices::Policy;
use host::{CgroupHost, Hierarchy, Mode};
pub use limits::{OnFailure, Value, Write};
pub use paths::CgroupPaths;

/// Everything that is done about a container's cgroup before its process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The container's directory in each hierarchy; on v2 there is one.
    pub dirs: Vec<Dir>,
    /// Whether it is made for the container. Otherwise it is the caller's, and nothing is changed in it.
    pub is_own: bool,
    /// v2: the controllers to be enabled from the top of the hierarchy down to the cgroup. Empty on v1.
    pub enable: Vec<String>,
    /// What has to stand before a process can join, in order.
    pub before_enter: Vec<Write>,
    /// All other limits, in order.
    pub writes: Vec<Write>,
    /// Which devices may be used.
    pub devices: Policy,
    /// What was asked for and is passed over, and why; for `corten plan`.
    pub notes: Vec<String>,
}

/// The container's directory in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dir {
    /// The controllers of the hierarchy: `memory`, `name=systemd`; `""` is the unified one.
    pub controllers: Vec<String>,
    /// Where the hierarchy is mounted.
    pub mountpoint: PathBuf,
    /// The directory itself.
    pub path: PathBuf,
    /// Whether the container can do without it: nothing is ever limited there.
    pub optional: bool,
}

/// Decides the cgroup of container `id`, whose spec says `linux.cgroupsPath` and `linux.resources`.
///
/// # Errors
/// A resource whose controller this host doesn't have, a value that can't be carried out, a path that names
/// no cgroup of its own. Each names its field.
pub fn decide(
    id: &str,
    cgroups_path: Option<&Path>,
    resources: Option<&LinuxResources>,
    host: &CgroupHost,
) -> Result<Plan> {
    let unlimited = LinuxResources::default();
    let resources = resources.unwrap_or(&unlimited);
    let place = paths::Place::choose(id, cgroups_path)?;
    let devices = Policy::new(resources.devices().as_deref().unwrap_or_default())?;
    match &host.mode {
        Mode::V1 { hierarchies } => {
            let dirs = v1_dirs(hierarchies, |hierarchy| place.on_v1(hierarchy));
            require_devices(&dirs)?;
            let has = |controller: &str| dirs.iter().any(|dir| dir.holds(controller));
            let limits = v1::limits(resources, &has)?;
            let (before_enter, writes, notes) = (limits.before_enter, limits.writes, limits.notes);
            Ok(Plan { dirs, is_own: true, enable: Vec::new(), before_enter, writes, devices, notes })
        }
        Mode::V2 { hierarchy, controllers } => {
            let has = |controller: &str| controllers.iter().any(|known| known == controller);
            let limits = v2::limits(resources, &has)?;
            Ok(Plan {
                dirs: vec![v2_dir(place.on_v2(hierarchy), hierarchy)],
                is_own: true,
                enable: controllers.clone(),
                before_enter: Vec::new(),
                writes: limits.writes,
                devices,
                notes: limits.notes,
            })
        }
    }
}

/// Decides about a container that stays in the cgroup of its caller, who wants none made (`--cgroup-manager disabled`).
///
/// # Errors
/// Any limit: there is nothing to set it on. Rules for devices are passed over, since engines write some by habit.
pub fn stay(resources: Option<&LinuxResources>, host: &CgroupHost) -> Result<Plan> {
    let unlimited = LinuxResources::default();
    let resources = resources.unwrap_or(&unlimited);
    let own = |hierarchy: &Hierarchy| hierarchy.mountpoint.join(&hierarchy.own);
    let (dirs, writes) = match &host.mode {
        Mode::V1 { hierarchies } => {
            let limits = v1::limits(resources, &|_| true)?;
            (v1_dirs(hierarchies, own), [limits.before_enter, limits.writes].concat())
        }
        Mode::V2 { hierarchy, .. } => {
            (vec![v2_dir(own(hierarchy), hierarchy)], v2::limits(resources, &|_| true)?.writes)
        }
    };
    if let Some(write) = writes.first() {
        return Err(Error::unsupported(format!("{write}: not without a cgroup (--cgroup-manager disabled)")));
    }
    let rules = resources.devices().as_deref().unwrap_or_default();
    let notes = match rules.is_empty() {
        true => Vec::new(),
        false => {
            vec!["linux.resources.devices: passed over, there is no cgroup to restrict devices in".to_owned()]
        }
    };
    let devices = Policy::new(&[])?;
    Ok(Plan {
        dirs,
        is_own: false,
        enable: Vec::new(),
        before_enter: Vec::new(),
        writes: Vec::new(),
        devices,
        notes,
    })
}

/// Decides what `update` writes into a container's cgroup. Devices stay as they are.
///
/// # Errors
/// As [`decide`]; nothing has been written then.
pub fn decide_update(
    paths: &CgroupPaths,
    resources: &LinuxResources,
    host: &CgroupHost,
) -> Result<Vec<Write>> {
    match &host.mode {
        Mode::V2 { controllers, .. } if paths.is_v2() => {
            v2::changes(resources, &|controller| controllers.iter().any(|known| known == controller))
        }
        _ => v1::changes(resources, &|controller| paths.get(controller).is_some()),
    }
}

impl Plan {
    /// Whether the cgroup is in a v2 hierarchy alone.
    pub fn is_v2(&self) -> bool {
        matches!(&self.dirs[..], [only] if only.is_unified())
    }

    /// What the state record keeps of the cgroup: all that is needed to find it again.
    pub fn paths(&self) -> CgroupPaths {
        if !self.is_own {
            return CgroupPaths::default();
        }
        let each = |dir: &Dir| dir.controllers.iter().map(|name| (name.clone(), dir.path.clone())).collect();
        CgroupPaths::new(self.dirs.iter().flat_map(|dir| -> Vec<_> { each(dir) }).collect())
    }

    /// One line for each thing that is done, in order.
    pub fn describe(&self) -> Vec<String> {
        if !self.is_own {
            return self.notes.clone();
        }
        let mut lines: Vec<String> = self.dirs.iter().map(Dir::to_string).collect();
        if !self.enable.is_empty() {
            lines.push(format!("enable the controllers {}", self.enable.join(" ")));
        }
        lines.extend(self.before_enter.iter().map(Write::to_string));
        lines.extend(self.writes.iter().map(Write::to_string));
        lines.push(self.devices.to_string());
        lines.extend(self.notes.iter().cloned());
        lines
    }
}

impl Dir {
    /// Whether `controller` is one of this hierarchy's.
    pub fn holds(&self, controller: &str) -> bool {
        self.controllers.iter().any(|own| own == controller)
    }

    /// Whether this is the unified hierarchy.
    pub fn is_unified(&self) -> bool {
        self.holds(CgroupPaths::UNIFIED)
    }
}

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = if self.optional { ", if it can be made" } else { "" };
        write!(f, "cgroup {}{hint}", self.path.display())
    }
}

fn v1_dirs(hierarchies: &[Hierarchy], path: impl Fn(&Hierarchy) -> PathBuf) -> Vec<Dir> {
    hierarchies
        .iter()
        .filter(|hierarchy| hierarchy.controllers.iter().any(|name| v1::joins(name)))
        .map(|hierarchy| Dir {
            controllers: hierarchy.controllers.clone(),
            mountpoint: hierarchy.mountpoint.clone(),
            path: path(hierarchy),
            optional: hierarchy.controllers.iter().all(|name| v1::is_optional(name)),
        })
        .collect()
}

fn require_devices(dirs: &[Dir]) -> Result<()> {
    if !dirs.iter().any(|dir| dir.holds("devices")) {
        return Err(Error::unsupported(
            "access to devices can't be restricted: no cgroup hierarchy with the devices controller is mounted",
        ));
    }
    Ok(())
}

fn v2_dir(path: PathBuf, hierarchy: &Hierarchy) -> Dir {
    Dir {
        controllers: vec![CgroupPaths::UNIFIED.to_owned()],
        mountpoint: hierarchy.mountpoint.clone(),
        path,
        optional: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn v1_host() -> CgroupHost {
        let hierarchy = |names: &[&str], at: &str, own: &str| Hierarchy {
            controllers: names.iter().map(|name| name.to_string()).collect(),
            mountpoint: Path::new("/sys/fs/cgroup").join(at),
            own: own.into(),
        };
        let hierarchies = vec![
            hierarchy(&["cpuset"], "cpuset", ""),
            hierarchy(&["devices"], "devices", ""),
            hierarchy(&["memory"], "memory", "user/me"),
            hierarchy(&["cpu", "cpuacct"], "cpu,cpuacct", ""),
            hierarchy(&["debug"], "debug", ""),
            hierarchy(&["name=systemd"], "systemd", ""),
            hierarchy(&[""], "unified", ""),
        ];
        CgroupHost { mode: Mode::V1 { hierarchies } }
    }

    pub(super) fn v2_host(controllers: &str) -> CgroupHost {
        CgroupHost {
            mode: Mode::V2 {
                hierarchy: Hierarchy {
                    controllers: vec![String::new()],
                    mountpoint: "/sys/fs/cgroup".into(),
                    own: "user/session".into(),
                },
                controllers: controllers.split_whitespace().map(str::to_owned).collect(),
            },
        }
    }

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn v1_has_one_directory_per_hierarchy_and_joins_only_what_it_knows() {
        let plan = decide("c1", Some(Path::new("/docker/c1")), None, &v1_host()).unwrap();
        let dirs: Vec<_> = plan.dirs.iter().map(|dir| (dir.path.to_str().unwrap(), dir.optional)).collect();
        assert_eq!(
            dirs,
            [
                ("/sys/fs/cgroup/cpuset/docker/c1", false),
                ("/sys/fs/cgroup/devices/docker/c1", false),
                ("/sys/fs/cgroup/memory/docker/c1", false),
                ("/sys/fs/cgroup/cpu,cpuacct/docker/c1", false),
                ("/sys/fs/cgroup/systemd/docker/c1", true),
                ("/sys/fs/cgroup/unified/docker/c1", true),
            ]
        );
        assert!(!plan.is_v2());
        assert_eq!(plan.paths().get("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/docker/c1")));
    }

    #[test]
    fn v1_relative_path_is_below_the_runtime_s_own_cgroup() {
        let plan = decide("c1", None, None, &v1_host()).unwrap();
        assert_eq!(plan.paths().get("memory"), Some(Path::new("/sys/fs/cgroup/memory/user/me/c1")));
        assert_eq!(plan.paths().get("devices"), Some(Path::new("/sys/fs/cgroup/devices/c1")));
    }

    #[test]
    fn v2_relative_path_is_beside_the_runtime_s_own_cgroup() {
        let plan = decide("c1", Some(Path::new("x/y")), None, &v2_host("cpu memory")).unwrap();
        assert!(plan.is_v2() && plan.paths().is_v2());
        assert_eq!(plan.paths().get(""), Some(Path::new("/sys/fs/cgroup/user/x/y")));
        assert_eq!(plan.enable, ["cpu", "memory"]);
    }

    #[test]
    fn v1_without_the_devices_controller_is_refused() {
        let CgroupHost { mode: Mode::V1 { mut hierarchies } } = v1_host() else { unreachable!() };
        hierarchies.retain(|hierarchy| hierarchy.controllers != ["devices"]);
        let err = decide("c1", None, None, &CgroupHost { mode: Mode::V1 { hierarchies } }).unwrap_err();
        assert!(err.to_string().contains("devices controller"), "{err}");
    }

    #[test]
    fn plan_says_in_order_what_is_done_and_which_field_asked_for_it() {
        let resources = resources(
            r#"{"memory":{"limit":67108864,"swap":134217728,"swappiness":60},"cpu":{"shares":512},
                "pids":{"limit":100},"devices":[{"allow":false,"access":"rwm"}]}"#,
        );
        let path = Some(Path::new("/docker/c1"));
        let plan = decide("c1", path, Some(&resources), &v2_host("cpu memory pids")).unwrap();
        assert_eq!(
            plan.describe(),
            [
                "cgroup /sys/fs/cgroup/docker/c1",
                "enable the controllers cpu memory pids",
                "pids.max = 100: limit the number of processes (linux.resources.pids.limit)",
                "memory.swap.max = 67108864: limit swap (linux.resources.memory.swap)",
                "memory.max = 67108864: limit memory (linux.resources.memory.limit)",
                "cpu.weight = 59: weigh the cpu (linux.resources.cpu.shares)",
                "devices: none but b *:* m, c *:* m, c 1:3 rwm, c 1:5 rwm, c 1:7 rwm, c 1:8 rwm, c 1:9 rwm, \
                 c 5:0 rwm, c 5:2 rwm, c 10:200 rwm, c 136:* rwm",
                "linux.resources.memory.swappiness: passed over, cgroup v2 has no such thing",
            ]
        );
    }

    #[test]
    fn who_stays_in_the_caller_s_cgroup_has_none_on_record_and_no_limit() {
        let asked = resources(r#"{"devices":[{"allow":false,"access":"rwm"}]}"#);
        for host in [v1_host(), v2_host("memory")] {
            let plan = stay(Some(&asked), &host).unwrap();
            assert_eq!(plan.paths(), CgroupPaths::default());
            assert!(plan.describe()[0].starts_with("linux.resources.devices: passed over"));
            let err =
                stay(Some(&resources(r#"{"memory":{"limit":1048576}}"#)), &host).unwrap_err().to_string();
            assert!(err.contains("(linux.resources.memory.limit): not without a cgroup"), "{err}");
        }
    }

    #[test]
    fn update_leaves_devices_alone_and_asks_the_record_for_the_controllers() {
        let paths = decide("c1", None, None, &v1_host()).unwrap().paths();
        let asked = resources(r#"{"memory":{"limit":1048576},"devices":[{"allow":true,"access":"rwm"}]}"#);
        let writes = decide_update(&paths, &asked, &v1_host()).unwrap();
        assert_eq!(
            writes.iter().map(|write| write.file.as_ref()).collect::<Vec<_>>(),
            ["memory.limit_in_bytes"]
        );
        let asked = resources(r#"{"pids":{"limit":5}}"#);
        let err = decide_update(&paths, &asked, &v1_host()).unwrap_err().to_string();
        assert_eq!(err, "linux.resources.pids.limit: the pids controller is not there (cgroup v1)");
    }
}
