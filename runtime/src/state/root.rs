//! The directory of states: where it is, how it is made, and which containers are in it.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::ContainerId;
use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::Caller;
use crate::sys::file;

/// The directory that all containers' directories are in.
pub struct StateRoot {
    pub(super) path: PathBuf,
}

impl StateRoot {
    /// The root at `path`, made with mode 0700 if it isn't there.
    pub fn open_or_create(path: &Path) -> Result<StateRoot> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|err| Error::io(format!("mkdir({})", path.display()), &err))
            // mkdir says EEXIST of a file too.
            .map_err(|err| {
                if err.is(Errno::EEXIST) {
                    Error::kernel(format!("mkdir({})", path.display()), Errno::ENOTDIR)
                } else {
                    err
                }
            })
            .doing("make the root directory of states (--root)")?;
        Ok(StateRoot { path: path.to_owned() })
    }

    /// The root at `path`. Nothing is looked at: a missing root shows when a container is looked for.
    pub fn at(path: &Path) -> StateRoot {
        StateRoot { path: path.to_owned() }
    }

    /// Where the root is when the caller names none: `/run/corten`, or `$XDG_RUNTIME_DIR/corten` for a user who isn't
    /// root.
    ///
    /// The default directory of a user is made here, because a directory that the caller names must not get a sticky
    /// bit. A directory in `$XDG_RUNTIME_DIR` needs the bit, because without it the directory may be cleaned away.
    pub fn ensure_default(caller: impl FnOnce() -> Caller) -> Result<PathBuf> {
        let for_root = Path::new("/run/corten");
        let xdg = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        let Some(xdg) = xdg.filter(|_| is_rootless(caller())) else { return Ok(for_root.to_owned()) };
        let path = PathBuf::from(xdg).join("corten");
        StateRoot::open_or_create(&path).doing("use $XDG_RUNTIME_DIR")?;
        fs::set_permissions(&path, Permissions::from_mode(0o1700))
            .map_err(|err| Error::io(format!("chmod({}, 01700)", path.display()), &err))?;
        Ok(path)
    }

    /// The ids of all containers, sorted, each with the uid of its directory's owner, who created the container.
    /// What can't be a container's directory is passed over.
    ///
    /// Errors: NotFound without the root.
    pub fn list(&self) -> Result<Vec<(ContainerId, u32)>> {
        let entries = fs::read_dir(&self.path).map_err(|err| {
            let missing = err.kind() == ErrorKind::NotFound;
            let err = Error::io(format!("open({})", self.path.display()), &err);
            if missing { err.with_kind(Kind::NotFound) } else { err }
        })?;
        let mut containers = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|err| Error::io(format!("getdents({})", self.path.display()), &err))?;
            let Ok(id) = ContainerId::parse(entry.file_name()) else { continue };
            // The entry may be gone again: `delete` doesn't wait for `list`.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                containers.push((id, metadata.uid()));
            }
        }
        containers.sort();
        Ok(containers)
    }

    pub(super) fn open(&self) -> Result<OwnedFd> {
        file::open_following_links(&self.path, OFlag::O_PATH | OFlag::O_DIRECTORY)
    }
}

/// Whether the caller counts as a user who isn't root. Root of a user namespace counts as one too, unless `$USER` says
/// root: this is runc's rule.
fn is_rootless(caller: Caller) -> bool {
    let called_root = || std::env::var_os("USER").as_deref() == Some(OsStr::new("root"));
    caller.uid != 0 || caller.in_user_namespace && !called_root()
}

#[cfg(test)]
mod tests {
    use super::super::ContainerDir;
    use super::super::testing::{TestRoot, id};
    use super::*;

    #[test]
    fn list_is_sorted_and_passes_over_what_is_no_container() -> Result<()> {
        let root = TestRoot::new();
        for name in ["b", "a", "c"] {
            ContainerDir::create(&root.0, &id(name))?;
        }
        fs::write(root.0.path.join("file"), "").expect("a file");
        fs::create_dir(root.0.path.join("not an id")).expect("a directory");
        let names: Vec<String> = root.0.list()?.into_iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        Ok(())
    }
}
