//! A container's life, call by call.

use std::fs;

use containerd_shim_protos::api::Status;
use containerd_shim_protos::events::task::{TaskCreate, TaskDelete, TaskExit, TaskStart};
use containerd_shim_protos::types::mount::Mount;
use protobuf::Message;
use ttrpc::Code;

use super::containerd::{Containerd, is_of_containerd, until};
use super::events::Event::{self, Create, Delete, ExecAdded, ExecStarted, Exit, Oom, Paused, Resumed, Start};
use super::task::{V2, V3};

fn life(container: &str, exit: u32) -> Vec<Event> {
    let id = || container.to_owned();
    vec![Create(id()), Start(id()), Exit(id(), id(), exit), Delete(id(), exit)]
}

#[test]
fn a_container_lives_and_dies_by_both_names_of_the_service() {
    let Some(containerd) = Containerd::new() else { return };
    for (name, id) in [(V2, "c2"), (V3, "c3")] {
        if name == V3 && is_of_containerd() {
            continue;
        }
        let (server, request) = containerd.server_for(id, &["sh", "-c", "read x < /tmp/fifo; exit 7"]);
        let fifo = containerd.dir.join("root/tmp/fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        let task = server.task.named(name);
        let pid = task.create(&request).expect("it is created");
        let state = task.state(id, "").expect("a state");
        assert_eq!((state.pid, state.status.enum_value_or_default()), (pid, Status::CREATED));
        assert_eq!((&*state.id, &*state.bundle, &*state.exec_id), (id, &*request.bundle, ""));
        assert!(state.exited_at.is_none() || state.exited_at.seconds < 0, "{state:?}");
        assert_eq!(task.connect_call(id).task_pid, pid);
        assert_eq!(task.start(id, ""), Ok(pid));
        assert_eq!(task.status(id, ""), Status::RUNNING);
        let pids = task.pids(id).expect("pids").processes;
        assert_eq!(pids.iter().map(|process| process.pid).collect::<Vec<_>>(), [pid]);
        let refused = task.delete(id, "").expect_err("it runs");
        assert!(is_of_containerd() || refused.code == Code::FAILED_PRECONDITION, "{refused:?}");
        let waiting = task.clone();
        let waiter = std::thread::spawn(move || waiting.wait(id, "").expect("its exit"));
        fs::write(&fifo, "x\n").expect("somebody reads");
        let waited = waiter.join().expect("no panic");
        let stopped = task.state(id, "").expect("a state");
        assert_eq!(stopped.status.enum_value_or_default(), Status::STOPPED);
        assert_eq!((waited.exit_status, stopped.exit_status, stopped.pid), (7, 7, pid));
        containerd.events.wait_for(&Exit(id.into(), id.into(), 7));
        if !is_of_containerd() {
            let stored = fs::read_to_string(containerd.dir.join(id).join("exitstatus.json"));
            let stored: serde_json::Value = serde_json::from_str(&stored.expect("stored")).expect("JSON");
            assert_eq!((&stored["Status"], &stored["Pid"]), (&7.into(), &pid.into()));
        }
        let late = task.kill(id, "", 9).expect_err("it is over");
        assert_eq!(late.code, Code::NOT_FOUND);
        assert!(late.text.starts_with("process already finished"), "{late:?}");
        let deleted = task.delete(id, "").expect("it is deleted");
        assert_eq!((deleted.exit_status, deleted.pid), (7, pid));
        let unknown = task.state(id, "").expect_err("it is deleted");
        assert_eq!(unknown.code, Code::NOT_FOUND);
        task.shutdown(id);
        server.is_gone();
        assert_eq!(containerd.events.of(id), life(id, 7));
        the_fields_agree(&containerd, &request.bundle, pid, &deleted, waited.exited_at.as_ref());
        assert_eq!(stopped.exited_at, waited.exited_at);
        containerd.leaves_nothing();
        fs::remove_file(&fifo).expect("it is there");
    }
}

/// Makes sure that all of the last four events say the same of a container.
fn the_fields_agree(
    containerd: &Containerd,
    bundle: &str,
    pid: u32,
    deleted: &containerd_shim_protos::api::DeleteResponse,
    exited_at: Option<&protobuf::well_known_types::timestamp::Timestamp>,
) {
    let envelopes = containerd.events.envelopes();
    let [create, start, exit, delete] = &envelopes[envelopes.len() - 4..] else { panic!("four events") };
    assert!(envelopes.iter().all(|envelope| envelope.namespace == containerd.namespace));
    let create = TaskCreate::parse_from_bytes(&create.event.value).expect("an event");
    assert_eq!((create.pid, &*create.bundle), (pid, bundle));
    assert_eq!(TaskStart::parse_from_bytes(&start.event.value).expect("an event").pid, pid);
    let exit = TaskExit::parse_from_bytes(&exit.event.value).expect("an event");
    let delete = TaskDelete::parse_from_bytes(&delete.event.value).expect("an event");
    assert_eq!((exit.pid, delete.pid), (pid, pid));
    for moment in [exit.exited_at.as_ref(), delete.exited_at.as_ref(), deleted.exited_at.as_ref()] {
        assert_eq!(moment, exited_at);
    }
}

#[test]
fn an_exec_lives_and_dies_beside_init() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    let task = &server.task;
    task.run(&request);
    let before = server.descriptors();
    task.exec("c", "e", &["sh", "-c", "exit 3"]).expect("it is added");
    assert_eq!(task.exec("c", "e", &["true"]).expect_err("twice").code, Code::ALREADY_EXISTS);
    assert_eq!(task.status("c", "e"), Status::CREATED);
    assert_eq!(task.kill("c", "e", 9).expect_err("no process").code, Code::FAILED_PRECONDITION);
    let pid = task.start("c", "e").expect("it starts");
    let waited = task.wait("c", "e").expect("its exit");
    let state = task.state("c", "e").expect("a state");
    assert_eq!((waited.exit_status, state.exit_status, state.pid), (3, 3, pid));
    let ids = if is_of_containerd() { ("e", "") } else { ("c", "e") };
    assert_eq!((&*state.id, &*state.exec_id), ids);
    let deleted = task.delete("c", "e").expect("it is deleted");
    assert_eq!((deleted.exit_status, deleted.pid, deleted.exited_at), (3, pid, waited.exited_at));
    assert_eq!(task.state("c", "e").expect_err("it is deleted").code, Code::NOT_FOUND);
    server.has_descriptors(&before);

    let long = task.run_exec("c", "long", &["sleep", "600"]);
    let pids = task.pids("c").expect("pids").processes;
    let of_exec = pids.iter().find(|process| process.pid == long).expect("the exec");
    let details = &of_exec.info;
    assert_eq!(details.type_url, "containerd.runc.v1.ProcessDetails");
    assert!(details.value.ends_with(b"long"));
    task.pause("c").expect("it is paused");
    assert_eq!((task.status("c", ""), task.status("c", "long")), (Status::PAUSED, Status::PAUSED));
    task.resume("c").expect("it goes on");
    task.kill("c", "long", 15).expect("it is there");
    assert_eq!(task.wait("c", "long").expect("its exit").exit_status, 143);
    task.kill("c", "", 9).expect("it is there");
    assert_eq!(task.wait("c", "").expect("its exit").exit_status, 137);
    let (c, of) = (|| "c".to_owned(), |name: &str| name.to_owned());
    containerd.ends(&server, "c");
    let events = containerd.events.of("c");
    let expected = [
        vec![Create(c()), Start(c())],
        vec![ExecAdded(c(), of("e")), ExecStarted(c(), of("e")), Exit(c(), of("e"), 3)],
        vec![ExecAdded(c(), of("long")), ExecStarted(c(), of("long")), Paused(c()), Resumed(c())],
        vec![Exit(c(), of("long"), 143), Exit(c(), c(), 137), Delete(c(), 137)],
    ];
    assert_eq!(events, expected.concat());
}

#[test]
fn mounts_of_the_root_file_system_come_and_go() {
    let Some(containerd) = Containerd::new() else { return };
    let script = ["sh", "-c", "echo x > /tmp/x; test -e /bin/busybox"];
    let (server, mut request) =
        containerd.server_with("c", &script, |config| config["root"] = serde_json::json!({"path": "rootfs"}));
    let root = containerd.dir.join("root");
    for name in ["upper", "work"] {
        fs::create_dir(containerd.dir.join(name)).expect("a directory");
    }
    let of = |name: &str| format!("{name}dir={}", containerd.dir.join(name).display());
    let options = vec![of("upper"), of("work"), format!("lowerdir={}", root.display())];
    request.rootfs.push(Mount {
        type_: "overlay".into(),
        source: "overlay".into(),
        options,
        ..Mount::default()
    });
    server.task.run(&request);
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 0);
    containerd.ends(&server, "c");
    assert!(containerd.dir.join("upper/tmp/x").exists() && !root.join("tmp/x").exists());
}

#[test]
fn many_layers_whose_names_fill_more_than_a_page_are_mounted() {
    const LAYERS: usize = 64;
    let Some(containerd) = Containerd::new() else { return };
    let script = "for number in $(cat /numbers); do test -e /layer-$number || exit 9; done";
    let (server, mut request) = containerd.server_with("c", &["sh", "-c", script], |config| {
        config["root"] = serde_json::json!({"path": "rootfs"});
    });
    let snapshots = containerd.dir.join("s".repeat(60));
    fs::create_dir(&snapshots).expect("a directory");
    let base = snapshots.join("base");
    let copied =
        std::process::Command::new("cp").arg("-a").arg(containerd.dir.join("root")).arg(&base).status();
    assert!(copied.is_ok_and(|status| status.success()));
    let mut layers = vec![base];
    for number in 0..LAYERS {
        let layer = snapshots.join(number.to_string()).join("fs");
        fs::create_dir_all(&layer).expect("a directory");
        fs::write(layer.join(format!("layer-{number}")), "").expect("a file");
        layers.push(layer);
    }
    let numbers: Vec<String> = (0..LAYERS).map(|number| number.to_string()).collect();
    fs::write(layers[1].join("numbers"), numbers.join(" ")).expect("a file");
    let lower = layers.iter().map(|layer| layer.display().to_string()).collect::<Vec<_>>().join(":");
    assert!(lower.len() > 4096);
    request.rootfs.push(Mount {
        type_: "overlay".into(),
        source: "overlay".into(),
        options: vec!["index=off".into(), format!("lowerdir={lower}")],
        ..Mount::default()
    });
    server.task.run(&request);
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 0);
    containerd.ends(&server, "c");
}

#[test]
fn options_that_the_kernel_would_cut_off_are_refused() {
    if is_of_containerd() {
        // It hands on a page, of which the kernel takes all but the last byte.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let (server, mut request) = containerd.server_for("c", &["true"]);
    let options = vec!["x".repeat(4096)];
    request.rootfs.push(Mount { type_: "tmpfs".into(), source: "tmpfs".into(), options, ..Mount::default() });
    let refused = server.task.create(&request).expect_err("too long");
    assert!(refused.text.contains("4096 bytes of options"), "{refused:?}");
    server.task.shutdown("c");
    server.is_gone();
    containerd.leaves_nothing();
}

#[test]
fn a_bind_mount_of_the_root_file_system_may_be_read_only() {
    let Some(containerd) = Containerd::new() else { return };
    let script = "test -e /bin/busybox && ! echo x > /tmp/x";
    let (server, mut request) = containerd.server_with("c", &["sh", "-c", script], |config| {
        config["root"] = serde_json::json!({"path": "rootfs"});
    });
    request.rootfs.push(Mount {
        type_: "bind".into(),
        source: containerd.dir.join("root").to_str().expect("a plain path").into(),
        options: vec!["rbind".into(), "ro".into()],
        ..Mount::default()
    });
    server.task.run(&request);
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 0);
    containerd.ends(&server, "c");
    assert!(!containerd.dir.join("root/tmp/x").exists());
}

#[test]
fn mounts_of_the_root_file_system_may_have_mapped_ids() {
    const ROOT: u32 = 100_000;
    if is_of_containerd() {
        // It can't before containerd 1.7.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let root = containerd.dir.join("root");
    let of = |name: &str| format!("{name}dir={}", containerd.dir.join(name).display());
    for name in ["upper", "work", "extra"] {
        let dir = containerd.dir.join(name);
        fs::create_dir(&dir).expect("a directory");
        std::os::unix::fs::chown(&dir, Some(ROOT), Some(ROOT)).expect("it is ours");
    }
    let lower = format!("lowerdir={}:{}", containerd.dir.join("extra").display(), root.display());
    let overlay = vec![of("upper"), of("work"), lower];
    for (kind, options, written) in
        [("overlay", overlay, "upper/x"), ("bind", vec!["rbind".into()], "root/x")]
    {
        let script = "test -O /bin/busybox && echo x > /x && test -O /x";
        let (server, mut request) = containerd.server_with("c", &["sh", "-c", script], |config| {
            config["root"] = serde_json::json!({"path": "rootfs"});
            let map = serde_json::json!([{"containerID": 0, "hostID": ROOT, "size": 1000}]);
            (config["linux"]["uidMappings"], config["linux"]["gidMappings"]) = (map.clone(), map);
            let user = serde_json::json!({"type": "user"});
            config["linux"]["namespaces"].as_array_mut().expect("a list").push(user);
        });
        let maps = ["uidmap", "gidmap"].map(|name| format!("{name}=0:{ROOT}:1000"));
        request.rootfs.push(Mount {
            type_: kind.into(),
            source: root.to_str().expect("a plain path").into(),
            options: options.into_iter().chain(maps).collect(),
            ..Mount::default()
        });
        server.task.run(&request);
        assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 0, "{kind}");
        containerd.ends(&server, "c");
        let owner = std::os::unix::fs::MetadataExt::uid(
            &fs::metadata(containerd.dir.join(written)).expect("written"),
        );
        assert_eq!(owner, if kind == "bind" { 0 } else { ROOT });
    }
}

#[test]
fn an_id_map_that_cannot_be_had_is_told_and_leaves_nothing() {
    if is_of_containerd() {
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let (server, mut request) = containerd.server_for("c", &["true"]);
    for (maps, word) in
        [(vec!["uidmap=0:1:2"], "gidmap="), (vec!["uidmap=x", "gidmap=x"], "no map of the form")]
    {
        request.rootfs = vec![Mount {
            type_: "bind".into(),
            source: containerd.dir.join("root").to_str().expect("a plain path").into(),
            options: ["rbind"].into_iter().chain(maps).map(String::from).collect(),
            ..Mount::default()
        }];
        let refused = server.task.create(&request).expect_err("no such map");
        assert!(refused.text.contains(word), "{refused:?}");
    }
    server.task.shutdown("c");
    server.is_gone();
    containerd.leaves_nothing();
}

#[test]
fn checkpoints_are_refused_by_name_and_the_container_runs_on() {
    if is_of_containerd() {
        // It has them, with CRIU.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let (server, mut request) = containerd.server_for("c", &["sleep", "600"]);
    server.task.run(&request);
    let image = containerd.dir.join("image");
    let refused = server.task.checkpoint("c", &image).expect_err("there are none");
    assert_eq!(
        (refused.code, &*refused.text),
        (Code::UNIMPLEMENTED, "checkpoint: corten has no checkpoints yet")
    );
    assert_eq!(server.task.status("c", ""), Status::RUNNING);
    server.task.kill("c", "", 9).expect("it is there");
    server.task.wait("c", "").expect("its exit");
    server.task.delete("c", "").expect("it is deleted");
    request.checkpoint = image.to_str().expect("a plain path").into();
    let refused = server.task.create(&request).expect_err("there are none");
    assert_eq!(
        (refused.code, &*refused.text),
        (Code::UNIMPLEMENTED, "restore: corten has no checkpoints yet")
    );
    server.task.shutdown("c");
    server.is_gone();
    containerd.leaves_nothing();
}

#[test]
fn init_that_is_killed_before_its_start_stops() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    server.task.create(&request).expect("it is created");
    server.task.kill("c", "", 9).expect("it is there");
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 137);
    assert_eq!(server.task.status("c", ""), Status::STOPPED);
    let refused = server.task.start("c", "").expect_err("it is over");
    assert!(is_of_containerd() || refused.code == Code::FAILED_PRECONDITION, "{refused:?}");
    containerd.ends(&server, "c");
    let c = || "c".to_owned();
    assert_eq!(containerd.events.of("c"), [Create(c()), Exit(c(), c(), 137), Delete(c(), 137)]);
}

#[test]
fn a_container_that_cannot_be_created_leaves_nothing_and_its_id_is_free() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["nosuch"]);
    let before = server.descriptors();
    for _ in 0..3 {
        let refused = server.task.create(&request).expect_err("there is no such program");
        let phrases = ["OCI runtime create failed", "executable file not found in $PATH"];
        assert!(phrases.iter().all(|phrase| refused.text.contains(phrase)), "{refused:?}");
        assert_eq!(server.task.state("c", "").expect_err("it isn't there").code, Code::NOT_FOUND);
        let left = containerd.left();
        assert!(left.iter().all(|what| what.starts_with("process")) && left.len() == 1, "{left:?}");
        server.has_descriptors(&before);
    }
    containerd.bundle("c", &["true"]);
    server.task.run(&request);
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
    assert_eq!(containerd.events.of("c"), life("c", 0));
}

#[test]
fn an_exec_that_cannot_be_started_leaves_nothing_but_its_record() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    let task = &server.task;
    task.run(&request);
    let before = server.descriptors();
    task.exec("c", "e", &["nosuch"]).expect("it is added");
    let refused = task.start("c", "e").expect_err("there is no such program");
    let phrases = ["OCI runtime exec failed", "executable file not found in $PATH"];
    assert!(phrases.iter().all(|phrase| refused.text.contains(phrase)), "{refused:?}");
    task.delete("c", "e").expect("it is deleted");
    server.has_descriptors(&before);
    task.kill("c", "", 9).expect("it is there");
    task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
    let exits = containerd.events.of("c").into_iter().filter(|event| matches!(event, Exit(..))).count();
    assert_eq!(exits, 1);
}

#[test]
fn the_id_of_an_exec_is_the_name_of_none_but_its_own_files() {
    if is_of_containerd() {
        // The exec writes its pid over that of init.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    let pid = server.task.run(&request);
    for id in ["../x", "/x", "", "..", "a\0b"] {
        let refused = server.task.exec("c", id, &["true"]).expect_err("no id");
        assert_eq!(refused.code, Code::INVALID_ARGUMENT, "{refused:?}");
    }
    server.task.run_exec("c", "init", &["true"]);
    server.task.wait("c", "init").expect("its exit");
    server.task.delete("c", "init").expect("it is deleted");
    server.kill();
    assert_eq!(containerd.deleted("c").pid, pid);
    containerd.leaves_nothing();
}

#[test]
fn want_of_memory_is_told_before_the_exit() {
    let Some(containerd) = Containerd::new() else { return };
    let script = "exec dd if=/dev/zero of=/dev/null bs=200M count=1";
    let (server, request) = containerd.server_with("c", &["sh", "-c", script], |config| {
        config["linux"]["resources"] = serde_json::json!({"memory": {"limit": 16 << 20}});
    });
    server.task.run(&request);
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 137);
    containerd.ends(&server, "c");
    let c = || "c".to_owned();
    // It may run out of memory before the start is told, and more than once.
    let (told, rest): (Vec<_>, Vec<_>) =
        containerd.events.of("c").into_iter().partition(|event| *event == Oom(c()));
    let told_last = containerd.events.of("c").iter().rposition(|event| *event == Oom(c()));
    assert!(!told.is_empty() && (is_of_containerd() || told_last < Some(told.len() + 2)));
    assert_eq!(rest, [Create(c()), Start(c()), Exit(c(), c(), 137), Delete(c(), 137)]);
}

#[test]
fn sigterm_ends_the_server_and_leaves_the_container_to_delete() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    server.task.run(&request);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.pid), nix::sys::signal::Signal::SIGTERM)
        .expect("it lives");
    server.is_gone();
    assert_eq!(containerd.deleted("c").exit_status, 137);
    containerd.leaves_nothing();
}

#[test]
fn orphans_that_come_to_the_shim_are_reaped() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_with("c", &["sleep", "600"], |config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });
    server.task.run(&request);
    for number in 0..5 {
        let exec = format!("e{number}");
        server.task.run_exec("c", &exec, &["sh", "-c", "(usleep 50000; true) & (usleep 1; true) & true"]);
        assert_eq!(server.task.wait("c", &exec).expect("its exit").exit_status, 0);
    }
    until("orphans are reaped", || {
        let zombies = server.zombies();
        zombies.is_empty().then_some(()).ok_or(zombies)
    });
    server.task.kill("c", "", 9).expect("it is there");
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
}
