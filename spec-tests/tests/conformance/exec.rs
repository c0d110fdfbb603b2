//! exec: a further process in a running container.

use std::fs;

use serde_json::json;
use spec_tests::cgroup;
use spec_tests::console::{FdSocket, Terminal};
use spec_tests::container::Container;
use spec_tests::manager::Manager;
use spec_tests::view::View;
use spec_tests::{not_in_runc_1_1, only_corten, skip_if};

#[test]
fn exec_joins_every_namespace_of_the_container() {
    let container = Container::sleeping(|_| {});
    let of_init = "for n in mnt net uts pid ipc cgroup user; do readlink /proc/1/ns/$n; done";
    let of_exec = "for n in mnt net uts pid ipc cgroup user; do readlink /proc/self/ns/$n; done";
    assert_eq!(container.inside(of_exec), container.inside(of_init));
}

#[test]
fn exec_joins_the_cgroup_of_the_container() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.inside("cat /proc/self/cgroup"), container.inside("cat /proc/1/cgroup"));
    assert!(container.inside("cat /proc/self/cgroup").contains(&container.id));
}

#[test]
fn exec_needs_no_more_than_one_process_of_the_pids_limit_on_v1() {
    skip_if!(!cgroup::has("pids") || cgroup::is_v2("pids"), "no v1 pids controller");
    not_in_runc_1_1!("its own threads are in the cgroup, and one more or less is chance");
    let container = Container::sleeping(|bundle| {
        bundle.set("/linux/resources/pids", json!({ "limit": 2 }));
    });
    container.exec(&["true"]).output().ok();
    container.exec(&["sh", "-c", "(true); true"]).output().fails_with("can't fork");
    let own = "cat /proc/self/cgroup";
    assert_eq!(container.inside(own), container.exec(&["cat", "/proc/1/cgroup"]).output().ok());
}

#[test]
fn exec_needs_two_processes_of_the_pids_limit_for_a_moment_on_v2() {
    skip_if!(!cgroup::is_v2("pids"), "no v2 pids controller");
    only_corten!("the process between the command and the payload");
    let limited = |limit: i64| {
        Container::sleeping(|bundle| {
            bundle.set("/linux/resources/pids", json!({ "limit": limit }));
        })
    };
    limited(2).exec(&["true"]).output().fails_with("pids limit");
    let container = limited(3);
    container.exec(&["true"]).output().ok();
    container.exec(&["sh", "-c", "sleep 1 & (true); true"]).output().fails_with("can't fork");
}

/// Processes that need what no child inherits prepare themselves, after they are forked.
#[test]
fn a_process_whose_policy_is_not_inherited_has_it() {
    not_in_runc_1_1!("process.scheduler");
    let container = Container::sleeping(|_| {});
    let process = json!({
        "cwd": "/", "args": ["sh", "-c", "cut -d' ' -f41 /proc/$$/stat"], "env": ["PATH=/bin"],
        "user": {"uid": 0, "gid": 0},
        "scheduler": {"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
    });
    let process = container.file("process.json", &process.to_string());
    let policy = container.command(["exec", "-p", &process, &container.id]).output().ok();
    assert_eq!(policy, "3");
}

#[test]
fn exec_passes_the_exit_code_through() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.exec(&["sh", "-c", "exit 42"]).output().code, 42);
    assert_eq!(container.exec(&["sh", "-c", "kill -9 $$"]).output().code, 128 + 9);
}

#[test]
fn exec_passes_standard_streams_through() {
    let container = Container::sleeping(|_| {});
    let outcome = container.exec(&["sh", "-c", "cat; echo problem >&2"]).stdin("hello").output();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("hello", "problem\n"));
}

#[test]
fn exec_into_an_unknown_container_exits_with_255() {
    let outcome = Container::new(|_| {}).exec(&["true"]).output();
    assert_eq!(outcome.code, 255);
    outcome.fails_with("container does not exist");
}

#[test]
fn exec_into_a_stopped_container_exits_with_255() {
    let container = Container::sleeping(|_| {});
    container.kill("KILL").ok();
    container.wait_stopped();
    assert_eq!(container.exec(&["true"]).output().code, 255);
}

#[test]
fn exec_of_a_missing_file_says_so_once() {
    let container = Container::sleeping(|_| {});
    let outcome = container.exec(&["nope"]).output();
    assert_eq!(outcome.code, 255);
    outcome.fails_with(r#"exec: "nope": executable file not found in $PATH"#);
}

#[test]
fn exec_environment_is_that_of_config_json_with_additions() {
    let container = Container::sleeping(|bundle| {
        bundle.set("/process/env", json!(["PATH=/bin", "A=1", "B=2"]));
    });
    let outcome = container.exec_with(&["-e", "B=3", "-e", "C=4"], &["sh", "-c", "echo $A $B $C"]).output();
    assert_eq!(outcome.ok(), "1 3 4");
    assert_eq!(container.exec_with(&["--env=A=5"], &["sh", "-c", "echo $A $B"]).output().ok(), "5 2");
}

#[test]
fn exec_sets_the_working_directory() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.exec_with(&["--cwd", "/tmp"], &["pwd"]).output().ok(), "/tmp");
    assert_eq!(container.exec(&["pwd"]).output().ok(), "/");
}

#[test]
fn exec_sets_user_group_and_additional_groups() {
    let container = Container::sleeping(|_| {});
    let id = "id -u; id -g; id -G";
    let outcome = container.exec_with(&["--user", "1000:1001"], &["sh", "-c", id]).output();
    assert_eq!(outcome.ok(), "1000\n1001\n1001");
    let flags = ["--user", "1000:1001", "--additional-gids", "100", "--additional-gids", "65534"];
    let outcome = container.exec_with(&flags, &["sh", "-c", id]).output();
    assert_eq!(outcome.ok(), "1000\n1001\n1001 100 65534");
}

#[test]
fn exec_with_a_user_and_no_group_uses_group_0() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.exec_with(&["-u", "1"], &["sh", "-c", "id -u; id -g"]).output().ok(), "1\n0");
}

#[test]
fn exec_adds_a_capability() {
    let container = Container::sleeping(|_| {});
    let script = "grep CapEff /proc/self/status";
    let plain = bits(&container.inside(script));
    let raised = bits(&container.exec_with(&["--cap", "CAP_SYS_ADMIN"], &["sh", "-c", script]).output().ok());
    assert_eq!(raised & !plain, 1 << 21);
}

#[test]
fn exec_sets_no_new_privileges() {
    let container = Container::sleeping(|_| {});
    let script = "grep NoNewPrivs /proc/self/status";
    assert_eq!(container.inside(script), "NoNewPrivs:\t0");
    let outcome = container.exec_with(&["--no-new-privs"], &["sh", "-c", script]).output();
    assert_eq!(outcome.ok(), "NoNewPrivs:\t1");
}

#[test]
fn exec_preserves_the_descriptors_it_is_told_to() {
    let container = Container::sleeping(|_| {});
    let file = container.file("message", "hello from 3");
    let outcome = container
        .exec_with(&["--preserve-fds", "1"], &["sh", "-c", "cat <&3; ls /proc/self/fd"])
        .prologue(&format!("exec 3<{file} 4<{file}"))
        .output();
    // The last descriptor is the directory that ls itself reads.
    assert_eq!(outcome.ok(), "hello from 30\n1\n2\n3\n4");
    let outcome = container
        .exec(&["sh", "-c", "ls -l /proc/self/fd"])
        .prologue(&format!("exec 3<{file} 4<{file}"))
        .output();
    assert!(!outcome.ok().contains("message"), "{outcome}");
}

#[test]
fn exec_works_for_a_caller_that_ignores_sigchld() {
    let container = Container::sleeping(|_| {});
    container.exec(&["true"]).prologue("trap '' CHLD").output().ok();
    container.exec_with(&["--detach"], &["true"]).prologue("trap '' CHLD").output().ok();
}

#[test]
fn exec_takes_a_process_file() {
    let container = Container::sleeping(|_| {});
    let process = json!({
        "cwd": "/tmp", "args": ["sh", "-c", "pwd; id -u; echo $X; grep CapEff /proc/self/status"],
        "env": ["PATH=/bin", "X=y"], "user": {"uid": 7, "gid": 8},
        "capabilities": {"bounding": [], "effective": [], "permitted": []},
    });
    let file = container.file("process.json", &process.to_string());
    let expected = "/tmp\n7\ny\nCapEff:\t0000000000000000";
    assert_eq!(container.command(["exec", "--process", &file, &container.id]).output().ok(), expected);
    assert_eq!(container.command(["exec", "-p", &file, &container.id]).output().ok(), expected);
}

#[test]
fn exec_takes_a_process_file_without_a_user() {
    let container = Container::sleeping(|bundle| {
        bundle.set("/process/user/uid", 7);
    });
    let process = json!({ "cwd": "/", "args": ["id", "-u"], "env": ["PATH=/bin"] });
    let file = container.file("process.json", &process.to_string());
    assert_eq!(container.command(["exec", "--process", &file, &container.id]).output().ok(), "0");
}

#[test]
fn exec_detached_writes_the_pid_and_returns() {
    let container = Container::sleeping(|_| {});
    let pid_file = container.path("exec-pid");
    container.exec_with(&["--detach", "--pid-file", &pid_file], &["sleep", "1234"]).output().ok();
    let pid = fs::read_to_string(pid_file).unwrap();
    assert_eq!(fs::read(format!("/proc/{pid}/cmdline")).unwrap(), b"sleep\x001234\0");
}

#[test]
fn exec_that_fails_writes_no_pid_file() {
    let container = Container::sleeping(|_| {});
    let pid_file = container.path("exec-pid");
    let flags = ["--detach", "--pid-file", &pid_file];
    assert_eq!(container.exec_with(&flags, &["nope"]).output().code, 255);
    assert!(!fs::exists(pid_file).unwrap());
}

#[test]
fn exec_with_a_terminal_sends_its_master_to_the_console_socket() {
    let container = Container::sleeping(|_| {});
    let socket = FdSocket::listen(container.path("sock"));
    let path = socket.path.to_str().unwrap();
    let script = "tty; stty size; read line; echo got $line";
    let flags = ["--tty", "--detach", "--console-socket", path];
    container.exec_with(&flags, &["sh", "-c", script]).output().ok();
    let mut terminal = Terminal::from_master(socket.receive().0);
    terminal.read_until("/dev/pts/");
    terminal.write("hello\n");
    terminal.read_until("got hello");
}

#[test]
fn an_exec_that_fails_leaves_the_console_socket_alone() {
    spec_tests::only_corten!("a console socket that a failing start leaves alone");
    let container = Container::sleeping(|_| {});
    let socket = FdSocket::listen(container.path("sock"));
    let path = socket.path.to_str().unwrap();
    let flags = ["--tty", "--detach", "--console-socket", path];
    container.exec_with(&flags, &["/nonexistent"]).output().fails();
    assert!(!socket.has_visitor());
}

#[test]
fn exec_with_a_terminal_in_the_foreground_relays_it() {
    let container = Container::sleeping(|_| {});
    let (mut terminal, slave) = Terminal::open();
    terminal.resize(33, 77);
    let running =
        container.exec_with(&["-t"], &["sh", "-c", "tty; stty size; read x; exit 5"]).terminal(slave).spawn();
    terminal.read_until("33 77");
    terminal.write("\n");
    assert_eq!(running.wait().code, 5);
}

#[test]
fn exec_console_size_is_applied() {
    let container = Container::sleeping(|_| {});
    let socket = FdSocket::listen(container.path("sock"));
    let process = json!({
        "cwd": "/", "args": ["sh", "-c", "stty size; sleep 100"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
        "terminal": true, "consoleSize": {"height": 12, "width": 34},
    });
    let file = container.file("process.json", &process.to_string());
    let path = socket.path.to_str().unwrap();
    container.command(["exec", "-d", "--console-socket", path, "-p", &file, &container.id]).output().ok();
    let mut terminal = Terminal::from_master(socket.receive().0);
    terminal.read_until("12 34");
}

#[test]
fn exec_into_a_paused_container_is_refused() {
    let container = Container::sleeping(|_| {});
    container.command(["pause", &container.id]).output().ok();
    container.exec(&["true"]).output().fails_with("paused");
}

#[test]
fn exec_into_a_paused_container_with_ignore_paused_waits_for_resume() {
    let container = Container::sleeping(|_| {});
    container.command(["pause", &container.id]).output().ok();
    let running = container.exec_with(&["--ignore-paused"], &["echo", "awake"]).spawn();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(running.stdout(), "");
    container.command(["resume", &container.id]).output().ok();
    assert_eq!(running.wait().ok(), "awake");
}

#[test]
fn exec_goes_into_a_sub_cgroup_on_v1() {
    spec_tests::skip_if!(!cgroup::is_v1("pids"), "no v1 pids hierarchy");
    let container = Container::sleeping(|_| {});
    for controller in ["pids", "cpu"] {
        fs::create_dir(container.cgroup().dir(controller).unwrap().join("sub")).unwrap();
    }
    let flags = ["--cgroup", "pids:sub", "--cgroup", "cpu:sub"];
    let outcome = container.exec_with(&flags, &["cat", "/proc/self/cgroup"]).output().ok();
    let path = format!("{}/sub", container.cgroup().path);
    assert_eq!(outcome.lines().filter(|line| line.ends_with(&path)).count(), 2, "{outcome}");
}

#[test]
fn exec_goes_into_a_sub_cgroup_on_v2() {
    let container = Container::in_view(View::V2, |bundle| {
        bundle.args(["sleep", "1000"]);
    });
    container.create().output().ok();
    container.start().ok();
    fs::create_dir(container.cgroup().unified().join("sub")).unwrap();
    let outcome = container.exec_with(&["--cgroup", "/sub"], &["cat", "/proc/self/cgroup"]).output().ok();
    let path = format!("0::{}/sub", container.cgroup().path);
    // Without a cgroup namespace the path is the host's.
    assert!(outcome.lines().any(|line| line == path || line == "0::/sub"), "{outcome}");
    assert_eq!(container.exec_with(&["--cgroup", "/missing"], &["true"]).output().code, 255);
}

#[test]
fn exec_follows_init_where_its_first_cgroup_is_gone_on_v2() {
    skip_if!(Manager::of_environment() == Manager::Systemd, "systemd ends a scope without processes");
    let container = Container::in_view(View::V2, |bundle| {
        bundle.args(["sleep", "1000"]);
    });
    container.create().output().ok();
    container.start().ok();
    let first = container.cgroup().unified();
    let other = first.with_file_name("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("cgroup.procs"), container.pid().to_string()).unwrap();
    fs::remove_dir(&first).unwrap();
    let seen = container.exec(&["cat", "/proc/self/cgroup"]).output().ok();
    assert!(seen.lines().any(|line| line.starts_with("0::") && line.ends_with("/other")), "{seen}");
    container.kill("KILL").ok();
}

#[test]
fn exec_into_a_cgroup_that_takes_no_processes_goes_nowhere_else_on_v2() {
    not_in_runc_1_1!("goes where init is");
    let container = Container::in_view(View::V2, |bundle| {
        bundle.args(["sleep", "1000"]);
    });
    container.create().output().ok();
    container.start().ok();
    let own = container.cgroup().unified();
    fs::create_dir(own.join("inner")).unwrap();
    fs::write(own.join("inner/cgroup.procs"), container.pid().to_string()).unwrap();
    let given_on = fs::read_to_string(own.join("cgroup.controllers")).unwrap();
    let given_on: Vec<String> = given_on.split_whitespace().map(|name| format!("+{name}")).collect();
    skip_if!(
        given_on.is_empty() || fs::write(own.join("cgroup.subtree_control"), given_on.join(" ")).is_err(),
        "no controller that a cgroup of v2 could give on"
    );
    container.exec(&["true"]).output().ok();
    container.exec_with(&["--cgroup", "/"], &["true"]).output().fails_with("EBUSY");
    container.exec_with(&["--cgroup", "/inner"], &["true"]).output().ok();
}

#[test]
fn exec_reads_what_follows_the_id_as_the_command() {
    let container = Container::sleeping(|_| {});
    assert_eq!(container.exec(&["echo", "--cwd", "-t", "-x"]).output().ok(), "--cwd -t -x");
}

#[test]
fn exec_sends_a_pidfd() {
    not_in_runc_1_1!("--pidfd-socket came later");
    let container = Container::sleeping(|_| {});
    let socket = FdSocket::listen(container.path("sock"));
    let running =
        container.exec_with(&["--pidfd-socket", socket.path.to_str().unwrap()], &["sleep", "1"]).spawn();
    let (pidfd, _) = socket.receive();
    rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).expect("a pidfd");
    assert_eq!(running.wait().code, 128 + 9);
}

#[test]
fn a_hundred_execs_leave_nothing() {
    let container = Container::sleeping(|_| {});
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| assert_eq!(container.inside("echo $((6*7))"), "42")));
        }
    });
    let pids = container.command(["ps", "--format", "json", &container.id]).output().ok();
    assert_eq!(pids, format!("[{}]", container.pid()));
}

fn bits(line: &str) -> u64 {
    u64::from_str_radix(line.split_whitespace().last().expect("a mask"), 16).expect("hexadecimal")
}

#[test]
fn exec_joins_init_below_a_cgroup_that_gives_its_controllers_on() {
    not_in_runc_1_1!("it fails");
    let container = Container::in_view(View::V2, |bundle| {
        bundle.args(["sleep", "1000"]);
        let limit = serde_json::json!([{"pageSize": "2MB", "limit": 1 << 30}]);
        bundle.set("/linux/resources/hugepageLimits", limit);
    });
    container.create().output().ok();
    container.start().ok();
    let dir = container.cgroup().unified();
    // systemd does the same in a container, and so does an engine.
    fs::create_dir(dir.join("init")).unwrap();
    fs::write(dir.join("init/cgroup.procs"), container.pid().to_string()).unwrap();
    fs::write(dir.join("cgroup.subtree_control"), "+hugetlb").unwrap();
    let outcome = container.exec(&["cat", "/proc/self/cgroup"]).output().ok();
    assert!(outcome.lines().any(|line| line.starts_with("0::") && line.ends_with("/init")), "{outcome}");
}
