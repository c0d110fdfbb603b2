//! The unit of systemd that a container's cgroup is known by: `linux.cgroupsPath` as `slice:prefix:name`.

use std::path::{Path, PathBuf};

use super::host::{Hierarchy, Systemd, SystemdManager};
use super::properties::Property;
use crate::error::{Error, Result};

/// A transient unit: a scope around the container's processes, or a slice whose own cgroup they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// `docker-1a2b.scope`
    pub name: String,
    /// The manager that is asked to start it.
    pub manager: SystemdManager,
    /// What the manager is told of it beside the processes.
    pub properties: Vec<Property>,
    /// Whether the unit is told the processes that it is around. A slice is not.
    pub is_scope: bool,
    /// Where init is born outside of the unit's cgroup, and systemd moves it there.
    pub moves: bool,
}

/// The name of a unit, and where it is in the tree of slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnitPlace {
    pub name: String,
    /// The slice that the unit is in; of a slice, the one above it. Empty for the root of all slices.
    pub slice: String,
}

/// What systemd takes for a unit's name: its own limit.
const NAME_BYTES_MAX: usize = 255;

impl UnitPlace {
    /// Where `linux.cgroupsPath` puts the container `id`. Without a path, or without a slice in it, that is the slice
    /// which the manager keeps for such things.
    pub fn choose(id: &str, cgroups_path: Option<&Path>, manager: SystemdManager) -> Result<UnitPlace> {
        let asked = cgroups_path.filter(|path| !path.as_os_str().is_empty());
        let text = match asked.map(|path| path.to_str().ok_or(path)) {
            None => format!(":corten:{id}"),
            Some(Ok(text)) => text.to_owned(),
            Some(Err(path)) => return Err(not_three_parts(&path.display().to_string())),
        };
        let [slice, prefix, name] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(not_three_parts(&text));
        };
        let slice = if slice.is_empty() { manager.default_slice() } else { slice };
        if name.is_empty() {
            return Err(Error::invalid(format!("linux.cgroupsPath: {text} names no unit of systemd's")));
        }
        let above = expanded(slice)?;
        if name.ends_with(".slice") {
            return of_slice(name, slice, &above);
        }
        let place = UnitPlace { name: format!("{prefix}-{name}.scope"), slice: slice_name(slice) };
        if !is_valid(&place.name) {
            return Err(Error::invalid(format!("linux.cgroupsPath: {:?} is no unit's name", place.name)));
        }
        Ok(place)
    }

    /// Whether this is a scope: the third part of the path may name a slice instead.
    pub fn is_scope(&self) -> bool {
        self.name.ends_with(".scope")
    }

    /// The unit's directory in one hierarchy.
    pub fn on(&self, hierarchy: &Hierarchy, systemd: &Systemd) -> Result<PathBuf> {
        let mut path = hierarchy.mountpoint.join(&systemd.control_group);
        path.extend(expanded(if self.slice.is_empty() { ROOT_SLICE } else { &self.slice })?);
        Ok(path.join(escaped(&self.name)))
    }
}

/// Whether a path is of the form that only systemd's cgroups have: engines that can't say `--systemd-cgroup` send it.
pub(super) fn is_of_systemd(cgroups_path: Option<&Path>) -> bool {
    let text = cgroups_path.and_then(Path::to_str).unwrap_or_default();
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 3 && (parts[0].is_empty() || parts[0].ends_with(".slice")) && !parts[2].is_empty()
}

/// The slice of all slices.
const ROOT_SLICE: &str = "-.slice";

fn not_three_parts(text: &str) -> Error {
    // runc's words, which callers know.
    Error::invalid(format!(
        "linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, \
         got {text:?} instead"
    ))
}

fn of_slice(name: &str, slice: &str, above: &[String]) -> Result<UnitPlace> {
    let own = expanded(name)?;
    match own.split_last() {
        Some((_, parents)) if parents == above => {
            Ok(UnitPlace { name: name.to_owned(), slice: slice_name(slice) })
        }
        _ => Err(Error::invalid(format!("linux.cgroupsPath: the slice {name} does not lie in {slice}"))),
    }
}

fn slice_name(slice: &str) -> String {
    if slice == ROOT_SLICE { String::new() } else { slice.to_owned() }
}

/// The directories of a slice: `a-b.slice` is `a.slice/a-b.slice`.
fn expanded(slice: &str) -> Result<Vec<String>> {
    let stem = slice.strip_suffix(".slice").filter(|stem| is_valid(slice) && !stem.is_empty());
    if slice == ROOT_SLICE {
        return Ok(Vec::new());
    }
    let Some(stem) = stem.filter(|stem| stem.split('-').all(|part| !part.is_empty())) else {
        return Err(Error::invalid(format!("linux.cgroupsPath: {slice:?} is not the name of a slice")));
    };
    let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
    Ok(ends.map(|end| escaped(&format!("{}.slice", &stem[..end]))).collect())
}

/// systemd(1), unit names.
fn is_valid(name: &str) -> bool {
    let may_occur = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    name.len() <= NAME_BYTES_MAX && name.bytes().all(may_occur)
}

/// The name of a unit's cgroup: systemd keeps it apart from the kernel's own files, of any controller on any host.
fn escaped(name: &str) -> String {
    const KEPT: [&str; 14] = [
        "cgroup",
        "cpu",
        "cpuacct",
        "cpuset",
        "io",
        "blkio",
        "memory",
        "devices",
        "pids",
        "bpf-firewall",
        "bpf-devices",
        "bpf-foreign",
        "bpf-socket-bind",
        "bpf-restrict-network-interfaces",
    ];
    let is_of_kernel = name.split_once('.').is_some_and(|(first, _)| KEPT.contains(&first));
    if is_of_kernel || name.starts_with(['_', '.']) { format!("_{name}") } else { name.to_owned() }
}

impl SystemdManager {
    fn default_slice(self) -> &'static str {
        match self {
            SystemdManager::System => "system.slice",
            SystemdManager::User => "user.slice",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::Drivers;
    use super::*;

    fn place(path: &str) -> (String, String) {
        let place = UnitPlace::choose("c1", Some(Path::new(path)), SystemdManager::System).unwrap();
        let hierarchy = Hierarchy {
            controllers: vec![String::new()],
            mountpoint: "/sys/fs/cgroup".into(),
            own: PathBuf::new(),
        };
        let (manager, drivers) = (SystemdManager::System, Drivers::default());
        let systemd = Systemd { manager, control_group: "top".into(), drivers };
        let path = place.on(&hierarchy, &systemd).unwrap();
        (place.name, path.strip_prefix("/sys/fs/cgroup/top").unwrap().to_str().unwrap().to_owned())
    }

    fn error(path: &str) -> String {
        UnitPlace::choose("c1", Some(Path::new(path)), SystemdManager::System).unwrap_err().to_string()
    }

    fn both(name: &str, path: &str) -> (String, String) {
        (name.to_owned(), path.to_owned())
    }

    #[test]
    fn slices_nest_by_dashes() {
        assert_eq!(place("system.slice:docker:x"), both("docker-x.scope", "system.slice/docker-x.scope"));
        assert_eq!(
            place("kube-pod-x.slice:cri:y"),
            both("cri-y.scope", "kube.slice/kube-pod.slice/kube-pod-x.slice/cri-y.scope")
        );
        assert_eq!(place("-.slice:p:x"), both("p-x.scope", "p-x.scope"));
        assert_eq!(place("::x"), both("-x.scope", "system.slice/-x.scope"));
        assert_eq!(place(""), both("corten-c1.scope", "system.slice/corten-c1.scope"));
        let user = UnitPlace::choose("c1", None, SystemdManager::User).unwrap();
        assert_eq!(user, UnitPlace { name: "corten-c1.scope".into(), slice: "user.slice".into() });
    }

    #[test]
    fn a_slice_may_be_the_unit_itself() {
        assert_eq!(place("a.slice:p:a-b.slice"), both("a-b.slice", "a.slice/a-b.slice"));
        assert_eq!(place("-.slice:p:a.slice"), both("a.slice", "a.slice"));
        assert_eq!(
            error("b.slice:p:a.slice"),
            "linux.cgroupsPath: the slice a.slice does not lie in b.slice"
        );
    }

    #[test]
    fn names_that_the_kernel_keeps_are_escaped() {
        assert_eq!(place("_a.slice:.x:y"), both(".x-y.scope", "__a.slice/_.x-y.scope"));
        assert_eq!(place("system.slice:cgroup.p:y").1, "system.slice/_cgroup.p-y.scope");
        assert_eq!(place("cpu-a.slice:memory.p:y").1, "_cpu.slice/cpu-a.slice/_memory.p-y.scope");
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        for path in ["/docker/x", "x", "a.slice:b", "a.slice:b:c:d"] {
            let words = format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {path:?} instead"
            );
            assert!(error(path).ends_with(&words), "{path}");
        }
        for slice in ["a", ".slice", "a--b.slice", "-a.slice", "a-.slice", "a/b.slice", "../a.slice"] {
            let text = error(&format!("{slice}:p:x"));
            assert_eq!(text, format!("linux.cgroupsPath: {slice:?} is not the name of a slice"));
        }
        assert_eq!(error("a.slice:p:x/y"), "linux.cgroupsPath: \"p-x/y.scope\" is no unit's name");
        assert!(error("a.slice:p:").contains("names no unit"));
    }

    #[test]
    fn form_of_systemd_is_recognised() {
        for path in ["system.slice:docker:x", ":p:x", "::x"] {
            assert!(is_of_systemd(Some(Path::new(path))), "{path}");
        }
        for path in ["/docker/x", "a:b:c", "x.slice:y", "a.slice:b:", ""] {
            assert!(!is_of_systemd(Some(Path::new(path))), "{path}");
        }
        assert!(!is_of_systemd(None));
    }
}
