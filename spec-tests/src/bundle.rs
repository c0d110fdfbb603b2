//! A throw-away bundle: a directory with a busybox rootfs and a config.json, built field by field.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::root;

/// A bundle under construction; [`Bundle::save`] writes its config.json.
#[derive(Clone)]
pub struct Bundle {
    /// The directory of the bundle.
    pub dir: PathBuf,
    /// What config.json will say. Starts as what Docker asks for by default, without seccomp.
    pub config: Value,
}

impl Bundle {
    /// Makes a bundle with a fresh root filesystem in `dir`.
    pub fn create(dir: PathBuf, cgroups_path: &str) -> Bundle {
        let bundle = Bundle { config: docker_default(cgroups_path), dir };
        root::populate(&bundle.rootfs());
        bundle
    }

    /// The root filesystem, on the host.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// Writes config.json.
    pub fn save(&self) {
        let text = serde_json::to_vec_pretty(&self.config).expect("JSON");
        fs::write(self.dir.join("config.json"), text).expect("write config.json");
    }

    /// Sets the field at a JSON pointer, making the objects on the way: `set("/process/user/uid", 1000)`.
    pub fn set(&mut self, pointer: &str, value: impl Into<Value>) -> &mut Self {
        *self.field(pointer) = value.into();
        self
    }

    /// Appends to the array at a JSON pointer, making it if absent.
    pub fn push(&mut self, pointer: &str, value: impl Into<Value>) -> &mut Self {
        let field = self.field(pointer);
        if field.is_null() {
            *field = json!([]);
        }
        field.as_array_mut().expect("an array").push(value.into());
        self
    }

    /// Sets the payload.
    pub fn args<'a>(&mut self, args: impl IntoIterator<Item = &'a str>) -> &mut Self {
        let args: Vec<_> = args.into_iter().collect();
        self.set("/process/args", args)
    }

    /// Makes a shell script the payload.
    pub fn sh(&mut self, script: &str) -> &mut Self {
        self.args(["sh", "-c", script])
    }

    /// Adds a mount.
    pub fn mount(
        &mut self,
        kind: &str,
        source: impl AsRef<Path>,
        destination: &str,
        options: &[&str],
    ) -> &mut Self {
        let source = source.as_ref().to_str().expect("a UTF-8 path");
        self.push(
            "/mounts",
            json!({"type": kind, "source": source, "destination": destination, "options": options}),
        )
    }

    /// Removes the mount on `destination`.
    pub fn unmount(&mut self, destination: &str) -> &mut Self {
        let mounts = self.field("/mounts").as_array_mut().expect("mounts");
        mounts.retain(|mount| mount["destination"] != destination);
        self
    }

    /// Shows a path that Docker masks.
    pub fn unmask(&mut self, path: &str) -> &mut Self {
        self.field("/linux/maskedPaths").as_array_mut().expect("maskedPaths").retain(|masked| masked != path);
        self
    }

    /// Asks for a namespace: a new one, or the namespace at a path.
    pub fn namespace(&mut self, kind: &str, path: Option<&str>) -> &mut Self {
        self.share_namespace(kind);
        let mut namespace = json!({"type": kind});
        if let Some(path) = path {
            namespace["path"] = path.into();
        }
        self.push("/linux/namespaces", namespace)
    }

    /// Stays in the runtime's namespace of this kind.
    pub fn share_namespace(&mut self, kind: &str) -> &mut Self {
        let namespaces = self.field("/linux/namespaces").as_array_mut().expect("namespaces");
        namespaces.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// Adds a user namespace that maps 65536 ids of the container to those from `first` on.
    pub fn user_namespace(&mut self, first: u32) -> &mut Self {
        let map = json!([{"containerID": 0, "hostID": first, "size": 65536}]);
        self.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map)
    }

    /// Gives all five capability sets these names.
    pub fn capabilities(&mut self, names: &[&str]) -> &mut Self {
        for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
            self.set(&format!("/process/capabilities/{set}"), names);
        }
        self
    }

    /// Adds a hook of `kind` that runs a shell script.
    pub fn hook(&mut self, kind: &str, script: &str) -> &mut Self {
        self.push(&format!("/hooks/{kind}"), json!({"path": "/bin/sh", "args": ["sh", "-c", script]}))
    }

    fn field(&mut self, pointer: &str) -> &mut Value {
        pointer.split('/').skip(1).fold(&mut self.config, |value, key| match key.parse::<usize>() {
            Ok(index) if value.is_array() => &mut value[index],
            _ => &mut value[key],
        })
    }
}

fn docker_default(cgroups_path: &str) -> Value {
    let capabilities = json!([
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE"
    ]);
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "hostname": "box",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "args": ["true"],
            "env": ["PATH=/bin"],
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities
            },
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["ro", "nosuid", "noexec", "nodev"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]}
        ],
        "linux": {
            "cgroupsPath": cgroups_path,
            "namespaces": [
                {"type": "mount"}, {"type": "network"}, {"type": "uts"}, {"type": "pid"}, {"type": "ipc"}
            ],
            "resources": {"devices": [
                {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 9, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 8, "access": "rwm"},
                {"allow": true, "type": "c", "major": 5, "minor": 0, "access": "rwm"},
                {"allow": true, "type": "c", "major": 5, "minor": 1, "access": "rwm"}
            ]},
            "maskedPaths": [
                "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
                "/sys/devices/virtual/powercap"
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}
