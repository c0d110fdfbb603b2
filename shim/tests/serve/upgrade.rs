//! containerd's own shim is replaced by ours, under its name, while containers of its run.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::containerd::{Containerd, SHIM_OF_CONTAINERD, is_of_containerd, shim};
use super::options::RUNC;
use super::task::{Streams, creation};

fn in_the_pod(config: &mut Value) {
    config["annotations"] = json!({"io.kubernetes.cri.sandbox-id": "pod"});
}

#[test]
fn a_pod_of_containerds_shim_goes_on_and_ends_under_ours() {
    if is_of_containerd() {
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    for needed in [SHIM_OF_CONTAINERD, RUNC] {
        if !Path::new(needed).exists() {
            eprintln!("skipped: there is no {needed}");
            return;
        }
    }
    let replaced = containerd.dir.join("containerd-shim-runc-v2");
    fs::copy(shim(), &replaced).expect("a copy");
    let create = |server: &super::containerd::Server, id: &str| {
        let bundle = containerd.bundle_with(id, &["sleep", "600"], in_the_pod);
        server.task.run(&creation(id, &bundle, Streams::default()))
    };
    containerd.bundle_with("pod", &["sleep", "600"], in_the_pod);
    let old = containerd.server_of(Path::new(SHIM_OF_CONTAINERD), "pod");
    let pid = create(&old, "pod");

    // The old server has the pod as long as it lives, and is found by the new file.
    containerd.bundle_with("c1", &["sleep", "600"], in_the_pod);
    let found = containerd.server_of(&replaced, "c1");
    assert_eq!((found.pid, &found.socket), (old.pid, &old.socket));
    create(&found, "c1");
    found.task.kill("c1", "", 9).expect("it is there");
    assert_eq!(found.task.wait("c1", "").expect("its exit").exit_status, 137);
    found.task.delete("c1", "").expect("it is deleted");

    // It dies with a container, which is runc's.
    old.kill();
    let deleted = containerd.command_of(&replaced, "pod", "delete", b"");
    assert!(deleted.status.success() && deleted.stderr.is_empty(), "{deleted:?}");
    let response: containerd_shim_protos::api::DeleteResponse =
        protobuf::Message::parse_from_bytes(&deleted.stdout).expect("a response");
    assert_eq!((response.pid, response.exit_status), (pid, 137));
    containerd.leaves_nothing();

    // A new start in the group has a server of the new file.
    containerd.bundle_with("c2", &["sleep", "600"], in_the_pod);
    let new = containerd.server_of(&replaced, "c2");
    assert_eq!(new.socket, old.socket);
    let program = fs::read_link(format!("/proc/{}/exe", new.pid)).expect("it lives");
    assert_eq!(program, replaced);
    create(&new, "c2");
    new.task.kill("c2", "", 9).expect("it is there");
    new.task.wait("c2", "").expect("its exit");
    containerd.ends(&new, "c2");
}
