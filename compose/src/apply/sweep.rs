//! What a command that was killed has left half made: the next command takes it away.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::volume;
use crate::disk::{self, Disk};
use crate::engine::Engine;
use crate::error::{Result, absent_is_fine, tell_lines};
use crate::model::types::Service;
use crate::model::values::MountKind;
use crate::net::endpoint::Endpoints;
use crate::net::request::Request;
use crate::net::sweep::Care;
use crate::process::Process;
use crate::{keep, net};

/// The length of the ids that we give.
const ID_LENGTH: usize = 64;
/// In a container's directory while the container is being made.
const MAKING: &str = "making.json";

/// Who makes a container, what belongs to it alone, and what it will use.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Making {
    maker: Option<Process>,
    /// The anonymous volumes so far.
    volumes: Vec<String>,
    /// The volumes and networks that have names: nobody may take them for unused.
    uses: Used,
}

/// Volumes and networks, by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Used {
    pub volumes: BTreeSet<String>,
    pub networks: BTreeSet<String>,
}

impl Used {
    /// What a container of the service will use.
    pub fn of(service: &Service) -> Used {
        let named = service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume);
        Used {
            volumes: named.filter_map(|mount| mount.source.clone()).collect(),
            networks: service.networks.keys().cloned().collect(),
        }
    }

    /// What containers use that are just being made.
    pub fn by_makers(disk: &Disk) -> Result<Used> {
        let mut used = Used::default();
        for dir in disk::list(&disk.container(""))? {
            let making: Option<Making> = disk::read_json(&dir.join(MAKING))?;
            if let Some(making) = making.filter(Making::is_going_on) {
                used.volumes.extend(making.uses.volumes.into_iter().chain(making.volumes));
                used.networks.extend(making.uses.networks);
            }
        }
        Ok(used)
    }
}

impl Making {
    /// Says in the container's directory that this process makes it, with these anonymous volumes so far.
    pub fn note(dir: &Path, service: &Service, volumes: &[String]) -> Result<()> {
        let making = Making { maker: Process::own(), volumes: volumes.to_vec(), uses: Used::of(service) };
        disk::write_json(&dir.join(MAKING), &making)
    }

    fn is_going_on(&self) -> bool {
        self.maker.is_some_and(|maker| maker.is_alive())
    }

    /// The container is made.
    pub fn done(dir: &Path) -> Result<()> {
        disk::remove_file(&dir.join(MAKING))
    }
}

/// Takes away what dead processes have left: their leases, the directories and anonymous volumes of containers that
/// they haven't come to register, and what a keeper has written after its container was removed. What containers have
/// got of networks that have no process any more is taken back too.
pub async fn sweep(engine: &Engine, disk: &Disk, care: Care) -> Result<()> {
    engine.drop_dead_leases().await?;
    // Before the directories, where it stands what takes the rest back. Nothing else waits for it.
    if let Err(err) = net::sweep::sweep(disk, care) {
        tell_lines(format_args!("warning: {err}"));
    }
    let mut unfinished = Vec::new();
    let mut finished = Vec::new();
    for dir in disk::list(&disk.container(""))? {
        match disk::read_json::<Making>(&dir.join(MAKING))? {
            Some(making) if making.is_going_on() => {}
            Some(making) => unfinished.push((dir, making)),
            // `up` again is to be quick, and has no need of it.
            None if care != Care::Checked && Request::is_in(&dir) => finished.push(dir),
            None => {}
        }
    }
    let mut unkept = Vec::new();
    for dir in disk::list(&disk.all_running())?.into_iter().filter(|dir| is_containers(dir)) {
        let is_kept = has_keeper(&dir)? || Endpoints::is_in(&dir);
        unkept.extend((!is_kept).then_some(dir));
    }
    if unfinished.is_empty() && finished.is_empty() && unkept.is_empty() {
        return Ok(());
    }
    let containers = engine.containers().await?;
    let is_there = |dir: &Path| containers.iter().any(|container| dir.ends_with(&container.id));
    unkept.iter().filter(|dir| !is_there(dir)).try_for_each(|dir| disk::remove_dir(dir))?;
    for (dir, making) in unfinished {
        if is_there(&dir) {
            Making::done(&dir)?;
            continue;
        }
        making.volumes.iter().try_for_each(|name| absent_is_fine(volume::remove(disk, name)))?;
        disk::remove_dir(&dir)?;
    }
    // Somebody has removed these by another client.
    for dir in finished.iter().filter(|dir| !is_there(dir)) {
        let id = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !has_keeper(&disk.running(id))? {
            disk::remove_dir(dir)?;
        }
    }
    Ok(())
}

fn has_keeper(running: &Path) -> Result<bool> {
    let state = keep::State::load(running)?.unwrap_or_default();
    Ok(state.is_in_charge())
}

/// Whether the directory is named by a container's id: locks and networks are beside it.
fn is_containers(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == ID_LENGTH && name.bytes().all(|byte| byte.is_ascii_hexdigit()) && dir.is_dir()
}
