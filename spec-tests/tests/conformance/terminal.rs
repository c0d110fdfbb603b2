//! Terminals: over a console socket when detached, relayed when in the foreground.

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::console::{FdSocket, Terminal};
use spec_tests::container::Container;
use spec_tests::only_corten;

/// Creates and starts a container whose terminal comes over a console socket.
fn started(script: &str, configure: impl FnOnce(&mut Bundle)) -> (Container, Terminal) {
    let container = Container::new(|bundle| {
        bundle.set("/process/terminal", true).sh(script);
        configure(bundle);
    });
    let socket = FdSocket::listen(container.path("sock"));
    container.create_with(["--console-socket", socket.path.to_str().unwrap()]).output().ok();
    let (master, _) = socket.receive();
    container.start().ok();
    (container, Terminal::from_master(master))
}

#[test]
fn create_sends_the_master_over_the_console_socket() {
    let (container, mut terminal) = started("read line; echo got $line; sleep 100", |_| {});
    terminal.write("hello\n");
    terminal.read_until("got hello");
    assert_eq!(container.status(), "running");
}

#[test]
fn the_payload_has_the_terminal_as_its_own() {
    let script = "tty; ls -l /dev/console | cut -c1; stat -c %t:%T /dev/console /dev/pts/0; cut -d' ' -f7 /proc/self/stat
                  (: < /dev/tty) && echo controlling; echo end; sleep 100";
    let (_container, mut terminal) = started(script, |_| {});
    let seen = terminal.read_until("end").replace('\r', "");
    let lines: Vec<_> = seen.lines().collect();
    assert!(lines[0] == "/dev/pts/0" || lines[0] == "/dev/console", "{seen}");
    assert_eq!(lines[1..6], ["c", "88:0", "88:0", "34816", "controlling"], "{seen}");
}

#[test]
fn the_terminal_has_the_size_of_config_json() {
    let (_container, mut terminal) = started("stty size; sleep 100", |bundle| {
        bundle.set("/process/consoleSize", json!({"height": 13, "width": 57}));
    });
    terminal.read_until("13 57");
    assert_eq!(terminal.size(), (13, 57));
}

#[test]
fn the_terminal_belongs_to_the_user() {
    let (_container, mut terminal) =
        started("stat -c 'owner %u' /dev/pts/0; echo x > /dev/console; echo end; sleep 100", |bundle| {
            bundle.set("/process/user/uid", 1000);
        });
    assert!(terminal.read_until("end").contains("owner 1000"));
}

#[test]
fn run_in_the_foreground_relays_input_output_and_exit_code() {
    let container = Container::new(|bundle| {
        bundle.set("/process/terminal", true).sh("echo ready; read line; echo got $line; exit 6");
    });
    let (mut terminal, slave) = Terminal::open();
    let running = container.run().terminal(slave).spawn();
    terminal.read_until("ready");
    terminal.write("hello\n");
    terminal.read_until("got hello");
    assert_eq!(running.wait().code, 6);
}

#[test]
fn the_end_of_a_callers_input_reaches_the_terminal() {
    only_corten!("a terminal for a caller that has none");
    let container = Container::new(|bundle| {
        bundle.set("/process/terminal", true);
    });
    for (script, typed, code) in [
        ("exec sh -i", "", 0),
        ("exec sh -i", "exit 3\n", 3),
        ("cat; cat; exit 4", "line\n", 4),
        ("cat; cat; exit 5", "no line end", 5),
        ("stty -icanon min 1; test $(head -c 1 | od -An -tx1) = 04; exit 6", "", 6),
    ] {
        let mut bundle = container.bundle.clone();
        bundle.sh(script);
        bundle.save();
        let dir = bundle.dir.to_str().expect("a UTF-8 path");
        let run = container.command(["run", "--bundle", dir, &container.id]).stdin(typed).output();
        assert_eq!(run.code, code, "{script}: {run}");
    }
    let running = Container::sleeping(|_| {});
    let exec = running.exec_with(&["--tty"], &["sh", "-i"]);
    assert_eq!(exec.stdin("exit 7\n").output().code, 7);
    assert_eq!(running.exec_with(&["--tty"], &["sh", "-i"]).output().code, 0);
}

#[test]
fn run_and_exec_in_the_foreground_leave_line_ends_to_the_callers_terminal() {
    let container = Container::new(|bundle| {
        bundle.set("/process/terminal", true);
    });
    assert_eq!(container.sees("echo one; echo two"), "one\ntwo");

    let container = Container::sleeping(|_| {});
    assert_eq!(
        container.exec_with(&["--tty"], &["sh", "-c", "echo one; echo two"]).output().ok(),
        "one\ntwo"
    );
    let (mut terminal, slave) = Terminal::open();
    let running =
        container.exec_with(&["--tty"], &["sh", "-c", "echo one; echo two"]).terminal(slave).spawn();
    terminal.read_until("one\r\ntwo\r\n");
    assert_eq!(running.wait().code, 0);
}

#[test]
fn run_in_the_foreground_hands_the_size_on() {
    let container = Container::new(|bundle| {
        bundle
            .set("/process/terminal", true)
            .sh("trap 'stty size' WINCH; stty size; while :; do sleep 0.02; done");
    });
    let (mut terminal, slave) = Terminal::open();
    terminal.resize(21, 43);
    let running = container.run().terminal(slave).spawn();
    terminal.read_until("21 43");
    terminal.resize(22, 44);
    let pid = rustix::process::Pid::from_raw(running.pid() as i32).unwrap();
    // The runtime has this terminal for input, though not as its controlling one: the test tells it, as a shell would.
    rustix::process::kill_process(pid, rustix::process::Signal::WINCH).unwrap();
    terminal.read_until("22 44");
    container.kill("KILL").ok();
    assert_eq!(running.wait().code, 137);
}

#[test]
fn run_in_the_foreground_puts_the_callers_terminal_back() {
    let container = Container::new(|bundle| {
        bundle.set("/process/terminal", true).sh("true");
    });
    let (_terminal, slave) = Terminal::open();
    let before = rustix::termios::tcgetattr(&slave).unwrap();
    container.run().terminal(slave.try_clone().unwrap()).output().ok();
    let after = rustix::termios::tcgetattr(&slave).unwrap();
    assert_eq!(format!("{:?}", before.local_modes), format!("{:?}", after.local_modes));
}

#[test]
fn a_terminal_without_a_console_socket_needs_the_foreground() {
    let container = Container::new(|bundle| {
        bundle.set("/process/terminal", true);
    });
    container.create().output().fails();
    container.run_with(["--detach"]).output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_console_socket_without_a_terminal_is_refused() {
    let container = Container::new(|_| {});
    let socket = FdSocket::listen(container.path("sock"));
    container.create_with(["--console-socket", socket.path.to_str().unwrap()]).output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_console_socket_that_nobody_listens_on_is_an_error() {
    let container = Container::new(|bundle| {
        bundle.set("/process/terminal", true);
    });
    let path = container.path("nobody");
    container.create_with(["--console-socket", &path]).output().fails_with("no such file or directory");
    drop(FdSocket::listen(&path));
    container.create_with(["--console-socket", &path]).output().fails_with("connection refused");
    container.assert_nothing_left();
}

#[test]
fn a_start_that_fails_leaves_the_console_socket_alone() {
    spec_tests::only_corten!("a console socket that a failing start leaves alone");
    let late_failures: [fn(&mut Bundle) -> &mut Bundle; 4] = [
        |bundle| bundle.mount("bind", "/nonexistent", "/data", &["bind"]),
        |bundle| bundle.hook("createRuntime", "exit 1"),
        |bundle| bundle.hook("createContainer", "exit 1"),
        |bundle| bundle.args(["/nonexistent"]),
    ];
    for configure in late_failures {
        let container = Container::new(|bundle| {
            configure(bundle.set("/process/terminal", true));
        });
        let socket = FdSocket::listen(container.path("sock"));
        let path = socket.path.to_str().unwrap();
        container.create_with(["--console-socket", path]).output().fails();
        container.run_with(["--detach", "--console-socket", path]).output().fails();
        assert!(!socket.has_visitor());
        container.assert_nothing_left();
    }
}

#[test]
fn run_detached_sends_the_master() {
    let container = Container::new(|bundle| {
        bundle.set("/process/terminal", true).sh("echo hello; sleep 100");
    });
    let socket = FdSocket::listen(container.path("sock"));
    container.run_with(["--detach", "--console-socket", socket.path.to_str().unwrap()]).output().ok();
    Terminal::from_master(socket.receive().0).read_until("hello");
}

#[test]
fn the_payloads_end_hangs_the_terminal_up() {
    let (container, terminal) = started("echo bye", |_| {});
    assert!(terminal.read_to_end().contains("bye"));
    container.wait_stopped();
}

#[test]
fn a_terminal_works_on_a_readonly_root() {
    let (_container, mut terminal) = started("echo on; sleep 100", |bundle| {
        bundle.set("/root/readonly", true);
    });
    terminal.read_until("on");
}

#[test]
fn much_input_does_not_hold_up_the_output() {
    spec_tests::not_in_runc_1_1!("it wants a terminal of its own for input");
    let container = Container::new(|bundle| {
        bundle.set("/process/terminal", true).args(["cat"]);
    });
    let running = container.run().stdin(format!("{}\n", "x".repeat(40)).repeat(25_000)).spawn();
    spec_tests::runtime::eventually("the output of all input", || running.stdout().len() > 1_000_000);
    container.kill("KILL").ok();
    assert_eq!(running.wait().code, 137);
}
