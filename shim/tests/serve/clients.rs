//! What one client or one container may not do to the others: be away, be slow, or hang in a hook.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use containerd_shim_protos::api::{StartRequest, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protobuf::Message;
use serde_json::json;
use ttrpc::Code;
use ttrpc::proto::Request;

use super::containerd::{Containerd, Server, fifo, is_gone, is_of_containerd, until};
use super::events::Event::{Create, Delete, ExecAdded, ExecStarted, Exit, Start};
use super::options::{CRUN, RUNC, below, is_missing, view_for};
use super::task::{Streams, Task, V2, creation};

#[test]
fn events_wait_for_a_containerd_that_is_away_in_their_order() {
    if is_of_containerd() {
        // It gives up after a few seconds.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("pod", &["sleep", "600"]);
    server.task.run(&request);
    containerd.events.wait_for(&Start("pod".into()));
    containerd.events.go_away();
    let mut expected = vec![Create("pod".into()), Start("pod".into())];
    for number in 0..5 {
        let (id, exec) = (format!("c{number}"), format!("e{number}"));
        let (of, ran) = (|| id.clone(), || exec.clone());
        let bundle = containerd.bundle(&id, &["true"]);
        server.task.run(&creation(&id, &bundle, Streams::default()));
        server.task.wait(&id, "").expect("its exit");
        server.task.delete(&id, "").expect("it is deleted");
        expected.extend([Create(of()), Start(of()), Exit(of(), of(), 0), Delete(of(), 0)]);
        server.task.run_exec("pod", &exec, &["sh", "-c", "exit 5"]);
        server.task.wait("pod", &exec).expect("its exit");
        let pod = || "pod".to_owned();
        expected.extend([ExecAdded(pod(), ran()), ExecStarted(pod(), ran()), Exit(pod(), ran(), 5)]);
    }
    assert_eq!(containerd.events.all().len(), 2);
    containerd.events.come_back();
    containerd.events.wait_until("events", |events| events.len() >= expected.len());
    assert_eq!(containerd.events.all(), expected);
    server.task.kill("pod", "", 9).expect("it is there");
    server.task.wait("pod", "").expect("its exit");
    containerd.ends(&server, "pod");
}

#[test]
fn an_event_that_containerd_refuses_holds_up_no_other() {
    let Some(containerd) = Containerd::new() else { return };
    containerd.events.refuse("/tasks/start");
    let (server, request) = containerd.server_for("c", &["true"]);
    server.task.run(&request);
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
    let c = || "c".to_owned();
    assert_eq!(containerd.events.of("c"), [Create(c()), Exit(c(), c(), 0), Delete(c(), 0)]);
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    let mut log = File::options()
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(containerd.dir.join("c/log"))
        .expect("a fifo");
    while log.write(&[b'x'; 4096]).is_ok() {}
    for _ in 0..20 {
        kill(Pid::from_raw(server.pid), Signal::SIGUSR1).expect("it lives");
        server.task.connect_call("c");
    }
    server.task.run(&request);
    server.task.kill("c", "", 9).expect("it is there");
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
}

/// A hook that says that it runs, and waits until it is let go.
struct Hook {
    says: PathBuf,
    waits: PathBuf,
}

impl Hook {
    fn new(containerd: &Containerd, name: &str) -> Hook {
        let of = |what: &str| fifo(&containerd.dir.join(format!("{name}-{what}")));
        Hook { says: of("says"), waits: of("waits") }
    }

    fn json(&self) -> serde_json::Value {
        let script = format!("echo x > {}; read x < {}", self.says.display(), self.waits.display());
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
    }

    fn runs(&self) {
        File::open(&self.says).and_then(|mut says| says.read_to_end(&mut Vec::new())).expect("it runs");
    }

    fn let_go(&self) {
        fs::write(&self.waits, "x\n").expect("it waits");
    }
}

/// Makes sure that every call which engines make again and again is answered while something else hangs.
fn answers(server: &Server, id: &str) {
    assert_eq!(server.task.status(id, ""), Status::RUNNING);
    assert_eq!(server.task.pids(id).expect("pids").processes.len(), 1);
    assert_ne!(server.task.connect_call(id).task_pid, 0);
    server.task.stats(id).expect("readings");
    server.task.run_exec(id, "e", &["sleep", "600"]);
    server.task.kill(id, "e", 9).expect("it is there");
    assert_eq!(server.task.wait(id, "e").expect("its exit").exit_status, 137);
    server.task.delete(id, "e").expect("it is deleted");
}

#[test]
fn a_hook_of_create_holds_up_nobody_else() {
    if is_of_containerd() {
        // Pids and Exec wait for the hook.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let hook = Hook::new(&containerd, "create");
    let (server, request) = containerd.server_for("pod", &["sleep", "600"]);
    server.task.run(&request);
    let bundle = containerd.bundle_with("c", &["sleep", "600"], |config| {
        config["hooks"] = json!({"createRuntime": hook.json()})
    });
    thread::scope(|scope| {
        let creates = scope.spawn(|| server.task.create(&creation("c", &bundle, Streams::default())));
        hook.runs();
        answers(&server, "pod");
        for refused in [server.task.state("c", "").map(drop), server.task.pids("c").map(drop)] {
            assert_eq!(refused.expect_err("it isn't there yet").code, Code::NOT_FOUND);
        }
        let again = server.task.create(&creation("c", &bundle, Streams::default()));
        assert_eq!(again.expect_err("the id is taken").code, Code::ALREADY_EXISTS);
        hook.let_go();
        creates.join().expect("no panic").expect("it is created");
    });
    for id in ["c", "pod"] {
        server.task.kill(id, "", 9).expect("it is there");
        server.task.wait(id, "").expect("its exit");
    }
    server.task.delete("c", "").expect("it is deleted");
    containerd.ends(&server, "pod");
}

#[test]
fn hooks_of_start_hold_up_nobody_else_however_many_there_are() {
    // Hooks run in half of the server's threads at most. Further starts wait for their turn.
    const AT_ONCE: usize = 32;
    const CONTAINERS: usize = AT_ONCE + 8;
    if is_of_containerd() {
        // Pids and Exec wait for the hook.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("pod", &["sleep", "600"]);
    server.task.run(&request);
    let ids: Vec<String> = (0..CONTAINERS).map(|number| format!("c{number}")).collect();
    let hooks: Vec<Hook> = ids.iter().map(|id| Hook::new(&containerd, id)).collect();
    let (at_once, later) = hooks.split_at(AT_ONCE);
    thread::scope(|scope| {
        let mut starts = Vec::new();
        for (number, (id, hook)) in ids.iter().zip(&hooks).enumerate() {
            let bundle = containerd.bundle_with(id, &["sleep", "600"], |config| {
                config["hooks"] = json!({"poststart": hook.json()});
            });
            server.task.create(&creation(id, &bundle, Streams::default())).expect("it is created");
            let task = &server.task;
            starts.push(scope.spawn(move || task.start(id, "")));
            if number < AT_ONCE {
                hook.runs();
            }
        }
        answers(&server, "pod");
        let task = &server.task;
        let end = |id: &String| {
            let pid = task.state(id, "").expect("a state").pid;
            assert_eq!(task.pids(id).expect("pids").processes.len(), 1);
            assert_eq!(task.connect_call(id).task_pid, pid);
            task.kill(id, "", 9).expect("it is there");
            until("init ends", || is_gone(pid as i32).then_some(()).ok_or(pid));
        };
        ids[..AT_ONCE].iter().for_each(end);
        at_once.iter().for_each(Hook::let_go);
        later.iter().for_each(Hook::runs);
        ids[AT_ONCE..].iter().for_each(end);
        later.iter().for_each(Hook::let_go);
        for start in starts {
            start.join().expect("no panic").expect("it starts");
        }
    });
    for id in &ids {
        assert_eq!(server.task.wait(id, "").expect("its exit").exit_status, 137);
        server.task.delete(id, "").expect("it is deleted");
        let of = || id.clone();
        let expected = [Create(of()), Start(of()), Exit(of(), of(), 137), Delete(of(), 137)];
        containerd.events.wait_for(&expected[3]);
        assert_eq!(containerd.events.of(id), expected);
    }
    server.task.kill("pod", "", 9).expect("it is there");
    server.task.wait("pod", "").expect("its exit");
    containerd.ends(&server, "pod");
}

#[test]
fn a_start_whose_connection_breaks_goes_on() {
    if is_of_containerd() {
        // Its State says created for good, and the next start hangs or fails.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let hook = Hook::new(&containerd, "start");
    let (server, request) = containerd.server_with("c", &["sleep", "600"], |config| {
        config["hooks"] = json!({"poststart": hook.json()});
    });
    let pid = server.task.create(&request).expect("it is created");
    let connection = UnixStream::connect(&server.socket).expect("it listens");
    begin(&connection, "Start", &StartRequest { id: "c".into(), ..StartRequest::default() });
    hook.runs();
    drop(connection);
    server.task.connect_call("c");
    hook.let_go();
    containerd.events.wait_for(&Start("c".into()));
    let state = server.task.state("c", "").expect("a state");
    assert_eq!((state.status.enum_value_or_default(), state.pid), (Status::RUNNING, pid));
    assert_eq!(server.task.start("c", "").expect_err("it runs").code, Code::FAILED_PRECONDITION);
    server.task.kill("c", "", 9).expect("it is there");
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
    let c = || "c".to_owned();
    assert_eq!(containerd.events.of("c"), [Create(c()), Start(c()), Exit(c(), c(), 137), Delete(c(), 137)]);
}

#[test]
fn a_creation_whose_connection_breaks_is_undone() {
    if is_of_containerd() {
        // It goes on, and waits for the hook for ever.
        return;
    }
    for binary in [None, Some(RUNC), Some(CRUN)] {
        let Some(containerd) = Containerd::with(view_for(binary)) else { continue };
        if is_missing(binary) {
            continue;
        }
        let hook = Hook::new(&containerd, "create");
        let (server, mut request) = containerd.server_with("c", &["sleep", "600"], |config| {
            config["hooks"] = json!({"createRuntime": hook.json()});
        });
        request.options = binary.map(below).into();
        let connection = UnixStream::connect(&server.socket).expect("it listens");
        begin(&connection, "Create", &request);
        hook.runs();
        server.task.shutdown("c");
        drop(connection);
        server.is_gone();
        if binary.is_some() {
            // Another runtime leaves its hook behind; and runc, whose `delete --force` finds no state, the cgroups.
            hook.let_go();
            for cgroup in containerd.cgroups() {
                fs::remove_dir(cgroup).expect("it is empty");
            }
        }
        containerd.leaves_nothing();
        assert_eq!(containerd.events.all(), []);
    }
}

/// containerd takes NotFound for the end of the shim, and the creation would break off.
#[test]
fn a_deletion_waits_for_the_end_of_a_creation() {
    let Some(containerd) = Containerd::new() else { return };
    for (id, creates) in [("well", true), ("ill", false)] {
        let hook = Hook::new(&containerd, id);
        let (server, request) = containerd.server_with(id, &["sleep", "600"], |config| {
            let last = if creates { "/bin/true" } else { "/bin/false" };
            config["hooks"] = json!({"createRuntime": [hook.json()[0], {"path": last}]});
        });
        thread::scope(|scope| {
            let creation = scope.spawn(|| server.task.create(&request));
            hook.runs();
            let deletion = scope.spawn(|| Task::connect(&server.address()).delete(id, ""));
            thread::sleep(Duration::from_millis(300));
            assert!(!deletion.is_finished(), "the container isn't created yet");
            hook.let_go();
            let created = creation.join().expect("no panic");
            let deleted = deletion.join().expect("no panic");
            assert_eq!(created.is_ok(), creates);
            match created {
                Ok(pid) => assert_eq!(deleted.expect("it was created").pid, pid),
                Err(refusal) => {
                    assert!(refusal.text.contains("/bin/false"), "{refusal:?}");
                    assert_eq!(deleted.expect_err("it isn't there").code, Code::NOT_FOUND);
                }
            }
        });
        server.task.shutdown(id);
        server.is_gone();
        containerd.deleted(id);
        containerd.leaves_nothing();
    }
}

/// A client that is killed between the start of its shim and the first call leaves a shim that nobody knows.
#[test]
fn a_server_without_a_container_ends_once_nobody_is_connected() {
    if is_of_containerd() {
        // It stays.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("pod", &["sleep", "600"]);
    server.task.run(&request);
    let (deserted, _) = containerd.server_for("c", &["sleep", "600"]);
    let Server { task, pid, socket } = deserted;
    drop(task);
    // Its container keeps it.
    let address = server.address();
    let Server { task, pid: busy, .. } = server;
    drop(task);
    until("the deserted server ends", || is_gone(pid).then_some(()).ok_or(pid));
    assert!(!socket.exists(), "the socket is left");
    thread::sleep(Duration::from_secs(1));
    let server = Server { task: Task::connect(&address), pid: busy, socket };
    assert_eq!(server.task.status("pod", ""), Status::RUNNING);
    server.task.kill("pod", "", 9).expect("it is there");
    server.task.wait("pod", "").expect("its exit");
    containerd.ends(&server, "pod");
}

/// containerd does so for a client who was killed in the middle of a creation, and comes again.
#[test]
fn a_creation_comes_after_one_that_is_undone() {
    if is_of_containerd() {
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let hook = Hook::new(&containerd, "create");
    let (server, request) = containerd.server_with("c", &["sleep", "600"], |config| {
        config["hooks"] = json!({"createRuntime": hook.json()});
    });
    let connection = UnixStream::connect(&server.socket).expect("it listens");
    begin(&connection, "Create", &request);
    hook.runs();
    drop(connection);
    thread::scope(|scope| {
        let again = scope.spawn(|| {
            // The server may not have heard yet that the first client has gone.
            until("it is created", || match server.task.create(&request) {
                Err(refused) if refused.code == Code::ALREADY_EXISTS => Err(refused),
                created => Ok(created),
            })
        });
        hook.runs();
        hook.let_go();
        again.join().expect("no panic").expect("it is created");
    });
    server.task.start("c", "").expect("it starts");
    server.task.kill("c", "", 9).expect("it is there");
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
    let of = || "c".to_owned();
    assert_eq!(
        containerd.events.all(),
        [Create(of()), Start(of()), Exit(of(), of(), 137), Delete(of(), 137)]
    );
}

/// `delete` of a container asks so whether the server of its group lives.
#[test]
fn an_empty_request_is_answered() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["true"]);
    let mut connection = UnixStream::connect(&server.socket).expect("it listens");
    connection.write_all(&[0, 0, 0, 0, 0, 0, 0, 1, 1, 0]).expect("it reads");
    connection.read_exact(&mut [0]).expect("an answer");
    server.task.run(&request);
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
}

#[test]
fn a_container_that_nests_cgroups_deep_is_listed_and_ends_like_any_other() {
    /// A path of cgroupfs holds so many.
    const LEVELS: usize = 1500;
    if is_of_containerd() {
        // It lists the processes of the first cgroup alone.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    server.task.run(&request);
    let deepest: PathBuf = std::iter::repeat_n("d", LEVELS).collect();
    for cgroup in containerd.cgroups() {
        // On a hybrid host in one hierarchy of each version.
        if ["pids", "unified"].iter().any(|name| cgroup.starts_with(format!("/sys/fs/cgroup/{name}"))) {
            fs::create_dir_all(cgroup.join(&deepest)).expect("cgroups");
        }
    }
    assert_eq!(server.task.pids("c").expect("pids").processes.len(), 1);
    server.task.kill("c", "", 9).expect("it is there");
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 137);
    containerd.ends(&server, "c");
}

/// Makes a call, and waits for no answer.
fn begin(mut connection: &UnixStream, method: &str, message: &impl Message) {
    const REQUEST: u8 = 1;
    let request = Request {
        service: V2.into(),
        method: method.into(),
        payload: message.write_to_bytes().expect("bytes"),
        ..Request::default()
    };
    let body = request.write_to_bytes().expect("bytes");
    let length = u32::try_from(body.len()).expect("a short request");
    let mut message = [&length.to_be_bytes()[..], &1_u32.to_be_bytes(), &[REQUEST, 0]].concat();
    message.extend(body);
    connection.write_all(&message).expect("it reads");
}
