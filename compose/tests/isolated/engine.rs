//! A containerd of the test's own, with Debian's runc, and containers of busybox.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::host::{CONTAINERS, Process, RUNNING, end_all_else, program, record, sh, try_sh, until};

pub const ADDRESS: &str = "/run/containerd/containerd.sock";

/// A containerd that ends with the test.
pub struct Containerd(Process);

impl Containerd {
    pub fn start() -> Containerd {
        let config = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
            [plugins.\"io.containerd.internal.v1.restart\"]\ninterval = \"1s\"\n";
        fs::write("/run/containerd.toml", config).unwrap();
        let log = fs::File::create("/run/containerd.log").unwrap();
        let containerd = Command::new("containerd")
            .args(["--config", "/run/containerd.toml", "--address", ADDRESS])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let containerd = Containerd(Process(containerd.unwrap()));
        until("containerd answers", || try_sh("ctr version").status.success());
        sh("mkdir -p /run/rootfs/bin && cp \"$(command -v busybox)\" /run/rootfs/bin/ && \
            busybox chroot /run/rootfs /bin/busybox --install -s /bin");
        containerd
    }

    pub fn pid(&self) -> i32 {
        self.0.pid()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // Containers that nobody revives, then their shims, then containerd.
        let ids = String::from_utf8_lossy(&try_sh("ctr containers ls -q").stdout).into_owned();
        for id in ids.lines() {
            try_sh(&format!("ctr containers label {id} containerd.io/restart.explicitly-stopped=true"));
            try_sh(&format!("ctr tasks kill -s SIGKILL {id}"));
        }
        let gone = || try_sh("ctr tasks ls -q").stdout.is_empty();
        (0..1000)
            .take_while(|_| !gone())
            .for_each(|_| std::thread::sleep(std::time::Duration::from_millis(5)));
        self.0.signal(Signal::SIGTERM);
        drop(self.0.0.wait());
        // containerd 1.6 forgets a shim whose client is killed in the midst of a task's creation.
        end_all_else();
    }
}

/// Creates and starts a container whose program is a line of shell.
pub fn run(id: &str, line: &str, settings: Value, request: Value) {
    let container = Path::new(CONTAINERS).join(id);
    let mut keep = json!({"namespace": "default", "id": id, "address": ADDRESS});
    keep.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    record(container.join("keep.json"), &keep);
    record(container.join("network.json"), &request);
    for file in ["hosts", "resolv.conf", "hostname"] {
        fs::write(container.join(file), "").unwrap();
    }
    record(container.join("spec.json"), &spec(id, line));
    let (container, spec) = (container.display(), container.join("spec.json"));
    sh(&format!("ctr containers create --config {} {id}", spec.display()));
    sh(&format!("ctr tasks start -d --log-uri 'binary://{}?keep={container}' {id}", program()));
}

fn spec(id: &str, line: &str) -> Value {
    let hook = |operation: &str| json!([{"path": program(), "args": ["corten-compose", "hook", operation]}]);
    let file = |name: &str| {
        json!({"destination": format!("/etc/{name}"), "type": "bind", "source": format!("{CONTAINERS}/{id}/{name}"),
            "options": ["rbind", "rw"]})
    };
    // Cgroups are the machine's, so their names are this test's own.
    let own = fs::metadata("/proc/thread-self/ns/mnt").unwrap();
    let all = json!(["CAP_NET_RAW", "CAP_NET_BIND_SERVICE", "CAP_KILL"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh", "-c", line], "env": ["PATH=/bin"], "cwd": "/",
            "capabilities": {"bounding": all, "effective": all, "permitted": all}},
        "root": {"path": "/run/rootfs"},
        "hooks": {"createRuntime": hook("create"), "poststop": hook("delete")},
        "annotations": {"corten.compose/namespace": "default"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}, file("hosts"), file("resolv.conf"),
            file("hostname")],
        "linux": {"cgroupsPath": format!("/corten-compose-test-{}-{id}", own.ino()),
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}]},
    })
}

/// A container's state, as its keeper tells it.
pub fn state(id: &str) -> Value {
    let state = fs::read_to_string(Path::new(RUNNING).join(id).join("state.json")).unwrap_or_default();
    serde_json::from_str(&state).unwrap_or_default()
}

/// How a container has ended the last time.
pub fn exit(id: &str) -> Value {
    let exit = fs::read_to_string(Path::new(CONTAINERS).join(id).join("exit.json")).unwrap_or_default();
    serde_json::from_str(&exit).unwrap_or_default()
}
