//! The cgroup that the shim itself goes to, by the option ShimCgroup. It is there already.

use std::fs;
use std::path::{Component, Path, PathBuf};

use corten::error::{Error, Kind, Result};
use corten::internals::plan::cgroup::host::Mode;
use corten::internals::probe;

/// Moves a process to the cgroup of this path: in v1 to each that has this path in a hierarchy.
///
/// Errors: NotFound if no hierarchy has it.
pub(super) fn enter(path: &str, pid: i32) -> Result<()> {
    let below = below(path)?;
    let mountpoints: Vec<PathBuf> = match probe::cgroups()?.mode {
        Mode::V1 { hierarchies } => hierarchies.into_iter().map(|hierarchy| hierarchy.mountpoint).collect(),
        Mode::V2 { hierarchy, .. } => vec![hierarchy.mountpoint],
    };
    let cgroups: Vec<PathBuf> =
        mountpoints.iter().map(|top| top.join(&below)).filter(|cgroup| cgroup.is_dir()).collect();
    if cgroups.is_empty() {
        return Err(Error::new(Kind::NotFound, "there is no such cgroup"));
    }
    cgroups.iter().try_for_each(|cgroup| {
        let file = cgroup.join("cgroup.procs");
        fs::write(&file, pid.to_string())
            .map_err(|err| Error::io(format!("write({}, {pid})", file.display()), &err))
    })
}

/// The path below a hierarchy's top.
fn below(path: &str) -> Result<PathBuf> {
    let mut below = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => below.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(Error::invalid(format!("{path:?} leads out of the hierarchy")));
            }
        }
    }
    Ok(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_a_hierarchy() {
        assert_eq!(below("/a/./b").ok().as_deref(), Some(Path::new("a/b")));
        assert!(below("/a/../../b").is_err());
    }
}
