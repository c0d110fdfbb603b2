//! Driven by the names of the steps: a binary built with the feature `faults` dies or fails where `CORTEN_FAULT` says.

use std::collections::BTreeSet;
use std::path::PathBuf;

use corten::internals::plan::Stage;
use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::manager::Manager;
use spec_tests::resctrl::Resctrl;
use spec_tests::runtime::{Call, eventually};
use spec_tests::skip_if;
use spec_tests::view::View;

use crate::{at_each, left_after_delete};

/// What to ask for in a bundle.
type Configure = fn(&mut Bundle);

/// Bundles that together ask for every step that a bundle can ask for here.
const BUNDLES: [Configure; 7] = [
    rich,
    in_a_user_namespace,
    with_a_net_device,
    among_the_callers_mounts,
    in_a_pod,
    in_a_pod_with_users,
    forked_first,
];

/// As `in_a_pod`, with a pids limit of one: where a view has the controller.
const ALONE_IN_A_POD: Configure = |bundle| {
    in_a_pod(bundle);
    bundle.set("/linux/resources/pids", json!({"limit": 1}));
};

/// Bundles of the containers that `exec` joins.
const JOINED: [Configure; 2] = [rich, among_the_callers_mounts];

/// Steps that `run` has beside those of `create`.
const OF_RUN: [&str; 2] = ["bind-notify-socket", "start-at-once"];

/// The first step that comes after create has ended.
const FIRST_AFTER_CREATE: &str = "await-start";

/// A step of a bundle, for a runtime with one view of cgroups.
struct Place {
    view: View,
    configure: Configure,
    step: String,
    /// Whether `create` takes the step, and not a later command.
    of_create: bool,
}

impl Place {
    /// A fresh container for the binary with faults.
    fn container(&self) -> Container {
        container(self.view, self.configure)
    }
}

/// Of a bundle: its commands lack CAP_SYS_RESOURCE.
const WITH_LITTLE_RIGHT: &str = "with little right";

/// Of a bundle: its commands are an ordinary user's.
const A_USER: &str = "a user";

/// The ids of that user.
const USER: u32 = 1234;

/// What of the host the containers of a test ask for.
struct Surroundings {
    resctrl: Option<Resctrl>,
}

impl Surroundings {
    fn new() -> Surroundings {
        Surroundings { resctrl: Resctrl::possible().then(Resctrl::mount) }
    }

    /// Gives a command of the container what its config asks for of the host.
    fn around<'a>(&self, container: &Container, call: Call<'a>) -> Call<'a> {
        let asks_for = |field: &str| container.bundle.config["linux"][field].is_object();
        match &self.resctrl {
            Some(resctrl) if asks_for("intelRdt") => resctrl.seen_by(call),
            _ if container.bundle.config["annotations"]["caller"] == WITH_LITTLE_RIGHT => {
                call.by(["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"])
            }
            _ if is_users(&container.bundle) => {
                call.by(["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "--inh-caps=-all"])
            }
            _ if asks_for("netDevices") => {
                let script = "ip link add crash0 type veth peer name crash1; exec \"$@\"";
                call.by(["unshare", "--net", "sh", "-ec", script, "sh"])
            }
            _ => call,
        }
    }

    /// The resctrl groups that a container has left.
    fn groups_of(&self, container: &Container) -> Vec<String> {
        let groups = self.resctrl.iter().flat_map(Resctrl::groups);
        groups.filter(|group| group.contains(&container.id)).collect()
    }

    /// As [`left_after_delete`](crate::left_after_delete), and looks for resctrl groups too.
    fn left_after_delete(&self, container: &Container, place: &str) -> Option<String> {
        let left = left_after_delete(container, place);
        let groups = self.groups_of(container);
        if groups.is_empty() { left } else { Some(format!("{place}: resctrl groups {groups:?}; {left:?}")) }
    }
}

fn rich(bundle: &mut Bundle) {
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        bundle.push(&format!("/hooks/{kind}"), json!({"path": "/bin/true"}));
    }
    bundle
        .namespace("cgroup", None)
        .unmount("/dev")
        .unmount("/dev/pts")
        .mount("tmpfs", "tmpfs", "/dev", &["ro", "mode=755"])
        .mount("devpts", "devpts", "/dev/pts", &["newinstance", "ptmxmode=0666"])
        .mount("tmpfs", "tmpfs", "/copied", &["tmpcopyup", "shared"])
        .mount("bind", "/bin/busybox", "/bound", &["bind", "ro"])
        .set("/root/readonly", true)
        .set("/linux/rootfsPropagation", "rslave")
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .set(
            "/linux/devices",
            json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}]),
        )
        .set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}))
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]))
        .set("/process/oomScoreAdj", 10)
        .set("/domainname", "crash.test")
        .set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 1}))
        .set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 4}))
        .set("/linux/personality", json!({"domain": "LINUX"}))
        .set("/process/noNewPrivileges", true)
        .args(["sleep", "1000"]);
    if std::fs::exists("/proc/self/ns/time").unwrap_or(false) {
        bundle.namespace("time", None).set("/linux/timeOffsets", json!({"monotonic": {"secs": 1}}));
    }
    if std::fs::exists("/proc/self/numa_maps").unwrap_or(false) {
        bundle.set("/linux/memoryPolicy", json!({"mode": "MPOL_PREFERRED", "nodes": "0"}));
    }
    if Resctrl::possible() {
        bundle.set("/linux/intelRdt", json!({"schemata": ["L3:0=f"], "enableMonitoring": true}));
    }
}

/// Joins a namespace too, and has no procfs of its own to write through.
fn with_a_net_device(bundle: &mut Bundle) {
    bundle
        .set("/linux/netDevices", json!({"crash0": {}}))
        .namespace("ipc", Some(&format!("/proc/{}/ns/ipc", std::process::id())))
        .unmount("/proc")
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .set("/linux/rootfsPropagation", "shared")
        .args(["sleep", "1000"]);
}

fn among_the_callers_mounts(bundle: &mut Bundle) {
    bundle
        .share_namespace("mount")
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .args(["sleep", "1000"]);
}

fn in_a_user_namespace(bundle: &mut Bundle) {
    bundle
        .user_namespace(100_000)
        // A cgroup that is the container's own to write.
        .namespace("cgroup", None)
        .unmount("/sys/fs/cgroup")
        .mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "nodev", "noexec"])
        // A directory in which the container's root can make /run/notify.
        .mount("tmpfs", "tmpfs", "/run", &[])
        .args(["sleep", "1000"]);
}

/// Joins a pid namespace, so an intermediate process prepares everything, the filter too; and init sets its rlimits
/// itself.
fn in_a_pod(bundle: &mut Bundle) {
    let own = format!("/proc/{}/ns/pid", std::process::id());
    bundle
        .namespace("pid", Some(&own))
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]))
        .set("/annotations/caller", WITH_LITTLE_RIGHT)
        .set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}))
        .set("/process/noNewPrivileges", true)
        .args(["sleep", "1000"]);
}

fn in_a_pod_with_users(bundle: &mut Bundle) {
    in_a_user_namespace(bundle);
    // Such a procfs belongs to the user namespace of the pid namespace.
    bundle.unmount("/proc");
    in_a_pod(bundle);
}

/// A policy that no child inherits: init is forked before all that is prepared. And a filter that forbids to set the
/// rlimits after it.
fn forked_first(bundle: &mut Bundle) {
    in_a_pod(bundle);
    bundle.set("/process/scheduler", json!({"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}));
    let forbidden = json!([{"names": ["prlimit64"], "action": "SCMP_ACT_ERRNO"}]);
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": forbidden});
    bundle.set("/linux/seccomp", profile).set("/process/noNewPrivileges", false);
}

/// Without a cgroup, and with a map of the user's own ids alone.
fn of_a_user(bundle: &mut Bundle) {
    let map = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
    bundle
        .namespace("user", None)
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .set("/linux/cgroupsPath", "")
        .set("/linux/resources", json!({}))
        .unmount("/dev/pts")
        .mount("bind", "/bin/busybox", "/bound", &["bind", "ro"])
        .set("/process/oomScoreAdj", 10)
        .set("/annotations/caller", A_USER)
        .args(["sleep", "1000"]);
}

fn is_users(bundle: &Bundle) -> bool {
    bundle.config["annotations"]["caller"] == A_USER
}

/// The binary with faults, if there is one.
fn binary() -> Option<PathBuf> {
    std::env::var_os("CORTEN_FAULTS_BIN").map(PathBuf::from)
}

fn container(view: View, configure: Configure) -> Container {
    let mut container = Container::in_view(view, configure);
    container.runtime.binary = binary().expect("a binary with faults");
    if is_users(&container.bundle) {
        container.give_to(USER);
    }
    container
}

/// Has the command ask for sd_notify. No process listens, so a start fails, but only after its steps are done.
fn notifying(call: Call<'_>) -> Call<'_> {
    call.env("NOTIFY_SOCKET", "/nonexistent")
}

/// Every step of every bundle in every view.
fn places(surroundings: &Surroundings) -> Vec<Place> {
    let mut places = Vec::new();
    // This user has no systemd of its own.
    let user = (Manager::of_environment() == Manager::Cgroupfs).then_some(of_a_user as Configure);
    for view in View::all() {
        let has_pids = if *view == View::V2 { cgroup::is_v2("pids") } else { cgroup::has("pids") };
        let limited = has_pids.then_some(ALONE_IN_A_POD);
        for configure in BUNDLES.into_iter().chain(limited).chain(user) {
            let container = container(*view, configure);
            container.bundle.save();
            let dir = container.bundle.dir.to_str().expect("a UTF-8 path");
            let plan = notifying(container.command(["plan", "--steps", dir]));
            let steps = surroundings.around(&container, plan).output().ok();
            let mut of_create = true;
            for step in steps.lines() {
                of_create &= step != FIRST_AFTER_CREATE;
                places.push(Place { view: *view, configure, step: step.to_owned(), of_create });
            }
        }
    }
    places
}

#[test]
fn killed_before_any_step_delete_leaves_nothing() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    let surroundings = Surroundings::new();
    at_each(&places(&surroundings), |place| {
        let container = place.container();
        let fault = format!("kill:{}", place.step);
        let create = notifying(container.create()).env("CORTEN_FAULT", &fault);
        if surroundings.around(&container, create).output().code == 0 {
            notifying(container.command(["start", &container.id])).env("CORTEN_FAULT", &fault).output();
        }
        surroundings.left_after_delete(&container, &format!("{:?} {fault}", place.view))
    });
}

#[test]
fn killed_before_a_step_that_run_alone_has_delete_leaves_nothing() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    let surroundings = Surroundings::new();
    for step in OF_RUN {
        let container = container(View::Plain, rich);
        let fault = format!("kill:{step}");
        let run = notifying(container.run_with(["--detach"])).env("CORTEN_FAULT", &fault);
        let run = surroundings.around(&container, run).output();
        assert_eq!(run.code, 128 + 9, "{run}");
        assert_eq!(surroundings.left_after_delete(&container, &fault), None);
    }
}

#[test]
fn what_a_killed_create_left_is_stopped_and_needs_no_force_to_be_deleted() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    let surroundings = Surroundings::new();
    for step in ["make-start-fifo", "create-cgroup", "clone-init", "limit-cgroup", "mount-rootfs"] {
        let container = container(View::Plain, rich);
        let create = notifying(container.create()).env("CORTEN_FAULT", format!("kill:{step}"));
        surroundings.around(&container, create).output();
        assert_eq!(container.status(), "stopped", "{step}");
        container.delete().ok();
        container.assert_nothing_left();
    }
}

#[test]
fn a_cgroup_of_somebody_else_survives_a_create_that_died_before_it_looked() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    let surroundings = Surroundings::new();
    for step in ["create-cgroup", "make-start-fifo"] {
        let other = Container::sleeping(|_| {});
        let mut container = container(View::Plain, rich);
        container.bundle.set("/linux/cgroupsPath", other.cgroups_path());
        let create = notifying(container.create()).env("CORTEN_FAULT", format!("kill:{step}"));
        surroundings.around(&container, create).output();
        container.command(["delete", "--force", &container.id]).output().ok();
        assert_eq!(other.status(), "running", "{step}");
    }
}

#[test]
fn killed_before_a_step_of_create_the_runtime_really_dies() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    let surroundings = Surroundings::new();
    at_each(&places(&surroundings), |place| {
        let container = place.container();
        let fault = format!("kill:{}", place.step);
        let create = notifying(container.create()).env("CORTEN_FAULT", &fault);
        let outcome = surroundings.around(&container, create).output();
        (place.of_create && outcome.code != 128 + 9).then(|| format!("{:?} {fault}: {outcome}", place.view))
    });
}

#[test]
fn a_step_that_fails_is_named_in_one_line_and_leaves_nothing() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    let surroundings = Surroundings::new();
    at_each(&places(&surroundings), |place| {
        let container = place.container();
        let fault = format!("fail:{}", place.step);
        let create = notifying(container.create()).env("CORTEN_FAULT", &fault);
        let outcome = surroundings.around(&container, create).output();
        if outcome.code == 0 {
            return None;
        }
        let mut complaint = String::new();
        if !outcome.stderr.contains(&place.step) || outcome.stderr.trim().lines().count() != 1 {
            complaint = format!("{:?} {fault}: not one line that names the step: {outcome}", place.view);
        }
        let left = [container.leftovers(), surroundings.groups_of(&container)].concat();
        if !left.is_empty() {
            complaint =
                format!("{:?} {fault}: left before delete: {}; {complaint}", place.view, left.join(", "));
        }
        container.sweep();
        (!complaint.is_empty()).then_some(complaint)
    });
}

/// The steps of an `exec`, as its trace has them.
fn steps_of_exec(container: &Container, process: &str) -> Vec<String> {
    let file = container.path("trace.json");
    exec(container, process).global(["--trace", &file]).output().ok();
    std::fs::remove_file(container.path("exec.pid")).expect("a pid file");
    let trace = std::fs::read_to_string(file).expect("a trace");
    let name = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line.trim_end_matches(',')).ok()?;
        event["name"].as_str().map(str::to_owned)
    };
    let mut steps: Vec<String> = trace.lines().filter_map(name).collect();
    steps.push("execute".to_owned());
    steps
}

/// An `exec` that asks for all that one can ask for without an engine.
fn exec<'a>(container: &'a Container, process: &str) -> Call<'a> {
    let pid_file = container.path("exec.pid");
    container.command(["exec", "--pid-file", &pid_file, "--process", process, &container.id])
}

#[test]
fn a_step_of_exec_that_fails_or_dies_leaves_no_process_and_no_pid_file() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    let surroundings = Surroundings::new();
    for configure in JOINED {
        fail_and_kill_each_step_of_exec(&joined(&surroundings, configure));
    }
}

fn fail_and_kill_each_step_of_exec(container: &Container) {
    let short = process(container, &["true"]);
    let long = process(container, &["sleep", "60"]);
    let steps = steps_of_exec(container, &short);
    assert!(steps.len() > 15, "{steps:?}");
    for step in &steps {
        for how in ["fail", "kill"] {
            // From here on the program outlives a supervisor that is killed, as it is meant to.
            let outlives = how == "kill" && ["await-execution", "write-pid-file"].contains(&step.as_str());
            let process = if outlives { &short } else { &long };
            let outcome = exec(container, process).env("CORTEN_FAULT", format!("{how}:{step}")).output();
            let expected = if how == "fail" { 255 } else { 128 + 9 };
            // Init's death is what the supervisor of a failed `execute` hears of.
            assert!(outcome.code == expected || outcome.code == 255, "{how}:{step}: {outcome}");
            eventually(&format!("gone after {how}:{step}"), || {
                container.command(["ps", "--format", "json", &container.id]).output().ok()
                    == format!("[{}]", container.pid())
            });
            if how == "fail" {
                assert!(outcome.stderr.contains(step.as_str()), "{step}: {outcome}");
                assert!(
                    !std::path::Path::new(&container.path("exec.pid")).exists(),
                    "{step}: the pid file stays"
                );
            }
        }
    }
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

/// A process.json that asks for all that one can ask for without an engine.
fn process(container: &Container, args: &[&str]) -> String {
    let process = json!({
        "cwd": "/", "args": args, "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}, "oomScoreAdj": 5,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}], "terminal": true,
    });
    container.file(&format!("{}.json", args[0]), &process.to_string())
}

/// A running container, for the steps of `exec`.
fn joined(surroundings: &Surroundings, configure: Configure) -> Container {
    let container = container(View::Plain, configure);
    surroundings.around(&container, container.run_with(["--detach"])).output().ok();
    container
}

/// The steps that no bundle and no flag here asks for, in the order of the table, each with the reason.
const NOT_TRIED: [(&str, &str); 7] = [
    ("attach-to-unit", "wants a user's systemd"),
    ("set-apparmor-profile", "wants a kernel with AppArmor"),
    ("set-selinux-label", "wants a kernel with SELinux"),
    ("install-seccomp-listener", "wants an agent"),
    ("hand-over-listener", "wants an agent"),
    ("send-console", "wants somebody who takes the terminal"),
    ("send-pidfd", "wants somebody who takes the pidfd"),
];

/// Whether the rlimits of init can be set from outside here.
fn has_sys_resource() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("capabilities");
    let bits = u64::from_str_radix(effective.trim(), 16).expect("a number");
    bits >> 24 & 1 == 1
}

#[test]
fn every_step_of_the_table_is_tried() {
    skip_if!(binary().is_none(), "CORTEN_FAULTS_BIN is not set");
    skip_if!(Manager::of_environment() == Manager::Systemd, "no start of a user is tried there");
    let surroundings = Surroundings::new();
    skip_if!(surroundings.resctrl.is_none(), "no FUSE, so nothing that stands in for resctrl");
    let mut tried: BTreeSet<String> = places(&surroundings).into_iter().map(|place| place.step).collect();
    for configure in JOINED {
        let container = joined(&surroundings, configure);
        tried.extend(steps_of_exec(&container, &process(&container, &["true"])));
    }
    tried.extend(OF_RUN.map(str::to_owned));
    if !has_sys_resource() {
        tried.insert("set-rlimits".to_owned());
    }
    // On machines with systemd they are tried: the last three where it is v1's.
    const OF_UNITS: [&str; 5] =
        ["start-unit", "await-unit", "move-into-cgroup", "release-into-cgroup", "await-cgroup"];
    tried.extend(OF_UNITS.map(str::to_owned));
    let untried = Stage::ALL.iter().map(|stage| stage.name()).filter(|name| !tried.contains(*name));
    assert_eq!(untried.collect::<Vec<_>>(), NOT_TRIED.map(|(step, _)| step));
}
