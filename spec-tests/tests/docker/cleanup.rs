//! What a container leaves behind: nothing.

use spec_tests::engine::Outcome;
use spec_tests::engine::case::{Case, case};
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::process::{Said, until};
use spec_tests::engine::seat::Seat;

pub fn cases() -> Vec<Case> {
    vec![
        case("a_running_container_leaves_traces", |seat| {
            // Or else the search that the other cases rely on finds nothing whatever is left.
            let name = seat.start("c", &[BUSYBOX, "sleep", "100"])?;
            let said = traces(seat, &id(seat, &name)?)?;
            said.shows("/sys/fs/cgroup/")?.shows("/run/docker/")?.shows("containerd-shim").map(drop)
        }),
        case("after_an_ordinary_end", |seat| {
            let name = seat.create("c", &["-m", "64m", BUSYBOX, "true"])?;
            leaves_nothing(seat, &name, |seat, name| seat.docker(&["start", "-a", name])?.ok().map(drop))
        }),
        case("after_a_failed_start", |seat| {
            let name = seat.create("c", &[BUSYBOX, "nosuch"])?;
            leaves_nothing(seat, &name, |seat, name| seat.docker(&["start", name])?.exits(1).map(drop))
        }),
        case("after_a_failed_mount", |seat| {
            let name = seat.create("c", &["-v", "/etc/hostname:/etc", BUSYBOX, "true"])?;
            leaves_nothing(seat, &name, |seat, name| seat.docker(&["start", name])?.exits(1).map(drop))
        }),
        case("after_a_kill", |seat| {
            let name = seat
                .create("c", &["--tmpfs", "/t", "-v", "/v", BUSYBOX, "sh", "-c", "sleep 500 & sleep 501"])?;
            leaves_nothing(seat, &name, |seat, name| {
                seat.docker(&["start", name])?.ok()?;
                seat.docker(&["exec", "-d", name, "sleep", "502"])?.ok()?;
                seat.docker(&["kill", name])?.ok().map(drop)
            })
        }),
        case("after_an_oom_kill", |seat| {
            let script = "x=aaaaaaaa; while :; do x=$x$x; done";
            let name =
                seat.create("c", &["-m", "16m", "--memory-swap", "16m", BUSYBOX, "sh", "-c", script])?;
            leaves_nothing(seat, &name, |seat, name| {
                seat.docker(&["start", "-a", name])?.exits(137).map(drop)
            })
        })
        .needs(&["memory"]),
        case("after_nested_cgroups", |seat| {
            let script = "cd /sys/fs/cgroup; [ -d pids ] && cd pids; mkdir -p a/b && echo $$ > a/b/cgroup.procs && echo nested";
            let name = seat.create("c", &["--privileged", BUSYBOX, "sh", "-c", script])?;
            leaves_nothing(seat, &name, |seat, name| {
                seat.docker(&["start", "-a", name])?.ok()?.says("nested\n").map(drop)
            })
        }),
    ]
}

/// Plays, and looks for cgroups, mounts, runtime state and processes that bear the container's id, once it has ended
/// and again once it is removed.
fn leaves_nothing(seat: &Seat, name: &str, play: fn(&Seat, &str) -> Outcome) -> Outcome {
    let id = id(seat, name)?;
    play(seat, name)?;
    // The shim cleans up just after the engine reports the end.
    let gone = until("", 10, || traces(seat, &id).is_ok_and(|said| said.stdout.is_empty()));
    gone.or_else(|_| traces(seat, &id)?.says("").map(drop))?;
    seat.docker(&["rm", "-v", name])?.ok().map(drop)
}

fn id(seat: &Seat, name: &str) -> Outcome<String> {
    Ok(seat.ask(&["inspect", "-f", "{{.Id}}", name])?.ok()?.word().to_owned())
}

/// Cgroups, runtime state, mounts and processes that bear the id.
fn traces(seat: &Seat, id: &str) -> Outcome<Said> {
    // In two halves, so that the shell that looks for the id does not find itself.
    let (half, other_half) = id.split_at(32);
    let script = "find /sys/fs/cgroup /run -name \"*$id*\"; grep $id /proc/mounts; pgrep -af $id; true";
    seat.engine().machine().shell(&format!("id={half}''{other_half}; {script}"))
}
