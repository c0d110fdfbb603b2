//! An engine with `--userns-remap`: root in the container is nobody in particular on the host.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::machine::REMAP_FIRST_ID;
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::{On, Scenario, run, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, ensure};

use crate::process::MOUNTS;

pub fn scenarios() -> Vec<Scenario> {
    let themes = [identity(), files(), settings(), options(), seen_from_the_host(), commands()];
    themes.into_iter().flatten().map(|scenario| scenario.on(On::RemappedUsers)).collect()
}

fn identity() -> Vec<Scenario> {
    vec![
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
    ]
}

fn files() -> Vec<Scenario> {
    vec![
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
    ]
}

fn settings() -> Vec<Scenario> {
    vec![
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
    ]
}

/// Options of `docker run` that are about namespaces and protections.
fn options() -> Vec<Scenario> {
    vec![
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
    ]
}

fn seen_from_the_host() -> Vec<Scenario> {
    vec![
        scenario("on_the_host_it_is_another_user", |session| {
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            let pid = session.pid(&name)?;
            let said = session
                .host(&format!("stat -c %u /proc/{pid}/root/etc; grep Uid /proc/{pid}/status | cut -f2"))?;
            said.ok()?.says(&format!("{REMAP_FIRST_ID}\n{REMAP_FIRST_ID}\n")).map(drop)
        }),
        scenario("what_it_writes_to_a_bind_is_the_other_user_s", |session| {
            let dir = session.dir("bind")?.display().to_string();
            session.host(&format!("chmod 777 {dir}"))?.ok()?;
            session.run(&["-v", &format!("{dir}:/v"), BUSYBOX, "touch", "/v/x"])?.ok()?;
            session
                .host(&format!("stat -c %u:%g {dir}/x"))?
                .ok()?
                .says(&format!("{REMAP_FIRST_ID}:{REMAP_FIRST_ID}\n"))
                .map(drop)
        }),
        scenario("a_bind_of_root_s_can_t_be_written", |session| {
            let dir = session.dir("bind")?.display().to_string();
            session.host(&format!("chmod 755 {dir}"))?.ok()?;
            session
                .run(&["-v", &format!("{dir}:/v"), BUSYBOX, "touch", "/v/x"])?
                .exits(1)?
                .complains("Permission denied")
                .map(drop)
        }),
        scenario("volumes_are_writable", |session| {
            let volume = session.name("data");
            session.run(&["-v", &format!("{volume}:/v"), BUSYBOX, "sh", "-c", "echo x > /v/x"])?.ok()?;
            session
                .run(&["-v", &format!("{volume}:/v:ro"), BUSYBOX, "cat", "/v/x"])?
                .ok()?
                .says("x\n")
                .map(drop)
        }),
    ]
}

/// Commands other than `docker run`, and the network.
fn commands() -> Vec<Scenario> {
    vec![
        scenario("exec_is_in_the_user_namespace", |session| {
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            let script =
                "awk '{print $2}' /proc/self/uid_map; id -u; grep -E 'Cap|Seccomp:' /proc/self/status";
            session
                .docker(&["exec", &name, "sh", "-c", script])?
                .ok()?
                .shows("100000\n0\n")?
                .shows("CapEff:\t00000000a80425fb")?;
            session.docker(&["exec", "-u", "alice", &name, "id", "-un"])?.ok()?.says("alice\n").map(drop)
        }),
        scenario("a_terminal", |session| {
            let args = session.with_runtime(
                &["run", "--rm"],
                &["-it", BUSYBOX, "sh", "-c", "tty; stat -c %u $(tty); echo x > $(tty)"],
            );
            session.close(session.terminal(&args)?)?.ok()?.shows("/dev/pts/0\n0\nx\n").map(drop)
        }),
        scenario("an_exec_on_a_terminal", |session| {
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            session
                .close(session.terminal(&["exec", "-it", &name, "tty"])?)?
                .ok()?
                .says("/dev/pts/0\n")
                .map(drop)
        }),
        scenario("a_published_port", |session| {
            let web = "mkdir /w; echo hello > /w/index.html; exec httpd -f -p 80 -h /w";
            let name = session.start("web", &["-p", "127.0.0.1::80", BUSYBOX, "sh", "-c", web])?;
            let address = session.ask(&["port", &name, "80/tcp"])?.ok()?;
            let fetch = format!(
                "for i in $(seq 100); do busybox wget -qO- http://{}/ 2>/dev/null && exit; sleep 0.05; done",
                address.word()
            );
            session.host(&fetch)?.ok()?.says("hello\n").map(drop)
        }),
        scenario("network_of_another_container", |session| {
            let other = session.start("other", &["--cap-add", "NET_ADMIN", BUSYBOX, "sleep", "100"])?;
            let container = format!("container:{other}");
            session
                .run(&["--network", &container, BUSYBOX, "ls", "/sys/class/net"])?
                .ok()?
                .says("eth0\nlo\n")
                .map(drop)
        }),
        scenario("pause_stop_and_restart", |session| {
            let name = session.start(
                "c",
                &[BUSYBOX, "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"],
            )?;
            session.wait_until(&["logs", &name], "up")?;
            session.docker(&["pause", &name])?.ok()?;
            session.docker(&["unpause", &name])?.ok()?;
            session.docker(&["restart", &name])?.ok()?;
            session.wait_until(&["logs", &name], "up\nup\n")?;
            session.docker(&["stop", &name])?.ok()?;
            session.docker(&["inspect", "-f", "{{.State.ExitCode}}", &name])?.says("5\n").map(drop)
        }),
        scenario("classic_build", |session| {
            let image = session.name("image");
            let dockerfile = format!(
                "FROM {BUSYBOX}\nRUN id -u > /seen; touch /etc/mine\nUSER alice\nRUN id -u >> /tmp/seen\nCMD cat /seen /tmp/seen\n"
            );
            // The builder takes the engine's default runtime, which is runc on this engine; the image runs under ours.
            let said =
                session.engine().docker(&["build", "-q", "-t", &image, "-"], Some(dockerfile.as_bytes()))?;
            said.ok()?;
            session.run(&[&image])?.ok()?.says("0\n1000\n").map(drop)
        }),
        scenario("no_capability_reaches_the_host", no_capability_reaches_the_host),
    ]
}

/// Root inside may not touch what belongs to the host's user namespace, whatever capabilities it was given.
fn no_capability_reaches_the_host(session: &Session) -> Outcome {
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
    let said = session.run(&flags)?.ok()?.shows("end\n")?;
    ensure(said.stderr.contains("mknod: /k: Operation not permitted"), || said.report())
}
