//! What is on disk: paths, files that are there whole or not at all, and locks.
//!
//! What lasts is under `/var/lib/corten-compose/NS`: networks, volumes, and a directory for each container. What ends
//! with a boot is under `/run/corten-compose/NS`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Context, Error, Kind, Result};

const LASTING: &str = "/var/lib/corten-compose";
const RUNNING: &str = "/run/corten-compose";
/// How often a directory is removed into which somebody writes, and after which pause.
const REMOVALS_MAX: usize = 50;
const REMOVED_AGAIN: std::time::Duration = std::time::Duration::from_millis(10);

/// The directories of a namespace.
#[derive(Clone, Debug)]
pub struct Disk {
    lasting: PathBuf,
    running: PathBuf,
}

impl Disk {
    /// The directories of a containerd namespace.
    pub fn of(namespace: &str) -> Disk {
        Disk { lasting: Path::new(LASTING).join(namespace), running: Path::new(RUNNING).join(namespace) }
    }

    /// The directory of a container that lasts: its log, `hosts`, `resolv.conf`, `hostname`, its last exit.
    pub fn container(&self, id: &str) -> PathBuf {
        self.lasting.join("containers").join(id)
    }

    /// The directory of a container that ends with a boot: sockets, fifos, state.
    pub fn running(&self, id: &str) -> PathBuf {
        self.running.join(id)
    }

    /// The directory of a project's secrets and configs that are no files of the user's.
    pub fn project(&self, name: &str) -> PathBuf {
        self.lasting.join("projects").join(name)
    }

    /// The directory that has those which end with a boot.
    pub fn all_running(&self) -> PathBuf {
        self.running.clone()
    }

    /// The directory of what builds have lying ready.
    pub fn builds(&self) -> PathBuf {
        self.lasting.join("builds")
    }

    /// The directory of all volumes.
    pub fn volumes(&self) -> PathBuf {
        self.lasting.join("volumes")
    }

    /// The directory of all networks' records.
    pub fn networks(&self) -> PathBuf {
        self.lasting.join("networks")
    }

    /// The directory of what each network has at the moment.
    pub fn endpoints(&self) -> PathBuf {
        self.running.join("net")
    }

    /// Waits for the namespace's lock of that name, and holds it until the result is dropped.
    pub fn lock(&self, name: &str) -> Result<Flock<File>> {
        make_dir(&self.running)?;
        lock_at(&self.running.join(format!("{name}.lock")))
    }
}

impl Disk {
    /// Holds the namespace's lock of that name, unless another process holds it.
    pub fn try_lock(&self, name: &str) -> Result<Option<Flock<File>>> {
        let path = self.running.join(format!("{name}.lock"));
        match Flock::lock(lock_file(&path)?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno).at(path.display()),
        }
    }
}

/// Waits until nobody else holds the directory of a container, and holds it until the result is dropped. A container
/// that we didn't make has none.
pub fn hold(container: &Path) -> Result<Option<Flock<File>>> {
    match File::open(container) {
        Ok(dir) => Flock::lock(dir, FlockArg::LockExclusive)
            .map(Some)
            .map_err(|(_, errno)| errno)
            .at(container.display()),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err).at(container.display()),
    }
}

/// Whether somebody holds the directory of a container.
pub fn is_held(container: &Path) -> Result<bool> {
    match File::open(container) {
        Ok(dir) => Ok(Flock::lock(dir, FlockArg::LockSharedNonblock).is_err()),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(err) => Err(err).at(container.display()),
    }
}

/// The directories of all namespaces that have anything on disk.
pub fn namespaces() -> Result<Vec<Disk>> {
    let mut names = BTreeSet::new();
    for root in [LASTING, RUNNING] {
        let dirs = list(Path::new(root))?;
        names.extend(dirs.iter().filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned())));
    }
    Ok(names.iter().map(|name| Disk::of(name)).collect())
}

/// The name of the fifo for a container's input.
pub const STDIN: &str = "stdin";

/// The directory of the fifos of the container whose directory below /run this is.
pub fn fifos(running: &Path) -> PathBuf {
    running.join("stdio")
}

/// The fifo of its input, which is there if it reads.
pub fn input(running: &Path) -> PathBuf {
    fifos(running).join(STDIN)
}

/// A file or directory of the whole host that ends with a boot. Its name begins with a dot, as no namespace's does.
pub fn of_host(name: &str) -> PathBuf {
    Path::new(RUNNING).join(format!(".{name}"))
}

/// Waits for the host's lock of that name, and holds it until the result is dropped.
pub fn lock_host(name: &str) -> Result<Flock<File>> {
    make_dir(Path::new(RUNNING))?;
    lock_at(&of_host(&format!("{name}.lock")))
}

fn lock_file(path: &Path) -> Result<File> {
    File::options().create(true).truncate(false).write(true).mode(0o600).open(path).at(path.display())
}

/// Waits for the lock of a file, which is made if need be, and holds it until the result is dropped.
pub fn lock_at(path: &Path) -> Result<Flock<File>> {
    Flock::lock(lock_file(path)?, FlockArg::LockExclusive).map_err(|(_, errno)| errno).at(path.display())
}

/// What is in a directory, by name, but for what begins with a dot: unfinished files. A directory that isn't there has
/// nothing.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(err).at(dir.display()),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.at(dir.display())?;
    paths.retain(|path| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
    paths.sort();
    Ok(paths)
}

/// Makes a directory with its parents, all of them root's alone. Who is in a container needs no right to what is above
/// the places that are mounted into it.
pub fn make_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).at(dir.display())
}

/// Makes this program's directories root's alone, whoever made them otherwise: below them, volumes have files that
/// everybody may read.
pub fn tighten() {
    for root in [LASTING, RUNNING] {
        if fs::metadata(root).is_ok_and(|about| about.permissions().mode() & 0o077 != 0) {
            // Only root may. Another user fails at what that user wants to do here.
            drop(fs::set_permissions(root, fs::Permissions::from_mode(0o700)));
        }
    }
}

/// Makes a directory that everybody may list. One that is there stays as it is.
pub fn make_public_dir(dir: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        // The mask of the user isn't the directory's.
        Ok(()) => fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).at(dir.display()),
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(err) => Err(err).at(dir.display()),
    }
}

/// Makes a directory of the user's with its parents. Everybody may list those that are made, whatever the mask is of
/// who makes them: containers of any user have them.
pub fn make_users_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_users_dir(parent)?;
    }
    make_public_dir(dir)
}

/// Removes a directory with all in it. A directory that isn't there is fine. A keeper that is about to end may write a
/// last file meanwhile.
pub fn remove_dir(dir: &Path) -> Result<()> {
    for _ in 0..REMOVALS_MAX {
        match fs::remove_dir_all(dir) {
            Err(err) if err.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(REMOVED_AGAIN);
            }
            removed => return absent_is_fine(removed).at(dir.display()),
        }
    }
    absent_is_fine(fs::remove_dir_all(dir)).at(dir.display())
}

/// Removes a file. A file that isn't there is fine.
pub fn remove_file(path: &Path) -> Result<()> {
    absent_is_fine(fs::remove_file(path)).at(path.display())
}

fn absent_is_fine(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Writes a file so that a reader sees the old content or the new one, whoever is killed meanwhile. All may read it.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, 0o644)
}

/// The same, and nobody but root may read it: records tell commands, which may have secrets in their arguments.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, 0o600)
}

fn replace(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut options = File::options();
    let file = options.create(true).truncate(true).write(true).mode(0o600).open(&unfinished);
    let written = file.and_then(|mut file| {
        // The mask of the process isn't the file's.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)
    });
    written.and_then(|()| fs::rename(&unfinished, path)).at(path.display())
}

/// Writes a file in place: who has it bind-mounted sees the new content. All may read a file that is made.
pub fn write_in_place(path: &Path, content: &[u8]) -> Result<()> {
    let made = File::options().write(true).create_new(true).mode(0o600).open(path);
    let file = match made {
        // The mask of the process isn't the file's.
        Ok(file) => file.set_permissions(fs::Permissions::from_mode(0o644)).map(|()| file),
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {
            File::options().write(true).truncate(true).open(path)
        }
        Err(err) => Err(err),
    };
    file.and_then(|mut file| file.write_all(content)).at(path.display())
}

/// Writes a record as JSON, as [`write_private`] does.
pub fn write_json(path: &Path, record: &impl Serialize) -> Result<()> {
    write_private(path, &serde_json::to_vec(record).at(path.display())?)
}

/// Reads a record, if its file is there.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path).map_err(Error::from) {
        Ok(content) => serde_json::from_slice(&content).map(Some).at(path.display()),
        Err(err) if err.kind() == Kind::NotFound => Ok(None),
        Err(err) => Err(err).at(path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_an_absent_one_is_none() {
        let dir = std::env::temp_dir().join(format!("corten-compose-disk-{}", std::process::id()));
        make_dir(&dir).unwrap();
        let path = dir.join("record.json");
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), None);
        write_json(&path, &vec![1, 2]).unwrap();
        assert_eq!(read_json(&path).unwrap(), Some(vec![1, 2]));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing unfinished stays");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "nobody else may read it");
        remove_dir(&dir).unwrap();
        remove_dir(&dir).unwrap();
    }
}
