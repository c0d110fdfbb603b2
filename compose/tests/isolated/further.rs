//! docker compose's smaller flags, with a real containerd and each runtime.

use std::fs;

use crate::docker::with_each_runtime;
use crate::project::Project;

const SERVICES: &str = "
services:
  web: {COMMON, command: sh -c 'echo up; exec sleep 1000', scale: 2, develop: {watch: []}}
";

#[test]
fn flags_do_what_docker_compose_does() {
    with_each_runtime(|docker| {
        let project = Project::new(docker, SERVICES);
        let up =
            project.ok(&["--ansi", "never", "--progress", "plain", "--parallel", "-1", "up", "-d", "-y"]);
        assert!(up.stderr.contains("services.web.develop"), "{}", up.stderr);
        assert_eq!(project.ok(&["ps", "-q"]).stderr, "");
        let label = "{{.Label \"com.docker.compose.service\"}}";
        assert_eq!(project.ok(&["ps", "--format", label]).stdout, "web\nweb\n");
        crate::host::until("the second one has said so", || {
            project.ok(&["logs", "--no-color", "--index", "2"]).stdout == "web-2  | up\n"
        });
        assert_eq!(project.ok(&["ls", "-q", "--filter", "name=sho"]).stdout, "shop\n");
        assert_eq!(project.ok(&["ls", "-q", "--filter", "name=other"]).stdout, "");
        fs::write("/run/shop/of-run", "A=1\nB='two words'\n").expect("a file");
        let run =
            ["run", "--rm", "-T", "--no-deps", "--env-from-file", "of-run", "-e", "A=2", "--cap-drop", "ALL"];
        let line = "echo $A $B; grep CapEff /proc/self/status";
        let said = project.ok(&[&run[..], &["--pull", "never", "web", "sh", "-c", line]].concat());
        assert_eq!(said.stdout, "2 two words\nCapEff:\t0000000000000000\n");
        project.ok(&["pull", "-q", "--policy", "missing", "--include-deps", "web"]);
        assert_eq!(project.says(&["pull", "-q", "--policy", "never"]).code, 1);

        docker.ok(&["tag", "box", "other:1"]);
        let down = project.ok(&["down", "-t", "0", "--rmi", "local"]).stderr;
        assert!(!down.contains("Image"), "{down}");
        fs::write("/run/shop/compose.yaml", "services: {web: {image: 'other:1'}, gone: {image: 'gone:1'}}")
            .expect("a file");
        let down = project.ok(&["down", "--rmi", "all"]).stderr;
        assert!(down.contains(" Image other:1  Removed"), "{down}");
        assert!(down.contains(" Image gone:1  Warning: No resource found to remove"), "{down}");
        assert_eq!(docker.says(&["image", "inspect", "other:1"]).2, 1);
        docker.ok(&["image", "inspect", "box"]);
        project.is_gone();
    });
}
