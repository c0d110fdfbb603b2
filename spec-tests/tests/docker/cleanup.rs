//! What a container leaves behind: nothing.

use spec_tests::engine::Outcome;
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::process::{Said, until};
use spec_tests::engine::scenario::{Scenario, scenario};
use spec_tests::engine::session::Session;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("a_running_container_leaves_traces", |session| {
            // Or else the search that the other scenarios rely on finds nothing whatever is left.
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            let said = traces(session, &id(session, &name)?)?;
            said.shows("/sys/fs/cgroup/")?.shows("/run/docker/")?.shows("containerd-shim").map(drop)
        }),
        scenario("after_an_ordinary_end", |session| {
            let name = session.create("c", &["-m", "64m", BUSYBOX, "true"])?;
            leaves_nothing(session, &name, |session, name| {
                session.docker(&["start", "-a", name])?.ok().map(drop)
            })
        }),
        scenario("after_a_failed_start", |session| {
            let name = session.create("c", &[BUSYBOX, "nosuch"])?;
            leaves_nothing(session, &name, |session, name| {
                session.docker(&["start", name])?.exits(1).map(drop)
            })
        }),
        scenario("after_a_failed_mount", |session| {
            let name = session.create("c", &["-v", "/etc/hostname:/etc", BUSYBOX, "true"])?;
            leaves_nothing(session, &name, |session, name| {
                session.docker(&["start", name])?.exits(1).map(drop)
            })
        }),
        scenario("after_a_kill", |session| {
            let name = session
                .create("c", &["--tmpfs", "/t", "-v", "/v", BUSYBOX, "sh", "-c", "sleep 500 & sleep 501"])?;
            leaves_nothing(session, &name, |session, name| {
                session.docker(&["start", name])?.ok()?;
                session.docker(&["exec", "-d", name, "sleep", "502"])?.ok()?;
                session.docker(&["kill", name])?.ok().map(drop)
            })
        }),
        scenario("after_an_oom_kill", |session| {
            let script = "x=aaaaaaaa; while :; do x=$x$x; done";
            let name =
                session.create("c", &["-m", "16m", "--memory-swap", "16m", BUSYBOX, "sh", "-c", script])?;
            leaves_nothing(session, &name, |session, name| {
                session.docker(&["start", "-a", name])?.exits(137).map(drop)
            })
        })
        .needs(&["memory"]),
        scenario("after_nested_cgroups", |session| {
            let script = "cd /sys/fs/cgroup; [ -d pids ] && cd pids; mkdir -p a/b && echo $$ > a/b/cgroup.procs && echo nested";
            let name = session.create("c", &["--privileged", BUSYBOX, "sh", "-c", script])?;
            leaves_nothing(session, &name, |session, name| {
                session.docker(&["start", "-a", name])?.ok()?.says("nested\n").map(drop)
            })
        }),
    ]
}

/// Performs `steps`, which the container ends with, and expects no cgroup, mount, runtime state or process that bears
/// the container's id. Then removes the container.
fn leaves_nothing(session: &Session, name: &str, steps: fn(&Session, &str) -> Outcome) -> Outcome {
    let id = id(session, name)?;
    steps(session, name)?;
    // The shim cleans up just after the engine reports the end.
    let gone = until("", 10, || traces(session, &id).is_ok_and(|said| said.stdout.is_empty()));
    gone.or_else(|_| traces(session, &id)?.says("").map(drop))?;
    session.docker(&["rm", "-v", name])?.ok().map(drop)
}

fn id(session: &Session, name: &str) -> Outcome<String> {
    Ok(session.ask(&["inspect", "-f", "{{.Id}}", name])?.ok()?.word().to_owned())
}

/// Cgroups, runtime state, mounts and processes that bear the id.
fn traces(session: &Session, id: &str) -> Outcome<Said> {
    // In two halves, so that the shell that looks for the id does not find itself.
    let (half, other_half) = id.split_at(32);
    let script = "find /sys/fs/cgroup /run -name \"*$id*\"; grep $id /proc/mounts; pgrep -af $id; true";
    session.machine().shell(&format!("id={half}''{other_half}; {script}"))
}
