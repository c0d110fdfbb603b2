//! `podman build`, and buildah by itself: its RUN calls the runtime with a command line and a config.json of its own.

use std::fs;

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{Podman, scenario};
use spec_tests::engine::process::Said;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop};

pub fn scenarios() -> Vec<Scenario<Podman>> {
    vec![
        built(
            "run_copy_and_the_image_s_command",
            &[],
            "COPY f /f\nRUN echo made > /made && cat /f\nCMD cat /made\n",
            |said| said.ok(),
        ),
        built(
            "run_as_a_user",
            &[],
            "USER alice\nWORKDIR /home/alice\nRUN id && touch x\nCMD stat -c %U x\n",
            |said| said.ok(),
        ),
        built("run_that_fails", &[], "RUN exit 7\n", |said| said.exits(7)),
        scenario("run_of_a_missing_program", |session| {
            // The lines of the failure come in no order.
            let dir = context(session, &format!("FROM localhost/{BUSYBOX}\nRUN [\"nosuch\"]\n"))?;
            session.ask(&["build", &dir])?.exits(1)?.complains("not found in $PATH").map(drop)
        }),
        built(
            "run_with_a_bind_a_cache_and_a_tmpfs",
            &[],
            "RUN --mount=type=bind,target=/b --mount=type=cache,target=/c --mount=type=tmpfs,target=/t cat /b/f && touch /c/x /t/x\nCMD ls /\n",
            |said| said.ok(),
        ),
        built(
            "run_with_a_memory_limit",
            &["--memory", "64m"],
            "RUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes > /limit\nCMD cat /limit\n",
            |said| said.ok(),
        ),
        built(
            "run_without_network",
            &["--network", "none"],
            "RUN ls /sys/class/net > /n\nCMD cat /n\n",
            |said| said.ok(),
        ),
        built(
            "run_with_fewer_capabilities",
            &["--cap-drop", "all"],
            "RUN grep CapEff /proc/self/status\nCMD true\n",
            |said| said.ok(),
        ),
        built(
            "run_with_more_options",
            &["--ulimit", "nofile=99:99", "--shm-size", "8m", "--add-host", "db:10.0.0.9"],
            "RUN ulimit -n > /n; grep -w db /etc/hosts >> /n; grep /dev/shm /proc/mounts >> /n\nCMD cat /n\n",
            |said| said.ok(),
        ),
        built("isolation_chroot", &["--isolation", "chroot"], "RUN echo x > /n\nCMD cat /n\n", |said| {
            said.ok()
        }),
        built("isolation_rootless", &["--isolation", "rootless"], "RUN echo x > /n\nCMD cat /n\n", |said| {
            said.ok()
        }),
        scenario("buildah_from_run_copy_config_commit", |session| {
            let container = session.name("b");
            let dir = context(session, "")?;
            let image = session.name("localhost/image");
            session.buildah(&["from", "--pull-never", "--name", &container, BUSYBOX])?.ok()?;
            session.buildah(&["copy", &container, &format!("{dir}/f"), "/f"])?.ok()?;
            session
                .buildah(&["run", &container, "--", "sh", "-c", "cat /f; id -u; echo new > /new"])?
                .ok()?
                .says("data\n0\n")?;
            session
                .buildah(&[
                    "run",
                    "--user",
                    "alice",
                    "--env",
                    "A=b",
                    "--workingdir",
                    "/tmp",
                    &container,
                    "--",
                    "sh",
                    "-c",
                    "id -un; echo $A; pwd",
                ])?
                .ok()?
                .says("alice\nb\n/tmp\n")?;
            session
                .buildah(&["run", "--isolation", "chroot", &container, "--", "cat", "/new"])?
                .ok()?
                .says("new\n")?;
            session
                .buildah(&[
                    "run",
                    "--cap-drop",
                    "CAP_CHOWN",
                    "--hostname",
                    "h",
                    &container,
                    "--",
                    "sh",
                    "-c",
                    "hostname; grep CapEff /proc/self/status",
                ])?
                .ok()?;
            session
                .buildah(&["run", "-v", &format!("{dir}:/v:ro"), &container, "--", "cat", "/v/f"])?
                .ok()?
                .says("data\n")?;
            session.buildah(&["run", &container, "--", "sh", "-c", "exit 9"])?.exits(9)?;

            session.buildah(&["config", "--cmd", "cat /new", &container])?.ok()?;
            session.buildah(&["commit", "-q", "--rm", &container, &image])?.ok()?;
            let said = session.run(&[&image])?.ok()?.says("new\n").map(drop);
            session.ask(&["rmi", "-f", &image])?;
            said
        }),
        scenario("buildah_bud", |session| {
            let dir = context(
                session,
                &format!(
                    "FROM localhost/{BUSYBOX}\nCOPY f /f\nRUN cat /f && grep -E 'Cap|Seccomp:|NoNew' /proc/self/status\n"
                ),
            )?;
            let image = session.name("localhost/image");
            let said = session
                .buildah(&["bud", "--pull-never", "-t", &image, &dir])?
                .ok()?
                .shows("CapEff")
                .map(drop);
            session.ask(&["rmi", "-f", &image])?;
            said
        }),
    ]
}

/// Builds an image from busybox and `lines`, checks what was said, and runs the image.
fn built(
    name: &'static str,
    flags: &'static [&'static str],
    lines: &'static str,
    check: fn(Said) -> Outcome<Said>,
) -> Scenario<Podman> {
    scenario(name, move |session| {
        let dir = context(session, &format!("FROM localhost/{BUSYBOX}\n{lines}"))?;
        let image = session.name("localhost/image");
        let args = [&["build", "--no-cache", "-t", &image], flags, &[dir.as_str()]].concat();
        let said = check(session.podman(&args)?)?;
        if said.code == 0 {
            let said = session.run(&[&image])?.ok();
            session.ask(&["rmi", "-f", &image])?;
            said?;
        }
        Ok(())
    })
}

/// A directory to build in, with `containerfile` and a file `f`.
fn context(session: &Session<Podman>, containerfile: &str) -> Outcome<String> {
    let dir = session.dir("context")?;
    let write = || {
        fs::write(dir.join("Containerfile"), containerfile)?;
        fs::write(dir.join("f"), "data\n")
    };
    write().map_err(Stop::failed)?;
    Ok(dir.display().to_string())
}
