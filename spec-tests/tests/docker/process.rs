//! What `docker run` makes of the container's process: its streams, identity, environment, limits and end.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::{Scenario, run, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, ensure};

pub fn scenarios() -> Vec<Scenario> {
    [streams(), ends(), identity(), surroundings(), settings()].into_iter().flatten().collect()
}

fn streams() -> Vec<Scenario> {
    vec![
        run("output_comes_back", &[BUSYBOX, "echo", "hello"], Says("hello\n")),
        scenario("stdout_and_stderr_stay_apart", |session| {
            let said = session.run(&[BUSYBOX, "sh", "-c", "echo out; echo err >&2"])?;
            said.ok()?.says("out\n")?.complains("err").map(drop)
        }),
        scenario("stdin_reaches_the_process", |session| {
            session
                .run_reading(&["-i", BUSYBOX, "sh", "-c", "read a; echo got $a; cat"], "one\ntwo\n")?
                .ok()?
                .says("got one\ntwo\n")
                .map(drop)
        }),
        scenario("a_megabyte_passes_through_both_ways", |session| {
            let input = "0123456789abcde\n".repeat(65_536);
            let said = session.run_reading(&["-i", BUSYBOX, "cat"], &input)?.ok()?;
            ensure(said.stdout == input, || {
                format!("{} of {} bytes came back", said.stdout.len(), input.len())
            })
        }),
        run("stdin_is_dev_null_without_i", &[BUSYBOX, "wc", "-c"], Says("0\n")),
        scenario("detached_prints_its_id_and_goes_on", detached),
        run(
            "only_the_three_streams_are_open",
            &[BUSYBOX, "sh", "-c", "ls /proc/$$/fd; true"],
            Says("0\n1\n2\n"),
        ),
    ]
}

fn ends() -> Vec<Scenario> {
    vec![
        run("exit_code_is_the_process_s", &[BUSYBOX, "sh", "-c", "echo bad >&2; exit 42"], Fails(42, "bad")),
        scenario("a_process_killed_by_sigkill_is_137", |session| {
            // Pid 1 of a namespace can't kill itself, so the host does it.
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            let pid = session.pid(&name)?;
            session.machine().shell(&format!("kill -9 {pid}"))?.ok()?;
            session.docker(&["wait", &name])?.ok()?.says("137\n").map(drop)
        }),
        run(
            "a_child_killed_by_a_signal_shows_in_the_shell",
            &[BUSYBOX, "sh", "-c", "sh -c 'kill -TERM $$'; exit $?"],
            Fails(143, ""),
        ),
        run(
            "a_missing_command_is_127",
            &[BUSYBOX, "nosuch"],
            Fails(127, "executable file not found in $PATH"),
        ),
        run("a_missing_path_is_127", &[BUSYBOX, "/bin/nosuch"], Fails(127, "no such file or directory")),
        run("a_directory_as_command_is_126", &[BUSYBOX, "/etc"], Fails(126, "permission denied")),
        run(
            "a_file_that_can_t_be_executed_is_126",
            &[BUSYBOX, "/etc/passwd"],
            Fails(126, "permission denied"),
        ),
        run("a_missing_image_is_125", &["nosuch.invalid/image", "true"], Fails(125, "Unable to find image")),
        run("an_unknown_runtime_is_125", &["--runtime", "nosuch", BUSYBOX, "true"], Fails(125, "nosuch")),
        run(
            "an_unknown_user_is_refused",
            &["--user", "nosuch", BUSYBOX, "true"],
            Fails(125, "unable to find user"),
        ),
        run(
            "a_file_as_workdir_is_refused",
            &["--workdir", "/etc/passwd", BUSYBOX, "true"],
            Fails(125, "not a directory"),
        ),
        scenario("rm_leaves_no_container", |session| {
            let name = session.name("c");
            session.run(&["--name", &name, BUSYBOX, "true"])?.ok()?;
            session.docker(&["inspect", &name])?.exits(1)?.complains("No such object").map(drop)
        }),
        scenario("a_failed_start_can_be_removed_and_tried_again", |session| {
            let name = session.name("c");
            session
                .docker(&session.with_runtime(&["run", "--name", &name], &[BUSYBOX, "nosuch"]))?
                .exits(127)?;
            session
                .docker(&["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", &name])?
                .says("created 127\n")?;
            session.docker(&["rm", &name])?.ok()?;
            session.run(&["--name", &name, BUSYBOX, "echo", "again"])?.ok()?.says("again\n").map(drop)
        }),
    ]
}

fn identity() -> Vec<Scenario> {
    vec![
        run("root_by_default", &[BUSYBOX, "id"], Says("uid=0(root) gid=0(root) groups=0(root)\n")),
        run(
            "user_by_name_has_its_groups",
            &["--user", "alice", BUSYBOX, "id"],
            Says("uid=1000(alice) gid=1000(alice) groups=50(staff),1000(alice)\n"),
        ),
        run(
            "user_by_number",
            &["--user", "1234", BUSYBOX, "id"],
            Says("uid=1234 gid=0(root) groups=0(root)\n"),
        ),
        run(
            "user_and_group_by_number",
            &["--user", "1234:5678", BUSYBOX, "id"],
            Shows(&["uid=1234 gid=5678"]),
        ),
        run("user_with_a_named_group", &["--user", "alice:audio", BUSYBOX, "id"], Shows(&["gid=63(audio)"])),
        run(
            "group_add",
            &["--user", "alice", "--group-add", "audio", "--group-add", "777", BUSYBOX, "id", "-G"],
            Says("1000 50 63 777\n"),
        ),
        run(
            "home_follows_the_user",
            &["--user", "alice", BUSYBOX, "sh", "-c", "echo $HOME"],
            Says("/home/alice\n"),
        ),
        run("hostname", &["--hostname", "box", BUSYBOX, "hostname"], Says("box\n")),
        run(
            "domainname",
            &["--domainname", "example.org", BUSYBOX, "cat", "/proc/sys/kernel/domainname"],
            Says("example.org\n"),
        ),
        run(
            "hostname_is_in_etc_hosts",
            &["--hostname", "box", "--add-host", "db:10.9.8.7", BUSYBOX, "cat", "/etc/hosts"],
            Shows(&["box", "10.9.8.7\tdb"]),
        ),
    ]
}

fn surroundings() -> Vec<Scenario> {
    vec![
        scenario("environment", |session| {
            // The lines are sorted, because the engine itself gives them now in one order and now in another.
            let said =
                session.docker_sorted(&session.with_runtime(
                    &["run", "--rm"],
                    &["--env", "A=1", "--env", "B=two words", BUSYBOX, "env"],
                ))?;
            said.ok()?
                .shows(
                    "A=1
B=two words
",
                )?
                .shows("HOME=/root")?
                .shows("PATH=/usr/local/sbin:")
                .map(drop)
        }),
        run("working_directory", &["--workdir", "/etc", BUSYBOX, "pwd"], Says("/etc\n")),
        run(
            "a_missing_working_directory_is_made",
            &["--workdir", "/new/dir", BUSYBOX, "pwd"],
            Says("/new/dir\n"),
        ),
        run("entrypoint", &["--entrypoint", "/bin/echo", BUSYBOX, "a", "b"], Says("a b\n")),
        run("read_only_rootfs", &["--read-only", BUSYBOX, "touch", "/x"], Fails(1, "Read-only file system")),
        run(
            "read_only_rootfs_with_a_tmpfs",
            &["--read-only", "--tmpfs", "/scratch", BUSYBOX, "sh", "-c", "touch /scratch/x && ls /scratch"],
            Says("x\n"),
        ),
        run(
            "tmpfs_options",
            &[
                "--tmpfs",
                "/t:rw,noexec,size=65536k,mode=1770,uid=5",
                BUSYBOX,
                "sh",
                "-c",
                "stat -c '%a %u' /t; grep ' /t ' /proc/mounts",
            ],
            Shows(&["1770 5", "noexec", "size=65536k"]),
        ),
        run(
            "tmpfs_copies_up_what_it_covers",
            &["--tmpfs", "/home", BUSYBOX, "stat", "-c", "%n %u %a", "/home"],
            Shows(&["/home 0"]),
        ),
        run("shm_size", &["--shm-size", "8m", BUSYBOX, "df", "-k", "/dev/shm"], Shows(&["8192"])),
        run(
            "init_is_pid_1_and_reaps",
            &["--init", BUSYBOX, "sh", "-c", INIT_REAPS],
            Says("docker-init\n0\n"),
        ),
        run("init_passes_the_exit_code_on", &["--init", BUSYBOX, "sh", "-c", "exit 7"], Fails(7, "")),
        run("umask_is_0022", &[BUSYBOX, "sh", "-c", "umask; grep Umask /proc/self/status"], Shows(&["0022"])),
        run(
            "mount_points_types_and_flags",
            &[BUSYBOX, "sh", "-c", MOUNTS],
            Shows(&["/proc proc", "/dev/pts devpts", "/sys sysfs ro,"]),
        ),
        run(
            "mount_propagation_is_private",
            // Newer runcs take the root out of its peer group altogether.
            &[
                BUSYBOX,
                "sh",
                "-c",
                "cut -d' ' -f5,7 /proc/self/mountinfo | sed 's/^\\/ master:.*/\\/ -/' | sort",
            ],
            Shows(&["/dev -"]),
        ),
        scenario("nothing_can_be_made_beside_the_cgroup_hierarchies", |session| {
            let said = session
                .ask(&session.with_runtime(&["run", "--rm"], &[BUSYBOX, "mkdir", "/sys/fs/cgroup/x"]))?;
            match session.role() {
                // runc 1.1.5 leaves this tmpfs writable, though config.json asks for a read-only one.
                Role::Reference => Ok(()),
                Role::Tested => said.exits(1)?.complains("Read-only file system").map(drop),
            }
        }),
        run(
            "devices",
            &[BUSYBOX, "sh", "-c", "cd /dev; stat -c '%n %F %a %u:%g %t,%T %N' *"],
            Shows(&["null character special file 666 0:0 1,3"]),
        ),
        run(
            "proc_and_sys_are_guarded",
            &[BUSYBOX, "sh", "-c", GUARDS],
            Shows(&["kcore 0", "domainname: Read-only", "firmware 0"]),
        ),
        run(
            "kernel_side_of_the_process",
            &[BUSYBOX, "grep", "-E", STATUS, "/proc/self/status"],
            Shows(&["Seccomp:\t2", "NoNewPrivs:\t0"]),
        ),
        run("limits_by_default", &[BUSYBOX, "cat", "/proc/self/limits"], Shows(&["Max open files"])),
        run(
            "tty_devices_are_absent_without_t",
            &[BUSYBOX, "sh", "-c", "tty; ls -l /dev/console"],
            Fails(1, "/dev/console"),
        ),
        run("keyrings_are_the_container_s_own", &[BUSYBOX, "sh", "-c", "wc -c < /proc/keys"], Says("0\n")),
    ]
}

const INIT_REAPS: &str = "cat /proc/1/comm; (sleep 0.01 & exec true); sleep 0.1; grep -c '^State:.Z' /proc/[0-9]*/status \
                          | grep -c ':1$' || true";

/// Sizes are left out. Of a masked path only the fact is kept, because what masks it, and with which flags, is the
/// runtime's choice. The tmpfs that holds v1's hierarchies is read-only as asked, but not under runc 1.1.5.
pub const MOUNTS: &str = r#"
while read -r source point type flags rest; do
    case "$point" in
    /proc/sys | /proc/bus | /proc/fs | /proc/irq) ;;
    /proc/* | /sys/firmware) type=masked flags= ;;
    /sys/fs/cgroup) flags=${flags#r?,} ;;
    esac
    echo "$point $type $flags"
done < /proc/mounts | sed -E 's/lowerdir=.*//; s/,(size|nr_inodes)=[0-9a-z]*//g; s/ *$//' | sort
"#;

const GUARDS: &str = "cd /proc; for it in kcore keys timer_list; do echo $it $(head -c 9 $it | wc -c); done; \
                      for it in sysrq-trigger sys/kernel/domainname irq/default_smp_affinity; do \
                      [ -e $it ] && { (echo 1 > $it) 2>&1; }; done; \
                      for it in /sys/firmware /proc/acpi /proc/scsi; do [ -e $it ] && echo ${it##*/} $(ls $it | wc -l); done; true";

const STATUS: &str =
    "^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Seccomp_filters|NSpid|Cpus_allowed|Umask|SigIgn|SigBlk)";

fn settings() -> Vec<Scenario> {
    vec![
        run(
            "ulimits",
            &[
                "--ulimit",
                "nofile=100:200",
                "--ulimit",
                "core=0",
                BUSYBOX,
                "sh",
                "-c",
                "ulimit -n; ulimit -Hn; ulimit -c",
            ],
            Says("100\n200\n0\n"),
        ),
        run(
            "sysctl",
            &["--sysctl", "net.core.somaxconn=99", BUSYBOX, "cat", "/proc/sys/net/core/somaxconn"],
            Says("99\n"),
        ),
        run(
            "sysctl_with_dots_in_ipc",
            &["--sysctl", "kernel.shm_rmid_forced=1", BUSYBOX, "cat", "/proc/sys/kernel/shm_rmid_forced"],
            Says("1\n"),
        ),
        run(
            "an_unknown_sysctl_is_refused",
            &["--sysctl", "net.nosuch=1", BUSYBOX, "true"],
            Fails(127, "nosuch"),
        ),
        run(
            "a_sysctl_of_the_host_is_refused",
            &["--sysctl", "kernel.panic=1", BUSYBOX, "true"],
            Fails(125, "kernel.panic"),
        ),
        run(
            "oom_score_adj",
            &["--oom-score-adj", "500", BUSYBOX, "cat", "/proc/self/oom_score_adj"],
            Says("500\n"),
        ),
        scenario("a_negative_oom_score_adj", negative_oom_score),
        run("stop_signal_is_kept", &["--stop-signal", "USR1", BUSYBOX, "true"], Says("")),
        run("labels_and_annotations_do_no_harm", &["--label", "a=b", BUSYBOX, "true"], Says("")),
    ]
}

fn detached(session: &Session) -> Outcome {
    let name = session.name("c");
    let script = "echo started; exec sleep 100";
    let said = session
        .docker(&session.with_runtime(&["run", "-d", "--name", &name], &[BUSYBOX, "sh", "-c", script]))?
        .ok()?;
    ensure(said.word().len() == 64, || format!("expected an id: {}", said.report()))?;
    session.wait_until(&["logs", &name], "started")?;
    session.docker(&["inspect", "--format", "{{.State.Status}}", &name])?.ok()?.says("running\n").map(drop)
}

/// Lowering the score needs CAP_SYS_RESOURCE; without it the runtime has to refuse.
fn negative_oom_score(session: &Session) -> Outcome {
    let said = session.run(&["--oom-score-adj", "-500", BUSYBOX, "cat", "/proc/self/oom_score_adj"])?;
    if spec_tests::engine::role::lacking_capabilities().iter().any(|name| name == "CAP_SYS_RESOURCE") {
        return said.exits(125).map(drop);
    }
    said.ok()?.says("-500\n").map(drop)
}
