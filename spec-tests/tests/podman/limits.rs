//! Limits, as the container's cgroup has them, and how podman is told where that cgroup is.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{On, Podman, run_once, scenario};
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, ensure};

/// Shows what a limit came to, from inside the container.
const VALUES: &str = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes \
                      cpu/cpu.cfs_quota_us cpu/cpu.shares cpuset/cpuset.cpus pids/pids.max";

pub fn scenarios() -> Vec<Scenario<Podman>> {
    [values(), places(), observations()].into_iter().flatten().collect()
}

fn values() -> Vec<Scenario<Podman>> {
    vec![
        run_once("by_default", &[BUSYBOX, "sh", "-c", VALUES], Shows(&["2048\n"])),
        run_once(
            "memory_cpus_and_pids",
            &[
                "--memory",
                "64m",
                "--memory-reservation",
                "32m",
                "--cpus",
                "0.5",
                "--cpu-shares",
                "512",
                "--cpuset-cpus",
                "0",
                "--pids-limit",
                "77",
                BUSYBOX,
                "sh",
                "-c",
                VALUES,
            ],
            Says("67108864\n33554432\n50000\n512\n0\n77\n"),
        ),
        run_once(
            "memory_swap_and_swappiness",
            &[
                "--memory",
                "64m",
                "--memory-swap",
                "64m",
                "--memory-swappiness",
                "0",
                BUSYBOX,
                "sh",
                "-c",
                "cat /sys/fs/cgroup/memory/memory.swappiness",
            ],
            Says("0\n"),
        ),
        scenario("no_pids_limit", |session| {
            // podman writes 0, which newer runcs take for 1.
            let said = session.ask(&[
                "run",
                "--rm",
                "--pids-limit",
                "-1",
                BUSYBOX,
                "cat",
                "/sys/fs/cgroup/pids/pids.max",
            ])?;
            said.ok()?.says("max\n").map(drop)
        }),
        run_once("too_little_memory", &["--memory", "1m", BUSYBOX, "sh", "-c", "true; true"], Shows(&[])),
        run_once(
            "a_missing_processor_is_refused",
            &["--cpuset-cpus", "4000", BUSYBOX, "true"],
            Fails(125, "not available"),
        ),
        scenario("an_oom_kill_is_told", |session| {
            let name = session.name("c");
            let script = "x=aaaaaaaa; while :; do x=$x$x; done";
            session
                .podman(&[
                    "run",
                    "--name",
                    &name,
                    "-m",
                    "16m",
                    "--memory-swap",
                    "16m",
                    BUSYBOX,
                    "sh",
                    "-c",
                    script,
                ])?
                .exits(137)?;
            session.podman(&["inspect", "-f", "{{.State.ExitCode}}", &name])?.says("137\n").map(drop)
        }),
        scenario("update", |session| {
            let name = session.start("c", &["-m", "64m", BUSYBOX, "sleep", "100"])?;
            session
                .podman(&["update", "-m", "128m", "--cpus", "0.25", "--cpu-shares", "300", &name])?
                .ok()?;
            session
                .podman(&["exec", &name, "sh", "-c", VALUES])?
                .ok()?
                .shows("134217728\n")?
                .shows("25000\n300\n")
                .map(drop)
        }),
    ]
}

fn places() -> Vec<Scenario<Podman>> {
    vec![
        run_once(
            "disabled",
            &["--cgroups=disabled", BUSYBOX, "sh", "-c", "cat /proc/1/cgroup | wc -l; echo ran"],
            Shows(&["ran\n"]),
        ),
        scenario("disabled_on_v2", |session| match session.role() {
            // runc knows no such flag.
            Role::Reference => Ok(()),
            Role::Tested => session
                .ask(&["run", "--rm", "--cgroups=disabled", BUSYBOX, "echo", "ran"])?
                .ok()?
                .says("ran\n")
                .map(drop),
        })
        .on(On::V2),
        scenario("disabled_stays_in_podman_s_cgroup", |session| {
            let name = session.start("c", &["--cgroups=disabled", BUSYBOX, "sleep", "100"])?;
            let pid = session.pid(&name)?;
            session.machine().shell(&format!("grep -c libpod /proc/{pid}/cgroup"))?.exits(1)?.says("0\n")?;
            session.podman(&["exec", &name, "echo", "x"])?.ok()?.says("x\n")?;
            session.podman(&["kill", &name])?.ok()?;
            session.podman(&["wait", &name])?.says("137\n").map(drop)
        }),
        scenario("disabled_with_a_limit", |session| {
            let args =
                session.with_runtime(&["run", "--rm"], &["--cgroups=disabled", "-m", "64m", BUSYBOX, "true"]);
            let said = session.ask(&args)?;
            match session.role() {
                // crun starts the container without the limit.
                Role::Reference => Ok(()),
                Role::Tested => said.exits(126)?.complains("linux.resources.memory.limit").map(drop),
            }
        }),
        run_once("enabled", &["--cgroups=enabled", BUSYBOX, "echo", "ran"], Says("ran\n")),
        run_once("no_conmon", &["--cgroups=no-conmon", BUSYBOX, "echo", "ran"], Says("ran\n")),
        scenario("split", |session| session.run(&["--cgroups=split", BUSYBOX, "true"]).map(drop)),
        scenario("a_parent_of_choice", |session| {
            let name =
                session.start("c", &["--cgroup-parent", "/libpod_parent/mine", BUSYBOX, "sleep", "100"])?;
            let pid = session.pid(&name)?;
            session
                .host(&format!("grep -E ':(memory|freezer):' /proc/{pid}/cgroup | cut -d: -f2-"))?
                .shows("/libpod_parent/mine/libpod-")
                .map(drop)
        }),
        scenario("the_cgroups_of_an_ordinary_container", |session| {
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            let pid = session.pid(&name)?;
            session
                .host(&format!("cut -d: -f2- /proc/{pid}/cgroup | sort"))?
                .shows("memory:/libpod_parent/libpod-")
                .map(drop)
        }),
        run_once(
            "cgroupns_private_is_v2_s_default",
            &[BUSYBOX, "sh", "-c", "cat /proc/self/cgroup; grep ' /sys/fs/cgroup ' /proc/mounts"],
            Shows(&["0::/\n", "cgroup2"]),
        )
        .on(On::V2),
        run_once(
            "cgroupns_host_on_v2",
            &["--cgroupns", "host", BUSYBOX, "sh", "-c", "grep -o 0::.*libpod /proc/self/cgroup"],
            Says("0::/libpod_parent/libpod\n"),
        )
        .on(On::V2),
        run_once(
            "cgroupns_private_on_v1",
            &["--cgroupns", "private", BUSYBOX, "sh", "-c", "cut -d: -f2- /proc/self/cgroup | sort"],
            Shows(&["pids:/\n"]),
        ),
        run_once(
            "an_unified_value",
            &["--cgroup-conf", "cgroup.max.depth=3", BUSYBOX, "cat", "/sys/fs/cgroup/cgroup.max.depth"],
            Says("3\n"),
        )
        .on(On::V2),
    ]
}

fn observations() -> Vec<Scenario<Podman>> {
    let stats = |session: &Session<Podman>| -> Outcome {
        let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
        let said =
            session.ask(&["stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", &name])?.ok()?;
        ensure(said.stdout.starts_with('1'), || said.report())
    };
    let pause = |session: &Session<Podman>| -> Outcome {
        let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
        session.podman(&["pause", &name])?.ok()?;
        session.podman(&["inspect", "-f", "{{.State.Status}}", &name])?.says("paused\n")?;
        session.podman(&["unpause", &name])?.ok()?;
        session.podman(&["exec", &name, "echo", "x"])?.ok()?.says("x\n")?;
        session.podman(&["kill", &name])?.ok()?;
        session.podman(&["wait", &name])?.says("137\n").map(drop)
    };
    vec![
        scenario("stats", stats),
        scenario("pause_exec_and_kill_on_v2", pause).on(On::V2),
        scenario("paused_and_removed_on_v2", |session| {
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            session.podman(&["pause", &name])?.ok()?;
            session.podman(&["rm", "-f", "-t", "0", &name])?.ok().map(drop)
        })
        .on(On::V2),
        run_once(
            "device_rules_hold_on_v2",
            &[BUSYBOX, "sh", "-c", "mknod /dev/m c 1 1 && head -c 1 /dev/m"],
            Fails(1, "not permitted"),
        )
        .on(On::V2),
        run_once("exit_codes_on_v2", &[BUSYBOX, "sh", "-c", "exit 3"], Fails(3, "")).on(On::V2),
        run_once("a_missing_command_on_v2", &[BUSYBOX, "nosuch"], Fails(127, "not found in $PATH"))
            .on(On::V2),
    ]
}
