//! An engine with `--userns-remap`: root in the container is nobody in particular on the host.

use spec_tests::engine::case::Expected::{Fails, Says, Shows};
use spec_tests::engine::case::{Case, On, case, run};
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::machine::REMAP_FIRST_ID;
use spec_tests::engine::seat::Seat;
use spec_tests::engine::{Outcome, ensure};

use crate::process::MOUNTS;

pub fn cases() -> Vec<Case> {
    let cases = vec![
        run(
            "id_maps",
            &[
                BUSYBOX,
                "sh",
                "-c",
                "awk '{print $1, $2, $3}' /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups",
            ],
            Says("0 100000 65536\n0 100000 65536\nallow\n"),
        ),
        run("root_inside", &[BUSYBOX, "id"], Says("uid=0(root) gid=0(root) groups=0(root)\n")),
        run(
            "another_user_inside",
            &["--user", "alice", "--group-add", "audio", BUSYBOX, "id", "-G"],
            Says("1000 50 63\n"),
        ),
        run(
            "capabilities_are_in_the_user_namespace",
            &[BUSYBOX, "grep", "-E", "Cap|Seccomp:", "/proc/self/status"],
            Shows(&["CapEff:\t00000000a80425fb"]),
        ),
        run(
            "the_image_s_files_belong_to_root_inside",
            &[BUSYBOX, "stat", "-c", "%u:%g", "/bin", "/home/alice", "/dev/null", "/proc/self", "/dev/shm"],
            Shows(&["0:0\n1000:1000\n"]),
        ),
        run(
            "mounts_and_their_flags",
            &[BUSYBOX, "sh", "-c", MOUNTS],
            Shows(&["/proc proc", "/sys sysfs ro,", "/dev/mqueue mqueue"]),
        ),
        run(
            "devices",
            &[
                BUSYBOX,
                "sh",
                "-c",
                "cd /dev; stat -c '%n %F %a %u:%g' $(ls | grep -v mqueue); echo x > /dev/null && head -c 2 /dev/zero | wc -c",
            ],
            Shows(&["null character special file 666", "\n2\n"]),
        ),
        run("read_only_rootfs", &["--read-only", BUSYBOX, "touch", "/x"], Fails(1, "Read-only file system")),
        run(
            "tmpfs_and_shm",
            &[
                "--tmpfs",
                "/t",
                "--shm-size",
                "1m",
                BUSYBOX,
                "sh",
                "-c",
                "touch /t/x /dev/shm/y && stat -c %u /t/x /dev/shm/y",
            ],
            Says("0\n0\n"),
        ),
        run(
            "own_network_is_its_own_to_change",
            &["--cap-add", "NET_ADMIN", BUSYBOX, "sh", "-c", "ip link set lo down && echo down"],
            Says("down\n"),
        ),
        run(
            "sysctl",
            &["--sysctl", "net.core.somaxconn=55", BUSYBOX, "cat", "/proc/sys/net/core/somaxconn"],
            Says("55\n"),
        ),
        run(
            "limits",
            &[
                "-m",
                "64m",
                "--pids-limit",
                "30",
                BUSYBOX,
                "sh",
                "-c",
                "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max pids/pids.max pids.max 2>/dev/null; true",
            ],
            Says("67108864\n30\n"),
        ).needs(&["memory", "pids"]),
        run("init", &["--init", BUSYBOX, "cat", "/proc/1/comm"], Says("docker-init\n")),
        run("exit_codes", &[BUSYBOX, "sh", "-c", "exit 9"], Fails(9, "")),
        run(
            "a_missing_command_is_127",
            &[BUSYBOX, "nosuch"],
            Fails(127, "executable file not found in $PATH"),
        ),
        run(
            "pid_host_is_refused",
            &["--pid", "host", BUSYBOX, "true"],
            Fails(125, "cannot share the host PID namespace"),
        ),
        run(
            "privileged_is_refused",
            &["--privileged", BUSYBOX, "true"],
            Fails(125, "privileged mode is incompatible"),
        ),
        run(
            "userns_host_opts_out",
            &["--userns", "host", BUSYBOX, "awk", "{print $1, $2}", "/proc/self/uid_map"],
            Says("0 0\n"),
        ),
        run(
            "seccomp_unconfined",
            &["--security-opt", "seccomp=unconfined", BUSYBOX, "grep", "Seccomp:", "/proc/self/status"],
            Says("Seccomp:\t0\n"),
        ),
        run(
            "no_new_privileges",
            &["--security-opt", "no-new-privileges", BUSYBOX, "grep", "NoNewPrivs", "/proc/self/status"],
            Says("NoNewPrivs:\t1\n"),
        ),
        run("network_none", &["--network", "none", BUSYBOX, "ls", "/sys/class/net"], Says("lo\n")),
        case("on_the_host_it_is_another_user", |seat| {
            let name = seat.start("c", &[BUSYBOX, "sleep", "100"])?;
            let pid = seat.pid(&name)?;
            let said = seat
                .host(&format!("stat -c %u /proc/{pid}/root/etc; grep Uid /proc/{pid}/status | cut -f2"))?;
            said.ok()?.says(&format!("{REMAP_FIRST_ID}\n{REMAP_FIRST_ID}\n")).map(drop)
        }),
        case("what_it_writes_to_a_bind_is_the_other_user_s", |seat| {
            let dir = seat.dir("bind")?.display().to_string();
            seat.host(&format!("chmod 777 {dir}"))?.ok()?;
            seat.run(&["-v", &format!("{dir}:/v"), BUSYBOX, "touch", "/v/x"])?.ok()?;
            seat.host(&format!("stat -c %u:%g {dir}/x"))?
                .ok()?
                .says(&format!("{REMAP_FIRST_ID}:{REMAP_FIRST_ID}\n"))
                .map(drop)
        }),
        case("a_bind_of_root_s_can_t_be_written", |seat| {
            let dir = seat.dir("bind")?.display().to_string();
            seat.host(&format!("chmod 755 {dir}"))?.ok()?;
            seat.run(&["-v", &format!("{dir}:/v"), BUSYBOX, "touch", "/v/x"])?
                .exits(1)?
                .complains("Permission denied")
                .map(drop)
        }),
        case("volumes_are_writable", |seat| {
            let volume = seat.name("data");
            seat.run(&["-v", &format!("{volume}:/v"), BUSYBOX, "sh", "-c", "echo x > /v/x"])?.ok()?;
            seat.run(&["-v", &format!("{volume}:/v:ro"), BUSYBOX, "cat", "/v/x"])?.ok()?.says("x\n").map(drop)
        }),
        case("exec_is_in_the_user_namespace", |seat| {
            let name = seat.start("c", &[BUSYBOX, "sleep", "100"])?;
            let script =
                "awk '{print $2}' /proc/self/uid_map; id -u; grep -E 'Cap|Seccomp:' /proc/self/status";
            seat.docker(&["exec", &name, "sh", "-c", script])?
                .ok()?
                .shows("100000\n0\n")?
                .shows("CapEff:\t00000000a80425fb")?;
            seat.docker(&["exec", "-u", "alice", &name, "id", "-un"])?.ok()?.says("alice\n").map(drop)
        }),
        case("a_terminal", |seat| {
            let args = seat.with_runtime(
                &["run", "--rm"],
                &["-it", BUSYBOX, "sh", "-c", "tty; stat -c %u $(tty); echo x > $(tty)"],
            );
            seat.close(seat.terminal(&args)?)?.ok()?.shows("/dev/pts/0\n0\nx\n").map(drop)
        }),
        case("an_exec_on_a_terminal", |seat| {
            let name = seat.start("c", &[BUSYBOX, "sleep", "100"])?;
            seat.close(seat.terminal(&["exec", "-it", &name, "tty"])?)?.ok()?.says("/dev/pts/0\n").map(drop)
        }),
        case("a_published_port", |seat| {
            let web = "mkdir /w; echo hello > /w/index.html; exec httpd -f -p 80 -h /w";
            let name = seat.start("web", &["-p", "127.0.0.1::80", BUSYBOX, "sh", "-c", web])?;
            let address = seat.ask(&["port", &name, "80/tcp"])?.ok()?;
            let fetch = format!(
                "for i in $(seq 100); do busybox wget -qO- http://{}/ 2>/dev/null && exit; sleep 0.05; done",
                address.word()
            );
            seat.host(&fetch)?.ok()?.says("hello\n").map(drop)
        }),
        case("network_of_another_container", |seat| {
            let other = seat.start("other", &["--cap-add", "NET_ADMIN", BUSYBOX, "sleep", "100"])?;
            let container = format!("container:{other}");
            seat.run(&["--network", &container, BUSYBOX, "ls", "/sys/class/net"])?
                .ok()?
                .says("eth0\nlo\n")
                .map(drop)
        }),
        case("pause_stop_and_restart", |seat| {
            let name = seat.start(
                "c",
                &[BUSYBOX, "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"],
            )?;
            seat.wait_until(&["logs", &name], "up")?;
            seat.docker(&["pause", &name])?.ok()?;
            seat.docker(&["unpause", &name])?.ok()?;
            seat.docker(&["restart", &name])?.ok()?;
            seat.wait_until(&["logs", &name], "up\nup\n")?;
            seat.docker(&["stop", &name])?.ok()?;
            seat.docker(&["inspect", "-f", "{{.State.ExitCode}}", &name])?.says("5\n").map(drop)
        }),
        case("classic_build", |seat| {
            let image = seat.name("image");
            let dockerfile = format!(
                "FROM {BUSYBOX}\nRUN id -u > /seen; touch /etc/mine\nUSER alice\nRUN id -u >> /tmp/seen\nCMD cat /seen /tmp/seen\n"
            );
            // The builder takes the engine's default runtime, which is runc on this engine; the image runs under ours.
            let said =
                seat.engine().docker(&["build", "-q", "-t", &image, "-"], Some(dockerfile.as_bytes()))?;
            said.ok()?;
            seat.run(&[&image])?.ok()?.says("0\n1000\n").map(drop)
        }),
        case("no_capability_reaches_the_host", no_capability_reaches_the_host),
    ];
    cases.into_iter().map(|case| case.on(On::RemappedUsers)).collect()
}

/// Root inside may not touch what belongs to the host's user namespace, whatever capabilities it was given.
fn no_capability_reaches_the_host(seat: &Seat) -> Outcome {
    let script = "hostname other 2>&1; echo 1 > /proc/sys/kernel/panic; mknod /k c 1 11; nice -n -5 true && true; mount -o remount,rw /sys; echo end";
    let flags = [
        "--cap-add",
        "SYS_ADMIN",
        "--cap-add",
        "MKNOD",
        "--security-opt",
        "seccomp=unconfined",
        BUSYBOX,
        "sh",
        "-c",
        script,
    ];
    let said = seat.run(&flags)?.ok()?.shows("end\n")?;
    ensure(said.stderr.contains("mknod: /k: Operation not permitted"), || said.report())
}
