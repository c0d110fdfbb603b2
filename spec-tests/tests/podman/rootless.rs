//! podman of an ordinary user with subordinate ids: what root's scenarios show as well, and what is a user's alone.
//!
//! Debian 12's podman gives such a user on v1 no cgroup (crun is the peer). On v2 the user has a cgroup without
//! controllers (runc is the peer).

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{On, Podman, run_once, scenario};
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;
use spec_tests::engine::suite::Theme;
use spec_tests::engine::{Outcome, ensure};

use super::{builds, exec, lifecycle, pods, privileges, process, volumes};

/// Scenarios that a user has too, but for these.
const ROOT_ALONE: &[&str] = &[
    // Its limits need a cgroup with controllers, and its pauses a cgroup.
    "a_paused_container_can_be_removed",
    "a_paused_container_is_refused",
    "a_pod_of_its_own_parent",
    "pause_stops_the_clock",
    "pausing_twice_is_refused",
    "play_kube_with_limits",
    "run_with_a_memory_limit",
    "stop_start_restart_pause_kill_and_top",
    "the_pod_s_limits",
    // The devices are the host's, and each peer binds them with flags of its own.
    "devices",
    "mount_points_types_and_flags",
    // The kernel tells these files of /proc to root alone.
    "guards_can_be_lifted",
    "privileged_sees_what_is_masked",
    // Without a cgroup, nothing finds the children of a container that has no pid namespace.
    "every_process_ends_with_pid_1_in_the_host_s_pid_namespace",
    // Their steps are root's: `podman image mount`, a socket of the test's own.
    "a_rootfs_of_the_host",
    "sdnotify_of_the_container",
];

pub fn themes() -> Vec<Theme<Podman>> {
    let own = [users(), surroundings(), network(), cgroups()];
    vec![
        ("rootless::builds", as_user(builds::scenarios())),
        ("rootless::exec", as_user(exec::scenarios())),
        ("rootless::lifecycle", as_user(lifecycle::scenarios())),
        ("rootless::pods", as_user(pods::scenarios())),
        ("rootless::privileges", as_user(privileges::scenarios())),
        ("rootless::process", as_user(process::scenarios())),
        ("rootless::volumes", as_user(volumes::scenarios())),
        ("rootless", as_user(own.into_iter().flatten().collect())),
    ]
}

fn as_user(scenarios: Vec<Scenario<Podman>>) -> Vec<Scenario<Podman>> {
    let are_a_user_s = scenarios.into_iter().filter(|scenario| !ROOT_ALONE.contains(&scenario.name));
    are_a_user_s
        .map(|scenario| {
            let on = scenario.on.of_the_user();
            scenario.on(on)
        })
        .collect()
}

fn users() -> Vec<Scenario<Podman>> {
    const MAPS: &str = "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; id; \
                        stat -c %u /home/alice /proc /sys /dev/pts; touch /tmp/x && echo written";
    vec![
        run_once(
            "userns_by_default",
            &[BUSYBOX, "sh", "-c", MAPS],
            Shows(&[" 0 4242 1\n 1 3000000 65536\n", "written"]),
        ),
        run_once("userns_host", &["--userns", "host", BUSYBOX, "sh", "-c", MAPS], Shows(&[" 0 4242 1\n"])),
        run_once(
            "userns_keep_id",
            &["--userns", "keep-id", BUSYBOX, "sh", "-c", MAPS],
            Shows(&[" 4242 0 1\n", "uid=4242(podman-user)", "written"]),
        ),
        run_once(
            "userns_keep_id_as_another_id",
            &["--userns", "keep-id:uid=1000,gid=1000", BUSYBOX, "sh", "-c", MAPS],
            Shows(&[" 1000 0 1\n", "uid=1000(alice)", "written"]),
        ),
        run_once(
            "userns_keep_id_as_root",
            &["--userns", "keep-id", "--user", "0:0", BUSYBOX, "sh", "-c", MAPS],
            Shows(&["uid=0(root)", "written"]),
        ),
        run_once(
            "userns_nomap",
            &["--userns", "nomap", BUSYBOX, "sh", "-c", MAPS],
            Shows(&[" 0 1 65536\n", "written"]),
        ),
        run_once(
            "userns_by_maps",
            &["--uidmap", "0:1:5000", "--gidmap", "0:1:5000", BUSYBOX, "sh", "-c", MAPS],
            Shows(&[" 0 1 5000\n", "written"]),
        ),
        run_once(
            "userns_by_maps_of_foreign_ids",
            &["--uidmap", "0:100000:5000", BUSYBOX, "true"],
            Fails(125, "insufficient UIDs"),
        ),
        run_once(
            "userns_by_maps_and_the_pids_of_the_host",
            &["--uidmap", "0:1:5000", "--pid", "host", BUSYBOX, "echo", "x"],
            Says("x\n"),
        ),
        scenario("exec_in_a_userns", |session| {
            let name = session.start("c", &["--userns", "keep-id", BUSYBOX, "sleep", "100"])?;
            let script = "id; tr -s ' ' < /proc/self/uid_map; grep -E 'Cap|Seccomp:' /proc/self/status";
            session.podman(&["exec", &name, "sh", "-c", script])?.ok()?.shows("uid=4242(podman-user)")?;
            session.podman(&["exec", "--user", "0", &name, "id", "-u"])?.ok()?.says("0\n").map(drop)
        }),
        scenario("a_userns_of_another_container", |session| {
            let name = session.start("c", &["--uidmap", "0:1:5000", BUSYBOX, "sleep", "100"])?;
            session
                .run(&["--userns", &format!("container:{name}"), BUSYBOX, "sh", "-c", MAPS])?
                .ok()?
                .shows(" 0 1 5000\n")
                .map(drop)
        }),
        scenario("a_pod_with_kept_ids", |session| {
            let pod = session.name("p");
            session.podman(&["pod", "create", "--name", &pod, "--userns", "keep-id"])?.ok()?;
            let said = session.podman(&["run", "--rm", "--pod", &pod, BUSYBOX, "sh", "-c", MAPS])?;
            session.podman(&["pod", "rm", "-f", "-t", "0", &pod])?.ok()?;
            said.ok()?.shows("uid=4242(").map(drop)
        }),
        run_once(
            "groups_are_kept_by_name",
            &["--group-add", "keep-groups", BUSYBOX, "id", "-G"],
            Shows(&["0"]),
        ),
        run_once("a_user_that_is_not_mapped", &["--user", "70000", BUSYBOX, "true"], Fails(126, "")),
    ]
}

fn surroundings() -> Vec<Scenario<Podman>> {
    vec![
        run_once(
            "devices_are_the_host_s",
            &[BUSYBOX, "sh", "-c", "cd /dev; stat -c '%n %F %a %u:%g %t,%T' f* n* p* r* s* t* u* z*"],
            Shows(&["null character special file 666 65534:65534 1,3\n"]),
        ),
        run_once(
            "mount_points_types_and_flags_on_v2",
            &[BUSYBOX, "sh", "-c", process::MOUNTS],
            Shows(&["/dev/null tmpfs", "/sys sysfs ro,"]),
        )
        .on(On::V2),
        run_once(
            "privileged_has_the_user_s_devices",
            &[
                "--privileged",
                BUSYBOX,
                "sh",
                "-c",
                "grep Cap /proc/self/status; : > /dev/fuse && echo opened",
            ],
            Shows(&["opened"]),
        ),
        scenario("an_oom_score_of_the_host_is_kept", |session| {
            session
                .run(&["--oom-score-adj", "100", BUSYBOX, "cat", "/proc/self/oom_score_adj"])?
                .ok()?
                .says("100\n")
                .map(drop)
        }),
    ]
}

fn network() -> Vec<Scenario<Podman>> {
    vec![
        run_once("network_none", &["--network", "none", BUSYBOX, "ls", "/sys/class/net"], Says("lo\n")),
        // Without a network namespace of its own, the container sees the sysfs that the machine has.
        run_once(
            "network_host",
            &[
                "--network",
                "host",
                BUSYBOX,
                "sh",
                "-c",
                "grep -c : /proc/net/dev; grep ' /sys ' /proc/mounts",
            ],
            Shows(&["1\n", "sysfs ro,"]),
        ),
        run_once(
            "network_slirp4netns",
            &["--network", "slirp4netns", BUSYBOX, "ls", "/sys/class/net"],
            Says("lo\ntap0\n"),
        ),
        scenario("a_published_port", |session| {
            let answer = ["sh", "-c", "echo hello | nc -l -p 80"];
            let flags = ["--network", "slirp4netns", "-p", "127.0.0.1::80", BUSYBOX];
            let name = session.start("c", &[&flags[..], &answer].concat())?;
            let port = session.ask(&["port", &name, "80"])?.ok()?.word().to_owned();
            let (_, port) = port.rsplit_once(':').unwrap_or_default();
            let fetch = format!(
                "for n in $(seq 50); do busybox nc -w 2 127.0.0.1 {port} < /dev/null | grep . && exit; sleep 0.1; done"
            );
            session.machine().shell(&fetch)?.shows("hello\n").map(drop)
        }),
    ]
}

fn cgroups() -> Vec<Scenario<Podman>> {
    let started = |session: &Session<Podman>| session.start("c", &[BUSYBOX, "sleep", "100"]);
    let cgroup = |session: &Session<Podman>, name: &str| -> Outcome<String> {
        let pid = session.pid(name)?;
        Ok(session.machine().shell(&format!("grep ^0:: /proc/{pid}/cgroup"))?.ok()?.word().to_owned())
    };
    vec![
        scenario("a_limit_without_a_cgroup", |session| {
            let file = pods::written(
                session,
                "    command: [/bin/sleep, '100']\n    resources: {limits: {memory: 64Mi}}\n",
            )?;
            let said = session.ask(&["play", "kube", &file])?;
            session.ask(&["kube", "down", &file])?;
            match session.role() {
                // crun starts the container without the limit.
                Role::Reference => Ok(()),
                Role::Tested => said.complains("linux.resources.memory.limit").map(drop),
            }
        }),
        scenario("a_limit_without_its_controller_on_v2", |session| {
            let said = session.ask(&["run", "--rm", "--memory", "64m", BUSYBOX, "true"])?;
            ensure(said.code != 0, || said.report())
        })
        .on(On::V2),
        run_once("cgroups_disabled", &["--cgroups=disabled", BUSYBOX, "echo", "ran"], Says("ran\n")),
        run_once("cgroupns_private_on_v2", &[BUSYBOX, "grep", "^0::", "/proc/self/cgroup"], Says("0::/\n")).on(On::V2),
        scenario("a_cgroup_in_the_user_s_on_v2", move |session| {
            let name = started(session)?;
            let at = cgroup(session, &name)?;
            ensure(at.contains("/user/") && !at.ends_with("/session"), || at)
        })
        .on(On::V2),
        scenario("pause_exec_and_kill_on_v2", move |session| {
            let name = started(session)?;
            // runc has a warning for it.
            session.ask(&["pause", &name])?.ok()?;
            session.podman(&["inspect", "-f", "{{.State.Status}}", &name])?.says("paused\n")?;
            session.podman(&["exec", &name, "true"])?.exits(255)?;
            session.ask(&["unpause", &name])?.ok()?;
            session.podman(&["exec", &name, "echo", "x"])?.ok()?.says("x\n")?;
            session.podman(&["kill", &name])?.ok()?;
            session.podman(&["wait", &name])?.says("137\n").map(drop)
        })
        .on(On::V2),
        scenario("paused_and_removed_on_v2", move |session| {
            let name = started(session)?;
            let at = cgroup(session, &name)?;
            session.ask(&["pause", &name])?.ok()?;
            session.podman(&["rm", "-f", "-t", "0", &name])?.ok()?;
            let gone = format!("[ ! -e '/sys/fs/cgroup{}' ]", at.trim_start_matches("0::"));
            session.machine().shell(&gone)?.ok().map(drop)
        })
        .on(On::V2),
        scenario("stats_on_v2", move |session| {
            let name = started(session)?;
            session.ask(&["stats", "--no-stream", "--format", "{{.Name}}", &name])?.ok()?.says(&format!("{name}\n")).map(drop)
        })
        .on(On::V2),
        run_once(
            "an_unified_value_on_v2",
            &["--cgroup-conf", "cgroup.max.depth=3", BUSYBOX, "cat", "/sys/fs/cgroup/cgroup.max.depth"],
            Says("3\n"),
        )
        .on(On::V2),
        run_once(
            "systemd_may_make_cgroups_on_v2",
            &[
                "--systemd=always",
                BUSYBOX,
                "sh",
                "-c",
                "mkdir /sys/fs/cgroup/init.scope && echo 1 > /sys/fs/cgroup/init.scope/cgroup.procs && cat /proc/1/cgroup",
            ],
            Shows(&["0::/init.scope\n"]),
        )
        .on(On::V2),
    ]
}
