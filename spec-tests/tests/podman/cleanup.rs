//! What a container leaves behind: nothing.

use spec_tests::engine::Outcome;
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{On, Podman, scenario};
use spec_tests::engine::process::{Said, until};
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;

pub fn scenarios() -> Vec<Scenario<Podman>> {
    let after_a_kill = |session: &Session<Podman>| {
        let name = session
            .create("c", &["--tmpfs", "/t", "-v", "/v", BUSYBOX, "sh", "-c", "sleep 500 & sleep 501"])?;
        leaves_nothing(session, &name, |session, name| {
            session.podman(&["start", name])?.ok()?;
            session.ask(&["exec", "-d", name, "sleep", "502"])?.ok()?;
            session.podman(&["kill", name])?.ok()?;
            session.podman(&["wait", name])?.ok().map(drop)
        })
    };
    vec![
        scenario("a_running_container_leaves_traces", |session| {
            // Or else the search that the other scenarios rely on finds nothing whatever is left.
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            traces(session, &id(session, &name)?)?
                .shows("/sys/fs/cgroup/")?
                .shows("conmon")?
                .shows("/run/")
                .map(drop)
        }),
        scenario("after_an_ordinary_end", |session| {
            let name = session.create("c", &["-m", "64m", BUSYBOX, "true"])?;
            leaves_nothing(session, &name, |session, name| {
                session.podman(&["start", "-a", name])?.ok().map(drop)
            })
        }),
        scenario("after_a_failed_start", |session| {
            let name = session.create("c", &[BUSYBOX, "nosuch"])?;
            leaves_nothing(session, &name, |session, name| {
                session.podman(&["start", name])?.exits(125).map(drop)
            })
        }),
        scenario("after_a_failed_mount", |session| {
            let name = session.create("c", &["-v", "/etc/hostname:/etc", BUSYBOX, "true"])?;
            leaves_nothing(session, &name, |session, name| {
                session.podman(&["start", name])?.exits(125).map(drop)
            })
        }),
        scenario("after_a_kill", after_a_kill),
        scenario("after_a_kill_on_v2", after_a_kill).on(On::V2),
        scenario("after_a_forced_removal", |session| {
            let name =
                session.create("c", &["--privileged", BUSYBOX, "sh", "-c", "sleep 500 & sleep 501"])?;
            let id = id(session, &name)?;
            session.podman(&["start", &name])?.ok()?;
            session.podman(&["rm", "-f", "-t", "0", &name])?.ok()?;
            gone(session, &id)
        }),
    ]
}

/// Performs `steps`, which the container ends with, and expects no cgroup, mount, runtime state or process that bears
/// the container's id. Then removes the container.
fn leaves_nothing(
    session: &Session<Podman>,
    name: &str,
    steps: fn(&Session<Podman>, &str) -> Outcome,
) -> Outcome {
    let id = id(session, name)?;
    steps(session, name)?;
    // conmon calls `podman container cleanup` just after the end.
    session.ask(&["container", "cleanup", name])?;
    gone(session, &id)?;
    session.podman(&["rm", "-v", name])?.ok().map(drop)
}

fn gone(session: &Session<Podman>, id: &str) -> Outcome {
    let gone = until("", 10, || traces(session, id).is_ok_and(|said| said.stdout.is_empty()));
    gone.or_else(|_| traces(session, id)?.says("").map(drop))
}

fn id(session: &Session<Podman>, name: &str) -> Outcome<String> {
    Ok(session.ask(&["inspect", "-f", "{{.Id}}", name])?.ok()?.word().to_owned())
}

/// Cgroups, runtime state, mounts and processes that bear the id. crun leaves directories where a hybrid machine has
/// its cgroup2.
fn traces(session: &Session<Podman>, id: &str) -> Outcome<Said> {
    // In two halves, so that the shell that looks for the id does not find itself.
    let (half, other_half) = id.split_at(id.len() / 2);
    let script = "find /sys/fs/cgroup /run/crun /run/runc /run/corten -not -path '*/unified/*' -name \"*$id*\" 2> /dev/null; \
                  grep -o \"/[^ ]*$id[^ ]*\" /proc/mounts; pgrep -af \"$id\"; true";
    session.machine().shell(&format!("id={half}''{other_half}; {script}"))
}
