//! What `ctr` does with containers and their processes.

use spec_tests::engine::containerd::{Containerd, scenario};
use spec_tests::engine::ensure;
use spec_tests::engine::process::until;
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    [runs(), streams(), execs(), states(), ends()].into_iter().flatten().collect()
}

fn runs() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("output_comes_back", |session| {
            session.run_rootfs(&[], &["echo", "hello"])?.ok()?.says("hello\n").map(drop)
        }),
        scenario("exit_code", |session| {
            session.run_rootfs(&[], &["sh", "-c", "exit 42"])?.exits(42).map(drop)
        }),
        scenario("end_by_a_signal", |session| {
            session.run_rootfs(&[], &["sh", "-c", "kill -9 $$; sleep 9"])?;
            Ok(())
        }),
        scenario("a_missing_command", |session| {
            let said = session.run_rootfs(&[], &["nosuch"])?;
            said.exits(1)?.complains("executable file not found in $PATH").map(drop)
        }),
        scenario("a_command_that_is_a_directory", |session| {
            // runc 1.1.15 and later say that it is a directory.
            session.run_rootfs(&[], &["/etc"])?.exits(1)?.complains("/etc").map(drop)
        }),
    ]
}

fn streams() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("stdout_and_stderr_stay_apart", |session| {
            let said = session.run_rootfs(&[], &["sh", "-c", "echo out; echo err >&2"])?;
            said.ok()?.says("out\n")?.complains("err").map(drop)
        }),
        scenario("stdin_reaches_the_process", |session| {
            let (rootfs, id) = (session.engine().rootfs(), session.name("c"));
            // ctr 1.6 never closes the container's input.
            let args = ["--rootfs", &rootfs, &id, "sh", "-c", "read a; read b; echo got $a $b"];
            session.run_reading(&args, "one\ntwo\n")?.ok()?.says("got one two\n").map(drop)
        }),
        scenario("much_output", |session| {
            let (rootfs, id) = (session.engine().rootfs(), session.name("c"));
            let run = session.with_runtime(&["run", "--rm"], &["--rootfs", &rootfs, &id]).join(" ");
            // containerd's own shim gives the reader two seconds after the end, which is little on a busy machine.
            let rest = if session.role() == Role::Reference { "; sleep 3" } else { "" };
            let script = format!("ctr {run} sh -c 'yes 0123456789 | head -c 30000000{rest}' | md5sum");
            session.shell(&script)?.ok().map(drop)
        }),
        scenario("a_terminal", |session| {
            let (rootfs, id) = (session.engine().rootfs(), session.name("c"));
            let args = session.with_runtime(&["run", "--rm", "-t"], &["--rootfs", &rootfs, &id, "sh"]);
            let mut terminal = session.terminal(&args)?;
            terminal.awaits("# ")?;
            terminal.types("tty; stty size; exit 4\n")?;
            terminal.ends()?.exits(4)?.shows("/dev/pts/0")?.shows("30 100").map(drop)
        }),
        scenario("a_log_file", |session| {
            let log = session.dir("log")?.join("log");
            let uri = format!("file://{}", log.display());
            // Not stderr as well: the shim of containerd 1.6 may write one over the other.
            session.start_rootfs(&["--log-uri", &uri], &["sh", "-c", "echo out; echo more"])?;
            until("the log", 20, || std::fs::read_to_string(&log).is_ok_and(|text| text == "out\nmore\n"))
        }),
        scenario("a_logger", |session| {
            let dir = session.dir("log")?;
            let logger = dir.join("logger");
            let script =
                format!("#!/bin/sh\nexec 5>&-\ncat <&3 > {}/out & cat <&4 > {0}/err; wait\n", dir.display());
            std::fs::write(&logger, script).map_err(spec_tests::engine::Stop::failed)?;
            session.host(&format!("chmod 755 {}", logger.display()))?.ok()?;
            let uri = format!("binary://{}", logger.display());
            session.start_rootfs(&["--log-uri", &uri], &["sh", "-c", "echo out; echo err >&2"])?;
            let says =
                |name: &str, text: &str| std::fs::read_to_string(dir.join(name)).is_ok_and(|it| it == text);
            until("the logger's files", 20, || says("out", "out\n") && says("err", "err\n"))
        }),
    ]
}

fn execs() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("exec", |session| {
            let id = session.start_rootfs(&[], &["sleep", "1000"])?;
            let exec = |exec: &str, command: &[&str]| {
                session.ctr(&[&["tasks", "exec", "--exec-id", exec, &id], command].concat())
            };
            exec("e1", &["echo", "hello"])?.ok()?.says("hello\n")?;
            exec("e1", &["sh", "-c", "exit 3"])?.exits(3)?;
            exec("e2", &["nosuch"])?.exits(1)?.complains("executable file not found in $PATH")?;
            exec("e3", &["sh", "-c", "cat /proc/1/comm"])?.ok()?.says("sleep\n").map(drop)
        }),
        scenario("exec_on_a_terminal", |session| {
            let id = session.start_rootfs(&[], &["sleep", "1000"])?;
            let mut terminal = session.terminal(&["tasks", "exec", "-t", "--exec-id", "e", &id, "sh"])?;
            terminal.awaits("# ")?;
            terminal.types("tty; exit 5\n")?;
            terminal.ends()?.exits(5)?.shows("/dev/pts/").map(drop)
        }),
        scenario("exec_in_a_container_that_has_ended", |session| {
            let id = session.start_rootfs(&[], &["true"])?;
            session.wait_until(&["tasks", "list"], &format!("{id}    "))?;
            until("the end", 20, || {
                session.ask(&["tasks", "list"]).is_ok_and(|said| {
                    said.stdout.lines().any(|line| line.contains(&id) && line.contains("STOPPED"))
                })
            })?;
            session.ctr(&["tasks", "exec", "--exec-id", "e", &id, "true"])?.exits(1).map(drop)
        }),
    ]
}

fn states() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("pause_and_resume", |session| {
            let id = session.start_rootfs(&[], &["sleep", "1000"])?;
            let state = |wanted: &str| {
                let said = session.ask(&["tasks", "list"])?.ok()?;
                let found = said.stdout.lines().any(|line| line.contains(&id) && line.contains(wanted));
                ensure(found, || said.report())
            };
            session.ctr(&["tasks", "pause", &id])?.ok()?;
            state("PAUSED")?;
            session.ctr(&["tasks", "exec", "--exec-id", "e", &id, "true"])?.exits(1)?;
            session.ctr(&["tasks", "resume", &id])?.ok()?;
            state("RUNNING")?;
            session.ctr(&["tasks", "exec", "--exec-id", "e", &id, "true"])?.ok().map(drop)
        }),
        scenario("a_checkpoint_that_cannot_be_had_leaves_the_container_running", |session| {
            // runc needs CRIU for it, and Corten has none yet. Each says so in its own words.
            if session.host("command -v criu")?.code == 0 {
                return Err(spec_tests::engine::Stop::Skipped(
                    "CRIU is here, and runc makes checkpoints".into(),
                ));
            }
            let id = session.start_rootfs(&[], &["sleep", "1000"])?;
            session.ask(&["tasks", "checkpoint", &id])?.exits(1)?;
            let said = session.ask(&["tasks", "list"])?.ok()?;
            let runs = said.stdout.lines().any(|line| line.contains(&id) && line.contains("RUNNING"));
            ensure(runs, || said.report())
        }),
        scenario("metrics", |session| {
            let id = session.start_rootfs(&["--memory-limit", "67108864"], &["sleep", "1000"])?;
            let said = session.ask(&["tasks", "metrics", "--format", "json", &id])?.ok()?;
            said.shows("67108864").map(drop)
        }),
        scenario("pids", |session| {
            let id = session.start_rootfs(&[], &["sh", "-c", "sleep 1000 & sleep 1001; true"])?;
            until("three processes", 20, || {
                session.ask(&["tasks", "ps", &id]).is_ok_and(|said| said.stdout.lines().count() == 4)
            })
        }),
        scenario("the_command_line_shows_its_containers", |session| {
            let id = session.start_rootfs(&[], &["sleep", "1000"])?;
            let said = session
                .machine()
                .shell(&format!("ls /run/containerd/runc/{}", session.engine().namespace()))?
                .ok()?;
            said.shows(&id).map(drop)
        }),
    ]
}

fn ends() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("kill", |session| {
            let id = session.start_rootfs(&[], &["sleep", "1000"])?;
            session.ctr(&["tasks", "kill", "--signal", "SIGKILL", &id])?.ok()?;
            until("the end", 20, || {
                session.ask(&["tasks", "list"]).is_ok_and(|said| {
                    said.stdout.lines().any(|line| line.contains(&id) && line.contains("STOPPED"))
                })
            })?;
            session.ctr(&["tasks", "delete", &id])?.ok()?.complains("137").map(drop)
        }),
        scenario("events_come_in_order", |session| {
            let (rootfs, id) = (session.engine().rootfs(), session.name("c"));
            let run =
                session.with_runtime(&["run", "--rm"], &["--rootfs", &rootfs, &id, "sh", "-c", "exit 7"]);
            let script = format!(
                "ctr events > $DIR/events & sleep 0.5; ctr {}; sleep 0.5; kill $!; grep -o '/tasks/[a-z]* .*' $DIR/events | grep {id} | cut -d ' ' -f 1",
                run.join(" ").replace("exit 7", "'exit 7'")
            );
            let dir = session.dir("events")?;
            let said = session.shell(&format!("DIR={}; {script}", dir.display()))?.ok()?;
            said.says("/tasks/create\n/tasks/start\n/tasks/exit\n/tasks/delete\n").map(drop)
        }),
        scenario("a_container_that_needs_too_much_memory_is_killed", |session| {
            let limit = ["--memory-limit", "16777216"];
            session.run_rootfs(&limit, &["tail", "-c", "100m", "/dev/zero"])?.exits(137).map(drop)
        }),
        scenario("nothing_is_left", |session| {
            session.run_rootfs(&[], &["true"])?.ok()?;
            let look = format!(
                "ls /run/containerd/io.containerd.runtime.v2.task/{0} | grep -c nothing_is_left; \
                 grep -c nothing_is_left /proc/self/mountinfo; ls /run/containerd/runc/{0} | grep -c nothing_is_left",
                session.engine().namespace()
            );
            session.host(&look)?;
            Ok(())
        }),
    ]
}
