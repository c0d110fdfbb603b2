//! Pods, by command and by Kubernetes' YAML.

use std::fs;
use std::path::Path;

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{Podman, scenario};
use spec_tests::engine::process::until;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop, ensure};

pub fn scenarios() -> Vec<Scenario<Podman>> {
    let shared = |session: &Session<Podman>| {
        in_pod(session, &[], |session, pod| {
            let first = session.name("first");
            session.podman(&["run", "-d", "--pod", pod, "--name", &first, BUSYBOX, "sleep", "100"])?.ok()?;
            let links = "cd /proc/self/ns; for it in net ipc uts pid mnt; do readlink $it; done";
            let theirs = session.ask(&["exec", &first, "sh", "-c", links])?.ok()?.stdout;
            let ours = session.ask(&["run", "--rm", "--pod", pod, BUSYBOX, "sh", "-c", links])?.ok()?.stdout;
            let same: Vec<bool> = ours.lines().zip(theirs.lines()).map(|(a, b)| a == b).collect();
            ensure(same == [true, true, true, false, false], || format!("{theirs} and {ours}"))?;
            session
                .podman(&[
                    "pod",
                    "ps",
                    "--filter",
                    &format!("name={pod}"),
                    "--format",
                    "{{.Status}} {{.NumberOfContainers}}",
                ])?
                .ok()
                .map(drop)
        })
    };
    vec![
        scenario("containers_share_the_pod_s_namespaces", shared),
        scenario("pids_can_be_shared", |session| {
            in_pod(session, &["--share", "pid,net,ipc"], |session, pod| {
                session
                    .podman(&["run", "--rm", "--pod", pod, BUSYBOX, "cat", "/proc/1/comm"])?
                    .ok()?
                    .shows("catatonit")
                    .map(drop)
            })
        }),
        scenario("the_pod_s_hostname", |session| {
            in_pod(session, &["--hostname", "podhost"], |session, pod| {
                session
                    .podman(&["run", "--rm", "--pod", pod, BUSYBOX, "hostname"])?
                    .ok()?
                    .says("podhost\n")
                    .map(drop)
            })
        }),
        scenario("the_pod_s_limits", |session| {
            in_pod(session, &["--memory", "64m", "--cpus", "0.5"], |session, pod| {
                let script =
                    "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us";
                session.podman(&["run", "--rm", "--pod", pod, BUSYBOX, "sh", "-c", script])?.ok()?;
                session
                    .podman(&["pod", "inspect", pod, "--format", "{{.MemoryLimit}} {{.CPUQuota}}"])?
                    .ok()
                    .map(drop)
            })
        }),
        scenario("the_pod_s_users", |session| {
            in_pod(session, &["--userns", "auto:size=2000"], |session, pod| {
                session
                    .podman(&[
                        "run",
                        "--rm",
                        "--pod",
                        pod,
                        BUSYBOX,
                        "sh",
                        "-c",
                        "tr -s ' ' < /proc/self/uid_map | cut -d' ' -f4; touch /x",
                    ])?
                    .ok()?
                    .says("2000\n")
                    .map(drop)
            })
        }),
        scenario("a_pod_without_infra", |session| {
            in_pod(session, &["--infra=false"], |session, pod| {
                session
                    .podman(&["run", "--rm", "--pod", pod, BUSYBOX, "echo", "x"])?
                    .ok()?
                    .says("x\n")
                    .map(drop)
            })
        }),
        scenario("a_pod_of_its_own_parent", |session| {
            in_pod(session, &["--cgroup-parent", "/libpod_parent/pods"], |session, pod| {
                session
                    .podman(&[
                        "run",
                        "--rm",
                        "--pod",
                        pod,
                        BUSYBOX,
                        "sh",
                        "-c",
                        "grep -c /libpod_parent/pods/ /proc/self/cgroup",
                    ])?
                    .ok()
                    .map(drop)
            })
        }),
        scenario("stop_start_restart_pause_kill_and_top", |session| {
            in_pod(session, &[], |session, pod| {
                let name = session.name("c");
                let script = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
                session
                    .podman(&["run", "-d", "--pod", pod, "--name", &name, BUSYBOX, "sh", "-c", script])?
                    .ok()?;
                let state =
                    |what: &str| session.wait_until(&["inspect", "-f", "{{.State.Status}}", &name], what);
                session.podman(&["pod", "stop", pod])?.ok()?;
                state("exited")?;
                session.podman(&["pod", "start", pod])?.ok()?;
                state("running")?;
                session.podman(&["pod", "pause", pod])?.ok()?;
                state("paused")?;
                session.podman(&["pod", "unpause", pod])?.ok()?;
                session.podman(&["pod", "restart", pod])?.ok()?;
                state("running")?;
                session.ask(&["pod", "top", pod])?.ok()?.shows("catatonit")?;
                session.ask(&["pod", "stats", "--no-stream", pod])?.ok()?.shows("PIDS")?;
                session.podman(&["pod", "kill", pod])?.ok()?;
                state("exited")
            })
        }),
        scenario("removal_leaves_no_cgroup", |session| {
            let mut id = String::new();
            in_pod(session, &[], |session, pod| {
                session.podman(&["run", "-d", "--pod", pod, BUSYBOX, "sleep", "100"])?.ok()?;
                session.ask(&["pod", "inspect", pod, "--format", "{{.ID}}"])?.ok().map(drop)
            })?;
            id.push_str(&session.name("p"));
            until("the pod to go", 10, || {
                session.ask(&["pod", "exists", &id]).is_ok_and(|said| said.code == 1)
            })
        }),
        scenario("play_kube_and_down", |session| {
            let file = written(
                session,
                "    command: [/bin/sh, -c, 'echo $WORD; /bin/ls /data; exec /bin/sleep 100']\n    env: [{name: WORD, value: hi}]\n    volumeMounts: [{name: data, mountPath: /data}]\n  volumes: [{name: data, emptyDir: {}}]\n",
            )?;
            played(session, &file, |session, container| session.wait_until(&["logs", container], "hi"))
        }),
        scenario("play_kube_with_limits", |session| {
            let file = written(
                session,
                "    command: [/bin/sleep, '100']\n    resources: {limits: {memory: 64Mi, cpu: 500m}}\n",
            )?;
            played(session, &file, |session, container| {
                session
                    .podman(&["exec", container, "/bin/cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes"])?
                    .ok()?
                    .says("67108864\n")
                    .map(drop)
            })
        }),
        scenario("play_kube_with_a_security_context", |session| {
            let file = written(
                session,
                "    command: [/bin/sleep, '100']\n    securityContext: {runAsUser: 1000, runAsGroup: 50, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}, allowPrivilegeEscalation: false}\n",
            )?;
            played(session, &file, |session, container| {
                session
                    .podman(&[
                        "exec",
                        container,
                        "/bin/sh",
                        "-c",
                        "/bin/id; /bin/touch /x; /bin/grep -E 'CapBnd|NoNewPrivs' /proc/self/status",
                    ])?
                    .ok()?
                    .shows("uid=1000(alice) gid=50(staff)")?
                    .shows("NoNewPrivs:\t1")
                    .map(drop)
            })
        }),
        scenario("play_kube_of_a_program_without_a_path", |session| {
            let file = written(session, "    command: [sleep, '100']\n")?;
            let said = session.ask(&["play", "kube", &file])?;
            session.ask(&["kube", "down", &file])?;
            // Which names podman gives is in the text; how it ends is the runtime's doing.
            session.host(&format!("echo {}", said.code)).map(drop)
        }),
        scenario("generate_kube", |session| {
            in_pod(session, &[], |session, pod| {
                let name = session.name("c");
                session
                    .podman(&["run", "-d", "--pod", pod, "--name", &name, BUSYBOX, "sleep", "100"])?
                    .ok()?;
                session.ask(&["generate", "kube", pod])?.ok()?.shows("kind: Pod").map(drop)
            })
        }),
    ]
}

/// Carries out `steps` with a new pod, and removes the pod.
fn in_pod(
    session: &Session<Podman>,
    flags: &[&str],
    steps: impl FnOnce(&Session<Podman>, &str) -> Outcome,
) -> Outcome {
    let pod = session.name("p");
    session.podman(&[&["pod", "create", "--name", &pod], flags].concat())?.ok()?;
    let outcome = steps(session, &pod);
    let removed = removed(session, &pod);
    outcome.and(removed)
}

/// Removes the pod. podman finds its own `/dev/shm` of the pod busy, where a container of the pod has only just ended;
/// how often is no matter of the runtime's, so the removal is not recorded.
fn removed(session: &Session<Podman>, pod: &str) -> Outcome {
    let mut last = None;
    until("podman to find the pod's /dev/shm idle", 30, || {
        let said = session.ask(&["pod", "rm", "-f", "-t", "0", pod]);
        let busy = said.as_ref().is_ok_and(|said| said.stderr.contains("device or resource busy"));
        last = Some(said);
        !busy
    })?;
    last.map_or(Ok(()), |said| said?.ok().map(drop))?;
    session.podman(&["pod", "exists", pod])?.exits(1).map(drop)
}

/// Writes a pod with one container `c`, whose further lines are `rest`.
pub fn written(session: &Session<Podman>, rest: &str) -> Outcome<String> {
    let name = session.name("k");
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: c\n    image: localhost/{BUSYBOX}\n    imagePullPolicy: Never\n{rest}"
    );
    let path = session.dir("kube")?.join(format!("{name}.yaml"));
    fs::write(&path, text).map_err(Stop::failed)?;
    Ok(path.display().to_string())
}

/// Carries out `steps` with the container of the pod that `file` describes.
fn played(
    session: &Session<Podman>,
    file: &str,
    steps: impl FnOnce(&Session<Podman>, &str) -> Outcome,
) -> Outcome {
    let pod = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let outcome =
        session.podman(&["play", "kube", file])?.ok().and_then(|_| steps(session, &format!("{pod}-c")));
    // `down` waits for each container's grace period; a kill shortens that.
    session.ask(&["pod", "kill", &pod])?;
    let down = session.podman(&["kube", "down", file])?;
    outcome.and_then(|()| down.ok().map(drop))
}
