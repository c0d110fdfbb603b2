//! The shim is killed, and containerd runs `delete`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use super::containerd::{Containerd, fifo, is_of_containerd};
use super::options::{RUNC, below, is_missing, view_for};

/// Kills the server, and has `delete` say how the container ended.
fn status_after_the_kill(containerd: &Containerd, server: &super::containerd::Server) -> u32 {
    server.kill();
    let response = containerd.deleted("c");
    assert!(response.exited_at.seconds > 1_700_000_000);
    containerd.leaves_nothing();
    server.has_no_socket();
    response.exit_status
}

#[test]
fn delete_ends_a_container_that_runs() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sh", "-c", "sleep 600 & sleep 600"]);
    let pid = server.task.run(&request);
    server.task.run_exec("c", "e", &["sleep", "600"]);
    server.kill();
    let response = containerd.deleted("c");
    assert_eq!((response.exit_status, response.pid), (137, pid));
    containerd.leaves_nothing();
    server.has_no_socket();
}

#[test]
fn delete_ends_a_container_that_was_not_started() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    server.task.create(&request).expect("it is created");
    assert_eq!(status_after_the_kill(&containerd, &server), 137);
}

#[test]
fn delete_ends_a_container_that_is_paused() {
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    server.task.run(&request);
    server.task.pause("c").expect("it is paused");
    assert_eq!(status_after_the_kill(&containerd, &server), 137);
}

#[test]
fn delete_says_how_a_container_ended_before() {
    if is_of_containerd() {
        // It says 137, whatever it has told before.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let (server, request) = containerd.server_for("c", &["sh", "-c", "exit 3"]);
    server.task.run(&request);
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 3);
    assert_eq!(status_after_the_kill(&containerd, &server), 3);
}

#[test]
fn delete_takes_away_what_was_half_created() {
    if is_of_containerd() {
        // runc leaves the cgroups.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let said = fifo(&containerd.dir.join("said"));
    let never = fifo(&containerd.dir.join("never"));
    let script = format!("echo x > {}; read x < {}", said.display(), never.display());
    let (server, request) = containerd.server_with("c", &["sleep", "600"], |config| {
        config["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    });
    let task = server.task.clone();
    let creator = std::thread::spawn(move || task.create(&request));
    fs::File::open(&said).and_then(|mut said| said.read_to_end(&mut Vec::new())).expect("the hook runs");
    server.kill();
    let broken = creator.join().expect("no panic").expect_err("its connection breaks");
    assert_eq!(broken.code, ttrpc::Code::UNAVAILABLE);
    assert_eq!(containerd.deleted("c").exit_status, 137);
    server.has_no_socket();
    assert_eq!(containerd.cgroups(), Vec::<PathBuf>::new());
    // The hook itself is nobody's, and ends when it is let.
    drop(fs::File::options().read(true).write(true).open(&never));
    containerd.leaves_nothing();
}

#[test]
fn delete_of_one_member_of_a_group_leaves_the_others_alone() {
    let Some(containerd) = Containerd::new() else { return };
    let group = |config: &mut serde_json::Value| {
        config["annotations"] = json!({"io.kubernetes.cri.sandbox-id": "pod"});
    };
    let (server, request) = containerd.server_with("pod", &["sleep", "600"], group);
    server.task.run(&request);
    let (second, request) = containerd.server_with("c", &["sh", "-c", "exit 4"], group);
    assert_eq!(second.pid, server.pid);
    second.task.run(&request);
    second.task.wait("c", "").expect("its exit");
    second.task.delete("c", "").expect("it is deleted");
    containerd.deleted("c");
    assert!(server.socket.exists());
    assert_eq!(server.task.status("pod", ""), containerd_shim_protos::api::Status::RUNNING);
    second.task.shutdown("c");
    server.task.kill("pod", "", 9).expect("it is there");
    server.task.wait("pod", "").expect("its exit");
    containerd.ends(&server, "pod");
}

/// As containerd's tests have one, and its own shim works with.
#[test]
fn delete_ends_a_container_of_a_runtime_that_demands_a_log() {
    let Some(containerd) = Containerd::with(view_for(Some(RUNC))) else { return };
    if is_missing(Some(RUNC)) {
        return;
    }
    let demands = containerd.dir.join("demands-a-log");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' --log '*) exec {RUNC} \"$@\" ;; esac\necho where? >&2; exit 2\n"
    );
    fs::write(&demands, script).expect("it is written");
    fs::set_permissions(&demands, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let (server, mut request) = containerd.server_for("c", &["sleep", "600"]);
    request.options = Some(below(demands.to_str().expect("a plain path"))).into();
    server.task.run(&request);
    assert_eq!(status_after_the_kill(&containerd, &server), 137);
}
