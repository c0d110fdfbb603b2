//! A container's log in CRI's format.

use std::fs;

use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::{Stop, ensure};

use crate::kubelet::{entries, scenario};
use crate::messages::*;

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("both_streams", |kubelet| {
            let container = kubelet.pod("pod")?.start("c", &["sh", "-c", "echo out; echo err >&2"])?;
            container.ends()?.ok()?;
            // Each stream has a writer of its own.
            let log = container.logged()?;
            ensure(
                ["stdout F out\nstderr F err\n", "stderr F err\nstdout F out\n"].contains(&log.as_str()),
                || log,
            )
        }),
        scenario("a_line_without_an_end", |kubelet| {
            let container = kubelet.pod("pod")?.start("c", &["printf", "one\\n\\ntwo"])?;
            container.ends()?.ok()?;
            kubelet.note("the log", container.logged()?).map(drop)
        }),
        scenario("a_line_that_is_too_long", |kubelet| {
            let script = "head -c 40000 /dev/zero | tr '\\0' x; echo end";
            let container = kubelet.pod("pod")?.start("c", &["sh", "-c", script])?;
            container.ends()?.ok()?;
            let log = kubelet.note("the log", container.logged()?)?;
            log.shows("stdout P xxx")?.shows("xend\n").map(drop)
        }),
        scenario("all_of_a_short_life", |kubelet| {
            let pod = kubelet.pod("pod")?;
            for number in 0..5 {
                let container = pod.start(&format!("c{number}"), &["seq", "1000"])?;
                container.ends()?.ok()?;
                let expected: String = (1..=1000).map(|line| format!("stdout F {line}\n")).collect();
                kubelet.note("the log", container.logged()?)?.says(&expected)?;
            }
            Ok(())
        }),
        scenario("a_terminal", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["sh", "-c", "tty; echo err >&2; exit 3"]);
            config.tty = true;
            let container = pod.start_with(config)?;
            container.ends()?.exits(3)?;
            kubelet.note("the log", container.logged()?)?.shows("stdout F /dev/pts/0").map(drop)
        }),
        scenario("no_log", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["sh", "-c", "yes | head -c 1000000; exit 4"]);
            config.log_path.clear();
            pod.start_with(config)?.ends()?.exits(4).map(drop)
        }),
        scenario("rotation", |kubelet| {
            let script = "echo before; while [ ! -e /go ]; do sleep 0.1; done; echo after; sleep 1000";
            let container = kubelet.pod("pod")?.start("c", &["sh", "-c", script])?;
            container.logs("before")?;
            let old = container.log.with_extension("1");
            fs::rename(&container.log, &old).map_err(Stop::failed)?;
            kubelet.call(&ReopenContainerLogRequest { container_id: container.id.clone() })?;
            container.exec(&["touch", "/go"])?.ok()?;
            container.logs("after")?;
            let old = fs::read_to_string(&old).map_err(Stop::failed)?;
            kubelet.note("the old log", entries(&old)?)?.says("stdout F before\n")?;
            kubelet.note("the new log", container.logged()?)?.says("stdout F after\n")?;
            container.stop(0)?;
            kubelet.refuses(&ReopenContainerLogRequest { container_id: container.id.clone() }).map(drop)
        }),
        scenario("a_process_that_outlives_the_first", |kubelet| {
            let mut config = kubelet.pod_config("pod")?;
            config.linux.security.namespaces.pid = NamespaceMode::Pod.into();
            let pod = kubelet.run(config)?;
            let container = pod.start("c", &["sh", "-c", "sleep 1000 & echo out"])?;
            container.ends()?.ok()?;
            kubelet.note("the log", container.logged()?)?.says("stdout F out\n").map(drop)
        }),
    ]
}
