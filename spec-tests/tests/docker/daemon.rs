//! What becomes of containers when the daemon stops, dies and starts again.

use nix::sys::signal::Signal;
use spec_tests::engine::case::{Case, On, case};
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::process::until;
use spec_tests::engine::seat::Seat;
use spec_tests::engine::{Outcome, ensure};

use crate::limits::MEMORY_LIMIT;

pub fn cases() -> Vec<Case> {
    let live = On::ItsOwn { live_restore: true };
    let plain = On::ItsOwn { live_restore: false };
    vec![
        case("live_restore_over_a_restart", |seat| live_restore(seat, Signal::SIGTERM))
            .needs(&["memory", "pids"])
            .on(live),
        case("live_restore_over_a_crash", |seat| live_restore(seat, Signal::SIGKILL))
            .needs(&["memory", "pids"])
            .on(live),
        case("live_restore_notices_an_end_that_it_missed", live_restore_notices_an_end).on(live),
        case("live_restore_of_a_paused_container", live_restore_of_a_paused).on(live),
        case("without_live_restore_containers_stop", containers_stop).on(plain),
        case("without_live_restore_a_crash_leaves_nothing_running", a_crash_leaves_nothing_running).on(plain),
    ]
}

/// Counts, so that one sees whether it went on or began anew.
const COUNT: &str = "trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done";

fn live_restore(seat: &Seat, signal: Signal) -> Outcome {
    let name = seat.start("c", &["-m", "64m", BUSYBOX, "sh", "-c", COUNT])?;
    seat.wait_until(&["logs", &name], "3\n")?;
    let pid = seat.pid(&name)?;
    seat.engine().stop_daemon(signal)?;
    seat.host(&format!("test -d /proc/{pid} && echo goes on"))?
        .ok()?
        .says("goes on\n")
        .map_err(|_| gone(&pid))?;
    seat.engine().start_daemon()?;
    let same = seat.pid(&name)? == pid;
    ensure(same, || "the container was started anew".into())?;
    let count = seat.ask(&["logs", &name])?.stdout.lines().count();
    until("the logs to go on", 10, || {
        seat.ask(&["logs", &name]).is_ok_and(|said| said.stdout.lines().count() > count)
    })?;
    seat.docker(&["exec", &name, "sh", "-c", MEMORY_LIMIT])?.ok()?.says("67108864\n")?;
    seat.docker(&["update", "--pids-limit", "40", &name])?.ok()?;
    seat.docker(&["pause", &name])?.ok()?;
    seat.docker(&["unpause", &name])?.ok()?;
    seat.docker(&["stop", &name])?.ok()?;
    seat.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &name])?
        .says("exited 7\n")
        .map(drop)
}

fn gone(pid: &str) -> spec_tests::engine::Stop {
    spec_tests::engine::Stop::failed(format!("process {pid} ended with the daemon"))
}

fn live_restore_notices_an_end(seat: &Seat) -> Outcome {
    let name = seat.start("c", &[BUSYBOX, "sh", "-c", COUNT])?;
    seat.wait_until(&["logs", &name], "2\n")?;
    let pid = seat.pid(&name)?;
    seat.engine().stop_daemon(Signal::SIGKILL)?;
    seat.engine().machine().shell(&format!("kill -TERM {pid}"))?.ok()?;
    until("the process to end", 10, || !std::path::Path::new("/proc").join(&pid).join("root/bin").exists())?;
    seat.engine().start_daemon()?;
    seat.wait_until(&["inspect", "-f", "{{.State.Status}}", &name], "exited")?;
    seat.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &name])?.ok()?;
    seat.docker(&["start", &name])?.ok()?;
    seat.docker(&["rm", "-f", &name])?.ok().map(drop)
}

fn live_restore_of_a_paused(seat: &Seat) -> Outcome {
    let name = seat.start("c", &[BUSYBOX, "sh", "-c", COUNT])?;
    seat.wait_until(&["logs", &name], "2\n")?;
    seat.docker(&["pause", &name])?.ok()?;
    seat.engine().stop_daemon(Signal::SIGKILL)?;
    seat.engine().start_daemon()?;
    seat.docker(&["inspect", "-f", "{{.State.Status}}", &name])?.says("paused\n")?;
    seat.docker(&["unpause", &name])?.ok()?;
    seat.docker(&["exec", &name, "echo", "awake"])?.ok()?.says("awake\n").map(drop)
}

fn containers_stop(seat: &Seat) -> Outcome {
    let stopped = seat.start("stopped", &[BUSYBOX, "sh", "-c", COUNT])?;
    let script = "echo run; trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let restarted = seat.start("restarted", &["--restart", "always", BUSYBOX, "sh", "-c", script])?;
    seat.wait_until(&["logs", &stopped], "2\n")?;
    seat.wait_until(&["logs", &restarted], "run\n")?;
    let pid = seat.pid(&stopped)?;
    seat.engine().stop_daemon(Signal::SIGTERM)?;
    seat.host(&format!("test -d /proc/{pid} || echo ended"))?.ok()?.says("ended\n")?;
    seat.engine().start_daemon()?;
    seat.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &stopped])?.says("exited 7\n")?;
    seat.wait_until(&["logs", &restarted], "run\nrun\n")?;
    seat.docker(&["start", &stopped])?.ok()?;
    seat.docker(&["kill", &stopped])?.ok().map(drop)
}

fn a_crash_leaves_nothing_running(seat: &Seat) -> Outcome {
    let name = seat.start("c", &[BUSYBOX, "sh", "-c", COUNT])?;
    let pid = seat.pid(&name)?;
    seat.engine().stop_daemon(Signal::SIGKILL)?;
    seat.engine().start_daemon()?;
    seat.wait_until(&["inspect", "-f", "{{.State.Running}}", &name], "false")?;
    until("the process to end", 10, || !std::path::Path::new("/proc").join(&pid).exists())?;
    seat.docker(&["start", &name])?.ok()?;
    seat.docker(&["rm", "-f", &name])?.ok().map(drop)
}
