//! The image that every scenario runs: busybox alone, made from the host's static binary, since no registry is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::run;
use super::{Outcome, Stop, ensure};

/// The image's name in every engine.
pub const BUSYBOX: &str = "busybox";

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbin:x:1:1:bin:/bin:/bin/sh\n\
                      alice:x:1000:1000:alice:/home/alice:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";

const GROUP: &str = "root:x:0:\nbin:x:1:\nstaff:x:50:alice\naudio:x:63:\nalice:x:1000:\nnobody:x:65534:\n";

/// Writes the image's root filesystem to a tar archive in `dir` and gives its path.
pub fn busybox_archive(dir: &Path) -> Outcome<PathBuf> {
    let root = dir.join("busybox");
    let archive = dir.join("busybox.tar");
    let write = || -> std::io::Result<()> {
        for made in ["bin", "etc", "home/alice", "root", "tmp", "var"] {
            fs::create_dir_all(root.join(made))?;
        }
        fs::copy("/bin/busybox", root.join("bin/busybox"))?;
        fs::write(root.join("etc/passwd"), PASSWD)?;
        fs::write(root.join("etc/group"), GROUP)
    };
    write().map_err(|err| Stop::failed(format!("busybox image (is busybox-static installed?): {err}")))?;
    let script = "chmod 1777 tmp && chown 1000:1000 home/alice \
                  && for applet in $(bin/busybox --list); do [ $applet = busybox ] || ln -sf busybox bin/$applet; done \
                  && tar -cf \"$ARCHIVE\" --numeric-owner .";
    let said =
        run(Command::new("sh").args(["-c", script]).current_dir(&root).env("ARCHIVE", &archive), None)?;
    ensure(said.code == 0, || said.report())?;
    Ok(archive)
}
