//! `volume …`

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Ended, Session, each, print, say};
use crate::apply::volume::{self, Volume};
use crate::cli::manage::{List, NewVolume};
use crate::commands::filters::{check, has_label, is_named, is_refused, passes, shown, truth};
use crate::commands::inspect::tell;
use crate::error::{Error, Kind, Result, absent_is_fine};
use crate::id;
use crate::view::table::{self, Column};

const COLUMNS: [Column; 2] = [("Driver", "DRIVER"), ("Name", "VOLUME NAME")];
/// The headings of all fields.
const HEADINGS: [Column; 5] = [
    ("Driver", "DRIVER"),
    ("Name", "VOLUME NAME"),
    ("Scope", "SCOPE"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Availability", "AVAILABILITY"),
];
/// Docker's label of a volume whose name nobody chose.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

pub fn create(session: &Session, new: NewVolume) -> Ended {
    let anonymous = new.name.is_none();
    let name = new.name.map_or_else(id::random, Ok)?;
    let labels = new.labels.into_iter().collect();
    let options = new.options.into_iter().collect();
    let volume =
        Volume { name: name.clone(), driver: new.driver, labels, options, anonymous, ..Volume::default() };
    volume::ensure(&session.disk, &volume)?;
    say(name);
    Ok(0)
}

pub async fn list(session: &Session, list: &List) -> Ended {
    check(&list.filters, &["dangling", "driver", "label", "name"])?;
    let users = volume::users(&session.engine, &session.disk).await?;
    let mut rows = Vec::new();
    for volume in volume::all(&session.disk)? {
        let is_used = users.contains_key(&volume.name);
        if passes(&list.filters, |key, value| fits(&volume, is_used, key, value))? {
            rows.push(row(session, &volume));
        }
    }
    if list.quiet {
        rows.iter().for_each(|row| say(row["Name"].as_str().unwrap_or_default()));
        return Ok(0);
    }
    print(&table::list(&rows, &COLUMNS, &HEADINGS, list.format.as_deref())?)?;
    Ok(0)
}

fn row(session: &Session, volume: &Volume) -> Value {
    json!({
        "Name": volume.name,
        "Driver": driver(volume),
        "Scope": "local",
        "Mountpoint": volume::data(&session.disk, &volume.name),
        "Labels": shown(&labels(volume)),
        "Links": "N/A",
        "Size": "N/A",
        "Status": "N/A",
        "Availability": "N/A",
        "Group": "N/A",
    })
}

fn driver(volume: &Volume) -> &str {
    if volume.driver.is_empty() { "local" } else { &volume.driver }
}

fn labels(volume: &Volume) -> BTreeMap<String, String> {
    let anonymous = volume.anonymous.then(|| (ANONYMOUS.to_owned(), String::new()));
    volume.labels.clone().into_iter().chain(anonymous).collect()
}

fn fits(volume: &Volume, is_used: bool, key: &str, value: &str) -> Result<bool> {
    Ok(match key {
        "dangling" => truth(key, value)? != is_used,
        "driver" => driver(volume) == value,
        "label" => has_label(labels(volume).iter(), value),
        "name" => is_named(&volume.name, value),
        _ => return Err(is_refused(key)),
    })
}

pub fn inspect(session: &Session, names: &[String], format: Option<&str>) -> Ended {
    tell(names.iter().map(|name| about(session, name)), format)
}

/// All about a volume.
///
/// Errors: NotFound.
pub fn about(session: &Session, name: &str) -> Result<Value> {
    // What can't be a name is none.
    let found = volume::find(&session.disk, name).ok().flatten();
    let volume =
        found.ok_or_else(|| Error::of_kind(Kind::NotFound, format!("get {name}: no such volume")))?;
    let options = Some(&volume.options).filter(|options| !options.is_empty());
    let labels = Some(labels(&volume)).filter(|labels| !labels.is_empty());
    Ok(json!({
        "CreatedAt": volume.created,
        "Driver": driver(&volume),
        "Labels": labels,
        "Mountpoint": volume::data(&session.disk, &volume.name),
        "Name": volume.name,
        "Options": options,
        "Scope": "local",
    }))
}

pub async fn remove(session: &Session, names: &[String], force: bool) -> Ended {
    each(names, async |name| {
        let removed = volume::remove_unused(&session.engine, &session.disk, name).await;
        if force { absent_is_fine(removed) } else { removed }
    })
    .await
}
