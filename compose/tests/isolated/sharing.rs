//! What containers share, and what is known of them alone.

use crate::docker::{nothing_is_left, with_each_runtime};
use crate::project::Project;

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

#[test]
fn a_project_without_its_file_is_known_by_its_containers() {
    with_each_runtime(|docker| {
        let services = "
services:
  db: {COMMON, init: true, command: sleep 1000, volumes: ['data:/d']}
  web: {COMMON, init: true, command: sleep 1000, depends_on: [db]}
volumes: {data: }
";
        let project = Project::new(docker, services);
        project.ok(&["up", "-d"]);
        std::fs::remove_file("/run/shop/compose.yaml").unwrap();
        assert_eq!(project.says(&["ps"]).code, 1);
        let of = |words: &[&str]| project.ok(&[&["-p", "shop"], words].concat());
        of(&["stop", "-t", "0"]);
        of(&["start", "web"]);
        assert_eq!(of(&["ps", "--format", "{{.Service}} {{.State}}"]).stdout, "db running\nweb running\n");
        assert_eq!(of(&["exec", "-T", "web", "echo", "inside"]).stdout, "inside\n");
        of(&["restart", "-t", "0", "db"]);
        let said = project.says(&["-p", "shop", "up", "-d"]);
        assert!(said.code == 1 && said.stderr.contains("compose.yaml"), "{}", said.stderr);
        of(&["--dry-run", "down", "-v"]);
        of(&["--dry-run", "exec", "-T", "web", "kill", "1"]);
        assert_eq!(docker.ok(&["ps", "-q"]).lines().count(), 2);
        of(&["down", "-v", "-t", "0"]);
        assert_eq!(docker.ok(&["volume", "ls", "-q"]), "");
        nothing_is_left();
    });
}

#[test]
fn a_network_works_after_its_first_container_failed() {
    with_each_runtime(|docker| {
        docker.ok(&["network", "create", "--subnet", "10.61.0.0/24", "fresh"]);
        let (_, said, code) =
            docker.says(&["run", "--rm", "--network", "fresh", "--ip", "10.61.0.1", "box", "true"]);
        assert!(code != 0 && said.contains("CNI plugin") && said.contains("10.61.0.1"), "{said}");
        assert_eq!(docker.ok(&["run", "--rm", "--network", "fresh", "box", "echo", "well"]), "well\n");
        docker.ok(&["network", "rm", "fresh"]);
        nothing_is_left();
    });
}
