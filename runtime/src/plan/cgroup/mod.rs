//! Which cgroup a container gets, and what is written into it: decided from the spec and the host's facts.

mod both;
pub mod devices;
pub mod host;
mod limits;
mod paths;
pub mod properties;
pub mod rootless;
mod unit;
mod v1;
mod v2;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use oci_spec::runtime::LinuxResources;

use crate::error::{Error, Result};
use devices::Policy;
use host::{CgroupHost, Hierarchy, Mode, Systemd};
use limits::Limits;
pub use limits::{OnFailure, Value, Write};
pub use paths::{CgroupPaths, RecordedUnit};
pub use rootless::Rootless;
pub use unit::Unit;
use unit::UnitPlace;

/// Who is asked to make the container's cgroup (`--cgroup-manager`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manager {
    /// systemd if it runs here and `linux.cgroupsPath` has its form, otherwise the runtime: some engines can't say
    /// whom they mean.
    #[default]
    ByPath,
    /// The runtime, through the file system.
    Cgroupfs,
    /// systemd, which gets a transient unit for the cgroup.
    Systemd,
    /// Nobody.
    Disabled,
}

/// Everything that is done about a container's cgroup before its process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Who makes the cgroup and removes it.
    pub driver: Driver,
    /// The directory of the container's processes in each hierarchy. On v2 there is one.
    pub dirs: Vec<Dir>,
    /// The writes without which no process can join, in order.
    pub before_enter: Vec<Write>,
    /// All other limits, in order.
    pub writes: Vec<Write>,
    /// Which devices may be used.
    pub devices: Policy,
    /// What the spec asks for and is passed over, and why; for `corten plan`.
    pub notes: Vec<String>,
}

/// Who makes the cgroup and removes it, with what only this driver has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The runtime makes `dirs`, and removes them with the container.
    Own {
        /// v2: the controllers to be enabled from the top of the hierarchy down to the cgroup. Empty on v1.
        enable: Vec<String>,
        /// The unit of systemd that `dirs` are the cgroup of, if systemd is to know it. The runtime makes them all the
        /// same, so that init can be born in them; systemd takes the cgroup over as it is.
        unit: Option<Rc<Unit>>,
    },
    /// The container stays in the cgroup of the runtime's caller: `dirs` are the caller's, and nothing is changed in
    /// them.
    Caller,
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
    /// Whether the container can do without this directory, because nothing is ever limited there.
    pub optional: bool,
}

/// What the cgroup of one container is decided from.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who is to make it.
    pub manager: Manager,
    /// The container's id.
    pub id: &'a str,
    /// `linux.cgroupsPath`
    pub path: Option<&'a Path>,
    /// `linux.resources`
    pub resources: Option<&'a LinuxResources>,
    /// `annotations`, some of which are for systemd.
    pub annotations: Option<&'a HashMap<String, String>>,
    /// Whether the caller isn't root of the host.
    pub is_rootless: bool,
    /// A directory in which the caller may make no cgroup, where the container may do without one.
    pub refused: Option<&'a Path>,
}

impl Asked<'_> {
    /// Whether the config leaves the place of the cgroup to the runtime.
    fn names_none(&self) -> bool {
        self.path.is_none_or(|path| path.as_os_str().is_empty())
    }

    /// Whether systemd may have to make the cgroup, so that it is worth a look whether it runs here.
    pub fn may_be_systemd_s(&self) -> bool {
        match self.manager {
            Manager::Systemd => true,
            Manager::ByPath => unit::is_of_systemd(self.path),
            Manager::Cgroupfs | Manager::Disabled => false,
        }
    }
}

/// Decides the cgroup of a container.
///
/// Errors: a resource whose controller this host doesn't have, a value that can't be carried out, a path that names
/// no cgroup of its own, a cgroup of systemd's where systemd doesn't run. Each names its field.
pub fn decide(asked: Asked, host: &CgroupHost) -> Result<Plan> {
    let unlimited = LinuxResources::default();
    let resources = asked.resources.unwrap_or(&unlimited);
    let mut plan = match (asked.manager, &host.systemd) {
        (Manager::Disabled, _) => callers(resources, host, "--cgroup-manager disabled"),
        (Manager::Systemd, None) => Err(Error::unsupported(
            "--systemd-cgroup: systemd doesn't run here, or none of its sockets can be seen",
        )),
        (Manager::Systemd | Manager::ByPath, Some(systemd)) if asked.may_be_systemd_s() => {
            systemds(asked, resources, systemd, host)
        }
        (Manager::Systemd | Manager::ByPath | Manager::Cgroupfs, _) => match asked.refused {
            Some(refused) if asked.names_none() => rootless::callers(resources, host, refused),
            _ => {
                let place = paths::Place::choose(asked.id, asked.path)?;
                own(resources, host, |hierarchy| Ok(place.on(hierarchy, host.is_v2())))
            }
        },
    }?;
    if asked.is_rootless {
        rootless::leave_devices(&mut plan, resources);
    }
    Ok(plan)
}

/// The plan for a cgroup of the container's own, at `place` in each hierarchy.
fn own(
    resources: &LinuxResources,
    host: &CgroupHost,
    place: impl Fn(&Hierarchy) -> Result<PathBuf>,
) -> Result<Plan> {
    let devices = Policy::new(resources.devices().as_deref().unwrap_or_default())?;
    let (dirs, enable, limits) = match &host.mode {
        Mode::V1 { hierarchies } => {
            let dirs = v1_dirs(hierarchies, place)?;
            require_devices(&dirs)?;
            let limits = v1::limits(resources, &|controller| dirs.iter().any(|dir| dir.holds(controller)))?;
            (dirs, Vec::new(), limits)
        }
        Mode::V2 { hierarchy, controllers } => {
            let limits =
                v2::limits(resources, &|controller| controllers.iter().any(|own| own == controller))?;
            (vec![v2_dir(place(hierarchy)?, hierarchy)], controllers.clone(), limits)
        }
    };
    let Limits { before_enter, writes, notes } = limits;
    Ok(Plan { driver: Driver::Own { enable, unit: None }, dirs, before_enter, writes, devices, notes })
}

/// The plan for a cgroup that systemd knows as a unit: one of the container's own, with the unit's properties.
fn systemds(asked: Asked, resources: &LinuxResources, systemd: &Systemd, host: &CgroupHost) -> Result<Plan> {
    let place = UnitPlace::choose(asked.id, asked.path, systemd.manager)?;
    let mut plan = own(resources, host, |hierarchy| place.on(hierarchy, systemd))?;
    let mut properties = properties::of_every_unit(asked.id, &place.slice, place.is_scope());
    properties.extend(properties::of_limits(plan.before_enter.iter().chain(&plan.writes)));
    if !host.is_v2() {
        properties.extend(properties::of_devices_on_v1(&plan.devices, &systemd.drivers));
    }
    properties::put_all(
        &mut properties,
        properties::of_annotations(asked.annotations.into_iter().flatten())?,
    );
    let unit = Unit {
        is_scope: place.is_scope(),
        name: place.name,
        manager: systemd.manager,
        properties,
        moves: !systemd.may_clone_into(host),
    };
    if let Driver::Own { unit: of_driver, .. } = &mut plan.driver {
        *of_driver = Some(Rc::new(unit));
    }
    Ok(plan)
}

/// The plan for the cgroup of the caller; `why` there is no other. Rules for devices are passed over, because engines
/// write some by habit.
///
/// Errors: any limit, because there is no cgroup to set it on.
fn callers(resources: &LinuxResources, host: &CgroupHost, why: &str) -> Result<Plan> {
    let path = |hierarchy: &Hierarchy| Ok(hierarchy.mountpoint.join(&hierarchy.own));
    let (dirs, limits) = match &host.mode {
        Mode::V1 { hierarchies } => (v1_dirs(hierarchies, path)?, v1::limits(resources, &|_| true)?),
        Mode::V2 { hierarchy, .. } => {
            (vec![v2_dir(path(hierarchy)?, hierarchy)], v2::limits(resources, &|_| true)?)
        }
    };
    if let Some(write) = limits.before_enter.iter().chain(&limits.writes).next() {
        return Err(Error::unsupported(format!("{write}: not without a cgroup ({why})")));
    }
    let mut notes = Vec::new();
    if resources.devices().as_ref().is_some_and(|rules| !rules.is_empty()) {
        let note = "linux.resources.devices: passed over, there is no cgroup to restrict devices in";
        notes.push(note.to_owned());
    }
    let devices = Policy::new(&[])?;
    Ok(Plan { driver: Driver::Caller, dirs, before_enter: Vec::new(), writes: Vec::new(), devices, notes })
}

/// Decides what `update` writes into a container's cgroup. Devices stay as they are.
///
/// Errors: as [`decide`].
pub fn decide_update(
    paths: &CgroupPaths,
    resources: &LinuxResources,
    host: &CgroupHost,
) -> Result<Vec<Write>> {
    if paths.iter().next().is_none() {
        return changes_without_a_cgroup(resources);
    }
    match &host.mode {
        Mode::V2 { controllers, .. } if paths.is_v2() => {
            v2::changes(resources, &|controller| controllers.iter().any(|known| known == controller))
        }
        _ => v1::changes(resources, &|controller| paths.get(controller).is_some()),
    }
}

/// The unit of a running container, made by a user's systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersUnit {
    /// The unit.
    pub unit: RecordedUnit,
    /// Where nobody but systemd may bring a process of the caller's into it.
    pub moves: bool,
}

impl UsersUnit {
    /// Decides how processes get there.
    pub fn new(unit: RecordedUnit, host: &CgroupHost) -> UsersUnit {
        let moves = |systemd: &Systemd| host.is_v2() && !systemd.may_clone_into(host);
        UsersUnit { unit, moves: host.systemd.as_ref().is_some_and(moves) }
    }
}

fn changes_without_a_cgroup(resources: &LinuxResources) -> Result<Vec<Write>> {
    match v1::changes(resources, &|_| true)?.first() {
        None => Ok(Vec::new()),
        Some(write) => {
            let cause = format!("{}: the container has no cgroup of its own", write.field);
            Err(Error::unsupported(cause).with_hint(rootless::HOW_TO_HAVE_A_CGROUP))
        }
    }
}

impl Plan {
    /// Whether the cgroup is in a v2 hierarchy alone.
    pub fn is_v2(&self) -> bool {
        matches!(&self.dirs[..], [only] if only.is_unified())
    }

    /// The plan without a pids limit that has no room for two processes, and such a limit alone.
    pub fn with_room_for_two(&self) -> (Plan, Plan) {
        let (for_one, for_two) = self.writes.iter().cloned().partition(Write::has_room_for_one);
        (Plan { writes: for_two, ..self.clone() }, Plan { writes: for_one, ..self.clone() })
    }

    /// Whether systemd moves init into the cgroup.
    pub fn is_moved(&self) -> bool {
        self.unit().is_some_and(|unit| unit.moves)
    }

    /// The unit of systemd that is started for the cgroup.
    pub fn unit(&self) -> Option<&Rc<Unit>> {
        match &self.driver {
            Driver::Own { unit, .. } => unit.as_ref(),
            Driver::Caller => None,
        }
    }

    /// What the state record keeps of the cgroup, so that later commands find it again. Empty where the cgroup is the
    /// caller's.
    pub fn paths(&self) -> CgroupPaths {
        match self.driver {
            Driver::Own { .. } => {
                let of_dir = |dir: &Dir| -> Vec<_> {
                    dir.controllers.iter().map(|name| (name.clone(), dir.path.clone())).collect()
                };
                CgroupPaths::new(self.dirs.iter().flat_map(of_dir).collect())
            }
            Driver::Caller => CgroupPaths::default(),
        }
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

fn v1_dirs(hierarchies: &[Hierarchy], path: impl Fn(&Hierarchy) -> Result<PathBuf>) -> Result<Vec<Dir>> {
    let joined =
        hierarchies.iter().filter(|hierarchy| hierarchy.controllers.iter().any(|name| v1::joins(name)));
    let dir = |hierarchy: &Hierarchy| -> Result<Dir> {
        Ok(Dir {
            controllers: hierarchy.controllers.clone(),
            mountpoint: hierarchy.mountpoint.clone(),
            path: path(hierarchy)?,
            optional: hierarchy.controllers.iter().all(|name| v1::is_optional(name)),
        })
    };
    joined.map(dir).collect()
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
    use super::host::Drivers;
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
        CgroupHost { mode: Mode::V1 { hierarchies }, systemd: None }
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
            systemd: None,
        }
    }

    fn asked<'a>(path: &'a str, resources: Option<&'a LinuxResources>) -> Asked<'a> {
        Asked {
            manager: Manager::ByPath,
            id: "c1",
            path: Some(Path::new(path)),
            resources,
            annotations: None,
            is_rootless: false,
            refused: None,
        }
    }

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn v1_has_one_directory_per_hierarchy_and_joins_only_what_it_knows() {
        let plan = decide(asked("/docker/c1", None), &v1_host()).unwrap();
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
        let plan = decide(asked("", None), &v1_host()).unwrap();
        assert_eq!(plan.paths().get("memory"), Some(Path::new("/sys/fs/cgroup/memory/user/me/c1")));
        assert_eq!(plan.paths().get("devices"), Some(Path::new("/sys/fs/cgroup/devices/c1")));
    }

    #[test]
    fn v2_relative_path_is_beside_the_runtime_s_own_cgroup() {
        let plan = decide(asked("x/y", None), &v2_host("cpu memory")).unwrap();
        assert!(plan.is_v2() && plan.paths().is_v2());
        assert_eq!(plan.paths().get(""), Some(Path::new("/sys/fs/cgroup/user/x/y")));
        assert_eq!(plan.driver, Driver::Own { enable: vec!["cpu".into(), "memory".into()], unit: None });
    }

    #[test]
    fn v1_without_the_devices_controller_is_refused() {
        let mut host = v1_host();
        let Mode::V1 { hierarchies } = &mut host.mode else { unreachable!() };
        hierarchies.retain(|hierarchy| hierarchy.controllers != ["devices"]);
        let err = decide(asked("", None), &host).unwrap_err();
        assert!(err.to_string().contains("devices controller"), "{err}");
    }

    #[test]
    fn plan_says_in_order_what_is_done_and_which_field_asked_for_it() {
        let resources = resources(
            r#"{"memory":{"limit":67108864,"swap":134217728,"swappiness":60},"cpu":{"shares":512},
                "pids":{"limit":100},"devices":[{"allow":false,"access":"rwm"}]}"#,
        );
        let plan = decide(asked("/docker/c1", Some(&resources)), &v2_host("cpu memory pids")).unwrap();
        assert_eq!(
            plan.writes.iter().map(Write::to_string).collect::<Vec<_>>(),
            [
                "pids.max = 100: limit the number of processes (linux.resources.pids.limit)",
                "memory.swap.max = 67108864: limit swap (linux.resources.memory.swap)",
                "memory.max = 67108864: limit memory (linux.resources.memory.limit)",
                "cpu.weight = 59: weigh the cpu (linux.resources.cpu.shares)",
            ]
        );
        assert_eq!(plan.dirs[0].path, Path::new("/sys/fs/cgroup/docker/c1"));
        assert_eq!(
            plan.devices.to_string(),
            "devices: none but b *:* m, c *:* m, c 1:3 rwm, c 1:5 rwm, c 1:7 rwm, c 1:8 rwm, c 1:9 rwm, \
             c 5:0 rwm, c 5:2 rwm, c 10:200 rwm, c 136:* rwm"
        );
        let note = "linux.resources.memory.swappiness: passed over, cgroup v2 has no such thing";
        assert_eq!(plan.notes, [note]);
    }

    #[test]
    fn container_in_the_caller_s_cgroup_has_none_on_record_and_no_limit() {
        let asked = resources(r#"{"devices":[{"allow":false,"access":"rwm"}]}"#);
        for host in [v1_host(), v2_host("memory")] {
            let disabled =
                |resources| Asked { manager: Manager::Disabled, ..self::asked("", Some(resources)) };
            let plan = decide(disabled(&asked), &host).unwrap();
            assert_eq!(plan.paths(), CgroupPaths::default());
            assert!(plan.notes[0].starts_with("linux.resources.devices: passed over"));
            let limit = resources(r#"{"memory":{"limit":1048576}}"#);
            let err = decide(disabled(&limit), &host).unwrap_err().to_string();
            assert!(err.contains("(linux.resources.memory.limit): not without a cgroup"), "{err}");
        }
    }

    #[test]
    fn systemd_s_cgroup_is_the_container_s_own_with_a_unit() {
        let manager = host::SystemdManager::System;
        let systemd = Some(Systemd { manager, control_group: PathBuf::new(), drivers: Drivers::default() });
        let resources = resources(r#"{"memory":{"limit":1048576},"cpu":{"cpus":"0"}}"#);
        for (host, dirs) in [
            (CgroupHost { systemd: systemd.clone(), ..v2_host("cpu cpuset memory") }, 1),
            (CgroupHost { systemd, ..v1_host() }, 6),
        ] {
            let plan = decide(asked("a-b.slice:docker:c1", Some(&resources)), &host).unwrap();
            assert_eq!(plan.dirs.len(), dirs);
            assert!(plan.dirs.iter().all(|dir| dir.path.ends_with("a.slice/a-b.slice/docker-c1.scope")));
            let unit = plan.unit().unwrap();
            assert_eq!(unit.name, "docker-c1.scope");
            let properties: Vec<String> = unit.properties.iter().map(|each| each.to_string()).collect();
            let memory = if host.is_v2() { "MemoryMax=1048576" } else { "MemoryLimit=1048576" };
            for expected in ["Slice=\"a-b.slice\"", "Delegate=true", memory, "AllowedCPUs=0"] {
                assert!(properties.iter().any(|has| has == expected), "{expected} of {properties:?}");
            }
            assert_eq!(properties.iter().any(|has| has == "DevicePolicy=\"strict\""), !host.is_v2());
        }
    }

    #[test]
    fn systemd_is_asked_where_it_runs_and_is_meant() {
        let meant = asked("system.slice:docker:c1", None);
        let plan = decide(meant, &v2_host("")).unwrap();
        assert_eq!(plan.dirs[0].path, Path::new("/sys/fs/cgroup/user/system.slice:docker:c1"));
        let err = decide(Asked { manager: Manager::Systemd, ..meant }, &v2_host("")).unwrap_err().to_string();
        assert!(err.starts_with("--systemd-cgroup: systemd doesn't run here"), "{err}");
        let systemd = Systemd {
            manager: host::SystemdManager::User,
            control_group: "u".into(),
            drivers: Drivers::default(),
        };
        let host = CgroupHost { systemd: Some(systemd), ..v2_host("") };
        assert!(decide(Asked { manager: Manager::Cgroupfs, ..meant }, &host).unwrap().unit().is_none());
        assert!(decide(asked("/docker/c1", None), &host).unwrap().unit().is_none());
        let plan = decide(Asked { manager: Manager::Systemd, ..asked("", None) }, &host).unwrap();
        assert_eq!(plan.dirs[0].path, Path::new("/sys/fs/cgroup/u/user.slice/corten-c1.scope"));
    }

    #[test]
    fn update_leaves_devices_alone_and_asks_the_record_for_the_controllers() {
        let paths = decide(asked("", None), &v1_host()).unwrap().paths();
        let asked = resources(r#"{"memory":{"limit":1048576},"devices":[{"allow":true,"access":"rwm"}]}"#);
        let writes = decide_update(&paths, &asked, &v1_host()).unwrap();
        assert_eq!(
            writes.iter().map(|write| write.file.as_ref()).collect::<Vec<_>>(),
            ["memory.limit_in_bytes"]
        );
        let asked = resources(r#"{"pids":{"limit":5}}"#);
        let err = decide_update(&CgroupPaths::default(), &asked, &v2_host("")).unwrap_err().to_string();
        assert_eq!(err, "linux.resources.pids.limit: the container has no cgroup of its own");
        let err = decide_update(&paths, &asked, &v1_host()).unwrap_err().to_string();
        assert_eq!(err, "linux.resources.pids.limit: the pids controller is not there (cgroup v1)");
    }
}
