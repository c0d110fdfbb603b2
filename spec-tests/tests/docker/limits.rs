//! Resource limits: what stands in the cgroup, that it bites, and that it can be changed.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::{Scenario, run, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop, ensure};

pub fn scenarios() -> Vec<Scenario> {
    [memory(), processors(), processes_and_disks(), bounds(), whole_cgroup(), enforced(), updated()]
        .into_iter()
        .flatten()
        .collect()
}

fn memory() -> Vec<Scenario> {
    vec![
        scenario("memory", |session| {
            cgroup(
                session,
                &["-m", "64m"],
                &[
                    ("memory/memory.limit_in_bytes", "67108864"),
                    ("memory/memory.memsw.limit_in_bytes", "134217728"),
                ],
            )
        }),
        scenario("memory_swap", |session| {
            cgroup(
                session,
                &["-m", "64m", "--memory-swap", "96m"],
                &[("memory/memory.memsw.limit_in_bytes", "100663296")],
            )
        }),
        scenario("memory_without_swap", |session| {
            cgroup(
                session,
                &["-m", "64m", "--memory-swap", "64m"],
                &[("memory/memory.memsw.limit_in_bytes", "67108864")],
            )
        }),
        scenario("memory_with_unlimited_swap", |session| {
            cgroup(
                session,
                &["-m", "64m", "--memory-swap", "-1"],
                &[("memory/memory.memsw.limit_in_bytes", "9223372036854771712")],
            )
        }),
        scenario("memory_reservation", |session| {
            cgroup(
                session,
                &["-m", "64m", "--memory-reservation", "32m"],
                &[("memory/memory.soft_limit_in_bytes", "33554432")],
            )
        }),
        scenario("memory_swappiness", |session| {
            cgroup(session, &["--memory-swappiness", "7"], &[("memory/memory.swappiness", "7")])
        }),
        scenario("oom_kill_disable", |session| {
            cgroup(
                session,
                &["-m", "64m", "--oom-kill-disable"],
                &[("memory/memory.oom_control", "oom_kill_disable 1")],
            )
        }),
    ]
}

fn processors() -> Vec<Scenario> {
    vec![
        scenario("cpus", |session| {
            cgroup(
                session,
                &["--cpus", "0.5"],
                &[("cpu/cpu.cfs_quota_us", "50000"), ("cpu/cpu.cfs_period_us", "100000")],
            )
        }),
        scenario("cpu_period_and_quota", |session| {
            cgroup(
                session,
                &["--cpu-period", "50000", "--cpu-quota", "20000"],
                &[("cpu/cpu.cfs_quota_us", "20000"), ("cpu/cpu.cfs_period_us", "50000")],
            )
        }),
        scenario("cpu_shares", |session| {
            cgroup(session, &["--cpu-shares", "512"], &[("cpu/cpu.shares", "512")])
        }),
        scenario("cpuset_cpus_and_mems", |session| {
            cgroup(
                session,
                &["--cpuset-cpus", "0", "--cpuset-mems", "0"],
                &[("cpuset/cpuset.cpus", "0"), ("cpuset/cpuset.mems", "0")],
            )
        }),
    ]
}

fn processes_and_disks() -> Vec<Scenario> {
    vec![
        scenario("pids_limit", |session| {
            cgroup(session, &["--pids-limit", "20"], &[("pids/pids.max", "20")])
        }),
        scenario("pids_unlimited", |session| {
            cgroup(session, &["--pids-limit", "-1"], &[("pids/pids.max", "max")])
        }),
        scenario("device_read_and_write_rates", |session| {
            let disk = session.machine().shell(
                "for it in vda sda nvme0n1 loop0; do [ -b /dev/$it ] && echo /dev/$it && break; done",
            )?;
            if disk.word().is_empty() {
                return Err(Stop::Skipped("there is no block device to limit".into()));
            }
            let (read, write) = (format!("{}:1mb", disk.word()), format!("{}:100", disk.word()));
            cgroup(
                session,
                &["--device-read-bps", &read, "--device-write-iops", &write],
                &[
                    ("blkio/blkio.throttle.read_bps_device", " 1048576"),
                    ("blkio/blkio.throttle.write_iops_device", " 100"),
                ],
            )
        }),
        run("blkio_weight", &["--blkio-weight", "300", BUSYBOX, "echo", "ran"], Says("ran\n")),
    ]
}

fn bounds() -> Vec<Scenario> {
    vec![
        run(
            "cpus_beyond_the_machine_s_are_refused",
            &["--cpus", "1000", BUSYBOX, "true"],
            Fails(125, "ange of CPUs"),
        )
        .needs(&["cpu"]),
        run(
            "a_cpuset_beyond_the_machine_s_is_refused",
            &["--cpuset-cpus", "0-999", BUSYBOX, "true"],
            Fails(125, "Requested CPUs are not available"),
        )
        .needs(&["cpuset"]),
        run(
            "too_little_memory_is_refused",
            &["-m", "1m", BUSYBOX, "true"],
            Fails(125, "Minimum memory limit"),
        )
        .needs(&["memory"]),
        run(
            "cpuset_is_what_the_process_sees",
            &["--cpuset-cpus", "1", BUSYBOX, "grep", "Cpus_allowed_list", "/proc/self/status"],
            Says("Cpus_allowed_list:\t1\n"),
        )
        .needs(&["cpuset"]),
    ]
}

fn whole_cgroup() -> Vec<Scenario> {
    vec![
        scenario("every_limit_at_once", |session| {
            let flags = [
                "-m",
                "96m",
                "--cpus",
                "1.5",
                "--cpu-shares",
                "100",
                "--pids-limit",
                "33",
                "--cpuset-cpus",
                "0,1",
                "--memory-swappiness",
                "0",
                "--ulimit",
                "nproc=90",
            ];
            cgroup(
                session,
                &flags,
                &[
                    ("memory/memory.limit_in_bytes", "100663296"),
                    ("cpu/cpu.cfs_quota_us", "150000"),
                    ("cpu/cpu.shares", "100"),
                    ("pids/pids.max", "33"),
                    ("cpuset/cpuset.cpus", "0-1"),
                ],
            )
        }),
        scenario("the_cgroup_s_path", |session| {
            let said = session.run(&["--cgroupns", "host", BUSYBOX, "cat", "/proc/self/cgroup"])?.ok()?;
            said.shows(&format!(":{}/", session.engine().cgroup())).map(drop)
        }),
        scenario("cgroup_parent", |session| {
            let parent = format!("{}/family", session.engine().cgroup());
            let said = session
                .run(&[
                    "--cgroupns",
                    "host",
                    "--cgroup-parent",
                    &parent,
                    BUSYBOX,
                    "cat",
                    "/proc/self/cgroup",
                ])?
                .ok()?;
            said.shows(&format!(":{parent}/")).map(drop)
        }),
        run(
            "the_cgroup_view_inside_is_its_own_and_read_only",
            &[
                BUSYBOX,
                "sh",
                "-c",
                "cd /sys/fs/cgroup; [ -d pids ] && cd pids; wc -l < cgroup.procs; mkdir x",
            ],
            Fails(1, "Read-only file system"),
        ),
    ]
}

fn enforced() -> Vec<Scenario> {
    vec![
        scenario("too_much_memory_is_an_oom_kill", |session| {
            let name = session.name("c");
            let flags = ["-m", "16m", "--memory-swap", "16m", BUSYBOX, "sh", "-c", EAT];
            session.docker(&session.with_runtime(&["run", "--name", &name], &flags))?.exits(137)?;
            let state = "{{.State.OOMKilled}} {{.State.ExitCode}} {{.State.Status}}";
            // The engine hears of the OOM by another way than of the exit, and perhaps later.
            session.wait_until(&["inspect", "-f", state, &name], "true")?;
            session.docker(&["inspect", "-f", state, &name])?.says("true 137 exited\n").map(drop)
        })
        .needs(&["memory"]),
        scenario("an_oom_kill_of_a_child_is_reported_and_survived", |session| {
            let script = format!("sh -c '{EAT}'; echo child ended with $?; exec sleep 100");
            let name =
                session.start("c", &["-m", "16m", "--memory-swap", "16m", BUSYBOX, "sh", "-c", &script])?;
            session.wait_until(&["logs", &name], "child ended")?;
            session.docker(&["logs", &name])?.says("child ended with 137\n")?;
            session.docker(&["inspect", "-f", "{{.State.Status}}", &name])?.says("running\n").map(drop)
        })
        .needs(&["memory"]),
        scenario("an_oom_kill_is_an_event", |session| {
            let name = session.name("c");
            let since = session.ask(&["info", "-f", "{{.SystemTime}}"])?.word().to_owned();
            let flags = ["-m", "16m", "--memory-swap", "16m", BUSYBOX, "sh", "-c", EAT];
            session.docker(&session.with_runtime(&["run", "--name", &name], &flags))?.exits(137)?;
            let until = session.ask(&["info", "-f", "{{.SystemTime}}"])?.word().to_owned();
            let filter = format!("container={name}");
            let events = [
                "events",
                "--since",
                &since,
                "--until",
                &until,
                "--filter",
                &filter,
                "--format",
                "{{.Action}}",
            ];
            let said = session.ask(&events)?.ok()?;
            said.shows("oom\n")?.shows("die\n").map(drop)
        })
        .needs(&["memory"]),
        run(
            "too_many_processes_can_t_fork",
            &["--pids-limit", "5", BUSYBOX, "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1"],
            Fails(2, ""),
        )
        .needs(&["pids"]),
        run(
            "the_file_size_limit_bites",
            &[
                "--ulimit",
                "fsize=1024",
                BUSYBOX,
                "sh",
                "-c",
                "head -c 4096 /dev/zero > /x; echo $?; stat -c %s /x",
            ],
            Says("153\n1024\n"),
        ),
        run(
            "shm_is_only_so_large",
            &["--shm-size", "64k", BUSYBOX, "sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=100k count=1"],
            Fails(1, "No space left"),
        ),
        scenario("the_memory_limit_does_not_fell_a_small_start", |session| {
            session.run(&["-m", "6m", BUSYBOX, "echo", "small"])?.ok()?.says("small\n").map(drop)
        })
        .needs(&["memory"]),
        run(
            "oom_score_adj_of_children",
            &["--oom-score-adj", "300", BUSYBOX, "sh", "-c", "sh -c 'cat /proc/self/oom_score_adj'; true"],
            Shows(&["300"]),
        ),
    ]
}

fn updated() -> Vec<Scenario> {
    vec![
        scenario("update_memory", |session| {
            update(
                session,
                &["-m", "64m"],
                &["--memory", "128m", "--memory-swap", "256m"],
                &[
                    ("memory/memory.limit_in_bytes", "134217728"),
                    ("memory/memory.memsw.limit_in_bytes", "268435456"),
                ],
            )
        }),
        scenario("update_memory_downwards", |session| {
            update(
                session,
                &["-m", "128m"],
                &["--memory", "64m", "--memory-swap", "64m"],
                &[
                    ("memory/memory.limit_in_bytes", "67108864"),
                    ("memory/memory.memsw.limit_in_bytes", "67108864"),
                ],
            )
        }),
        scenario("update_cpus", |session| {
            update(session, &["--cpus", "1"], &["--cpus", "0.25"], &[("cpu/cpu.cfs_quota_us", "25000")])
        }),
        scenario("update_cpu_shares_and_set", |session| {
            update(
                session,
                &[],
                &["--cpu-shares", "300", "--cpuset-cpus", "1"],
                &[("cpu/cpu.shares", "300"), ("cpuset/cpuset.cpus", "1")],
            )
        }),
        scenario("update_pids_limit", |session| {
            update(session, &["--pids-limit", "10"], &["--pids-limit", "40"], &[("pids/pids.max", "40")])
        }),
        scenario("update_leaves_the_devices_alone", |session| {
            session.needs_cgroup_v1()?;
            let name = session.start("c", &["--device", "/dev/kmsg", BUSYBOX, "sleep", "100"])?;
            let list = ["exec", &name, "sort", "/sys/fs/cgroup/devices/devices.list"];
            let before = session.docker(&list)?.ok()?;
            session.docker(&["update", "--cpu-shares", "300", &name])?.ok()?;
            session.docker(&list)?.ok()?.says(&before.stdout).map(drop)
        }),
        scenario("update_of_a_stopped_container_holds_at_the_next_start", |session| {
            let name = session.create("c", &["-m", "64m", BUSYBOX, "sh", "-c", MEMORY_LIMIT])?;
            session.docker(&["update", "-m", "32m", "--memory-swap", "64m", &name])?.ok()?;
            session.docker(&["start", "-a", &name])?.ok()?.says("33554432\n").map(drop)
        })
        .needs(&["memory"]),
        scenario("update_of_a_paused_container", |session| {
            session.needs_cgroup_v1()?;
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            session.docker(&["pause", &name])?.ok()?;
            session.docker(&["update", "--cpu-shares", "300", &name])?.ok()?;
            session.docker(&["inspect", "-f", "{{.State.Status}}", &name])?.says("paused\n")?;
            session.docker(&["unpause", &name])?.ok()?;
            session
                .docker(&["exec", &name, "cat", "/sys/fs/cgroup/cpu/cpu.shares"])?
                .ok()?
                .says("300\n")
                .map(drop)
        }),
    ]
}

/// A container's own memory limit, as it sees it.
pub const MEMORY_LIMIT: &str =
    "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null; true";

/// A container's own limit of processes, as it sees it.
pub const PIDS_LIMIT: &str = "cd /sys/fs/cgroup; cat pids/pids.max pids.max 2>/dev/null; true";

/// Doubles a string until something stops it.
const EAT: &str = "x=aaaaaaaa; while :; do x=$x$x; done";

/// Starts a container with `flags`; each file of its cgroup, as it sees it, must hold its value.
fn cgroup(session: &Session, flags: &[&str], expected: &[(&str, &str)]) -> Outcome {
    session.needs_cgroup_v1()?;
    let name = session.start("c", &[flags, &[BUSYBOX, "sleep", "100"]].concat())?;
    check_cgroup(session, &name, expected)?;
    let all = "cd /sys/fs/cgroup; grep . cpu/cpu.shares cpu/cpu.cfs_* cpuset/cpuset.cpus cpuset/cpuset.mems pids/pids.max \
               memory/memory.*limit_in_bytes memory/memory.swappiness memory/memory.oom_control";
    session.docker(&["exec", &name, "sh", "-c", all]).map(drop)
}

fn update(session: &Session, first: &[&str], then: &[&str], expected: &[(&str, &str)]) -> Outcome {
    session.needs_cgroup_v1()?;
    let name = session.start("c", &[first, &[BUSYBOX, "sleep", "100"]].concat())?;
    session.docker(&[&["update"], then, &[name.as_str()]].concat())?.ok()?;
    check_cgroup(session, &name, expected)
}

fn check_cgroup(session: &Session, name: &str, expected: &[(&str, &str)]) -> Outcome {
    for (file, value) in expected {
        let path = format!("/sys/fs/cgroup/{file}");
        let said = session.docker(&["exec", name, "cat", &path])?.ok()?;
        let holds = if value.contains(' ') { said.stdout.contains(value) } else { said.word() == *value };
        ensure(holds, || format!("{file} should hold {value:?}:\n{}", said.report()))?;
    }
    Ok(())
}
