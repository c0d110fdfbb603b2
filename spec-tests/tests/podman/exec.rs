//! `podman exec`: a second process in a running container.

use spec_tests::engine::Outcome;
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{Podman, scenario};
use spec_tests::engine::process::Said;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;

pub fn scenarios() -> Vec<Scenario<Podman>> {
    vec![
        exec("output_and_errors_come_back", &[], &[], "echo out; echo err >&2", |said| {
            said.ok()?.says("out\n")?.complains("err")
        }),
        exec("exit_code", &[], &[], "exit 42", |said| said.exits(42)),
        exec("killed_is_137", &[], &[], "kill -9 $$", |said| said.exits(137)),
        exec(
            "as_another_user",
            &[],
            &["-u", "alice"],
            "id; echo $HOME; grep Cap /proc/self/status",
            |said| said.ok()?.shows("uid=1000(alice) gid=1000(alice)")?.shows("/home/alice"),
        ),
        exec(
            "the_container_s_user_is_the_default",
            &["--user", "alice"],
            &[],
            "id; grep Cap /proc/self/status",
            |said| said.ok()?.shows("uid=1000(alice)"),
        ),
        exec("working_directory", &["-w", "/etc"], &["-w", "/tmp"], "pwd", |said| said.ok()?.says("/tmp\n")),
        exec("a_missing_working_directory_is_refused", &[], &["-w", "/nosuch"], "pwd", |said| {
            said.exits(127)
        }),
        exec(
            "environment",
            &["-e", "A=container", "-e", "B=container"],
            &["-e", "B=exec", "-e", "C=exec"],
            "echo $A $B $C $HOME",
            |said| said.ok()?.says("container exec exec /root\n"),
        ),
        exec("privileged", &[], &["--privileged"], "grep -E 'Cap|Seccomp:' /proc/self/status", |said| {
            said.ok()?.hides("CapEff:\t00000000")
        }),
        exec(
            "same_protections_as_the_container",
            &["--cap-drop", "CHOWN", "--security-opt", "no-new-privileges"],
            &[],
            "grep -E '^(Cap|Seccomp|NoNew|Groups)' /proc/1/status > /tmp/1; grep -E '^(Cap|Seccomp|NoNew|Groups)' /proc/self/status | diff /tmp/1 - && echo same",
            |said| said.ok()?.says("same\n"),
        ),
        exec(
            "same_cgroup_and_namespaces_as_the_container",
            &["-m", "64m"],
            &[],
            "diff /proc/1/cgroup /proc/self/cgroup && cd /proc; for it in self/ns/*; do [ $(readlink $it) = $(readlink 1/${it#self/}) ] || echo $it differs; done; echo end",
            |said| said.ok()?.says("end\n"),
        ),
        exec(
            "same_limits_as_the_container",
            &["--ulimit", "nofile=123:456", "--ulimit", "nproc=900"],
            &[],
            "ulimit -n; ulimit -Hn; umask",
            |said| said.ok()?.says("123\n456\n0022\n"),
        ),
        exec("only_the_three_streams_are_open", &[], &[], "ls /proc/$$/fd; true", |said| {
            said.ok()?.says("0\n1\n2\n")
        }),
        exec("no_more_than_the_seccomp_profile_allows", &[], &[], "mount -t tmpfs none /tmp", |said| {
            said.exits(1)?.complains("are you root?")
        }),
        scenario("stdin_reaches_the_process", |session| {
            let name = sleeper(session, &[])?;
            session.podman_reading(&["exec", "-i", &name, "sort"], "b\na\n")?.ok()?.says("a\nb\n").map(drop)
        }),
        scenario("a_terminal", |session| {
            let name = sleeper(session, &[])?;
            let mut terminal = session.terminal(&["exec", "-it", &name, "sh"])?;
            terminal.awaits("# ")?;
            terminal.types("tty; stty size; exit 5\n")?;
            terminal.ends()?.exits(5)?.shows("/dev/pts/0").map(drop)
        }),
        scenario("a_terminal_for_a_missing_command", |session| {
            let name = sleeper(session, &[])?;
            session
                .terminal(&["exec", "-it", &name, "nosuch"])?
                .ends()?
                .exits(127)?
                .shows("not found in $PATH")
                .map(drop)
        }),
        scenario("detached", |session| {
            let name = sleeper(session, &[])?;
            session.ask(&["exec", "-d", &name, "sh", "-c", "echo done > /tmp/x; exec sleep 77"])?.ok()?;
            session.wait_until(&["exec", &name, "ps", "-o", "args"], "sleep 77")?;
            session.podman(&["exec", &name, "cat", "/tmp/x"])?.ok()?.says("done\n").map(drop)
        }),
        scenario("preserved_descriptors_are_open", |session| {
            let name = sleeper(session, &[])?;
            let script = format!("$PODMAN exec --preserve-fds 1 {name} cat /proc/self/fd/3 3<<E\nthree\nE");
            session.shell(&script)?.ok()?.says("three\n").map(drop)
        }),
        scenario("a_missing_command_is_127", |session| {
            let name = sleeper(session, &[])?;
            session.podman(&["exec", &name, "nosuch"])?.exits(127)?.complains("not found in $PATH").map(drop)
        }),
        scenario("a_detached_missing_command_is_125", |session| {
            let name = sleeper(session, &[])?;
            session
                .podman(&["exec", "-d", &name, "nosuch"])?
                .exits(125)?
                .complains("not found in $PATH")
                .map(drop)
        }),
        scenario("a_directory_as_command_is_126", |session| {
            let name = sleeper(session, &[])?;
            session.podman(&["exec", &name, "/etc"])?.exits(126)?.complains("OCI permission denied").map(drop)
        }),
        scenario("an_unknown_user_is_refused", |session| {
            let name = sleeper(session, &[])?;
            session.podman(&["exec", "-u", "nosuch", &name, "true"])?.complains("nosuch").map(drop)
        }),
        scenario("a_stopped_container_is_refused", |session| {
            let name = session.start("c", &[BUSYBOX, "true"])?;
            session.podman(&["wait", &name])?.says("0\n")?;
            session
                .podman(&["exec", &name, "true"])?
                .exits(255)?
                .complains("can only create exec sessions on running containers")
                .map(drop)
        }),
        scenario("a_paused_container_is_refused", |session| {
            let name = sleeper(session, &[])?;
            session.podman(&["pause", &name])?.ok()?;
            let said = session.podman(&["exec", &name, "true"])?;
            session.podman(&["unpause", &name])?.ok()?;
            said.exits(255).map(drop)
        }),
        scenario("ends_with_the_container", |session| {
            let name = session
                .start("c", &[BUSYBOX, "sh", "-c", "until [ -e /tmp/go ]; do sleep 0.02; done; exit 3"])?;
            let said = session.ask(&["exec", &name, "sh", "-c", "touch /tmp/go; exec sleep 100"])?;
            said.exits(137)?;
            session.podman(&["wait", &name])?.says("3\n").map(drop)
        }),
        scenario("its_sessions_are_listed", |session| {
            let name = sleeper(session, &[])?;
            session.ask(&["exec", "-d", &name, "sleep", "78"])?.ok()?;
            session.podman(&["inspect", "-f", "{{len .ExecIDs}}", &name])?.ok()?.says("1\n").map(drop)
        }),
    ]
}

/// A scenario of one `podman exec` with `flags` in a container that was started with `container_flags`.
fn exec(
    name: &'static str,
    container_flags: &'static [&'static str],
    flags: &'static [&'static str],
    script: &'static str,
    check: fn(Said) -> Outcome<Said>,
) -> Scenario<Podman> {
    scenario(name, move |session| {
        let container = sleeper(session, container_flags)?;
        let args = [&["exec"], flags, &[container.as_str(), "sh", "-c", script]].concat();
        check(session.podman(&args)?).map(drop)
    })
}

fn sleeper(session: &Session<Podman>, flags: &[&str]) -> Outcome<String> {
    session.start("c", &[flags, &[BUSYBOX, "sleep", "100"]].concat())
}
