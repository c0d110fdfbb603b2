//! Volumes and mounts with podman's own options, and what `--systemd` mounts.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::podman::{On, Podman, run_once, scenario};
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;
use spec_tests::engine::{Engine, Outcome, Stop};

/// Shows whether a volume can be written, whose it is, and its flags without those of the disk.
const LOOK: &str = "stat -c %u:%g /v /v/f; cat /v/f; touch /v/new && echo written; grep ' /v ' /proc/mounts | cut -d' ' -f3,4 | grep -oE '^[a-z0-9]+|\\b(ro|rw|nosuid|nodev|noexec|idmapped)\\b'";

pub fn scenarios() -> Vec<Scenario<Podman>> {
    [binds(), named(), mounts(), systemd()].into_iter().flatten().collect()
}

fn binds() -> Vec<Scenario<Podman>> {
    const MAPPED: &[&str] = &["--uidmap", "0:3000:2000", "--gidmap", "0:3000:2000"];
    vec![
        bound("plain", &[], "rw"),
        bound("read_only", &[], "ro"),
        bound("relabelled", &[], "z"),
        bound("relabelled_privately", &[], "Z"),
        bound("overlay", &[], "O"),
        bound("given_to_the_user", &["--user", "1000:1000"], "U"),
        scenario("idmapped_without_a_userns", |session| {
            let volume = format!("{}:/v:idmap", volume(session)?);
            session.ask(&["run", "--rm", "-v", &volume, BUSYBOX, "true"])?.exits(126).map(drop)
        }),
        bound("without_devices_and_programs", &[], "nodev,noexec,nosuid"),
        bound("not_copied", &[], "nocopy"),
        bound("copied", &[], "copy"),
        bound("propagation_shared", &[], "shared"),
        bound("propagation_slave", &[], "rslave"),
        bound("not_recursive", &[], "bind"),
        bound("userns_plain", MAPPED, "rw"),
        bound("userns_overlay", MAPPED, "O"),
        bound("userns_given_to_root", MAPPED, "U"),
        bound("userns_idmapped", MAPPED, "idmap"),
        bound("userns_idmapped_read_only", MAPPED, "idmap,ro"),
        bound("userns_idmapped_by_a_map_of_its_own", MAPPED, "idmap=uids=3000-3007-1;gids=3000-3008-1"),
        bound("userns_read_only_noexec", MAPPED, "ro,noexec"),
        scenario("overlay_changes_stay_in_the_container", |session| {
            let dir = volume(session)?;
            session
                .run(&["-v", &format!("{dir}:/v:O"), BUSYBOX, "sh", "-c", "echo x > /v/f; cat /v/f"])?
                .ok()?
                .says("x\n")?;
            session.host(&format!("cat {dir}/f; ls {dir}"))?.says("data\nf\n").map(drop)
        }),
        scenario("a_file_over_a_file", |session| {
            let dir = volume(session)?;
            session
                .run(&["-v", &format!("{dir}/f:/etc/group:ro"), BUSYBOX, "cat", "/etc/group"])?
                .ok()?
                .says("data\n")
                .map(drop)
        }),
        scenario("a_directory_over_a_file_is_refused", |session| {
            let dir = volume(session)?;
            session.run(&["-v", &format!("{dir}:/etc/group"), BUSYBOX, "true"])?.exits(126).map(drop)
        }),
        run_once(
            "a_missing_source_is_refused",
            &["-v", "/nosuch:/v", BUSYBOX, "true"],
            Fails(125, "/nosuch"),
        ),
    ]
}

fn named() -> Vec<Scenario<Podman>> {
    vec![
        scenario("a_named_volume_keeps_its_files", |session| {
            let name = format!("{}:/v", session.name("volume"));
            session.run(&["-v", &name, BUSYBOX, "sh", "-c", "echo kept > /v/f"])?.ok()?;
            let said = session.run(&["-v", &name, BUSYBOX, "cat", "/v/f"])?.ok()?.says("kept\n").map(drop);
            session.ask(&["volume", "rm", "-f", name.trim_end_matches(":/v")])?;
            said
        }),
        scenario("a_named_volume_without_copies", |session| {
            let name = session.name("volume");
            let said = session
                .run(&["-v", &format!("{name}:/home:nocopy"), BUSYBOX, "ls", "/home"])?
                .ok()?
                .says("")
                .map(drop);
            session.ask(&["volume", "rm", "-f", &name])?;
            said
        }),
        run_once(
            "an_anonymous_volume_copies_up",
            &["-v", "/home", BUSYBOX, "stat", "-c", "%n %u", "/home/alice"],
            Says("/home/alice 1000\n"),
        ),
        run_once(
            "a_volume_is_its_user_s",
            &["-v", "owned:/data:U", "--user", "alice", BUSYBOX, "sh", "-c", "touch /data/x && echo written"],
            Says("written\n"),
        ),
        scenario("volumes_from", |session| {
            let name = session
                .start("c", &["-v", "/shared", BUSYBOX, "sh", "-c", "echo x > /shared/f; exec sleep 100"])?;
            session.wait_until(&["exec", &name, "cat", "/shared/f"], "x")?;
            session.run(&["--volumes-from", &name, BUSYBOX, "cat", "/shared/f"])?.ok()?.says("x\n").map(drop)
        }),
    ]
}

fn mounts() -> Vec<Scenario<Podman>> {
    vec![
        run_once(
            "mount_tmpfs",
            &[
                "--mount",
                "type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=0700",
                BUSYBOX,
                "sh",
                "-c",
                "stat -c %a /t; df -k /t | tail -n 1 | tr -s ' ' | cut -d' ' -f2",
            ],
            Says("700\n1024\n"),
        ),
        run_once(
            "mount_devpts",
            &["--mount", "type=devpts,destination=/p", BUSYBOX, "grep", " /p ", "/proc/mounts"],
            Shows(&["devpts"]),
        ),
        run_once(
            "mount_image",
            &[
                "--mount",
                "type=image,source=localhost/busybox,destination=/i",
                BUSYBOX,
                "cat",
                "/i/etc/group",
            ],
            Shows(&["staff"]),
        ),
        run_once(
            "mount_image_writable",
            &[
                "--mount",
                "type=image,source=localhost/busybox,destination=/i,rw=true",
                BUSYBOX,
                "sh",
                "-c",
                "touch /i/x && echo written",
            ],
            Says("written\n"),
        ),
        run_once("secrets_need_a_secret", &["--secret", "nosuch", BUSYBOX, "true"], Fails(125, "nosuch")),
        scenario("a_secret", |session| {
            let name = session.name("secret").replace("::", "-");
            session.podman_reading(&["secret", "create", &name, "-"], "hidden")?;
            let target = format!("{name},target=s,mode=0400");
            let said = session
                .run(&[
                    "--secret",
                    &target,
                    BUSYBOX,
                    "sh",
                    "-c",
                    "cat /run/secrets/s; stat -c %a /run/secrets/s",
                ])?
                .ok()?
                .says("hidden400\n")
                .map(drop);
            session.ask(&["secret", "rm", &name])?;
            said
        }),
        scenario("a_rootfs_of_the_host", |session| {
            let script = format!(
                "$PODMAN run --rm --rootfs $($PODMAN image mount {BUSYBOX}):O sh -c 'touch /x && cat /etc/group'; code=$?; $PODMAN image unmount {BUSYBOX} > /dev/null; exit $code"
            );
            session.shell(&script)?.ok()?.shows("staff").map(drop)
        }),
    ]
}

fn systemd() -> Vec<Scenario<Podman>> {
    const LOOK: &str = "for it in /run /run/lock /tmp /var/log/journal /sys/fs/cgroup /sys/fs/cgroup/systemd; do grep \" $it \" /proc/mounts | tail -n 1 | cut -d' ' -f2,3,4 | sed -E 's/(cgroup tmpfs) r./\\1 /' | sed -E 's/,(size|nr_inodes|mode)=[0-9a-z]*//g'; done; echo $container; touch /run/lock/x /tmp/x && echo written";
    vec![
        run_once("systemd_always", &["--systemd=always", BUSYBOX, "sh", "-c", LOOK], Shows(&["/run/lock tmpfs", "written"])),
        run_once("systemd_always_with_a_read_only_rootfs", &["--systemd=always", "--read-only", BUSYBOX, "sh", "-c", LOOK], Shows(&["/run tmpfs", "written"])),
        run_once("systemd_always_on_v2", &["--systemd=always", BUSYBOX, "sh", "-c", LOOK], Shows(&["/sys/fs/cgroup cgroup2 rw", "written"])).on(On::V2),
        run_once("systemd_may_make_cgroups_on_v2", &["--systemd=always", BUSYBOX, "sh", "-c", "mkdir /sys/fs/cgroup/init.scope && echo 1 > /sys/fs/cgroup/init.scope/cgroup.procs && cat /proc/1/cgroup"], Shows(&["0::/init.scope\n"])).on(On::V2),
        run_once("cgroups_are_read_only_otherwise_on_v2", &[BUSYBOX, "mkdir", "/sys/fs/cgroup/x"], Fails(1, "Read-only")).on(On::V2),
    ]
}

/// What a container sees of a bind mount with those options, with `flags` for the container.
fn bound(name: &'static str, flags: &'static [&'static str], options: &'static str) -> Scenario<Podman> {
    scenario(name, move |session| {
        let volume = format!("{}:/v:{options}", volume(session)?);
        session.run(&[flags, &["-v", &volume, BUSYBOX, "sh", "-c", LOOK]].concat())?;
        // The owner on the host too, since some options change it.
        let dir = volume.split(':').next().unwrap_or_default();
        session.host(&format!("cd {dir}; stat -c '%n %u:%g' . *"))?.ok().map(drop)
    })
}

/// A directory that holds a file: uid 3000's on root's machine, the user's own on a user's.
fn volume(session: &Session<Podman>) -> Outcome<String> {
    let dir = session.dir("volume")?;
    let owner = Some(if session.engine().user() == 0 { 3000 } else { session.engine().user() });
    let write = || {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        fs::write(dir.join("f"), "data\n")?;
        chown(&dir, owner, owner)?;
        chown(dir.join("f"), owner, owner)
    };
    write().map_err(Stop::failed)?;
    Ok(dir.display().to_string())
}
