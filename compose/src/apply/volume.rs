//! Volumes: directories on disk, filled from the image when they are new.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use super::mounted;
use super::sweep::Used;
use crate::disk::{self, Disk};
use crate::engine::Engine;
use crate::engine::types::Mount as Layer;
use crate::error::{Context, Error, Kind, Result};
use crate::model::types as model;
use crate::process::child;
use crate::record::Record;
use crate::{id, time};

/// What a volume's directory has beside the data.
const RECORD: &str = "volume.json";
const DATA: &str = "_data";
/// What is on the way into a new volume: not yet whole, and whole.
const UNFINISHED: &str = "_data.unfinished";
const COPIED: &str = "_data.copied";
/// Held by who fills the volume.
const LOCK: &str = ".lock";

/// The driver of all volumes.
const LOCAL: &str = "local";

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    pub name: String,
    pub driver: String,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub created: String,
    /// Whether it goes with its container.
    pub anonymous: bool,
}

impl Volume {
    /// A volume of a project.
    pub fn of(definition: &model::Volume) -> Volume {
        Volume {
            name: definition.name.clone(),
            driver: definition.driver.clone().filter(|driver| !driver.is_empty()).unwrap_or(LOCAL.to_owned()),
            options: definition.driver_opts.clone(),
            labels: definition.labels.clone().into_iter().collect(),
            ..Volume::default()
        }
    }
}

/// A volume's directory of data.
pub fn data(disk: &Disk, name: &str) -> PathBuf {
    disk.volumes().join(name).join(DATA)
}

/// What is mounted: the volume's data, or the directory of the host that its options bind.
///
/// Errors: options that can't be done, a directory that isn't there.
pub fn source(disk: &Disk, name: &str) -> Result<PathBuf> {
    let volume = find(disk, name)?.unwrap_or_default();
    match bound(&volume.options).at(format_args!("volume {name}"))? {
        None => Ok(data(disk, name)),
        Some(dir) if dir.is_dir() => Ok(dir),
        Some(dir) => {
            Err(Error::new(format!("failed to mount local volume: {}: no such directory", dir.display())))
        }
    }
}

/// The directory that a volume's options bind: `type=none`, `o=bind`, `device=/DIR`.
///
/// Errors: options that can't be done.
fn bound(options: &BTreeMap<String, String>) -> Result<Option<PathBuf>> {
    if options.is_empty() {
        return Ok(None);
    }
    for (key, value) in options {
        let is_done = match key.as_str() {
            "type" => ["none", "bind"].contains(&value.as_str()),
            "o" => ["bind", "rbind"].contains(&value.as_str()),
            "device" => value.starts_with('/'),
            _ => false,
        };
        if !is_done {
            let how = "only a directory can be bound: type=none, o=bind, device=/DIR";
            return Err(Error::new(format!("option {key}={value} can't be done here: {how}")));
        }
    }
    match (options.get("o"), options.get("device")) {
        (Some(_), Some(device)) => Ok(Some(PathBuf::from(device))),
        _ => Err(Error::new("options o and device: both or none")),
    }
}

/// Whether there can be such a volume here.
///
/// Errors: in Docker's words, a driver that isn't `local`, options that can't be done.
pub fn check_kind(Volume { name, driver, options, .. }: &Volume) -> Result<()> {
    if !["", LOCAL].contains(&driver.as_str()) {
        return Err(Error::new(format!(
            "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
        )));
    }
    bound(options).at(format_args!("volume {name}")).map(drop)
}

/// The volume of that name, if it is there.
pub fn find(disk: &Disk, name: &str) -> Result<Option<Volume>> {
    check(name)?;
    disk::read_json(&disk.volumes().join(name).join(RECORD))
}

/// Makes a volume, if there is none of that name. The record is written last: a volume without one is half made.
pub fn ensure(disk: &Disk, wanted: &Volume) -> Result<()> {
    check_kind(wanted)?;
    let lock = disk.lock("volumes")?;
    if find(disk, &wanted.name)?.is_none() {
        disk::make_dir(&disk.volumes().join(&wanted.name))?;
        // Whoever the container's processes are, they may list it, as with Docker. It is writable for root.
        disk::make_public_dir(&data(disk, &wanted.name))?;
        let record = Volume { created: time::rfc3339(time::now().as_secs() as i64, 0), ..wanted.clone() };
        disk::write_json(&disk.volumes().join(&wanted.name).join(RECORD), &record)?;
    }
    drop(lock);
    Ok(())
}

/// Makes a volume of a name that nobody has.
pub fn ensure_anonymous(disk: &Disk, wanted: Volume) -> Result<String> {
    let name = id::random()?;
    let volume = Volume { name: name.clone(), anonymous: true, ..wanted };
    ensure(disk, &volume).map(|()| name)
}

/// All volumes, by name. One without a record is half made.
pub fn all(disk: &Disk) -> Result<Vec<Volume>> {
    let mut volumes = Vec::new();
    for path in disk::list(&disk.volumes())? {
        volumes.extend(disk::read_json(&path.join(RECORD))?);
    }
    Ok(volumes)
}

/// The containers of each volume that has any. Read under the lock of volumes, it is true for as long as that is held:
/// whoever makes a container says so before it looks for its volumes.
pub async fn users(engine: &Engine, disk: &Disk) -> Result<BTreeMap<String, Vec<String>>> {
    let mut users = BTreeMap::<String, Vec<String>>::new();
    // Before the records: whoever has come to register meanwhile is found there.
    for name in Used::by_makers(disk)?.volumes {
        users.entry(name).or_default();
    }
    for container in engine.containers().await? {
        let record = Record::of(&container).ok().flatten().unwrap_or_default();
        for name in record.volumes.into_values().chain(record.anonymous_volumes) {
            let users = users.entry(name).or_default();
            if !users.contains(&container.id) {
                users.push(container.id.clone());
            }
        }
    }
    Ok(users)
}

/// Removes a volume that no container uses.
///
/// Errors: NotFound and WrongState, in Docker's words.
pub async fn remove_unused(engine: &Engine, disk: &Disk, name: &str) -> Result<()> {
    let lock = locked(disk).await?;
    if find(disk, name).ok().flatten().is_none() {
        return Err(Error::of_kind(Kind::NotFound, format!("get {name}: no such volume")));
    }
    if let Some(users) = users(engine, disk).await?.get(name) {
        let line = format!("remove {name}: volume is in use - [{}]", users.join(", "));
        return Err(Error::of_kind(Kind::WrongState, line));
    }
    disk::remove_dir(&disk.volumes().join(name))?;
    drop(lock);
    Ok(())
}

/// Waits for the lock of volumes.
async fn locked(disk: &Disk) -> Result<impl Drop + use<>> {
    let disk = disk.clone();
    let locked = tokio::task::spawn_blocking(move || disk.lock("volumes")).await;
    locked.map_err(|err| Error::new(err.to_string())).at("the lock of volumes")?
}

/// The bytes of a volume's files. What goes meanwhile has none.
pub fn size(disk: &Disk, name: &str) -> u64 {
    let mut seen = BTreeSet::new();
    let mut dirs = vec![data(disk, name)];
    let mut size = 0;
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(about) if about.is_dir() => dirs.push(entry.path()),
                // A file with several names is there once.
                Ok(about) if seen.insert((about.dev(), about.ino())) => size += about.len(),
                _ => {}
            }
        }
    }
    size
}

/// Removes a volume with its data.
///
/// Errors: NotFound.
pub fn remove(disk: &Disk, name: &str) -> Result<()> {
    let lock = disk.lock("volumes")?;
    if find(disk, name)?.is_none() {
        return Err(Error::of_kind(Kind::NotFound, format!("{name}: no such volume")));
    }
    disk::remove_dir(&disk.volumes().join(name))?;
    drop(lock);
    Ok(())
}

/// Fills an empty volume with what the image has at `target`, with owners and permissions. A directory of the host is
/// left as it is.
pub async fn copy_up(disk: &Disk, name: &str, target: &str, layers: Vec<Layer>, at: &Path) -> Result<()> {
    let data = data(disk, name);
    if source(disk, name)? != data {
        return Ok(());
    }
    if !is_empty(&data)? && !data.with_file_name(COPIED).exists() {
        return Ok(());
    }
    let target = target.trim_start_matches('/').to_owned();
    let place = target.clone();
    mounted::look(layers, at, move |tree| {
        // Several containers may be made with the volume at once.
        let _lock = disk::lock_at(&data.with_file_name(LOCK))?;
        move_in(&data)?;
        match tree.directory(&place)? {
            Some(dir) if is_empty(&data)? => copy(dir.as_raw_fd(), &data),
            _ => Ok(()),
        }
    })
    .await
    .at(format_args!("volume {name}: /{target}"))
}

fn is_empty(dir: &Path) -> Result<bool> {
    Ok(fs::read_dir(dir).at(dir.display())?.next().is_none())
}

/// Copies a directory beside its place, and moves in what it has: a copy that is cut short is none.
fn copy(dir: i32, data: &Path) -> Result<()> {
    let unfinished = data.with_file_name(UNFINISHED);
    disk::remove_dir(&unfinished)?;
    disk::make_dir(&unfinished)?;
    // `cp` is a child of this thread, in whose mount namespace the tree is.
    let source = format!("/proc/{}/fd/{dir}/.", std::process::id());
    let done =
        child::command("cp").arg("-a").arg(source).arg(&unfinished).stdin(Stdio::null()).output().at("cp")?;
    if !done.status.success() {
        disk::remove_dir(&unfinished)?;
        return Err(Error::new(String::from_utf8_lossy(&done.stderr).trim().replace('\n', "; ")));
    }
    fs::rename(&unfinished, data.with_file_name(COPIED)).at(data.display())?;
    move_in(data)
}

/// Moves what was copied into the volume's directory, which itself stays: a container that runs may have it mounted,
/// and what such a container has written goes first. If it is cut short, the next call goes on.
fn move_in(data: &Path) -> Result<()> {
    let copied = data.with_file_name(COPIED);
    let Some(made) = absent_is_none(fs::metadata(&copied)).at(copied.display())? else { return Ok(()) };
    for entry in fs::read_dir(&copied).at(copied.display())? {
        let entry = entry.at(copied.display())?;
        let place = data.join(entry.file_name());
        if fs::symlink_metadata(&place).is_err() {
            fs::rename(entry.path(), &place).at(place.display())?;
        }
    }
    chown(data, Some(made.uid()), Some(made.gid())).at(data.display())?;
    fs::set_permissions(data, made.permissions()).at(data.display())?;
    disk::remove_dir(&copied)
}

fn absent_is_none<T>(found: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match found {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Errors: what is no name, in Docker's words.
fn check(name: &str) -> Result<()> {
    if name.len() == 1 {
        return Err(Error::new(
            "volume name is too short, names should be at least two alphanumeric characters",
        ));
    }
    if is_name(name) {
        return Ok(());
    }
    Err(Error::new(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    name.starts_with(is_letter) && name.len() > 1 && name.chars().all(|c| is_letter(c) || "_.-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_bind_a_directory_or_nothing() {
        let said = |options: &[(&str, &str)]| {
            bound(&options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(said(&[]), Ok(None));
        assert_eq!(said(&[("type", "none"), ("o", "bind"), ("device", "/srv")]), Ok(Some("/srv".into())));
        for wrong in [
            &[("type", "nfs"), ("o", "addr=10.0.0.1"), ("device", ":/x")][..],
            &[("o", "bind"), ("device", "srv")],
            &[("device", "/srv")],
            &[("o", "bind,ro"), ("device", "/srv")],
            &[("size", "1g")],
        ] {
            assert!(said(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(["db", "a_b.c-d", "0x"].iter().all(|name| is_name(name)));
        assert!(!["", "a", "..", ".a", "a/b", "../b", "-a", "é1"].iter().any(|name| is_name(name)));
    }
}
