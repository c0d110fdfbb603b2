//! A containerd that a test plays: its bundles, its socket for events, and its ways to start and to delete.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use containerd_shim_protos::api::{CreateTaskRequest, DeleteResponse};
use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::Pid;
use protobuf::Message;
use protobuf::well_known_types::any::Any;
use serde_json::{Value, json};

use super::events::{Events, locked};
use super::task::{PATIENCE, Streams, Task, creation};

const BUSYBOX: &str = "/bin/busybox";
const STATES: &str = "/run/containerd/runc";
/// The file that is tested.
pub fn shim() -> PathBuf {
    let other = std::env::var_os("CORTEN_SHIM");
    other.map_or_else(|| env!("CARGO_BIN_EXE_containerd-shim-corten-v2").into(), PathBuf::from)
}

/// containerd's own shim, which makes containers by runc.
pub const SHIM_OF_CONTAINERD: &str = "/usr/bin/containerd-shim-runc-v2";

/// How a shim sees the cgroups of the host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// As they are.
    Host,
    /// On a host with both versions, version 1 alone.
    V1,
    /// Version 2 alone. On a host with both it has no controllers.
    V2,
}

impl View {
    /// A command that executes `program` with this view.
    fn command(self, program: &Path) -> Command {
        let mounts = match self {
            View::Host => return Command::new(program),
            // crun makes directories at the place of version 2 all the same, on whatever it finds there.
            View::V1 => {
                "! mountpoint -q /sys/fs/cgroup/unified || {
                umount /sys/fs/cgroup/unified; mount -t tmpfs tmpfs /sys/fs/cgroup/unified; }"
            }
            View::V2 => "umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        };
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", &format!("{mounts}; exec \"$@\""), "sh"]).arg(program);
        command
    }
}

/// Whether containerd's own shim is tested, which has known faults.
pub fn is_of_containerd() -> bool {
    shim().file_name().is_some_and(|name| name == "containerd-shim-runc-v2")
}

/// A containerd with a namespace of its own. It goes with all that was made in it.
pub struct Containerd {
    pub dir: PathBuf,
    pub namespace: String,
    pub events: Events,
    view: View,
    /// The soft limit of descriptors that containerd has, if it isn't the tests' own.
    pub files_max: Option<usize>,
    /// containerd holds them open, and reads them; these nobody reads.
    logs: Mutex<Vec<fs::File>>,
}

/// A server, by what `start` has said of it.
pub struct Server {
    pub task: Task,
    pub pid: i32,
    pub socket: PathBuf,
}

impl Containerd {
    /// `None` where containers can't be had.
    pub fn new() -> Option<Containerd> {
        Containerd::with(View::Host)
    }

    /// The same, with another view of the cgroups for its shims.
    pub fn with(view: View) -> Option<Containerd> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() || !Path::new(BUSYBOX).exists() {
            eprintln!("skipped: it takes root and {BUSYBOX}");
            return None;
        }
        let namespace = format!("serve-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = PathBuf::from(format!("/tmp/{namespace}"));
        let bin = dir.join("root/bin");
        fs::create_dir_all(&bin).expect("a directory");
        for name in ["proc", "dev", "tmp"] {
            fs::create_dir(dir.join("root").join(name)).expect("a directory");
        }
        fs::copy(BUSYBOX, bin.join("busybox")).expect("a copy");
        for name in ["sh", "sleep", "true", "cat", "echo", "stty", "head", "wc", "kill", "usleep", "dd"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).expect("a link");
        }
        let events = Events::listen(&dir.join("containerd.sock.ttrpc"));
        Some(Containerd { dir, namespace, events, view, files_max: None, logs: Mutex::default() })
    }

    /// A bundle of a container that runs `args`.
    pub fn bundle(&self, id: &str, args: &[&str]) -> PathBuf {
        self.bundle_with(id, args, |_| {})
    }

    /// The same, with a change to its config.
    pub fn bundle_with(&self, id: &str, args: &[&str], change: impl FnOnce(&mut Value)) -> PathBuf {
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"], "args": args},
            "root": {"path": self.dir.join("root")},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            ],
            "linux": {
                "cgroupsPath": format!("/{}/{id}", self.namespace),
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
            },
        });
        change(&mut config);
        let bundle = self.dir.join(id);
        fs::create_dir_all(bundle.join("rootfs")).expect("a bundle");
        fs::write(bundle.join("config.json"), config.to_string()).expect("a config");
        if !bundle.join("log").exists() {
            let log = fifo(&bundle.join("log"));
            let log = fs::File::options().read(true).write(true).open(log).expect("a fifo");
            locked(&self.logs).push(log);
        }
        bundle
    }

    /// Runs the shim as containerd does.
    pub fn command(&self, id: &str, command: &str, stdin: &[u8]) -> Output {
        self.command_of(&shim(), id, command, stdin)
    }

    /// Runs another shim, or the same one by another name.
    pub fn command_of(&self, shim: &Path, id: &str, command: &str, stdin: &[u8]) -> Output {
        let bundle = self.dir.join(id);
        let mut shim = match self.files_max {
            Some(files_max) => under_limit(files_max, shim),
            None => self.view.command(shim),
        };
        shim.args(["-namespace", &self.namespace, "-id", id, "-address"])
            .arg(self.dir.join("containerd.sock"))
            .args(["-publish-binary", "/bin/true", "-bundle"])
            .arg(&bundle)
            .arg(command);
        shim.env("TTRPC_ADDRESS", self.dir.join("containerd.sock.ttrpc")).env_remove("SCHED_CORE");
        shim.current_dir(&bundle).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shim.spawn().expect("the shim runs");
        child.stdin.take().expect("a pipe").write_all(stdin).unwrap_or_default();
        child.wait_with_output().expect("it ends")
    }

    /// `start` for the bundle of `id`, and a connection.
    pub fn server(&self, id: &str) -> Server {
        self.server_of(&shim(), id)
    }

    /// The same by another shim.
    pub fn server_of(&self, shim: &Path, id: &str) -> Server {
        let output = self.command_of(shim, id, "start", b"");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let address = String::from_utf8(output.stdout).expect("an address");
        let task = Task::connect(&address);
        let pid = task.connect_call(id).shim_pid.try_into().expect("a pid");
        Server { task, pid, socket: address.strip_prefix("unix://").expect("a file").into() }
    }

    /// A server for a container that runs `args`.
    pub fn server_for(&self, id: &str, args: &[&str]) -> (Server, CreateTaskRequest) {
        self.server_with(id, args, |_| {})
    }

    pub fn server_with(
        &self,
        id: &str,
        args: &[&str],
        change: impl FnOnce(&mut Value),
    ) -> (Server, CreateTaskRequest) {
        let bundle = self.bundle_with(id, args, change);
        (self.server(id), creation(id, &bundle, Streams::default()))
    }

    /// `delete`, as containerd runs it once the server is gone.
    pub fn deleted(&self, id: &str) -> DeleteResponse {
        let output = self.command(id, "delete", b"");
        assert!(output.status.success(), "{output:?}");
        DeleteResponse::parse_from_bytes(&output.stdout).expect("a response")
    }

    /// What the kernel and the file systems still have of the containers.
    pub fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").expect("procfs");
        let dir = self.dir.to_str().expect("a plain path");
        left.extend(mounts.lines().filter(|line| line.contains(dir)).map(|line| format!("mount {line}")));
        let states = fs::read_dir(Path::new(STATES).join(&self.namespace));
        left.extend(states.into_iter().flatten().flatten().map(|entry| format!("state {entry:?}")));
        left.extend(self.cgroups().iter().map(|path| format!("cgroup {}", path.display())));
        left.extend(self.processes().iter().map(|pid| format!("process {pid} {}", command_line(*pid))));
        left
    }

    /// Waits until nothing is left of the containers.
    pub fn leaves_nothing(&self) {
        until("nothing is left", || self.left().is_empty().then_some(()).ok_or_else(|| self.left()));
    }

    /// Makes sure that a container ends like any other: its exit, its deletion, the end of the server, and nothing
    /// left.
    pub fn ends(&self, server: &Server, id: &str) {
        server.task.delete(id, "").expect("it is deleted");
        server.task.shutdown(id);
        server.is_gone();
        self.leaves_nothing();
    }

    /// The cgroups of containers, in all hierarchies.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let places = hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
        let parents = places.map(|place| place.join(&self.namespace));
        let children = parents.filter_map(|parent| fs::read_dir(parent).ok()).flatten().flatten();
        children.map(|entry| entry.path()).filter(|path| path.is_dir() && is_of_cgroups(path)).collect()
    }

    /// Processes with the containers' root, or with a bundle as their directory.
    fn processes(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").expect("procfs").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let link = |pid: i32, name: &str| fs::read_link(format!("/proc/{pid}/{name}")).ok();
        let is_ours = |path: Option<PathBuf>| path.is_some_and(|path| path.starts_with(&self.dir));
        pids.filter(|pid| is_ours(link(*pid, "root")) || is_ours(link(*pid, "cwd"))).collect()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for pid in self.processes() {
            // Of a test that has failed.
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap_or_default();
        }
        if std::thread::panicking() {
            let bundles = fs::read_dir(&self.dir).expect("it is there").flatten();
            for bundle in bundles.filter(|entry| entry.path().join("config.json").exists()) {
                self.command(bundle.file_name().to_str().expect("a plain name"), "delete", b"");
            }
        }
        for parent in self.cgroups().iter().filter_map(|path| path.parent()) {
            fs::remove_dir(parent).unwrap_or_default();
        }
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        for hierarchy in hierarchies {
            fs::remove_dir(hierarchy.path().join(&self.namespace)).unwrap_or_default();
        }
        fs::remove_dir_all(Path::new(STATES).join(&self.namespace)).unwrap_or_default();
        fs::remove_dir_all(&self.dir).unwrap_or_default();
    }
}

impl Server {
    /// As `start` has told it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Waits for its end, with which its socket goes.
    pub fn is_gone(&self) {
        until("the server ends", || is_gone(self.pid).then_some(()).ok_or(self.pid));
        self.has_no_socket();
    }

    pub fn has_no_socket(&self) {
        // containerd's own shim leaves it, more often than not.
        assert!(!self.socket.exists() || is_of_containerd(), "the socket is left");
    }

    pub fn kill(&self) {
        kill(Pid::from_raw(self.pid), Signal::SIGKILL).expect("it lives");
        until("the server ends", || is_gone(self.pid).then_some(()).ok_or(self.pid));
    }

    /// What each of its descriptors is, in a form that two moments can be compared by.
    pub fn descriptors(&self) -> Vec<String> {
        let fds = fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("it lives").flatten();
        let mut links: Vec<String> = fds
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .map(|link| link.to_string_lossy().split(':').next().unwrap_or_default().to_owned())
            .collect();
        links.sort();
        links
    }

    /// Its descriptors when it has no container: the last cgroup's are closed soon after the cgroup has gone.
    pub fn idle_descriptors(&self) -> Vec<String> {
        until("cgroups are closed", || {
            let now = self.descriptors();
            if now.iter().any(|link| link.starts_with("/sys/fs/cgroup")) { Err(now) } else { Ok(now) }
        })
    }

    /// Waits until the server has no descriptors but those that it had before. At that time it may have had one more:
    /// what it needed to start a process is closed a moment later.
    pub fn has_descriptors(&self, before: &[String]) {
        if is_of_containerd() {
            // It opens some when it first needs them.
            return;
        }
        until("descriptors are closed", || {
            let now = self.descriptors();
            let mut left = before.to_vec();
            let had = |link: &String| {
                left.iter().position(|other| other == link).map(|index| left.swap_remove(index)).is_some()
            };
            now.iter().all(had).then_some(()).ok_or_else(|| format!("{now:?} instead of {before:?}"))
        });
    }

    /// A value of /proc/PID/status or of /proc/PID/smaps_rollup, in KiB.
    pub fn memory(&self, field: &str) -> u64 {
        let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.pid)).expect("it lives");
        let text = of("status") + &of("smaps_rollup");
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")).expect("a field");
        number.trim().parse().expect("a number")
    }

    /// Its children that nobody has reaped.
    pub fn zombies(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").expect("procfs").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| stat(*pid).is_some_and(|(state, parent)| state == 'Z' && parent == self.pid))
            .collect()
    }
}

/// A program that is executed with that soft limit of descriptors.
fn under_limit(files_max: usize, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -Sn {files_max} && exec \"$0\" \"$@\"")]).arg(program);
    command
}

fn is_of_cgroups(path: &Path) -> bool {
    let magic = statfs(path).map(|found| found.filesystem_type());
    magic.is_ok_and(|magic| [CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&magic))
}

/// A process's state and parent.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether a process has ended, reaped or not.
pub fn is_gone(pid: i32) -> bool {
    stat(pid).is_none_or(|(state, _)| state == 'Z')
}

fn command_line(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

/// Waits until `holds` does.
pub fn until<T, E: std::fmt::Debug>(what: &str, holds: impl Fn() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match holds() {
            Ok(value) => return value,
            Err(err) => assert!(Instant::now() < deadline, "not yet: {what}: {err:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A new fifo.
pub fn fifo(path: &Path) -> PathBuf {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o700)).expect("a fifo");
    path.to_owned()
}

/// A message of options.
pub fn an_any(type_url: &str, value: Vec<u8>) -> Any {
    Any { type_url: type_url.into(), value, ..Any::default() }
}
