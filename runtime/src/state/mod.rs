//! OUTPUT: what is kept of a container between two commands.
//!
//! The state of a container is the directory `$root/$id/`. It holds:
//!
//! | file | what it is |
//! | --- | --- |
//! | `state.json` | the [`Record`] |
//! | `exec.json` | what `exec` needs of config.json, with the compiled seccomp filter |
//! | `exec.fifo` | until `start`: what init waits at |
//! | `rootfs/` | where the root is mounted, for a container without a mount namespace of its own |
//! | `notify/` | where a caller wants to hear that the container is ready: the directory of its socket |
//!
//! The status isn't kept: it follows from the process, the fifo and the freezer.

mod directory;
mod exec_config;
mod id;
mod lock;
mod mountpoint;
mod notify;
mod record;
mod root;
mod status;

pub use directory::ContainerDir;
pub use id::ContainerId;
pub use lock::Lock;
pub use record::Record;
pub use root::StateRoot;
pub use status::{Facts, OciState, Status};

#[cfg(test)]
mod testing {
    //! What the tests of this module share.

    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{ContainerId, Record, StateRoot};

    /// A root directory of its own for each test, gone with it.
    pub(super) struct TestRoot(pub StateRoot);

    impl TestRoot {
        pub(super) fn new() -> TestRoot {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name =
                format!("corten-state-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            TestRoot(StateRoot::open_or_create(&std::env::temp_dir().join(name)).expect("a root directory"))
        }
    }

    impl Drop for TestRoot {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.path);
        }
    }

    pub(super) fn id(text: &str) -> ContainerId {
        ContainerId::parse(text).expect("an id")
    }

    pub(super) fn record() -> Record {
        Record {
            oci_version: "1.3.0".into(),
            id: "c1".into(),
            init_process_pid: 0,
            init_process_start: 0,
            created: "2026-08-22T10:11:12.5Z".into(),
            systemd_unit: None,
            cgroup_paths: Default::default(),
            intel_rdt_path: None,
            intel_rdt_mon_path: None,
            intel_rdt_own: false,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            owner: 0,
            annotations: BTreeMap::from([("k".into(), "v".into())]),
            private_pid_namespace: true,
            namespaces: 0,
            poststart: Vec::new(),
            poststop: Vec::new(),
        }
    }
}
