//! Readings of containers and pods, as they come out of CRI.

use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::{Outcome, ensure};
use spec_tests::view::View;

use crate::kubelet::{Container, Kubelet, scenario};
use crate::messages::*;

const LIMIT: i64 = 64 << 20;

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("of_a_container_on_v1", of_a_container).needs(&["cpu", "memory"]),
        scenario("of_a_container_on_v2", |kubelet| {
            kubelet.needs_cgroup_v2()?;
            of_a_container(kubelet)
        })
        .on(View::V2),
        scenario("of_a_pod_on_v1", of_a_pod).needs(&["cpu", "memory"]),
        scenario("of_a_pod_on_v2", |kubelet| {
            kubelet.needs_cgroup_v2()?;
            of_a_pod(kubelet)
        })
        .on(View::V2),
        scenario("of_a_container_that_has_ended", |kubelet| {
            let container = kubelet.pod("pod")?.start("c", &["true"])?;
            container.ends()?.ok()?;
            kubelet.refuses(&ContainerStatsRequest { container_id: container.id.clone() }).map(drop)
        }),
    ]
}

fn of_a_container(kubelet: &Kubelet) -> Outcome {
    let pod = kubelet.pod("pod")?;
    let container = busy(&pod)?;
    container.logs("done")?;
    let first = container.stats()?;
    container.shell("head -c 50000000 /dev/urandom > /dev/null")?.ok()?;
    let second = container.stats()?;
    kubelet.note("values", fields(first.cpu, first.memory))?;
    let nanoseconds = |stats: &ContainerStats| number(stats.cpu.and_then(|cpu| cpu.usage_core_nano_seconds));
    let (before, after) = (nanoseconds(&first), nanoseconds(&second));
    ensure(before > 0 && after > before, || format!("{before} ns of processor, and later {after}"))?;
    plausible(&second.memory.unwrap_or_default(), LIMIT)
}

fn of_a_pod(kubelet: &Kubelet) -> Outcome {
    let pod = kubelet.pod("pod")?;
    busy(&pod)?.logs("done")?;
    pod.idle("idle")?;
    let stats = pod.stats()?;
    let count = stats.process.and_then(|process| process.process_count);
    kubelet.note("containers, processes", format!("{} {count:?}", stats.containers.len()))?;
    kubelet.note("the pod's values", fields(stats.cpu, stats.memory))?;
    ensure(stats.containers.len() == 2, || format!("{} containers", stats.containers.len()))?;
    // They come in no order.
    let mut of_containers: Vec<_> = stats.containers.iter().map(|it| fields(it.cpu, it.memory)).collect();
    of_containers.sort_unstable();
    kubelet.note("the containers' values", of_containers.join("\n"))?;
    plausible(&stats.memory.unwrap_or_default(), 4 * LIMIT)
}

/// A container with a limit, which has used some processor and memory once it has said so.
fn busy<'a>(pod: &crate::kubelet::Pod<'a>) -> Outcome<Container<'a>> {
    let script = "head -c 5000000 /dev/urandom > /tmp/file; echo done; sleep 1000";
    let mut config = pod.container("busy", &["sh", "-c", script]);
    config.linux.resources.memory_limit_in_bytes = LIMIT;
    pod.start_with(config)
}

/// Which values there are, and which of them are not nought.
fn fields(cpu: Option<CpuUsage>, memory: Option<MemoryUsage>) -> String {
    let (cpu, memory) = (cpu.unwrap_or_default(), memory.unwrap_or_default());
    let kind = |number: Option<Number>| match number {
        None => "none",
        Some(Number { value: 0 }) => "nought",
        Some(_) => "some",
    };
    let fields = [
        ("processor", cpu.usage_core_nano_seconds),
        ("working set", memory.working_set_bytes),
        ("available", memory.available_bytes),
        ("usage", memory.usage_bytes),
        ("resident", memory.rss_bytes),
        ("faults", memory.page_faults),
    ];
    fields.map(|(name, value)| format!("{name}: {}\n", kind(value))).concat()
}

fn plausible(memory: &MemoryUsage, limit: i64) -> Outcome {
    let (usage, set) = (number(memory.usage_bytes), number(memory.working_set_bytes));
    let right = 0 < set && set <= usage && usage <= limit;
    ensure(right, || format!("a working set of {set} in {usage} of {limit} bytes"))
}

fn number(number: Option<Number>) -> i64 {
    number.unwrap_or_default().value
}
