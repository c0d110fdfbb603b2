//! The root filesystem that every test container gets: a static busybox under the names of all its applets.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Fills `rootfs` with `/bin/APPLET` for each applet, the usual empty directories, and `/etc/passwd`.
///
/// The applets are hard links to a private copy of the host's busybox: a test that damages it from inside a
/// container damages neither the host nor a later run.
pub fn populate(rootfs: &Path) {
    for dir in ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var"] {
        fs::create_dir_all(rootfs.join(dir)).expect("make the rootfs");
    }
    fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("chmod /tmp");
    fs::write(
        rootfs.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
    )
    .expect("write /etc/passwd");
    fs::write(rootfs.join("etc/group"), "root:x:0:\nuser:x:1000:\n").expect("write /etc/group");
    let busybox = rootfs.join("bin/busybox");
    link_or_copy(&image().busybox, &busybox);
    for applet in image().applets.iter().filter(|name| *name != "busybox") {
        fs::hard_link(&busybox, rootfs.join("bin").join(applet)).expect("link an applet");
    }
}

struct Image {
    busybox: PathBuf,
    applets: Vec<String>,
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let source = Path::new("/bin/busybox");
        assert!(source.exists(), "{} is missing: install busybox-static", source.display());
        let list = Command::new(source).arg("--list").output().expect("run busybox --list").stdout;
        let applets = String::from_utf8(list).expect("applet names").lines().map(str::to_owned).collect();
        Image { busybox: private_copy(source), applets }
    })
}

/// Copies `source` beside the test binary, once per build directory; renamed into place, since suites run side by side.
fn private_copy(source: &Path) -> PathBuf {
    let dir = std::env::current_exe().expect("own path").parent().expect("own directory").to_owned();
    let target = dir.join("spec-tests-busybox");
    let size = |path: &Path| fs::metadata(path).map(|meta| meta.len()).ok();
    if size(&target) != size(source) {
        let fresh = dir.join(format!("spec-tests-busybox.{}", std::process::id()));
        copy_program(source, &fresh).expect("copy busybox");
        fs::rename(&fresh, &target).expect("place busybox");
    }
    target
}

/// Copies a program, by a process of its own: a child that another thread forks meanwhile would keep a copy of this
/// process's open to write, and so nobody could execute it.
pub fn copy_program(source: impl AsRef<Path>, target: impl AsRef<Path>) -> std::io::Result<()> {
    let status = Command::new("cp").arg(source.as_ref()).arg(target.as_ref()).status()?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("cp: {status}"))) }
}

fn link_or_copy(source: &Path, target: &Path) {
    match fs::hard_link(source, target) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            copy_program(source, target).expect("copy busybox");
        }
        linked => linked.expect("link busybox"),
    }
}
