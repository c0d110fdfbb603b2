//! From create to removal: start, stop, signals, pause, restart, policies, health, rename, commit.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::process::until;
use spec_tests::engine::scenario::{Scenario, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop, ensure};

pub fn scenarios() -> Vec<Scenario> {
    [starts(), ends(), pauses(), policies(), health(), others()].into_iter().flatten().collect()
}

fn starts() -> Vec<Scenario> {
    vec![
        scenario("create_then_start_and_attach", |session| {
            let name = session.create("c", &[BUSYBOX, "sh", "-c", "echo ran; exit 3"])?;
            session.docker(&["inspect", "-f", STATE, &name])?.says("created 0 false\n")?;
            session.docker(&["start", "-a", &name])?.exits(3)?.says("ran\n")?;
            session.docker(&["inspect", "-f", STATE, &name])?.says("exited 3 false\n").map(drop)
        }),
        scenario("start_with_stdin", |session| {
            let name = session.create("c", &["-i", BUSYBOX, "cat"])?;
            session.docker_reading(&["start", "-a", "-i", &name], "typed\n")?.ok()?.says("typed\n").map(drop)
        }),
        scenario("starting_a_running_container_does_nothing", |session| {
            let name = sleeper(session)?;
            let pid = session.pid(&name)?;
            session.docker(&["start", &name])?.ok()?;
            let same = session.pid(&name)? == pid;
            ensure(same, || "the process was replaced".into())
        }),
        scenario("a_container_starts_again_with_its_files", |session| {
            let name = session.create("c", &[BUSYBOX, "sh", "-c", "echo x >> /log; wc -l < /log"])?;
            session.docker(&["start", "-a", &name])?.ok()?.says("1\n")?;
            session.docker(&["start", "-a", &name])?.ok()?.says("2\n").map(drop)
        }),
        scenario("a_name_in_use_is_refused", |session| {
            let name = sleeper(session)?;
            session
                .run(&["--name", &name, BUSYBOX, "true"])?
                .exits(125)?
                .complains("is already in use")
                .map(drop)
        }),
        scenario("ten_at_once", ten_at_once),
    ]
}

fn ends() -> Vec<Scenario> {
    vec![
        scenario("stop_sends_sigterm", |session| {
            let name = trapper(session, "TERM", "echo bye; exit 3", &[])?;
            session.docker(&["stop", &name])?.ok()?;
            session.docker(&["logs", &name])?.says("ready\nbye\n")?;
            session.docker(&["inspect", "-f", STATE, &name])?.says("exited 3 false\n").map(drop)
        }),
        scenario("stop_kills_after_the_grace_period", |session| {
            let name = trapper(session, "TERM", ":", &[])?;
            session.docker(&["stop", "-t", "1", &name])?.ok()?;
            session.docker(&["inspect", "-f", STATE, &name])?.says("exited 137 false\n").map(drop)
        }),
        scenario("stop_sends_the_container_s_stop_signal", |session| {
            let name = trapper(session, "USR1", "echo usr1; exit 4", &["--stop-signal", "USR1"])?;
            session.docker(&["stop", &name])?.ok()?;
            session.docker(&["logs", &name])?.says("ready\nusr1\n").map(drop)
        }),
        scenario("kill_is_137", |session| {
            let name = sleeper(session)?;
            session.docker(&["kill", &name])?.ok()?;
            session.docker(&["wait", &name])?.says("137\n").map(drop)
        }),
        scenario("kill_with_a_signal_by_name", |session| {
            let name = trapper(session, "HUP", "echo hup; exit 5", &[])?;
            session.docker(&["kill", "-s", "HUP", &name])?.ok()?;
            session.docker(&["wait", &name])?.says("5\n").map(drop)
        }),
        scenario("kill_with_a_signal_by_number", |session| {
            let name = trapper(session, "USR2", "exit 6", &[])?;
            session.docker(&["kill", "-s", "12", &name])?.ok()?;
            session.docker(&["wait", &name])?.says("6\n").map(drop)
        }),
        scenario("kill_with_a_realtime_signal", |session| {
            let name = sleeper(session)?;
            session.docker(&["kill", "-s", "RTMIN+3", &name])?.ok()?;
            session.docker(&["inspect", "-f", "{{.State.Running}}", &name])?.says("true\n").map(drop)
        }),
        scenario("a_signal_that_pid_1_does_not_handle_is_dropped", |session| {
            let name = sleeper(session)?;
            session.docker(&["kill", "-s", "TERM", &name])?.ok()?;
            session.docker(&["exec", &name, "true"])?.ok().map(drop)
        }),
        scenario("kill_of_a_stopped_container_is_refused", |session| {
            let name = session.start("c", &[BUSYBOX, "true"])?;
            session.docker(&["wait", &name])?.says("0\n")?;
            session.docker(&["kill", &name])?.exits(1)?.complains("is not running").map(drop)
        }),
        scenario("removing_a_running_container_needs_force", |session| {
            let name = sleeper(session)?;
            session.docker(&["rm", &name])?.exits(1)?.complains("cannot remove")?;
            session.docker(&["rm", "-f", &name])?.ok()?;
            session.docker(&["inspect", &name])?.exits(1).map(drop)
        }),
        scenario("every_process_ends_with_pid_1", |session| {
            let name = session.start("c", &[BUSYBOX, "sh", "-c", "sleep 4321 & exec sleep 4322"])?;
            session.wait_until(&["top", &name], "sleep 4321")?;
            session.docker(&["kill", &name])?.ok()?;
            session.docker(&["wait", &name])?.says("137\n")?;
            let pids = session.machine().shell("pgrep -f 'sleep 432[1]'")?;
            ensure(pids.word().is_empty(), || format!("left behind: {}", pids.stdout))
        }),
        scenario("every_process_ends_with_pid_1_in_the_host_s_pid_namespace", |session| {
            let name = session
                .start("c", &["--pid", "host", BUSYBOX, "sh", "-c", "sleep 5321 & exec sleep 5322"])?;
            session.wait_until(&["top", &name], "sleep 5321")?;
            session.docker(&["kill", &name])?.ok()?;
            session.docker(&["wait", &name])?.says("137\n")?;
            session.docker(&["rm", &name])?.ok()?;
            let pids = session.machine().shell("pgrep -f 'sleep 532[1]'")?;
            ensure(pids.word().is_empty(), || format!("left behind: {}", pids.stdout))
        }),
        scenario("wait_gives_each_exit_code", |session| {
            let first = session.start("first", &[BUSYBOX, "sh", "-c", "exit 1"])?;
            let second = session.start("second", &[BUSYBOX, "sh", "-c", "sleep 0.3; exit 2"])?;
            session.docker(&["wait", &first, &second])?.ok()?.says("1\n2\n").map(drop)
        }),
        scenario("rm_after_a_detached_run", |session| {
            let name = session.start("c", &["--rm", BUSYBOX, "sleep", "0.2"])?;
            until("the container to go", 20, || {
                session.ask(&["inspect", &name]).is_ok_and(|said| said.code == 1)
            })
        }),
    ]
}

fn pauses() -> Vec<Scenario> {
    vec![
        scenario("pause_stops_the_clock", |session| {
            let name =
                session.start("c", &[BUSYBOX, "sh", "-c", "while :; do echo tick; sleep 0.05; done"])?;
            session.wait_until(&["logs", &name], "tick")?;
            session.docker(&["pause", &name])?.ok()?;
            session
                .docker(&["inspect", "-f", "{{.State.Status}} {{.State.Paused}}", &name])?
                .says("paused true\n")?;
            let before = session.ask(&["logs", &name])?.stdout;
            std::thread::sleep(std::time::Duration::from_millis(300));
            let after = session.ask(&["logs", &name])?.stdout;
            ensure(before == after, || "it ticked while paused".into())?;
            session.docker(&["unpause", &name])?.ok()?;
            until("another tick", 10, || {
                session.ask(&["logs", &name]).is_ok_and(|said| said.stdout.len() > before.len())
            })
        }),
        scenario("pausing_twice_is_refused", |session| {
            let name = sleeper(session)?;
            session.docker(&["pause", &name])?.ok()?;
            session.docker(&["pause", &name])?.exits(1)?.complains("already paused")?;
            session.docker(&["unpause", &name])?.ok()?;
            session.docker(&["unpause", &name])?.exits(1)?.complains("is not paused").map(drop)
        }),
        scenario("a_paused_container_can_be_killed", |session| {
            let name = sleeper(session)?;
            session.docker(&["pause", &name])?.ok()?;
            session.docker(&["kill", &name])?;
            session.docker(&["rm", "-f", &name])?.ok()?;
            session.docker(&["inspect", &name])?.exits(1).map(drop)
        }),
        scenario("a_paused_container_can_be_stopped", |session| {
            let name = sleeper(session)?;
            session.docker(&["pause", &name])?.ok()?;
            session.docker(&["stop", "-t", "1", &name])?.ok()?;
            session.docker(&["inspect", "-f", "{{.State.Status}}", &name])?.says("exited\n").map(drop)
        }),
        scenario("top_of_a_paused_container", |session| {
            let name = sleeper(session)?;
            session.docker(&["pause", &name])?.ok()?;
            session.ask(&["top", &name])?.ok()?.shows("sleep 1000").map(drop)
        }),
    ]
}

fn policies() -> Vec<Scenario> {
    vec![
        scenario("restart", |session| {
            let name = session.start("c", &[BUSYBOX, "sh", "-c", "echo started; exec sleep 100"])?;
            session.wait_until(&["logs", &name], "started")?;
            session.docker(&["restart", "-t", "0", &name])?.ok()?;
            session.wait_until(&["logs", &name], "started\nstarted\n")?;
            session
                .docker(&["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", &name])?
                .says("running 0\n")
                .map(drop)
        }),
        scenario("on_failure_restarts_that_often", |session| {
            let name = session
                .start("c", &["--restart", "on-failure:2", BUSYBOX, "sh", "-c", "echo run; exit 9"])?;
            session
                .wait_until(&["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", &name], "exited 2")?;
            session.docker(&["logs", &name])?.says("run\nrun\nrun\n")?;
            session.docker(&["inspect", "-f", "{{.State.ExitCode}}", &name])?.says("9\n").map(drop)
        }),
        scenario("always_restarts_after_a_crash", |session| {
            let name = session
                .start("c", &["--restart", "always", BUSYBOX, "sh", "-c", "echo run; exec sleep 100"])?;
            session.wait_until(&["logs", &name], "run")?;
            let pid = session.pid(&name)?;
            session.machine().shell(&format!("kill -9 {pid}"))?.ok()?;
            session.wait_until(&["logs", &name], "run\nrun\n")?;
            session.docker(&["inspect", "-f", "{{.RestartCount}}", &name])?.says("1\n").map(drop)
        }),
        scenario("update_changes_the_policy", |session| {
            let name = sleeper(session)?;
            session.docker(&["update", "--restart", "on-failure:3", &name])?.ok()?;
            session
                .docker(&["inspect", "-f", "{{json .HostConfig.RestartPolicy}}", &name])?
                .says("{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}\n")
                .map(drop)
        }),
    ]
}

fn health() -> Vec<Scenario> {
    let flags = &["--health-interval", "1s", "--health-retries", "1", "--health-cmd"];
    vec![
        scenario("a_healthy_container", |session| {
            let args = [flags, &["test -e /etc/passwd && echo fine", BUSYBOX, "sleep", "100"][..]].concat();
            let name = session.start("c", &args)?;
            session.wait_until(&["inspect", "-f", "{{.State.Health.Status}}", &name], "healthy")?;
            session
                .docker(&[
                    "inspect",
                    "-f",
                    "{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}",
                    &name,
                ])?
                .shows("0 fine")
                .map(drop)
        }),
        scenario("an_unhealthy_container", |session| {
            let args = [flags, &["echo broken; exit 1", BUSYBOX, "sleep", "100"][..]].concat();
            let name = session.start("c", &args)?;
            session.wait_until(&["inspect", "-f", "{{.State.Health.Status}}", &name], "unhealthy")?;
            session
                .docker(&["inspect", "-f", "{{(index .State.Health.Log 0).Output}}", &name])?
                .shows("broken")
                .map(drop)
        }),
        scenario("a_check_that_takes_too_long", |session| {
            let args =
                [&["--health-timeout", "1s"], &flags[..], &["sleep 33", BUSYBOX, "sleep", "100"]].concat();
            let name = session.start("c", &args)?;
            session.wait_until(&["inspect", "-f", "{{.State.Health.Status}}", &name], "unhealthy")?;
            session
                .docker(&["inspect", "-f", "{{(index .State.Health.Log 0).ExitCode}}", &name])?
                .says("-1\n")
                .map(drop)
        }),
    ]
}

fn others() -> Vec<Scenario> {
    vec![
        scenario("rename", |session| {
            let name = sleeper(session)?;
            let new = session.name("renamed");
            session.docker(&["rename", &name, &new])?.ok()?;
            session.docker(&["exec", &new, "echo", "here"])?.ok()?.says("here\n")?;
            session.docker(&["inspect", "-f", "{{.Name}}", &new])?.says(&format!("/{new}\n")).map(drop)
        }),
        scenario("commit_keeps_files_and_settings", |session| {
            let name = session
                .create("c", &["-e", "A=1", "-w", "/etc", BUSYBOX, "sh", "-c", "echo made > /made"])?;
            session.docker(&["start", "-a", &name])?.ok()?;
            let image = session.name("image");
            session.docker(&["commit", "-c", "ENV B=2", &name, &image])?.ok()?;
            session
                .run(&[&image, "sh", "-c", "cat /made; echo $A $B; pwd"])?
                .ok()?
                .says("made\n1 2\n/etc\n")?;
            session.ask(&["rmi", &image]).map(drop)
        }),
        scenario("commit_of_a_running_container_pauses_it_for_the_while", |session| {
            let name = session.start("c", &[BUSYBOX, "sh", "-c", "echo x > /x; exec sleep 100"])?;
            session.wait_until(&["exec", &name, "ls", "/"], "x\n")?;
            let image = session.name("image");
            session.docker(&["commit", &name, &image])?.ok()?;
            session.docker(&["inspect", "-f", "{{.State.Status}}", &name])?.says("running\n")?;
            session.run(&[&image, "cat", "/x"])?.ok()?.says("x\n").map(drop)
        }),
    ]
}

const STATE: &str = "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}";

fn sleeper(session: &Session) -> Outcome<String> {
    session.start("c", &[BUSYBOX, "sleep", "1000"])
}

/// A container that waits for a signal and then does `reaction`.
fn trapper(session: &Session, signal: &str, reaction: &str, flags: &[&str]) -> Outcome<String> {
    let script = format!("trap '{reaction}' {signal}; echo ready; while :; do sleep 0.05; done");
    let name = session.start("c", &[flags, &[BUSYBOX, "sh", "-c", &script]].concat())?;
    session.wait_until(&["logs", &name], "ready")?;
    Ok(name)
}

/// Ten containers, started without waiting, that all run and all end.
fn ten_at_once(session: &Session) -> Outcome {
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..10)
            .map(|number| {
                let name = session.name(&format!("c{number}"));
                let engine = session.engine();
                let text = number.to_string();
                let runtime = session.runtime();
                scope.spawn(move || {
                    engine.docker(
                        &["run", "--rm", "--name", &name, "--runtime", runtime, BUSYBOX, "echo", &text],
                        None,
                    )
                })
            })
            .collect();
        for (number, job) in jobs.into_iter().enumerate() {
            let said = job.join().map_err(|_| Stop::failed("a client's thread panicked"))??;
            said.ok()?.says(&format!("{number}\n"))?;
        }
        Ok(())
    })
}
