//! What begins a process in a container, or joins one: `exec` and `run` of a project, hooks, `attach`, `cp`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::docker::{Docker, nothing_is_left, said, with_each_runtime};
use crate::host::{sh, until};
use crate::project::Project;

/// A server behind a database with a check.
const SHOP: &str = "
x-often: &often {test: 'true', interval: 1s, start_period: 20s, start_interval: 100ms}
services:
  db: {COMMON, init: true, command: sleep 1000, healthcheck: *often}
  web:
    <<: {COMMON}
    init: true
    command: sleep 1000
    environment: {A: file}
    depends_on: {db: {condition: service_healthy}}
";

#[test]
fn run_makes_a_container_beside_the_services_own() {
    with_each_runtime(|docker| {
        let project = Project::new(docker, SHOP);
        let line = ["run", "--rm", "-e", "A=x", "-u", "www", "-w", "/tmp", "web", "sh", "-c"];
        let ran = project.says(&[&line[..], &["id -u; pwd; echo $A; exit 3"]].concat());
        assert_eq!((ran.stdout.as_str(), ran.code), ("33\n/tmp\nx\n", 3), "{}", ran.stderr);
        assert!(ran.stderr.contains("shop-db-1  Healthy"), "{}", ran.stderr);
        assert_eq!(project.running(), ["shop-db-1"]);
        let entered = project.ok(&["run", "--rm", "--no-deps", "--entrypoint", "echo a", "web", "b"]);
        assert_eq!(entered.stdout, "a b\n");
        let mut cat = project.command(&["run", "--rm", "-T", "web", "cat"]);
        let cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut cat = cat.expect("the program");
        cat.stdin.take().expect("a pipe").write_all(b"typed\n").expect("it reads");
        let (stdout, stderr, code) = said(&cat.wait_with_output().expect("it ends"));
        assert_eq!((stdout.as_str(), code), ("typed\n", 0), "{stderr}");

        assert_eq!(project.ok(&["run", "-d", "--name", "job", "web", "sleep", "1000"]).stdout, "job\n");
        let label = "{{index .Config.Labels \"com.docker.compose.oneoff\"}}";
        assert_eq!(docker.ok(&["inspect", "-f", label, "job"]), "True\n");
        assert_eq!(project.running(), ["shop-db-1"]);
        project.ok(&["up", "-d"]);
        assert_eq!(project.running(), ["shop-db-1", "shop-web-1"]);
        assert!(project.ok(&["ps", "-a", "--format", "{{.Name}}"]).stdout.contains("job\n"));
        for (words, code, why) in [
            (&["run", "--rm", "nobody"][..], 1, "no such service: nobody"),
            (&["run", "--rm", "--no-deps", "web", "nothing"], 127, "nothing"),
            (&["run", "--name", "job", "web"], 1, "is already in use by container"),
            (&["exec", "nobody", "true"], 1, "no such service: nobody"),
            (&["exec", "web", "nothing"], 127, "executable file not found"),
            (&["exec", "--index", "2", "web", "true"], 1, "service \"web\" is not running container #2"),
            (&["exec", "-e", "A=y", "web", "sh", "-c", "test $A = y && exit 5"], 5, ""),
        ] {
            let said = project.says(words);
            assert_eq!(said.code, code, "{words:?}: {}", said.stderr);
            assert!(said.stderr.contains(why), "{words:?}: {}", said.stderr);
        }
        assert_eq!(project.ok(&["exec", "-u", "www", "-w", "/tmp", "web", "pwd"]).stdout, "/tmp\n");
        let killed = project.command(&["run", "--rm", "web", "sleep", "1000"]).spawn();
        end_after_start(docker, killed.expect("the program"));
        project.ok(&["stop", "-t", "1", "web"]);
        docker.ok(&["rm", "-f", "job"]);
        let orphan = docker.ok(&["ps", "-q", "--filter", "name=shop-web-run"]);
        docker.ok(&["rm", "-f", "-v", orphan.trim()]);
        let said = project.says(&["exec", "web", "true"]);
        assert_eq!((said.stderr.as_str(), said.code), ("service \"web\" is not running\n", 1));
        project.ok(&["run", "-d", "web", "sleep", "1000"]);
        project.is_gone();
    });
}

/// Kills a command once its container runs. The container stays until somebody removes it.
fn end_after_start(docker: &Docker, mut command: Child) {
    until("its container runs", || !docker.ok(&["ps", "-q", "--filter", "name=shop-web-run"]).is_empty());
    command.kill().expect("it runs");
    command.wait().expect("it has ended");
}

#[test]
fn hooks_have_their_turns_and_fail_what_they_belong_to() {
    let service = |hooks: &str| {
        format!(
            "
services:
  web:
    <<: {{COMMON}}
    init: true
    command: sleep 1000
    volumes: [data:/data]
{hooks}
volumes: {{data: }}
"
        )
    };
    let all = "
    pre_start: [{command: [sh, -c, 'umask 0; echo pre >> /data/log']}]
    post_start: [{command: [sh, -c, 'echo post $$(id -u) $$W $$(pwd) >> /data/log; echo said'], user: www,
      environment: {W: x}, working_dir: /tmp}]
    pre_stop: [{command: [sh, -c, 'echo stop >> /data/log']}]";
    with_each_runtime(|docker| {
        let project = Project::new(docker, &service(all));
        let log = || docker.ok(&["run", "--rm", "-v", "shop_data:/data", "box", "cat", "/data/log"]);
        project.ok(&["up", "-d"]);
        assert_eq!(log(), "pre\npost 33 x /tmp\n");
        project.ok(&["restart", "-t", "1"]);
        assert_eq!(log(), "pre\npost 33 x /tmp\nstop\npost 33 x /tmp\n");
        project.ok(&["stop", "-t", "1"]);
        project.ok(&["start"]);
        assert_eq!(log().matches("pre\n").count(), 2);
        assert_eq!(docker.ok(&["ps", "-aq"]).lines().count(), 1);
        project.is_gone();

        project.write(&service("    post_start: [{command: [sh, -c, 'echo why; exit 9']}]"));
        let said = project.says(&["up", "-d"]);
        assert_eq!(said.code, 1);
        assert!(said.stderr.contains("web hook exited with status 9: why"), "{}", said.stderr);
        project.is_gone();
        project.write(&service("    pre_stop: [{command: [nothing]}]"));
        project.ok(&["up", "-d"]);
        let said = project.says(&["down", "-t", "1"]);
        assert!(said.code == 1 && said.stderr.contains("web hook exited with status 127"), "{}", said.stderr);
        assert_eq!(project.running(), ["shop-web-1"]);
        project.write(&service("    pre_start: [{command: [sh, -c, 'echo why; exit 17']}]"));
        project.ok(&["down", "-t", "1"]);
        for _ in 0..2 {
            let said = project.says(&["up", "-d", "-t", "1"]);
            assert_eq!(said.code, 1);
            let why = "service \"web\" pre_start[0] exited with code 17: why (hook container";
            assert!(said.stderr.contains(why), "{}", said.stderr);
            assert_eq!(docker.state("shop-web-1"), "created");
        }
        project.is_gone();
    });
}

#[test]
fn files_are_copied_into_containers_and_out_of_them() {
    with_each_runtime(|docker| {
        sh(
            "rm -rf /run/files; mkdir -p /run/files/dir/sub; cd /run/files; echo out > dir/sub/f; chown 33:33 dir/sub/f; \
            chmod 640 dir/sub/f; ln -s sub dir/link; head -c 3000000 /dev/urandom > big",
        );
        docker.ok(&["run", "-d", "--name", "web", "box", "sleep", "1000"]);
        docker.ok(&["create", "--name", "old", "-v", "vol:/vol", "box"]);
        for name in ["web", "old"] {
            let inside = |path: &str| format!("{name}:{path}");
            docker.ok(&["cp", "/run/files/dir", &inside("/new")]);
            docker.ok(&["cp", "/run/files/dir/.", &inside("new")]);
            docker.ok(&["cp", "/run/files/big", &inside("/new/")]);
            docker.ok(&["cp", &inside("/new"), "/run/files/back"]);
            sh(
                "cd /run/files; test \"$(stat -c '%a %u' back/sub/f)\" = '640 0'; cmp big back/big; rm back/big",
            );
            sh("cd /run/files; diff -r dir back; test \"$(readlink back/link)\" = sub; rm -r back");
            docker.ok(&["cp", "-a", &inside("/new/sub/f"), "/run/files/kept"]);
            sh("cd /run/files; test $(stat -c %u kept) = 33; rm kept");
            let (read, _, _) = docker.says(&["cp", &inside("/data/file"), "-"]);
            assert!(read.starts_with("file\0") && read.contains("from the image"));
            let mut tar = docker.spawn(&["cp", "-", &inside("/tmp")]);
            let written = sh("cd /run/files; tar -cf - dir/sub");
            tar.stdin.take().expect("a pipe").write_all(written.as_bytes()).expect("it reads");
            assert_eq!(said(&tar.wait_with_output().expect("it ends")).2, 0);
            docker.ok(&["cp", &inside("/tmp/dir/sub/f"), "/run/files/f"]);
            sh("cd /run/files; grep -q out f; rm f");
            // Links of the container lead nowhere else.
            sh(
                "cd /run/files; mkdir -p evil; ln -sfn /run/files evil/files; ln -sfn /run/files/host evil/to",
            );
            docker.ok(&["cp", "/run/files/evil/.", &inside("/tmp")]);
            let (_, stderr, code) = docker.says(&["cp", "/run/files/big", &inside("/tmp/files/caught")]);
            assert!(code == 1 && stderr.contains("Could not find the file"), "{stderr}");
            assert_eq!(docker.says(&["cp", "/run/files/big", &inside("/tmp/to")]).2, 1);
            assert_eq!(docker.says(&["cp", "-L", &inside("/tmp/files/big"), "/run/files/x"]).2, 1);
            assert!(!["caught", "host", "x"].iter().any(|name| Path::new("/run/files").join(name).exists()));
            for (from, to, why) in [
                (inside("/nope"), "/run/files/x".to_owned(), "Could not find the file /nope in container"),
                (
                    "/run/files/nope".to_owned(),
                    inside("/x"),
                    "lstat /run/files/nope: no such file or directory",
                ),
                ("/run/files/dir".to_owned(), inside("/new/big"), "cannot copy directory"),
                (inside("/x"), inside("/y"), "copying between containers is not supported"),
                ("/a".to_owned(), "/b".to_owned(), "must specify at least one container source"),
                ("-".to_owned(), inside("/new/big"), "must be a directory"),
            ] {
                let (_, stderr, code) = docker.says(&["cp", &from, &to]);
                assert!(code == 1 && stderr.contains(why), "{from} {to}: {stderr}");
            }
        }
        docker.ok(&["cp", "/run/files/dir/sub/f", "old:/vol/f"]);
        assert_eq!(docker.ok(&["run", "--rm", "-v", "vol:/vol", "box", "cat", "/vol/f"]), "out\n");
        docker.ok(&["rm", "-f", "-v", "web", "old"]);
        fs::remove_dir_all("/run/files").expect("a directory");
        nothing_is_left();
    });
}

#[test]
fn a_whole_tree_is_copied_without_what_the_kernel_makes_up() {
    with_each_runtime(|docker| {
        let line = "echo v > /vol/f; sleep 1000";
        docker.ok(&["run", "-d", "--name", "web", "-v", "vol:/vol", "box", "sh", "-c", line]);
        until("it has written", || docker.says(&["exec", "web", "test", "-s", "/vol/f"]).2 == 0);
        fs::create_dir_all("/run/files").expect("a directory");
        for from in ["web:/", "web:"] {
            docker.ok(&["cp", from, "/run/files/root"]);
            sh(
                "cd /run/files/root; test -x bin/busybox -a -s vol/f -a -s etc/hosts -a -d proc -a -d sys -a -d dev",
            );
            assert_eq!(sh("cd /run/files/root; ls -A proc sys dev | grep -v :$ | grep . || true"), "");
            fs::remove_dir_all("/run/files/root").expect("a directory");
        }
        let tar = docker.command(&["cp", "web:/", "-"]).output().expect("cortenctl");
        fs::write("/run/files/all.tar", tar.stdout).expect("room");
        let names = sh("tar tf /run/files/all.tar");
        let below = |dir: &str| names.lines().filter(|name| name.starts_with(dir)).count();
        assert_eq!((tar.status.code(), ["vol/", "proc/", "dev/"].map(below)), (Some(0), [2, 1, 1]));
        docker.ok(&["cp", "web:/proc/1/environ", "/run/files/environ"]);
        sh("grep -q OF_IMAGE=1 /run/files/environ");
        let (_, told, code) = docker.says(&["cp", "web:/proc/1", "/run/files/one"]);
        assert_eq!(told, "cortenctl: what the kernel shows in that directory can't be copied\n");
        assert_eq!(code, 1);
        docker.ok(&["rm", "-f", "-v", "web"]);
        docker.ok(&["volume", "rm", "vol"]);
        fs::remove_dir_all("/run/files").expect("a directory");
        nothing_is_left();
    });
}

#[test]
fn attach_types_shows_and_gives_signals() {
    with_each_runtime(|docker| {
        docker.ok(&["run", "-d", "-i", "--name", "cat", "box", "cat"]);
        for text in ["one\n", "two\n"] {
            let mut attached = docker.spawn(&["attach", "cat"]);
            attached.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
            until("it was read", || docker.ok(&["logs", "cat"]).ends_with(text));
            attached.kill().expect("it runs");
            let (stdout, _, _) = said(&attached.wait_with_output().expect("it ends"));
            assert_eq!(stdout, text);
        }
        // Who is no longer read ends, and so does what it has added; a container goes on.
        for words in [&["exec", "cat", "yes"][..], &["run", "--rm", "--name", "yes", "box", "yes"]] {
            let mut yes = docker.spawn(words);
            drop(yes.stdout.take());
            assert_eq!(yes.wait().expect("it ends").code(), Some(141), "{words:?}");
        }
        assert_eq!(docker.says(&["exec", "cat", "pidof", "yes"]).2, 1);
        assert_eq!(docker.state("yes"), "running");
        docker.ok(&["stop", "-t", "0", "yes"]);
        until("it is removed", || docker.ok(&["ps", "-aq", "--filter", "name=yes"]).is_empty());
        let trap = "trap 'echo got; exit 7' TERM; echo begun; while :; do sleep 0.05; done";
        docker.ok(&["run", "-d", "--name", "trap", "box", "sh", "-c", trap]);
        until("it traps", || docker.ok(&["logs", "trap"]) == "begun\n");
        let attached = docker.spawn(&["attach", "--no-stdin", "trap"]);
        std::thread::sleep(std::time::Duration::from_millis(300));
        kill(Pid::from_raw(attached.id().try_into().expect("a pid")), Signal::SIGTERM).expect("it runs");
        assert_eq!(
            said(&attached.wait_with_output().expect("it ends")),
            ("got\n".to_owned(), String::new(), 7)
        );
        let (_, stderr, code) = docker.says(&["attach", "trap"]);
        assert!(code == 1 && stderr.contains("cannot attach to a stopped container"), "{stderr}");
        docker.ok(&["rm", "-f", "-v", "cat", "trap"]);
        nothing_is_left();
    });
}
