//! The config.json files that real engines wrote: each starts, and its payload sees what the engine asked for.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use spec_tests::console::{FdSocket, Terminal};
use spec_tests::container::Container;

/// A bundle of an engine's config.json, its places on the host put where the test has them.
fn engine(name: &str, script: &str) -> Container {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/engine-configs").join(name);
    let mut config: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut container = Container::new(|_| {});
    config["root"]["path"] = "rootfs".into();
    config["linux"]["cgroupsPath"] = container.cgroups_path().into();
    config["process"]["args"] = json!(["/bin/sh", "-c", script]);
    // Raising a limit may be beyond this machine.
    config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}]);
    for mount in config["mounts"].as_array_mut().unwrap().iter_mut().filter(|mount| mount["type"] == "bind") {
        let source = container
            .dir
            .join("sources")
            .join(mount["destination"].as_str().unwrap().trim_start_matches('/'));
        fs::create_dir_all(source.parent().unwrap()).unwrap();
        match mount["destination"].as_str().unwrap() {
            "/d" | "/data" | "/dev/shm" => fs::create_dir_all(&source).unwrap(),
            "/sbin/docker-init" => fs::write(&source, "#!/bin/sh\nshift\nexec \"$@\"\n").unwrap(),
            _ => fs::write(&source, "127.0.0.1 localhost\n").unwrap(),
        }
        mount["source"] = source.to_str().unwrap().into();
    }
    container.bundle.config = config;
    container
}

#[test]
fn docker_default() {
    let container =
        engine("docker-28.5-run-default.json", "cat /etc/hosts; hostname; grep Seccomp: /proc/self/status");
    assert_eq!(container.run().output().ok(), "127.0.0.1 localhost\na6852bf54b61\nSeccomp:\t2");
}

#[test]
fn docker_mounts() {
    let container =
        engine("docker-28.5-run-mounts.json", "stat -c %a /t; touch /d/x 2>/dev/null || echo refused");
    assert_eq!(container.run().output().ok(), "1770\nrefused");
}

#[test]
fn docker_options() {
    let script = "touch /x 2>/dev/null || echo refused; cat /proc/sys/net/ipv4/ip_forward; ulimit -n
                  grep NoNewPrivs /proc/self/status; echo end";
    let container = engine("docker-28.5-run-options.json", script);
    let socket = FdSocket::listen(container.path("sock"));
    container.create_with(["--console-socket", socket.path.to_str().unwrap()]).output().ok();
    let mut terminal = Terminal::from_master(socket.receive().0);
    container.start().ok();
    let seen = terminal.read_until("end").replace('\r', "");
    assert_eq!(seen.trim(), "refused\n1\n512\nNoNewPrivs:\t1\nend");
}

#[test]
fn docker_privileged() {
    let mut container =
        engine("docker-28.5-run-privileged.json", "ls /dev | wc -l; mount -t tmpfs x /tmp && echo may");
    without_capabilities_beyond_ours(&mut container);
    let seen = container.run().output().ok();
    let (devices, may) = seen.split_once('\n').unwrap();
    assert!(devices.parse::<u32>().unwrap() > 40 && may == "may", "{seen}");
}

#[test]
fn docker_joined_namespaces() {
    let owner = Container::sleeping(|_| {});
    let mut container = engine(
        "docker-28.5-run-joined-namespaces.json",
        "for n in net pid ipc; do readlink /proc/self/ns/$n; done",
    );
    for namespace in container.bundle.config["linux"]["namespaces"].as_array_mut().unwrap() {
        if let Some(path) = namespace.get("path").and_then(Value::as_str) {
            let kind = Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
            namespace["path"] = format!("/proc/{}/ns/{kind}", owner.pid()).into();
        }
    }
    assert_eq!(
        container.run().output().ok(),
        owner.inside("for n in net pid ipc; do readlink /proc/self/ns/$n; done")
    );
}

#[test]
fn containerd_default() {
    let container =
        engine("containerd-2.1-ctr-default.json", "ls -d /run /dev/shm; grep NoNewPrivs /proc/self/status");
    assert_eq!(container.run().output().ok(), "/dev/shm\n/run\nNoNewPrivs:\t1");
}

#[test]
fn containerd_privileged() {
    let mut container =
        engine("containerd-2.1-ctr-privileged.json", "cat /etc/hosts; readlink /proc/self/ns/net");
    without_capabilities_beyond_ours(&mut container);
    let host = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(container.run().output().ok(), format!("127.0.0.1 localhost\n{}", host.display()));
}

#[test]
fn podman_default() {
    let owner = Container::sleeping(|_| {});
    let mut container =
        engine("podman-5.8-default.json", "echo $container; hostname; umask; cat /run/.containerenv");
    for namespace in container.bundle.config["linux"]["namespaces"].as_array_mut().unwrap() {
        if namespace["type"] == "network" {
            namespace["path"] = format!("/proc/{}/ns/net", owner.pid()).into();
        }
    }
    assert_eq!(container.run().output().ok(), "podman\na1133c1ad47e\n0022\n127.0.0.1 localhost");
}

#[test]
fn the_profile_of_docker_filters_system_calls() {
    let container =
        engine("docker-28.5-run-default.json", "unshare -m true 2>&1 | grep -c 'not permitted'; true");
    assert_eq!(container.run().output().ok(), "1");
}

/// A container can't hold what its runtime lacks: this machine may have given away some capability.
fn without_capabilities_beyond_ours(container: &mut Container) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    if u64::from_str_radix(mask, 16).unwrap() & (1 << 24) != 0 {
        return;
    }
    for set in container.bundle.config["process"]["capabilities"].as_object_mut().unwrap().values_mut() {
        set.as_array_mut().unwrap().retain(|name| name != "CAP_SYS_RESOURCE");
    }
}
