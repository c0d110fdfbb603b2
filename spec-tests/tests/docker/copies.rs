//! `docker cp`, `export` and what else moves files in and out.

use std::fs;

use spec_tests::engine::case::{Case, case};
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::seat::Seat;
use spec_tests::engine::{Outcome, Stop};

pub fn cases() -> Vec<Case> {
    vec![
        case("into_a_running_container", |seat| {
            let name = sleeper(seat, &[])?;
            let file = seat.dir("copy")?.join("file");
            fs::write(&file, "copied\n").map_err(Stop::failed)?;
            seat.docker(&["cp", &file.to_string_lossy(), &format!("{name}:/etc/new")])?.ok()?;
            seat.docker(&["exec", &name, "cat", "/etc/new"])?.ok()?.says("copied\n").map(drop)
        }),
        case("out_of_a_running_container", |seat| {
            let name = sleeper(seat, &[])?;
            seat.docker(&["exec", &name, "sh", "-c", "mkdir -p /d/e && echo deep > /d/e/f"])?.ok()?;
            let dir = seat.dir("copy")?.display().to_string();
            seat.docker(&["cp", &format!("{name}:/d"), &dir])?.ok()?;
            seat.host(&format!("cat {dir}/d/e/f"))?.ok()?.says("deep\n").map(drop)
        }),
        case("out_of_a_stopped_container", |seat| {
            let name = seat.create("c", &[BUSYBOX, "sh", "-c", "echo late > /f"])?;
            seat.docker(&["start", "-a", &name])?.ok()?;
            let dir = seat.dir("copy")?.display().to_string();
            seat.docker(&["cp", &format!("{name}:/f"), &dir])?.ok()?;
            seat.host(&format!("cat {dir}/f"))?.ok()?.says("late\n").map(drop)
        }),
        case("into_a_container_that_has_not_started", |seat| {
            let name = seat.create("c", &[BUSYBOX, "cat", "/early"])?;
            let file = seat.dir("copy")?.join("early");
            fs::write(&file, "early\n").map_err(Stop::failed)?;
            seat.docker(&["cp", &file.to_string_lossy(), &format!("{name}:/")])?.ok()?;
            seat.docker(&["start", "-a", &name])?.ok()?.says("early\n").map(drop)
        }),
        case("into_a_volume_of_a_running_container", |seat| {
            let name = sleeper(seat, &["-v", "/v"])?;
            let file = seat.dir("copy")?.join("file");
            fs::write(&file, "x\n").map_err(Stop::failed)?;
            seat.docker(&["cp", &file.to_string_lossy(), &format!("{name}:/v/")])?.ok()?;
            seat.docker(&["exec", &name, "cat", "/v/file"])?.ok()?.says("x\n").map(drop)
        }),
        case("into_a_read_only_rootfs_is_refused", |seat| {
            let name = sleeper(seat, &["--read-only"])?;
            let file = seat.dir("copy")?.join("file");
            fs::write(&file, "x\n").map_err(Stop::failed)?;
            let said = seat.docker(&["cp", &file.to_string_lossy(), &format!("{name}:/file")])?;
            said.exits(1)?.complains("rootfs is marked read-only").map(drop)
        }),
        case("a_missing_file_is_refused", |seat| {
            let name = sleeper(seat, &[])?;
            let dir = seat.dir("copy")?.display().to_string();
            seat.docker(&["cp", &format!("{name}:/nosuch"), &dir])?.exits(1)?.complains("nosuch").map(drop)
        }),
        case("export_and_import", |seat| {
            let name = sleeper(seat, &[])?;
            seat.docker(&["exec", &name, "sh", "-c", "echo kept > /kept"])?.ok()?;
            let archive = seat.dir("copy")?.join("all.tar").display().to_string();
            seat.docker(&["export", "-o", &archive, &name])?.ok()?;
            let image = seat.name("imported");
            seat.ask(&["import", &archive, &image])?.ok()?;
            seat.run(&[&image, "cat", "/kept"])?.ok()?.says("kept\n")?;
            seat.host(&format!("tar -tf {archive} | grep -E '^(dev|proc|sys)/' | sort"))?.ok().map(drop)
        }),
        case("a_mount_s_target_in_the_rootfs_stays_as_it_was", |seat| {
            // The runtime makes missing targets, and leaves those that are there alone.
            let source = seat.dir("source")?.display().to_string();
            let bind = format!("{source}:/made/by/mount");
            let name = seat.create("c", &["-v", &bind, "--tmpfs", "/home/alice", BUSYBOX, "true"])?;
            seat.docker(&["start", "-a", &name])?.ok()?;
            let archive = seat.dir("copy")?.join("all.tar").display().to_string();
            seat.docker(&["export", "-o", &archive, &name])?.ok()?;
            seat.host(&format!("tar -tvf {archive} --numeric-owner | grep -E 'made|alice' | awk '{{print $1, $2, $6}}' | sort"))?
                .ok()?
                .shows("1000/1000 home/alice/\n")?
                .shows("0/0 made/by/mount/\n")
                .map(drop)
        }),
    ]
}

fn sleeper(seat: &Seat, flags: &[&str]) -> Outcome<String> {
    seat.start("c", &[flags, &[BUSYBOX, "sleep", "100"]].concat())
}
