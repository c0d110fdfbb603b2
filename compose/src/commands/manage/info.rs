//! `info`

use std::fs;

use nix::sys::utsname::uname;
use serde_json::{Value, json};

use super::{Ended, Session, print, say};
use crate::apply::{host, image, unpack};
use crate::engine::version::Version;
use crate::error::{Context, Result};
use crate::observe::State;
use crate::view::template::Template;

pub async fn info(session: &Session, format: Option<&str>) -> Ended {
    let about = about(session).await?;
    match format {
        Some("json") => say(about),
        Some(format) => print(&(Template::parse(format)?.render(&about)? + "\n"))?,
        None => print(&lines(&about))?,
    }
    Ok(0)
}

async fn about(session: &Session) -> Result<Value> {
    let containers = session.containers().await?;
    let count = |fits: fn(State) -> bool| containers.iter().filter(|one| fits(one.state)).count();
    let mut ids: Vec<String> = image::all(&session.engine).await?.into_iter().map(|image| image.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let version = session.engine.call(Version {}).await?.version;
    let this = host::look();
    let system = uname().at("uname")?;
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    Ok(json!({
        "Containers": containers.len(),
        "ContainersRunning": count(|state| state == State::Running),
        "ContainersPaused": count(|state| state == State::Paused),
        "ContainersStopped": count(|state| !state.is_up()),
        "Images": ids.len(),
        "Driver": unpack::snapshotter(),
        "LoggingDriver": "json-file",
        "CgroupDriver": if this.systemd { "systemd" } else { "cgroupfs" },
        "CgroupVersion": if this.unified_cgroups { "2" } else { "1" },
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "ipvlan", "macvlan", "null"],
            "Log": ["json-file", "local", "none"],
        },
        "KernelVersion": text(system.release()),
        "OperatingSystem": operating_system(),
        "OSType": "linux",
        "Architecture": text(system.machine()),
        "NCPU": std::thread::available_parallelism().map_or(1, usize::from),
        "MemTotal": memory(),
        "Name": text(system.nodename()),
        "DockerRootDir": "/var/lib/corten-compose",
        "ServerVersion": version,
        "Runtimes": host::runtimes().iter().map(|name| ((*name).to_owned(), json!({}))).collect::<serde_json::Map<_, _>>(),
        "DefaultRuntime": host::runtime(),
        "Containerd": { "Address": session.engine.address(), "Namespace": session.engine.namespace() },
        "ClientInfo": { "Version": env!("CARGO_PKG_VERSION") },
    }))
}

/// Docker's lines, as far as there is something to say.
fn lines(about: &Value) -> String {
    let plugins = |kind: &str| words(&about["Plugins"][kind]);
    let runtimes = about["Runtimes"].as_object().map(|all| all.keys().cloned().collect::<Vec<_>>().join(" "));
    let memory = about["MemTotal"].as_f64().unwrap_or_default() / f64::from(1 << 30);
    let mut text = format!("Client:\n Version:    {}\n\nServer:\n", word(&about["ClientInfo"]["Version"]));
    let mut line = |depth: usize, name: &str, value: &str| {
        text += &format!("{}{name}: {value}\n", " ".repeat(depth));
    };
    for (depth, name, key) in [
        (1, "Containers", "Containers"),
        (2, "Running", "ContainersRunning"),
        (2, "Paused", "ContainersPaused"),
        (2, "Stopped", "ContainersStopped"),
        (1, "Images", "Images"),
        (1, "Server Version", "ServerVersion"),
        (1, "Storage Driver", "Driver"),
        (1, "Logging Driver", "LoggingDriver"),
        (1, "Cgroup Driver", "CgroupDriver"),
        (1, "Cgroup Version", "CgroupVersion"),
    ] {
        line(depth, name, &word(&about[key]));
    }
    line(1, "Plugins", "");
    ["Volume", "Network", "Log"].iter().for_each(|kind| line(2, kind, &plugins(kind)));
    line(1, "Runtimes", &runtimes.unwrap_or_default());
    for (name, key) in [
        ("Default Runtime", "DefaultRuntime"),
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
    ] {
        line(1, name, &word(&about[key]));
    }
    line(1, "Total Memory", &format!("{memory:.3}GiB"));
    line(1, "Name", &word(&about["Name"]));
    line(1, "Docker Root Dir", &word(&about["DockerRootDir"]));
    line(1, "containerd", &word(&about["Containerd"]["Address"]));
    line(2, "Namespace", &word(&about["Containerd"]["Namespace"]));
    text.replace(": \n", ":\n")
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn words(value: &Value) -> String {
    value.as_array().into_iter().flatten().map(word).collect::<Vec<_>>().join(" ")
}

fn operating_system() -> String {
    let about = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = about.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

/// The host's memory in bytes.
fn memory() -> u64 {
    let about = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = about.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
