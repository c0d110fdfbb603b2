//! What `inspect` says of containers, in the words of Docker's API, with each runtime.

use serde_json::{Value, json};

use crate::docker::{Docker, nothing_is_left, with_each_runtime};
use crate::host::sh;
use crate::project::Project;

fn inspected(docker: &Docker, name: &str) -> Value {
    let about: Value = serde_json::from_str(&docker.ok(&["inspect", name])).expect("JSON");
    about[0].clone()
}

/// Each path of a value with what is there.
fn has(about: &Value, table: &[(&str, Value)]) {
    for (path, wanted) in table {
        assert_eq!(about.pointer(path), Some(wanted), "{path}: {about:#}");
    }
}

/// What the first test asks of the host.
fn is_as_asked_of_the_host(about: &Value) {
    has(
        &about["HostConfig"],
        &[
            ("/NetworkMode", json!("front")),
            ("/Memory", json!(64 << 20)),
            ("/MemorySwap", json!(128 << 20)),
            ("/NanoCpus", json!(500_000_000)),
            ("/PidsLimit", json!(50)),
            ("/LogConfig", json!({"Type": "json-file", "Config": {"max-size": "1m"}})),
            ("/Binds", json!(["vol:/data:ro", "/run/source:/host"])),
            ("/PortBindings", json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]})),
            ("/ExtraHosts", json!(["db:10.1.1.1"])),
            ("/Dns", json!(["10.1.1.2"])),
            ("/DnsSearch", json!(["a.b"])),
            ("/DnsOptions", json!(["ndots:1"])),
            ("/Ulimits", json!([{"Name": "nofile", "Soft": 64, "Hard": 128}])),
            (
                "/Devices/0",
                json!({"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing",
                "CgroupPermissions": "r"}),
            ),
            ("/Tmpfs", json!({"/scratch": "size=1m"})),
            (
                "/Mounts",
                json!([{"Type": "tmpfs", "Target": "/mem", "TmpfsOptions": {"SizeBytes": 1_048_576}}]),
            ),
            ("/Sysctls", json!({"net.ipv4.ip_forward": "1"})),
            ("/BlkioWeight", json!(0)),
            ("/BlkioDeviceReadBps", json!([])),
            ("/CapAdd", json!(["NET_ADMIN"])),
            ("/CapDrop", Value::Null),
            ("/GroupAdd", Value::Null),
            ("/ReadonlyPaths/0", json!("/proc/bus")),
        ],
    );
    let cgroups =
        ["private", "host"].contains(&about["HostConfig"]["CgroupnsMode"].as_str().expect("a mode"));
    assert!(cgroups);
}

/// What it asks of the container, in the network of this id.
fn is_as_asked_of_the_container(about: &Value, network: &str) {
    has(
        &about["Config"],
        &[
            ("/ExposedPorts", json!({"80/tcp": {}, "90/udp": {}})),
            ("/Healthcheck", json!({"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_i64})),
            ("/Volumes", json!({"/data": {}})),
            ("/OnBuild", Value::Null),
        ],
    );
    has(
        about,
        &[
            ("/GraphDriver", json!({"Name": "overlayfs", "Data": null})),
            ("/ProcessLabel", json!("")),
            ("/ExecIDs", Value::Null),
            (
                "/NetworkSettings/Ports",
                json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
                "90/udp": null}),
            ),
            ("/NetworkSettings/Networks/front/NetworkID", json!(network)),
            ("/NetworkSettings/Networks/front/EndpointID", about["Id"].clone()),
            ("/NetworkSettings/Networks/front/Aliases", json!(["w1"])),
            ("/NetworkSettings/Networks/front/DNSNames/0", json!("web")),
        ],
    );
}

#[test]
fn a_container_is_all_that_it_was_asked_to_be() {
    with_each_runtime(|docker| {
        sh("mkdir -p /run/source");
        docker.ok(&["network", "create", "--subnet", "10.9.0.0/24", "front"]);
        let words = "run -d --name web --network front --network-alias w1 -m 64m --cpus 0.5 --pids-limit 50 \
            -v vol:/data:ro -v /run/source:/host --mount type=tmpfs,dst=/mem,tmpfs-size=1048576 --tmpfs /scratch:size=1m \
            -p 127.0.0.1:8080:80 --expose 90/udp --add-host db:10.1.1.1 --dns 10.1.1.2 --dns-search a.b \
            --dns-option ndots:1 --ulimit nofile=64:128 --device /dev/null:/dev/nothing:r \
            --sysctl net.ipv4.ip_forward=1 --log-opt max-size=1m --health-cmd true --health-interval 5s \
            --cap-add NET_ADMIN box sleep 1000";
        docker.ok(&words.split_whitespace().collect::<Vec<_>>());
        let about = inspected(docker, "web");
        let network = docker.ok(&["network", "inspect", "-f", "{{.Id}}", "front"]);
        is_as_asked_of_the_host(&about);
        is_as_asked_of_the_container(&about, network.trim());
        let mounts = "{{range .Mounts}}{{.Type}}:{{.Destination}}:{{.Driver}}:{{.Mode}}:{{.RW}}:{{.Propagation}} {{end}}";
        let mounts = docker.ok(&["inspect", "-f", mounts, "web"]);
        let mut mounts: Vec<&str> = mounts.split_whitespace().collect();
        mounts.sort_unstable();
        let wanted = ["bind:/host:::true:rprivate", "tmpfs:/mem:::true:", "volume:/data:local:ro:false:"];
        assert_eq!(mounts, wanted);
        assert_eq!(
            docker.ok(&["ps", "--format", "{{.Mounts}} {{.Label \"maintainer\"}}"]),
            "vol,/run/source nobody\n"
        );
        docker.ok(&["rm", "-f", "-v", "web"]);
        docker.ok(&["network", "rm", "front"]);
        docker.ok(&["volume", "rm", "vol"]);
        nothing_is_left();
    });
}

#[test]
fn a_service_is_all_that_its_project_says() {
    with_each_runtime(|docker| {
        let project = Project::new(
            docker,
            "
services:
  web:
    <<: {COMMON}
    command: sleep 1000
    volumes: [state:/state]
    deploy: {resources: {limits: {memory: 32m, cpus: '0.25', pids: 20}}}
volumes: {state: }
",
        );
        project.ok(&["up", "-d"]);
        let about = inspected(docker, "shop-web-1");
        has(
            &about["HostConfig"],
            &[
                ("/NetworkMode", json!("shop_default")),
                ("/Memory", json!(32 << 20)),
                ("/MemorySwap", json!(64 << 20)),
                ("/NanoCpus", json!(250_000_000)),
                ("/PidsLimit", json!(20)),
                ("/Binds", json!(["shop_state:/state:rw"])),
            ],
        );
        has(&about["NetworkSettings"], &[("/Networks/shop_default/Aliases", json!(["shop-web-1", "web"]))]);
        project.ok(&["stop", "-t", "0"]);
        let addresses = "{{range $name, $of := .NetworkSettings.Networks}}{{$name}}={{$of.IPAddress}}{{end}}";
        assert_eq!(docker.ok(&["inspect", "-f", addresses, "shop-web-1"]), "shop_default=\n");
        project.is_gone();
    });
}
