//! `ps`: a row for each container.

use std::time::Duration;

use serde_json::{Value, json};

use super::table::{Column, shortened};
use crate::id;
use crate::keep::Status;
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

/// The headings of all fields.
pub const HEADINGS: [Column; 10] = [
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
];

const COMMAND_LENGTH: usize = 20;

/// The row of a container, `now` seconds after 1970.
pub fn row(observed: &Observed, now: Duration, no_trunc: bool) -> Value {
    let created = moment(observed.container.created_at);
    let record = observed.record.as_ref();
    let command = record.map(|record| record.command.join(" ")).unwrap_or_default();
    let command = if no_trunc { command } else { shortened(&command, COMMAND_LENGTH) };
    let volumes: Vec<String> =
        record.map(|record| record.volumes.values().cloned().collect()).unwrap_or_default();
    let labels = observed.container.labels.iter().map(|(name, value)| format!("{name}={value}"));
    let mut labels: Vec<String> = labels.collect();
    labels.sort_unstable();
    let mounts = volumes.iter().map(|name| if no_trunc { name.clone() } else { shortened(name, 15) });
    json!({
        "ID": if no_trunc { observed.id() } else { id::short(observed.id()) },
        "Image": image(observed),
        "Command": format!("{command:?}"),
        "CreatedAt": time::table(created.as_secs() as i64),
        "RunningFor": format!("{} ago", time::words(now.saturating_sub(created))),
        "Status": status(observed, now),
        "State": observed.state.name(),
        "Ports": ports(observed),
        "Names": observed.name(),
        "Labels": labels.join(","),
        "LocalVolumes": volumes.len().to_string(),
        "Mounts": mounts.collect::<Vec<_>>().join(","),
        "Networks": networks(observed),
        "Size": "0B",
    })
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

/// `0.0.0.0:8080->80/tcp`. A port of all addresses is one of both families.
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
    shown.collect::<Vec<_>>().join(", ")
}

fn networks(observed: &Observed) -> String {
    let Some(record) = &observed.record else { return String::new() };
    match &record.service.network_mode {
        Some(mode) => mode.clone(),
        None => record.service.networks.keys().cloned().collect::<Vec<_>>().join(","),
    }
}
