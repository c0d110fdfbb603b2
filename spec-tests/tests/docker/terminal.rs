//! Containers and execs on a terminal, driven as a person would.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::process::Terminal;
use spec_tests::engine::scenario::{Scenario, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, ensure};

pub fn scenarios() -> Vec<Scenario> {
    [device(), typing(), with_exec()].into_iter().flatten().collect()
}

/// The terminal itself.
fn device() -> Vec<Scenario> {
    vec![
        scenario("run_has_a_terminal", |session| {
            let script = "tty; stat -c '%F %a' $(tty); test -t 0 && test -t 1 && test -t 2 && echo all three";
            let said = on_terminal(session, &["-it", BUSYBOX, "sh", "-c", script])?;
            said.ok()?.shows("/dev/pts/0\n")?.shows("all three\n").map(drop)
        }),
        scenario("console_is_the_terminal", |session| {
            let script = "stat -c '%F %a %t' /dev/console; echo hello > /dev/console; ls /dev/pts";
            on_terminal(session, &["-it", BUSYBOX, "sh", "-c", script])?.ok()?.shows("hello\n").map(drop)
        }),
        scenario("terminal_belongs_to_the_user", |session| {
            let said = on_terminal(
                session,
                &["-it", "--user", "alice", BUSYBOX, "sh", "-c", "stat -c '%u %g' $(tty); echo x > $(tty)"],
            )?;
            said.ok()?.shows("1000 ").map(drop)
        }),
        scenario("size_is_the_client_s", |session| {
            let script = "until stty size 2>/dev/null | grep -q 0; do sleep 0.02; done; stty size";
            on_terminal(session, &["-it", BUSYBOX, "sh", "-c", script])?.ok()?.says("30 100\n").map(drop)
        }),
        scenario("exit_code_comes_through", |session| {
            on_terminal(session, &["-it", BUSYBOX, "sh", "-c", "exit 9"])?.exits(9).map(drop)
        }),
        scenario("a_terminal_without_input", |session| {
            on_terminal(session, &["-t", BUSYBOX, "tty"])?.ok()?.says("/dev/pts/0\n").map(drop)
        }),
        scenario("a_missing_command_is_127", |session| {
            on_terminal(session, &["-it", BUSYBOX, "nosuch"])?
                .exits(127)?
                .shows("not found in $PATH")
                .map(drop)
        }),
        scenario("t_without_a_terminal_of_one_s_own_is_refused", |session| {
            session.run(&["-it", BUSYBOX, "true"])?.exits(1)?.complains("not a TTY").map(drop)
        }),
        scenario("output_of_both_streams_is_one", |session| {
            on_terminal(session, &["-t", BUSYBOX, "sh", "-c", "echo a; echo b >&2; echo c"])?
                .ok()?
                .says("a\nb\nc\n")
                .map(drop)
        }),
    ]
}

fn typing() -> Vec<Scenario> {
    vec![
        scenario("typing_reaches_the_process", |session| {
            let mut terminal =
                open(session, &["-it", BUSYBOX, "sh", "-c", "echo ready; read line; echo \"got <$line>\""])?;
            terminal.awaits("ready")?;
            terminal.types("some words\r")?;
            session.close(terminal)?.ok()?.shows("got <some words>\n").map(drop)
        }),
        scenario("a_shell_with_a_prompt", |session| {
            let mut terminal = open(session, &["-it", "--hostname", "box", BUSYBOX, "sh"])?;
            terminal.awaits("/ #")?;
            terminal.types("echo $((6*7))\r")?;
            terminal.awaits("42")?;
            terminal.awaits("/ #")?;
            terminal.types("exit 3\r")?;
            // The shell draws its prompt anew when the size arrives, which may be at any time.
            terminal.ends()?.exits(3).map(drop)
        }),
        scenario("control_c_interrupts", |session| {
            let script = "trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.05; done";
            let mut terminal = open(session, &["-it", BUSYBOX, "sh", "-c", script])?;
            terminal.awaits("ready")?;
            terminal.types("\x03")?;
            session.close(terminal)?.exits(5)?.shows("interrupted\n").map(drop)
        }),
        scenario("job_control_stops_and_goes_on", |session| {
            let mut terminal = open(session, &["-it", BUSYBOX, "sh"])?;
            terminal.awaits("/ #")?;
            terminal.types("sleep 50\r")?;
            terminal.awaits("sleep 50")?;
            std::thread::sleep(std::time::Duration::from_millis(300));
            terminal.types("\x1a")?;
            terminal.awaits("Stopped")?;
            terminal.types("kill -9 %1; sleep 0.1; jobs; echo $?-end\r")?;
            terminal.awaits("0-end")?;
            terminal.types("exit 0\r")?;
            drop(terminal.ends()?.exits(0)?);
            Ok(())
        }),
        scenario("detach_and_attach_again", |session| {
            let name = session.name("c");
            let args =
                session.with_runtime(&["run", "--name", &name], &["-it", BUSYBOX, "sh", "-c", ECHO_LOOP]);
            let mut first = session.terminal(&args)?;
            first.awaits("ready")?;
            first.types("\x10\x11")?;
            first.ends()?.ok()?;
            session.docker(&["inspect", "-f", "{{.State.Running}}", &name])?.says("true\n")?;
            let mut second = session.terminal(&["attach", &name])?;
            second.types("hello\r")?;
            second.awaits("got hello")?;
            second.types("end\r")?;
            second.ends()?.exits(6).map(drop)
        }),
    ]
}

fn with_exec() -> Vec<Scenario> {
    vec![
        scenario("exec_has_a_terminal_of_its_own", |session| {
            let name = session.start("c", &["-t", BUSYBOX, "sleep", "100"])?;
            let script = "tty; test -t 0 && echo a terminal; until stty size 2>/dev/null | grep -q 0; do sleep 0.02; done; stty size";
            let said = session.close(session.terminal(&["exec", "-it", &name, "sh", "-c", script])?)?;
            said.ok()?.shows("/dev/pts/1\na terminal\n30 100\n").map(drop)
        }),
        scenario("exec_shell_with_a_prompt", |session| {
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            let mut terminal = session.terminal(&["exec", "-it", "-u", "alice", &name, "sh"])?;
            terminal.awaits("$")?;
            terminal.types("id -un\r")?;
            terminal.awaits("alice")?;
            terminal.types("exit 4\r")?;
            terminal.ends()?.exits(4).map(drop)
        }),
        scenario("exec_exit_code_comes_through", |session| {
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            session
                .close(session.terminal(&["exec", "-it", &name, "sh", "-c", "exit 8"])?)?
                .exits(8)
                .map(drop)
        }),
        scenario("a_detached_terminal_logs", |session| {
            let name = session.start("c", &["-t", BUSYBOX, "sh", "-c", "tty; echo end"])?;
            session.docker(&["wait", &name])?.says("0\n")?;
            session.docker(&["logs", &name])?.ok()?.says("/dev/pts/0\r\nend\r\n").map(drop)
        }),
        scenario("much_output_arrives_whole", |session| {
            let said = on_terminal(session, &["-t", BUSYBOX, "seq", "20000"])?.ok()?;
            ensure(said.stdout.lines().count() == 20_000, || {
                format!("{} lines arrived", said.stdout.lines().count())
            })
        }),
    ]
}

const ECHO_LOOP: &str =
    "echo ready; while read line; do [ \"$line\" = end ] && exit 6; echo \"got $line\"; done";

fn open(session: &Session, args: &[&str]) -> Outcome<Terminal> {
    session.terminal(&session.with_runtime(&["run", "--rm"], args))
}

fn on_terminal(session: &Session, args: &[&str]) -> Outcome<spec_tests::engine::process::Said> {
    session.close(open(session, args)?)
}
