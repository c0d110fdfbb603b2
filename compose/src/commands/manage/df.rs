//! `system df`

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Ended, Session, print, prune};
use crate::apply::image::{self, Image};
use crate::apply::room::{self, Layers};
use crate::apply::volume;
use crate::error::Result;
use crate::observe::Observed;
use crate::process::child;
use crate::time;
use crate::view::table::{self, Column, bytes};
use crate::view::{self};

const COLUMNS: [Column; 5] = [
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];
const IMAGES: [Column; 8] = [
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("Containers", "CONTAINERS"),
];
const CONTAINERS: [Column; 8] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Size", "SIZE"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Names", "NAMES"),
];
const VOLUMES: [Column; 3] = [("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")];

/// All that takes room.
struct Room {
    /// Each once, though it may have several names.
    images: Vec<Image>,
    layers: Layers,
    /// Containers with the bytes that they have written.
    containers: Vec<(Observed, i64)>,
    /// Volumes with their bytes and how many containers use them.
    volumes: Vec<(String, i64, usize)>,
    /// The build cache: its bytes, and those that nobody needs.
    cache: (i64, i64),
}

pub async fn df(session: &Session, verbose: bool, format: Option<&str>) -> Ended {
    let room = measure(session).await?;
    if verbose && format.is_none() {
        print(&each(session, &room).await?)?;
    } else {
        print(&table::list(&summary(&room), &COLUMNS, &COLUMNS, format)?)?;
    }
    Ok(0)
}

async fn measure(session: &Session) -> Result<Room> {
    let Session { engine, disk } = session;
    let named = image::all(engine).await?;
    let by_id: BTreeMap<String, Image> = named.into_iter().map(|image| (image.id.clone(), image)).collect();
    let images: Vec<Image> = by_id.into_values().collect();
    let layers = Layers::of(engine, &images.iter().collect::<Vec<_>>()).await?;
    let mut containers = Vec::new();
    for one in session.containers().await? {
        let size = room::of_container(engine, &one.container).await;
        containers.push((one, size));
    }
    let users = volume::users(engine, disk).await?;
    let volumes = volume::all(disk)?.into_iter().map(|volume| {
        let size = i64::try_from(volume::size(disk, &volume.name)).unwrap_or_default();
        let links = users.get(&volume.name).map_or(0, Vec::len);
        (volume.name, size, links)
    });
    let volumes = volumes.collect();
    Ok(Room { images, layers, containers, volumes, cache: build_cache() })
}

fn summary(room: &Room) -> Vec<Value> {
    let unused = |image: &&Image| !is_used(room, image);
    let unique = |image: &Image| {
        let (whole, shared) = room.layers.of_image(image);
        whole - shared
    };
    let reclaimable = room.images.iter().filter(unused).map(unique).sum();
    let active = room.images.iter().filter(|image| is_used(room, image)).count();
    let written = |up: bool| {
        let counted = room.containers.iter().filter(move |(one, _)| one.state.is_listed() == up);
        (counted.clone().count(), counted.map(|(_, size)| size).sum::<i64>())
    };
    let ((running, running_bytes), (_, ended_bytes)) = (written(true), written(false));
    let linked = room.volumes.iter().filter(|(.., links)| *links > 0).count();
    let volume_bytes = |is_linked: bool| -> i64 {
        room.volumes.iter().filter(|(.., links)| (*links > 0) == is_linked).map(|(_, size, _)| size).sum()
    };
    let loose = volume_bytes(false);
    let (cache, cache_loose) = room.cache;
    vec![
        row("Images", room.images.len(), active, room.layers.bytes(), reclaimable),
        row("Containers", room.containers.len(), running, running_bytes + ended_bytes, ended_bytes),
        row("Local Volumes", room.volumes.len(), linked, volume_bytes(true) + loose, loose),
        json!({
            "Type": "Build Cache",
            "TotalCount": "0",
            "Active": "0",
            "Size": bytes(cache),
            "Reclaimable": bytes(cache_loose),
        }),
    ]
}

fn row(kind: &str, total: usize, active: usize, size: i64, reclaimable: i64) -> Value {
    let share = if size > 0 { format!(" ({}%)", reclaimable * 100 / size) } else { String::new() };
    json!({
        "Type": kind,
        "TotalCount": total.to_string(),
        "Active": active.to_string(),
        "Size": bytes(size),
        "Reclaimable": bytes(reclaimable) + &share,
    })
}

fn is_used(room: &Room, image: &Image) -> bool {
    room.containers.iter().any(|(one, _)| prune::uses(one, &image.id, &[image]))
}

/// `-v`
async fn each(session: &Session, room: &Room) -> Result<String> {
    let now = time::now();
    let mut images = Vec::new();
    // A row for each name, as in the list of images.
    for image in image::all(&session.engine).await? {
        let mut row = view::images::row(&image, now, false);
        let (whole, shared) = room.layers.of_image(&image);
        let users = room.containers.iter().filter(|(one, _)| prune::uses(one, &image.id, &[&image]));
        row["Size"] = json!(bytes(whole));
        row["SharedSize"] = json!(bytes(shared));
        row["UniqueSize"] = json!(bytes(whole - shared));
        row["Containers"] = json!(users.count().to_string());
        images.push(row);
    }
    let containers = room.containers.iter().map(|(one, size)| {
        let mut row = view::ps::row(one, now, false);
        row["Size"] = json!(bytes(*size));
        row
    });
    let containers: Vec<Value> = containers.collect();
    let volumes = room
        .volumes
        .iter()
        .map(|(name, size, links)| json!({ "Name": name, "Links": links.to_string(), "Size": bytes(*size) }));
    let volumes: Vec<Value> = volumes.collect();
    let table = |rows: &[Value], columns: &[Column]| table::list(rows, columns, columns, None);
    Ok(format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\n\
         Build cache usage: {}\n",
        table(&images, &IMAGES)?,
        table(&containers, &CONTAINERS)?,
        table(&volumes, &VOLUMES)?,
        bytes(room.cache.0),
    ))
}

/// What `buildctl du` says at its end. Without a builder there is no cache.
fn build_cache() -> (i64, i64) {
    let mut command = child::command("buildctl");
    let output = command.arg("du").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else { return (0, 0) };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (told(&said, "Total:"), told(&said, "Reclaimable:"))
}

/// The bytes behind a word at the beginning of a line: `Total: 1.2MB`.
fn told(text: &str, word: &str) -> i64 {
    const UNITS: [(&str, f64); 5] = [("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("B", 1.0)];
    let line = text.lines().rev().find_map(|line| line.trim().strip_prefix(word));
    let size = line.unwrap_or_default().trim();
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((size.strip_suffix(unit)?, factor)));
    unit.and_then(|(number, factor)| Some((number.trim().parse::<f64>().ok()? * factor) as i64))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_cache_is_as_large_as_its_builder_says() {
        let said = "ID\tRECLAIMABLE\tSIZE\nx\ttrue\t4.10kB\nReclaimable:\t4.10kB\nTotal:\t\t1.5MB\n";
        assert_eq!((told(said, "Total:"), told(said, "Reclaimable:")), (1_500_000, 4100));
        assert_eq!(told("nothing", "Total:"), 0);
    }

    #[test]
    fn a_share_is_told_of_what_takes_room() {
        assert_eq!(row("Images", 1, 0, 1000, 250)["Reclaimable"], "250B (25%)");
        assert_eq!(row("Images", 0, 0, 0, 0)["Reclaimable"], "0B");
    }
}
