//! A process that others see has nothing that its program won't have: a container that shares its pid namespace, and
//! may trace, looks at every process that appears beside it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::not_in_runc_1_1;
use spec_tests::payload;
use spec_tests::runtime::eventually;
use spec_tests::victim::Victim;
use spec_tests::view::View;

const FIRST: u32 = 100_000;
/// `CAP_SYS_PTRACE`, as a mask: all that any program here has.
const TRACE: u64 = 1 << 19;
/// `CAP_SYS_ADMIN`
const ADMIN: u64 = 1 << 21;
const TIMES: usize = 200;

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
    fn new(view: View, in_user_namespace: bool, beside: Option<&Path>) -> Attacker {
        let mut container = Container::in_view(view, |bundle| {
            bundle.capabilities(&["CAP_SYS_PTRACE"]);
            if in_user_namespace {
                bundle.user_namespace(FIRST);
            }
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

    /// Fails the test if the attacker has seen anything but what a program here has.
    fn assert_saw_nothing_but(self, rights_allowed: u64, open_allowed: &[&str]) {
        fs::write(self.container.bundle.rootfs().join("tmp/stop"), "").unwrap();
        self.container.wait_stopped();
        self.victim.assert_untouched();
        let told: String = self.outputs.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let all = |kind: &str| -> Vec<&str> {
            told.lines()
                .filter_map(|line| line.split_once(' ').filter(|(word, _)| *word == kind))
                .map(|(_, rest)| rest)
                .collect()
        };
        let count = |kind: &str| all(kind).first().and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        assert!(count("seized") > TIMES / 20, "the attack works: {told}");
        assert_eq!([all("host"), all("root"), all("cwd")], [[""; 0]; 3], "{told}");
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
    }
}

fn watch_exec(view: View, in_user_namespace: bool) {
    let attacker = Attacker::new(view, in_user_namespace, None);
    for _ in 0..TIMES {
        attacker.container.exec(&["true"]).output().ok();
    }
    attacker.assert_saw_nothing_but(TRACE, &[]);
}

fn watch_starts(view: View, joined: &[&str], configure: impl FnOnce(&mut Container)) {
    let (attacker, mut beside) = side_by_side(view, joined);
    configure(&mut beside);
    for _ in 0..TIMES {
        beside.run().output().ok();
    }
    attacker.assert_saw_nothing_but(TRACE, &[]);
}

fn watch_starts_on_an_older_kernel(joined: &[&str], rights_allowed: u64) {
    not_in_runc_1_1!("what runc does on any kernel");
    let (attacker, beside) = side_by_side(View::Plain, joined);
    let older = beside.dir.join("older");
    payload::build(include_str!("../../data/attacks/no_pidns.c"), &older);
    for _ in 0..TIMES {
        beside.run().by([&older]).output().ok();
    }
    // The procfs in the making.
    attacker.assert_saw_nothing_but(rights_allowed, &["anon_inode:[fscontext]", "/"]);
}

fn side_by_side(view: View, joined: &[&str]) -> (Attacker, Container) {
    let mut beside = Container::in_view(view, |bundle| {
        bundle.capabilities(&["CAP_SYS_PTRACE"]).args(["true"]);
    });
    let attacker = Attacker::new(view, joined.contains(&"user"), Some(&beside.bundle.rootfs()));
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
