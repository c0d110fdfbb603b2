//! The commands that work on a container which is there already, on one that stands in for what `create` makes: a
//! directory with a record, a fifo, a process, and a cgroup of its own.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use corten::internals::apply::cgroup::{self, Cgroup};
use corten::internals::plan::cgroup::{Asked, CgroupPaths, Manager, decide};
use corten::internals::state::{ContainerDir, ContainerId, Record, StateRoot};
use corten::internals::sys::pidfd::ProcessStat;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oci_spec::runtime::{Hook, HookBuilder};
use serde_json::Value;

/// A container whose init sleeps, while a thread of the test waits at its end of the fifo.
struct Container {
    root: PathBuf,
    id: String,
    init: Child,
    started: Arc<AtomicBool>,
    cgroup: Cgroup,
    cgroup_paths: CgroupPaths,
}

impl Container {
    fn create() -> Option<Container> {
        Container::create_with(|_| {})
    }

    /// Says why, and makes none, where the machine doesn't let a test have a cgroup.
    fn create_with(change: impl FnOnce(&mut Record)) -> Option<Container> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("lifecycle-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let plan = corten::internals::probe::cgroups()
            .and_then(|host| {
                decide(
                    Asked {
                        manager: Manager::Cgroupfs,
                        id: &id,
                        path: None,
                        resources: None,
                        annotations: None,
                        is_rootless: false,
                        refused: None,
                    },
                    &host,
                )
            })
            .expect("a plan");
        if let Err(err) = cgroup::create(&plan) {
            println!("skipped: no cgroup to be had: {err}");
            return None;
        }
        let root = std::env::temp_dir().join(format!("corten-{id}"));
        let dir = StateRoot::open_or_create(&root)
            .and_then(|root| ContainerDir::create(&root, &ContainerId::parse(&id)?))
            .expect("a directory");
        dir.make_fifo().expect("a fifo");
        let started = wait_for_start(dir.open_fifo_for_init().expect("init's end"));
        let init = Command::new("sleep").arg("600").spawn().expect("init");
        enter(&plan.paths(), &init);
        let mut record = Record {
            oci_version: "1.3.0".into(),
            id: id.clone(),
            init_process_pid: init.id() as i32,
            init_process_start: stat(&init).start_ticks,
            created: "2026-08-22T10:11:12.123456789Z".into(),
            cgroup_paths: plan.paths(),
            systemd_unit: None,
            intel_rdt_path: None,
            intel_rdt_mon_path: None,
            intel_rdt_own: false,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            owner: 0,
            annotations: [("k".to_string(), "v".to_string())].into(),
            private_pid_namespace: true,
            namespaces: 0,
            poststart: Vec::new(),
            poststop: Vec::new(),
        };
        change(&mut record);
        dir.save(&record).expect("a record");
        Some(Container {
            root,
            id,
            init,
            started,
            cgroup: Cgroup::open(plan.paths()),
            cgroup_paths: plan.paths(),
        })
    }

    fn run(&self, command: &str) -> Output {
        let (name, args) = command.split_once(' ').unwrap_or((command, ""));
        Command::new(env!("CARGO_BIN_EXE_corten"))
            .arg("--root")
            .arg(&self.root)
            .arg(name)
            .args(args.split_whitespace().map(|arg| if arg == "ID" { self.id.as_str() } else { arg }))
            .output()
            .expect("corten")
    }

    /// Runs a command that has to succeed, without a word on standard error.
    fn ok(&self, command: &str) -> String {
        let output = self.run(command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{command}: {}: {stderr}", output.status);
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs a command that has to fail with 1, and returns what it says.
    fn fails(&self, command: &str) -> String {
        let output = self.run(command);
        assert_eq!(output.status.code(), Some(1), "{command}");
        String::from_utf8(output.stderr).expect("text")
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.ok("state ID")).expect("JSON")
    }

    fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().into()
    }

    /// Waits for init to be dead, and reaps it as a shim would.
    fn wait_for_death(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while stat(&self.init).is_alive() {
            assert!(Instant::now() < deadline, "init lives on");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.cgroup.kill_all();
        let _ = self.init.kill();
        let _ = self.init.wait();
        let _ = self.cgroup.remove();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Takes the byte that `start` writes and closes the fifo, as init does when it executes the program.
fn wait_for_start(fifo: OwnedFd) -> Arc<AtomicBool> {
    let started = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&started);
    std::thread::spawn(move || {
        let mut fds = [PollFd::new(fifo.as_fd(), PollFlags::POLLIN)];
        let waited = poll(&mut fds, PollTimeout::from(30_000_u16));
        let byte = nix::unistd::read(&fifo, &mut [0; 8]);
        tell.store(waited == Ok(1) && byte == Ok(1), Ordering::SeqCst);
    });
    started
}

fn stat(child: &Child) -> ProcessStat {
    ProcessStat::read(child.id() as i32).expect("stat").expect("not reaped yet")
}

fn hook(script: &str) -> Hook {
    let args = ["sh".to_string(), "-c".into(), script.into()];
    HookBuilder::default().path("/bin/sh").args(args).build().expect("a hook")
}

#[test]
fn life_from_created_to_deleted() {
    let Some(mut container) = Container::create() else { return };
    assert_eq!(container.status(), "created");
    container.ok("start ID");
    assert!(container.started.load(Ordering::SeqCst));
    assert_eq!(container.status(), "running");
    assert!(container.fails("start ID").contains("cannot start an already running container"));
    assert!(container.fails("delete ID").ends_with("that is not stopped: running\n"));
    container.ok("kill ID 0");
    container.ok("kill ID KILL");
    container.wait_for_death();
    assert_eq!(container.status(), "stopped");
    assert_eq!(container.state()["pid"], 0);
    assert!(container.fails("kill ID 0").contains("container not running"));
    container.ok("kill -a ID 0");
    assert!(container.fails("start ID").contains("cannot start a container that has stopped"));
    assert_eq!(container.ok("ps -f json ID"), "null\n");
    container.ok("delete ID");
    assert!(container.fails("state ID").contains("container does not exist"));
    assert!(!container.cgroup.exists());
    assert!(container.fails("delete ID").contains("container does not exist"));
    container.ok("delete --force ID");
}

#[test]
fn state_has_the_shape_that_engines_parse() {
    let Some(container) = Container::create() else { return };
    let expected = format!(
        "{{\n  \"ociVersion\": \"1.3.0\",\n  \"id\": \"{}\",\n  \"pid\": {},\n  \"status\": \"created\",\n  \
         \"bundle\": \"/b\",\n  \"rootfs\": \"/b/rootfs\",\n  \"created\": \"2026-08-22T10:11:12.123456789Z\",\n  \
         \"annotations\": {{\n    \"k\": \"v\"\n  }},\n  \"owner\": \"\"\n}}\n",
        container.id,
        container.init.id()
    );
    assert_eq!(container.ok("state ID"), expected);
}

#[test]
fn list_shows_the_container_in_each_format() {
    let Some(container) = Container::create() else { return };
    assert_eq!(container.ok("list -q"), format!("{}\n", container.id));
    let table = container.ok("list");
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let pid = container.init.id().to_string();
    assert_eq!(lines[1], [&container.id, &pid, "created", "/b", "2026-08-22T10:11:12.123456789Z", "root"]);
    let json: Value = serde_json::from_str(&container.ok("list --format json")).expect("JSON");
    assert_eq!(json[0]["id"], Value::from(container.id.as_str()));
    assert_eq!(json[0]["owner"], "root");
}

#[test]
fn delete_kills_what_was_never_started_and_with_force_anything() {
    let Some(mut container) = Container::create() else { return };
    container.ok("delete ID");
    container.wait_for_death();
    assert!(container.fails("state ID").contains("container does not exist"));

    let Some(mut container) = Container::create() else { return };
    container.ok("start ID");
    container.ok("pause ID");
    container.ok("delete --force ID");
    container.wait_for_death();
    assert!(!container.cgroup.exists());
}

#[test]
fn pause_and_resume() {
    let Some(mut container) = Container::create() else { return };
    container.ok("start ID");
    assert!(container.fails("resume ID").contains("container not paused"));
    container.ok("pause ID");
    assert_eq!(container.status(), "paused");
    assert!(container.fails("pause ID").contains("container not running"));
    assert!(container.fails("delete ID").contains("that is not stopped: paused"));
    container.ok("resume ID");
    assert_eq!(container.status(), "running");
    container.ok("pause ID");
    container.ok("kill ID KILL");
    container.wait_for_death();
    assert_eq!(container.status(), "stopped");
}

/// Moves a process into a cgroup.
fn enter(paths: &CgroupPaths, process: &Child) {
    for (_, path) in paths.iter() {
        std::fs::write(path.join("cgroup.procs"), process.id().to_string()).expect("enter the cgroup");
    }
}

#[test]
fn in_a_shared_pid_namespace_kill_reaches_every_process() {
    let Some(mut container) = Container::create_with(|record| record.private_pid_namespace = false) else {
        return;
    };
    container.ok("start ID");
    let mut other = Command::new("sleep").arg("600").spawn().expect("sleep");
    enter(&container.cgroup_paths, &other);
    container.init.kill().expect("kill init alone");
    container.wait_for_death();
    assert_eq!(container.status(), "stopped");
    container.ok("kill ID KILL");
    let deadline = Instant::now() + Duration::from_secs(10);
    while stat(&other).is_alive() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!stat(&other).is_alive());
    other.wait().expect("wait");
    container.ok("delete ID");
}

#[test]
fn ps_lists_the_cgroups_processes() {
    let Some(container) = Container::create() else { return };
    let pid = container.init.id().to_string();
    assert_eq!(container.ok("ps --format json ID"), format!("[{pid}]\n"));
    let table = container.ok("ps ID");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].contains("PID") && lines[1].contains(&pid), "{table}");
    let table = container.ok("ps ID -eo pid,comm");
    let words: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(words, ["PID", "COMMAND", &pid, "sleep"]);
}

#[test]
fn update_writes_limits() {
    let Some(container) = Container::create() else { return };
    container.ok("start ID");
    match container.run("update --pids-limit 37 ID") {
        done if done.status.success() => {}
        failed => {
            println!("skipped: {}", String::from_utf8_lossy(&failed.stderr));
            return;
        }
    }
    let stats: Value = serde_json::from_str(&container.ok("events --stats ID")).expect("JSON");
    assert_eq!(stats["data"]["pids"]["limit"], 37);
    assert_eq!(stats["type"], "stats");
    assert!(
        container.fails("update --resources /nonexistent ID").contains("/nonexistent (--resources): open")
    );
}

#[test]
fn events_end_with_the_container() {
    let Some(container) = Container::create() else { return };
    container.ok("start ID");
    let events = Command::new(env!("CARGO_BIN_EXE_corten"))
        .arg("--root")
        .arg(&container.root)
        .args(["events", "--interval", "50ms", &container.id])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("events");
    std::thread::sleep(Duration::from_millis(300));
    container.ok("delete --force ID");
    let output = events.wait_with_output().expect("events");
    let text = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("for being out of memory") || stderr.contains("memory controller missing") {
        println!("skipped: {stderr}");
        return;
    }
    assert!(output.status.success(), "{stderr}");
    assert!(text.lines().count() >= 2, "{text}");
    assert!(text.lines().all(|line| line.starts_with("{\"type\":\"stats\",\"id\":\"lifecycle-")), "{text}");
}

#[test]
fn hooks_of_start_and_delete_run() {
    let file = std::env::temp_dir().join(format!("corten-hooks-{}", std::process::id()));
    let note = format!("cat >> {0}; echo >> {0}", file.display());
    let Some(container) = Container::create_with(|record| {
        record.poststart = vec![hook(&note)];
        record.poststop = vec![hook("echo why >&2; exit 1"), hook(&note)];
    }) else {
        return;
    };
    container.ok("start ID");
    let output = container.run("delete --force ID");
    assert!(output.status.success());
    let warning = String::from_utf8_lossy(&output.stderr);
    assert!(
        warning.contains("error running poststop hook #0: /bin/sh: exit status 1, stderr: why"),
        "{warning}"
    );
    let states = std::fs::read_to_string(&file).expect("the hooks' notes");
    std::fs::remove_file(&file).expect("remove");
    let states: Vec<Value> = states.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(states[0]["status"], "running");
    assert_eq!(states[0]["pid"], container.init.id());
    assert_eq!(states[1]["status"], "stopped");
    assert!(states[1].get("pid").is_none());
}

#[test]
fn failed_poststart_hook_kills_the_container() {
    let Some(mut container) = Container::create_with(|record| record.poststart = vec![hook("exit 3")]) else {
        return;
    };
    assert!(container.fails("start ID").contains("error running poststart hook #0: /bin/sh: exit status 3"));
    container.wait_for_death();
    assert_eq!(container.status(), "stopped");
}

#[test]
fn what_a_dead_create_left_is_deleted() {
    let Some(mut container) = Container::create_with(|record| {
        // `create` was killed after it had made the process, before it knew.
        record.init_process_pid = 0;
        record.init_process_start = 0;
    }) else {
        return;
    };
    assert_eq!(container.status(), "stopped");
    container.ok("delete --force ID");
    container.wait_for_death();
    assert!(!container.cgroup.exists());

    let half_made = container.root.join("half");
    std::fs::create_dir(&half_made).expect("a directory");
    assert!(container.fails("delete half").contains("container does not exist"));
    assert!(!half_made.exists());
    std::fs::create_dir(&half_made).expect("a directory");
    container.ok("delete --force half");
    assert!(!half_made.exists());
}

#[test]
fn reused_pid_is_not_the_container() {
    let Some(container) = Container::create_with(|record| record.init_process_start += 1) else { return };
    assert_eq!(container.status(), "stopped");
    assert!(container.fails("kill ID KILL").contains("container not running"));
    assert!(stat(&container.init).is_alive());
}

#[test]
fn failure_is_logged_once_for_engines() {
    let log = std::env::temp_dir().join(format!("corten-log-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_corten"))
        .args(["--root", "/nonexistent", "--log-format", "json", "--log"])
        .arg(&log)
        .args(["state", "c1"])
        .output()
        .expect("corten");
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(&log).expect("a log")).expect("one record");
    std::fs::remove_file(&log).expect("remove");
    assert_eq!(record["msg"], "state c1: container does not exist");
    assert_eq!(record["level"], "error");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "corten: state c1: container does not exist\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn features_print_nothing_but_json() {
    let output = Command::new(env!("CARGO_BIN_EXE_corten")).arg("features").output().expect("corten");
    assert!(output.status.success() && output.stderr.is_empty());
    let features: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert!(output.stdout.starts_with(b"{\n    \"ociVersionMin\""));
}
