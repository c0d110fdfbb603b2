//! A shim that is killed under its pod, and a containerd that starts anew over running pods.

use nix::sys::signal::Signal;
use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::{Outcome, ensure};

use crate::kubelet::{Kubelet, scenario, scenario_with_daemon};
use crate::messages::*;

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("the_shim_is_killed", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let (one, two) = (pod.idle("one")?, pod.idle("two")?);
            let processes = [pod.pid()?, one.pid()?, two.pid()?];
            kubelet.kill(pod.shim()?)?;
            pod.awaits(PodState::NotReady)?;
            one.ends()?;
            two.ends()?;
            if kubelet.leaves_nothing() {
                processes.into_iter().try_for_each(|pid| kubelet.awaits_end(pid))?;
            }
            kubelet.refuses(&one.exec_request(&["true"])).map(drop)
        }),
        scenario("the_shim_is_killed_after_an_end", |kubelet| {
            let pod = kubelet.pod("pod")?;
            let container = pod.start("c", &["sh", "-c", "exit 7"])?;
            container.ends()?.exits(7)?;
            kubelet.kill(pod.shim()?)?;
            pod.awaits(PodState::NotReady)?;
            container.ends()?.exits(7).map(drop)
        }),
        scenario_with_daemon("containerd_ends_and_starts", |kubelet| over(kubelet, Signal::SIGTERM)),
        scenario_with_daemon("containerd_is_killed_and_starts", |kubelet| over(kubelet, Signal::SIGKILL)),
    ]
}

/// A pod lives through the end of containerd by `signal`.
fn over(kubelet: &Kubelet, signal: Signal) -> Outcome {
    let pod = kubelet.pod("pod")?;
    let script = "n=0; while [ ! -e /stop ]; do n=$((n + 1)); echo $n; sleep 0.1; done; exit 8";
    let stays = pod.start("stays", &["sh", "-c", script])?;
    let goes =
        pod.start("goes", &["sh", "-c", "while [ ! -e /proc/1/root/go ]; do sleep 0.1; done; exit 7"])?;
    stays.logs("stdout F 1\n")?;
    let (shim, going) = (pod.shim()?, goes.pid()?);
    kubelet.engine.stop_daemon(signal)?;
    kubelet.host(&format!("touch /proc/{going}/root/go; while kill -0 {going}; do sleep 0.1; done"))?;
    kubelet.engine.start_daemon()?;
    kubelet.awaits_cri()?;
    // containerd 1 knows the exit code, containerd 2 forgets it.
    goes.ends()?;
    ensure(pod.shim()? == shim, || "the pod has another shim".into())?;
    let status = pod.status()?;
    ensure(status.state() == PodState::Ready, || format!("the pod is {:?}", status.state()))?;
    stays.exec(&["echo", "here"])?.ok()?.says("here\n")?;
    pod.start("new", &["sh", "-c", "exit 9"])?.ends()?.exits(9)?;
    stays.exec(&["touch", "/stop"])?.ok()?;
    stays.ends()?.exits(8).map(drop)
}
