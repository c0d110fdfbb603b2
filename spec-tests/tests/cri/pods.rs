//! A pod's life: one shim for all of it, what its containers share, and how it ends.

use std::fs;

use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::process::until;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::{Outcome, ensure};

use crate::kubelet::{Pod, parent, scenario};
use crate::messages::*;

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    [together(), ends()].into_iter().flatten().collect()
}

fn together() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("one_shim_serves_a_pod", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let (one, two) = (pod.idle("one")?, pod.idle("two")?);
            let shim = pod.shim()?;
            for pid in [one.pid()?, two.pid()?] {
                ensure(parent(pid)? == shim, || format!("{pid} is no child of the shim {shim}"))?;
            }
            let name = fs::read_to_string(format!("/proc/{shim}/comm")).unwrap_or_default();
            ensure(name.starts_with("containerd-shim"), || format!("the parent is {name}"))
        }),
        scenario("two_pods_have_two_shims", |kubelet| {
            let (one, two) = (kubelet.pod("one")?, kubelet.pod("two")?);
            ensure(one.shim()? != two.shim()?, || "both pods have one shim".into())
        }),
        scenario("a_container_that_ends_leaves_the_others", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let (stays, goes) = (pod.idle("stays")?, pod.start("goes", &["true"])?);
            goes.ends()?.ok()?;
            goes.remove()?;
            stays.exec(&["echo", "here"])?.ok()?.says("here\n")?;
            pod.start("again", &["sh", "-c", "exit 2"])?.ends()?.exits(2).map(drop)
        }),
        scenario("containers_start_side_by_side", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let containers: Outcome<Vec<_>> = (0..6)
                .map(|number| pod.create(pod.container(&format!("c{number}"), &["sleep", "1000"])))
                .collect();
            let containers = containers?;
            containers.iter().try_for_each(|container| container.start())?;
            for container in &containers {
                container.exec(&["hostname"])?.ok()?.says("pod-host\n")?;
            }
            Ok(())
        }),
        scenario("the_pod_has_its_address_and_hostname", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let container = pod.idle("c")?;
            let address = pod.status()?.network.unwrap_or_default().ip;
            container.ask(&["ip", "address", "show", "eth0"])?.ok()?.shows(&address)?;
            container.exec(&["hostname"])?.ok()?.says("pod-host\n").map(drop)
        }),
        scenario("containers_meet_at_the_loopback", |kubelet| {
            let pod = kubelet.pod("pod")?;
            pod.start("server", &["nc", "-ll", "-p", "8080", "-e", "echo", "hello"])?;
            let client = pod.idle("client")?;
            let asks = || client.ask(&["nc", "127.0.0.1", "8080"]);
            until("the server", 20, || asks().is_ok_and(|said| said.stdout == "hello\n"))
        }),
        scenario("pods_meet_on_their_network", |kubelet| {
            let (one, two) = (kubelet.pod("one")?, kubelet.pod("two")?);
            one.start("server", &["nc", "-ll", "-p", "8080", "-e", "echo", "hello"])?;
            let address = one.status()?.network.unwrap_or_default().ip;
            let client = two.idle("client")?;
            let asks = || client.ask(&["nc", &address, "8080"]);
            until("the server", 20, || asks().is_ok_and(|said| said.stdout == "hello\n"))
        }),
    ]
}

fn ends() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("a_pod_is_ready_until_it_is_stopped", |kubelet| {
            let pod = kubelet.pod("pod")?;
            is(&pod, PodState::Ready)?;
            pod.stop()?;
            is(&pod, PodState::NotReady)?;
            // A kubelet stops again what it isn't sure of.
            pod.stop()?;
            pod.remove()?;
            pod.remove()
        }),
        scenario("a_stopped_pod_has_no_running_container", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let (one, two) = (pod.idle("one")?, pod.start("two", &["true"])?);
            two.ends()?.ok()?;
            pod.stop()?;
            one.ends()?.exits(137)?.says("Error")?;
            two.ends()?.ok()?.says("Completed")?;
            kubelet.refuses(&one.exec_request(&["true"]))?;
            pod.remove()
        }),
        scenario("a_pod_goes_with_what_runs_in_it", |kubelet| {
            let pod = kubelet.pod("pod")?;
            pod.idle("one")?;
            pod.create(pod.container("two", &["true"]))?;
            pod.start("three", &["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])?;
            pod.remove()
        }),
        scenario("a_pod_whose_first_process_is_killed_is_not_ready", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let container = pod.idle("c")?;
            kubelet.kill(pod.pid()?)?;
            pod.awaits(PodState::NotReady)?;
            // The container has a pid namespace of its own.
            container.exec(&["echo", "here"])?.ok()?.says("here\n").map(drop)
        }),
    ]
}

fn is(pod: &Pod, state: PodState) -> Outcome {
    let status = pod.status()?;
    ensure(status.state() == state, || format!("the pod is {:?}, not {state:?}", status.state()))
}
