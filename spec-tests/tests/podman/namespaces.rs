//! Namespaces: the host's, another container's, users' of every kind, and the network.

use spec_tests::engine::Outcome;
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{Podman, run_once, scenario};
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;

pub fn scenarios() -> Vec<Scenario<Podman>> {
    [shared(), users(), network()].into_iter().flatten().collect()
}

fn shared() -> Vec<Scenario<Podman>> {
    vec![
        of_the_host("pid_of_the_host", "pid", "pid"),
        of_the_host("ipc_of_the_host", "ipc", "ipc"),
        of_the_host("uts_of_the_host", "uts", "uts"),
        of_the_host("network_of_the_host", "network", "net"),
        of_another("pid_of_another_container", "pid", "pid"),
        of_another("ipc_of_another_container", "ipc", "ipc"),
        of_another("network_of_another_container", "network", "net"),
        run_once(
            "uts_of_the_host_keeps_its_name",
            &["--uts", "host", BUSYBOX, "hostname"],
            Says("engine-host\n"),
        ),
        run_once(
            "pid_of_the_host_with_the_network_of_the_host",
            &[
                "--pid",
                "host",
                "--network",
                "host",
                "--ipc",
                "host",
                "--uts",
                "host",
                "--cgroupns",
                "host",
                BUSYBOX,
                "sh",
                "-c",
                "mount | grep -cE ' on (/proc|/sys|/dev/mqueue) '",
            ],
            Says("3\n"),
        ),
        scenario("a_namespace_by_path", |session| {
            session.machine().shell("ip netns add podman 2> /dev/null; true")?.ok()?;
            session
                .run(&["--network", "ns:/run/netns/podman", BUSYBOX, "ls", "/sys/class/net"])?
                .ok()?
                .says("lo\n")
                .map(drop)
        }),
        run_once(
            "a_missing_namespace_is_refused",
            &["--network", "ns:/run/netns/nosuch", BUSYBOX, "true"],
            Fails(125, "nosuch"),
        ),
    ]
}

fn users() -> Vec<Scenario<Podman>> {
    const MAPS: &str = "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; id -u; stat -c %u /home/alice /proc /sys /dev/pts; touch /x && echo written";
    vec![
        run_once("userns_host", &["--userns", "host", BUSYBOX, "sh", "-c", MAPS], Shows(&["written"])),
        run_once(
            "userns_by_maps",
            &["--uidmap", "0:100000:5000", "--gidmap", "0:200000:5000", BUSYBOX, "sh", "-c", MAPS],
            Shows(&[" 0 100000 5000\n 0 200000 5000\n0\n", "written"]),
        ),
        run_once(
            "userns_by_subuids",
            &["--subuidname", "remap", "--subgidname", "remap", BUSYBOX, "sh", "-c", MAPS],
            Shows(&[" 0 100000 65536\n"]),
        ),
        scenario("userns_auto", |session| {
            // Which range it is depends on what else runs.
            session
                .ask(&[
                    "run",
                    "--rm",
                    "--userns=auto:size=3000",
                    BUSYBOX,
                    "cut",
                    "-c",
                    "22-",
                    "/proc/self/uid_map",
                ])?
                .ok()?;
            session
                .run(&[
                    "--userns=auto:size=3000",
                    BUSYBOX,
                    "sh",
                    "-c",
                    "tr -s ' ' < /proc/self/uid_map | cut -d' ' -f4; touch /x && echo written",
                ])?
                .ok()?
                .says("3000\nwritten\n")
                .map(drop)
        }),
        run_once(
            "userns_keep_id_is_rootless_s",
            &["--userns", "keep-id", BUSYBOX, "true"],
            Fails(125, "only supported in rootless mode"),
        ),
        run_once(
            "userns_nomap_is_rootless_s",
            &["--userns", "nomap", BUSYBOX, "true"],
            Fails(125, "only supported in rootless mode"),
        ),
        run_once(
            "userns_with_a_read_only_rootfs",
            &["--uidmap", "0:100000:5000", "--read-only", BUSYBOX, "touch", "/x"],
            Fails(1, "Read-only"),
        ),
        run_once(
            "userns_and_the_pids_of_the_host",
            &["--uidmap", "0:100000:5000", "--pid", "host", BUSYBOX, "echo", "x"],
            Says("x\n"),
        ),
        run_once(
            "userns_and_the_network_of_the_host",
            &["--uidmap", "0:100000:5000", "--network", "host", BUSYBOX, "ls", "/sys/class/net"],
            Shows(&["lo"]),
        ),
        run_once(
            "userns_with_a_device",
            &[
                "--uidmap",
                "0:100000:5000",
                "--device",
                "/dev/fuse",
                BUSYBOX,
                "stat",
                "-c",
                "%F %t,%T",
                "/dev/fuse",
            ],
            Shows(&["a,e5"]),
        ),
        scenario("exec_in_a_userns", |session| {
            let name = session.start("c", &["--uidmap", "0:100000:5000", BUSYBOX, "sleep", "100"])?;
            session
                .podman(&[
                    "exec",
                    &name,
                    "sh",
                    "-c",
                    "id -u; cat /proc/self/uid_map | tr -s ' '; grep Cap /proc/self/status",
                ])?
                .ok()?
                .shows(" 0 100000 5000")?;
            session
                .podman(&["exec", "--user", "alice", &name, "id"])?
                .ok()?
                .shows("uid=1000(alice)")
                .map(drop)
        }),
        scenario("a_userns_of_another_container", |session| {
            let name = session.start("c", &["--uidmap", "0:100000:5000", BUSYBOX, "sleep", "100"])?;
            session
                .run(&["--userns", &format!("container:{name}"), BUSYBOX, "sh", "-c", MAPS])?
                .ok()?
                .shows(" 0 100000 5000")?
                .shows("written")
                .map(drop)
        }),
    ]
}

fn network() -> Vec<Scenario<Podman>> {
    vec![
        run_once("none", &["--network", "none", BUSYBOX, "ls", "/sys/class/net"], Says("lo\n")),
        run_once("bridge", &["--network", "podman", BUSYBOX, "ls", "/sys/class/net"], Says("eth0\nlo\n")),
        scenario("a_published_port", |session| {
            let name = session.start(
                "c",
                &[
                    "--network",
                    "podman",
                    "-p",
                    "127.0.0.1::80",
                    BUSYBOX,
                    "sh",
                    "-c",
                    "echo hello | nc -l -p 80",
                ],
            )?;
            let port = session.ask(&["port", &name, "80"])?.ok()?.word().to_owned();
            let (_, port) = port.rsplit_once(':').unwrap_or_default();
            let fetch = format!(
                "for n in $(seq 50); do busybox nc -w 2 127.0.0.1 {port} < /dev/null && exit; sleep 0.1; done"
            );
            session.machine().shell(&fetch)?.shows("hello\n").map(drop)
        }),
    ]
}

/// A container in the host's namespace of that kind.
fn of_the_host(name: &'static str, flag: &'static str, link: &'static str) -> Scenario<Podman> {
    scenario(name, move |session| {
        let said = session
            .ask(&[
                "run",
                "--rm",
                &format!("--{flag}=host"),
                BUSYBOX,
                "readlink",
                &format!("/proc/self/ns/{link}"),
            ])?
            .ok()?;
        session.machine().shell(&format!("readlink /proc/self/ns/{link}"))?.ok()?.says(&said.stdout).map(drop)
    })
}

/// A container in another container's namespace of that kind.
fn of_another(name: &'static str, flag: &'static str, link: &'static str) -> Scenario<Podman> {
    let read = |session: &Session<Podman>, args: &[&str], link: &str| -> Outcome<String> {
        Ok(session.ask(&[args, &["readlink", &format!("/proc/self/ns/{link}")]].concat())?.ok()?.stdout)
    };
    scenario(name, move |session| {
        let other = session.start("other", &["--ipc", "shareable", BUSYBOX, "sleep", "100"])?;
        let theirs = read(session, &["exec", &other], link)?;
        let ours = read(session, &["run", "--rm", &format!("--{flag}=container:{other}"), BUSYBOX], link)?;
        spec_tests::engine::ensure(ours == theirs, || format!("{ours} is not {theirs}"))
    })
}
