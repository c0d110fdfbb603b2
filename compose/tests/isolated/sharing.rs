//! Namespaces that containers share.

use crate::docker::{nothing_is_left, with_each_runtime};

#[test]
fn containers_that_share_an_ipc_namespace_share_its_memory() {
    with_each_runtime(|docker| {
        let donor = ["run", "-d", "--name", "donor", "--ipc", "shareable", "--shm-size", "7m", "box"];
        docker.ok(&donor
            .iter()
            .chain(&["sh", "-c", "echo one > /dev/shm/x; sleep 1000"])
            .copied()
            .collect::<Vec<_>>());
        crate::host::until("it has written", || {
            docker.says(&["exec", "donor", "grep", "one", "/dev/shm/x"]).2 == 0
        });
        let said = "cat /dev/shm/x; df /dev/shm | grep -c 7168; echo two > /dev/shm/y";
        assert_eq!(
            docker.ok(&["run", "--rm", "--ipc", "container:donor", "box", "sh", "-c", said]),
            "one\n1\n"
        );
        assert_eq!(docker.ok(&["exec", "donor", "cat", "/dev/shm/y"]), "two\n");
        // One that starts again shares what is there now.
        docker.ok(&["run", "-d", "--name", "peer", "--ipc", "container:donor", "box", "sleep", "1000"]);
        docker.ok(&["restart", "-t", "0", "donor"]);
        docker.ok(&["restart", "-t", "0", "peer"]);
        docker.ok(&["exec", "peer", "cat", "/dev/shm/x"]);
        docker.ok(&["run", "-d", "--name", "alone", "box", "sleep", "1000"]);
        let (_, said, code) = docker.says(&["run", "--rm", "--ipc", "container:alone", "box", "true"]);
        assert!(code == 125 && said.contains("non-shareable IPC"), "{code}: {said}");
        docker.ok(&["rm", "-f", "donor", "peer", "alone"]);
        nothing_is_left();
    });
}
