//! Limits, as the container's cgroup has them.

use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::{Outcome, ensure};
use spec_tests::view::View;

use crate::kubelet::{Container, scenario};
use crate::messages::*;

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("limits_from_the_start", |kubelet| {
            kubelet.needs_cgroup_v1()?;
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["sleep", "1000"]);
            config.linux.resources = Resources {
                cpu_period: 100_000,
                cpu_quota: 50_000,
                cpu_shares: 512,
                memory_limit_in_bytes: 64 << 20,
                cpuset_cpus: "0".into(),
                ..Resources::default()
            };
            let container = pod.start_with(config)?;
            has(&container, "memory", "memory.limit_in_bytes", "67108864")?;
            has(&container, "cpu", "cpu.cfs_quota_us", "50000")?;
            has(&container, "cpu", "cpu.cfs_period_us", "100000")?;
            has(&container, "cpu", "cpu.shares", "512")?;
            has(&container, "cpuset", "cpuset.cpus", "0")
        })
        .needs(&["cpu", "cpuset", "memory"]),
        scenario("limits_that_change", |kubelet| {
            kubelet.needs_cgroup_v1()?;
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["sleep", "1000"]);
            config.linux.resources.memory_limit_in_bytes = 64 << 20;
            config.linux.resources.cpu_shares = 512;
            let container = pod.start_with(config)?;
            let memory = |bytes| Resources { memory_limit_in_bytes: bytes, ..Resources::default() };
            kubelet.call(&container.update(memory(128 << 20)))?;
            has(&container, "memory", "memory.limit_in_bytes", "134217728")?;
            has(&container, "cpu", "cpu.shares", "512")?;
            kubelet.call(&container.update(memory(32 << 20)))?;
            has(&container, "memory", "memory.limit_in_bytes", "33554432")?;
            let cpu =
                Resources { cpu_quota: 20_000, cpu_period: 50_000, cpu_shares: 300, ..Resources::default() };
            kubelet.call(&container.update(cpu))?;
            has(&container, "cpu", "cpu.cfs_quota_us", "20000")?;
            has(&container, "cpu", "cpu.cfs_period_us", "50000")?;
            has(&container, "cpu", "cpu.shares", "300")?;
            has(&container, "memory", "memory.limit_in_bytes", "33554432")
        })
        .needs(&["cpu", "memory"]),
        scenario("limits_that_change_before_the_start", |kubelet| {
            kubelet.needs_cgroup_v1()?;
            let pod = kubelet.pod("pod")?;
            let container = pod.create(pod.container("c", &["sleep", "1000"]))?;
            kubelet.call(
                &container.update(Resources { memory_limit_in_bytes: 64 << 20, ..Resources::default() }),
            )?;
            container.start()?;
            has(&container, "memory", "memory.limit_in_bytes", "67108864")
        })
        .needs(&["memory"]),
        scenario("a_limit_that_the_kernel_refuses", |kubelet| {
            kubelet.needs_cgroup_v1()?;
            let pod = kubelet.pod("pod")?;
            let mut config = pod.container("c", &["sleep", "1000"]);
            config.linux.resources.cpu_shares = 512;
            let container = pod.start_with(config)?;
            let cpuset = Resources { cpuset_cpus: "4000".into(), ..Resources::default() };
            // The words are the runtime's own.
            kubelet.refusal(&container.update(cpuset))?.complains("failed to update resources")?;
            has(&container, "cpu", "cpu.shares", "512")
        })
        .needs(&["cpu", "cpuset"]),
        scenario("files_of_v2", |kubelet| {
            kubelet.needs_cgroup_v2()?;
            let pod = kubelet.pod("pod")?;
            let container = pod.idle("c")?;
            has(&container, "", "cgroup.type", "domain")?;
            has(&container, "", "cgroup.freeze", "0")?;
            container.exec(&["cat", "/proc/self/cgroup"])?.ok()?.says("0::/\n").map(drop)
        })
        .on(View::V2),
    ]
}

fn has(container: &Container, controller: &str, file: &str, expected: &str) -> Outcome {
    let found = container.cgroup_file(controller, file)?;
    ensure(found == expected, || format!("{file} is {found}, not {expected}"))
}
