//! Newer versions of the peers than this machine's, from the directory that `scripts/bench-peers` has made.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};

use crate::Result;

/// The programs' place in the directory.
const PROGRAMS: [&str; 2] = ["usr/bin", "usr/sbin"];

/// Puts the directory's libraries in place of the machine's, in a mount namespace that the bench has from now on.
///
/// The peers are linked to a newer libc than the machine may have. With that libc in place they start as on a system of
/// their own: by one execve of their own file, which /proc/self/exe then names, too. If a loader started them,
/// /proc/self/exe would name the loader. The machine's programs still run, because a newer libc serves them.
pub fn install(dir: &Path) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    for libraries in fs::read_dir(dir.join("usr/lib"))? {
        let libraries = libraries?.path();
        let place = Path::new("/usr/lib").join(libraries.file_name().unwrap_or_default());
        if place.is_dir() {
            put_in_place(dir, &libraries, &place)?;
        }
    }
    Ok(())
}

/// Mounts a directory of links on `place`: to what is in `libraries`, and to what only the machine has.
///
/// An overlay would be simpler, but opening a file in it costs more, and the peers open many.
fn put_in_place(dir: &Path, libraries: &Path, place: &Path) -> Result<()> {
    let [machine, merged] = ["machine", "merged"].map(|name| dir.join(name));
    mount_bind(place, &machine)?;
    mount("tmpfs", &merged, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)?;
    for source in [libraries, &machine] {
        for entry in fs::read_dir(source)? {
            let link = merged.join(entry?.file_name());
            if !link.is_symlink() {
                symlink(source.join(link.file_name().unwrap_or_default()), link)?;
            }
        }
    }
    Ok(mount_bind(merged, place)?)
}

/// The program of this name in the directory.
pub fn program(dir: &Path, name: &str) -> Option<PathBuf> {
    PROGRAMS.iter().map(|programs| dir.join(programs).join(name)).find(|file| file.is_file())
}
