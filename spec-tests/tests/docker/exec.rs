//! `docker exec`: a second process in a running container.

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::process::{Said, until};
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::{Scenario, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop};

pub fn scenarios() -> Vec<Scenario> {
    [results(), identity(), surroundings(), protections(), streams(), refusals(), lifetime()]
        .into_iter()
        .flatten()
        .collect()
}

fn results() -> Vec<Scenario> {
    vec![
        exec("output_and_errors_come_back", &[], &[], "echo out; echo err >&2", |said| {
            said.ok()?.says("out\n")?.complains("err")
        }),
        exec("exit_code", &[], &[], "exit 42", |said| said.exits(42)),
        exec("killed_is_137", &[], &[], "kill -9 $$", |said| said.exits(137)),
    ]
}

fn identity() -> Vec<Scenario> {
    vec![
        exec("as_another_user", &[], &["-u", "alice"], "id; echo $HOME", |said| {
            said.ok()?.says("uid=1000(alice) gid=1000(alice) groups=50(staff),1000(alice)\n/home/alice\n")
        }),
        exec("as_user_and_group", &[], &["-u", "7:8"], "id -u; id -g", |said| said.ok()?.says("7\n8\n")),
        exec(
            "the_container_s_user_is_the_default",
            &["--user", "alice"],
            &[],
            "id -un; grep CapEff /proc/self/status",
            |said| said.ok()?.says("alice\nCapEff:\t0000000000000000\n"),
        ),
        exec(
            "root_in_a_container_of_another_user",
            &["--user", "alice"],
            &["-u", "0"],
            "id -un; grep CapEff /proc/self/status",
            |said| said.ok()?.says("root\nCapEff:\t00000000a80425fb\n"),
        ),
        exec("group_add_holds_for_exec", &["--group-add", "audio"], &[], "id -G", |said| {
            said.ok()?.says("0 63\n")
        }),
        exec("an_unknown_user_is_refused", &[], &["-u", "nosuch"], "true", |said| {
            // The first is newer engines'.
            said.exits_with_any(&[1, 126])?.tells("unable to find user")
        }),
    ]
}

fn surroundings() -> Vec<Scenario> {
    vec![
        exec("working_directory", &["-w", "/etc"], &["-w", "/tmp"], "pwd", |said| said.ok()?.says("/tmp\n")),
        exec("the_container_s_working_directory_is_the_default", &["-w", "/etc"], &[], "pwd", |said| {
            said.ok()?.says("/etc\n")
        }),
        exec("a_missing_working_directory_is_refused", &[], &["-w", "/nosuch"], "pwd", |said| {
            said.exits_with_any(&[126, 127])?.shows("no such file or directory")
        }),
        exec(
            "environment",
            &["-e", "A=container", "-e", "B=container"],
            &["-e", "B=exec", "-e", "C=exec"],
            "echo $A $B $C $HOME",
            |said| said.ok()?.says("container exec exec /root\n"),
        ),
        exec("stdin_is_dev_null_without_i", &[], &[], "wc -c", |said| said.ok()?.says("0\n")),
    ]
}

fn protections() -> Vec<Scenario> {
    vec![
        exec(
            "same_protections_as_the_container",
            &["--cap-drop", "CHOWN"],
            &[],
            "grep -E '^(Cap|Seccomp|NoNew|Groups)' /proc/1/status > /tmp/1; grep -E '^(Cap|Seccomp|NoNew|Groups)' /proc/self/status | diff /tmp/1 - && echo same",
            |said| said.ok()?.says("same\n"),
        ),
        exec(
            "no_new_privileges_holds",
            &["--security-opt", "no-new-privileges"],
            &[],
            "grep NoNewPrivs /proc/self/status",
            |said| said.ok()?.says("NoNewPrivs:\t1\n"),
        ),
        scenario("same_limits_as_the_container", same_limits),
        exec(
            "same_cgroup_as_the_container",
            &["-m", "64m"],
            &[],
            "diff /proc/1/cgroup /proc/self/cgroup && echo same",
            |said| said.ok()?.says("same\n"),
        ),
        exec(
            "same_namespaces_as_the_container",
            &[],
            &[],
            "cd /proc; for it in self/ns/*; do [ $(readlink $it) = $(readlink 1/${it#self/}) ] || echo $it differs; done; echo end",
            |said| said.ok()?.says("end\n"),
        ),
        exec(
            "same_oom_score_as_the_container",
            &["--oom-score-adj", "321"],
            &[],
            "cat /proc/self/oom_score_adj",
            |said| said.ok()?.says("321\n"),
        ),
        exec("same_umask_and_root", &[], &[], "umask; ls / | tr '\\n' ' '", |said| {
            said.ok()?.shows("0022\n")
        }),
        exec("only_the_three_streams_are_open", &[], &[], "ls /proc/$$/fd; true", |said| {
            said.ok()?.says("0\n1\n2\n")
        }),
        exec("no_more_than_the_container_s_seccomp_profile_allows", &[], &[], "unshare -U true", |said| {
            said.exits(1)?.complains("Operation not permitted")
        }),
        exec("pid_1_is_the_container_s", &["--init"], &[], "cat /proc/1/comm", |said| {
            said.ok()?.says("docker-init\n")
        }),
    ]
}

fn streams() -> Vec<Scenario> {
    vec![
        scenario("stdin_reaches_the_process", |session| {
            let name = sleeper(session, &[])?;
            session.docker_reading(&["exec", "-i", &name, "sort"], "b\na\n")?.ok()?.says("a\nb\n").map(drop)
        }),
        scenario("privileged", |session| {
            let name = session.name("c");
            let runtime = session.engine().privileged_runtime(session.role());
            session
                .docker(&["run", "-d", "--name", &name, "--runtime", runtime, BUSYBOX, "sleep", "100"])?
                .ok()?;
            let script = "grep -E 'CapEff|CapBnd|Seccomp:' /proc/self/status";
            let said = session.docker(&["exec", "--privileged", &name, "sh", "-c", script])?;
            said.ok()?.hides("CapEff:\t00000000")?.shows("Seccomp:\t2").map(drop)
        }),
        scenario("detached", |session| {
            let name = sleeper(session, &[])?;
            session
                .docker(&["exec", "-d", &name, "sh", "-c", "echo done > /tmp/x; exec sleep 77"])?
                .ok()?
                .says("")?;
            session.wait_until(&["exec", &name, "ps", "-o", "args"], "sleep 77")?;
            session.docker(&["exec", &name, "cat", "/tmp/x"])?.ok()?.says("done\n").map(drop)
        }),
    ]
}

fn refusals() -> Vec<Scenario> {
    vec![
        scenario("a_missing_command_is_126_or_127", |session| {
            let name = sleeper(session, &[])?;
            let said = session.docker(&["exec", &name, "nosuch"])?.exits_with_any(&[126, 127])?;
            said.shows("executable file not found in $PATH").map(drop)
        }),
        scenario("a_directory_as_command_is_126", |session| {
            let name = sleeper(session, &[])?;
            session.docker(&["exec", &name, "/etc"])?.exits(126)?.shows("permission denied").map(drop)
        }),
        scenario("a_missing_container_is_refused", |session| {
            session.docker(&["exec", "nosuch", "true"])?.exits(1)?.complains("No such container").map(drop)
        }),
        scenario("a_stopped_container_is_refused", |session| {
            let name = session.start("c", &[BUSYBOX, "true"])?;
            session.docker(&["wait", &name])?.says("0\n")?;
            session.docker(&["exec", &name, "true"])?.exits(1)?.complains("is not running").map(drop)
        }),
        scenario("a_paused_container_is_refused", |session| {
            let name = sleeper(session, &[])?;
            session.docker(&["pause", &name])?.ok()?;
            let said = session.docker(&["exec", &name, "true"])?;
            session.docker(&["unpause", &name])?.ok()?;
            said.exits(1)?.complains("is paused, unpause the container before exec").map(drop)
        }),
    ]
}

fn lifetime() -> Vec<Scenario> {
    vec![
        scenario("ends_with_the_container", |session| {
            let name = session
                .start("c", &[BUSYBOX, "sh", "-c", "until [ -e /tmp/go ]; do sleep 0.02; done; exit 3"])?;
            let said = session.docker(&["exec", &name, "sh", "-c", "touch /tmp/go; exec sleep 100"])?;
            said.exits(137)?;
            session.docker(&["wait", &name])?.says("3\n").map(drop)
        }),
        scenario("its_orphans_are_the_container_s_pid_1_s", |session| {
            let name = sleeper(session, &["--init"])?;
            session
                .docker(&["exec", &name, "sh", "-c", "sleep 88 & echo started"])?
                .ok()?
                .says("started\n")?;
            session
                .docker(&[
                    "exec",
                    &name,
                    "sh",
                    "-c",
                    "grep PPid /proc/$(pidof sleep | tr ' ' '\\n' | sort -n | tail -n1)/status",
                ])?
                .ok()?
                .says("PPid:\t1\n")
                .map(drop)
        }),
        scenario("many_at_once", many_at_once),
        scenario("counts_in_the_container_s_pids_limit", |session| {
            // The limit isn't lower because runc's own threads count too, and sometimes it fails under a lower limit.
            let name = sleeper(session, &["--pids-limit", "20"])?;
            let script = "for one in $(seq 40); do sleep 5 & done; echo forked";
            let said = session.docker(&["exec", &name, "sh", "-c", script])?;
            said.hides("forked")?.complains("can't fork").map(drop)
        })
        .needs(&["pids"]),
    ]
}

/// A scenario of one `docker exec` with `flags` in a container that was started with `container_flags`.
fn exec(
    name: &'static str,
    container_flags: &'static [&'static str],
    flags: &'static [&'static str],
    script: &'static str,
    check: fn(Said) -> Outcome<Said>,
) -> Scenario {
    scenario(name, move |session| {
        let container = sleeper(session, container_flags)?;
        let args = [&["exec"], flags, &[container.as_str(), "sh", "-c", script]].concat();
        check(session.docker(&args)?).map(drop)
    })
}

fn sleeper(session: &Session, flags: &[&str]) -> Outcome<String> {
    session.start("c", &[flags, &[BUSYBOX, "sleep", "100"]].concat())
}

/// runc 1.1.5 races with Go's own raising of the soft limit and now and then leaves it raised, so what it says of
/// the soft limit proves nothing.
fn same_limits(session: &Session) -> Outcome {
    let name = sleeper(session, &["--ulimit", "nofile=123:456", "--ulimit", "nproc=900"])?;
    session
        .docker(&["exec", &name, "sh", "-c", "ulimit -Hn; grep -v files /proc/self/limits"])?
        .ok()?
        .shows("456\n")?;
    let soft = session.ask(&["exec", &name, "sh", "-c", "ulimit -n"])?.ok()?;
    match session.role() {
        Role::Reference => Ok(()),
        Role::Tested => soft.says("123\n").map(drop),
    }
}

/// Twenty processes, started without waiting, that all show and all end.
fn many_at_once(session: &Session) -> Outcome {
    let name = sleeper(session, &[])?;
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..20)
            .map(|number| {
                let (engine, name) = (session.engine(), name.as_str());
                scope.spawn(move || engine.docker(&["exec", name, "echo", &number.to_string()], None))
            })
            .collect();
        for (number, job) in jobs.into_iter().enumerate() {
            let said = job.join().map_err(|_| Stop::failed("a client's thread panicked"))??;
            said.ok()?.says(&format!("{number}\n"))?;
        }
        Ok(())
    })?;
    until("one process alone to be left", 10, || {
        session.ask(&["top", &name]).is_ok_and(|said| said.stdout.lines().count() == 2)
    })
}
