//! `inspect`: Docker's JSON, of what we know.

use std::time::Duration;

use serde_json::{Value, json};

use crate::apply::image::Image;
use crate::net::network::Network;
use crate::observe::{self, Observed, State};
use crate::{keep, time};

mod config;
mod host_config;
mod mounts;
mod networks;

/// The moment that means never.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// All about a container. `dir` is its directory, `image` the config of its image, `networks` those of the host.
pub fn container(
    observed: &Observed,
    dir: &std::path::Path,
    image: Option<&Image>,
    networks: &[Network],
) -> Value {
    let record = observed.record.clone().unwrap_or_default();
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
        "MountLabel": spec["linux"]["mountLabel"].as_str().unwrap_or_default(),
        "ProcessLabel": spec["process"]["selinuxLabel"].as_str().unwrap_or_default(),
        "AppArmorProfile": spec["process"]["apparmorProfile"].as_str().unwrap_or_default(),
        "ExecIDs": null,
        "HostConfig": host_config::host_config(observed, &spec),
        "GraphDriver": { "Data": null, "Name": observed.container.snapshotter },
        "Mounts": mounts::mounted(observed, &spec),
        "Config": config::config(observed, &record, &spec, &config),
        "NetworkSettings": networks::settings(observed, &record, &config, networks),
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
