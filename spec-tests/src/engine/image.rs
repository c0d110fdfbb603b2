//! The images that scenarios run: busybox alone, made from the host's static binary, since no registry is there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::process::run;
use super::{Outcome, Stop};
use crate::root::copy_program;

/// The image's name in the engines that have names of one word.
pub const BUSYBOX: &str = "busybox";

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbin:x:1:1:bin:/bin:/bin/sh\n\
                      alice:x:1000:1000:alice:/home/alice:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";

const GROUP: &str = "root:x:0:\nbin:x:1:\nstaff:x:50:alice\naudio:x:63:\nalice:x:1000:\nnobody:x:65534:\n";

/// Writes the image's root filesystem to a tar archive in `dir` and gives its path.
pub fn busybox_archive(dir: &Path) -> Outcome<PathBuf> {
    let root = dir.join("busybox");
    let archive = dir.join("busybox.tar");
    let applets = run(Command::new("/bin/busybox").arg("--list"), None)?.ok()?.stdout;
    let write = || -> std::io::Result<()> {
        for made in ["bin", "etc", "home/alice", "root", "tmp", "var"] {
            fs::create_dir_all(root.join(made))?;
        }
        copy_program("/bin/busybox", root.join("bin/busybox"))?;
        for applet in applets.lines().filter(|name| *name != "busybox") {
            symlink("busybox", root.join("bin").join(applet))?;
        }
        fs::write(root.join("etc/passwd"), PASSWD)?;
        fs::write(root.join("etc/group"), GROUP)
    };
    write().map_err(|err| Stop::failed(format!("busybox image (is busybox-static installed?): {err}")))?;
    let script = "chmod 1777 tmp && chown 1000:1000 home/alice && tar -cf \"$ARCHIVE\" --numeric-owner .";
    run(Command::new("sh").args(["-c", script]).current_dir(&root).env("ARCHIVE", &archive), None)?.ok()?;
    Ok(archive)
}

/// Writes an image of one layer, the archive `rootfs`, in the form of `docker save`, and gives its path.
pub fn image_archive(rootfs: &Path, name: &str, command: &[&str]) -> Outcome<PathBuf> {
    let digest = run(Command::new("sha256sum").arg(rootfs), None)?.ok()?;
    let layer = digest.stdout.split(' ').next().unwrap_or_default();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "os": "linux", "architecture": architecture,
        "config": { "Cmd": command, "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["busybox.tar"] }]);
    let dir = rootfs.with_file_name(name.replace(['/', ':'], "-"));
    let archive = dir.with_extension("tar");
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&dir)?;
        fs::hard_link(rootfs, dir.join("busybox.tar"))?;
        fs::write(dir.join("config.json"), config.to_string())?;
        fs::write(dir.join("manifest.json"), manifest.to_string())
    };
    write().map_err(|err| Stop::failed(format!("image {name}: {err}")))?;
    let files = ["manifest.json", "config.json", "busybox.tar"];
    run(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&dir).args(files), None)?.ok()?;
    Ok(archive)
}
