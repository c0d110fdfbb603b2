//! Which namespaces a container has of its own, shares with the host, or shares with another container.

use spec_tests::engine::case::Expected::{Fails, Says};
use spec_tests::engine::case::{Case, case, run};
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::machine::HOSTNAME;
use spec_tests::engine::seat::Seat;
use spec_tests::engine::{Outcome, ensure};

pub fn cases() -> Vec<Case> {
    vec![
        case("all_are_its_own_by_default", |seat| {
            compare_with_host(
                seat,
                &[],
                &[
                    ("pid", false),
                    ("net", false),
                    ("ipc", false),
                    ("uts", false),
                    ("mnt", false),
                    ("user", true),
                ],
            )
        }),
        case("pid_host", |seat| {
            compare_with_host(seat, &["--pid", "host"], &[("pid", true), ("ipc", false)])
        }),
        case("ipc_host", |seat| {
            compare_with_host(seat, &["--ipc", "host"], &[("ipc", true), ("uts", false)])
        }),
        case("uts_host", |seat| {
            compare_with_host(seat, &["--uts", "host"], &[("uts", true), ("ipc", false)])
        }),
        case("network_host", |seat| {
            compare_with_host(seat, &["--network", "host"], &[("net", true), ("pid", false)])
        }),
        case("cgroupns_private", |seat| {
            compare_with_host(seat, &["--cgroupns", "private"], &[("cgroup", false)])
        }),
        case("all_of_the_host", |seat| {
            let flags = ["--pid", "host", "--ipc", "host", "--uts", "host", "--network", "host"];
            compare_with_host(
                seat,
                &flags,
                &[("pid", true), ("ipc", true), ("uts", true), ("net", true), ("mnt", false)],
            )
        }),
        run("uts_host_shows_the_host_s_name", &["--uts", "host", BUSYBOX, "hostname"], Says("engine-host\n")),
        run(
            "cgroupns_private_hides_the_path",
            &["--cgroupns", "private", BUSYBOX, "sh", "-c", "cut -d: -f3 /proc/self/cgroup | sort -u"],
            Says("/\n"),
        ),
        run(
            "pid_1_is_the_process",
            &[BUSYBOX, "sh", "-c", "echo $$; echo /proc/[0-9]*"],
            Says("1\n/proc/1\n"),
        ),
        run(
            "hostname_with_uts_host_is_refused",
            &["--uts", "host", "--hostname", "x", BUSYBOX, "true"],
            Fails(125, "conflicting options"),
        ),
        run(
            "pid_of_a_missing_container_is_refused",
            &["--pid", "container:nosuch", BUSYBOX, "true"],
            Fails(125, "nosuch"),
        ),
        case("pid_of_another_container", |seat| {
            let other = seat.start("other", &[BUSYBOX, "sleep", "1001"])?;
            let said =
                seat.run(&["--pid", &format!("container:{other}"), BUSYBOX, "ps", "-o", "args"])?.ok()?;
            said.shows("sleep 1001")?.shows("ps -o").map(drop)
        }),
        case("killing_the_process_of_another_container_s_pid_namespace", |seat| {
            let other = seat
                .start("other", &[BUSYBOX, "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done"])?;
            let container = format!("container:{other}");
            seat.run(&["--pid", &container, BUSYBOX, "kill", "-TERM", "1"])?.ok()?;
            seat.docker(&["wait", &other])?.says("5\n").map(drop)
        }),
        case("network_of_another_container", |seat| {
            let other = seat.start(
                "other",
                &[BUSYBOX, "sh", "-c", "mkdir /w; echo hi > /w/index.html; exec httpd -f -p 7000 -h /w"],
            )?;
            let container = format!("container:{other}");
            let script =
                "until wget -qO- http://127.0.0.1:7000/; do sleep 0.1; done 2>/dev/null; hostname | wc -c";
            seat.run(&["--network", &container, BUSYBOX, "sh", "-c", script])?
                .ok()?
                .says("hi\n13\n")
                .map(drop)
        }),
        case("ipc_shareable_with_another_container", |seat| {
            let other = seat.start(
                "other",
                &["--ipc", "shareable", BUSYBOX, "sh", "-c", "echo shared > /dev/shm/x; exec sleep 100"],
            )?;
            seat.wait_until(&["exec", &other, "ls", "/dev/shm"], "x")?;
            let container = format!("container:{other}");
            seat.run(&["--ipc", &container, BUSYBOX, "cat", "/dev/shm/x"])?.ok()?.says("shared\n").map(drop)
        }),
        case("ipc_private_can_t_be_shared", |seat| {
            let other = seat.start("other", &["--ipc", "private", BUSYBOX, "sleep", "100"])?;
            let container = format!("container:{other}");
            seat.run(&["--ipc", &container, BUSYBOX, "true"])?
                .exits(125)?
                .complains("non-shareable IPC")
                .map(drop)
        }),
        run("ipc_none_has_no_shm", &["--ipc", "none", BUSYBOX, "ls", "/dev/shm"], Fails(1, "/dev/shm")),
        case("joined_namespaces_are_those_of_the_other_container", |seat| {
            let other = seat.start("other", &["--ipc", "shareable", BUSYBOX, "sleep", "100"])?;
            let pid = seat.pid(&other)?;
            let container = format!("container:{other}");
            let flags = ["--pid", &container, "--network", &container, "--ipc", &container];
            let all: Vec<&str> = flags.iter().copied().chain([BUSYBOX, "sh", "-c", LINKS]).collect();
            let inside = seat.ask(&seat.with_runtime(&["run", "--rm"], &all))?.ok()?.stdout;
            let outside =
                seat.engine().machine().shell(&format!("cd /proc/{pid}/ns; {LINKS_HERE}"))?.ok()?.stdout;
            for name in ["pid", "net", "ipc"] {
                ensure(link(&inside, name) == link(&outside, name), || {
                    format!("{name}: {inside} is not {outside}")
                })?;
            }
            ensure(link(&inside, "mnt") != link(&outside, "mnt"), || "the mount namespace is shared".into())
        }),
        case("the_host_s_name_is_untouched", |seat| {
            seat.run(&["--hostname", "box", BUSYBOX, "true"])?.ok()?;
            seat.host("hostname")?.ok()?.says(&format!("{HOSTNAME}\n")).map(drop)
        }),
    ]
}

const LINKS: &str = "cd /proc/self/ns; for it in *; do readlink $it; done";
const LINKS_HERE: &str = "for it in *; do readlink $it; done";

/// Checks for each namespace whether the container's is the host's, as `expected` says.
fn compare_with_host(seat: &Seat, flags: &[&str], expected: &[(&str, bool)]) -> Outcome {
    let all: Vec<&str> = flags.iter().copied().chain([BUSYBOX, "sh", "-c", LINKS]).collect();
    let inside = seat.ask(&seat.with_runtime(&["run", "--rm"], &all))?.ok()?.stdout;
    let host = seat.engine().machine().shell(LINKS)?.ok()?.stdout;
    for (name, shared) in expected {
        ensure((link(&inside, name) == link(&host, name)) == *shared, || {
            format!(
                "{flags:?}: {name} should {}be the host's:\n{inside}host:\n{host}",
                if *shared { "" } else { "not " }
            )
        })?;
    }
    Ok(())
}

/// The line `NAME:[INODE]` of a namespace.
fn link<'a>(links: &'a str, name: &str) -> Option<&'a str> {
    links.lines().find(|line| line.split(':').next() == Some(name))
}
