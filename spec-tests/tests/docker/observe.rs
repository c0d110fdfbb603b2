//! What a container shows to the outside: inspect, ps, top, stats, logs, attach, events, diff.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::scenario::{Scenario, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, ensure};

pub fn scenarios() -> Vec<Scenario> {
    [descriptions(), figures(), streams()].into_iter().flatten().collect()
}

fn descriptions() -> Vec<Scenario> {
    vec![
        scenario("inspect_of_a_running_container", |session| {
            let flags = [
                "-m",
                "64m",
                "--cpus",
                "0.5",
                "--cap-add",
                "NET_ADMIN",
                "--ulimit",
                "nofile=100",
                "-e",
                "A=1",
                "--label",
                "x=y",
            ];
            let name = session.start("c", &[&flags[..], &[BUSYBOX, "sleep", "100"]].concat())?;
            for part in ["State", "HostConfig", "Config"] {
                session
                    .docker(&["inspect", "-f", &format!("{{{{json .{part}}}}}"), &name])?
                    .ok()?
                    .shows("{")?;
            }
            Ok(())
        })
        .needs(&["cpu", "memory"]),
        scenario("inspect_of_a_stopped_container", |session| {
            let name = session.start("c", &[BUSYBOX, "sh", "-c", "exit 5"])?;
            session.docker(&["wait", &name])?.says("5\n")?;
            session
                .docker(&["inspect", "-f", "{{json .State}}", &name])?
                .ok()?
                .shows("\"ExitCode\":5")?
                .shows("\"Pid\":0")
                .map(drop)
        }),
        scenario("inspect_of_a_failed_start", |session| {
            let name = session.create("c", &[BUSYBOX, "nosuch"])?;
            session.docker(&["start", &name])?.exits(1)?;
            let state = "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}}";
            session.docker(&["inspect", "-f", state, &name])?.says("created 127 false\n")?;
            let error = session.ask(&["inspect", "-f", "{{.State.Error}}", &name])?;
            error.shows("executable file not found in $PATH").map(drop)
        }),
        scenario("ps_shows_status_and_command", |session| {
            let up = session.start("up", &[BUSYBOX, "sleep", "100"])?;
            let down = session.start("down", &[BUSYBOX, "sh", "-c", "exit 3"])?;
            session.docker(&["wait", &down])?.says("3\n")?;
            let filter = |name: &str| format!("name={name}");
            let format = "{{.Names}}|{{.State}}|{{.Status}}|{{.Command}}|{{.Ports}}";
            for (name, sign) in [(&up, "|running|Up "), (&down, "|exited|Exited (3) ")] {
                session
                    .docker(&["ps", "-a", "--filter", &filter(name), "--format", format])?
                    .ok()?
                    .shows(sign)?;
            }
            Ok(())
        }),
        scenario("top_lists_every_process", |session| {
            let name = session
                .start("c", &["--user", "alice", BUSYBOX, "sh", "-c", "sleep 91 & sleep 92 & wait"])?;
            session.wait_until(&["top", &name], "sleep 92")?;
            session
                .ask(&["top", &name, "-o", "pid,uid,args"])?
                .ok()?
                .shows("1000")?
                .shows("sleep 91")?
                .shows("sleep 92")
                .map(drop)
        }),
        scenario("top_lists_what_exec_started", |session| {
            let name = session.start("c", &[BUSYBOX, "sleep", "90"])?;
            session.docker(&["exec", "-d", &name, "sleep", "93"])?.ok()?;
            session.wait_until(&["top", &name], "sleep 93")?;
            session
                .ask(&["top", &name, "-o", "pid,args"])?
                .ok()?
                .shows("sleep 90\n")?
                .shows("sleep 93")
                .map(drop)
        }),
        scenario("diff_shows_what_changed", |session| {
            let name = session
                .create("c", &[BUSYBOX, "sh", "-c", "echo x > /new; rm /etc/group; chmod 600 /etc/passwd"])?;
            session.docker(&["start", "-a", &name])?.ok()?;
            session
                .docker_sorted(&["diff", &name])?
                .ok()?
                .shows("A /new\n")?
                .shows("D /etc/group\n")?
                .shows("C /etc/passwd\n")
                .map(drop)
        }),
        scenario("diff_of_an_idle_container_is_empty", |session| {
            // What the runtime makes in the rootfs for its mounts must not show as the container's doing.
            let name = session.create("c", &[BUSYBOX, "true"])?;
            session.docker(&["start", "-a", &name])?.ok()?;
            session.docker_sorted(&["diff", &name])?.ok().map(drop)
        }),
        scenario("events_of_a_life", |session| {
            let name = session.name("c");
            let now = || {
                Ok::<_, spec_tests::engine::Stop>(
                    session.ask(&["info", "-f", "{{.SystemTime}}"])?.word().to_owned(),
                )
            };
            let since = now()?;
            session
                .docker(&session.with_runtime(&["run", "--name", &name], &[BUSYBOX, "sh", "-c", "exit 2"]))?
                .exits(2)?;
            let (until, filter) = (now()?, format!("container={name}"));
            let format = "{{.Action}} {{.Actor.Attributes.exitCode}}";
            let args =
                ["events", "--since", &since, "--until", &until, "--filter", &filter, "--format", format];
            session.docker(&args)?.ok()?.shows("create")?.shows("start")?.shows("die 2").map(drop)
        }),
    ]
}

fn figures() -> Vec<Scenario> {
    vec![
        scenario("stats_has_memory_cpu_and_pids", |session| {
            let script = "sleep 100 & sleep 100 & while :; do :; done";
            let name = session.start("c", &["-m", "64m", "--cpus", "0.3", BUSYBOX, "sh", "-c", script])?;
            session.wait_until(&["top", &name], "sleep 100")?;
            let format = "{{.MemUsage}}|{{.CPUPerc}}|{{.PIDs}}|{{.NetIO}}";
            let said = session.ask(&["stats", "--no-stream", "--format", format, &name])?.ok()?;
            let fields: Vec<&str> = said.word().split('|').collect();
            ensure(fields.len() == 4, || said.report())?;
            ensure(fields[0].ends_with("/ 64MiB") && !fields[0].starts_with("0B"), || said.report())?;
            let percent: f64 = fields[1].trim_end_matches('%').parse().unwrap_or_default();
            ensure((5.0..60.0).contains(&percent), || said.report())?;
            ensure(fields[2] == "3", || said.report())
        })
        .needs(&["cpu", "memory", "pids"]),
        scenario("stats_of_a_stopped_container_are_nought", |session| {
            let name = session.start("c", &[BUSYBOX, "true"])?;
            session.docker(&["wait", &name])?.says("0\n")?;
            let format = "{{.CPUPerc}} {{.PIDs}}";
            session
                .docker(&["stats", "--no-stream", "--format", format, &name])?
                .ok()?
                .says("0.00% 0\n")
                .map(drop)
        }),
        scenario("stats_fields_by_the_api", |session| {
            // The client shows a few figures; the API has them all.
            let name = session.start(
                "c",
                &["-m", "64m", BUSYBOX, "sh", "-c", "head -c 3000000 /dev/urandom > /tmp/x; sleep 100"],
            )?;
            session.wait_until(&["exec", &name, "ps", "-o", "args"], "sleep 100")?;
            let socket = session.socket();
            let curl = format!(
                "curl -s --unix-socket {socket} 'http://d/containers/{name}/stats?stream=false' \
                 | jq -c '[.pids_stats.current, .memory_stats.limit, (.memory_stats.usage > 0), \
                 (.cpu_stats.cpu_usage.total_usage > 0), (.cpu_stats.cpu_usage.percpu_usage | length), \
                 (.memory_stats.stats | keys | length), (.blkio_stats | keys)]'"
            );
            session.host(&curl)?.ok()?.shows("[1,67108864,true,true,").map(drop)
        })
        .needs(&["memory", "pids"]),
    ]
}

fn streams() -> Vec<Scenario> {
    vec![
        scenario("logs_of_both_streams", |session| {
            let name = session.start(
                "c",
                &[BUSYBOX, "sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; done"],
            )?;
            session.docker(&["wait", &name])?.says("0\n")?;
            let said = session.docker(&["logs", &name])?.ok()?;
            said.says("out 1\nout 2\nout 3\n")?.complains("err 1\nerr 2\nerr 3\n")?;

            session.docker(&["logs", "--timestamps", &name])?.ok()?.shows("Z out 1\n").map(drop)
        }),
        scenario("the_last_lines_of_the_logs", |session| {
            let name = session.start("c", &[BUSYBOX, "seq", "9"])?;
            session.docker(&["wait", &name])?.says("0\n")?;
            session.docker(&["logs", "--tail", "2", &name])?.ok()?.says("8\n9\n").map(drop)
        }),
        scenario("logs_are_followed_to_the_end", |session| {
            let name = session
                .start("c", &[BUSYBOX, "sh", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.1; done"])?;
            session.docker(&["logs", "-f", &name])?.ok()?.says("1\n2\n3\n4\n").map(drop)
        }),
        scenario("a_long_line_is_logged_whole", |session| {
            let name =
                session.start("c", &[BUSYBOX, "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo"])?;
            session.docker(&["wait", &name])?.says("0\n")?;
            let said = session.ask(&["logs", &name])?.ok()?;
            ensure(said.word().len() == 100_000, || format!("{} bytes were logged", said.word().len()))
        }),
        scenario("attach_sees_what_follows_and_the_exit_code", |session| {
            let script = "until [ -e /go ]; do sleep 0.02; done; echo followed; exit 7";
            let name = session.start("c", &[BUSYBOX, "sh", "-c", script])?;
            let attach = session.terminal(&["attach", "--no-stdin", &name])?;
            std::thread::sleep(std::time::Duration::from_millis(300));
            session.docker(&["exec", &name, "touch", "/go"])?.ok()?;
            attach.ends()?.exits(7)?.says("followed\n").map(drop)
        }),
        scenario("attach_gives_input", |session| {
            let name = session.start("c", &["-i", BUSYBOX, "sh", "-c", "read line; echo got $line"])?;
            session.engine().docker(&["attach", &name], Some(b"typed\n"))?;
            session.docker(&["wait", &name])?.says("0\n")?;
            session.docker(&["logs", &name])?.says("got typed\n").map(drop)
        }),
        scenario("attach_passes_a_signal_on", attach_passes_a_signal_on),
        scenario("log_driver_none", |session| {
            let name = session.start("c", &["--log-driver", "none", BUSYBOX, "echo", "x"])?;
            session.docker(&["wait", &name])?.says("0\n")?;
            session.docker(&["logs", &name])?.exits(1)?.complains("does not support reading").map(drop)
        }),
    ]
}

fn attach_passes_a_signal_on(session: &Session) -> Outcome {
    let name = session.name("c");
    let script = "trap 'echo caught; exit 11' TERM; echo ready; while :; do sleep 0.05; done";
    let args = session.with_runtime(&["run", "--name", &name], &[BUSYBOX, "sh", "-c", script]);
    let mut client = session.terminal(&args)?;
    client.awaits("ready")?;
    client.signal(nix::sys::signal::Signal::SIGTERM)?;
    session.close(client)?.exits(11)?.shows("caught\n").map(drop)
}
