//! What a command that was killed has left half made: the next command takes it away.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::volume;
use crate::disk::{self, Disk};
use crate::engine::Engine;
use crate::error::{Result, absent_is_fine};
use crate::keep;
use crate::process::Process;

/// The length of the ids that we give.
const ID_LENGTH: usize = 64;
/// In a container's directory while the container is being made.
const MAKING: &str = "making.json";

/// Who makes a container, and what belongs to it alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Making {
    maker: Option<Process>,
    volumes: Vec<String>,
}

impl Making {
    /// Says in the container's directory that this process makes it, with these anonymous volumes so far.
    pub fn note(dir: &Path, volumes: &[String]) -> Result<()> {
        let making = Making { maker: Process::own(), volumes: volumes.to_vec() };
        disk::write_json(&dir.join(MAKING), &making)
    }

    /// The container is made.
    pub fn done(dir: &Path) -> Result<()> {
        disk::remove_file(&dir.join(MAKING))
    }
}

/// Takes away what dead processes have left: their leases, the directories and anonymous volumes of containers that
/// they haven't come to register, and what a keeper has written after its container was removed.
pub async fn sweep(engine: &Engine, disk: &Disk) -> Result<()> {
    engine.drop_dead_leases().await?;
    let mut unfinished = Vec::new();
    for dir in disk::list(&disk.container(""))? {
        let making: Option<Making> = disk::read_json(&dir.join(MAKING))?;
        unfinished.extend(
            making
                .filter(|making| !making.maker.is_some_and(|maker| maker.is_alive()))
                .map(|making| (dir, making)),
        );
    }
    let mut unkept = Vec::new();
    for dir in disk::list(&disk.all_running())?.into_iter().filter(|dir| is_containers(dir)) {
        let state = keep::State::load(&dir)?.unwrap_or_default();
        unkept.extend((!state.keeper.is_some_and(|keeper| keeper.is_alive())).then_some(dir));
    }
    if unfinished.is_empty() && unkept.is_empty() {
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
    Ok(())
}

/// Whether the directory is named by a container's id: locks and networks are beside it.
fn is_containers(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == ID_LENGTH && name.bytes().all(|byte| byte.is_ascii_hexdigit()) && dir.is_dir()
}
