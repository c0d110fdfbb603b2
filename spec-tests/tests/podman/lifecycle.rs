//! From create to removal: start, stop, signals, pause, restart, health, events, commit, cp.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{Podman, scenario};
use spec_tests::engine::process::until;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop, ensure};

const STATE: &str = "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}";

pub fn scenarios() -> Vec<Scenario<Podman>> {
    [starts(), ends(), pauses(), others()].into_iter().flatten().collect()
}

fn starts() -> Vec<Scenario<Podman>> {
    vec![
        scenario("create_then_start_and_attach", |session| {
            let name = session.create("c", &[BUSYBOX, "sh", "-c", "echo ran; exit 3"])?;
            session.podman(&["inspect", "-f", STATE, &name])?.says("created 0 false\n")?;
            session.podman(&["start", "-a", &name])?.exits(3)?.says("ran\n")?;
            session.podman(&["inspect", "-f", STATE, &name])?.says("exited 3 false\n").map(drop)
        }),
        scenario("init_then_start", |session| {
            let name = session.create("c", &[BUSYBOX, "sleep", "100"])?;
            session.podman(&["init", &name])?.ok()?;
            session.podman(&["inspect", "-f", STATE, &name])?.says("initialized 0 false\n")?;
            session.podman(&["start", &name])?.ok()?;
            session.podman(&["inspect", "-f", STATE, &name])?.says("running 0 false\n").map(drop)
        }),
        scenario("an_initialised_container_can_be_removed", |session| {
            let name = session.create("c", &[BUSYBOX, "sleep", "100"])?;
            session.podman(&["init", &name])?.ok()?;
            session.podman(&["rm", "-f", "-t", "0", &name])?.ok().map(drop)
        }),
        scenario("detached_wait_and_logs", |session| {
            let name = session.start("c", &[BUSYBOX, "sh", "-c", "echo out; echo err >&2; exit 5"])?;
            session.podman(&["wait", &name])?.ok()?.says("5\n")?;
            session.podman(&["logs", &name])?.ok()?.says("out\n")?.complains("err").map(drop)
        }),
        scenario("a_failed_detached_start_tells_why", |session| {
            let name = session.name("c");
            session.podman(&["run", "-d", "--name", &name, BUSYBOX, "nosuch"])?.exits(127)?;
            session.podman(&["inspect", "-f", "{{.State.Status}}", &name])?.says("created\n")?;
            session.podman(&["rm", &name])?.ok().map(drop)
        }),
        scenario("a_container_starts_again_with_its_files", |session| {
            let name = session.create("c", &[BUSYBOX, "sh", "-c", "echo x >> /log; wc -l < /log"])?;
            session.podman(&["start", "-a", &name])?.ok()?.says("1\n")?;
            session.podman(&["start", "-a", &name])?.ok()?.says("2\n").map(drop)
        }),
        scenario("run_replace", |session| {
            let name = sleeper(session, &["--stop-timeout", "0"])?;
            session
                .podman(&["run", "--replace", "--name", &name, "--rm", BUSYBOX, "echo", "new"])?
                .ok()?
                .shows("new\n")
                .map(drop)
        }),
        scenario("attach_to_a_running_container", |session| {
            let name = session.start("c", &["-i", BUSYBOX, "sh", "-c", "read a; echo got $a; exit 6"])?;
            session.podman_reading(&["attach", &name], "word\n")?.ok()?.says("got word\n\n").map(drop)
        }),
        scenario("sdnotify_of_the_container", |session| {
            let dir = session.dir("notify")?;
            let socket = dir.join("s");
            let receiver = std::os::unix::net::UnixDatagram::bind(&socket).map_err(Stop::failed)?;
            receiver.set_read_timeout(Some(Duration::from_secs(10))).map_err(Stop::failed)?;
            let name = session.name("c");
            let script = format!(
                "NOTIFY_SOCKET={} $PODMAN run -d --sdnotify=conmon --name {name} {BUSYBOX} sleep 100",
                socket.display()
            );
            session.shell(&script)?.ok()?;
            let mut buffer = [0; 1000];
            let length = receiver.recv(&mut buffer).map_err(Stop::failed)?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            ensure(text.contains("MAINPID=") && text.contains("READY=1"), || format!("received {text:?}"))
        }),
        scenario("sdnotify_by_the_container", |session| {
            // The container has no tool for datagrams, so its environment is what can be seen.
            let dir = session.dir("notify")?;
            let socket = dir.join("s");
            let _receiver = std::os::unix::net::UnixDatagram::bind(&socket).map_err(Stop::failed)?;
            let script = format!(
                "NOTIFY_SOCKET={} $PODMAN run --rm --sdnotify=container {BUSYBOX} sh -c 'echo $NOTIFY_SOCKET; stat -c %F $NOTIFY_SOCKET'",
                socket.display()
            );
            session.shell(&script)?.ok()?.shows("socket\n").map(drop)
        }),
        scenario("sdnotify_ignored", |session| {
            session.run(&["--sdnotify", "ignore", BUSYBOX, "echo", "x"])?.ok()?.says("x\n").map(drop)
        }),
    ]
}

fn ends() -> Vec<Scenario<Podman>> {
    vec![
        scenario("stop_sends_sigterm", |session| {
            let name = trapper(session, "TERM", "echo bye; exit 3", &[])?;
            session.podman(&["stop", &name])?.ok()?;
            session.podman(&["logs", &name])?.says("ready\nbye\n")?;
            session.podman(&["inspect", "-f", STATE, &name])?.says("exited 3 false\n").map(drop)
        }),
        scenario("stop_kills_after_the_grace_period", |session| {
            let name = trapper(session, "TERM", ":", &[])?;
            session.podman(&["stop", "-t", "1", &name])?.ok()?;
            session.podman(&["inspect", "-f", STATE, &name])?.says("exited 137 false\n").map(drop)
        }),
        scenario("stop_sends_the_container_s_stop_signal", |session| {
            let name = trapper(session, "USR1", "echo usr1; exit 4", &["--stop-signal", "USR1"])?;
            session.podman(&["stop", &name])?.ok()?;
            session.podman(&["logs", &name])?.says("ready\nusr1\n").map(drop)
        }),
        scenario("kill_is_137", |session| {
            let name = sleeper(session, &[])?;
            session.podman(&["kill", &name])?.ok()?;
            session.podman(&["wait", &name])?.says("137\n").map(drop)
        }),
        scenario("kill_with_a_signal_by_name", |session| {
            let name = trapper(session, "HUP", "exit 5", &[])?;
            session.podman(&["kill", "-s", "HUP", &name])?.ok()?;
            session.podman(&["wait", &name])?.says("5\n").map(drop)
        }),
        scenario("kill_of_a_stopped_container_is_refused", |session| {
            let name = session.start("c", &[BUSYBOX, "true"])?;
            session.podman(&["wait", &name])?.says("0\n")?;
            session
                .podman(&["kill", &name])?
                .exits(125)?
                .complains("can only kill running containers")
                .map(drop)
        }),
        scenario("removing_a_running_container_needs_force", |session| {
            let name = sleeper(session, &[])?;
            session.podman(&["rm", &name])?.exits(2)?.complains("cannot remove container")?;
            session.podman(&["rm", "-f", "-t", "0", &name])?.ok()?;
            session.podman(&["container", "exists", &name])?.exits(1).map(drop)
        }),
        scenario("a_signal_to_podman_run_reaches_the_container", |session| {
            let name = session.name("c");
            // podman 4.3 forwards signals only some time after it has shown the container's output. A signal that comes
            // before ends it or is lost, whatever the runtime; a USR1 is lost.
            let script = format!(
                "said=$(mktemp)
                $PODMAN run --rm --name {name} {BUSYBOX} sh -c 'trap \"echo got; exit 9\" USR1; echo ready; while :; do sleep 0.05; done' > $said 2> /dev/null &
                until grep -q ready $said || ! kill -0 $!; do sleep 0.05; done
                while kill -USR1 $!; do sleep 1; done 2> /dev/null; wait $!; code=$?
                cat $said; rm $said; exit $code"
            );
            session.shell(&script)?.exits(9)?.shows("got\n").map(drop)
        }),
        scenario("every_process_ends_with_pid_1_in_the_host_s_pid_namespace", |session| {
            let name = session
                .start("c", &["--pid", "host", BUSYBOX, "sh", "-c", "sleep 5321 & exec sleep 5322"])?;
            session.wait_until(&["top", &name], "sleep 5321")?;
            session.podman(&["kill", &name])?.ok()?;
            session.podman(&["wait", &name])?.says("137\n")?;
            session.podman(&["rm", &name])?.ok()?;
            let pids = session.machine().shell("pgrep -x -f 'sleep 532[1]'")?;
            ensure(pids.word().is_empty(), || format!("left behind: {}", pids.stdout))
        }),
        scenario("restart", |session| {
            let name = session.start(
                "c",
                &[BUSYBOX, "sh", "-c", "echo started; trap 'exit 0' TERM; while :; do sleep 0.05; done"],
            )?;
            session.wait_until(&["logs", &name], "started")?;
            session.podman(&["restart", "-t", "5", &name])?.ok()?;
            session.wait_until(&["logs", &name], "started\nstarted")
        }),
        scenario("restart_policy", |session| {
            let name =
                session.start("c", &["--restart", "on-failure:2", BUSYBOX, "sh", "-c", "echo x; exit 3"])?;
            session.wait_until(&["logs", &name], "x\nx\nx\n")?;
            until("the last end", 10, || {
                session
                    .ask(&["inspect", "-f", "{{.RestartCount}} {{.State.Status}}", &name])
                    .is_ok_and(|said| said.stdout == "2 exited\n")
            })
        }),
        scenario("rm_after_a_detached_run", |session| {
            let name = session.start("c", &["--rm", BUSYBOX, "sleep", "0.2"])?;
            until("the container to go", 20, || {
                session.ask(&["container", "exists", &name]).is_ok_and(|said| said.code == 1)
            })
        }),
        scenario("timeout", |session| {
            session.run(&["--timeout", "1", BUSYBOX, "sleep", "100"])?.exits(255).map(drop)
        }),
    ]
}

fn pauses() -> Vec<Scenario<Podman>> {
    vec![
        scenario("pause_stops_the_clock", |session| {
            let name =
                session.start("c", &[BUSYBOX, "sh", "-c", "while :; do echo tick; sleep 0.05; done"])?;
            session.wait_until(&["logs", &name], "tick")?;
            session.podman(&["pause", &name])?.ok()?;
            session
                .podman(&["inspect", "-f", "{{.State.Status}} {{.State.Paused}}", &name])?
                .says("paused true\n")?;
            let before = session.ask(&["logs", &name])?.stdout;
            sleep(Duration::from_millis(200));
            let after = session.ask(&["logs", &name])?.stdout;
            ensure(before == after, || "it ticked while paused".into())?;
            session.podman(&["unpause", &name])?.ok()?;
            until("another tick", 10, || {
                session.ask(&["logs", &name]).is_ok_and(|said| said.stdout.len() > before.len())
            })
        }),
        scenario("pausing_twice_is_refused", |session| {
            let name = sleeper(session, &[])?;
            session.podman(&["pause", &name])?.ok()?;
            session.podman(&["pause", &name])?.exits(125)?.complains("is already paused")?;
            session.podman(&["unpause", &name])?.ok()?;
            session.podman(&["unpause", &name])?.exits(125)?.complains("is not paused").map(drop)
        }),
        scenario("a_paused_container_can_be_removed", |session| {
            let name = sleeper(session, &[])?;
            session.podman(&["pause", &name])?.ok()?;
            session.podman(&["rm", "-f", "-t", "0", &name])?.ok().map(drop)
        }),
    ]
}

fn others() -> Vec<Scenario<Podman>> {
    vec![
        scenario("health_check", |session| {
            let name = session.start(
                "c",
                &[
                    "--health-cmd",
                    "test -e /ok",
                    "--health-interval",
                    "disable",
                    "--health-retries",
                    "1",
                    BUSYBOX,
                    "sleep",
                    "100",
                ],
            )?;
            session.podman(&["healthcheck", "run", &name])?.exits(1)?;
            session.podman(&["inspect", "-f", "{{.State.Health.Status}}", &name])?.says("unhealthy\n")?;
            session.podman(&["exec", &name, "touch", "/ok"])?.ok()?;
            session.podman(&["healthcheck", "run", &name])?.ok()?;
            session.podman(&["inspect", "-f", "{{.State.Health.Status}}", &name])?.says("healthy\n").map(drop)
        }),
        scenario("events", |session| {
            let name = session.start("c", &[BUSYBOX, "true"])?;
            session.podman(&["wait", &name])?.ok()?;
            session.podman(&["rm", &name])?.ok()?;
            let filter = format!("container={name}");
            session
                .podman(&[
                    "events",
                    "--stream=false",
                    "--since",
                    "10m",
                    "--filter",
                    &filter,
                    "--format",
                    "{{.Status}}",
                ])?
                .ok()?
                .shows("create\ninit\nstart\n")?
                .shows("died\n")
                .map(drop)
        }),
        scenario("copies_into_and_out_of_a_container", |session| {
            let dir = session.dir("copies")?;
            fs::write(dir.join("f"), "data").map_err(Stop::failed)?;
            let path = dir.display();
            let name = sleeper(session, &["--tmpfs", "/t"])?;
            session.podman(&["cp", &format!("{path}/f"), &format!("{name}:/t/g")])?.ok()?;
            session.podman(&["exec", &name, "cat", "/t/g"])?.ok()?.says("data")?;
            session.podman(&["cp", &format!("{name}:/t/g"), &format!("{path}/h")])?.ok()?;
            ensure(fs::read(dir.join("h")).is_ok_and(|bytes| bytes == b"data"), || {
                "what came back differs".into()
            })
        }),
        scenario("commit_and_diff", |session| {
            let name = sleeper(session, &[])?;
            session.podman(&["exec", &name, "sh", "-c", "echo new > /etc/new"])?.ok()?;
            session.podman(&["diff", &name])?.ok()?.shows("A /etc/new")?;
            let image = session.name("localhost/image");
            session.ask(&["commit", "-q", &name, &image])?.ok()?;
            let said = session.run(&[&image, "cat", "/etc/new"])?.ok()?.says("new\n").map(drop);
            session.ask(&["rmi", "-f", &image])?;
            said
        }),
        scenario("top_ps_and_port", |session| {
            let name = session.start(
                "c",
                &[
                    "--network",
                    "podman",
                    "-p",
                    "127.0.0.1::80",
                    BUSYBOX,
                    "sh",
                    "-c",
                    "sleep 6001 & exec sleep 6002",
                ],
            )?;
            session.wait_until(&["top", &name], "sleep 6001")?;
            session
                .podman(&["top", &name, "pid", "user", "args", "capeff", "seccomp"])?
                .ok()?
                .shows("sleep 6002")?;
            session
                .podman(&["ps", "--filter", &format!("name={name}"), "--format", "{{.Names}} {{.Ports}}"])?
                .ok()?
                .shows("80/tcp")?;
            session.podman(&["port", &name])?.ok()?.shows("80/tcp -> 127.0.0.1:").map(drop)
        }),
        scenario("rename", |session| {
            let name = sleeper(session, &[])?;
            let other = session.name("other");
            session.podman(&["rename", &name, &other])?.ok()?;
            session.podman(&["exec", &other, "echo", "x"])?.ok()?.says("x\n").map(drop)
        }),
        scenario("mount_of_a_running_container", |session| {
            let name = sleeper(session, &[])?;
            let script =
                format!("cat $($PODMAN mount {name})/etc/group && $PODMAN unmount {name} > /dev/null");
            session.shell(&script)?.ok()?.shows("staff").map(drop)
        }),
        scenario("ten_at_once", |session| {
            let script =
                format!("for n in 0 1 2 3 4 5 6 7 8 9; do $PODMAN run --rm {BUSYBOX} echo $n & done | sort");
            session.shell(&script)?.ok()?.says("0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n").map(drop)
        }),
    ]
}

fn sleeper(session: &Session<Podman>, flags: &[&str]) -> Outcome<String> {
    session.start("c", &[flags, &[BUSYBOX, "sleep", "100"]].concat())
}

/// A container that answers `signal` with `action`, once it said `ready`.
fn trapper(session: &Session<Podman>, signal: &str, action: &str, flags: &[&str]) -> Outcome<String> {
    let script = format!("trap '{action}' {signal}; echo ready; while :; do sleep 0.05; done");
    let name = session.start("c", &[flags, &[BUSYBOX, "sh", "-c", &script]].concat())?;
    session.wait_until(&["logs", &name], "ready")?;
    Ok(name)
}
