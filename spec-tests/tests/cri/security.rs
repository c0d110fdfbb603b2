//! Who a container's process is, and what it may do and see.

use std::fs;

use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::{Outcome, Stop};

use crate::kubelet::{Container, Kubelet, scenario};
use crate::messages::*;

const STATUS: &str = "grep -E '^(Uid|Gid|Groups|Cap|NoNew|Seccomp:)' /proc/1/status; id";

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    [users(), rights(), files()].into_iter().flatten().collect()
}

fn users() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("root", |kubelet| with(kubelet, |_| ())?.shell(STATUS)?.ok().map(drop)),
        scenario("a_user_by_number", |kubelet| {
            let container = with(kubelet, |config| {
                config.linux.security.run_as_user = Some(Number { value: 1000 });
            })?;
            container.shell(STATUS)?.ok()?.shows("uid=1000(alice) gid=1000").map(drop)
        }),
        scenario("a_user_and_a_group_by_number", |kubelet| {
            let container = with(kubelet, |config| {
                config.linux.security.run_as_user = Some(Number { value: 1234 });
                config.linux.security.run_as_group = Some(Number { value: 2345 });
            })?;
            container.shell(STATUS)?.ok()?.shows("uid=1234 gid=2345").map(drop)
        }),
        scenario("a_user_by_name", |kubelet| {
            let container = with(kubelet, |config| config.linux.security.run_as_username = "alice".into())?;
            container.shell(STATUS)?.ok()?.shows("uid=1000(alice)").map(drop)
        }),
        scenario("supplemental_groups", |kubelet| {
            let container = with(kubelet, |config| {
                config.linux.security.supplemental_groups = vec![63, 5000];
                config.linux.security.run_as_user = Some(Number { value: 1000 });
            })?;
            container.shell(STATUS)?.ok()?.shows("5000").map(drop)
        }),
    ]
}

fn rights() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("privileged", |kubelet| {
            let mut config = kubelet.pod_config("pod")?;
            config.linux.security.privileged = true;
            let pod = kubelet.run(config)?;
            let mut config = pod.container("c", &["sleep", "1000"]);
            config.linux.security.privileged = true;
            let container = pod.start_with(config)?;
            container.shell(STATUS)?.ok()?;
            container
                .shell("mount -t tmpfs none /tmp && touch /sys/fs/cgroup && ls /dev | grep -c .")?
                .ok()?;
            container.shell("grep ' / /sys ' /proc/self/mountinfo | cut -d ' ' -f 6")?.ok().map(drop)
        }),
        scenario("capabilities", |kubelet| {
            let container = with(kubelet, |config| {
                config.linux.security.capabilities =
                    Some(Capabilities { add: vec!["NET_ADMIN".into()], drop: vec!["CHOWN".into()] });
            })?;
            container.shell(STATUS)?.ok()?;
            container.exec(&["ip", "link", "set", "lo", "mtu", "2000"])?.ok()?;
            container.exec(&["chown", "1:1", "/tmp"])?.exits(1).map(drop)
        }),
        scenario("no_capabilities", |kubelet| {
            let container = with(kubelet, |config| {
                config.linux.security.capabilities =
                    Some(Capabilities { add: Vec::new(), drop: vec!["ALL".into()] });
            })?;
            container.shell(STATUS)?.ok()?.shows("CapEff:\t0000000000000000").map(drop)
        }),
        scenario("no_new_privileges", |kubelet| {
            let container = with(kubelet, |config| config.linux.security.no_new_privs = true)?;
            container.shell(STATUS)?.ok()?.shows("NoNewPrivs:\t1").map(drop)
        }),
        scenario("the_default_seccomp_profile", |kubelet| {
            let container = with(kubelet, |config| {
                config.linux.security.seccomp = Some(profile(ProfileType::RuntimeDefault));
            })?;
            container.shell(STATUS)?.ok()?.shows("Seccomp:\t2")?;
            container.exec(&["unshare", "-U", "true"])?.exits(1).map(drop)
        }),
        scenario("no_seccomp_profile", |kubelet| {
            let container = with(kubelet, |config| {
                config.linux.security.seccomp = Some(profile(ProfileType::Unconfined));
            })?;
            container.shell(STATUS)?.ok()?.shows("Seccomp:\t0").map(drop)
        }),
    ]
}

fn files() -> Vec<Scenario<Containerd>> {
    vec![
        scenario("a_read_only_root", |kubelet| {
            let container = with(kubelet, |config| config.linux.security.readonly_rootfs = true)?;
            container.exec(&["touch", "/new"])?.exits(1)?.complains("Read-only file system").map(drop)
        }),
        scenario("mounts", |kubelet| {
            let dir = kubelet.dir("volume")?;
            fs::write(dir.join("file"), "text\n").map_err(Stop::failed)?;
            let volume = |path: &str, readonly| Mount {
                host_path: dir.display().to_string(),
                container_path: path.into(),
                readonly,
                ..Mount::default()
            };
            let container =
                with(kubelet, |config| config.mounts = vec![volume("/rw", false), volume("/a/ro", true)])?;
            container.exec(&["cat", "/a/ro/file"])?.ok()?.says("text\n")?;
            container.exec(&["touch", "/a/ro/new"])?.exits(1)?.complains("Read-only file system")?;
            container.exec(&["touch", "/rw/new"])?.ok()?;
            container.exec(&["ls", "/a/ro"])?.ok()?.says("file\nnew\n")?;
            // runc before 1.2 leaves a bind mount the attributes of its source, and /dev/shm is the pod's.
            let kinds = "grep -v -e overlay -e cgroup -e ' /dev/shm ' /proc/self/mountinfo | cut -d ' ' -f 5-6 | sort";
            container.shell(kinds)?.ok().map(drop)
        }),
        scenario("a_mount_that_sees_later_ones", |kubelet| {
            let dir = kubelet.dir("volume")?;
            let at = dir.display().to_string();
            kubelet
                .host(&format!("mount --bind {at} {at} && mount --make-shared {at} && mkdir {at}/sub"))?
                .ok()?;
            let mount = Mount {
                host_path: at.clone(),
                container_path: "/volume".into(),
                propagation: Propagation::HostToContainer.into(),
                ..Mount::default()
            };
            let container = with(kubelet, |config| config.mounts = vec![mount])?;
            kubelet.host(&format!("mount -t tmpfs none {at}/sub && touch {at}/sub/new"))?.ok()?;
            let seen = container.exec(&["ls", "/volume/sub"]);
            kubelet.host(&format!("umount {at}/sub && umount {at}"))?.ok()?;
            seen?.ok()?.says("new\n").map(drop)
        }),
        scenario("devices", |kubelet| {
            let device = Device {
                host_path: "/dev/loop-control".into(),
                container_path: "/dev/control".into(),
                permissions: "r".into(),
            };
            let container = with(kubelet, |config| config.devices = vec![device])?;
            container.exec(&["stat", "-c", "%F %t %T %a", "/dev/control"])?.ok()?;
            container.shell("exec 3< /dev/control")?.ok()?;
            container.shell("exec 3> /dev/control")?;
            container.shell("ls /dev")?.ok().map(drop)
        }),
        scenario("masked_and_read_only_paths", |kubelet| {
            let container = with(kubelet, |config| {
                config.linux.security.masked_paths = vec!["/proc/keys".into(), "/etc".into()];
                config.linux.security.readonly_paths = vec!["/proc/sys".into(), "/var".into()];
            })?;
            container.shell("ls /etc; cat /proc/keys")?.ok()?.says("")?;
            container.exec(&["touch", "/var/new"])?.exits(1)?.complains("Read-only file system").map(drop)
        }),
    ]
}

/// An idle container of a new pod, `changed`.
fn with<'a>(kubelet: &'a Kubelet<'a>, change: impl FnOnce(&mut ContainerConfig)) -> Outcome<Container<'a>> {
    let pod = kubelet.pod("pod")?;
    let mut config = pod.container("c", &["sleep", "1000"]);
    change(&mut config);
    pod.start_with(config)
}

fn profile(profile_type: ProfileType) -> SecurityProfile {
    SecurityProfile { profile_type: profile_type.into() }
}
