//! Newer versions of the peers than this machine's, from the directory that `scripts/bench-peers` has made.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use crate::Result;

/// Where such a directory has programs.
const PROGRAMS: [&str; 2] = ["usr/bin", "usr/sbin"];

/// Puts the libraries of the directory over the machine's own, in a mount namespace that the bench has from now on.
///
/// The peers are linked to a newer libc than the machine may have. Like this they start as they do on a system of
/// their own: by one execve, from their own files, which they execute again as /proc/self/exe. A loader that is
/// named on the command line would stand there in their place. Programs of the machine run on, since a newer libc
/// serves older programs.
pub fn install(dir: &Path) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    for libraries in fs::read_dir(dir.join("usr/lib"))? {
        let libraries = libraries?.path();
        let over = Path::new("/usr/lib").join(libraries.file_name().unwrap_or_default());
        if over.is_dir() {
            let layers = format!("lowerdir={}:{}", libraries.display(), over.display());
            mount("overlay", &over, "overlay", MountFlags::RDONLY, Some(&*std::ffi::CString::new(layers)?))?;
        }
    }
    Ok(())
}

/// The program of this name in the directory.
pub fn program(dir: &Path, name: &str) -> Option<PathBuf> {
    PROGRAMS.iter().map(|programs| dir.join(programs).join(name)).find(|file| file.is_file())
}
