//! The engine's default runtime: no command names it, and it is used for everything.

use spec_tests::engine::Outcome;
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::{On, Scenario, scenario};
use spec_tests::engine::session::Session;

use crate::limits::{MEMORY_LIMIT, PIDS_LIMIT};

pub fn scenarios() -> Vec<Scenario> {
    let scenarios = vec![
        scenario("info_names_it", |session| {
            let said = session.ask(&["info", "-f", "{{.DefaultRuntime}}"])?;
            said.ok()?.says(&format!("{}\n", session.runtime())).map(drop)
        }),
        scenario("info_knows_its_path", |session| {
            let format = format!("{{{{json (index .Runtimes \"{}\")}}}}", session.runtime());
            let said = session.ask(&["info", "-f", &format])?.ok()?;
            match session.role() {
                Role::Reference => said.shows(r#""path":"runc""#).map(drop),
                Role::Tested => said.shows(session.engine().tested_in_info()).map(drop),
            }
        }),
        scenario("run", |session| {
            session.run(&[BUSYBOX, "echo", "by default"])?.ok()?.says("by default\n").map(drop)
        }),
        scenario("a_container_keeps_its_runtime", |session| {
            let name = session.create("c", &[BUSYBOX, "true"])?;
            let said = session.ask(&["inspect", "-f", "{{.HostConfig.Runtime}}", &name])?;
            said.ok()?.says(&format!("{}\n", session.runtime())).map(drop)
        }),
        scenario("run_with_many_options", |session| {
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
            session
                .run(&[&flags[..], &[BUSYBOX, "sh", "-c", &script]].concat())?
                .ok()?
                .says("alice\ndocker-init\nwrote\n67108864\n")
                .map(drop)
        })
        .needs(&["cpu", "memory"]),
        scenario("a_whole_life", a_whole_life).needs(&["pids"]),
    ];
    scenarios.into_iter().map(|scenario| scenario.on(On::DefaultRuntime)).collect()
}

fn a_whole_life(session: &Session) -> Outcome {
    let script = "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done";
    let name = session.start("c", &[BUSYBOX, "sh", "-c", script])?;
    session.wait_until(&["logs", &name], "up")?;
    session.docker(&["exec", "-u", "alice", &name, "id"])?.ok()?.shows("uid=1000(alice)")?;
    session.docker(&["pause", &name])?.ok()?;
    session.docker(&["unpause", &name])?.ok()?;
    session.docker(&["update", "--pids-limit", "50", &name])?.ok()?;
    session.docker(&["exec", &name, "sh", "-c", PIDS_LIMIT])?.ok()?.says("50\n")?;
    session.docker(&["stop", &name])?.ok()?;
    session.docker(&["inspect", "-f", "{{.State.ExitCode}}", &name])?.says("5\n")?;
    session.docker(&["rm", &name])?.ok().map(drop)
}
