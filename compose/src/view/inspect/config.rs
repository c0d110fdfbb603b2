//! `Config`: what of a container goes with it to any host.

use serde_json::{Map, Value, json};

use crate::model::types::{Healthcheck, Port, Service};
use crate::model::values::{Duration, MountKind};
use crate::observe::Observed;
use crate::record::Record;
use crate::spec::image;

/// The config of a container, over the one of its image. `spec` is its spec.
pub fn config(observed: &Observed, record: &Record, spec: &Value, image: &image::Config) -> Value {
    let service = &record.service;
    let mut about = json!({
        "Hostname": hostname(spec),
        "Domainname": service.domainname.as_deref().unwrap_or_default(),
        "User": service.user.as_deref().unwrap_or(&image.user),
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "Tty": service.tty,
        "OpenStdin": service.stdin_open,
        "StdinOnce": false,
        "Env": spec["process"]["env"],
        "Cmd": command(service, image),
        "Image": record.image,
        "Volumes": Value::Null,
        "WorkingDir": spec["process"]["cwd"],
        "Entrypoint": list(service.entrypoint.as_ref().unwrap_or(&image.entrypoint)),
        "OnBuild": Value::Null,
        "Labels": observed.container.labels,
        "StopSignal": record.stop_signal,
        "StopTimeout": record.stop_seconds(),
    });
    let is_anonymous =
        |mount: &&crate::model::types::Mount| mount.kind == MountKind::Volume && mount.source.is_none();
    let volumes = service.volumes.iter().filter(is_anonymous).map(|mount| &mount.target);
    let volumes = set(volumes.chain(image.volumes.keys()).cloned());
    if !volumes.is_empty() {
        about["Volumes"] = Value::Object(volumes);
    }
    let exposed = exposed(service, image);
    if !exposed.is_empty() {
        about["ExposedPorts"] = Value::Object(exposed);
    }
    if let Some(check) = healthcheck(service.healthcheck.as_ref(), image.healthcheck.as_ref()) {
        about["Healthcheck"] = check;
    }
    about
}

/// Where the UTS namespace is the host's, only the environment tells of the name.
fn hostname(spec: &Value) -> &str {
    let mut variables = spec["process"]["env"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let of_variable = || variables.find_map(|variable| variable.strip_prefix("HOSTNAME="));
    spec["hostname"].as_str().or_else(of_variable).unwrap_or_default()
}

/// `PORT/PROTOCOL`
pub fn port(port: &Port) -> String {
    format!("{}/{}", port.target, port.protocol.as_deref().unwrap_or("tcp"))
}

/// The ports that the image, the service and what it publishes expose.
pub fn exposed(service: &Service, image: &image::Config) -> Map<String, Value> {
    let with_protocol = |port: &String| if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
    let asked = service.expose.iter().map(with_protocol).chain(service.ports.iter().map(port));
    set(asked.chain(image.exposed_ports.keys().map(with_protocol)))
}

/// A new entrypoint drops the image's command.
fn command(service: &Service, image: &image::Config) -> Value {
    match (&service.command, &service.entrypoint) {
        (Some(command), _) => list(command),
        (None, Some(_)) => Value::Null,
        (None, None) => list(&image.cmd),
    }
}

/// What isn't said of a check is the image's. A nought that nobody has said is left out.
fn healthcheck(asked: Option<&Healthcheck>, image: Option<&image::Healthcheck>) -> Option<Value> {
    if asked.is_none() && image.is_none() {
        return None;
    }
    let (asked, image) = (asked.cloned().unwrap_or_default(), image.cloned().unwrap_or_default());
    let nanos = |time: Option<Duration>, image: i64| {
        time.map_or(image, |time| i64::try_from(time.0.as_nanos()).unwrap_or(i64::MAX))
    };
    let test = match (asked.disable, asked.test.is_empty()) {
        (true, _) => vec!["NONE".to_owned()],
        (false, false) => asked.test,
        (false, true) => image.test,
    };
    let retries = asked.retries.map_or(image.retries, |retries| i64::try_from(retries).unwrap_or(i64::MAX));
    let times = [
        ("Interval", nanos(asked.interval, image.interval)),
        ("Timeout", nanos(asked.timeout, image.timeout)),
        ("StartPeriod", nanos(asked.start_period, image.start_period)),
        ("StartInterval", nanos(asked.start_interval, image.start_interval)),
        ("Retries", retries),
    ];
    let mut check = json!({ "Test": test });
    for (key, value) in times.into_iter().filter(|(_, value)| *value != 0) {
        check[key] = value.into();
    }
    Some(check)
}

/// An empty list of Docker's is null.
fn list(words: &[String]) -> Value {
    if words.is_empty() { Value::Null } else { json!(words) }
}

/// Docker's sets are mappings to nothing.
fn set(names: impl Iterator<Item = String>) -> Map<String, Value> {
    names.map(|name| (name, json!({}))).collect()
}
