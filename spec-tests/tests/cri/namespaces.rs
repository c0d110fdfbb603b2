//! Which namespaces a container shares with its pod, with another container, and with the host.

use std::fs;

use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::{Outcome, Stop, ensure};

use crate::kubelet::{Kubelet, scenario};
use crate::messages::*;

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("shared_with_the_pod", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let (pause, container) = (pod.pid()?, pod.idle("c")?.pid()?);
            for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
                let shared = namespace(pause, kind)? == namespace(container, kind)?;
                kubelet.note(&format!("is {kind} shared?"), shared.to_string())?;
            }
            Ok(())
        }),
        scenario("a_pid_namespace_of_the_pod", |kubelet| {
            let pod = kubelet.run(with_pid(kubelet, NamespaceMode::Pod)?)?;
            let (one, two) = (pod.idle("one")?, pod.start("two", &["sleep", "2000"])?);
            one.shell("tr '\\0' ' ' < /proc/1/cmdline")?.ok()?.says("/bin/tail -f /dev/null ")?;
            let seen = one.looks_for("sleep 2000")?;
            ensure(seen.stdout.lines().count() == 1, || seen.report())?;
            // The first process of a container that has no pid namespace of its own follows signals.
            one.exec(&["kill", seen.word()])?.ok()?;
            two.ends()?.exits(143)?.says("Error").map(drop)
        }),
        scenario("orphans_in_a_pid_namespace_of_the_pod", |kubelet| {
            let pod = kubelet.run(with_pid(kubelet, NamespaceMode::Pod)?)?;
            let container = pod.start("c", &["sh", "-c", "sleep 3000 & exit 4"])?;
            container.ends()?.exits(4)?;
            let other = pod.idle("other")?;
            // The container's processes end with its first one.
            other.sees("sleep 3000")?.says("").map(drop)
        }),
        scenario("a_pid_namespace_of_another_container", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let target = pod.start("target", &["sleep", "2000"])?;
            let mut config = pod.container("debug", &["sleep", "1000"]);
            config.linux.security.namespaces.pid = NamespaceMode::Target.into();
            config.linux.security.namespaces.target_id = target.id.clone();
            let debug = pod.start_with(config)?;
            debug.shell("tr '\\0' ' ' < /proc/1/cmdline")?.ok()?.says("sleep 2000 ")?;
            debug.stop(0)?;
            debug.ends()?.exits(137)?;
            target.exec(&["echo", "here"])?.ok()?.says("here\n").map(drop)
        }),
        scenario("the_end_of_a_container_whose_pid_namespace_another_has", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let target = pod.idle("target")?;
            let mut config = pod.container("debug", &["sleep", "1000"]);
            config.linux.security.namespaces.pid = NamespaceMode::Target.into();
            config.linux.security.namespaces.target_id = target.id.clone();
            let debug = pod.start_with(config)?;
            target.stop(0)?;
            target.ends()?.exits(137)?;
            debug.ends()?.exits(137).map(drop)
        }),
        scenario("the_hosts_pid_namespace", |kubelet| {
            let pod = kubelet.run(with_pid(kubelet, NamespaceMode::Node)?)?;
            let container = pod.start("c", &["sh", "-c", "sleep 3000 & sleep 1000"])?;
            ensure(
                namespace(container.pid()?, "pid")? == namespace(std::process::id() as i32, "pid")?,
                || "a pid namespace of its own".into(),
            )?;
            container.stop(0)?;
            container.ends()?.exits(137)?;
            let cgroup = container.cgroup_file("pids", "cgroup.procs");
            ensure(cgroup.is_err() || cgroup.is_ok_and(|pids| pids.is_empty()), || "a process stays".into())
        }),
        scenario("the_hosts_network_and_ipc", |kubelet| {
            let mut config = kubelet.pod_config("pod")?;
            config.hostname.clear();
            let namespaces = &mut config.linux.security.namespaces;
            (namespaces.network, namespaces.ipc) = (NamespaceMode::Node.into(), NamespaceMode::Node.into());
            let pod = kubelet.run(config)?;
            let container = pod.idle("c")?;
            container.exec(&["hostname"])?.ok()?.says("engine-host\n")?;
            for kind in ["ipc", "net"] {
                let its = namespace(container.pid()?, kind)?;
                let hosts = kubelet.host(&format!("readlink /proc/self/ns/{kind}"))?.ok()?;
                ensure(its == hosts.word(), || format!("a {kind} namespace of its own"))?;
            }
            Ok(())
        }),
        scenario("sysctls", |kubelet| {
            let mut config = kubelet.pod_config("pod")?;
            let set = [("net.ipv4.ip_local_port_range", "1024 2000"), ("kernel.shm_rmid_forced", "1")];
            config.linux.sysctls = set.map(|(name, value)| (name.into(), value.into())).into();
            let container = kubelet.run(config)?.idle("c")?;
            container.exec(&["cat", "/proc/sys/net/ipv4/ip_local_port_range"])?.ok()?.says("1024\t2000\n")?;
            container.exec(&["cat", "/proc/sys/kernel/shm_rmid_forced"])?.ok()?.says("1\n").map(drop)
        }),
        scenario("user_namespaces", |kubelet| {
            kubelet.needs_containerd([2, 0])?;
            let mapping = IdMapping { host_id: 200_000, container_id: 0, length: 65_536 };
            let user =
                UserNamespace { mode: NamespaceMode::Pod.into(), uids: vec![mapping], gids: vec![mapping] };
            let mut config = kubelet.pod_config("pod")?;
            config.linux.security.namespaces.user = Some(user);
            let pod = kubelet.run(config)?;
            let container = pod.idle("c")?;
            container.exec(&["cat", "/proc/self/uid_map", "/proc/self/gid_map"])?.ok()?;
            container.exec(&["stat", "-c", "%u %g", "/bin/sh", "/etc/passwd"])?.ok()?;
            container
                .shell("touch /new && stat -c '%u %g' /new; echo error >&2; echo > /dev/stderr")?
                .ok()?;
            container.logged().map(drop)
        }),
    ]
}

fn with_pid(kubelet: &Kubelet, mode: NamespaceMode) -> Outcome<PodConfig> {
    let mut config = kubelet.pod_config("pod")?;
    config.linux.security.namespaces.pid = mode.into();
    Ok(config)
}

fn namespace(pid: i32, kind: &str) -> Outcome<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).map_err(Stop::failed)?;
    Ok(link.display().to_string())
}
