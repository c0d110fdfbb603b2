//! `docker cp`, `export` and what else moves files in and out.

use std::fs;

use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::scenario::{Scenario, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("into_a_running_container", |session| {
            let name = sleeper(session, &[])?;
            let file = session.dir("copy")?.join("file");
            fs::write(&file, "copied\n").map_err(Stop::failed)?;
            session.docker(&["cp", &file.to_string_lossy(), &format!("{name}:/etc/new")])?.ok()?;
            session.docker(&["exec", &name, "cat", "/etc/new"])?.ok()?.says("copied\n").map(drop)
        }),
        scenario("out_of_a_running_container", |session| {
            let name = sleeper(session, &[])?;
            session.docker(&["exec", &name, "sh", "-c", "mkdir -p /d/e && echo deep > /d/e/f"])?.ok()?;
            let dir = session.dir("copy")?.display().to_string();
            session.docker(&["cp", &format!("{name}:/d"), &dir])?.ok()?;
            session.host(&format!("cat {dir}/d/e/f"))?.ok()?.says("deep\n").map(drop)
        }),
        scenario("out_of_a_stopped_container", |session| {
            let name = session.create("c", &[BUSYBOX, "sh", "-c", "echo late > /f"])?;
            session.docker(&["start", "-a", &name])?.ok()?;
            let dir = session.dir("copy")?.display().to_string();
            session.docker(&["cp", &format!("{name}:/f"), &dir])?.ok()?;
            session.host(&format!("cat {dir}/f"))?.ok()?.says("late\n").map(drop)
        }),
        scenario("into_a_container_that_has_not_started", |session| {
            let name = session.create("c", &[BUSYBOX, "cat", "/early"])?;
            let file = session.dir("copy")?.join("early");
            fs::write(&file, "early\n").map_err(Stop::failed)?;
            session.docker(&["cp", &file.to_string_lossy(), &format!("{name}:/")])?.ok()?;
            session.docker(&["start", "-a", &name])?.ok()?.says("early\n").map(drop)
        }),
        scenario("into_a_volume_of_a_running_container", |session| {
            let name = sleeper(session, &["-v", "/v"])?;
            let file = session.dir("copy")?.join("file");
            fs::write(&file, "x\n").map_err(Stop::failed)?;
            session.docker(&["cp", &file.to_string_lossy(), &format!("{name}:/v/")])?.ok()?;
            session.docker(&["exec", &name, "cat", "/v/file"])?.ok()?.says("x\n").map(drop)
        }),
        scenario("into_a_read_only_rootfs_is_refused", |session| {
            let name = sleeper(session, &["--read-only"])?;
            let file = session.dir("copy")?.join("file");
            fs::write(&file, "x\n").map_err(Stop::failed)?;
            let said = session.docker(&["cp", &file.to_string_lossy(), &format!("{name}:/file")])?;
            said.exits(1)?.complains("rootfs is marked read-only").map(drop)
        }),
        scenario("a_missing_file_is_refused", |session| {
            let name = sleeper(session, &[])?;
            let dir = session.dir("copy")?.display().to_string();
            session.docker(&["cp", &format!("{name}:/nosuch"), &dir])?.exits(1)?.complains("nosuch").map(drop)
        }),
        scenario("export_and_import", |session| {
            let name = sleeper(session, &[])?;
            session.docker(&["exec", &name, "sh", "-c", "echo kept > /kept"])?.ok()?;
            let archive = session.dir("copy")?.join("all.tar").display().to_string();
            session.docker(&["export", "-o", &archive, &name])?.ok()?;
            let image = session.name("imported");
            session.ask(&["import", &archive, &image])?.ok()?;
            session.run(&[&image, "cat", "/kept"])?.ok()?.says("kept\n")?;
            session.host(&format!("tar -tf {archive} | grep -E '^(dev|proc|sys)/' | sort"))?.ok().map(drop)
        }),
        scenario("a_mount_s_target_in_the_rootfs_stays_as_it_was", |session| {
            // The runtime makes missing targets, and leaves those that are there alone.
            let source = session.dir("source")?.display().to_string();
            let bind = format!("{source}:/made/by/mount");
            let name = session.create("c", &["-v", &bind, "--tmpfs", "/home/alice", BUSYBOX, "true"])?;
            session.docker(&["start", "-a", &name])?.ok()?;
            let archive = session.dir("copy")?.join("all.tar").display().to_string();
            session.docker(&["export", "-o", &archive, &name])?.ok()?;
            session.host(&format!("tar -tvf {archive} --numeric-owner | grep -E 'made|alice' | awk '{{print $1, $2, $6}}' | sort"))?
                .ok()?
                .shows("1000/1000 home/alice/\n")?
                .shows("0/0 made/by/mount/\n")
                .map(drop)
        }),
    ]
}

fn sleeper(session: &Session, flags: &[&str]) -> Outcome<String> {
    session.start("c", &[flags, &[BUSYBOX, "sleep", "100"]].concat())
}
