//! Cgroups that systemd makes. `scripts/systemd` makes a machine where it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use containerd_shim_protos::shim::oci;
use protobuf::{Message, MessageField};
use serde_json::{Value, json};

use super::containerd::{Containerd, an_any, is_of_containerd, until};
use super::events::Event::{Create, Delete, Exit, Oom, Start};

const SLICE: &str = "serve.slice";
const MIB: u64 = 1 << 20;

/// A containerd on a host where systemd runs.
fn on_systemd() -> Option<Containerd> {
    if !Path::new("/run/systemd/private").exists() {
        eprintln!("skipped: no systemd runs here");
        return None;
    }
    Containerd::new()
}

/// The same, where a container's memory can be limited.
fn on_systemd_with_memory() -> Option<Containerd> {
    let of_v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if !of_v2.contains("memory") && !Path::new("/sys/fs/cgroup/memory").exists() {
        eprintln!("skipped: this machine's systemd has no controller of memory");
        return None;
    }
    on_systemd()
}

impl Containerd {
    fn in_slice(&self, id: &str) -> impl Fn(&mut Value) {
        let path = format!("{SLICE}:{}:{id}", self.namespace);
        move |config: &mut Value| config["linux"]["cgroupsPath"] = json!(path)
    }

    fn scope(&self, id: &str) -> String {
        format!("{}-{id}.scope", self.namespace)
    }

    /// Waits until systemd has forgotten the scope of a container.
    fn has_no_scope(&self, id: &str) {
        until("the scope goes", || {
            let state = systemctl(&["show", "--property=ActiveState", "--value", &self.scope(id)]);
            (state == "inactive").then_some(()).ok_or(state)
        });
    }
}

fn systemctl(args: &[&str]) -> String {
    let output = Command::new("systemctl").args(args).output().expect("systemctl runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The option SystemdCgroup.
fn by_systemd() -> MessageField<protobuf::well_known_types::any::Any> {
    let options = oci::Options { systemd_cgroup: true, ..oci::Options::default() };
    MessageField::some(an_any("containerd.runc.v1.Options", options.write_to_bytes().expect("bytes")))
}

/// The cgroups of a process, one line for each hierarchy.
fn cgroups(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives")
}

/// The cgroup of a process: of v1 in the hierarchy of `controller`, where it has one.
fn cgroup(pid: u32, controller: &str) -> PathBuf {
    let text = cgroups(pid);
    let lines: Vec<(&str, &str)> =
        text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':')).collect();
    let of_v1 = lines.iter().find(|(controllers, _)| controllers.split(',').any(|name| name == controller));
    let (top, path) = match of_v1 {
        Some((_, path)) => (Path::new("/sys/fs/cgroup").join(controller), path),
        None => ("/sys/fs/cgroup".into(), &lines.last().expect("a cgroup").1),
    };
    top.join(path.trim_start_matches('/'))
}

/// The limit of memory that the kernel keeps to.
fn memory_max(pid: u32) -> u64 {
    let cgroup = cgroup(pid, "memory");
    let of = |name: &str| fs::read_to_string(cgroup.join(name));
    let text = of("memory.limit_in_bytes").or_else(|_| of("memory.max")).expect("a limit");
    text.trim().parse().expect("a number")
}

#[test]
fn a_path_of_slice_and_name_is_a_scope_whatever_the_options_say() {
    let Some(containerd) = on_systemd() else { return };
    for (id, options) in [("c1", MessageField::none()), ("c2", by_systemd())] {
        if options.is_none() && is_of_containerd() {
            // runc takes it for a directory of that name.
            continue;
        }
        let (server, mut request) = containerd.server_with(id, &["sleep", "600"], containerd.in_slice(id));
        request.options = options;
        let task = &server.task;
        let pid = task.run(&request);
        let scope = format!("/{SLICE}/{}", containerd.scope(id));
        assert!(cgroups(pid).lines().any(|line| line.ends_with(&scope)), "{}", cgroups(pid));
        let exec = task.run_exec(id, "e", &["sleep", "600"]);
        assert_eq!(cgroups(exec), cgroups(pid));
        assert_eq!(task.pids(id).expect("pids").processes.len(), 2);
        task.stats(id).expect("readings");
        task.pause(id).expect("it is paused");
        task.resume(id).expect("it goes on");
        task.kill(id, "", 9).expect("it is there");
        assert_eq!(task.wait(id, "").expect("its exit").exit_status, 137);
        containerd.ends(&server, id);
        containerd.has_no_scope(id);
    }
}

#[test]
fn another_path_is_refused_in_runcs_words_where_systemd_is_asked_for() {
    let Some(containerd) = on_systemd() else { return };
    let (server, mut request) = containerd.server_for("c", &["true"]);
    request.options = by_systemd();
    let refused = server.task.create(&request).expect_err("no slice is named");
    let words = "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got";
    let path = format!("\"/{}/c\" instead", containerd.namespace);
    assert!(refused.text.contains(words) && refused.text.contains(&path), "{refused:?}");
    server.task.shutdown("c");
    server.is_gone();
    containerd.leaves_nothing();
}

#[test]
fn want_of_memory_in_a_scope_is_told_before_the_exit_each_time() {
    const TIMES: usize = 10;
    let Some(containerd) = on_systemd_with_memory() else { return };
    for number in 0..TIMES {
        let id = format!("c{number}");
        let greedy = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];
        let in_slice = containerd.in_slice(&id);
        let (server, mut request) = containerd.server_with(&id, &greedy, |config| {
            in_slice(config);
            config["linux"]["resources"] = json!({"memory": {"limit": 16 * MIB}});
        });
        request.options = by_systemd();
        server.task.run(&request);
        assert_eq!(server.task.wait(&id, "").expect("its exit").exit_status, 137);
        containerd.ends(&server, &id);
        containerd.has_no_scope(&id);
        let events = containerd.events.of(&id);
        let place = |event| events.iter().position(|other| *other == event);
        let of = || id.clone();
        let oom = place(Oom(of()));
        assert!(oom.is_some() && oom < place(Exit(of(), of(), 137)), "{events:?}");
        let rest: Vec<_> = events.iter().filter(|event| **event != Oom(of())).cloned().collect();
        assert_eq!(rest, [Create(of()), Start(of()), Exit(of(), of(), 137), Delete(of(), 137)]);
    }
}

#[test]
fn a_reload_of_systemd_leaves_the_limits_of_an_update() {
    let Some(containerd) = on_systemd_with_memory() else { return };
    let in_slice = containerd.in_slice("c");
    let (server, request) = containerd.server_with("c", &["sleep", "600"], |config| {
        in_slice(config);
        config["linux"]["resources"] = json!({"memory": {"limit": 64 * MIB}});
    });
    let pid = server.task.run(&request);
    assert_eq!(memory_max(pid), 64 * MIB);
    server.task.update("c", &json!({"memory": {"limit": 48 * MIB}})).expect("other limits");
    assert_eq!(memory_max(pid), 48 * MIB);
    systemctl(&["daemon-reload"]);
    assert_eq!(memory_max(pid), 48 * MIB);
    server.task.kill("c", "", 9).expect("it is there");
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
    containerd.has_no_scope("c");
}

#[test]
fn delete_takes_away_the_scope_of_a_container_whose_shim_was_killed() {
    let Some(containerd) = on_systemd() else { return };
    for (id, pauses) in [("c1", false), ("c2", true)] {
        let (server, mut request) =
            containerd.server_with(id, &["sh", "-c", "sleep 600 & sleep 600"], containerd.in_slice(id));
        request.options = by_systemd();
        server.task.run(&request);
        if pauses {
            server.task.pause(id).expect("it is paused");
        }
        server.kill();
        assert_eq!(containerd.deleted(id).exit_status, 137);
        containerd.leaves_nothing();
        containerd.has_no_scope(id);
    }
}
