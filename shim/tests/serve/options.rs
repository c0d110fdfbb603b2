//! Options of every type, and other runtimes by their name in them.

use std::fs;
use std::path::Path;

use containerd_shim_protos::api::{StatsResponse, Status};
use containerd_shim_protos::cgroups::metrics as of_v1;
use containerd_shim_protos::cgroups_v2::metrics as of_v2;
use containerd_shim_protos::shim::oci;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protobuf::well_known_types::any::Any;
use protobuf::{Message, MessageField};
use serde_json::json;
use ttrpc::Code;

use super::containerd::{Containerd, View, an_any, is_gone, is_of_containerd};
use super::events::Event::{Create, Delete, ExecAdded, ExecStarted, Exit, Oom, Start};
use super::task::{Streams, creation};

pub const RUNC: &str = "/usr/sbin/runc";
pub const CRUN: &str = "/usr/bin/crun";

const OWN: &str = "containerd.runc.v1.Options";
const GENERIC: &str = "runtimeoptions.v1.Options";

/// Field 2 or 3 of the generic options: the path of a file, or what would be in it.
fn generic(field: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short text");
    assert!(length < 128);
    [&[field << 3 | 2, length], text.as_bytes()].concat()
}

#[test]
fn options_come_in_all_types() {
    if is_of_containerd() {
        // It takes its own type only.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let root = containerd.dir.join("states");
    let root = root.to_str().expect("a plain path");
    let file = containerd.dir.join("options.toml");
    fs::write(&file, format!("Root = {root:?}\nUnheardOf = 1\n")).expect("a file");
    let own = oci::Options { root: root.into(), no_new_keyring: true, ..oci::Options::default() };
    let body = format!("Root = {root:?}");
    let (server, request) = containerd.server_for("pod", &["sleep", "600"]);
    server.task.run(&request);
    for (id, type_url, value, at_root) in [
        ("c1", OWN, own.write_to_bytes().expect("bytes"), true),
        ("c2", GENERIC, generic(3, &body), true),
        ("c3", GENERIC, generic(2, file.to_str().expect("a plain path")), true),
        ("c4", "types.containerd.io/runtimeoptions.v1.Options", generic(3, &body), true),
        ("c5", "containerd.linux.runc.CreateOptions", Vec::new(), false),
    ] {
        let bundle = containerd.bundle(id, &["true"]);
        let mut request = creation(id, &bundle, Streams::default());
        request.options = MessageField::some(an_any(type_url, value));
        server.task.create(&request).expect("it is created");
        let state = Path::new(root).join(&containerd.namespace).join(id);
        assert_eq!(state.exists(), at_root, "{id}: {}", state.display());
        server.task.start(id, "").expect("it starts");
        server.task.wait(id, "").expect("its exit");
        server.task.delete(id, "").expect("it is deleted");
        assert!(!state.exists());
    }
    let bundle = containerd.bundle("c6", &["true"]);
    let mut request = creation("c6", &bundle, Streams::default());
    request.options = MessageField::some(an_any("kata.v1.Options", Vec::new()));
    let refused = server.task.create(&request).expect_err("an unknown type");
    assert_eq!(refused.code, Code::INVALID_ARGUMENT);
    assert!(refused.text.contains("kata.v1.Options"), "{refused:?}");
    server.task.kill("pod", "", 9).expect("it is there");
    server.task.wait("pod", "").expect("its exit");
    containerd.ends(&server, "pod");
}

/// Options that name another runtime.
pub fn below(binary: &str) -> Any {
    let options = oci::Options { binary_name: binary.into(), ..oci::Options::default() };
    an_any(OWN, options.write_to_bytes().expect("bytes"))
}

/// Says so where that runtime isn't there.
pub fn is_missing(binary: Option<&str>) -> bool {
    let missing = binary.filter(|binary| !Path::new(binary).exists());
    missing.inspect(|binary| eprintln!("skipped: there is no {binary}")).is_some()
}

/// crun refuses a host with both versions of cgroups.
pub fn view_for(binary: Option<&str>) -> View {
    if binary == Some(CRUN) { View::V1 } else { View::Host }
}

#[test]
fn runc_works_below_the_shim() {
    works_below_the_shim(RUNC, View::Host);
}

#[test]
fn runc_works_below_the_shim_on_v2() {
    works_below_the_shim(RUNC, View::V2);
}

/// It refuses a host with both versions of cgroups.
#[test]
fn crun_works_below_the_shim() {
    works_below_the_shim(CRUN, View::V1);
}

#[test]
fn crun_works_below_the_shim_on_v2() {
    works_below_the_shim(CRUN, View::V2);
}

fn works_below_the_shim(binary: &str, view: View) {
    let Some(containerd) = Containerd::with(view) else { return };
    if !Path::new(binary).exists() {
        eprintln!("skipped: there is no {binary}");
        return;
    }
    let (server, mut request) = containerd.server_for("c", &["sleep", "600"]);
    request.options = MessageField::some(below(binary));
    let task = &server.task;
    task.create(&request).expect("it is created");
    task.kill("c", "", 9).expect("it is there");
    assert_eq!(task.wait("c", "").expect("its exit").exit_status, 137);
    task.delete("c", "").expect("it is deleted");
    containerd.events.wait_for(&Delete("c".into(), 137));
    let before = server.idle_descriptors();

    let pid = task.create(&request).expect("it is created");
    assert_eq!(task.start("c", ""), Ok(pid));
    assert_eq!(task.pids("c").expect("pids").processes.len(), 1);
    let stats = task.stats("c").expect("readings");
    if view != View::V2 {
        the_metrics_are_of_the_container(&stats);
    }
    task.run_exec("c", "e", &["sh", "-c", "exit 3"]);
    assert_eq!(task.wait("c", "e").expect("its exit").exit_status, 3);
    task.delete("c", "e").expect("it is deleted");
    task.pause("c").expect("it is paused");
    assert_eq!(task.status("c", ""), Status::PAUSED);
    task.resume("c").expect("it goes on");
    task.kill("c", "", 15).expect("it is there");
    task.kill("c", "", 9).expect("it is there");
    assert_eq!(task.wait("c", "").expect("its exit").exit_status, 137);
    assert_eq!(task.kill("c", "", 9).expect_err("it is over").code, Code::NOT_FOUND);
    task.delete("c", "").expect("it is deleted");
    server.has_descriptors(&before);

    containerd.bundle("c", &["nosuch"]);
    let refused = task.create(&request).expect_err("there is no such program");
    assert!(refused.text.contains("OCI runtime create failed"), "{refused:?}");
    assert!(refused.text.contains("nosuch"), "{refused:?}");
    containerd.bundle("c", &["true"]);
    task.run(&request);
    assert_eq!(task.wait("c", "").expect("its exit").exit_status, 0);
    containerd.ends(&server, "c");
    let (c, e) = (|| "c".to_owned(), || "e".to_owned());
    let mut events = containerd.events.of("c");
    events
        .retain(|event| !matches!(event, super::events::Event::Paused(_) | super::events::Event::Resumed(_)));
    let unstarted = [Create(c()), Exit(c(), c(), 137), Delete(c(), 137)];
    let first = [Create(c()), Start(c()), ExecAdded(c(), e()), ExecStarted(c(), e()), Exit(c(), e(), 3)];
    let second = [Exit(c(), c(), 137), Delete(c(), 137)];
    let third = [Create(c()), Start(c()), Exit(c(), c(), 0), Delete(c(), 0)];
    assert_eq!(events, [&unstarted[..], &first, &second, &third].concat());
}

#[test]
fn what_a_hook_of_crun_leaves_behind_holds_nobody_up() {
    let Some(containerd) = Containerd::with(View::V1) else { return };
    if is_missing(Some(CRUN)) {
        return;
    }
    let path = containerd.dir.join("left");
    // It has crun's standard output for as long as it lives.
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("sleep 600 & echo $! > {}", path.display())]}]);
    let (server, mut request) = containerd.server_with("c", &["sleep", "600"], |config| {
        config["hooks"] = json!({"poststart": hook});
    });
    request.options = MessageField::some(below(CRUN));
    server.task.run(&request);
    let left: i32 = fs::read_to_string(&path).expect("the hook has run").trim().parse().expect("a pid");
    assert!(!is_gone(left), "the hook has left nothing behind");
    kill(Pid::from_raw(left), Signal::SIGKILL).expect("it is there");
    server.task.kill("c", "", 9).expect("it is there");
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
}

/// Makes sure that a container of a single process is counted, and not the whole host.
fn the_metrics_are_of_the_container(stats: &StatsResponse) {
    let pids = match &*stats.stats.type_url {
        "io.containerd.cgroups.v1.Metrics" => {
            of_v1::Metrics::parse_from_bytes(&stats.stats.value).expect("metrics").pids.current
        }
        "io.containerd.cgroups.v2.Metrics" => {
            of_v2::Metrics::parse_from_bytes(&stats.stats.value).expect("metrics").pids.current
        }
        other => panic!("metrics of type {other}"),
    };
    assert_eq!(pids, 1);
}

#[test]
fn want_of_memory_is_told_of_a_container_of_runc() {
    let Some(containerd) = Containerd::new() else { return };
    if !Path::new(RUNC).exists() {
        eprintln!("skipped: there is no {RUNC}");
        return;
    }
    let greedy = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];
    let (server, mut request) = containerd.server_with("c", &greedy, |config| {
        config["linux"]["resources"] = serde_json::json!({"memory": {"limit": 16 << 20}});
    });
    request.options = MessageField::some(below(RUNC));
    server.task.run(&request);
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 137);
    containerd.ends(&server, "c");
    let events = containerd.events.of("c");
    assert!(events.contains(&Oom("c".into())), "{events:?}");
}
