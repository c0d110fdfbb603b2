//! What a kubelet runs in a container: probes, and hooks of its life.

use std::thread;

use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::process::until;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::{Stop, ensure};

use crate::kubelet::scenario;
use crate::messages::*;

/// gRPC's number.
const DEADLINE_EXCEEDED: i32 = 4;

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("exit_code", |kubelet| {
            let container = kubelet.pod("pod")?.idle("c")?;
            container.exec(&["true"])?.ok()?;
            container.shell("exit 42")?.exits(42)?;
            container.shell("kill -9 $$")?.exits(137).map(drop)
        }),
        scenario("stdout_and_stderr_stay_apart", |kubelet| {
            let container = kubelet.pod("pod")?.idle("c")?;
            container.shell("echo out; echo err >&2")?.ok()?.says("out\n")?.complains("err\n").map(drop)
        }),
        scenario("much_output", |kubelet| {
            let container = kubelet.pod("pod")?.idle("c")?;
            let said = container.ask(&["sh", "-c", "yes 0123456789 | head -c 3000000"])?.ok()?;
            ensure(said.stdout.len() == 3_000_000, || format!("{} bytes", said.stdout.len()))
        }),
        scenario("no_input", |kubelet| {
            let container = kubelet.pod("pod")?.idle("c")?;
            container.exec(&["cat"])?.ok()?.says("").map(drop)
        }),
        scenario("the_containers_surroundings", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["sleep", "1000"]);
            config.envs = vec![KeyValue { key: "ONE".into(), value: "1".into() }];
            config.working_dir = "/tmp".into();
            config.linux.security.run_as_user = Some(Number { value: 1000 });
            let container = pod.start_with(config)?;
            container.shell("pwd; echo $ONE; id; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; cat /proc/self/oom_score_adj")?.ok().map(drop)
        }),
        scenario("a_missing_command", |kubelet| {
            let container = kubelet.pod("pod")?.idle("c")?;
            let said = kubelet.refuses(&container.exec_request(&["nosuch"]))?;
            said.complains("\"nosuch\": executable file not found in $PATH")?;
            container.exec(&["echo", "here"])?.ok()?.says("here\n").map(drop)
        }),
        scenario("a_command_that_takes_too_long", |kubelet| {
            let container = kubelet.pod("pod")?.idle("c")?;
            let request = ExecSyncRequest { timeout: 1, ..container.exec_request(&["sleep", "3000"]) };
            kubelet.refuses(&request)?.exits(DEADLINE_EXCEEDED)?;
            until("the end of the process", 20, || {
                container.looks_for("sleep 3000").is_ok_and(|said| said.stdout.is_empty())
            })
        }),
        scenario("a_command_that_leaves_a_process", |kubelet| {
            let container = kubelet.pod("pod")?.idle("c")?;
            container.shell("sleep 3000 > /dev/null 2>&1 & echo started")?.ok()?.says("started\n")?;
            let seen = container.looks_for("sleep 3000")?;
            ensure(seen.stdout.lines().count() == 1, || seen.report())
        }),
        scenario("many_at_once", |kubelet| {
            let container = kubelet.pod("pod")?.idle("c")?;
            let engine = kubelet.engine;
            let failures: Vec<String> = thread::scope(|scope| {
                let clients: Vec<_> = (0..20)
                    .map(|number: i32| {
                        let script = format!("echo {number}; exit {number}");
                        let request = container.exec_request(&["sh", "-c", &script]);
                        scope.spawn(move || {
                            let answer = crate::client::Client::of(engine)?.call(&request);
                            let answer = answer.map_err(|refusal| Stop::failed(refusal.message))?;
                            let right = answer.exit_code == number
                                && answer.stdout == format!("{number}\n").into_bytes();
                            ensure(right, || format!("{number}: {answer:?}"))
                        })
                    })
                    .collect();
                let ends = clients.into_iter().map(|client| client.join());
                ends.filter(|end| !matches!(end, Ok(Ok(())))).map(|end| format!("{end:?}")).collect()
            });
            ensure(failures.is_empty(), || failures.join("\n"))
        }),
        scenario("the_containers_end_ends_it", |kubelet| {
            let container = kubelet.pod("pod")?.start("c", &["sh", "-c", "sleep 1; exit 6"])?;
            // Which code it has by which end is a matter of the moment.
            container.ask(&["sleep", "1000"])?;
            container.ends()?.exits(6).map(drop)
        }),
    ]
}
