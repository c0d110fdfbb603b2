//! Binds, volumes, tmpfs mounts, their options and their propagation.

use std::fs;

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::process::Said;
use spec_tests::engine::scenario::Expected::{Fails, Shows};
use spec_tests::engine::scenario::{Scenario, run, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop};

pub fn scenarios() -> Vec<Scenario> {
    [binds(), volumes(), mounts(), propagation()].into_iter().flatten().collect()
}

fn binds() -> Vec<Scenario> {
    vec![
        scenario("a_bind_is_the_host_s_directory", |session| {
            with_bind(session, "", "echo in > /v/new; cat /v/old")?.ok()?.says("old\n")?;
            let file = session.dir("bind")?.join("new");
            session.host(&format!("cat {}", file.display()))?.ok()?.says("in\n").map(drop)
        }),
        scenario("a_read_only_bind", |session| {
            with_bind(session, ":ro", "cat /v/old; touch /v/new")?
                .exits(1)?
                .complains("Read-only file system")
                .map(drop)
        }),
        scenario("a_bind_of_one_file", |session| {
            let source = bind_source(session)?;
            let bind = format!("{source}/old:/etc/motd:ro");
            session
                .run(&["-v", &bind, BUSYBOX, "sh", "-c", "cat /etc/motd; stat -c %F /etc/motd"])?
                .ok()?
                .says("old\nregular file\n")
                .map(drop)
        }),
        scenario("a_missing_source_is_made", |session| {
            let source = format!("{}/made/deep", session.dir("bind")?.display());
            session.run(&["-v", &format!("{source}:/v"), BUSYBOX, "touch", "/v/x"])?.ok()?;
            session.host(&format!("ls {source}"))?.ok()?.says("x\n").map(drop)
        }),
        scenario("a_missing_source_of_mount_is_refused", |session| {
            let mount = format!("type=bind,source={}/nosuch,target=/v", session.dir("bind")?.display());
            session
                .run(&["--mount", &mount, BUSYBOX, "true"])?
                .exits(125)?
                .complains("does not exist")
                .map(drop)
        }),
        scenario("a_directory_over_a_file_is_refused", |session| {
            let bind = format!("{}:/etc/passwd", bind_source(session)?);
            session.run(&["-v", &bind, BUSYBOX, "true"])?.complains("not a directory").map(drop)
        }),
        scenario("a_file_over_a_directory_is_refused", |session| {
            let bind = format!("{}/old:/etc", bind_source(session)?);
            let said = session.run(&["-v", &bind, BUSYBOX, "true"])?;
            if said.code == 0 { Err(Stop::failed("a file was mounted over /etc")) } else { Ok(()) }
        }),
        scenario("a_bind_over_a_symlink_goes_to_its_target_in_the_rootfs", |session| {
            let dockerfile = format!("FROM {BUSYBOX}\nRUN mkdir /real && ln -s /real /link\n");
            let image = session.name("symlink");
            session.engine().docker(&["build", "-t", &image, "-"], Some(dockerfile.as_bytes()))?.ok()?;
            let bind = format!("{}:/link", bind_source(session)?);
            session.run(&["-v", &bind, &image, "cat", "/real/old"])?.ok()?.says("old\n").map(drop)
        }),
        scenario("a_bind_within_a_bind", |session| {
            let source = bind_source(session)?;
            fs::create_dir_all(format!("{source}/sub")).map_err(Stop::failed)?;
            let (outer, inner) = (format!("{source}:/v:ro"), format!("{source}:/v/sub"));
            let script = "touch /v/sub/new && cat /v/sub/old && touch /v/new";
            session
                .run(&["-v", &outer, "-v", &inner, BUSYBOX, "sh", "-c", script])?
                .exits(1)?
                .says("old\n")
                .map(drop)
        }),
        scenario("a_bind_of_the_rootfs_into_itself", |session| {
            let source = bind_source(session)?;
            let script = "grep -c ' /v ' /proc/mounts; ls /v";
            session
                .run(&[
                    "-v",
                    &format!("{source}:/v"),
                    "-v",
                    &format!("{source}:/w/x/y"),
                    BUSYBOX,
                    "sh",
                    "-c",
                    script,
                ])?
                .ok()?
                .says("1\nold\n")
                .map(drop)
        }),
        scenario("a_unix_socket_can_be_bound", |session| {
            let socket = session.socket();
            let bind = format!("{socket}:/s");
            session.run(&["-v", &bind, BUSYBOX, "stat", "-c", "%F", "/s"])?.ok()?.says("socket\n").map(drop)
        }),
    ]
}

fn volumes() -> Vec<Scenario> {
    vec![
        scenario("a_named_volume_outlives_its_container", |session| {
            let volume = session.name("data");
            let bind = format!("{volume}:/v");
            session.run(&["-v", &bind, BUSYBOX, "sh", "-c", "echo kept > /v/x"])?.ok()?;
            session
                .run(&["-v", &format!("{bind}:ro"), BUSYBOX, "sh", "-c", "cat /v/x; touch /v/y"])?
                .exits(1)?
                .says("kept\n")?;
            session.docker(&["volume", "rm", &volume])?.ok().map(drop)
        }),
        scenario("a_new_volume_takes_what_the_image_has", |session| {
            let volume = session.name("data");
            session
                .run(&["-v", &format!("{volume}:/etc"), BUSYBOX, "head", "-n1", "/etc/passwd"])?
                .ok()?
                .shows("root")?;
            session.docker(&["volume", "rm", &volume])?.ok().map(drop)
        }),
        scenario("a_volume_with_nocopy_is_empty", |session| {
            let volume = session.name("data");
            session
                .run(&["-v", &format!("{volume}:/home:nocopy"), BUSYBOX, "ls", "/home"])?
                .ok()?
                .says("")?;
            session.docker(&["volume", "rm", &volume])?.ok().map(drop)
        }),
        scenario("volumes_from_another_container", |session| {
            let owner = session.create("owner", &["-v", "/shared", BUSYBOX, "true"])?;
            session.run(&["--volumes-from", &owner, BUSYBOX, "sh", "-c", "echo x > /shared/x"])?.ok()?;
            let read_only = format!("{owner}:ro");
            session
                .run(&["--volumes-from", &read_only, BUSYBOX, "sh", "-c", "cat /shared/x; touch /shared/y"])?
                .exits(1)?
                .says("x\n")
                .map(drop)
        }),
        run(
            "an_anonymous_volume_is_writable_on_a_read_only_rootfs",
            &["--read-only", "-v", "/v", BUSYBOX, "sh", "-c", "touch /v/x && ls /v"],
            Shows(&["x"]),
        ),
    ]
}

fn mounts() -> Vec<Scenario> {
    vec![
        run(
            "mount_of_a_tmpfs",
            &[
                "--mount",
                "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1711",
                BUSYBOX,
                "sh",
                "-c",
                "stat -c %a /t; df -k /t | tail -n 1 | awk '{print $2}'; grep ' /t ' /proc/mounts",
            ],
            Shows(&["1711\n1024\n", "nosuid,nodev,noexec"]),
        ),
        run(
            "a_relative_target_is_refused",
            &["--mount", "type=tmpfs,target=t", BUSYBOX, "true"],
            Fails(125, "mount path must be absolute"),
        ),
        run(
            "a_target_with_dots_stays_in_the_rootfs",
            &["--tmpfs", "/a/../../../b", BUSYBOX, "grep", "-c", " /b tmpfs", "/proc/mounts"],
            Shows(&["1"]),
        ),
        scenario("mount_of_a_read_only_bind", |session| {
            let mount = format!("type=bind,source={},target=/v,readonly", bind_source(session)?);
            session
                .run(&["--mount", &mount, BUSYBOX, "touch", "/v/x"])?
                .exits(1)?
                .complains("Read-only")
                .map(drop)
        }),
        scenario("bind_nonrecursive_leaves_submounts_out", |session| {
            let source = bind_source(session)?;
            let submount =
                format!("mkdir -p {source}/sub && mount -t tmpfs tmpfs {source}/sub && touch {source}/sub/x");
            session.machine().shell(&submount)?.ok()?;
            let mount = format!("type=bind,source={source},target=/v");
            session.run(&["--mount", &mount, BUSYBOX, "ls", "/v/sub"])?.ok()?.says("x\n")?;
            let mount = format!("{mount},bind-nonrecursive=true");
            session.run(&["--mount", &mount, BUSYBOX, "ls", "/v/sub"])?.ok()?.says("").map(drop)
        }),
        scenario("the_flags_of_the_source_stay", |session| {
            let source = session.dir("bind")?.display().to_string();
            session
                .machine()
                .shell(&format!("mount -t tmpfs -o nosuid,nodev,noexec tmpfs {source}"))?
                .ok()?;
            let (rw, ro) = (format!("{source}:/rw"), format!("{source}:/ro:ro"));
            // With `ro`, newer runcs keep the other flags too.
            let script =
                "grep -E ' /r[wo] ' /proc/mounts | cut -d' ' -f2-4 | sed '/^.ro /s/ ro,.*/ ro/' | sort";
            session
                .run(&["-v", &rw, "-v", &ro, BUSYBOX, "sh", "-c", script])?
                .ok()?
                .shows("/rw tmpfs rw,nosuid,nodev,noexec")?
                .shows("/ro tmpfs ro")
                .map(drop)
        }),
    ]
}

fn propagation() -> Vec<Scenario> {
    vec![
        scenario("a_private_bind_sees_no_later_mount", |session| later_mount(session, "rprivate", "")),
        scenario("a_slave_bind_sees_a_later_mount", |session| later_mount(session, "rslave", "x\n")),
        scenario("a_shared_bind_sees_a_later_mount", |session| later_mount(session, "rshared", "x\n")),
        scenario("a_mount_in_a_shared_bind_reaches_the_host", |session| {
            mount_inside(session, "rshared", "1\n")
        }),
        scenario("a_mount_in_a_slave_bind_stays_inside", |session| mount_inside(session, "rslave", "0\n")),
        scenario("propagation_shows_in_mountinfo", |session| {
            let source = shared_source(session)?;
            for (mode, sign) in [("rshared", "shared:"), ("rslave", "master:"), ("rprivate", "-")] {
                let script = "grep ' /v ' /proc/self/mountinfo | cut -d' ' -f7 | sed 's/[0-9]*$//'";
                let said =
                    session.run(&["-v", &format!("{source}:/v:{mode}"), BUSYBOX, "sh", "-c", script])?;
                said.ok()?.says(&format!("{sign}\n"))?;
            }
            Ok(())
        }),
    ]
}

/// A directory with the file `old` in it.
fn bind_source(session: &Session) -> Outcome<String> {
    let dir = session.dir("bind")?;
    fs::write(dir.join("old"), "old\n").map_err(Stop::failed)?;
    Ok(dir.display().to_string())
}

fn with_bind(session: &Session, options: &str, script: &str) -> Outcome<Said> {
    let bind = format!("{}:/v{options}", bind_source(session)?);
    session.run(&["-v", &bind, BUSYBOX, "sh", "-c", script])
}

/// A mount on the host whose peers get its later mounts.
fn shared_source(session: &Session) -> Outcome<String> {
    let dir = session.dir("shared")?.display().to_string();
    let script = format!("mount -t tmpfs tmpfs {dir} && mount --make-shared {dir} && mkdir {dir}/sub");
    session.machine().shell(&script)?.ok()?;
    Ok(dir)
}

/// Mounts on the host after the container started, and expects to see this in it.
fn later_mount(session: &Session, mode: &str, expected: &str) -> Outcome {
    let source = shared_source(session)?;
    let name = session.start("c", &["-v", &format!("{source}:/v:{mode}"), BUSYBOX, "sleep", "100"])?;
    session.machine().shell(&format!("mount -t tmpfs tmpfs {source}/sub && touch {source}/sub/x"))?.ok()?;
    session.docker(&["exec", &name, "ls", "/v/sub"])?.ok()?.says(expected)?;
    session.machine().shell(&format!("umount {source}/sub"))?.ok().map(drop)
}

/// Mounts in the container, and expects that many mounts of it on the host.
fn mount_inside(session: &Session, mode: &str, expected: &str) -> Outcome {
    let source = shared_source(session)?;
    let bind = format!("{source}:/v:{mode}");
    let script = "mount -t tmpfs tmpfs /v/sub; exec sleep 100";
    let name = session.start("c", &["--privileged", "-v", &bind, BUSYBOX, "sh", "-c", script])?;
    session.wait_until(&["exec", &name, "cat", "/proc/mounts"], " /v/sub ")?;
    let count = session.host(&format!("grep -c ' {source}/sub ' /proc/mounts; true"))?.ok()?;
    session.docker(&["rm", "-f", &name])?.ok()?;
    session.machine().shell(&format!("umount {source}/sub 2>/dev/null; true"))?;
    count.says(expected).map(drop)
}
