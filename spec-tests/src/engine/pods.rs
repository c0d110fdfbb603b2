//! What containerd needs to have pods: its CRI plugin's configuration, a network, and two images.

use std::fs;
use std::path::Path;

use super::containerd::Containerd;
use super::image::image_archive;
use super::process::run;
use super::role::Role;
use super::{Engine, Outcome, Stop};

/// The namespace in which the CRI plugin has everything.
pub const NAMESPACE: &str = "k8s.io";

/// The image that containers run.
pub const IMAGE: &str = "localhost/busybox:latest";

/// The image of the process that holds a pod's namespaces.
const PAUSE: &str = "localhost/pause:latest";

/// The first addresses of the pods' network.
const NETWORK: &str = "10.89.7.";

/// Version 2 is read by containerd 1.6 to 2.x. A pause container asks for an `oom_score_adj` that the test may lack the
/// capability for.
const CONFIG: &str = r#"
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
                    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "PAUSE"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "DIR/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.corten]
runtime_type = "io.containerd.corten.v2"
"#;

const CNI: &str = r#"{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [{
    "type": "bridge", "bridge": "pods0", "isGateway": true,
    "ipam": { "type": "host-local", "subnet": "NETWORK0/24", "dataDir": "/run/cni" }
  }]
}"#;

/// libcni remembers its results below `/var/lib`, which must not be the host's.
const OWN_VAR_LIB: &str = "
set -e
mkdir -p /run/var-lib/upper /run/var-lib/work
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/var-lib/upper,workdir=/run/var-lib/work overlay /var/lib
";

/// Makes what the daemon finds when it starts, and gives its configuration.
pub fn prepare(containerd: &Containerd) -> Outcome<String> {
    let cni = containerd.dir().join("cni");
    fs::create_dir_all(&cni).map_err(Stop::failed)?;
    fs::write(cni.join("pods.conflist"), CNI.replace("NETWORK", NETWORK)).map_err(Stop::failed)?;
    containerd.machine().shell(OWN_VAR_LIB)?.ok()?;
    Ok(CONFIG.replace("PAUSE", PAUSE).replace("DIR", &containerd.dir().display().to_string()))
}

/// Gives the running daemon its images, both of the archive `rootfs`.
pub fn import_images(containerd: &Containerd, rootfs: &Path) -> Outcome {
    for (name, command) in [(PAUSE, ["/bin/tail", "-f", "/dev/null"]), (IMAGE, ["/bin/sh", "-c", "true"])] {
        let archive = image_archive(rootfs, name, &command)?;
        let mut import = containerd.call(Role::Reference);
        run(import.args(["images", "import"]).arg(archive), None)?.ok()?;
    }
    Ok(())
}
