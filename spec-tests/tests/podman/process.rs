//! What `podman run` makes of the container's process: its streams, identity, environment, limits and end.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{Podman, run_once, scenario};
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::Scenario;

pub fn scenarios() -> Vec<Scenario<Podman>> {
    [streams(), ends(), identity(), surroundings(), settings()].into_iter().flatten().collect()
}

fn streams() -> Vec<Scenario<Podman>> {
    vec![
        run_once("output_comes_back", &[BUSYBOX, "echo", "hello"], Says("hello\n")),
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
        run_once("stdin_is_empty_without_i", &[BUSYBOX, "wc", "-c"], Says("0\n")),
        run_once(
            "only_the_three_streams_are_open",
            &[BUSYBOX, "sh", "-c", "ls /proc/$$/fd; true"],
            Says("0\n1\n2\n"),
        ),
        scenario("preserved_descriptors_are_open", |session| {
            let script = format!(
                "$PODMAN run --rm --preserve-fds 2 {BUSYBOX} sh -c 'cat <&3; cat <&4' 3<<3 4<<4
three
3
four
4"
            );
            session.shell(&script)?.ok()?.says("three\nfour\n").map(drop)
        }),
        scenario("a_terminal", |session| {
            let mut terminal = session.terminal(&["run", "--rm", "-it", BUSYBOX, "sh"])?;
            terminal.awaits("# ")?;
            terminal.types("tty; stty size; stat -c %t,%T /dev/console; exit 4\n")?;
            terminal.ends()?.exits(4)?.shows("/dev/pts/0")?.shows("30 100").map(drop)
        }),
        scenario("a_terminal_for_a_missing_command", |session| {
            let terminal = session.terminal(&["run", "--rm", "-it", BUSYBOX, "nosuch"])?;
            // Both streams are one, and the runtimes' own words stand in the middle of the line.
            terminal.ends()?.exits(127)?.shows("not found in $PATH").map(drop)
        }),
    ]
}

fn ends() -> Vec<Scenario<Podman>> {
    vec![
        run_once(
            "exit_code_is_the_process_s",
            &[BUSYBOX, "sh", "-c", "echo bad >&2; exit 42"],
            Fails(42, "bad"),
        ),
        run_once(
            "a_child_killed_by_a_signal_shows_in_the_shell",
            &[BUSYBOX, "sh", "-c", "sh -c 'kill -TERM $$'; exit $?"],
            Fails(143, ""),
        ),
        scenario("a_process_killed_by_sigkill_is_137", |session| {
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            let pid = session.pid(&name)?;
            session.machine().shell(&format!("kill -9 {pid}"))?.ok()?;
            session.podman(&["wait", &name])?.ok()?.says("137\n").map(drop)
        }),
        run_once("a_missing_command_is_127", &[BUSYBOX, "nosuch"], Fails(127, "not found in $PATH")),
        run_once("a_missing_path_is_127", &[BUSYBOX, "/bin/nosuch"], Fails(127, "o such file or directory")),
        run_once(
            "a_missing_entrypoint_is_127",
            &["--entrypoint", "/nosuch", BUSYBOX, "true"],
            Fails(127, "o such file or directory"),
        ),
        run_once("a_directory_as_command_is_126", &[BUSYBOX, "/etc"], Fails(126, "OCI permission denied")),
        run_once(
            "a_file_that_can_t_be_executed_is_126",
            &[BUSYBOX, "/etc/passwd"],
            Fails(126, "OCI permission denied"),
        ),
        run_once("a_missing_image_is_125", &["localhost/nosuch", "true"], Fails(125, "localhost/nosuch")),
        run_once("an_unknown_flag_is_125", &["--nosuch", BUSYBOX, "true"], Fails(125, "unknown flag")),
        run_once("an_unknown_user_is_126", &["--user", "nosuch", BUSYBOX, "true"], Fails(126, "nosuch")),
        run_once(
            "a_file_as_workdir_is_126",
            &["--workdir", "/etc/passwd", BUSYBOX, "true"],
            Fails(126, "is not a directory"),
        ),
        run_once(
            "a_missing_workdir_is_126",
            &["--workdir", "/nosuch", BUSYBOX, "true"],
            Fails(126, "workdir \"/nosuch\" does not exist"),
        ),
        scenario("a_failed_start_leaves_nothing_and_can_be_tried_again", |session| {
            let name = session.name("c");
            session.run(&["--name", &name, BUSYBOX, "nosuch"])?.exits(127)?;
            session.podman(&["container", "exists", &name])?.exits(1)?;
            session.run(&["--name", &name, BUSYBOX, "echo", "again"])?.ok()?.says("again\n").map(drop)
        }),
    ]
}

fn identity() -> Vec<Scenario<Podman>> {
    vec![
        run_once("root_by_default", &[BUSYBOX, "id"], Says("uid=0(root) gid=0(root)\n")),
        run_once(
            "user_by_name_has_its_groups",
            &["--user", "alice", BUSYBOX, "sh", "-c", "id; echo $HOME; grep Cap /proc/self/status"],
            Shows(&["uid=1000(alice) gid=1000(alice)", "50(staff)"]),
        ),
        run_once("user_and_group_by_number", &["--user", "1234:5678", BUSYBOX, "id"], Shows(&["uid=1234"])),
        run_once(
            "group_add",
            &["--user", "alice", "--group-add", "audio", "--group-add", "777", BUSYBOX, "id", "-G"],
            Shows(&["63", "777"]),
        ),
        run_once(
            "hostname",
            &["--hostname", "box", BUSYBOX, "sh", "-c", "hostname; cat /etc/hostname"],
            Says("box\nbox"),
        ),
        run_once("umask", &["--umask", "0077", BUSYBOX, "sh", "-c", "umask"], Says("0077\n")),
    ]
}

fn surroundings() -> Vec<Scenario<Podman>> {
    vec![
        run_once(
            "environment",
            &["--env", "A=1", "--env", "B=two words", "--hostname", "h", BUSYBOX, "sh", "-c", "env | sort"],
            Shows(&["A=1\nB=two words\n", "HOME=/root", "container=podman"]),
        ),
        run_once("working_directory", &["--workdir", "/etc", BUSYBOX, "pwd"], Says("/etc\n")),
        run_once("entrypoint", &["--entrypoint", "/bin/echo", BUSYBOX, "a", "b"], Says("a b\n")),
        run_once(
            "read_only_rootfs",
            &["--read-only", BUSYBOX, "touch", "/x"],
            Fails(1, "Read-only file system"),
        ),
        run_once(
            "read_only_rootfs_has_its_tmpfs",
            &[
                "--read-only",
                BUSYBOX,
                "sh",
                "-c",
                "cd /run && touch x && cd /tmp && touch x && cd /dev/shm && touch x",
            ],
            Says(""),
        ),
        run_once(
            "tmpfs_options",
            &[
                "--tmpfs",
                "/t:rw,noexec,size=65536k,mode=1770",
                BUSYBOX,
                "sh",
                "-c",
                "stat -c '%a' /t; grep ' /t ' /proc/mounts",
            ],
            Shows(&["1770", "noexec", "size=65536k"]),
        ),
        run_once(
            "tmpfs_copies_up_what_it_covers",
            &["--tmpfs", "/home", BUSYBOX, "stat", "-c", "%n %u:%g %a", "/home/alice"],
            Says("/home/alice 1000:1000 755\n"),
        ),
        run_once("shm_size", &["--shm-size", "8m", BUSYBOX, "df", "-k", "/dev/shm"], Shows(&["8192"])),
        run_once(
            "init_is_pid_1_and_passes_the_exit_code_on",
            &["--init", BUSYBOX, "sh", "-c", "cat /proc/1/comm; exit 7"],
            Fails(7, ""),
        ),
        run_once(
            "mount_points_types_and_flags",
            &[BUSYBOX, "sh", "-c", MOUNTS],
            Shows(&["/proc proc", "/dev/pts devpts", "/sys sysfs ro,"]),
        ),
        // crun makes /dev/core even where the kernel has no /proc/kcore for it to lead to.
        run_once(
            "devices",
            &[BUSYBOX, "sh", "-c", "cd /dev; stat -c '%n %F %a %u:%g %t,%T %N' [^c]*"],
            Shows(&["null character special file 666 0:0 1,3"]),
        ),
        run_once(
            "a_device_of_the_host",
            &["--device", "/dev/fuse:/dev/f:rw", BUSYBOX, "stat", "-c", "%F %t,%T", "/dev/f"],
            Says("character special file a,e5\n"),
        ),
        run_once(
            "proc_and_sys_are_guarded",
            &[BUSYBOX, "sh", "-c", GUARDS],
            Shows(&["kcore 0", "domainname: Read-only"]),
        ),
        run_once(
            "guards_can_be_lifted",
            &["--security-opt", "unmask=ALL", BUSYBOX, "sh", "-c", "head -c 9 /proc/timer_list | wc -c"],
            Says("9\n"),
        ),
        run_once(
            "guards_can_be_added",
            &["--security-opt", "mask=/etc/group:/home", BUSYBOX, "sh", "-c", "wc -c < /etc/group; ls /home"],
            Says("0\n"),
        ),
        run_once(
            "kernel_side_of_the_process",
            &[BUSYBOX, "grep", "-E", STATUS, "/proc/self/status"],
            Shows(&["Seccomp:\t2", "NoNewPrivs:\t0"]),
        ),
        run_once("limits_by_default", &[BUSYBOX, "cat", "/proc/self/limits"], Shows(&["Max open files"])),
        run_once("no_keyring_of_its_own", &[BUSYBOX, "sh", "-c", "cat /proc/keys | wc -c"], Says("0\n")),
    ]
}

/// Sizes are left out. Of a masked path only the fact is kept, because what masks it, and with which flags, is the
/// runtime's choice. crun 1.8.1 drops `nosuid,nodev,noexec` where it makes a path of proc read-only.
pub const MOUNTS: &str = r#"
while read -r source point type flags rest; do
    case "$point" in
    /proc/sys | /proc/bus | /proc/fs | /proc/irq) flags=${flags%%,*} ;;
    /proc/* | /sys/firmware | /sys/fs/selinux | /sys/dev/block) type=masked flags= ;;
    /sys/fs/cgroup) flags= ;;
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

fn settings() -> Vec<Scenario<Podman>> {
    vec![
        run_once(
            "ulimits",
            &[
                "--ulimit",
                "nofile=100:200",
                "--ulimit",
                "core=0",
                "--ulimit",
                "nproc=900",
                BUSYBOX,
                "sh",
                "-c",
                "ulimit -n; ulimit -Hn; ulimit -c",
            ],
            Says("100\n200\n0\n"),
        ),
        run_once(
            "sysctl",
            &[
                "--sysctl",
                "net.core.somaxconn=99",
                "--sysctl",
                "kernel.shm_rmid_forced=1",
                BUSYBOX,
                "sh",
                "-c",
                "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shm_rmid_forced",
            ],
            Says("99\n1\n"),
        ),
        run_once(
            "an_unknown_sysctl_is_refused",
            &["--sysctl", "net.nosuch=1", BUSYBOX, "true"],
            Fails(127, "nosuch"),
        ),
        run_once(
            "a_sysctl_of_the_host_is_refused",
            &["--sysctl", "kernel.panic=1", BUSYBOX, "true"],
            Fails(125, "kernel"),
        ),
        run_once(
            "oom_score_adj",
            &["--oom-score-adj", "500", BUSYBOX, "cat", "/proc/self/oom_score_adj"],
            Says("500\n"),
        ),
        run_once("personality", &["--personality", "LINUX32", BUSYBOX, "uname", "-m"], Says("i686\n")),
        run_once("timezone", &["--tz", "Etc/GMT-5", BUSYBOX, "date", "+%z"], Says("+0500\n")),
        run_once(
            "annotations_do_no_harm",
            &["--annotation", "a=b", "--label", "c=d", BUSYBOX, "true"],
            Says(""),
        ),
        run_once(
            "groups_are_kept",
            &[
                "--group-add",
                "keep-groups",
                "--annotation",
                "run.oci.keep_original_groups=1",
                BUSYBOX,
                "id",
                "-G",
            ],
            Shows(&["0"]),
        ),
    ]
}
