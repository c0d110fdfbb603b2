//! A process that others see has nothing that its program won't have: a container that shares its pid namespace, and
//! may trace, looks at every process that appears beside it.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::payload;
use spec_tests::runtime::eventually;
use spec_tests::victim::Victim;
use spec_tests::view::View;
use spec_tests::{not_in_runc_1_1, skip_if};

const FIRST: u32 = 100_000;
/// `CAP_SYS_PTRACE`, as a mask: all that any program here has.
const TRACE: u64 = 1 << 19;
/// `CAP_SYS_ADMIN`
const ADMIN: u64 = 1 << 21;
const TIMES: usize = 200;
/// An environment variable of the runtime's caller, with which `seize.c` knows its environment.
const CALLERS: (&str, &str) = ("CALLERS_SECRET", "1");

#[test]
fn a_process_of_exec_on_v1() {
    watch_exec(View::V1, false);
}

#[test]
fn a_process_of_exec_on_v2() {
    watch_exec(View::V2, false);
}

#[test]
fn a_process_of_exec_in_a_user_namespace() {
    watch_exec(View::Plain, true);
}

#[test]
fn init_in_a_pid_namespace_that_it_joins_on_v1() {
    watch_starts(View::V1, &["pid"], |_| {});
}

#[test]
fn init_in_a_pid_namespace_that_it_joins_on_v2() {
    watch_starts(View::V2, &["pid"], |_| {});
}

#[test]
fn init_in_a_pid_and_a_user_namespace_that_it_joins() {
    watch_starts(View::Plain, &["pid", "user"], |_| {});
}

#[test]
fn init_with_all_that_a_config_may_ask_for() {
    watch_starts(View::Plain, &["pid", "ipc", "network"], |container| {
        container
            .bundle
            .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 512}]));
        container.bundle.set("/process/noNewPrivileges", true);
        container.bundle.hook("createContainer", "true").hook("createRuntime", "true");
        let volume = container.dir.join("volume");
        fs::create_dir_all(&volume).unwrap();
        container.bundle.mount("bind", &volume, "/data", &["rbind"]);
    });
}

#[test]
fn init_whose_cgroup_forbids_a_device_on_v1() {
    watch_devices(View::V1);
}

#[test]
fn init_whose_cgroup_forbids_a_device_on_v2() {
    watch_devices(View::V2);
}

#[test]
fn a_process_of_exec_with_no_new_privileges_and_a_filter() {
    not_in_runc_1_1!("installs the filter last");
    let attacker = Attacker::new(View::Plain, None, filtered);
    attacker.watch_exec();
    assert_eq!(attacker.assert_saw_nothing_but(TRACE, &[]).all("filters"), ["2"]);
}

#[test]
fn init_with_no_new_privileges_and_a_filter() {
    not_in_runc_1_1!("installs the filter last");
    let (attacker, mut beside) = side_by_side(View::Plain, &["pid"]);
    filtered(&mut beside.bundle);
    attacker.watch_starts_of(&beside);
    assert_eq!(attacker.assert_saw_nothing_but(TRACE, &[]).all("filters"), ["2"]);
}

/// A filter that forbids what init calls itself comes last, and the plan says so.
#[test]
fn a_filter_that_init_cannot_live_with_comes_last() {
    not_in_runc_1_1!("has no plan");
    let (_attacker, mut beside) = side_by_side(View::Plain, &["pid"]);
    filtered(&mut beside.bundle);
    beside.bundle.push("/linux/seccomp/syscalls", json!({"names": ["setsid"], "action": "SCMP_ACT_KILL"}));
    beside.run().output().ok();
    beside.bundle.save();
    let plan = beside.command(["plan", beside.bundle.dir.to_str().unwrap()]).output().ok();
    assert!(plan.contains("install-seccomp-last") && plan.contains("is seen without the filter"), "{plan}");
}

/// A pids limit of one has no room for the process that prepares, which must not fail a start.
#[test]
fn init_that_is_alone_below_its_pids_limit() {
    skip_if!(!cgroup::has("pids"), "no pids controller");
    let (_attacker, mut beside) = side_by_side(View::Plain, &["pid"]);
    beside.bundle.set("/linux/resources/pids", json!({"limit": 1})).args(["sleep", "1000"]);
    beside.run_with(["--detach"]).output().ok();
    assert_eq!(beside.cgroup().read("pids.max"), "1");
}

#[test]
fn init_that_waits_for_start_tells_nothing_of_its_caller() {
    not_in_runc_1_1!("names itself");
    let container = Container::new(|bundle| {
        bundle.capabilities(&["CAP_SYS_PTRACE"]);
    });
    container.create().env(CALLERS.0, CALLERS.1).output().ok();
    let read = |file: &str| container.exec(&["cat", file]).output().ok();
    assert_eq!(read("/proc/1/cmdline").trim_end_matches('\0'), "corten\0init");
    assert_eq!(read("/proc/1/environ").trim_end_matches('\0'), "");
}

/// Before Linux 6.17 a process in the joined namespace mounts its procfs. It has nothing else, and one right too many.
#[test]
fn init_in_a_pid_namespace_that_it_joins_on_an_older_kernel() {
    watch_starts_on_an_older_kernel(&["pid"], TRACE | ADMIN);
}

#[test]
fn init_in_a_pid_and_a_user_namespace_that_it_joins_on_an_older_kernel() {
    watch_starts_on_an_older_kernel(&["pid", "user"], TRACE);
}

/// A container whose payload looks and seizes until it is stopped.
struct Attacker {
    container: Container,
    outputs: Vec<PathBuf>,
    victim: Victim,
}

impl Attacker {
    /// `beside` is a directory that others have as their root.
    fn new(view: View, beside: Option<&Path>, configure: impl FnOnce(&mut Bundle)) -> Attacker {
        let mut container = Container::in_view(view, |bundle| {
            bundle.capabilities(&["CAP_SYS_PTRACE"]);
            configure(bundle);
        });
        let victim = Victim::of(&container);
        let secret = format!("{}/secret", victim.text());
        payload::build(include_str!("../../data/attacks/seize.c"), &container.bundle.rootfs().join("seize"));
        let beside = beside.map(|root| fs::metadata(root).unwrap());
        let beside = beside.map(|root| format!("{}:{}", root.dev(), root.ino())).unwrap_or_default();
        container.bundle.args(["/seize", &secret, &format!("../../../../../../..{secret}"), &beside]);
        container.create().output().ok();
        let created = fs::read_dir(container.dir.join("outputs")).unwrap().flatten();
        let outputs: Vec<_> = created.map(|entry| entry.path()).collect();
        container.start().ok();
        eventually("the attacker is ready", || container.bundle.rootfs().join("tmp/ready").exists());
        Attacker { container, outputs, victim }
    }

    fn watch_exec(&self) {
        for _ in 0..TIMES {
            self.container.exec(&["true"]).env(CALLERS.0, CALLERS.1).output().ok();
        }
    }

    fn watch_starts_of(&self, beside: &Container) {
        for _ in 0..TIMES {
            beside.run().env(CALLERS.0, CALLERS.1).output().ok();
        }
    }

    /// Fails the test if the attacker has seen anything but what a program here has. Returns what it has told.
    fn assert_saw_nothing_but(self, rights_allowed: u64, open_allowed: &[&str]) -> Told {
        fs::write(self.container.bundle.rootfs().join("tmp/stop"), "").unwrap();
        self.container.wait_stopped();
        self.victim.assert_untouched();
        let told = Told(self.outputs.iter().map(|path| fs::read_to_string(path).unwrap()).collect());
        let all = |kind: &str| told.all(kind);
        let count = |kind: &str| all(kind).first().and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        assert!(count("seized") > TIMES / 20, "the attack works: {told}");
        assert_eq!([all("host"), all("root"), all("cwd")], [[""; 0]; 3], "{told}");
        let words: Vec<&str> = all("words").into_iter().filter(|words| *words != "corten init").collect();
        assert_eq!(words, [""; 0], "{told}");
        for rights in all("rights") {
            assert_eq!(
                u64::from_str_radix(rights, 16).unwrap() & !rights_allowed,
                0,
                "a right too many: {told}"
            );
        }
        let harmless = |link: &&str| {
            // The caller's streams, the way to the supervisor, and those of a wait for `start`.
            ["/dev/null", "pipe:", "socket:", "anon_inode:[signalfd]"].iter().any(|start| link.starts_with(start))
                || link.contains("/outputs/")
                || link.contains("/exec.fifo")
                // The container's own files.
                || link.starts_with("/proc/")
                || *link == "/etc/passwd"
                || open_allowed.contains(link)
        };
        let open: Vec<&str> = all("open").into_iter().filter(|link| !harmless(link)).collect();
        assert_eq!(open, [""; 0], "{told}");
        told
    }
}

/// What an attacker has printed.
struct Told(String);

impl Told {
    /// What comes after the word `kind`, of each line that begins with it.
    fn all(&self, kind: &str) -> Vec<&str> {
        let lines = self.0.lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(word, _)| *word == kind).map(|(_, rest)| rest).collect()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user namespace of the attacker's own, or none.
fn in_users(of_its_own: bool) -> impl FnOnce(&mut Bundle) {
    move |bundle| {
        if of_its_own {
            bundle.user_namespace(FIRST);
        }
    }
}

fn filtered(bundle: &mut Bundle) {
    let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"});
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    bundle.set("/linux/seccomp", profile).set("/process/noNewPrivileges", true);
}

fn watch_exec(view: View, in_user_namespace: bool) {
    let attacker = Attacker::new(view, None, in_users(in_user_namespace));
    attacker.watch_exec();
    attacker.assert_saw_nothing_but(TRACE, &[]);
}

/// The image has a device node that no rule allows.
fn watch_devices(view: View) {
    not_in_runc_1_1!("restricts devices when init is there");
    let (attacker, beside) = side_by_side(view, &["pid"]);
    let node = beside.bundle.rootfs().join("device");
    assert!(Command::new("mknod").arg(&node).args(["b", "250", "250"]).status().unwrap().success());
    attacker.watch_starts_of(&beside);
    let told = attacker.assert_saw_nothing_but(TRACE, &[]);
    skip_if!(!cfg!(target_arch = "x86_64"), "the attack on devices knows one architecture");
    assert_eq!(told.all("device"), [rustix::io::Errno::PERM.raw_os_error().to_string()], "{told}");
}

fn watch_starts(view: View, joined: &[&str], configure: impl FnOnce(&mut Container)) {
    let (attacker, mut beside) = side_by_side(view, joined);
    configure(&mut beside);
    attacker.watch_starts_of(&beside);
    attacker.assert_saw_nothing_but(TRACE, &[]);
}

fn watch_starts_on_an_older_kernel(joined: &[&str], rights_allowed: u64) {
    not_in_runc_1_1!("what runc does on any kernel");
    let (attacker, beside) = side_by_side(View::Plain, joined);
    let older = beside.dir.join("older");
    payload::build(include_str!("../../data/attacks/no_pidns.c"), &older);
    for _ in 0..TIMES {
        beside.run().by([&older]).env(CALLERS.0, CALLERS.1).output().ok();
    }
    // The procfs in the making.
    attacker.assert_saw_nothing_but(rights_allowed, &["anon_inode:[fscontext]", "/"]);
}

fn side_by_side(view: View, joined: &[&str]) -> (Attacker, Container) {
    let mut beside = Container::in_view(view, |bundle| {
        bundle.capabilities(&["CAP_SYS_PTRACE"]).args(["true"]);
    });
    let root = beside.bundle.rootfs();
    let attacker = Attacker::new(view, Some(&root), in_users(joined.contains(&"user")));
    for kind in joined {
        let path = format!("/proc/{}/ns/{}", attacker.container.pid(), file_name(kind));
        beside.bundle.namespace(kind, Some(&path));
    }
    (attacker, beside)
}

fn file_name(kind: &str) -> &str {
    match kind {
        "network" => "net",
        kind => kind,
    }
}
