//! What becomes of containers when the daemon stops, dies and starts again.

use nix::sys::signal::Signal;
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::process::until;
use spec_tests::engine::scenario::{On, Scenario, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, ensure};

use crate::limits::MEMORY_LIMIT;

pub fn scenarios() -> Vec<Scenario> {
    let live = On::ItsOwn { live_restore: true };
    let plain = On::ItsOwn { live_restore: false };
    vec![
        scenario("live_restore_over_a_restart", |session| live_restore(session, Signal::SIGTERM))
            .needs(&["memory", "pids"])
            .on(live),
        scenario("live_restore_over_a_crash", |session| live_restore(session, Signal::SIGKILL))
            .needs(&["memory", "pids"])
            .on(live),
        scenario("live_restore_notices_an_end_that_it_missed", live_restore_notices_an_end).on(live),
        scenario("live_restore_of_a_paused_container", live_restore_of_a_paused).on(live),
        scenario("without_live_restore_containers_stop", containers_stop).on(plain),
        scenario("without_live_restore_a_crash_leaves_nothing_running", a_crash_leaves_nothing_running)
            .on(plain),
    ]
}

/// A container that counts, which shows whether it went on or began anew.
const COUNT: &str = "trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done";

fn live_restore(session: &Session, signal: Signal) -> Outcome {
    let name = session.start("c", &["-m", "64m", BUSYBOX, "sh", "-c", COUNT])?;
    session.wait_until(&["logs", &name], "3\n")?;
    let pid = session.pid(&name)?;
    session.engine().stop_daemon(signal)?;
    session
        .host(&format!("test -d /proc/{pid} && echo goes on"))?
        .ok()?
        .says("goes on\n")
        .map_err(|_| gone(&pid))?;
    session.engine().start_daemon()?;
    let same = session.pid(&name)? == pid;
    ensure(same, || "the container was started anew".into())?;
    let count = session.ask(&["logs", &name])?.stdout.lines().count();
    until("the logs to go on", 10, || {
        session.ask(&["logs", &name]).is_ok_and(|said| said.stdout.lines().count() > count)
    })?;
    session.docker(&["exec", &name, "sh", "-c", MEMORY_LIMIT])?.ok()?.says("67108864\n")?;
    session.docker(&["update", "--pids-limit", "40", &name])?.ok()?;
    session.docker(&["pause", &name])?.ok()?;
    session.docker(&["unpause", &name])?.ok()?;
    session.docker(&["stop", &name])?.ok()?;
    session
        .docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &name])?
        .says("exited 7\n")
        .map(drop)
}

fn gone(pid: &str) -> spec_tests::engine::Stop {
    spec_tests::engine::Stop::failed(format!("process {pid} ended with the daemon"))
}

fn live_restore_notices_an_end(session: &Session) -> Outcome {
    let name = session.start("c", &[BUSYBOX, "sh", "-c", COUNT])?;
    session.wait_until(&["logs", &name], "2\n")?;
    let pid = session.pid(&name)?;
    session.engine().stop_daemon(Signal::SIGKILL)?;
    session.machine().shell(&format!("kill -TERM {pid}"))?.ok()?;
    until("the process to end", 10, || !std::path::Path::new("/proc").join(&pid).join("root/bin").exists())?;
    session.engine().start_daemon()?;
    session.wait_until(&["inspect", "-f", "{{.State.Status}}", &name], "exited")?;
    session.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &name])?.ok()?;
    session.docker(&["start", &name])?.ok()?;
    session.docker(&["rm", "-f", &name])?.ok().map(drop)
}

fn live_restore_of_a_paused(session: &Session) -> Outcome {
    let name = session.start("c", &[BUSYBOX, "sh", "-c", COUNT])?;
    session.wait_until(&["logs", &name], "2\n")?;
    session.docker(&["pause", &name])?.ok()?;
    session.engine().stop_daemon(Signal::SIGKILL)?;
    session.engine().start_daemon()?;
    session.docker(&["inspect", "-f", "{{.State.Status}}", &name])?.says("paused\n")?;
    session.docker(&["unpause", &name])?.ok()?;
    session.docker(&["exec", &name, "echo", "awake"])?.ok()?.says("awake\n").map(drop)
}

fn containers_stop(session: &Session) -> Outcome {
    let stopped = session.start("stopped", &[BUSYBOX, "sh", "-c", COUNT])?;
    let script = "echo run; trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let restarted = session.start("restarted", &["--restart", "always", BUSYBOX, "sh", "-c", script])?;
    session.wait_until(&["logs", &stopped], "2\n")?;
    session.wait_until(&["logs", &restarted], "run\n")?;
    let pid = session.pid(&stopped)?;
    session.engine().stop_daemon(Signal::SIGTERM)?;
    session.host(&format!("test -d /proc/{pid} || echo ended"))?.ok()?.says("ended\n")?;
    session.engine().start_daemon()?;
    session
        .docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &stopped])?
        .says("exited 7\n")?;
    session.wait_until(&["logs", &restarted], "run\nrun\n")?;
    session.docker(&["start", &stopped])?.ok()?;
    session.docker(&["kill", &stopped])?.ok().map(drop)
}

fn a_crash_leaves_nothing_running(session: &Session) -> Outcome {
    let name = session.start("c", &[BUSYBOX, "sh", "-c", COUNT])?;
    let pid = session.pid(&name)?;
    session.engine().stop_daemon(Signal::SIGKILL)?;
    session.engine().start_daemon()?;
    session.wait_until(&["inspect", "-f", "{{.State.Running}}", &name], "false")?;
    until("the process to end", 10, || !std::path::Path::new("/proc").join(&pid).exists())?;
    session.docker(&["start", &name])?.ok()?;
    session.docker(&["rm", "-f", &name])?.ok().map(drop)
}
