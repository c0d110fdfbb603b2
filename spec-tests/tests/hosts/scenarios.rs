//! What is done with each engine. Docker and podman have these commands in common.

use spec_tests::engine::{Outcome, ensure};

use crate::host::Session;

/// A payload that heeds SIGTERM.
const WAIT: [&str; 3] = ["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done"];

pub fn run(session: &Session) -> Outcome {
    session.run(&["busybox", "echo", "hello"])?.ok()?.says("hello\n")?;
    let script = "id -u; pwd; echo $A; hostname; cat /proc/1/comm; cat; head -3 /proc/self/uid_map";
    let flags =
        ["-i", "-e", "A=b", "-w", "/tmp", "--hostname", "web", "--user", "1000:50", "--read-only", "busybox"];
    session.run_reading(&[&flags[..], &["sh", "-c", script]].concat(), "typed\n")?.ok()?.shows("web\n")?;
    session
        .run(&["--init", "--tmpfs", "/scratch", "busybox", "sh", "-c", "touch /scratch/a; ls /scratch"])?
        .ok()?;
    Ok(())
}

/// README's commands name the tested runtime themselves.
pub fn readme(session: &Session) -> Outcome {
    session
        .of_readme()
        .iter()
        .try_for_each(|command| session.engine(command)?.ok()?.says("hello\n").map(drop))
}

pub fn exit_codes(session: &Session) -> Outcome {
    session.run(&["busybox", "sh", "-c", "exit 42"])?.exits(42)?;
    session.run(&["busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"])?.exits(137)?;
    session.run(&["busybox", "nothing"])?.exits(127)?;
    // Docker adds words of its own, which depend on the runtime's.
    session.ask(&["run", "--rm", "--runtime", session.runtime(), "busybox", "/etc"])?.exits(126)?;
    Ok(())
}

pub fn exec(session: &Session) -> Outcome {
    let name = session.start(&["busybox", "sleep", "1000"])?;
    session.engine(&["exec", &name, "id"])?.ok()?;
    session
        .engine(&["exec", "-u", "1000", "-e", "A=b", "-w", "/tmp", &name, "sh", "-c", "id; pwd; echo $A"])?
        .ok()?;
    session.engine(&["exec", &name, "sh", "-c", "exit 42"])?.exits(42)?;
    // Docker 26 gives 126, podman 127.
    session.engine(&["exec", &name, "nothing"])?;
    session.engine(&["exec", &name, "cat", "/proc/self/cgroup", "/proc/1/cgroup"])?.ok()?;
    Ok(())
}

pub fn terminal(session: &Session) -> Outcome {
    let run = ["run", "--rm", "-it", "--runtime", session.runtime(), "busybox", "sh", "-c", "tty; exit 3"];
    session.on_terminal(&run)?.exits(3)?.shows("/dev/pts/0")?;
    let name = session.start(&["-t", "busybox", "sleep", "1000"])?;
    session.on_terminal(&["exec", "-it", &name, "sh", "-c", "tty; exit 4"])?.exits(4)?.shows("/dev/pts/")?;
    Ok(())
}

pub fn limits(session: &Session) -> Outcome {
    let flags = ["--memory", "64m", "--memory-swap", "96m", "--memory-reservation", "32m", "--cpus", "0.5"];
    let more = ["--cpu-shares", "512", "--pids-limit", "50", "busybox", "sleep", "1000"];
    let name = session.start(
        &[flags, ["--label", "a=b", "--label", "c=d", "--label", "e=f", "--label", "g=h"]]
            .concat()
            .into_iter()
            .chain(more)
            .collect::<Vec<_>>(),
    )?;
    session.cgroup_files(&name)?;
    session.unit_properties(&name)?;
    session
        .engine(&["exec", &name, "sh", "-c", "cd /sys/fs/cgroup && cat memory.max cpu.max pids.max"])?
        .ok()?
        .says("67108864\n50000 100000\n50\n")?;
    // What is over the limit is killed.
    session
        .run(&["--memory", "32m", "--memory-swap", "32m", "busybox", "sh", "-c", "tail -c 64m /dev/zero"])?
        .exits(137)?;
    Ok(())
}

pub fn update(session: &Session) -> Outcome {
    let name = session.start(&["--memory", "64m", "--memory-swap", "96m", "busybox", "sleep", "1000"])?;
    let flags = ["--memory", "128m", "--memory-swap", "256m", "--cpus", "0.25", "--pids-limit", "60"];
    session.engine(&[&["update"], &flags[..], &[&name]].concat())?.ok()?;
    session.cgroup_files(&name)?;
    session.unit_properties(&name)?;
    session.daemon_reload()?;
    session.cgroup_files(&name)?;
    Ok(())
}

/// systemd puts its own device program beside the runtime's, anew after a reload.
pub fn devices(session: &Session) -> Outcome {
    let name = session.start(&["--device", "/dev/vda:/dev/vda:r", "busybox", "sleep", "1000"])?;
    let script = "ls /dev; mknod /tmp/m c 1 11; mknod /tmp/u c 10 239
                  for d in /dev/null /dev/zero /dev/full; do head -c 1 $d > /dev/null && echo reads $d; done
                  for d in /tmp/m /tmp/u; do (: < $d) 2>&1; done
                  (: < /dev/vda) && echo reads the disk; (: > /dev/vda) 2>&1; echo end";
    session
        .engine(&["exec", &name, "sh", "-c", script])?
        .ok()?
        .shows("reads the disk\n")?
        .shows("not permitted")?;
    session.daemon_reload()?;
    session
        .engine(&["exec", &name, "sh", "-c", &script.replace("mknod", "#")])?
        .ok()?
        .shows("not permitted")?;
    Ok(())
}

pub fn pause(session: &Session) -> Outcome {
    let name = session.start(&["busybox", "sleep", "1000"])?;
    session.engine(&["pause", &name])?.ok()?;
    session.engine(&["inspect", "--format", "{{.State.Status}}", &name])?.ok()?.says("paused\n")?;
    session.is_frozen(&name)?;
    session.engine(&["unpause", &name])?.ok()?;
    session.is_frozen(&name)?;
    session.engine(&["exec", &name, "echo", "thawed"])?.ok()?;
    Ok(())
}

pub fn stats(session: &Session) -> Outcome {
    let name = session.start(&["--memory", "64m", "busybox", "sleep", "1000"])?;
    let said = session.ask(&["stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", &name])?.ok()?;
    // "1 412kB / 67.11MB" or "1 412KiB / 64MiB"
    let words: Vec<&str> = said.stdout.split_whitespace().collect();
    ensure(words.first() == Some(&"1") && !words[1].starts_with("0B") && words.len() == 4, || said.report())?;
    session.ask(&["top", &name])?.ok()?.shows("sleep 1000")?;
    Ok(())
}

pub fn signals(session: &Session) -> Outcome {
    let name = session.start(&[&["busybox"], &WAIT[..]].concat())?;
    session.engine(&["kill", "--signal", "TERM", &name])?.ok()?;
    session.engine(&["wait", &name])?.ok()?.says("7\n")?;
    session.engine(&["start", &name])?.ok()?;
    session.engine(&["stop", "--time", "30", &name])?.ok()?;
    session.engine(&["inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}}", &name])?.ok()?;
    session.engine(&["start", &name])?.ok()?;
    session.engine(&["kill", &name])?.ok()?;
    session.engine(&["wait", &name])?.ok()?.says("137\n")?;
    Ok(())
}

pub fn restart(session: &Session) -> Outcome {
    let name = session.start(&["--memory", "64m", "busybox", "sleep", "1000"])?;
    session.engine(&["restart", "--time", "0", &name])?.ok()?;
    session.cgroup_files(&name)?;
    session.engine(&["rm", "--force", &name])?.ok()?;
    session.nothing_left()
}

pub fn scope(session: &Session) -> Outcome {
    let name = session.start(&["busybox", "sleep", "1000"])?;
    session.unit_properties(&name)?;
    let unit = session.unit(&name)?;
    session
        .systemctl(&["status", "--no-pager", &unit])?
        .ok()?
        .shows("sleep 1000")?
        .shows("active (running)")?;
    Ok(())
}

/// What the kernel says of the process: AppArmor's profile among it. Debian has profiles for programs that make user
/// namespaces, by their paths, which confine nothing; which of them applies depends on where a runtime is. A program
/// that may gain no privileges keeps such a profile beside that of the container.
pub fn labels(session: &Session) -> Outcome {
    let script = "sed 's/^.* (unconfined)$/unconfined/; s/\\/\\/&.* (mixed)$/ (enforce)/' /proc/self/attr/current; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; cat /proc/self/oom_score_adj";
    session.run(&["busybox", "sh", "-c", script])?.ok()?;
    session.run(&["--security-opt", "apparmor=unconfined", "busybox", "sh", "-c", script])?.ok()?;
    session.run(&["--security-opt", "no-new-privileges", "busybox", "sh", "-c", script])?.ok()?;
    session.run(&["--security-opt", "apparmor=nothing-of-this-name", "busybox", "true"])?;
    Ok(())
}
