//! Where states are kept: the root, one directory for each container, and the lock on it.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::SFlag;
use nix::unistd::UnlinkatFlags;

use super::{ContainerId, Record, exec_config};
use crate::error::{Context, Errno, Error, Kind, Result, best_effort};
use crate::plan::seccomp::Filter;
use crate::sys::clock::Deadline;
use crate::sys::{file, socket};

const RECORD: &str = "state.json";
const RECORD_UNFINISHED: &str = ".state.json.new";
const EXEC_CONFIG: &str = "exec.json";
const FIFO: &str = "exec.fifo";
const NOTIFY_DIRECTORY: &str = "notify";
const NOTIFY_SOCKET: &str = "notify.sock";
const NOTIFY_SOCKET_UNFINISHED: &str = ".notify.sock.new";

/// A record is a few hundred bytes, and annotations and hooks come on top.
const RECORD_SIZE_MAX: usize = 16 << 20;
const EXEC_CONFIG_SIZE_MAX: usize = 32 << 20;

/// How long a command waits for another one that works on the same container.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// The first pause between two tries for the lock, doubled up to the last one.
const LOCK_PAUSE_FIRST: Duration = Duration::from_millis(1);
const LOCK_PAUSE_LAST: Duration = Duration::from_millis(50);

/// The directory that all containers' directories are in.
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// The root at `path`, made with mode 0700 if it isn't there.
    pub fn open_or_create(path: &Path) -> Result<Root> {
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
        Ok(Root { path: path.to_owned() })
    }

    /// The root at `path`. Whether it is there shows when a container is looked for.
    pub fn at(path: &Path) -> Root {
        Root { path: path.to_owned() }
    }

    /// Where the root is when nobody says so: `/run/corten`, or `$XDG_RUNTIME_DIR/corten` for a user who isn't root.
    ///
    /// The XDG one is made here, since only here it is known to be one: anything in `$XDG_RUNTIME_DIR` without the
    /// sticky bit may be cleaned away.
    pub fn default_path() -> Result<PathBuf> {
        let for_root = Path::new("/run/corten");
        let xdg = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        let Some(xdg) = xdg.filter(|_| is_rootless()) else { return Ok(for_root.to_owned()) };
        let path = PathBuf::from(xdg).join("corten");
        Root::open_or_create(&path).doing("use $XDG_RUNTIME_DIR")?;
        fs::set_permissions(&path, Permissions::from_mode(0o1700))
            .map_err(|err| Error::io(format!("chmod({}, 01700)", path.display()), &err))?;
        Ok(path)
    }

    /// The absolute path of the directory that [`ContainerDir::make_notify_directory`] will make.
    pub fn notify_directory(&self, id: &ContainerId) -> Result<PathBuf> {
        let path = self.path.join(id).join(NOTIFY_DIRECTORY);
        std::path::absolute(&path)
            .map_err(|err| Error::io(format!("find the current directory for {}", path.display()), &err))
    }

    /// The ids of all containers with the uid of who made each, sorted; directories that can't be containers are
    /// passed over.
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

    fn open(&self) -> Result<OwnedFd> {
        file::open_following_links(&self.path, OFlag::O_PATH | OFlag::O_DIRECTORY)
    }
}

/// Root in a user namespace is no root, unless it says that it is: the rule that runc has.
fn is_rootless() -> bool {
    let in_user_namespace = || {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        !map.is_empty() && !map.split_whitespace().eq(["0", "0", "4294967295"])
    };
    let called_root = || std::env::var_os("USER").as_deref() == Some(OsStr::new("root"));
    !nix::unistd::geteuid().is_root() || in_user_namespace() && !called_root()
}

/// The directory of one container.
pub struct ContainerDir {
    root: OwnedFd,
    dir: OwnedFd,
    id: ContainerId,
    path: PathBuf,
}

impl ContainerDir {
    /// Makes the directory of a new container.
    ///
    /// Errors: AlreadyExists.
    pub fn create(root: &Root, id: &ContainerId) -> Result<ContainerDir> {
        match file::make_directory_at(root.open()?, id.as_ref(), 0o700) {
            Err(err) if err.is(Errno::EEXIST) => {
                Err(Error::new(Kind::AlreadyExists, "container with given ID already exists"))
            }
            result => {
                result?;
                ContainerDir::open(root, id).inspect_err(|_| drop(std::fs::remove_dir(root.path.join(id))))
            }
        }
    }

    /// Opens the directory of a container.
    ///
    /// Errors: NotFound.
    pub fn open(root: &Root, id: &ContainerId) -> Result<ContainerDir> {
        let missing = |err: Error| if err.is(Errno::ENOENT) { does_not_exist() } else { err };
        let root_dir = root.open().map_err(missing)?;
        let dir =
            file::open_at(&root_dir, id.as_ref(), OFlag::O_RDONLY | OFlag::O_DIRECTORY).map_err(missing)?;
        Ok(ContainerDir { root: root_dir, dir, id: id.clone(), path: root.path.join(id) })
    }

    /// Locks the container against every other command that changes it, once the one at work is done.
    ///
    /// Tries without blocking, with a pause between tries that grows from 1 to 50 ms: flock(2) has no deadline of
    /// its own, and a signal to interrupt it is more machinery than a pause that only a second command at the same
    /// container ever makes.
    ///
    /// Errors: WrongState at the deadline; NotFound if the other command deleted the container.
    pub fn lock(&self) -> Result<Lock> {
        let deadline = Deadline::after(LOCK_WAIT);
        let mut pause = LOCK_PAUSE_FIRST;
        loop {
            if let Some(lock) = self.try_lock()? {
                return if self.is_linked()? { Ok(lock) } else { Err(does_not_exist()) };
            }
            if deadline.passed() {
                let waited = LOCK_WAIT.as_secs();
                return Err(Error::new(
                    Kind::WrongState,
                    format!("container {} is held by another command for {waited} seconds now", self.id),
                ));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOCK_PAUSE_LAST);
        }
    }

    /// Locks the container if no other command holds it.
    ///
    /// The lock sits on an open file of its own, not on [`ContainerDir::fd`]; it is let go when the guard is
    /// dropped, even if a child still has a copy of the descriptor.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        let this = file::open_at(&self.dir, Path::new("."), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let locked = file::try_lock(&this).doing_with(|| format!("lock {}", self.path.display()))?;
        Ok(locked.then(|| Lock(this)))
    }

    /// Reads the record.
    ///
    /// Errors: NotFound if `create` died before it wrote one.
    pub fn load(&self) -> Result<Record> {
        let file = match file::open_at(&self.dir, Path::new(RECORD), OFlag::O_RDONLY) {
            Err(err) if err.is(Errno::ENOENT) => return Err(does_not_exist()),
            result => result?,
        };
        let json = file::read_limited(file, RECORD_SIZE_MAX).doing_with(|| self.shown(RECORD))?;
        serde_json::from_slice(&json).map_err(|err| Error::internal(format!("{}: {err}", self.shown(RECORD))))
    }

    /// Writes the record: a reader sees the old one or the new one, never half of one.
    pub fn save(&self, record: &Record) -> Result<()> {
        self.prepare(record)?;
        self.publish()
    }

    /// Writes a record that nobody sees before it is [published](Self::publish).
    pub fn prepare(&self, record: &Record) -> Result<()> {
        let json = serde_json::to_vec(record)
            .map_err(|err| Error::invalid(format!("bundle or rootfs path: {err}")))?;
        self.write_new(RECORD_UNFINISHED, &json)
    }

    /// Makes the record that was prepared the one that counts.
    pub fn publish(&self) -> Result<()> {
        nix::fcntl::renameat(&self.dir, RECORD_UNFINISHED, &self.dir, RECORD)
            .map_err(|errno| Error::kernel(format!("rename({})", self.shown(RECORD)), errno))
    }

    /// Keeps what `exec` needs of the text of a config.json, and the filter that was made of its profile.
    pub fn save_exec_config(&self, config: &[u8], filter: Option<&Filter>) -> Result<()> {
        self.write_new(EXEC_CONFIG, &exec_config::write(config, filter)?)
    }

    /// Reads that again: a config.json without the rules of its profile, and the filter.
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

    /// Opens init's end of the fifo; it can be polled at once, whether or not `start` has come.
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

    /// Makes the directory that the container sees as /run/notify: everyone in it may look there.
    pub fn make_notify_directory(&self) -> Result<()> {
        let name = Path::new(NOTIFY_DIRECTORY);
        let make = || {
            file::make_directory_at(&self.dir, name, 0o755)?;
            // Whatever the caller's umask is.
            file::change_mode(file::open_at(&self.dir, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?, 0o755)
        };
        make().doing_with(|| self.shown(NOTIFY_DIRECTORY))
    }

    /// Makes the socket in that directory, where every process that can reach it may write to it. Hooks, and in the end
    /// the container, may be able to write to the directory: what has the socket's name already is replaced and never
    /// followed.
    ///
    /// Errors: WrongState if there is no such directory.
    pub fn bind_notify_socket(&self) -> Result<OwnedFd> {
        let dir = self.open_notify_directory().map_err(|err| match err.errno() {
            Some(Errno::ENOENT) => {
                Error::new(Kind::WrongState, "NOTIFY_SOCKET: the container was created without it")
            }
            _ => err,
        })?;
        let (unfinished, finished) = (Path::new(NOTIFY_SOCKET_UNFINISHED), Path::new(NOTIFY_SOCKET));
        // The socket gets its mode before it comes to where a name may be changed by others. The umask would give it the
        // mode at once, but belongs to the whole process.
        self.remove_file(unfinished.as_os_str())?;
        let bind = || {
            let socket = socket::bind_datagram_at(self.dir.as_fd(), NOTIFY_SOCKET_UNFINISHED)?;
            file::change_mode_at_following_links(&self.dir, unfinished, 0o777)?;
            file::move_to(&self.dir, unfinished, &dir, finished)?;
            Ok(socket)
        };
        bind().doing_with(|| self.shown(NOTIFY_DIRECTORY))
    }

    fn open_notify_directory(&self) -> Result<OwnedFd> {
        file::open_at(&self.dir, Path::new(NOTIFY_DIRECTORY), OFlag::O_RDONLY | OFlag::O_DIRECTORY)
    }

    fn remove_notify_directory(&self) -> Result<()> {
        let remove = || file::remove_directory_at(&self.dir, Path::new(NOTIFY_DIRECTORY));
        let removed = match remove() {
            Err(err) if err.is(Errno::ENOENT) => Ok(()),
            Err(err) if err.is(Errno::ENOTEMPTY) => self
                .open_notify_directory()
                .and_then(|dir| file::empty_directory(&dir))
                .and_then(|()| remove()),
            result => result,
        };
        removed.doing_with(|| self.shown(NOTIFY_DIRECTORY))
    }

    /// Removes the directory with all that is in it. The record goes last: as long as it is there, `delete` can be
    /// said again.
    pub fn remove(&self) -> Result<()> {
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

    fn remove_directory(&self) -> Result<()> {
        match nix::unistd::unlinkat(&self.root, self.id.as_str(), UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Error::kernel(format!("rmdir({})", self.path.display()), errno)),
        }
    }

    /// The directory itself.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The container's id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Where the directory is, to be shown.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        // A file of that name is what a killed command left.
        self.remove_file(OsStr::new(name))?;
        let new = file::create_at(&self.dir, Path::new(name), OFlag::O_WRONLY, 0o600)?;
        File::from(new)
            .write_all(bytes)
            .map_err(|err| Error::io(format!("write({})", self.shown(name)), &err))
    }

    /// Whether the directory is still there under its name: an unlinked one has no links left.
    fn is_linked(&self) -> Result<bool> {
        Ok(file::stat_of(&self.dir)?.st_nlink > 0)
    }

    fn remove_file(&self, name: &OsStr) -> Result<()> {
        match file::unlink_at(&self.dir, Path::new(name)) {
            Err(err) if err.is(Errno::ENOENT) => Ok(()),
            result => result.doing_with(|| self.path.display().to_string()),
        }
    }

    fn shown(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

/// As long as it lives, no other command changes the container.
pub struct Lock(OwnedFd);

impl Drop for Lock {
    fn drop(&mut self) {
        best_effort(file::unlock(&self.0), "closing it unlocks it too, unless a child has a copy");
    }
}

fn does_not_exist() -> Error {
    Error::new(Kind::NotFound, "container does not exist")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A root directory of its own for each test, gone with it.
    struct TestRoot(Root);

    impl TestRoot {
        fn new() -> TestRoot {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name =
                format!("corten-state-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            TestRoot(Root::open_or_create(&std::env::temp_dir().join(name)).expect("a root directory"))
        }
    }

    impl Drop for TestRoot {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.path);
        }
    }

    fn id(text: &str) -> ContainerId {
        ContainerId::parse(text).expect("an id")
    }

    fn record() -> Record {
        Record {
            oci_version: "1.3.0".into(),
            id: "c1".into(),
            init_process_pid: 0,
            init_process_start: 0,
            created: "2026-08-22T10:11:12.5Z".into(),
            cgroup_paths: Default::default(),
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            owner: 0,
            annotations: BTreeMap::from([("k".into(), "v".into())]),
            private_pid_namespace: true,
            namespaces: 0,
            poststart: Vec::new(),
            poststop: Vec::new(),
        }
    }

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
        for root in [&root.0, &Root::at(Path::new("/nonexistent"))] {
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
    fn lock_excludes_and_is_let_go_when_dropped() -> Result<()> {
        let root = TestRoot::new();
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        let other = ContainerDir::open(&root.0, &id("c1"))?;
        let lock = dir.lock()?;
        assert!(other.try_lock()?.is_none());
        drop(lock);
        assert!(other.try_lock()?.is_some());
        Ok(())
    }

    #[test]
    fn lock_on_a_deleted_container_tells_that_it_is_gone() -> Result<()> {
        let root = TestRoot::new();
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        ContainerDir::open(&root.0, &id("c1"))?.remove()?;
        assert_eq!(dir.lock().err().expect("gone").kind(), Kind::NotFound);
        Ok(())
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

    #[test]
    fn notify_socket_takes_the_place_of_a_link_and_follows_none() -> Result<()> {
        let root = TestRoot::new();
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        assert_eq!(dir.bind_notify_socket().expect_err("no directory").kind(), Kind::WrongState);
        dir.make_notify_directory()?;
        let (link, victim) = (dir.path.join("notify/notify.sock"), root.0.path.join("victim"));
        std::os::unix::fs::symlink(&victim, &link).expect("a link");
        let _socket = dir.bind_notify_socket()?;
        assert!(!victim.exists());
        let metadata = fs::symlink_metadata(&link).expect("the socket");
        assert_eq!(metadata.permissions().mode(), libc::S_IFSOCK | 0o777);
        dir.remove()
    }

    #[test]
    fn notify_directory_is_removed_whatever_is_in_it() -> Result<()> {
        let root = TestRoot::new();
        let kept = root.0.path.join("kept");
        fs::create_dir(&kept).expect("a directory");
        fs::write(kept.join("file"), "").expect("a file");
        let dir = ContainerDir::create(&root.0, &id("c1"))?;
        dir.save(&record())?;
        dir.make_notify_directory()?;
        let top = dir.path.join("notify");
        std::os::unix::fs::symlink(&kept, top.join("link")).expect("a link");
        fs::write(top.join("moved-1"), "").expect("a file where something will be moved to");
        // Deeper than a path is long, and than there are descriptors.
        let mut at = File::open(&top).expect("the directory").into();
        for _ in 0..3000 {
            file::make_directory_at(&at, Path::new("deep"), 0o755)?;
            let next = file::open_at(&at, Path::new("deep"), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
            std::os::unix::fs::symlink(&kept, format!("/proc/self/fd/{}/link", next.as_raw_fd()))
                .expect("a link");
            at = next;
        }
        dir.remove()?;
        assert!(!dir.path.exists());
        assert!(kept.join("file").exists());
        Ok(())
    }

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
