//! Places in volumes that containers have mounted, and that no link leads out of.
//!
//! A container that writes to a volume may put a link on the way to such a place at any time, and the runtime would
//! follow the link when it mounts the place. So the hook looks at what is mounted, before the container's program runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, fstat};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Context, Error, Result};

/// The annotation that has a container's [`Subpaths`], as JSON. Whoever starts the container, the runtime gives it to
/// the hook.
pub const ANNOTATION: &str = "corten.compose/subpaths";

/// A place in a volume: a directory or a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subpath {
    /// The volume's directory of data.
    pub data: PathBuf,
    /// The path below it.
    pub path: String,
}

/// A container's places in volumes, by where they are mounted in the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subpaths(pub BTreeMap<String, Subpath>);

impl Subpath {
    /// Where it is on the host.
    pub fn on_host(&self) -> PathBuf {
        self.data.join(&self.path)
    }

    /// Opens it as a path.
    ///
    /// Errors: a path that isn't below the volume, goes through a link, or leads nowhere.
    pub fn open(&self) -> Result<OwnedFd> {
        let root =
            open(&self.data, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).at(self.data.display())?;
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(&root, self.path.as_str(), how).map_err(|errno| match errno {
            Errno::EXDEV => self.wrong("not below the volume"),
            Errno::ELOOP => self.wrong("a symbolic link is on the way"),
            Errno::ENOENT => self.wrong("no such file or directory"),
            errno => self.wrong(errno.desc()),
        })
    }

    fn wrong(&self, why: &str) -> Error {
        Error::new(format!("cannot access path {}: {why}", self.on_host().display()))
    }
}

impl Subpaths {
    /// Reads a container's annotations.
    pub fn of(annotations: &BTreeMap<String, String>) -> Result<Subpaths> {
        Subpaths::read(annotations.get(ANNOTATION).map(String::as_str))
    }

    /// Reads the annotations of a config.json.
    pub fn of_spec(spec: &Value) -> Result<Subpaths> {
        Subpaths::read(spec["annotations"][ANNOTATION].as_str())
    }

    fn read(annotation: Option<&str>) -> Result<Subpaths> {
        match annotation {
            Some(text) => serde_json::from_str(text).at(format_args!("annotation {ANNOTATION}")),
            None => Ok(Subpaths::default()),
        }
    }

    /// The annotation, if there is something to be said.
    pub fn annotation(&self) -> Result<Option<(String, String)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        Ok(Some((ANNOTATION.to_owned(), serde_json::to_string(self).at(ANNOTATION)?)))
    }

    /// Whether each of them is in its volume now.
    ///
    /// Errors: those of [`Subpath::open`].
    pub fn check(&self) -> Result<()> {
        self.0.values().try_for_each(|subpath| subpath.open().map(drop))
    }

    /// Whether what the runtime has mounted for a container is in the volumes. The first process has its mounts by
    /// now, and its program does not run yet.
    ///
    /// Errors: a place that is out of its volume, or that was exchanged since it was mounted.
    pub fn check_mounted(&self, init: i32, bundle: &Path) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let config = config(bundle)?;
        let root = root(init, bundle, &config)?;
        let mounts = binds(&config).map(|target| Ok((target, inside(&root, target)?)));
        let mounts = mounts.collect::<Result<Vec<_>>>()?;
        refuse_moved(&root, &mounts)?;
        for (target, subpath) in &self.0 {
            let mounted = mounts.iter().find(|(at, _)| at == target);
            let (_, mounted) = mounted.ok_or_else(|| not_at_its_place(target))?;
            // Both are held open, so no other file can have the number meanwhile.
            let wanted = subpath.open()?;
            if identity(mounted)? != identity(&wanted)? {
                return Err(subpath.wrong("it was exchanged while the container started"));
            }
        }
        Ok(())
    }
}

/// Opens a path of a container that has its mounts by now, and whose program does not run yet.
pub fn in_container(init: i32, bundle: &Path, path: &str) -> Result<OwnedFd> {
    inside(&root(init, bundle, &config(bundle)?)?, path)
}

fn config(bundle: &Path) -> Result<Value> {
    let path = bundle.join("config.json");
    serde_json::from_slice(&fs::read(&path).at(path.display())?).at(path.display())
}

/// Opens a container's root. Most runtimes call the hook while the first process is still in the runtime's own root,
/// with the container's root at its place there.
fn root(init: i32, bundle: &Path, config: &Value) -> Result<OwnedFd> {
    let rootfs = bundle.join(config["root"]["path"].as_str().unwrap_or_default());
    let of_init = format!("/proc/{init}/root");
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let at = open(of_init.as_str(), flags, Mode::empty()).at(&of_init)?;
    let own = open("/", flags, Mode::empty()).at("/")?;
    if identity(&at)? == identity(&own)? { inside(&at, &rootfs.to_string_lossy()) } else { Ok(at) }
}

/// Opens a path below a root as the runtime does: a link leads nowhere but within the root.
fn inside(root: &OwnedFd, path: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    openat2(root, path, OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT)).at(path)
}

/// Where a config.json has parts of the host mounted.
fn binds(config: &Value) -> impl Iterator<Item = &str> {
    let is_bind = |mount: &&Value| {
        let mut options = mount["options"].as_array().into_iter().flatten();
        mount["type"] == "bind" || options.any(|option| option == "bind" || option == "rbind")
    };
    let mounts = config["mounts"].as_array().into_iter().flatten();
    mounts.filter(is_bind).filter_map(|mount| mount["destination"].as_str())
}

/// Refuses a target that has no mount of its own. Another container may write to the directory of a target: it could
/// rename the target, and lay a link to another mount in the place. But then two targets have one mount.
fn refuse_moved(root: &OwnedFd, mounts: &[(&str, OwnedFd)]) -> Result<()> {
    let mut seen = BTreeSet::from([mount_id(root)?]);
    for (target, mounted) in mounts {
        if !seen.insert(mount_id(mounted)?) {
            return Err(not_at_its_place(target));
        }
    }
    Ok(())
}

fn not_at_its_place(target: &str) -> Error {
    Error::new(format!("mount {target}: not at its place"))
}

/// The kernel's number of the mount that a file was reached by, unique among all mounts that are there.
fn mount_id(file: &OwnedFd) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
    let text = fs::read_to_string(&path).at(&path)?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or_else(|| Error::new(format!("{path}: without mnt_id")))
}

/// What tells a file from all others for as long as it is open: the file system, the file's number there.
fn identity(file: &OwnedFd) -> Result<(u64, u64)> {
    let about = fstat(file).at("a path that is open")?;
    Ok((about.st_dev, about.st_ino))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_below_its_volume_and_no_link_is_on_the_way() {
        let data = std::env::temp_dir().join(format!("corten-compose-subpath-{}", std::process::id()));
        fs::create_dir_all(data.join("a/b")).expect("directories");
        fs::write(data.join("a/file"), "").expect("a file");
        symlink("/", data.join("out")).expect("a link");
        let said = |path: &str| {
            let opened = Subpath { data: data.clone(), path: path.to_owned() }.open();
            opened.err().map(|err| err.to_string().rsplit(": ").next().unwrap_or_default().to_owned())
        };
        for good in [".", "a", "a/b", "a/../a", "a/file", "./a//b/"] {
            assert_eq!(said(good), None, "{good}");
        }
        for (bad, why) in [
            ("..", "not below the volume"),
            ("/etc", "not below the volume"),
            ("a/../..", "not below the volume"),
            ("out", "a symbolic link is on the way"),
            ("out/etc", "a symbolic link is on the way"),
            ("none", "no such file or directory"),
            ("a/file/x", "Not a directory"),
        ] {
            assert_eq!(said(bad).as_deref(), Some(why), "{bad}");
        }
        fs::remove_dir_all(&data).expect("removed");
    }

    #[test]
    fn an_annotation_reads_as_it_was_written() {
        let subpath = Subpath { data: "/v/_data".into(), path: "a/b".to_owned() };
        let all = Subpaths(BTreeMap::from([("/x".to_owned(), subpath)]));
        let annotations = all.annotation().expect("JSON").into_iter().collect::<BTreeMap<_, _>>();
        assert_eq!(Subpaths::of(&annotations), Ok(all.clone()));
        assert_eq!(Subpaths::of_spec(&serde_json::json!({"annotations": annotations})), Ok(all));
        assert_eq!(Subpaths::default().annotation(), Ok(None));
        assert_eq!(Subpaths::of_spec(&serde_json::json!({})), Ok(Subpaths::default()));
    }
}
