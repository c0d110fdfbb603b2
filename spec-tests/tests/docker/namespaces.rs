//! Which namespaces a container has of its own, shares with the host, or shares with another container.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::machine::HOSTNAME;
use spec_tests::engine::scenario::Expected::{Fails, Says};
use spec_tests::engine::scenario::{Scenario, run, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, ensure};

pub fn scenarios() -> Vec<Scenario> {
    [which(), seen_inside(), of_another_container()].into_iter().flatten().collect()
}

/// Which namespaces are the container's own, and which are the host's.
fn which() -> Vec<Scenario> {
    vec![
        scenario("all_are_its_own_by_default", |session| {
            compare_with_host(
                session,
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
        scenario("pid_host", |session| {
            compare_with_host(session, &["--pid", "host"], &[("pid", true), ("ipc", false)])
        }),
        scenario("ipc_host", |session| {
            compare_with_host(session, &["--ipc", "host"], &[("ipc", true), ("uts", false)])
        }),
        scenario("uts_host", |session| {
            compare_with_host(session, &["--uts", "host"], &[("uts", true), ("ipc", false)])
        }),
        scenario("network_host", |session| {
            compare_with_host(session, &["--network", "host"], &[("net", true), ("pid", false)])
        }),
        scenario("cgroupns_private", |session| {
            compare_with_host(session, &["--cgroupns", "private"], &[("cgroup", false)])
        }),
        scenario("all_of_the_host", |session| {
            let flags = ["--pid", "host", "--ipc", "host", "--uts", "host", "--network", "host"];
            compare_with_host(
                session,
                &flags,
                &[("pid", true), ("ipc", true), ("uts", true), ("net", true), ("mnt", false)],
            )
        }),
    ]
}

fn seen_inside() -> Vec<Scenario> {
    vec![
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
    ]
}

fn of_another_container() -> Vec<Scenario> {
    vec![
        run(
            "pid_of_a_missing_container_is_refused",
            &["--pid", "container:nosuch", BUSYBOX, "true"],
            Fails(125, "nosuch"),
        ),
        scenario("pid_of_another_container", |session| {
            let other = session.start("other", &[BUSYBOX, "sleep", "1001"])?;
            let said =
                session.run(&["--pid", &format!("container:{other}"), BUSYBOX, "ps", "-o", "args"])?.ok()?;
            said.shows("sleep 1001")?.shows("ps -o").map(drop)
        }),
        scenario("killing_the_process_of_another_container_s_pid_namespace", |session| {
            let other = session
                .start("other", &[BUSYBOX, "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done"])?;
            let container = format!("container:{other}");
            session.run(&["--pid", &container, BUSYBOX, "kill", "-TERM", "1"])?.ok()?;
            session.docker(&["wait", &other])?.says("5\n").map(drop)
        }),
        scenario("network_of_another_container", |session| {
            let other = session.start(
                "other",
                &[BUSYBOX, "sh", "-c", "mkdir /w; echo hi > /w/index.html; exec httpd -f -p 7000 -h /w"],
            )?;
            let container = format!("container:{other}");
            let script =
                "until wget -qO- http://127.0.0.1:7000/; do sleep 0.1; done 2>/dev/null; hostname | wc -c";
            session
                .run(&["--network", &container, BUSYBOX, "sh", "-c", script])?
                .ok()?
                .says("hi\n13\n")
                .map(drop)
        }),
        scenario("ipc_shareable_with_another_container", |session| {
            let other = session.start(
                "other",
                &["--ipc", "shareable", BUSYBOX, "sh", "-c", "echo shared > /dev/shm/x; exec sleep 100"],
            )?;
            session.wait_until(&["exec", &other, "ls", "/dev/shm"], "x")?;
            let container = format!("container:{other}");
            session
                .run(&["--ipc", &container, BUSYBOX, "cat", "/dev/shm/x"])?
                .ok()?
                .says("shared\n")
                .map(drop)
        }),
        scenario("ipc_private_can_t_be_shared", |session| {
            let other = session.start("other", &["--ipc", "private", BUSYBOX, "sleep", "100"])?;
            let container = format!("container:{other}");
            session
                .run(&["--ipc", &container, BUSYBOX, "true"])?
                .exits(125)?
                .complains("non-shareable IPC")
                .map(drop)
        }),
        run("ipc_none_has_no_shm", &["--ipc", "none", BUSYBOX, "ls", "/dev/shm"], Fails(1, "/dev/shm")),
        scenario("joined_namespaces_are_those_of_the_other_container", |session| {
            let other = session.start("other", &["--ipc", "shareable", BUSYBOX, "sleep", "100"])?;
            let pid = session.pid(&other)?;
            let container = format!("container:{other}");
            let flags = ["--pid", &container, "--network", &container, "--ipc", &container];
            let all: Vec<&str> = flags.iter().copied().chain([BUSYBOX, "sh", "-c", LINKS]).collect();
            let inside = session.ask(&session.with_runtime(&["run", "--rm"], &all))?.ok()?.stdout;
            let outside = session.machine().shell(&format!("cd /proc/{pid}/ns; {LINKS_HERE}"))?.ok()?.stdout;
            for name in ["pid", "net", "ipc"] {
                ensure(link(&inside, name) == link(&outside, name), || {
                    format!("{name}: {inside} is not {outside}")
                })?;
            }
            ensure(link(&inside, "mnt") != link(&outside, "mnt"), || "the mount namespace is shared".into())
        }),
        scenario("the_host_s_name_is_untouched", |session| {
            session.run(&["--hostname", "box", BUSYBOX, "true"])?.ok()?;
            session.host("hostname")?.ok()?.says(&format!("{HOSTNAME}\n")).map(drop)
        }),
    ]
}

const LINKS: &str = "cd /proc/self/ns; for it in *; do readlink $it; done";
const LINKS_HERE: &str = "for it in *; do readlink $it; done";

/// Checks for each namespace whether the container's is the host's, as `expected` says.
fn compare_with_host(session: &Session, flags: &[&str], expected: &[(&str, bool)]) -> Outcome {
    let all: Vec<&str> = flags.iter().copied().chain([BUSYBOX, "sh", "-c", LINKS]).collect();
    let inside = session.ask(&session.with_runtime(&["run", "--rm"], &all))?.ok()?.stdout;
    let host = session.machine().shell(LINKS)?.ok()?.stdout;
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
