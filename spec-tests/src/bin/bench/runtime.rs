//! The runtimes that are measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use spec_tests::subject::{Subject, subject};

use crate::Result;

/// The peers that take part if they are on PATH.
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

/// The runtime under test, then those named, then the peers on PATH.
pub fn find(beside: &[(String, PathBuf)]) -> Result<Vec<Runtime>> {
    let mut found = vec![Runtime::of("corten", subject().path.clone())?];
    for (name, path) in beside {
        found.push(Runtime::of(name, path.clone())?);
    }
    for peer in PEERS {
        if let Some(path) = on_path(peer) {
            found.push(Runtime::of(peer, path)?);
        }
    }
    Ok(found)
}

impl Runtime {
    fn of(name: &str, path: PathBuf) -> Result<Runtime> {
        let bytes = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.len();
        let asked = Subject::at(path);
        let version = asked.version().rsplit(' ').next().unwrap_or_default().to_owned();
        let libraries: u64 =
            libraries(&asked.path).iter().flat_map(fs::metadata).map(|meta| meta.len()).sum();
        let bytes_with_libraries = bytes + libraries;
        Ok(Runtime { name: name.to_owned(), version, binary: asked.path, bytes, bytes_with_libraries })
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// What `ldd` lists; nothing for a static binary, which it refuses.
fn libraries(binary: &Path) -> Vec<PathBuf> {
    let Ok(output) = Command::new("ldd").arg(binary).output() else { return Vec::new() };
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
