//! The engine's default runtime: nobody names it, and it is used for everything.

use spec_tests::engine::Outcome;
use spec_tests::engine::case::{Case, On, case};
use spec_tests::engine::dockerd::Role;
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::seat::Seat;

use crate::limits::{MEMORY_LIMIT, PIDS_LIMIT};

pub fn cases() -> Vec<Case> {
    let cases = vec![
        case("info_names_it", |seat| {
            let said = seat.ask(&["info", "-f", "{{.DefaultRuntime}}"])?;
            said.ok()?.says(&format!("{}\n", seat.role().runtime())).map(drop)
        }),
        case("info_knows_its_path", |seat| {
            let format = format!("{{{{(index .Runtimes \"{}\").Path}}}}", seat.role().runtime());
            let path = match seat.role() {
                Role::Reference => "runc",
                Role::Tested => "/",
            };
            seat.ask(&["info", "-f", &format])?.ok()?.shows(path).map(drop)
        }),
        case("run", |seat| seat.run(&[BUSYBOX, "echo", "by default"])?.ok()?.says("by default\n").map(drop)),
        case("a_container_keeps_its_runtime", |seat| {
            let name = seat.create("c", &[BUSYBOX, "true"])?;
            let said = seat.ask(&["inspect", "-f", "{{.HostConfig.Runtime}}", &name])?;
            said.ok()?.says(&format!("{}\n", seat.role().runtime())).map(drop)
        }),
        case("run_with_many_options", |seat| {
            let flags = [
                "-m",
                "64m",
                "--cpus",
                "0.5",
                "--read-only",
                "--tmpfs",
                "/t",
                "--init",
                "--user",
                "alice",
                "-v",
                "/v",
            ];
            let script = format!("id -un; cat /proc/1/comm; touch /t/x && echo wrote; {MEMORY_LIMIT}");
            seat.run(&[&flags[..], &[BUSYBOX, "sh", "-c", &script]].concat())?
                .ok()?
                .says("alice\ndocker-init\nwrote\n67108864\n")
                .map(drop)
        })
        .needs(&["cpu", "memory"]),
        case("a_whole_life", a_whole_life).needs(&["pids"]),
    ];
    cases.into_iter().map(|case| case.on(On::DefaultRuntime)).collect()
}

fn a_whole_life(seat: &Seat) -> Outcome {
    let script = "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done";
    let name = seat.start("c", &[BUSYBOX, "sh", "-c", script])?;
    seat.wait_until(&["logs", &name], "up")?;
    seat.docker(&["exec", "-u", "alice", &name, "id"])?.ok()?.shows("uid=1000(alice)")?;
    seat.docker(&["pause", &name])?.ok()?;
    seat.docker(&["unpause", &name])?.ok()?;
    seat.docker(&["update", "--pids-limit", "50", &name])?.ok()?;
    seat.docker(&["exec", &name, "sh", "-c", PIDS_LIMIT])?.ok()?.says("50\n")?;
    seat.docker(&["stop", &name])?.ok()?;
    seat.docker(&["inspect", "-f", "{{.State.ExitCode}}", &name])?.says("5\n")?;
    seat.docker(&["rm", &name])?.ok().map(drop)
}
