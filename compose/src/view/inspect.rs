//! `inspect`: Docker's JSON, of what we know.

use std::time::Duration;

use serde_json::{Value, json};

use crate::apply::image::Image;
use crate::apply::keeper::DEFAULT_NETWORK;
use crate::net::endpoint::Endpoint;
use crate::observe::{self, Observed, State};
use crate::{keep, time};

/// The moment that means never.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// All about a container. `dir` is its directory, `image` the config of its image.
pub fn container(observed: &Observed, dir: &std::path::Path, image: Option<&Image>) -> Value {
    let record = observed.record.clone().unwrap_or_default();
    let service = &record.service;
    let config = image.map(|image| image.document.config.clone()).unwrap_or_default();
    let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let spec: Value =
        observed.container.spec.as_ref().and_then(|spec| spec.read_json().ok()).unwrap_or_default();
    let (program, arguments) = match record.command.split_first() {
        Some((program, arguments)) => (program.as_str(), arguments),
        None => ("", &[][..]),
    };
    json!({
        "Id": observed.id(),
        "Created": moment(Some(observe::moment(observed.container.created_at))),
        "Path": program,
        "Args": arguments,
        "State": state(observed),
        "Image": record.image_id,
        "ResolvConfPath": path("resolv.conf"),
        "HostnamePath": path("hostname"),
        "HostsPath": path("hosts"),
        "LogPath": keep::log_path(dir),
        "Name": format!("/{}", observed.name()),
        "RestartCount": observed.kept.restarts.count,
        "Driver": observed.container.snapshotter,
        "Platform": "linux",
        "HostConfig": host_config(observed),
        "Mounts": mounts(observed, &spec),
        "Config": {
            "Hostname": spec["hostname"],
            "Domainname": service.domainname.as_deref().unwrap_or_default(),
            "User": service.user.as_deref().unwrap_or(&config.user),
            "Tty": service.tty,
            "OpenStdin": service.stdin_open,
            "Env": spec["process"]["env"],
            "Cmd": service.command.as_ref().unwrap_or(&config.cmd),
            "Image": record.image,
            "WorkingDir": spec["process"]["cwd"],
            "Entrypoint": service.entrypoint.as_ref().unwrap_or(&config.entrypoint),
            "Labels": observed.container.labels,
            "StopSignal": record.stop_signal,
            "StopTimeout": record.stop_seconds(),
        },
        "NetworkSettings": network_settings(observed),
    })
}

fn state(observed: &Observed) -> Value {
    let state = observed.state;
    let pid = observed.task.as_ref().filter(|_| state.is_up()).map_or(0, |task| task.pid);
    let (code, ended) = match state {
        State::Exited { code, at } => (code, Some(at)),
        State::Restarting { code } => (code, None),
        State::Created => (observed.exit.as_ref().map_or(0, |exit| exit.code), None),
        _ => (0, None),
    };
    let error = observed.exit.as_ref().filter(|_| !state.is_up()).map_or("", |exit| exit.error.as_str());
    let mut about = json!({
        "Status": state.name(),
        "Running": state.is_up(),
        "Paused": state == State::Paused,
        "Restarting": matches!(state, State::Restarting { .. }),
        "OOMKilled": observed.exit.as_ref().is_some_and(|exit| exit.oom_killed),
        "Dead": false,
        "Pid": pid,
        "ExitCode": code,
        "Error": error,
        "StartedAt": moment(observed.started()),
        "FinishedAt": moment(ended),
    });
    if let Some(health) = &observed.kept.health {
        let results = health.results.iter().map(|result| {
            json!({
                "Start": moment(Some(observe::since_1970(result.start))),
                "End": moment(Some(observe::since_1970(result.end))),
                "ExitCode": result.exit_code,
                "Output": result.output,
            })
        });
        about["Health"] = json!({
            "Status": health.status,
            "FailingStreak": health.failing_streak,
            "Log": results.collect::<Vec<_>>(),
        });
    }
    about
}

fn host_config(observed: &Observed) -> Value {
    let record = observed.record.clone().unwrap_or_default();
    let service = record.service;
    let restart = service.restart_policy().to_string();
    let (policy, times) = restart.split_once(':').unwrap_or((&restart, "0"));
    json!({
        "NetworkMode": service.network_mode.as_deref().unwrap_or("bridge"),
        "RestartPolicy": { "Name": policy, "MaximumRetryCount": times.parse::<u32>().unwrap_or(0) },
        "AutoRemove": record.auto_remove,
        "Privileged": service.privileged,
        "ReadonlyRootfs": service.read_only,
        "CapAdd": service.cap_add,
        "CapDrop": service.cap_drop,
        "SecurityOpt": service.security_opt,
        "PidMode": service.pid.as_deref().unwrap_or_default(),
        "IpcMode": service.ipc.as_deref().unwrap_or("private"),
        "UTSMode": service.uts.as_deref().unwrap_or_default(),
        "Runtime": observed.container.runtime.as_ref().map(|runtime| &runtime.name),
        "Memory": service.mem_limit.map_or(0, |bytes| bytes.0),
        "MemorySwap": service.memswap_limit.map_or(0, |bytes| bytes.0),
        "NanoCpus": (service.cpus.unwrap_or_default() * 1e9) as i64,
        "PidsLimit": service.pids_limit,
        "Init": service.init,
        "ShmSize": service.shm_bytes(),
    })
}

/// What it has of each network, and beside it once more what it has of the default one.
fn network_settings(observed: &Observed) -> Value {
    let networks = observed.endpoints.iter().map(|endpoint| {
        let mut about = addresses(Some(endpoint));
        about["DNSNames"] = json!(endpoint.names);
        (endpoint.network.clone(), about)
    });
    let of_default = observed.endpoints.iter().find(|endpoint| endpoint.network == DEFAULT_NETWORK);
    let mut settings = addresses(of_default);
    settings["Networks"] = Value::Object(networks.collect());
    settings["Ports"] = ports(observed);
    settings
}

fn addresses(endpoint: Option<&Endpoint>) -> Value {
    let addresses = endpoint.map(|endpoint| endpoint.addresses.as_slice()).unwrap_or_default();
    let address = addresses.iter().find(|address| address.addr().is_ipv4());
    let v6 = addresses.iter().find(|address| address.addr().is_ipv6());
    let gateway = endpoint.and_then(|endpoint| endpoint.gateways.iter().find(|gateway| gateway.is_ipv4()));
    json!({
        "IPAddress": address.map(|address| address.addr().to_string()).unwrap_or_default(),
        "IPPrefixLen": address.map_or(0, |address| address.prefix_len()),
        "GlobalIPv6Address": v6.map(|address| address.addr().to_string()).unwrap_or_default(),
        "Gateway": gateway.map(ToString::to_string).unwrap_or_default(),
        "MacAddress": endpoint.and_then(|endpoint| endpoint.mac.as_deref()).unwrap_or_default(),
    })
}

/// By the container's ports, where each is on the host.
fn ports(observed: &Observed) -> Value {
    let mut ports = serde_json::Map::new();
    for port in observed.endpoints.iter().flat_map(|endpoint| &endpoint.ports) {
        let target = format!("{}/{}", port.container_port, port.protocol);
        let address = port.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
        let place = json!({ "HostIp": address, "HostPort": port.host_port.to_string() });
        if let Some(places) = ports.entry(target).or_insert_with(|| json!([])).as_array_mut() {
            places.push(place);
        }
    }
    Value::Object(ports)
}

/// Volumes and binds, by what the spec mounts.
fn mounts(observed: &Observed, spec: &Value) -> Vec<Value> {
    let record = observed.record.clone().unwrap_or_default();
    let mounts = spec["mounts"].as_array().cloned().unwrap_or_default().into_iter();
    let asked = mounts.filter_map(|mount| {
        let target = mount["destination"].as_str()?.to_owned();
        let volume = record.volumes.get(&target);
        let of_service = record.service.volumes.iter().any(|asked| asked.target == target);
        if mount["type"] != "bind" || (volume.is_none() && !of_service) {
            return None;
        }
        let writable = !mount["options"].as_array()?.iter().any(|option| option == "ro" || option == "rro");
        Some(json!({
            "Type": if volume.is_some() { "volume" } else { "bind" },
            "Name": volume.map_or("", String::as_str),
            "Source": mount["source"],
            "Destination": target,
            "Mode": "",
            "RW": writable,
            "Propagation": "rprivate",
        }))
    });
    asked.collect()
}

/// All about an image, whose further names are in `names`.
pub fn image(image: &Image, names: &[String]) -> Value {
    let tags: Vec<&String> = names.iter().filter(|name| !name.contains('@')).collect();
    let size = image.size();
    json!({
        "Id": image.id,
        "RepoTags": tags,
        "RepoDigests": names.iter().map(|name| format!("{}@{}", repository(name), image.target)).collect::<Vec<_>>(),
        "Parent": "",
        "Comment": image.document.history.last().map_or("", |step| step.comment.as_str()),
        "Created": image.document.created.as_deref().unwrap_or(NEVER),
        "DockerVersion": "",
        "Author": image.document.author.as_deref().unwrap_or_default(),
        "Architecture": image.document.architecture,
        "Os": image.document.os,
        "Size": size,
        "VirtualSize": size,
        "GraphDriver": { "Data": null, "Name": crate::apply::unpack::snapshotter() },
        "Config": config_of(image),
        "RootFS": { "Type": "layers", "Layers": image.document.rootfs.diff_ids },
        "Metadata": { "LastTagTime": NEVER },
    })
}

/// What an image doesn't say is null with Docker, or not there.
fn config_of(image: &Image) -> Value {
    const LEFT_OUT: [&str; 4] = ["ExposedPorts", "Healthcheck", "Shell", "StopSignal"];
    let mut config = json!(image.document.config);
    if let Some(fields) = config.as_object_mut() {
        let is_empty = |value: &Value| match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(items) => items.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        fields.retain(|name, value| !(LEFT_OUT.contains(&name.as_str()) && is_empty(value)));
        fields
            .values_mut()
            .filter(|value| !value.is_string() && is_empty(value))
            .for_each(|value| *value = Value::Null);
    }
    config
}

fn repository(name: &str) -> String {
    crate::reference::Reference::parse(name)
        .map_or_else(|_| name.to_owned(), |reference| reference.repository())
}

fn moment(at: Option<Duration>) -> String {
    at.map_or_else(|| NEVER.to_owned(), |at| time::rfc3339(at.as_secs() as i64, at.subsec_nanos()))
}
