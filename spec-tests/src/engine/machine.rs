//! A host of its own for an engine: mounts, network, hostname, `/run` and `/etc` that no other host sees.
//!
//! dockerd and containerd have paths that no flag moves (`/run/containerd`, `/etc/docker/key.json`), and rules,
//! bridges and settings that are the network namespace's. On a machine of its own, none of this is shared with
//! the system's engine or with another engine of the same run.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::process::{Said, run};
use super::{Outcome, Stop, ensure};
use crate::view::View;

/// The hostname of every machine.
pub const HOSTNAME: &str = "engine-host";

/// The user of `--userns-remap`, with subordinate ids from [`REMAP_FIRST_ID`] on.
pub const REMAP_USER: &str = "remap";

/// The host's id for a remapped container's root.
pub const REMAP_FIRST_ID: u32 = 100_000;

/// `/etc` is the real one under a writable layer. The layer is on tmpfs, which serves as one wherever `/tmp` is.
/// Three device nodes are the machine's own: crun gives `/dev/null` away to the user of a container, and everybody may
/// open the others, as on a host with udev.
const BOOT: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/etc/upper /run/etc/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc
device() {
    [ -e "/dev/$1" ] || return 0
    mkdir -p "$(dirname "/run/devices/$1")"
    mknod -m 666 "/run/devices/$1" c "$2" "$3"
    mount --bind "/run/devices/$1" "/dev/$1"
}
device null 1 3
device fuse 10 229
device net/tun 10 200
eval "$VIEW"
mkdir -p /etc/docker
rm -f /etc/docker/key.json
echo "$REMAP_USER:x:3000:3000::/:/bin/false" >> /etc/passwd
echo "$REMAP_USER:x:3000:" >> /etc/group
echo "$REMAP_USER:$REMAP_FIRST_ID:65536" | tee -a /etc/subuid >> /etc/subgid
hostname "$HOSTNAME"
ip link set lo up
echo up
exec sleep infinity
"#;

/// The namespaces of one host, held by a process that sleeps in them.
pub struct Machine {
    holder: Child,
}

impl Machine {
    /// Makes the namespaces and sets them up, with that view of the cgroups.
    pub fn boot(view: View) -> Outcome<Self> {
        let mut holder = Command::new("unshare")
            .args(["--mount", "--net", "--uts", "--ipc", "--propagation", "private", "sh", "-c", BOOT])
            .envs([("HOSTNAME", HOSTNAME), ("REMAP_USER", REMAP_USER)])
            .env("REMAP_FIRST_ID", REMAP_FIRST_ID.to_string())
            .env("VIEW", view.prologue().unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|err| Stop::failed(format!("unshare: {err}")))?;
        let mut line = String::new();
        if let Some(stdout) = holder.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(Stop::failed)?;
        }
        let machine = Machine { holder };
        ensure(line == "up\n", || "the machine of an engine did not come up".to_owned())?;
        Ok(machine)
    }

    /// A command that will run on this machine.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.holder.id().to_string(),
            "--mount",
            "--net",
            "--uts",
            "--ipc",
            program,
        ]);
        command
    }

    /// The machine's mount namespace.
    pub fn mounts(&self) -> io::Result<File> {
        File::open(format!("/proc/{}/ns/mnt", self.holder.id()))
    }

    /// The place of a path of this machine, for who isn't on it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.holder.id()))
    }

    /// Runs a shell script on this machine to its end.
    pub fn shell(&self, script: &str) -> Outcome<Said> {
        run(self.command("sh").args(["-c", script]), None)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}
