//! Who carries out the work on a container: the library in this file, or another runtime's command line.

mod command;
pub mod library;
mod site;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use command::Log;
pub use site::{MemoryWatch, Site};

use corten::container::{ContainerId, Runtime};
use corten::error::{Error, Kind, Result};

/// What `runtime` in the bundle says of a container of the library's, and the name under which options ask for it.
const LIBRARY: &str = "corten";
/// The runtime of containerd's own shim, where its options name none.
const DEFAULT_OF_OTHERS: &str = "runc";
/// Where states are, where options name no place. Each namespace has a directory in it.
const ROOT: &str = "/run/containerd/runc";

/// Who carries out the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The library in this file.
    Library,
    /// Another runtime, by its name or path.
    Binary(PathBuf),
}

impl Driver {
    /// Whom the option BinaryName asks for.
    pub fn asked(binary_name: &str) -> Driver {
        match binary_name {
            "" | LIBRARY => Driver::Library,
            path if is_this_file(Path::new(path)) => Driver::Library,
            other => Driver::Binary(other.into()),
        }
    }

    /// Whose a container is, by the file `runtime` in its bundle. containerd's own shim stores the option as it is,
    /// and nothing there means its own default.
    pub fn stored(runtime: Option<&str>) -> Driver {
        match runtime {
            None => Driver::Library,
            Some("") => Driver::Binary(DEFAULT_OF_OTHERS.into()),
            Some(name) => Driver::asked(name),
        }
    }

    /// What `runtime` in the bundle is to say. Containerd's own shim can go on with it, too.
    pub fn name(&self) -> &Path {
        match self {
            Driver::Library => Path::new(LIBRARY),
            Driver::Binary(path) => path,
        }
    }

    /// Takes away all that is left of a container, if anything is. Returns warnings.
    ///
    /// Another runtime writes its errors into a log in `bundle`: some demand one.
    pub fn delete_by_force(&self, bundle: &Path, root: &Path, id: &str) -> Result<Vec<String>> {
        match self {
            Driver::Library => delete_by_library(root, id),
            Driver::Binary(binary) => delete_by_binary(binary, bundle, root, id),
        }
    }
}

/// The directory of the states of a namespace's containers.
pub fn root(option: &str, namespace: &str) -> PathBuf {
    Path::new(if option.is_empty() { ROOT } else { option }).join(namespace)
}

/// A runtime's error, with the words that engines look for.
fn failed(command: &str, refusal: crate::refusal::Refusal) -> crate::refusal::Refusal {
    let text = format!("OCI runtime {command} failed: {}", refusal.text);
    crate::refusal::Refusal::new(refusal.code, text)
}

fn is_this_file(path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    path.is_absolute()
        && identity(path).is_some_and(|found| identity(Path::new("/proc/self/exe")) == Some(found))
}

fn delete_by_library(root: &Path, id: &str) -> Result<Vec<String>> {
    match Runtime::at(root).delete_by_force(&ContainerId::parse(id)?) {
        Err(err) if err.kind() == Kind::NotFound => Ok(Vec::new()),
        result => result,
    }
}

fn delete_by_binary(binary: &Path, bundle: &Path, root: &Path, id: &str) -> Result<Vec<String>> {
    let log = Log::of_deletion(bundle);
    let mut command = Command::new(binary);
    command
        .arg("--root")
        .arg(root)
        .args(log.flags())
        .args(["delete", "--force", id])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let output =
        command.output().map_err(|err| Error::io(format!("execute {:?}", binary.as_os_str()), &err))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let said = log.last_error().unwrap_or(said);
    if output.status.success() {
        return Ok(Some(said).filter(|said| !said.is_empty()).into_iter().collect());
    }
    Err(Error::internal(format!("{} delete --force: {}: {said}", binary.display(), output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_asked_for_by_no_name_its_own_name_or_its_own_file() {
        let own = std::env::current_exe().expect("a path");
        for name in ["", "corten", own.to_str().expect("a plain path")] {
            assert_eq!(Driver::asked(name), Driver::Library, "{name}");
        }
        for name in ["runc", "crun", "/usr/bin/runc", "/no/such/corten"] {
            assert_eq!(Driver::asked(name), Driver::Binary(name.into()), "{name}");
        }
    }

    #[test]
    fn a_container_of_containerds_shim_is_runcs() {
        assert_eq!(Driver::stored(None), Driver::Library);
        assert_eq!(Driver::stored(Some("corten")), Driver::Library);
        assert_eq!(Driver::stored(Some("")), Driver::Binary("runc".into()));
        assert_eq!(Driver::stored(Some("crun")), Driver::Binary("crun".into()));
    }

    #[test]
    fn states_are_where_the_command_line_finds_them() {
        assert_eq!(root("", "k8s.io"), Path::new("/run/containerd/runc/k8s.io"));
        assert_eq!(root("/var/r", "moby"), Path::new("/var/r/moby"));
    }
}
