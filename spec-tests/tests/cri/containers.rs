//! A container's life: what it is given, and the state, code and reason of each end.

use std::thread;

use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::{Outcome, Stop, ensure};

use crate::client::Client;
use crate::kubelet::{Container, scenario};
use crate::messages::*;

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    [lives(), ends(), stops(), memory()].into_iter().flatten().collect()
}

fn lives() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("created_running_exited", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let container = pod.create(pod.container("c", &["sleep", "1000"]))?;
            is(&container, State::Created)?;
            kubelet.refuses(&container.exec_request(&["true"]))?;
            container.start()?;
            is(&container, State::Running)?;
            kubelet.refuses(&StartContainerRequest { container_id: container.id.clone() })?;
            container.stop(0)?;
            is(&container, State::Exited)?;
            kubelet.refuses(&container.exec_request(&["true"]))?;
            kubelet.refuses(&StartContainerRequest { container_id: container.id.clone() })?;
            container.remove()?;
            container.remove()?;
            let container_id = container.id.clone();
            kubelet.refuses(&ContainerStatusRequest { container_id, verbose: false }).map(drop)
        }),
        scenario("events", |kubelet| {
            kubelet.needs_containerd([1, 7])?;
            let pod = kubelet.pod("pod")?;
            let events = thread::scope(|scope| {
                let follower = scope.spawn(|| events_of_a_container(kubelet.engine));
                // The follower may come too late for the first.
                for number in 0.. {
                    if follower.is_finished() {
                        break;
                    }
                    let container = pod.start(&format!("c{number}"), &["true"])?;
                    container.ends()?.ok()?;
                    container.remove()?;
                }
                follower.join().map_err(|_| Stop::failed("the follower panicked"))?
            })?;
            kubelet.note("events", format!("{events:?}")).map(drop)
        }),
        scenario("environment_and_directory", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["sh", "-c", "pwd; echo $ONE; env | grep -c ="]);
            config.envs = vec![KeyValue { key: "ONE".into(), value: "a b='c'".into() }];
            config.working_dir = "/tmp".into();
            let container = pod.start_with(config)?;
            container.ends()?.ok()?;
            kubelet.note("the log", container.logged()?)?.shows("stdout F /tmp\nstdout F a b='c'\n").map(drop)
        }),
        scenario("a_working_directory_that_is_not_there", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["pwd"]);
            config.working_dir = "/new/one".into();
            let container = pod.start_with(config)?;
            container.ends()?.ok()?;
            kubelet.note("the log", container.logged()?)?.says("stdout F /new/one\n").map(drop)
        }),
    ]
}

fn ends() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("completed", |kubelet| {
            kubelet.pod("pod")?.start("c", &["true"])?.ends()?.ok()?.says("Completed").map(drop)
        }),
        scenario("error", |kubelet| {
            kubelet.pod("pod")?.start("c", &["sh", "-c", "exit 3"])?.ends()?.exits(3)?.says("Error").map(drop)
        }),
        scenario("an_end_by_a_signal", |kubelet| {
            let container = kubelet.pod("pod")?.idle("c")?;
            kubelet.host(&format!("kill -9 {}", container.pid()?))?.ok()?;
            container.ends()?.exits(137)?.says("Error").map(drop)
        }),
        scenario("a_missing_command", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let container = pod.create(pod.container("c", &["nosuch"]))?;
            let said = kubelet.refuses(&StartContainerRequest { container_id: container.id.clone() })?;
            said.complains("\"nosuch\": executable file not found in $PATH")?;
            container.ends()?.exits(128)?.says("StartError").map(drop)
        }),
        scenario("a_command_that_may_not_be_executed", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let container = pod.create(pod.container("c", &["/etc/passwd"]))?;
            let said = kubelet.refuses(&StartContainerRequest { container_id: container.id.clone() })?;
            said.complains("permission denied")?;
            container.ends()?.exits(128)?.says("StartError").map(drop)
        }),
        scenario("a_source_of_a_mount_that_may_not_be_mounted", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["true"]);
            config.mounts = vec![Mount {
                host_path: "/etc".into(),
                container_path: "/etc/passwd".into(),
                ..Mount::default()
            }];
            let container = pod.create(config)?;
            kubelet.refuses(&StartContainerRequest { container_id: container.id.clone() })?;
            container.ends()?.exits(128)?.says("StartError").map(drop)
        }),
    ]
}

fn stops() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("a_container_that_follows_the_first_signal", |kubelet| {
            let script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.1; done";
            let container = kubelet.pod("pod")?.start("c", &["sh", "-c", script])?;
            container.logs("ready")?;
            container.stop(60)?;
            container.ends()?.exits(5)?.says("Error")?;
            kubelet.note("the log", container.logged()?)?.says("stdout F ready\nstdout F bye\n").map(drop)
        }),
        scenario("a_container_that_does_not", |kubelet| {
            let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
            let container = kubelet.pod("pod")?.start("c", &["sh", "-c", script])?;
            container.logs("ready")?;
            container.stop(1)?;
            container.ends()?.exits(137)?.says("Error").map(drop)
        }),
        scenario("a_container_that_never_ran", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let container = pod.create(pod.container("c", &["true"]))?;
            container.stop(0)?;
            is(&container, State::Created)?;
            container.remove()
        }),
        scenario("a_container_that_has_ended", |kubelet| {
            let container = kubelet.pod("pod")?.start("c", &["true"])?;
            container.ends()?.ok()?;
            container.stop(10)?;
            container.ends()?.ok().map(drop)
        }),
        scenario("a_running_container_is_removed", |kubelet| {
            let container = kubelet.pod("pod")?.idle("c")?;
            container.remove()?;
            let container_id = container.id.clone();
            kubelet.refuses(&ContainerStatusRequest { container_id, verbose: false }).map(drop)
        }),
    ]
}

fn memory() -> Vec<Scenario<Containerd>> {
    const LIMIT: i64 = 32 << 20;
    vec![
        scenario("a_container_that_needs_too_much_memory", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["tail", "-c", "200m", "/dev/zero"]);
            config.linux.resources.memory_limit_in_bytes = LIMIT;
            pod.start_with(config)?.ends_by_oom(137)
        })
        .needs(&["memory"]),
        scenario("a_child_that_needs_too_much_memory", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let script = "tail -c 200m /dev/zero; echo $?; exit 9";
            let mut config = pod.container("c", &["sh", "-c", script]);
            config.linux.resources.memory_limit_in_bytes = LIMIT;
            let container = pod.start_with(config)?;
            container.ends_by_oom(9)?;
            let log = container.logged()?;
            ensure(log.contains("stdout F 137\n"), || log)
        })
        .needs(&["memory"]),
        scenario("an_exec_that_needs_too_much_memory", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["sleep", "1000"]);
            config.linux.resources.memory_limit_in_bytes = LIMIT;
            let container = pod.start_with(config)?;
            container.shell("tail -c 200m /dev/zero")?.exits(137)?;
            is(&container, State::Running)
        })
        .needs(&["memory"]),
    ]
}

fn is(container: &Container, state: State) -> Outcome {
    let status = container.status()?;
    ensure(status.state() == state, || format!("the container is {:?}, not {state:?}", status.state()))
}

/// The events of the first container of which the first one was seen, until the last.
fn events_of_a_container(containerd: &Containerd) -> Outcome<Vec<EventType>> {
    let (mut id, mut events) = (None, Vec::new());
    let followed = Client::of(containerd)?.follow(&GetEventsRequest {}, |event| {
        if event.event_type() == EventType::Created && id.is_none() {
            id = Some(event.container_id.clone());
        }
        if id.as_ref() == Some(&event.container_id) {
            events.push(event.event_type());
        }
        events.last() == Some(&EventType::Deleted)
    });
    followed.map(|()| events).map_err(|refusal| Stop::failed(refusal.message))
}
