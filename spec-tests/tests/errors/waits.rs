//! Each peer that a command waits for, stopped: the command ends by a deadline, or when it is told to.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use spec_tests::container::Container;
use spec_tests::only_corten;
use spec_tests::runtime::{Call, Running, eventually};

/// A container with a terminal.
fn with_terminal(script: &str) -> Container {
    Container::new(|bundle| {
        bundle.set("/process/terminal", true).sh(script);
    })
}

/// Has the command write to a pipe that nobody reads.
fn unread<'a>(container: &Container, call: Call<'a>) -> Call<'a> {
    let pipe = container.path("unread");
    call.prologue(&format!("mkfifo {pipe}\nexec 1<>{pipe}"))
}

fn signal(command: &Running, signal: Signal) {
    kill_process(Pid::from_raw(command.pid() as i32).expect("a pid"), signal).expect("kill");
}

/// What is in the pipe of [`unread`] by now fills it.
fn eventually_full(container: &Container) {
    use rustix::fs::{Mode, OFlags, open};
    let path = container.path("unread");
    eventually("the pipe is full", || {
        let Ok(pipe) = open(&path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()) else { return false };
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&pipe, PollFlags::OUT)], Some(&now)).is_ok_and(|ready| ready == 0)
    });
}

#[test]
fn a_run_whose_output_nobody_reads_ends_with_its_container() {
    let container = with_terminal("yes");
    let run = unread(&container, container.run()).spawn();
    eventually("running", || container.command(["state", &container.id]).output().stdout.contains("running"));
    eventually_full(&container);
    container.kill("KILL").ok();
    assert_eq!(run.wait().code, 137);
    container.assert_nothing_left();
}

#[test]
fn a_run_whose_output_nobody_reads_hands_signals_on() {
    let container = with_terminal("trap 'exit 3' TERM; yes & while :; do sleep 0.02; done");
    let run = unread(&container, container.run()).spawn();
    eventually("running", || container.command(["state", &container.id]).output().stdout.contains("running"));
    eventually_full(&container);
    signal(&run, Signal::TERM);
    assert_eq!(run.wait().code, 3);
}

#[test]
fn an_exec_whose_output_nobody_reads_ends_with_its_process() {
    let container = Container::sleeping(|_| {});
    let exec = unread(&container, container.exec_with(&["--tty"], &["sh", "-c", "echo $$ > /pid; exec yes"]));
    let exec = exec.spawn();
    eventually_full(&container);
    container.inside("kill -9 $(cat /pid)");
    assert_eq!(exec.wait().code, 137);
}

#[test]
fn what_was_shown_before_the_end_reaches_a_slow_reader() {
    let container = with_terminal("head -c 20000 /dev/zero | tr '\\0' x; echo end");
    let pipe = container.path("slow");
    let read = container.path("read");
    let call = container.run();
    // The pipe holds one page, and its reader begins late.
    let reader = format!("mkfifo {pipe}\n(sleep 1; cat) <{pipe} >{read} &\nexec 1>{pipe}");
    call.prologue(&reader).output().ok();
    eventually("all is read", || {
        std::fs::read_to_string(&read)
            .is_ok_and(|text| text.len() > 20_000 && text.trim_end().ends_with("end"))
    });
}

#[test]
fn a_container_that_has_closed_its_terminal_costs_nothing_and_may_open_it_again() {
    only_corten!("the cost");
    let container = with_terminal(
        "exec </dev/null >/dev/null 2>&1; touch /closed; sleep 2; echo again >/dev/console; sleep 0.5",
    );
    let run = container.run().spawn();
    eventually("closed", || container.bundle.rootfs().join("closed").exists());
    let switches = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).expect("status");
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).expect("switches");
        line.split_whitespace().nth(1).and_then(|count| count.parse().ok()).expect("a number")
    };
    let before = switches();
    std::thread::sleep(Duration::from_secs(1));
    assert!(switches() - before < 60, "woke {} times in a second", switches() - before);
    assert_eq!(run.wait().ok(), "again");
}

/// A listening socket that accepts nothing, and where no more connections may queue up.
struct Deaf {
    _listener: OwnedFd,
    _queued: Vec<OwnedFd>,
}

impl Deaf {
    fn at(path: &str) -> Deaf {
        let address = SocketAddrUnix::new(Path::new(path)).expect("an address");
        let stream = || socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None);
        let listener = stream().expect("a socket");
        bind(&listener, &address).expect("bind");
        listen(&listener, 0).expect("listen");
        let mut queued = Vec::new();
        loop {
            let next = stream().expect("a socket");
            match connect(&next, &address) {
                Ok(()) => queued.push(next),
                Err(errno) if errno == rustix::io::Errno::AGAIN => break,
                Err(errno) => panic!("connect: {}", io::Error::from(errno)),
            }
        }
        Deaf { _listener: listener, _queued: queued }
    }
}

#[test]
fn a_console_socket_that_accepts_nothing() {
    let container = with_terminal("true");
    let path = container.path("deaf");
    let _deaf = Deaf::at(&path);
    container.create_with(["--console-socket", &path]).output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_console_socket_of_exec_that_accepts_nothing() {
    let container = Container::sleeping(|_| {});
    let path = container.path("deaf");
    let _deaf = Deaf::at(&path);
    container.exec_with(&["--detach", "--tty", "--console-socket", &path], &["true"]).output().fails();
}

#[test]
fn an_agent_that_accepts_nothing() {
    let mut container = Container::new(|_| {});
    let path = container.path("deaf");
    let _deaf = Deaf::at(&path);
    let rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"});
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "syscalls": [rule]});
    container.bundle.set("/linux/seccomp", profile);
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_socket_for_the_pidfd_that_accepts_nothing() {
    only_corten!("--pidfd-socket");
    let container = Container::new(|_| {});
    let path = container.path("deaf");
    let _deaf = Deaf::at(&path);
    container.create_with(["--pidfd-socket", &path]).output().fails();
    container.assert_nothing_left();
}

/// A hook that begins, which its pid in the file says, and doesn't end.
fn endless(begun: &str) -> String {
    format!("echo $$ > {begun}.new; mv {begun}.new {begun}; exec sleep 20")
}

/// The hook outlives a runtime that was ended, as in runc.
fn kill_hook(begun: &str) {
    let pid: i32 = std::fs::read_to_string(begun).expect("a pid").trim().parse().expect("a number");
    let _ = kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL);
    eventually("the hook is gone", || !std::fs::exists(format!("/proc/{pid}")).unwrap());
}

#[test]
fn a_hook_without_an_end_leaves_create_to_be_ended() {
    for kind in ["createRuntime", "createContainer"] {
        let mut container = Container::new(|_| {});
        let begun = container.path("begun");
        container.bundle.hook(kind, &endless(&begun));
        let create = container.create().spawn();
        eventually("the hook runs", || std::fs::exists(&begun).unwrap());
        signal(&create, Signal::TERM);
        assert_ne!(create.wait().code, 0, "{kind}");
        // With init goes whatever is in its pid namespace.
        if kind == "createRuntime" {
            kill_hook(&begun);
        }
    }
}

#[test]
fn a_poststart_hook_without_an_end_leaves_start_to_be_ended() {
    spec_tests::not_in_runc_1_1!("runs poststart hooks at create");
    let mut container = Container::new(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    let begun = container.path("begun");
    container.bundle.hook("poststart", &endless(&begun));
    container.create().output().ok();
    let start = container.command(["start", &container.id]).spawn();
    eventually("the hook runs", || std::fs::exists(&begun).unwrap());
    signal(&start, Signal::TERM);
    assert_ne!(start.wait().code, 0);
    kill_hook(&begun);
}

#[test]
fn what_creates_a_container_can_be_ended_and_undoes_it() {
    only_corten!("heeding signals by then");
    for (command, kind) in [
        ("create", "createRuntime"),
        ("run", "createRuntime"),
        ("run", "poststart"),
        ("run --detach", "createRuntime"),
        ("run --detach", "poststart"),
    ] {
        let mut container = Container::new(|bundle| {
            bundle.args(["sleep", "1000"]);
        });
        let begun = container.path("begun");
        container.bundle.hook(kind, &endless(&begun));
        let creates = match command {
            "create" => container.create(),
            "run" => container.run(),
            _ => container.run_with(["--detach"]),
        };
        let creates = creates.spawn();
        eventually("the hook runs", || std::fs::exists(&begun).unwrap());
        signal(&creates, Signal::TERM);
        creates.wait().fails_with("ended by a signal");
        container.assert_nothing_left();
    }
}

#[test]
fn a_run_whose_poststop_hook_has_no_end_can_be_ended() {
    only_corten!("heeding signals by then");
    let mut container = Container::new(|_| {});
    let begun = container.path("begun");
    for _ in 0..2 {
        container.bundle.hook("poststop", &endless(&begun));
    }
    let run = container.run().spawn();
    eventually("the hook runs", || std::fs::exists(&begun).unwrap());
    signal(&run, Signal::TERM);
    let ended = run.wait();
    assert!(ended.stderr.contains("ended by a signal"), "{ended}");
    ended.ok();
    container.assert_nothing_left();
}

#[test]
fn an_exec_whose_agent_never_answers_can_be_ended() {
    only_corten!("heeding signals by then");
    let mut container = Container::new(|bundle| {
        let rule = json!({"names": ["capset"], "action": "SCMP_ACT_NOTIFY"});
        bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
        bundle.set("/process/noNewPrivileges", true).args(["sleep", "1000"]);
    });
    let agent = spec_tests::console::FdSocket::listen(container.dir.join("agent"));
    container.bundle.set("/linux/seccomp/listenerPath", agent.path.to_str().unwrap());
    container.bundle.save();
    std::thread::scope(|scope| {
        let created = scope.spawn(|| container.create().output());
        let _listener = agent.receive();
        created.join().unwrap().ok();
        container.start().ok();
        let process = json!({"cwd": "/", "args": ["true"], "user": {"uid": 0, "gid": 0}});
        let file = container.file("process.json", &process.to_string());
        for flags in [&["exec"][..], &["exec", "--detach"]] {
            let args = flags.iter().copied().chain(["--process", &file, &container.id]);
            let exec = container.command(args).spawn();
            let _unanswered = agent.receive();
            signal(&exec, Signal::TERM);
            exec.wait().fails_with("ended by a signal");
        }
    });
}
