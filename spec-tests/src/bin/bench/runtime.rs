//! The runtimes that are measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use spec_tests::subject::{Subject, subject};

use crate::{Result, peers};

/// The peers that are measured if they can be found.
const PEERS: [&str; 3] = ["crun", "runc", "youki"];

/// A runtime.
pub struct Runtime {
    pub name: String,
    pub version: String,
    pub binary: PathBuf,
    /// The size of its file.
    pub bytes: u64,
    /// The same, and that of the shared libraries that it loads.
    pub bytes_with_libraries: u64,
}

/// The runtime under test, then those named, then of each peer the newest: from PATH or from the directory of peers.
pub fn find(beside: &[(String, PathBuf)], newer: Option<&Path>) -> Result<Vec<Runtime>> {
    let mut found = vec![Runtime::of("corten", subject().path.clone())?];
    for (name, path) in beside {
        found.push(Runtime::of(name, path.clone())?);
    }
    for peer in PEERS {
        let places = on_path(peer).into_iter().chain(newer.and_then(|dir| peers::program(dir, peer)));
        let versions = places.map(|path| Runtime::of(peer, path)).collect::<Result<Vec<_>>>()?;
        found.extend(versions.into_iter().max_by_key(|runtime| numbers(&runtime.version)));
    }
    Ok(found)
}

impl Runtime {
    fn of(name: &str, path: PathBuf) -> Result<Runtime> {
        let asked = Subject::at(path);
        let version = asked.version().rsplit(' ').next().unwrap_or_default().to_owned();
        Runtime::with_version(name, version, asked.path)
    }

    /// A file that may not say its version as runtimes do.
    pub fn with_version(name: &str, version: String, binary: PathBuf) -> Result<Runtime> {
        let bytes = fs::metadata(&binary).map_err(|error| format!("{}: {error}", binary.display()))?.len();
        let libraries: u64 = libraries(&binary).iter().flat_map(fs::metadata).map(|meta| meta.len()).sum();
        let bytes_with_libraries = bytes + libraries;
        Ok(Runtime { name: name.to_owned(), version, binary, bytes, bytes_with_libraries })
    }
}

/// The numbers of a version, to compare by: 1, 28 and 0 of `1.28.0`, and what follows them of `1.3.6+ds1`.
fn numbers(version: &str) -> Vec<u32> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// What `ldd` lists; nothing for a static binary, which it refuses.
fn libraries(binary: &Path) -> Vec<PathBuf> {
    let Ok(output) = Command::new("ldd").arg(binary).output() else { return Vec::new() };
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let sorted = ["unknown", "1.1.5", "1.3.6", "1.3.6+ds1", "1.8.1", "1.28", "1.28.1"];
        assert!(sorted.is_sorted_by_key(|version| numbers(version)));
    }
}
