//! `corten-compose` with a real containerd, its runc and Corten's own shim: projects come up, change and go. Whoever is
//! killed meanwhile leaves nothing that the next `up` or `down` doesn't mend.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::docker::{Docker, cgroup, nothing_is_left, nothing_is_left_by_the_killed, with_each_runtime};
use crate::host::program;

/// A project in a directory of its own.
pub struct Project<'a> {
    docker: &'a Docker,
}

/// What a command has come to.
pub struct Said {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl<'a> Project<'a> {
    /// Of these services, each with the runtime of the test.
    pub fn new(docker: &'a Docker, services: &str) -> Project<'a> {
        let project = Project { docker };
        project.write(services);
        project
    }

    /// Changes the file.
    pub fn write(&self, services: &str) {
        let common = format!("image: box, runtime: {}, cgroup_parent: {}", self.docker.runtime, cgroup());
        fs::create_dir_all("/run/shop").expect("a directory");
        fs::write("/run/shop/compose.yaml", services.replace("COMMON", &common)).expect("a file");
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg0("corten-compose").current_dir("/run/shop").args(words).stdin(Stdio::null());
        command
    }

    pub fn says(&self, words: &[&str]) -> Said {
        let output = self.command(words).output().expect("the program");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Said { stdout: text(&output.stdout), stderr: text(&output.stderr), code }
    }

    /// What it says on standard output, if it succeeds.
    pub fn ok(&self, words: &[&str]) -> Said {
        let said = self.says(words);
        assert_eq!(said.code, 0, "{words:?}: {}{}", said.stdout, said.stderr);
        said
    }

    /// The names of the containers that run.
    pub fn running(&self) -> Vec<String> {
        let listed = self.ok(&["ps", "--format", "{{.Name}} {{.State}}"]).stdout;
        let names = listed.lines().filter_map(|line| line.strip_suffix(" running").map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    pub fn is_gone(&self) {
        self.ok(&["down", "-v", "--remove-orphans", "-t", "1"]);
        nothing_is_left();
    }
}

/// A database with a check, a job behind it, a web server behind both.
fn shop(answer: &str) -> String {
    format!(
        "
services:
  db:
    <<: &common {{COMMON, init: true}}
    command: sh -c 'sleep 0.5; touch /data/ready; echo ready; sleep 1000'
    volumes: [data:/data]
    healthcheck: {{test: test -e /data/ready, interval: 1s, start_period: 20s, start_interval: 100ms}}
  job:
    <<: *common
    command: echo the job is done
    depends_on: {{db: {{condition: service_healthy}}}}
  web:
    <<: *common
    command: sh -c 'mkdir -p /www; echo {answer} > /www/index.html; exec httpd -f -p 80 -h /www'
    ports: ['8080:80']
    volumes: [/state]
    depends_on: {{db: {{condition: service_healthy}}, job: {{condition: service_completed_successfully}}}}
volumes: {{data: }}
"
    )
}

#[test]
fn a_project_comes_up_in_order_changes_and_goes() {
    with_each_runtime(|docker| {
        let project = Project::new(docker, &shop("one"));
        let first = project.ok(&["up", "-d"]).stderr;
        let place = |line: &str| first.find(line).unwrap_or_else(|| panic!("no {line} in {first}"));
        assert!(place("shop-db-1  Healthy") < place("shop-job-1  Starting"));
        assert!(place("shop-job-1  Exited") < place("shop-web-1  Starting"));
        assert_eq!(project.running(), ["shop-db-1", "shop-web-1"]);
        let page = || docker.ok(&["exec", "shop-db-1", "wget", "-qO-", "http://web/"]).trim().to_owned();
        crate::host::until("the server answers", || {
            docker.says(&["exec", "shop-db-1", "wget", "-qO-", "http://web/"]).2 == 0
        });
        assert_eq!(page(), "one");
        assert!(project.ok(&["logs", "job"]).stdout.contains("job-1  | the job is done"));
        let again = project.ok(&["up", "-d"]).stderr;
        for name in ["db-1", "web-1"] {
            let told: Vec<&str> = again.lines().filter(|line| line.contains(name)).collect();
            assert_eq!(told, [format!(" Container shop-{name}  Running")], "{again}");
        }

        let id = |name: &str| docker.ok(&["inspect", "-f", "{{.Id}}", name]);
        let (db, web) = (id("shop-db-1"), id("shop-web-1"));
        docker.ok(&["exec", "shop-web-1", "touch", "/state/kept"]);
        project.write(&shop("two"));
        project.ok(&["up", "-d"]);
        assert_eq!(id("shop-db-1"), db);
        assert_ne!(id("shop-web-1"), web);
        docker.ok(&["exec", "shop-web-1", "test", "-e", "/state/kept"]);
        crate::host::until("the new server answers", || page() == "two");
        project.ok(&["stop", "-t", "1"]);
        assert_eq!(project.running(), [""; 0]);
        project.ok(&["start", "web"]);
        assert_eq!(project.running(), ["shop-db-1", "shop-web-1"]);
        project.is_gone();
    });
}

#[test]
fn what_waits_for_something_that_fails_is_not_started() {
    with_each_runtime(|docker| {
        let project = Project::new(
            docker,
            "
services:
  job: {COMMON, command: sh -c 'exit 3'}
  web: {COMMON, command: sleep 1000, depends_on: {job: {condition: service_completed_successfully}}}
",
        );
        let fails = |words: &[&str], why: &str| {
            let said = project.says(words);
            assert_eq!((said.code, said.stderr.lines().last()), (1, Some(why)), "{}", said.stderr);
        };
        fails(&["up", "-d"], "service \"job\" didn't complete successfully: exit 3");
        assert_eq!(project.running(), [""; 0]);
        // Who needs no success is warned, and starts. Who waits for all needs it.
        project.write(
            "
services:
  job: {COMMON, command: sh -c 'exit 3'}
  web:
    <<: {COMMON, init: true, command: sleep 1000}
    depends_on: {job: {condition: service_completed_successfully, required: false}}
",
        );
        let told = project.ok(&["up", "-d"]).stderr;
        let warned = "optional dependency \"job\" didn't complete successfully: exit 3\n";
        assert!(told.contains(warned) && told.contains(" Container shop-job-1  Skipped\n"), "{told}");
        assert_eq!(project.running(), ["shop-web-1"]);
        fails(&["up", "--wait"], "service \"job\" didn't complete successfully: exit 3");
        project.write("services: {web: {COMMON, command: 'false'}}\n");
        fails(&["up", "--wait", "-t", "0", "--remove-orphans"], "container shop-web-1 exited (1)");
        project.is_gone();
    });
}

/// A health check that the image has and no file.
#[test]
fn who_waits_is_told_by_the_images_health_check() {
    with_each_runtime(|docker| {
        let check =
            ["--health-cmd", "test -e /data/ready", "--health-interval", "200ms", "--health-retries", "2"];
        docker.ok(&[&["create", "--name", "base"], &check[..], &["box", "true"]].concat());
        docker.ok(&["commit", "base", "checked"]);
        docker.ok(&["rm", "base"]);
        let of = |command: &str| {
            let of = "<<: {COMMON}, image: checked, pull_policy: never, init: true";
            format!(
                "services:
  a: {{{of}, command: {command}}}
  b: {{COMMON, init: true, command: sleep 1000, depends_on: {{a: {{condition: service_healthy}}}}}}\n"
            )
        };
        let project = Project::new(docker, &of("sleep 1000"));
        for (words, why) in [
            (&["up", "--wait", "a"][..], "container shop-a-1 is unhealthy"),
            (&["up", "-d"], "dependency failed to start: container shop-a-1 is unhealthy"),
        ] {
            let said = project.says(words);
            assert_eq!((said.code, said.stderr.lines().last()), (1, Some(why)), "{}", said.stderr);
        }
        project.write(&of("sh -c 'sleep 0.3; touch /data/ready; sleep 1000'"));
        let told = project.ok(&["up", "--wait", "-t", "0"]).stderr;
        let lines: Vec<&str> = told.lines().filter(|line| line.contains("Healthy")).collect();
        assert!(lines.contains(&" Container shop-b-1  Healthy"), "{told}");
        assert!(lines.contains(&" Container shop-a-1  Healthy"), "{told}");
        assert_eq!(docker.ok(&["inspect", "-f", "{{.State.Health.Status}}", "shop-a-1"]).trim(), "healthy");
        project.ok(&["down", "-t", "0"]);
        docker.ok(&["rmi", "checked"]);
        nothing_is_left();
    });
}

#[test]
fn a_service_that_is_named_is_on_whatever_its_profile() {
    with_each_runtime(|docker| {
        let of = "{COMMON, init: true, command: sleep 1000";
        let project =
            Project::new(docker, &format!("services: {{web: {of}}}, tool: {of}, profiles: [tools]}}}}\n"));
        let said = project.says(&["start"]);
        let refused = "service \"web\" has no container to start\n";
        assert_eq!((said.code, said.stderr.as_str()), (1, refused));
        project.ok(&["up", "-d", "tool"]);
        assert_eq!(project.ok(&["ps", "-q", "tool"]).stdout.lines().count(), 1);
        for words in [
            "logs tool",
            "top tool",
            "images tool",
            "exec tool true",
            "restart -t 0 tool",
            "pause tool",
            "unpause tool",
            "stop -t 0 tool",
            "start tool",
            "kill tool",
            "rm -f tool",
            "create tool",
            "run --rm tool true",
            "build tool",
            "down -t 0 tool",
        ] {
            project.ok(&words.split(' ').collect::<Vec<_>>());
        }
        assert_eq!(project.says(&["up", "-d", "nobody"]).stderr, "no such service: nobody\n");
        project.is_gone();
    });
}

#[test]
fn a_scale_grows_and_shrinks() {
    with_each_runtime(|docker| {
        let project = Project::new(docker, "services: {web: {COMMON, init: true, command: sleep 1000}}\n");
        project.ok(&["up", "-d", "--scale", "web=3"]);
        assert_eq!(project.running(), ["shop-web-1", "shop-web-2", "shop-web-3"]);
        project.ok(&["up", "-d", "-t", "1"]);
        assert_eq!(project.running(), ["shop-web-1"]);
        project.is_gone();
    });
}

#[test]
fn a_project_in_the_foreground_stops_with_its_command() {
    with_each_runtime(|docker| {
        let project = Project::new(
            docker,
            "services: {web: {COMMON, init: true, command: sleep 1000}, deaf: {COMMON, command: sleep 1000}}\n",
        );
        let up = || {
            let begun = project.command(&["up"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            crate::host::until("it runs", || project.running().len() == 2);
            begun
        };
        let tell = |up: &std::process::Child, signal| kill(Pid::from_raw(up.id() as i32), signal).unwrap();
        // `deaf` takes no signal. It is waited for, unless the user asks again.
        let begun = std::time::Instant::now();
        for first in [Signal::SIGTERM, Signal::SIGINT] {
            let mut up = up();
            tell(&up, first);
            std::thread::sleep(Duration::from_millis(500));
            tell(&up, Signal::SIGINT);
            assert_eq!(up.wait().unwrap().code(), Some(130));
            assert_eq!(project.running(), [""; 0]);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        // What is put out at the end is shown.
        project.write(
            "services: {web: {COMMON, command: [sh, -c, 'trap \"echo bye; exit 3\" TERM; while :; do sleep 0.1; done']}}\n",
        );
        let mut up = project.command(&["up", "--remove-orphans"]);
        let up = up.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it begins");
        crate::host::until("it runs", || project.running() == ["shop-web-1"]);
        std::thread::sleep(Duration::from_millis(300));
        tell(&up, Signal::SIGTERM);
        let ended = up.wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), Some(130));
        let shown = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(shown, "Attaching to web-1\nweb-1  | bye\nweb-1 exited with code 3\n");
        project.is_gone();
    });
}

#[test]
fn what_happens_is_told_in_docker_composes_words() {
    with_each_runtime(|docker| {
        let project = Project::new(
            docker,
            "
services:
  a: {COMMON, command: sh -c 'echo hello; sleep 0.3; exit 3', depends_on: [b]}
  b: {COMMON, command: sh -c 'echo there; sleep 0.6'}
",
        );
        for _ in 0..2 {
            let shown = project.ok(&["up", "--menu"]).stdout;
            let mut lines: Vec<&str> = shown.lines().collect();
            assert_eq!(lines.remove(0), "Attaching to a-1, b-1", "{shown}");
            assert_eq!(lines.pop(), Some("b-1 exited with code 0"), "{shown}");
            lines.sort_unstable();
            assert_eq!(lines, ["a-1  | hello", "a-1 exited with code 3", "b-1  | there"], "{shown}");
        }
        let told = project.ok(&["stop", "a"]).stderr;
        assert_eq!(told, " Container shop-a-1  Stopping\n Container shop-a-1  Stopped\n");
        project.write("services: {a: {COMMON, init: true, command: sleep 1000}}\n");
        project.ok(&["up", "-d", "--remove-orphans"]);
        assert_eq!(project.ok(&["up", "-d"]).stderr, " Container shop-a-1  Running\n");
        for begin in ["stop", "restart"] {
            let told = project.ok(&["restart", "-t", "1"]).stderr;
            assert_eq!(told, " Container shop-a-1  Restarting\n Container shop-a-1  Started\n");
            project.ok(&[begin, "-t", "1"]);
        }
        let check = "{test: 'false', interval: 1s, retries: 100}";
        project.write(&format!(
            "services: {{a: {{COMMON, init: true, command: sleep 1000, healthcheck: {check}}}}}\n"
        ));
        let said = project.says(&["up", "--wait", "--wait-timeout", "1", "-t", "1"]);
        let last = said.stderr.lines().last();
        assert_eq!((said.code, last), (1, Some("application not healthy after 1s")), "{}", said.stderr);
        project.ok(&["down", "-t", "1"]);
        let told = project.ok(&["down"]).stderr;
        assert_eq!(told, "Warning: No resource found to remove for project \"shop\".\n");
        project.is_gone();
    });
}

/// `kill -9` at any moment: the next `up` makes what is missing, the next `down` leaves nothing.
#[test]
fn a_killed_up_is_mended_by_the_next_one() {
    with_each_runtime(|docker| {
        let project = Project::new(docker, &shop("one"));
        for round in 0..8_u64 {
            let mut up = project.command(&["up", "-d"]).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(40 + round * 110));
            up.kill().unwrap();
            up.wait().unwrap();
            if round % 2 == 0 {
                project.ok(&["up", "-d"]);
                assert_eq!(project.running(), ["shop-db-1", "shop-web-1"], "round {round}");
            }
            project.ok(&["down", "-v", "-t", "1"]);
            nothing_is_left_by_the_killed();
        }
    });
}
