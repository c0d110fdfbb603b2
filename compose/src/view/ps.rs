//! `ps`: a row for each container.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::table::{Column, bytes, shortened};
use super::template::{LABELS, quoted};
use crate::id;
use crate::keep::Status;
use crate::model::values::MountKind;
use crate::observe::{Observed, State, moment};
use crate::reference::familiar;
use crate::time;

/// What a row of a table has, if nobody says otherwise.
pub const COLUMNS: [Column; 7] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
];

/// With `--size`.
pub const SIZE: Column = ("Size", "SIZE");

/// The headings of all fields.
pub const HEADINGS: [Column; 14] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("RunningFor", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("State", "STATE"),
    SIZE,
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("Networks", "NETWORKS"),
];

const COMMAND_LENGTH: usize = 20;

/// The row of a container, `now` seconds after 1970.
pub fn row(observed: &Observed, now: Duration, no_trunc: bool) -> Value {
    let created = moment(observed.container.created_at);
    let record = observed.record.as_ref();
    let command = record.map(|record| words(&record.command)).unwrap_or_default();
    let command = if no_trunc { command } else { shortened(&command, COMMAND_LENGTH) };
    let volumes: Vec<String> =
        record.map(|record| record.volumes.values().cloned().collect()).unwrap_or_default();
    let labels = observed.container.labels.iter().map(|(name, value)| format!("{name}={value}"));
    let mut labels: Vec<String> = labels.collect();
    labels.sort_unstable();
    let binds = record.into_iter().flat_map(|record| &record.service.volumes);
    let binds = binds.filter(|mount| mount.kind == MountKind::Bind).filter_map(|mount| mount.source.as_ref());
    let mounts =
        volumes.iter().chain(binds).map(|name| if no_trunc { name.clone() } else { shortened(name, 15) });
    json!({
        "ID": if no_trunc { observed.id() } else { id::short(observed.id()) },
        "Image": image(observed),
        "Command": quoted(&command),
        "CreatedAt": time::table(created.as_secs() as i64),
        "RunningFor": format!("{} ago", time::words(now.saturating_sub(created))),
        "Status": status(observed, now),
        "State": observed.state.name(),
        "Ports": ports(observed),
        "Names": observed.name(),
        "Labels": labels.join(","),
        LABELS: observed.container.labels,
        "LocalVolumes": volumes.len().to_string(),
        "Mounts": mounts.collect::<Vec<_>>().join(","),
        "Networks": networks(observed),
        "Size": "0B",
    })
}

/// A command line as Docker shows it: a word with a space in it is in quotes, but for the program.
fn words(command: &[String]) -> String {
    let is_quoted = |at: usize, word: &str| at > 0 && word.contains(' ');
    let word = |(at, word): (usize, &String)| {
        if is_quoted(at, word) { format!("'{word}'") } else { word.clone() }
    };
    command.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// What a container has written, and with its image: `0B (virtual 4.2MB)`. Both are in bytes.
pub fn size(own: i64, whole: i64) -> String {
    match whole {
        0 => bytes(own),
        whole => format!("{} (virtual {})", bytes(own), bytes(whole)),
    }
}

/// The image as it was typed.
pub fn image(observed: &Observed) -> String {
    let typed = observed.record.as_ref().map(|record| record.image.clone());
    typed.unwrap_or_else(|| familiar(&observed.container.image))
}

/// `Up 2 minutes (healthy)`, `Exited (0) 3 seconds ago`.
pub fn status(observed: &Observed, now: Duration) -> String {
    let ago = |moment: Duration| time::words(now.saturating_sub(moment));
    let up = || format!("Up {}", ago(observed.started().unwrap_or(now)));
    match observed.state {
        State::Created => "Created".to_owned(),
        State::Running => format!("{}{}", up(), health(observed)),
        State::Paused => format!("{} (Paused)", up()),
        State::Restarting { code } => {
            let ended = observed.exit.as_ref().and_then(|exit| exit.ended.elapsed().ok()).unwrap_or_default();
            format!("Restarting ({code}) {} ago", time::words(ended))
        }
        State::Exited { code, at } => format!("Exited ({code}) {} ago", ago(at)),
    }
}

/// What the keeper has found out.
fn health(observed: &Observed) -> &'static str {
    match observed.kept.health.as_ref().map(|health| health.status) {
        None => "",
        Some(_) if observed.kept.keeper.is_none_or(|keeper| !keeper.is_alive()) => {
            " (health unknown: keeper gone)"
        }
        Some(Status::Starting) => " (health: starting)",
        Some(Status::Healthy) => " (healthy)",
        Some(Status::Unhealthy) => " (unhealthy)",
    }
}

/// `3306/tcp, 0.0.0.0:8080->80/tcp`. A port of all addresses is one of both families.
fn ports(observed: &Observed) -> String {
    let ports = observed.endpoints.iter().flat_map(|endpoint| &endpoint.ports);
    let shown = ports.flat_map(|port| {
        let addresses = port.host_ip.map_or_else(
            || vec!["0.0.0.0".to_owned(), "[::]".to_owned()],
            |ip| vec![if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }],
        );
        let target = format!("{}->{}/{}", port.host_port, port.container_port, port.protocol);
        addresses.into_iter().map(move |address| format!("{address}:{target}"))
    });
    exposed(observed).into_iter().chain(shown).collect::<Vec<_>>().join(", ")
}

/// The ports that others reach and nobody publishes, of a container that is up and has networks of its own.
fn exposed(observed: &Observed) -> Vec<String> {
    let Some(record) = observed.record.as_ref().filter(|_| observed.state.is_up()) else { return Vec::new() };
    if !matches!(record.service.network_mode.as_deref(), None | Some("bridge" | "default")) {
        return Vec::new();
    }
    let published = observed.endpoints.iter().flat_map(|endpoint| &endpoint.ports);
    let published: BTreeSet<(String, u16)> =
        published.map(|port| (port.protocol.to_string(), port.container_port)).collect();
    let asked = record.service.expose.iter().chain(&record.exposed).flat_map(|text| {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let range = first.parse::<u16>().ok().zip(last.parse().ok());
        range
            .into_iter()
            .flat_map(|(first, last)| first..=last)
            .map(move |port| (protocol.to_ascii_lowercase(), port))
    });
    grouped(asked.filter(|port| !published.contains(port)).collect())
}

/// Neighbours of one protocol as a range: `80-82/tcp`.
fn grouped(ports: BTreeSet<(String, u16)>) -> Vec<String> {
    let mut ranges: Vec<(String, u16, u16)> = Vec::new();
    for (protocol, port) in ports {
        match ranges.last_mut() {
            Some((same, _, last)) if *same == protocol && last.checked_add(1) == Some(port) => *last = port,
            _ => ranges.push((protocol, port, port)),
        }
    }
    ranges.sort_by_key(|(_, first, _)| *first);
    let shown = ranges.into_iter().map(|(protocol, first, last)| {
        if first == last { format!("{first}/{protocol}") } else { format!("{first}-{last}/{protocol}") }
    });
    shown.collect()
}

fn networks(observed: &Observed) -> String {
    let Some(record) = &observed.record else { return String::new() };
    match &record.service.network_mode {
        Some(mode) => mode.clone(),
        None => record.service.networks.keys().cloned().collect::<Vec<_>>().join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_as_docker_quotes_them() {
        for (command, shown) in [
            (&["sh", "-c", "echo hi"][..], r#""sh -c 'echo hi'""#),
            (&["my prog"], r#""my prog""#),
            (&["sh", "-c", "a\tb\x1b \"c\" \\ é…"], r#""sh -c 'a\tb\x1b \"c\" \\ é…'""#),
            (&["echo", "it's", ""], r#""echo it's ""#),
        ] {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(quoted(&words(&command)), shown);
        }
    }

    #[test]
    fn neighbouring_ports_are_a_range() {
        let ports = [("tcp", 82), ("udp", 53), ("tcp", 80), ("tcp", 81), ("tcp", 443), ("tcp", u16::MAX)];
        let ports = ports.into_iter().map(|(protocol, port)| (protocol.to_owned(), port)).collect();
        assert_eq!(grouped(ports), ["53/udp", "80-82/tcp", "443/tcp", "65535/tcp"]);
    }

    #[test]
    fn sizes_are_those_of_the_container_and_of_all() {
        assert_eq!(size(0, 4_200_000), "0B (virtual 4.2MB)");
        assert_eq!(size(5, 0), "5B");
    }
}
