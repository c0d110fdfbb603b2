//! The library as a program that manages containers for long uses it, as the containerd shim does. The program executes
//! itself anew for each `create` and each `exec`, and is the subreaper of the processes that they leave. It does all
//! else in its own process, on a thread.
//!
//! There is no test harness, because the child must have one thread: `main` is both programs.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use corten::container::{
    Bundle, ContainerId, CreateOptions, ExecOptions, ExecProcess, FreshProcess, LockedContainer, OomEvent,
    OomWatch, Runtime, SealedImage, Status, resources_from_json,
};
use corten::error::{Kind, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

const BUSYBOX: &str = "/bin/busybox";

const CONFIG: &str = r#"{
    "ociVersion": "1.2.0",
    "process": {
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"], "args": ["busybox", "sleep", "600"]
    },
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "hooks": {"poststop": [{"path": "/bin/false"}]},
    "linux": {
        "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
        "resources": {"pids": {"limit": 50}}
    }
}"#;

const PROCESS: &str = r#"{
    "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
    "args": ["busybox", "sh", "-c", "exit 9"]
}"#;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["child-create", root, id, bundle] => as_child(|process| create(process, root, id, bundle)),
        ["child-create-beside-a-thread", root, id, bundle] => {
            as_child(|process| create_beside_a_thread(process, root, id, bundle))
        }
        ["child-create-two", root, id, bundle] => as_child(|process| create_two(process, root, id, bundle)),
        ["child-exec", root, id, bundle] => as_child(|process| exec(process, root, id, bundle)),
        ["child-of-image"] => as_child(|_| Ok(descriptor_that_was_executed())),
        _ => {
            match reason_to_skip() {
                Some(reason) => println!("library: skipped: {reason}"),
                None => life_of_a_container(),
            }
            ExitCode::SUCCESS
        }
    }
}

// ---- the child

/// Does one thing in a process of its own, and tells its parent in one line how that went.
fn as_child(act: impl FnOnce(&FreshProcess) -> Result<i32>) -> ExitCode {
    let (line, code) = match FreshProcess::ensure().and_then(|process| act(&process)) {
        Ok(pid) => (format!("pid {pid}"), ExitCode::SUCCESS),
        Err(err) => (format!("{:?} {err}", err.kind()), ExitCode::FAILURE),
    };
    // The container has the child's standard streams, so that none of them could end the line.
    let outcome = std::env::var_os("OUTCOME").expect("a file for the outcome");
    std::fs::write(outcome, line).expect("the outcome");
    code
}

/// The kernel calls a process by the file that it has executed last: here by `/dev/fd/NUMBER`.
fn descriptor_that_was_executed() -> i32 {
    let name = std::fs::read_to_string("/proc/self/comm").expect("procfs");
    name.trim().parse().unwrap_or(-1)
}

fn create(process: &FreshProcess, root: &str, id: &str, bundle: &str) -> Result<i32> {
    let bundle = Bundle::load(Path::new(bundle), None)?;
    let id = ContainerId::parse(id)?;
    let planned = bundle.plan(&id, CreateOptions::default())?;
    assert!(planned.explain().contains("create-cgroup"), "{}", planned.explain());
    Ok(Runtime::at(root).create(planned, process)?.container.pid())
}

/// A thread that is started once the process has proved to have none.
fn create_beside_a_thread(process: &FreshProcess, root: &str, id: &str, bundle: &str) -> Result<i32> {
    std::thread::scope(|scope| {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || ended.recv());
        let created = create(process, root, id, bundle);
        drop(end);
        created
    })
}

/// Two containers of one process, which is afterwards as it was before.
fn create_two(process: &FreshProcess, root: &str, id: &str, bundle: &str) -> Result<i32> {
    let second = format!("{id}-second");
    let before = OfProcess::now();
    let pid = create(process, root, id, bundle)?;
    let after_one = OfProcess::now();
    create(process, root, &second, bundle)?;
    Runtime::at(root).delete_by_force(&ContainerId::parse(&second)?)?;
    assert_eq!(before, after_one);
    assert_eq!(before, OfProcess::now());
    Ok(pid)
}

/// What is one for the whole process, as far as no operation says that it changes that.
#[derive(Debug, PartialEq)]
struct OfProcess {
    descriptors: usize,
    directory: PathBuf,
    root: PathBuf,
    status: Vec<String>,
    namespaces: Vec<PathBuf>,
    variables: Vec<(std::ffi::OsString, std::ffi::OsString)>,
}

impl OfProcess {
    fn now() -> OfProcess {
        let link = |path: &str| std::fs::read_link(path).expect(path);
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("status");
        let kept =
            ["Umask", "Uid", "Gid", "Groups", "Cap", "SigBlk", "Seccomp", "NoNewPrivs", "Cpus_allowed:"];
        let kept = |line: &&str| kept.iter().any(|name| line.starts_with(name));
        let namespaces = std::fs::read_dir("/proc/thread-self/ns").expect("namespaces");
        let mut namespaces: Vec<PathBuf> = namespaces
            .map(|entry| std::fs::read_link(entry.expect("an entry").path()).expect("a namespace"))
            .collect();
        namespaces.sort();
        OfProcess {
            descriptors: std::fs::read_dir("/proc/self/fd").expect("descriptors").count(),
            directory: link("/proc/thread-self/cwd"),
            root: link("/proc/thread-self/root"),
            status: status.lines().filter(kept).map(ToOwned::to_owned).collect(),
            namespaces,
            variables: std::env::vars_os().collect(),
        }
    }
}

fn exec(process: &FreshProcess, root: &str, id: &str, bundle: &str) -> Result<i32> {
    let text = std::fs::read(Path::new(bundle).join("process.json")).expect("process.json");
    let container = Runtime::at(root).find(&ContainerId::parse(id)?)?;
    let planned = container.joinable()?.plan(ExecProcess::from_json(&text)?, ExecOptions::default())?;
    planned.exec(process).map(|new| new.pid)
}

// ---- the program that manages containers

fn reason_to_skip() -> Option<&'static str> {
    match () {
        () if !nix::unistd::geteuid().is_root() => Some("not root"),
        () if !Path::new(BUSYBOX).exists() => Some("no /bin/busybox"),
        () => None,
    }
}

/// A directory with a bundle and the state of its container; gone at the end, as the container is.
struct Workspace {
    directory: PathBuf,
    runtime: Runtime,
    id: ContainerId,
}

impl Workspace {
    fn new() -> Workspace {
        let name = format!("corten-library-{}", std::process::id());
        let directory = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(directory.join("rootfs/bin")).expect("a rootfs");
        std::fs::create_dir(directory.join("rootfs/proc")).expect("a place for procfs");
        std::fs::copy(BUSYBOX, directory.join("rootfs/bin/busybox")).expect("busybox");
        std::fs::write(directory.join("config.json"), CONFIG).expect("config.json");
        std::fs::write(directory.join("process.json"), PROCESS).expect("process.json");
        let runtime = Runtime::at(directory.join("root"));
        Workspace { directory, runtime, id: ContainerId::parse(name).expect("an id") }
    }

    /// Executes this program anew to do `what`: the pid that comes of it, or the error.
    fn child(&self, what: &str) -> std::result::Result<i32, String> {
        let outcome = self.directory.join("outcome");
        let status = Command::new(std::env::current_exe().expect("this program"))
            .args([what, self.directory.join("root").to_str().expect("text"), self.id.as_str()])
            .arg(&self.directory)
            .env("OUTCOME", &outcome)
            .stdin(Stdio::null())
            .status()
            .expect("a child");
        let line = std::fs::read_to_string(&outcome).expect("an outcome");
        std::fs::remove_file(&outcome).expect("remove");
        match line.strip_prefix("pid ") {
            Some(pid) if status.success() => Ok(pid.parse().expect("a pid")),
            _ => Err(line),
        }
    }

    fn status(&self) -> Status {
        self.runtime.find(&self.id).and_then(|container| container.status()).expect("a status")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = self.runtime.delete_by_force(&self.id);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn life_of_a_container() {
    nix::sys::prctl::set_child_subreaper(true).expect("a subreaper");
    let workspace = Workspace::new();
    one_image_serves_many_children(&workspace);
    refused_config_leaves_nothing(&workspace);
    a_thread_is_noticed(&workspace);
    let before = OfProcess::now();
    let init = created(&workspace);
    // What doesn't create processes may be asked for on any thread.
    std::thread::scope(|scope| {
        let lives = scope.spawn(|| started_used_and_killed(&workspace, init));
        lives.join().expect("the thread")
    });
    deleted(&workspace);
    assert_eq!(before, OfProcess::now());
    println!("library: ok");
}

/// No child that is executed from the image executes itself anew.
fn one_image_serves_many_children(workspace: &Workspace) {
    let image = SealedImage::make().expect("an image");
    for _ in 0..3 {
        let outcome = workspace.directory.join("outcome");
        let mut command = image.command("library");
        let executed = Path::new(command.get_program()).file_name().expect("a number").to_owned();
        let status = command.arg("child-of-image").env("OUTCOME", &outcome).status();
        assert!(status.expect("a child").success());
        let told = std::fs::read_to_string(&outcome).expect("an outcome");
        assert_eq!(told, format!("pid {}", executed.to_str().expect("text")));
    }
}

fn refused_config_leaves_nothing(workspace: &Workspace) {
    let config = workspace.directory.join("config.json");
    std::fs::write(&config, CONFIG.replace("\"pid\"", "\"nonsense\"")).expect("config.json");
    let err = workspace.child("child-create").expect_err("refused");
    assert!(err.starts_with("InvalidSpec config.json: linux.namespaces[0].type: "), "{err}");
    assert_eq!(workspace.runtime.list().expect_err("no root").kind(), Kind::NotFound);
    std::fs::write(&config, CONFIG).expect("config.json");
}

fn a_thread_is_noticed(workspace: &Workspace) {
    let err = workspace.child("child-create-beside-a-thread").expect_err("refused");
    assert_eq!(err, "Internal this process has more than one thread");
    assert_eq!(workspace.runtime.find(&workspace.id).err().map(|err| err.kind()), Some(Kind::NotFound));
}

fn created(workspace: &Workspace) -> i32 {
    let Workspace { runtime, id, .. } = workspace;
    let init = workspace.child("child-create-two").expect("created");
    let container = runtime.find(id).expect("a container");
    let state = container.state().expect("a state");
    assert_eq!((state.pid, state.status), (init, Status::Created));
    assert_eq!(state.bundle, workspace.directory);
    assert_eq!(runtime.list().expect("a list"), [(id.clone(), 0)]);
    let err = workspace.child("child-create").expect_err("the id is taken");
    assert!(err.starts_with("AlreadyExists "), "{err}");
    init
}

fn started_used_and_killed(workspace: &Workspace, init: i32) {
    let Workspace { runtime, id, .. } = workspace;
    let lock = || runtime.lock(id).expect("the lock");
    let container = lock().start().expect("started");
    assert_eq!(workspace.status(), Status::Running);
    assert_eq!(lock().start().err().map(|err| err.kind()), Some(Kind::WrongState));

    let process = workspace.child("child-exec").expect("a process");
    let ended = waitpid(Pid::from_raw(process), None).expect("a child of the subreaper");
    assert_eq!(ended, WaitStatus::Exited(Pid::from_raw(process), 9));

    assert_eq!(container.pids().expect("pids"), [init]);
    container.readings().expect("what it uses");
    let limits = resources_from_json(br#"{"pids": {"limit": 20}}"#).expect("resources");
    lock().update(&limits).expect("updated");

    lock().pause().expect("paused");
    assert_eq!(lock().status().expect("a status"), Status::Paused);
    let err = workspace.child("child-exec").expect_err("paused");
    assert!(err.starts_with("WrongState cannot exec in a paused container"), "{err}");
    lock().resume().expect("resumed");

    assert_eq!(runtime.delete(id).expect_err("it runs").kind(), Kind::WrongState);
    descriptors_are_closed(&lock);
    let watch = container.watch_oom();
    container.signal(libc::SIGKILL).expect("killed");
    let ended = waitpid(Pid::from_raw(init), None).expect("a child of the subreaper");
    assert_eq!(ended, WaitStatus::Signaled(Pid::from_raw(init), Signal::SIGKILL, false));
    assert_eq!(workspace.status(), Status::Stopped);
    assert_eq!(container.signal(libc::SIGKILL).expect_err("dead").kind(), Kind::WrongState);

    match watch {
        Ok(watch) => gone_with_its_cgroup(workspace, watch),
        Err(err) => println!("library: no memory controller to watch: {err}"),
    }
}

/// Whatever is asked of a container, often.
fn descriptors_are_closed(lock: &impl Fn() -> LockedContainer) {
    let before = OfProcess::now();
    let limits = resources_from_json(br#"{"pids": {"limit": 20}}"#).expect("resources");
    for _ in 0..20 {
        lock().pause().expect("paused");
        lock().resume().expect("resumed");
        lock().update(&limits).expect("updated");
        assert!(lock().start().is_err());
        let container = lock().unlock();
        container.state().expect("a state");
        container.pids().expect("pids");
        container.readings().expect("readings");
        container.signal(0).expect("signalled");
        drop(container.watch_oom());
        drop(container.joinable().expect("joinable"));
    }
    assert_eq!(before, OfProcess::now());
}

/// The watch tells that the container is gone: on v2 once it has no process, on v1 when its cgroup is removed.
fn gone_with_its_cgroup(workspace: &Workspace, mut watch: OomWatch) {
    let container = workspace.runtime.find(&workspace.id).expect("a container");
    let warnings = workspace.runtime.delete(&workspace.id).expect("deleted");
    assert!(warnings.len() == 1 && warnings[0].contains("poststop hook #0: /bin/false"), "{warnings:?}");
    assert!(!container.cgroup_exists());
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let mut polled = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::from(100_u8)).expect("poll");
        if watch.read().expect("an event") == Some(OomEvent::Gone) {
            return;
        }
    }
    panic!("the watch never told the end");
}

fn deleted(workspace: &Workspace) {
    let Workspace { runtime, id, .. } = workspace;
    match runtime.delete(id) {
        Err(err) => assert_eq!(err.kind(), Kind::NotFound),
        Ok(warnings) => assert_eq!(warnings.len(), 1, "{warnings:?}"),
    }
    assert_eq!(runtime.find(id).err().map(|err| err.kind()), Some(Kind::NotFound));
    assert!(runtime.list().expect("a list").is_empty());
}
