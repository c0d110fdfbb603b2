//! The namespaces that hold a whole run of the engine tests.
//!
//! A test binary calls [`enter`] first thing. It then runs a second time, as the only job of a new pid namespace
//! and a new mount namespace. When the run ends, or is killed, the kernel ends every daemon, shim and container
//! with the pid namespace and drops every mount with the mount namespace. What the kernel does not take back is
//! two kinds of directory: the scratch directory and empty cgroups. Both carry the pid of the outer process in
//! their names, and the outer process removes them, or, if it was killed too, the next run does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, exit};

/// Tells the inner process its scratch directory, and that it is the inner one.
const INSIDE: &str = "CORTEN_ENGINES_SANDBOX";

const PREFIX: &str = "corten-engines-";

/// The parent of podman's cgroups, which no setting moves. What is empty in it goes at the end: podman makes it anew.
const PODMAN_CGROUP: &str = "libpod_parent";

/// Where a run keeps what it makes.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The scratch directory: sockets, data roots, logs.
    pub dir: PathBuf,
    /// The parent of every cgroup that the engines make, as a path from the root of each hierarchy.
    pub cgroup: String,
}

/// Returns inside the sandbox. Outside of it, runs this program inside, and exits as the inner process did.
///
/// Needs root.
pub fn enter() -> Sandbox {
    if let Some(dir) = std::env::var_os(INSIDE) {
        return Sandbox::at(PathBuf::from(dir));
    }
    sweep(|pid| !Path::new("/proc").join(pid).exists());
    let own_pid = std::process::id().to_string();
    let status = run_inside(&std::env::temp_dir().join(format!("{PREFIX}{own_pid}")));
    sweep(|pid| pid == own_pid);
    match status {
        Ok(status) => exit(status.code().unwrap_or(1)),
        Err(err) => {
            eprintln!("the engine tests' sandbox: its directory under /tmp, or setpriv: {err}");
            exit(1)
        }
    }
}

impl Sandbox {
    fn at(dir: PathBuf) -> Self {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Sandbox { cgroup: format!("/{name}"), dir }
    }
}

/// `setpriv` ties the sandbox to this process, `--kill-child` ties the namespace to the sandbox, and `docker-init` is
/// its pid 1, because daemons leave orphans that have to be reaped.
fn run_inside(dir: &Path) -> std::io::Result<ExitStatus> {
    // A directory that is there already is refused, because under /tmp it could be anybody's.
    fs::create_dir(dir)?;
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["--propagation", "private", "docker-init", "--"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, dir)
        .status()
}

/// Removes the scratch directories and cgroups of the runs whose pid `ours` accepts.
fn sweep(ours: impl Fn(&str) -> bool) {
    let is_ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(PREFIX).is_some_and(&ours)
    };
    for scratch in children(&std::env::temp_dir()).filter(|dir| is_ours(dir)) {
        if let Err(err) = fs::remove_dir_all(&scratch) {
            eprintln!("warning: {} stays behind: {err}", scratch.display());
        }
    }
    // On v1 the hierarchies are mounted one level down; on v2 the root itself is the hierarchy.
    let mount = Path::new("/sys/fs/cgroup");
    let hierarchies = children(mount).chain([mount.to_path_buf()]);
    for cgroup in hierarchies.flat_map(|hierarchy| children(&hierarchy)) {
        if cgroup.ends_with(PODMAN_CGROUP) {
            remove_cgroup(&cgroup);
        } else if is_ours(&cgroup) && !remove_cgroup(&cgroup) {
            eprintln!("warning: the cgroup {} stays behind", cgroup.display());
        }
    }
}

/// Removes a cgroup and the cgroups below it. A cgroup takes no `unlink` of its files, so it goes from the leaves up.
fn remove_cgroup(cgroup: &Path) -> bool {
    for child in children(cgroup) {
        remove_cgroup(&child);
    }
    fs::remove_dir(cgroup).is_ok()
}

fn children(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink())
}
