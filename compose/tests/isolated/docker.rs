//! `cortenctl` with a real containerd, as its users type it, with each runtime that is installed.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::engine::Containerd;
use crate::host::{isolated, program, sh, try_sh, until};

/// The parent of the containers' cgroups: what stays of it is ours to remove.
pub fn cgroup() -> String {
    format!("/corten-compose-test-{}", std::process::id())
}

/// An image of busybox: a user www, who owns /data, where a volume is.
const IMAGE: &str = r#"
set -e
rm -rf /run/image /var/lib/corten-compose /run/corten-compose
mkdir -p /run/image && cd /run/image && mkdir -p root/bin root/etc root/data root/tmp
cp "$(command -v busybox)" root/bin/busybox
for applet in $(busybox --list); do [ $applet = busybox ] || ln -s busybox root/bin/$applet; done
printf 'root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/bin/sh\n' > root/etc/passwd
printf 'root:x:0:\nwww:x:33:\nvideo:x:44:www\n' > root/etc/group
echo from the image > root/data/file && chown -R 33:33 root/data
tar --numeric-owner -C root -cf layer.tar .
layer=$(sha256sum layer.tar | cut -d ' ' -f 1)
case $(uname -m) in aarch64) arch=arm64;; *) arch=amd64;; esac
cat > config.json <<EOF
{"architecture":"$arch","os":"linux","config":{"Env":["PATH=/bin","OF_IMAGE=1"],"Cmd":["echo","the image's"],
"Volumes":{"/data":{}},"Labels":{"maintainer":"nobody","containerd.io/restart.status":"running"}},
"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
EOF
echo '[{"Config":"config.json","RepoTags":["box:latest"],"Layers":["layer.tar"]}]' > manifest.json
tar -cf image.tar manifest.json config.json layer.tar
ctr images import --snapshotter overlayfs image.tar
"#;

/// A containerd with the image, and the runtime of its containers.
pub struct Docker {
    pub runtime: &'static str,
    pub containerd: Containerd,
}

impl Docker {
    fn start(runtime: &'static str) -> Docker {
        let containerd = Containerd::start();
        sh(IMAGE);
        Docker { runtime, containerd }
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg0("cortenctl").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("DOCKER_CONFIG", "/run/docker");
        match words.split_first() {
            Some((verb @ (&"run" | &"create"), rest)) => {
                command.arg(verb).args(["--runtime", self.runtime, "--cgroup-parent", &cgroup()]).args(rest)
            }
            _ => command.args(words),
        };
        command
    }

    pub fn spawn(&self, words: &[&str]) -> Child {
        self.command(words).stdin(Stdio::piped()).spawn().unwrap()
    }

    /// What it says on standard output, what on standard error, and its exit code.
    pub fn says(&self, words: &[&str]) -> (String, String, i32) {
        said(&self.command(words).output().unwrap())
    }

    /// What it says, if it succeeds.
    pub fn ok(&self, words: &[&str]) -> String {
        let (stdout, stderr, code) = self.says(words);
        assert_eq!(code, 0, "{words:?}: {stdout}{stderr}");
        stdout
    }

    /// Kills containerd, the container and all that would take back what it has, and starts containerd without it: a
    /// crash that leaves /run.
    pub fn crash(&self, id: &str) -> Containerd {
        let init = self.ok(&["inspect", "-f", "{{.State.Pid}}", id]);
        let is_engine = |words: &[String]| {
            words[0].contains("containerd") || words.get(1).is_some_and(|word| word == "keep")
        };
        let engine = own_processes().into_iter().filter(|(_, words)| is_engine(words)).map(|(pid, _)| pid);
        for pid in engine.chain([init.trim().parse().expect("a pid")]) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
        }
        let bundle = format!("/run/containerd/io.containerd.runtime.v2.task/default/{id}");
        until("all have ended", || {
            try_sh(&format!("umount {bundle}/rootfs; rm -r {bundle}")).status.success()
        });
        try_sh(&format!("rmdir /sys/fs/cgroup{0}/{id} /sys/fs/cgroup/*{0}/{id}", cgroup()));
        let again = Containerd::start();
        sh(&format!("ctr containers rm {id}"));
        again
    }

    /// The state of a container.
    pub fn state(&self, name: &str) -> String {
        self.ok(&["inspect", "-f", "{{.State.Status}}", name]).trim().to_owned()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let containers = self.command(&["ps", "-aq"]).output().unwrap().stdout;
        for id in String::from_utf8_lossy(&containers).lines() {
            drop(self.command(&["rm", "-f", "-v", id]).output());
        }
        // A command that is killed takes its call back, and containerd may leave the shim that it has just started.
        for (pid, words) in own_processes() {
            if words[0].contains("containerd-shim-") {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        try_sh(&format!("rmdir /sys/fs/cgroup{0} /sys/fs/cgroup/*{0}", cgroup()));
    }
}

pub fn said(output: &Output) -> (String, String, i32) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
}

/// Does a test with each runtime, if root does it.
pub fn with_each_runtime(test: impl Fn(&Docker)) {
    if !isolated() {
        return;
    }
    for (shim, runtime) in [("containerd-shim-runc-v2", "runc"), ("containerd-shim-corten-v2", "corten")] {
        if try_sh(&format!("command -v {shim}")).status.success() {
            test(&Docker::start(runtime));
        } else {
            eprintln!("skipped with {runtime}: {shim} isn't on PATH");
        }
    }
}

/// The next command takes away what killed ones have left.
pub fn nothing_is_left_by_the_killed() {
    until("no keeper runs", || !keepers());
    let next =
        |words: &[&str]| Command::new(program()).arg0("cortenctl").args(words).status().expect("it runs");
    assert!(next(&["create", "--name", "next", "box"]).success() && next(&["rm", "-v", "next"]).success());
    nothing_is_left();
}

/// Nothing is left of containers but the image and the networks.
pub fn nothing_is_left() {
    until("no keeper runs", || !keepers());
    let listed = |what: &str| String::from_utf8_lossy(&try_sh(what).stdout).into_owned();
    // containerd takes a moment to undo a call whose caller was killed, and to collect what a lease has held.
    let all = "for kind in containers tasks leases; do ctr $kind ls -q | sed \"s/^/$kind /\"; done
        ctr snapshots ls | grep Active; find /run/corten-compose/default/[0-9a-f]* 2> /dev/null";
    let begun = std::time::Instant::now();
    while !listed(all).is_empty() && begun.elapsed() < std::time::Duration::from_secs(10) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(listed(all), "");
    assert_eq!(listed("ls /var/lib/corten-compose/default/containers"), "");
    assert_eq!(listed("ip link | grep -c veth"), "0\n");
}

/// Whether a keeper of this test's runs.
fn keepers() -> bool {
    own_processes().iter().any(|(_, words)| words.get(1).is_some_and(|word| word == "keep"))
}

/// The processes of this test, with their words: those of others have another mount namespace.
pub fn own_processes() -> Vec<(i32, Vec<String>)> {
    let own = fs::read_link("/proc/thread-self/ns/mnt").unwrap();
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let own_pids =
        pids.filter(|pid: &i32| fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|other| other == own));
    let with_words = own_pids.map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&line).split('\0').map(str::to_owned).collect())
    });
    with_words.collect()
}

#[test]
fn run_shows_the_output_and_ends_as_the_program_ends() {
    with_each_runtime(|docker| {
        let run = |words: &[&str]| docker.says(&[&["run", "--rm"], words].concat());
        assert_eq!(run(&["box"]), ("the image's\n".to_owned(), String::new(), 0));
        assert_eq!(
            run(&["box", "sh", "-c", "echo o; echo e >&2; exit 3"]),
            ("o\n".to_owned(), "e\n".to_owned(), 3)
        );
        assert_eq!(run(&["box", "sh", "-c", "exit 255"]).2, 255);
        assert_eq!(run(&["-t", "box", "tty"]).0, "/dev/pts/0\r\n");
        for (program, code, why) in
            [("nothing", 127, "executable file not found"), ("/etc/passwd", 126, "permission denied")]
        {
            let (_, stderr, ended) = run(&["box", program]);
            assert_eq!(ended, code, "{stderr}");
            assert!(stderr.contains(why), "{stderr}");
        }
        assert_eq!(run(&["nowhere.invalid/nothing"]).2, 125);
        let mut cat = docker.spawn(&["run", "--rm", "-i", "box", "cat"]);
        cat.stdin.take().unwrap().write_all(b"typed\n").unwrap();
        assert_eq!(said(&cat.wait_with_output().unwrap()), ("typed\n".to_owned(), String::new(), 0));
        let mut cat = docker.spawn(&["run", "--name", "cat", "-i", "box", "cat"]);
        cat.stdin.take().unwrap().write_all(b"kept\n").unwrap();
        assert!(cat.wait().unwrap().success());
        assert_eq!(docker.ok(&["logs", "cat"]), "kept\n");
        until("no shim stays", || try_sh("ctr tasks ls -q").stdout.is_empty());
        docker.ok(&["rm", "-v", "cat"]);
        docker.ok(&["run", "-d", "--rm", "box", "true"]);
        until("it is gone", || docker.ok(&["ps", "-aq"]).is_empty());
        nothing_is_left();
    });
}

#[test]
fn a_container_lives_as_its_user_says() {
    with_each_runtime(|docker| {
        let id = docker.ok(&[
            "run",
            "-d",
            "--name",
            "web",
            "-e",
            "A=b",
            "box",
            "sh",
            "-c",
            "echo up $A; exec sleep 1000",
        ]);
        let id = id.trim();
        assert_eq!(docker.ok(&["ps", "--format", "{{.Names}} {{.Image}} {{.State}}"]), "web box running\n");
        assert_eq!(docker.ok(&["ps", "-q", "--no-trunc"]).trim(), id);
        until("the log is there", || docker.ok(&["logs", "web"]) == "up b\n");
        assert_eq!(
            docker.ok(&["exec", "-u", "www", "-w", "/tmp", "web", "sh", "-c", "id -G; pwd"]),
            "33 44\n/tmp\n"
        );
        assert_eq!(docker.says(&["exec", &id[..8], "sh", "-c", "exit 7"]).2, 7);
        assert_eq!(docker.says(&["exec", "web", "nothing"]).2, 127);
        assert!(docker.ok(&["top", "web"]).contains("sleep 1000"));
        docker.ok(&["pause", "web"]);
        assert_eq!(docker.state("web"), "paused");
        docker.ok(&["unpause", "web"]);
        let (_, refused, code) = docker.says(&["rm", "web"]);
        assert!(code == 1 && refused.contains("stop the container before removing"), "{refused}");
        assert_eq!(docker.ok(&["stop", "-t", "0", "web"]), "web\n");
        assert_eq!(docker.state("web"), "exited");
        assert_eq!(docker.ok(&["wait", "web"]), "137\n");
        docker.ok(&["start", "web"]);
        docker.ok(&["restart", "-t", "0", "web"]);
        assert_eq!(docker.state("web"), "running");
        let other = docker.ok(&["run", "-d", "box", "sleep", "1000"]);
        assert_eq!(docker.says(&["stop", "-t", "0", "nobody", other.trim()]).2, 1);
        assert_eq!(docker.state(other.trim()), "exited");
        docker.ok(&["rm", "-v", other.trim()]);
        docker.ok(&["kill", "web"]);
        until("it has ended", || docker.state("web") == "exited");
        docker.ok(&["rm", "-v", "web"]);
        nothing_is_left();
    });
}

#[test]
fn what_is_not_there_or_taken_is_told_in_dockers_words() {
    with_each_runtime(|docker| {
        docker.ok(&["create", "--name", "web", "box", "true"]);
        for (words, why, code) in [
            (
                &["run", "--name", "web", "box"][..],
                "The container name \"/web\" is already in use by container",
                125,
            ),
            (&["create", "--name", "-", "box"], "Invalid container name", 125),
            (&["stop", "nobody"], "No such container: nobody", 1),
            (&["inspect", "nobody"], "No such object: nobody", 1),
            (&["exec", "web", "true"], "is not running", 1),
            (&["kill", "web"], "is not running", 1),
            (&["run", "--pull", "never", "nothing"], "No such image: nothing:latest", 125),
            (&["rmi", "box"], "conflict: unable to remove repository reference", 1),
            (&["run", "-u", "nobody", "box"], "no matching entries in passwd file", 125),
            (
                &["run", "--security-opt", "seccomp=x.json", "box"],
                "opening seccomp profile (x.json) failed",
                125,
            ),
            (&["run", "--network", "nothing", "box"], "network nothing not found", 125),
        ] {
            let (_, stderr, ended) = docker.says(words);
            assert!(stderr.contains(why), "{words:?}: {stderr}");
            assert!(ended == code || (words[0] == "create" && ended == 1), "{words:?}: {ended}");
        }
        docker.ok(&["rm", "-v", "web"]);
        nothing_is_left();
    });
}

#[test]
fn volumes_begin_with_what_the_image_has_and_stay() {
    with_each_runtime(|docker| {
        let run = |words: &[&str]| docker.ok(&[&["run", "--rm"], words].concat());
        let look = ["sh", "-c", "stat -c %u /data/file; cat /data/file; echo mine >> /data/file"];
        assert_eq!(run(&[&["-v", "db:/data", "box"], &look[..]].concat()), "33\nfrom the image\n");
        assert_eq!(run(&["-v", "db:/data:ro", "box", "cat", "/data/file"]), "from the image\nmine\n");
        assert_ne!(docker.says(&["run", "--rm", "-v", "db:/data:ro", "box", "touch", "/data/x"]).2, 0);
        // The image's own volume is the container's alone.
        assert_eq!(run(&[&["box"], &look[..]].concat()), "33\nfrom the image\n");
        assert_eq!(sh("ls /var/lib/corten-compose/default/volumes"), "db\n");
        assert_eq!(
            run(&[
                "--tmpfs",
                "/t:size=1m",
                "--read-only",
                "box",
                "sh",
                "-c",
                "touch /t/x && touch /x || echo no"
            ]),
            "no\n"
        );
        nothing_is_left();
    });
}

#[test]
fn what_was_tried_and_failed_is_told() {
    with_each_runtime(|docker| {
        docker.ok(&["run", "-d", "--name", "web", "-p", "8080:80", "box", "sleep", "100"]);
        let (_, said, code) = docker.says(&["run", "--rm", "-p", "8080:80", "box", "true"]);
        let taken = "cortenctl: Bind for 0.0.0.0:8080 failed: port is already allocated (by container web)\n";
        assert!(code == 125 && said == taken, "{code}: {said}");
        for wrong in [
            &["-m", "lots"][..],
            &["--env-file", "/nowhere"],
            &["--restart", "always", "--rm"],
            &["-v", "data:/data:rx"],
        ] {
            let (_, said, code) = docker.says(&[&["run"], wrong, &["box", "true"]].concat());
            assert!(
                code == 125 && said.starts_with("cortenctl: ") && said.lines().count() == 1,
                "{code}: {said}"
            );
        }
        // What could not be started at all has no exit, but a reason.
        let (_, said, code) = docker.says(&["run", "--name", "none", "--restart", "always", "box", "nosuch"]);
        assert!(code == 127 && said.contains("nosuch"), "{code}: {said}");
        let about = ["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}", "none"];
        let about = docker.ok(&about);
        assert!(about.starts_with("created 127 ") && about.contains("nosuch"), "{about}");
        // The runtime's words are none of the container's.
        assert_eq!(docker.says(&["logs", "none"]), (String::new(), String::new(), 0));
        docker.ok(&["rm", "none"]);
        // Of what is killed for lack of memory it is known, be it init or a child of its.
        let fills = "x=a; while :; do x=$x$x; done";
        for script in [fills.to_owned(), format!("sh -c '{fills}'; exit 3")] {
            docker.says(&[
                "run",
                "--name",
                "full",
                "-m",
                "16m",
                "--memory-swap",
                "16m",
                "box",
                "sh",
                "-c",
                &script,
            ]);
            let oom = ["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "full"];
            let code = if script == fills { "137" } else { "3" };
            until("its end is known", || docker.ok(&oom) == format!("true {code}\n"));
            docker.ok(&["rm", "full"]);
        }
        let fails = ["box", "sh", "-c", "echo run; exit 1"];
        docker.ok(&[&["run", "-d", "--name", "again", "--restart", "on-failure:2"], &fails[..]].concat());
        let count = ["inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "again"];
        until("two restarts", || docker.ok(&count) == "2 exited\n");
        // Its user may start it again, and it has its retries anew.
        docker.ok(&["start", "again"]);
        let runs = || docker.ok(&["logs", "again"]).lines().count();
        until("two restarts again", || docker.ok(&count) == "2 exited\n" && runs() == 6);
        let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let output = docker.command(&["ps", "-a"]).stdout(full).output().expect("cortenctl");
        assert_eq!(
            said_of(&output),
            (String::from("cortenctl: standard output: No space left on device (os error 28)\n"), 1)
        );
        docker.ok(&["rm", "-f", "web", "again"]);
        nothing_is_left();
    });
}

fn said_of(output: &Output) -> (String, i32) {
    let (_, stderr, code) = said(output);
    (stderr, code)
}

#[test]
fn a_container_that_comes_back_is_never_seen_as_one_that_has_ended() {
    with_each_runtime(|docker| {
        docker.ok(&["run", "-d", "--name", "loop", "--restart", "always", "box", "sh", "-c", "exit 3"]);
        let mut seen = std::collections::BTreeSet::new();
        let begun = std::time::Instant::now();
        while begun.elapsed() < std::time::Duration::from_secs(2) {
            seen.insert(docker.state("loop"));
        }
        assert!(seen.contains("restarting"), "{seen:?}");
        assert!(!seen.contains("exited") && !seen.contains("created"), "{seen:?}");
        let (_, said, code) = docker.says(&["rm", "loop"]);
        assert!(code == 1 && said.contains("force remove"), "{said}");
        // Whatever moment it is stopped at, it stays. containerd's monitor, which acts on what it has read before the
        // stop, knows nothing of this policy.
        docker.ok(&["update", "--restart", "on-failure", "loop"]);
        for _ in 0..5 {
            docker.ok(&["start", "loop"]);
            docker.ok(&["stop", "-t", "0", "loop"]);
            until("it has ended", || docker.state("loop") == "exited");
            std::thread::sleep(std::time::Duration::from_millis(300));
            assert_eq!(docker.state("loop"), "exited");
        }
        docker.ok(&["rm", "loop"]);
        nothing_is_left();
    });
}

#[test]
fn a_volume_is_filled_once_and_stays_the_one_that_containers_have() {
    with_each_runtime(|docker| {
        let of = |volume: &str| format!("{volume}:/data");
        // Both are made at once.
        let shared = of("shared");
        let wait = |child: std::process::Child| child.wait_with_output().expect("cortenctl");
        let both = [0, 1].map(|_| docker.spawn(&["run", "--rm", "-v", &shared, "box", "cat", "/data/file"]));
        for output in both.map(wait) {
            assert_eq!(said(&output), ("from the image\n".to_owned(), String::new(), 0));
        }
        // A container that runs has the volume, still empty, at a place where its image has nothing.
        docker.ok(&["run", "-d", "--name", "first", "-v", "late:/mnt", "box", "sleep", "100"]);
        docker.ok(&["run", "--rm", "-v", &of("late"), "box", "true"]);
        assert_eq!(docker.ok(&["exec", "first", "cat", "/mnt/file"]), "from the image\n");
        // What was on the way in when somebody was killed comes in.
        sh(
            "cd /var/lib/corten-compose/default/volumes/late && mkdir _data.copied && echo more > _data.copied/more",
        );
        docker.ok(&["run", "--rm", "-v", &of("late"), "box", "true"]);
        assert_eq!(docker.ok(&["exec", "first", "cat", "/mnt/more", "/mnt/file"]), "more\nfrom the image\n");
        docker.ok(&["rm", "-f", "first"]);
        nothing_is_left();
    });
}

#[test]
fn published_ports_and_names_are_reached() {
    with_each_runtime(|docker| {
        let serve = "mkdir -p /tmp/w && echo served > /tmp/w/x && exec httpd -f -p 80 -h /tmp/w";
        docker.ok(&["run", "-d", "--name", "web", "-p", "8080:80", "box", "sh", "-c", serve]);
        until("the host reaches it", || {
            try_sh("busybox wget -qO- http://127.0.0.1:8080/x").stdout == b"served\n"
        });
        let client = docker.ok(&["run", "--rm", "box", "wget", "-qO-", "http://web/x"]);
        assert_eq!(client, "served\n");
        let joined = docker.ok(&[
            "run",
            "--rm",
            "--network",
            "container:web",
            "box",
            "wget",
            "-qO-",
            "http://127.0.0.1/x",
        ]);
        assert_eq!(joined, "served\n");
        docker.ok(&["rm", "-f", "-v", "web"]);
        nothing_is_left();
    });
}

#[test]
fn a_command_that_is_killed_leaves_nothing_that_stays() {
    with_each_runtime(|docker| {
        for milliseconds in (5..200).step_by(15) {
            let mut run = docker.spawn(&["run", "-d", "box", "sleep", "1000"]);
            std::thread::sleep(Duration::from_millis(milliseconds));
            run.kill().unwrap();
            run.wait().unwrap();
        }
        // What has a record is removed by it; what has none goes with the lease of the process that is gone.
        for id in docker.ok(&["ps", "-aq"]).lines() {
            docker.ok(&["rm", "-f", "-v", id]);
        }
        docker.ok(&["run", "--rm", "box", "true"]);
        until("what nobody names is collected", || {
            sh("ctr leases ls -q; ctr snapshots ls | grep Active || true").is_empty()
        });
        assert_eq!(sh("ctr containers ls -q; ctr tasks ls -q"), "");
    });
}

#[test]
fn what_ends_comes_back_until_its_user_stops_it() {
    with_each_runtime(|docker| {
        docker.ok(&[
            "run",
            "-d",
            "--name",
            "web",
            "--restart",
            "always",
            "box",
            "sh",
            "-c",
            "echo run; exit 3",
        ]);
        until("it was started again", || docker.ok(&["logs", "web"]).lines().count() >= 3);
        until("it waits for its next start", || docker.state("web") == "restarting");
        assert_eq!(docker.ok(&["ps", "--format", "{{.Names}}"]), "web\n");
        docker.ok(&["stop", "web"]);
        assert_eq!(docker.state("web"), "exited");
        assert_eq!(docker.ok(&["inspect", "-f", "{{.State.ExitCode}}", "web"]), "3\n");
        let slow = "trap 'exit 1' TERM; while :; do sleep 0.05; done";
        docker.ok(&["run", "-d", "--name", "slow", "--restart", "on-failure", "box", "sh", "-c", slow]);
        docker.ok(&["stop", "slow"]);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(docker.state("slow"), "exited");
        docker.ok(&["start", "slow"]);
        assert_eq!(docker.state("slow"), "running");
        docker.ok(&["rm", "-f", "-v", "web", "slow"]);
        nothing_is_left();
    });
}
