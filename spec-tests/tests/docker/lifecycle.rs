//! From create to removal: start, stop, signals, pause, restart, policies, health, rename, commit.

use spec_tests::engine::case::{Case, case};
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::process::until;
use spec_tests::engine::seat::Seat;
use spec_tests::engine::{Outcome, Stop, ensure};

pub fn cases() -> Vec<Case> {
    [starts(), ends(), pauses(), policies(), health(), others()].into_iter().flatten().collect()
}

fn starts() -> Vec<Case> {
    vec![
        case("create_then_start_and_attach", |seat| {
            let name = seat.create("c", &[BUSYBOX, "sh", "-c", "echo ran; exit 3"])?;
            seat.docker(&["inspect", "-f", STATE, &name])?.says("created 0 false\n")?;
            seat.docker(&["start", "-a", &name])?.exits(3)?.says("ran\n")?;
            seat.docker(&["inspect", "-f", STATE, &name])?.says("exited 3 false\n").map(drop)
        }),
        case("start_with_stdin", |seat| {
            let name = seat.create("c", &["-i", BUSYBOX, "cat"])?;
            seat.docker_reading(&["start", "-a", "-i", &name], "typed\n")?.ok()?.says("typed\n").map(drop)
        }),
        case("starting_a_running_container_does_nothing", |seat| {
            let name = sleeper(seat)?;
            let pid = seat.pid(&name)?;
            seat.docker(&["start", &name])?.ok()?;
            let same = seat.pid(&name)? == pid;
            ensure(same, || "the process was replaced".into())
        }),
        case("a_container_starts_again_with_its_files", |seat| {
            let name = seat.create("c", &[BUSYBOX, "sh", "-c", "echo x >> /log; wc -l < /log"])?;
            seat.docker(&["start", "-a", &name])?.ok()?.says("1\n")?;
            seat.docker(&["start", "-a", &name])?.ok()?.says("2\n").map(drop)
        }),
        case("a_name_in_use_is_refused", |seat| {
            let name = sleeper(seat)?;
            seat.run(&["--name", &name, BUSYBOX, "true"])?
                .exits(125)?
                .complains("is already in use")
                .map(drop)
        }),
        case("ten_at_once", ten_at_once),
    ]
}

fn ends() -> Vec<Case> {
    vec![
        case("stop_sends_sigterm", |seat| {
            let name = trapper(seat, "TERM", "echo bye; exit 3", &[])?;
            seat.docker(&["stop", &name])?.ok()?;
            seat.docker(&["logs", &name])?.says("ready\nbye\n")?;
            seat.docker(&["inspect", "-f", STATE, &name])?.says("exited 3 false\n").map(drop)
        }),
        case("stop_kills_after_the_grace_period", |seat| {
            let name = trapper(seat, "TERM", ":", &[])?;
            seat.docker(&["stop", "-t", "1", &name])?.ok()?;
            seat.docker(&["inspect", "-f", STATE, &name])?.says("exited 137 false\n").map(drop)
        }),
        case("stop_sends_the_container_s_stop_signal", |seat| {
            let name = trapper(seat, "USR1", "echo usr1; exit 4", &["--stop-signal", "USR1"])?;
            seat.docker(&["stop", &name])?.ok()?;
            seat.docker(&["logs", &name])?.says("ready\nusr1\n").map(drop)
        }),
        case("kill_is_137", |seat| {
            let name = sleeper(seat)?;
            seat.docker(&["kill", &name])?.ok()?;
            seat.docker(&["wait", &name])?.says("137\n").map(drop)
        }),
        case("kill_with_a_signal_by_name", |seat| {
            let name = trapper(seat, "HUP", "echo hup; exit 5", &[])?;
            seat.docker(&["kill", "-s", "HUP", &name])?.ok()?;
            seat.docker(&["wait", &name])?.says("5\n").map(drop)
        }),
        case("kill_with_a_signal_by_number", |seat| {
            let name = trapper(seat, "USR2", "exit 6", &[])?;
            seat.docker(&["kill", "-s", "12", &name])?.ok()?;
            seat.docker(&["wait", &name])?.says("6\n").map(drop)
        }),
        case("kill_with_a_realtime_signal", |seat| {
            let name = sleeper(seat)?;
            seat.docker(&["kill", "-s", "RTMIN+3", &name])?.ok()?;
            seat.docker(&["inspect", "-f", "{{.State.Running}}", &name])?.says("true\n").map(drop)
        }),
        case("a_signal_that_pid_1_does_not_handle_is_dropped", |seat| {
            let name = sleeper(seat)?;
            seat.docker(&["kill", "-s", "TERM", &name])?.ok()?;
            seat.docker(&["exec", &name, "true"])?.ok().map(drop)
        }),
        case("kill_of_a_stopped_container_is_refused", |seat| {
            let name = seat.start("c", &[BUSYBOX, "true"])?;
            seat.docker(&["wait", &name])?.says("0\n")?;
            seat.docker(&["kill", &name])?.exits(1)?.complains("is not running").map(drop)
        }),
        case("removing_a_running_container_needs_force", |seat| {
            let name = sleeper(seat)?;
            seat.docker(&["rm", &name])?.exits(1)?.complains("cannot remove a running container")?;
            seat.docker(&["rm", "-f", &name])?.ok()?;
            seat.docker(&["inspect", &name])?.exits(1).map(drop)
        }),
        case("every_process_ends_with_pid_1", |seat| {
            let name = seat.start("c", &[BUSYBOX, "sh", "-c", "sleep 4321 & exec sleep 4322"])?;
            seat.wait_until(&["top", &name], "sleep 4321")?;
            seat.docker(&["kill", &name])?.ok()?;
            seat.docker(&["wait", &name])?.says("137\n")?;
            let pids = seat.engine().machine().shell("pgrep -f 'sleep 432[1]'")?;
            ensure(pids.word().is_empty(), || format!("left behind: {}", pids.stdout))
        }),
        case("every_process_ends_with_pid_1_in_the_host_s_pid_namespace", |seat| {
            let name =
                seat.start("c", &["--pid", "host", BUSYBOX, "sh", "-c", "sleep 5321 & exec sleep 5322"])?;
            seat.wait_until(&["top", &name], "sleep 5321")?;
            seat.docker(&["kill", &name])?.ok()?;
            seat.docker(&["wait", &name])?.says("137\n")?;
            seat.docker(&["rm", &name])?.ok()?;
            let pids = seat.engine().machine().shell("pgrep -f 'sleep 532[1]'")?;
            ensure(pids.word().is_empty(), || format!("left behind: {}", pids.stdout))
        }),
        case("wait_gives_each_exit_code", |seat| {
            let first = seat.start("first", &[BUSYBOX, "sh", "-c", "exit 1"])?;
            let second = seat.start("second", &[BUSYBOX, "sh", "-c", "sleep 0.3; exit 2"])?;
            seat.docker(&["wait", &first, &second])?.ok()?.says("1\n2\n").map(drop)
        }),
        case("rm_after_a_detached_run", |seat| {
            let name = seat.start("c", &["--rm", BUSYBOX, "sleep", "0.2"])?;
            until("the container to go", 20, || {
                seat.ask(&["inspect", &name]).is_ok_and(|said| said.code == 1)
            })
        }),
    ]
}

fn pauses() -> Vec<Case> {
    vec![
        case("pause_stops_the_clock", |seat| {
            let name = seat.start("c", &[BUSYBOX, "sh", "-c", "while :; do echo tick; sleep 0.05; done"])?;
            seat.wait_until(&["logs", &name], "tick")?;
            seat.docker(&["pause", &name])?.ok()?;
            seat.docker(&["inspect", "-f", "{{.State.Status}} {{.State.Paused}}", &name])?
                .says("paused true\n")?;
            let before = seat.ask(&["logs", &name])?.stdout;
            std::thread::sleep(std::time::Duration::from_millis(300));
            let after = seat.ask(&["logs", &name])?.stdout;
            ensure(before == after, || "it ticked while paused".into())?;
            seat.docker(&["unpause", &name])?.ok()?;
            until("another tick", 10, || {
                seat.ask(&["logs", &name]).is_ok_and(|said| said.stdout.len() > before.len())
            })
        }),
        case("pausing_twice_is_refused", |seat| {
            let name = sleeper(seat)?;
            seat.docker(&["pause", &name])?.ok()?;
            seat.docker(&["pause", &name])?.exits(1)?.complains("already paused")?;
            seat.docker(&["unpause", &name])?.ok()?;
            seat.docker(&["unpause", &name])?.exits(1)?.complains("is not paused").map(drop)
        }),
        case("a_paused_container_can_be_killed", |seat| {
            let name = sleeper(seat)?;
            seat.docker(&["pause", &name])?.ok()?;
            seat.docker(&["kill", &name])?;
            seat.docker(&["rm", "-f", &name])?.ok()?;
            seat.docker(&["inspect", &name])?.exits(1).map(drop)
        }),
        case("a_paused_container_can_be_stopped", |seat| {
            let name = sleeper(seat)?;
            seat.docker(&["pause", &name])?.ok()?;
            seat.docker(&["stop", "-t", "1", &name])?.ok()?;
            seat.docker(&["inspect", "-f", "{{.State.Status}}", &name])?.says("exited\n").map(drop)
        }),
        case("top_of_a_paused_container", |seat| {
            let name = sleeper(seat)?;
            seat.docker(&["pause", &name])?.ok()?;
            seat.ask(&["top", &name])?.ok()?.shows("sleep 1000").map(drop)
        }),
    ]
}

fn policies() -> Vec<Case> {
    vec![
        case("restart", |seat| {
            let name = seat.start("c", &[BUSYBOX, "sh", "-c", "echo started; exec sleep 100"])?;
            seat.wait_until(&["logs", &name], "started")?;
            seat.docker(&["restart", "-t", "0", &name])?.ok()?;
            seat.wait_until(&["logs", &name], "started\nstarted\n")?;
            seat.docker(&["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", &name])?
                .says("running 0\n")
                .map(drop)
        }),
        case("on_failure_restarts_that_often", |seat| {
            let name =
                seat.start("c", &["--restart", "on-failure:2", BUSYBOX, "sh", "-c", "echo run; exit 9"])?;
            seat.wait_until(&["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", &name], "exited 2")?;
            seat.docker(&["logs", &name])?.says("run\nrun\nrun\n")?;
            seat.docker(&["inspect", "-f", "{{.State.ExitCode}}", &name])?.says("9\n").map(drop)
        }),
        case("always_restarts_after_a_crash", |seat| {
            let name =
                seat.start("c", &["--restart", "always", BUSYBOX, "sh", "-c", "echo run; exec sleep 100"])?;
            seat.wait_until(&["logs", &name], "run")?;
            let pid = seat.pid(&name)?;
            seat.engine().machine().shell(&format!("kill -9 {pid}"))?.ok()?;
            seat.wait_until(&["logs", &name], "run\nrun\n")?;
            seat.docker(&["inspect", "-f", "{{.RestartCount}}", &name])?.says("1\n").map(drop)
        }),
        case("update_changes_the_policy", |seat| {
            let name = sleeper(seat)?;
            seat.docker(&["update", "--restart", "on-failure:3", &name])?.ok()?;
            seat.docker(&["inspect", "-f", "{{json .HostConfig.RestartPolicy}}", &name])?
                .says("{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}\n")
                .map(drop)
        }),
    ]
}

fn health() -> Vec<Case> {
    let flags = &["--health-interval", "1s", "--health-retries", "1", "--health-cmd"];
    vec![
        case("a_healthy_container", |seat| {
            let args = [flags, &["test -e /etc/passwd && echo fine", BUSYBOX, "sleep", "100"][..]].concat();
            let name = seat.start("c", &args)?;
            seat.wait_until(&["inspect", "-f", "{{.State.Health.Status}}", &name], "healthy")?;
            seat.docker(&[
                "inspect",
                "-f",
                "{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}",
                &name,
            ])?
            .shows("0 fine")
            .map(drop)
        }),
        case("an_unhealthy_container", |seat| {
            let args = [flags, &["echo broken; exit 1", BUSYBOX, "sleep", "100"][..]].concat();
            let name = seat.start("c", &args)?;
            seat.wait_until(&["inspect", "-f", "{{.State.Health.Status}}", &name], "unhealthy")?;
            seat.docker(&["inspect", "-f", "{{(index .State.Health.Log 0).Output}}", &name])?
                .shows("broken")
                .map(drop)
        }),
        case("a_check_that_takes_too_long", |seat| {
            let args =
                [&["--health-timeout", "1s"], &flags[..], &["sleep 33", BUSYBOX, "sleep", "100"]].concat();
            let name = seat.start("c", &args)?;
            seat.wait_until(&["inspect", "-f", "{{.State.Health.Status}}", &name], "unhealthy")?;
            seat.docker(&["inspect", "-f", "{{(index .State.Health.Log 0).ExitCode}}", &name])?
                .says("-1\n")
                .map(drop)
        }),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case("rename", |seat| {
            let name = sleeper(seat)?;
            let new = seat.name("renamed");
            seat.docker(&["rename", &name, &new])?.ok()?;
            seat.docker(&["exec", &new, "echo", "here"])?.ok()?.says("here\n")?;
            seat.docker(&["inspect", "-f", "{{.Name}}", &new])?.says(&format!("/{new}\n")).map(drop)
        }),
        case("commit_keeps_files_and_settings", |seat| {
            let name =
                seat.create("c", &["-e", "A=1", "-w", "/etc", BUSYBOX, "sh", "-c", "echo made > /made"])?;
            seat.docker(&["start", "-a", &name])?.ok()?;
            let image = seat.name("image");
            seat.docker(&["commit", "-c", "ENV B=2", &name, &image])?.ok()?;
            seat.run(&[&image, "sh", "-c", "cat /made; echo $A $B; pwd"])?.ok()?.says("made\n1 2\n/etc\n")?;
            seat.ask(&["rmi", &image]).map(drop)
        }),
        case("commit_of_a_running_container_pauses_it_for_the_while", |seat| {
            let name = seat.start("c", &[BUSYBOX, "sh", "-c", "echo x > /x; exec sleep 100"])?;
            seat.wait_until(&["exec", &name, "ls", "/"], "x\n")?;
            let image = seat.name("image");
            seat.docker(&["commit", &name, &image])?.ok()?;
            seat.docker(&["inspect", "-f", "{{.State.Status}}", &name])?.says("running\n")?;
            seat.run(&[&image, "cat", "/x"])?.ok()?.says("x\n").map(drop)
        }),
    ]
}

const STATE: &str = "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}";

fn sleeper(seat: &Seat) -> Outcome<String> {
    seat.start("c", &[BUSYBOX, "sleep", "1000"])
}

/// A container that waits for a signal and then does `reaction`.
fn trapper(seat: &Seat, signal: &str, reaction: &str, flags: &[&str]) -> Outcome<String> {
    let script = format!("trap '{reaction}' {signal}; echo ready; while :; do sleep 0.05; done");
    let name = seat.start("c", &[flags, &[BUSYBOX, "sh", "-c", &script]].concat())?;
    seat.wait_until(&["logs", &name], "ready")?;
    Ok(name)
}

/// Ten containers, started without waiting, that all run and all end.
fn ten_at_once(seat: &Seat) -> Outcome {
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..10)
            .map(|number| {
                let name = seat.name(&format!("c{number}"));
                let engine = seat.engine();
                let text = number.to_string();
                let runtime = seat.role().runtime();
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
