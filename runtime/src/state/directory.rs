//! The directory of one container, and the files in it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::sys::stat::SFlag;

use super::{ContainerId, Record, StateRoot, exec_config};
use crate::error::{Context, Errno, Error, Kind, Result, best_effort};
use crate::plan::seccomp::Filter;
use crate::sys::file;

const RECORD: &str = "state.json";
const RECORD_UNFINISHED: &str = ".state.json.new";
const EXEC_CONFIG: &str = "exec.json";
const FIFO: &str = "exec.fifo";

/// A record takes a few hundred bytes, and its annotations and hooks come on top.
const RECORD_SIZE_MAX: usize = 16 << 20;
const EXEC_CONFIG_SIZE_MAX: usize = 32 << 20;

/// The directory of one container. A copy leads to this container even when another one has taken the name.
#[derive(Clone)]
pub struct ContainerDir {
    root: Arc<OwnedFd>,
    pub(super) dir: Arc<OwnedFd>,
    id: ContainerId,
    /// Where the directory is, to be shown.
    pub(super) path: PathBuf,
}

impl ContainerDir {
    /// Makes the directory of a new container.
    ///
    /// Errors: AlreadyExists.
    pub fn create(root: &StateRoot, id: &ContainerId) -> Result<ContainerDir> {
        let root_dir = root.open()?;
        match file::make_directory_at(&root_dir, id.as_ref(), 0o700) {
            Err(err) if err.is(Errno::EEXIST) => {
                Err(Error::new(Kind::AlreadyExists, "container with given ID already exists"))
            }
            result => {
                result?;
                ContainerDir::open(root, id).inspect_err(|_| {
                    let removed = file::remove_directory_at(&root_dir, id.as_ref());
                    best_effort(removed, "the directory is empty, and why it can't be opened is the error");
                })
            }
        }
    }

    /// Opens the directory of a container.
    ///
    /// Errors: NotFound.
    pub fn open(root: &StateRoot, id: &ContainerId) -> Result<ContainerDir> {
        let missing = |err: Error| if err.is(Errno::ENOENT) { does_not_exist() } else { err };
        let root_dir = root.open().map_err(missing)?;
        let dir =
            file::open_at(&root_dir, id.as_ref(), OFlag::O_RDONLY | OFlag::O_DIRECTORY).map_err(missing)?;
        let path = root.path.join(id);
        Ok(ContainerDir { root: Arc::new(root_dir), dir: Arc::new(dir), id: id.clone(), path })
    }

    /// The directory of states that this one is in.
    pub fn root(&self) -> StateRoot {
        StateRoot::at(self.path.parent().unwrap_or(Path::new("/")))
    }

    /// Reads the record.
    ///
    /// Errors: NotFound if `create` died before it wrote one; Internal for a record that no reader can take.
    pub fn load(&self) -> Result<Record> {
        let file = match file::open_at(&self.dir, Path::new(RECORD), OFlag::O_RDONLY) {
            Err(err) if err.is(Errno::ENOENT) => return Err(does_not_exist()),
            result => result?,
        };
        let broken = |err: &dyn fmt::Display| Error::internal(format!("{}: {err}", self.shown(RECORD)));
        let json = file::read_limited(file, RECORD_SIZE_MAX).map_err(|err| broken(&err))?;
        serde_json::from_slice(&json).map_err(|err| broken(&err))
    }

    /// Writes the record: a reader sees the old record or the new one, never half of a record.
    pub fn save(&self, record: &Record) -> Result<()> {
        self.prepare(record)?;
        self.publish()
    }

    /// Writes a record that no other command sees before it is [published](Self::publish).
    pub fn prepare(&self, record: &Record) -> Result<()> {
        let json = serde_json::to_vec(record)
            .map_err(|err| Error::invalid(format!("bundle or rootfs path: {err}")))?;
        refuse_longer(&json, RECORD_SIZE_MAX)?;
        self.write_new(RECORD_UNFINISHED, &json)
    }

    /// Puts the record that was prepared in place of the old one.
    pub fn publish(&self) -> Result<()> {
        file::rename_at(&self.dir, Path::new(RECORD_UNFINISHED), Path::new(RECORD))
            .doing_with(|| self.shown(RECORD))
    }

    /// Keeps what `exec` needs of the text of a config.json, and the filter that was compiled from its profile.
    pub fn save_exec_config(&self, config: &[u8], filter: Option<&Filter>) -> Result<()> {
        let text = exec_config::write(config, filter)?;
        refuse_longer(&text, EXEC_CONFIG_SIZE_MAX)?;
        self.write_new(EXEC_CONFIG, &text)
    }

    /// Reads what [`save_exec_config`](Self::save_exec_config) kept: a config.json without the rules of its profile,
    /// and the filter.
    pub fn load_exec_config(&self) -> Result<(String, Option<Filter>)> {
        let file = file::open_at(&self.dir, Path::new(EXEC_CONFIG), OFlag::O_RDONLY)
            .doing_with(|| self.shown(EXEC_CONFIG))?;
        let text = file::read_limited(file, EXEC_CONFIG_SIZE_MAX).doing_with(|| self.shown(EXEC_CONFIG))?;
        exec_config::read(&text).doing_with(|| self.shown(EXEC_CONFIG))
    }

    /// Makes the fifo that init waits at until `start`.
    pub fn make_fifo(&self) -> Result<()> {
        file::make_node_at(&self.dir, Path::new(FIFO), SFlag::S_IFIFO, 0o600, 0)
            .doing_with(|| self.shown(FIFO))
    }

    /// Opens init's end of the fifo. Init can poll it at once, whether `start` has come or not.
    pub fn open_fifo_for_init(&self) -> Result<OwnedFd> {
        file::open_at(&self.dir, Path::new(FIFO), OFlag::O_RDONLY | OFlag::O_NONBLOCK)
            .doing_with(|| self.shown(FIFO))
    }

    /// Opens the end of the fifo that `start` writes to; nothing if init is dead or has been started.
    pub fn open_fifo_for_start(&self) -> Result<Option<OwnedFd>> {
        match file::open_at(&self.dir, Path::new(FIFO), OFlag::O_WRONLY | OFlag::O_NONBLOCK) {
            Ok(fifo) => Ok(Some(fifo)),
            // ENXIO: the fifo has no reader.
            Err(err) if err.is(Errno::ENXIO) || err.is(Errno::ENOENT) => Ok(None),
            Err(err) => Err(err).doing_with(|| self.shown(FIFO)),
        }
    }

    /// Removes the fifo: from here on the container counts as started.
    pub fn remove_fifo(&self) -> Result<()> {
        file::unlink_at(&self.dir, Path::new(FIFO)).doing_with(|| self.shown(FIFO))
    }

    /// Whether the fifo is there.
    pub fn fifo_exists(&self) -> Result<bool> {
        match file::stat_at(&self.dir, Path::new(FIFO)) {
            Ok(_) => Ok(true),
            Err(err) if err.is(Errno::ENOENT) => Ok(false),
            Err(err) => Err(err),
        }
    }

    /// Removes the directory with all that is in it. The record goes last: as long as it is there, `delete` can be
    /// repeated.
    pub fn remove(&self) -> Result<()> {
        self.remove_mountpoint()?;
        self.remove_notify_directory()?;
        for name in [EXEC_CONFIG, FIFO, RECORD_UNFINISHED, RECORD] {
            self.remove_file(OsStr::new(name))?;
        }
        match self.remove_directory() {
            Err(err) if err.is(Errno::ENOTEMPTY) => {
                file::empty_directory(&self.dir)?;
                self.remove_directory()
            }
            result => result,
        }
    }

    /// A container that was created after this one was deleted may have the name now; its directory stays.
    fn remove_directory(&self) -> Result<()> {
        if matches!(self.is_linked(), Ok(false)) {
            return Ok(());
        }
        match file::remove_directory_at(&self.root, self.id.as_ref()) {
            Err(err) if err.is(Errno::ENOENT) => Ok(()),
            result => result.doing_with(|| format!("remove {}", self.path.display())),
        }
    }

    /// The container's id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        // A command that was killed may have left a file of that name.
        self.remove_file(OsStr::new(name))?;
        let new = file::create_at(&self.dir, Path::new(name), OFlag::O_WRONLY, 0o600)?;
        File::from(new)
            .write_all(bytes)
            .map_err(|err| Error::io(format!("write({})", self.shown(name)), &err))
    }

    pub(super) fn remove_file(&self, name: &OsStr) -> Result<()> {
        match file::unlink_at(&self.dir, Path::new(name)) {
            Err(err) if err.is(Errno::ENOENT) => Ok(()),
            result => result.doing_with(|| self.path.display().to_string()),
        }
    }

    pub(super) fn shown(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

/// Whatever is longer than its reader takes could never be read again.
fn refuse_longer(text: &[u8], size_max: usize) -> Result<()> {
    if text.len() > size_max {
        let len = text.len();
        return Err(Error::invalid(format!(
            "config.json: {len} bytes would have to be kept of it, and {size_max} can be"
        )));
    }
    Ok(())
}

pub(super) fn does_not_exist() -> Error {
    Error::new(Kind::NotFound, "container does not exist")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TestRoot, id, record};
    use super::*;

    #[test]
    fn record_is_read_back_as_it_was_saved() -> Result<()> {
        let root = TestRoot::new();
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        assert_eq!(dir.load().expect_err("no record yet").kind(), Kind::NotFound);
        dir.save(&record())?;
        let started = Record { init_process_pid: 42, init_process_start: 4711, ..record() };
        dir.save(&started)?;
        assert_eq!(ContainerDir::open(&root.0, &id("c1"))?.load()?, started);
        Ok(())
    }

    #[test]
    fn record_has_runcs_key_names() {
        let json = serde_json::to_value(record()).expect("json");
        for key in ["id", "init_process_pid", "init_process_start", "created", "cgroup_paths"] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert!(json.get("poststop").is_none());
    }

    #[test]
    fn second_container_of_an_id_is_refused() -> Result<()> {
        let root = TestRoot::new();
        ContainerDir::create(&root.0, &id("c1"))?;
        let err = ContainerDir::create(&root.0, &id("c1")).err().expect("refused");
        assert_eq!(err.kind(), Kind::AlreadyExists);
        assert_eq!(err.to_string(), "container with given ID already exists");
        Ok(())
    }

    #[test]
    fn unknown_container_and_unknown_root_do_not_exist() {
        let root = TestRoot::new();
        for root in [&root.0, &StateRoot::at(Path::new("/nonexistent"))] {
            let err = ContainerDir::open(root, &id("c1")).err().expect("not there");
            assert_eq!(err.kind(), Kind::NotFound);
            assert_eq!(err.to_string(), "container does not exist");
        }
    }

    #[test]
    fn link_in_place_of_a_container_is_not_followed() {
        let root = TestRoot::new();
        std::os::unix::fs::symlink("/etc", root.0.path.join("c1")).expect("symlink");
        assert!(ContainerDir::open(&root.0, &id("c1")).is_err());
    }

    #[test]
    fn fifo_has_no_writer_s_end_without_init() -> Result<()> {
        let root = TestRoot::new();
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        assert!(!dir.fifo_exists()?);
        dir.make_fifo()?;
        assert!(dir.fifo_exists()?);
        assert!(dir.open_fifo_for_start()?.is_none());
        let _init = dir.open_fifo_for_init()?;
        assert!(dir.open_fifo_for_start()?.is_some());
        dir.remove_fifo()?;
        assert!(dir.open_fifo_for_start()?.is_none());
        Ok(())
    }

    #[test]
    fn remove_takes_everything_away() -> Result<()> {
        let root = TestRoot::new();
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        dir.save(&record())?;
        dir.save_exec_config(b"{}", None)?;
        dir.make_fifo()?;
        dir.remove()?;
        dir.remove()?;
        assert!(root.0.list()?.is_empty());
        Ok(())
    }
}
