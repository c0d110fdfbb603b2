//! What the tests share: a thread with namespaces of its own, and the processes that runtimes and shims would be.
//!
//! Each test has a mount and a network namespace for itself, with /run and /var/lib empty, so nothing of the machine is
//! touched and nothing stays. It needs root, `ip`, `nsenter`, `unshare` and busybox.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};

/// The program that is tested: what cargo has built, or what `CORTEN_COMPOSE_BIN` names.
pub fn program() -> String {
    std::env::var("CORTEN_COMPOSE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_corten-compose").to_owned())
}

/// Where containers' directories are.
pub const CONTAINERS: &str = "/var/lib/corten-compose/default/containers";
/// Where what ends with the boot is.
pub const RUNNING: &str = "/run/corten-compose/default";

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives this thread namespaces of its own. Returns false, and says so, where that is not allowed.
pub fn isolated() -> bool {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return false;
    }
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    for dir in ["/run", "/var/lib"] {
        mount(Some("test"), dir, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    }
    sh("ip link set lo up");
    true
}

/// Runs a line of shell that has to succeed, and returns what it says.
pub fn sh(line: &str) -> String {
    let output = try_sh(line);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{line}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Runs a line of shell.
pub fn try_sh(line: &str) -> Output {
    Command::new("sh").args(["-c", line]).output().unwrap()
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends all processes of this test but its own: those with its mount namespace.
pub fn end_all_else() {
    let own = fs::read_link("/proc/thread-self/ns/mnt").unwrap();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let is_ours = fs::read_link(process.path().join("ns/mnt")).is_ok_and(|namespace| namespace == own);
        if let Some(pid) = pid.filter(|pid| is_ours && u32::try_from(*pid) != Ok(std::process::id())) {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Does something in the network namespace of a process.
pub fn within<T: Send>(pid: i32, work: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(&namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        inside.join().unwrap()
    })
}

/// Writes a record where the program looks for it.
pub fn record(path: impl AsRef<Path>, record: &Value) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, record.to_string()).unwrap();
}

/// A process that ends with the test.
pub struct Process(pub Child);

impl Process {
    pub fn pid(&self) -> i32 {
        self.0.id().try_into().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What the shim does for a keeper: it makes the pipes and starts the logger.
pub struct Shim {
    pub keeper: Process,
    pub stdout: File,
    pub stderr: File,
    dir: PathBuf,
}

impl Shim {
    /// Starts the keeper of a container, and waits until it is ready.
    pub fn start(id: &str, settings: Value) -> Shim {
        let container = Path::new(CONTAINERS).join(id);
        let mut keep = json!({"namespace": "default", "id": id, "address": "/run/no-containerd.sock"});
        keep.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        record(container.join("keep.json"), &keep);
        let dir = Path::new("/run/shim").join(id);
        drop(fs::remove_dir_all(&dir));
        fs::create_dir_all(&dir).unwrap();
        for fifo in ["stdout", "stderr", "ready"] {
            mkfifo(&dir.join(fifo), Mode::S_IRWXU).unwrap();
        }
        // The shim has the ends to read from too, so a keeper that is killed breaks nothing.
        let both = |name| OpenOptions::new().read(true).write(true).open(dir.join(name)).unwrap();
        let (stdout, stderr) = (both("stdout"), both("stderr"));
        let keeper = Shim::keeper(id, &dir);
        Shim { keeper, stdout, stderr, dir }
    }

    fn keeper(id: &str, dir: &Path) -> Process {
        let mut ready = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(dir.join("ready"))
            .unwrap();
        let line = format!("exec {} keep {CONTAINERS}/{id} 3<stdout 4<stderr 5>ready", program());
        let mut shell = Command::new("sh");
        let keeper =
            Process(shell.args(["-c", &line]).current_dir(dir).stdin(Stdio::null()).spawn().unwrap());
        // Before the first writer comes there is an end too.
        until("the keeper is ready", || {
            is_kept_by(id, keeper.pid()) && ready.read(&mut [0]).is_ok_and(|length| length == 0)
        });
        keeper
    }

    /// Starts another keeper on the same pipes, as the shim does when one has died.
    pub fn start_again(&mut self, id: &str) {
        self.keeper = Shim::keeper(id, &self.dir);
    }

    pub fn say(&mut self, text: &str) {
        self.stdout.write_all(text.as_bytes()).unwrap();
    }

    /// Ends the keeper as the shim does when the task is deleted.
    pub fn end(&mut self) {
        self.keeper.signal(Signal::SIGTERM);
        assert!(self.keeper.0.wait().unwrap().success());
    }
}

/// Whether the keeper of this pid has written its state, which it does before it listens.
fn is_kept_by(id: &str, pid: i32) -> bool {
    let state = fs::read_to_string(Path::new(RUNNING).join(id).join("state.json")).unwrap_or_default();
    let state: Value = serde_json::from_str(&state).unwrap_or_default();
    state["keeper"]["pid"] == pid
}

/// What keepers have started for a restart outlives them, and waits for a containerd that a test doesn't have.
impl Drop for Shim {
    fn drop(&mut self) {
        drop(self.keeper.0.kill());
        drop(self.keeper.0.wait());
        let own = fs::read_link("/proc/thread-self/ns/mnt").unwrap();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let is_ours =
                fs::read_link(process.path().join("ns/mnt")).is_ok_and(|namespace| namespace == own);
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let is_reviver = line.split(|byte| *byte == 0).nth(1) == Some(b"revive");
            if let (true, true, Ok(pid)) =
                (is_ours, is_reviver, process.file_name().to_string_lossy().parse())
            {
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            }
        }
    }
}

/// The entries of a container's log: stream and text.
pub fn log(id: &str) -> Vec<(String, String)> {
    let text = |name: &str| fs::read_to_string(Path::new(CONTAINERS).join(id).join(name)).unwrap_or_default();
    let files = ["log.json.2", "log.json.1", "log.json"].map(text).concat();
    let entries = files.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    entries.map(|entry| (text(&entry, "stream"), text(&entry, "log"))).collect()
}
