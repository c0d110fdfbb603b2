//! What a command that was killed has left half made: the next command takes it away.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::volume;
use crate::disk::{self, Disk};
use crate::engine::Engine;
use crate::engine::containers::ListContainers;
use crate::error::{Kind, Result};
use crate::process::Process;

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

/// Takes away what dead processes have left: their leases, and the directories and anonymous volumes of containers that
/// they haven't come to register.
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
    if unfinished.is_empty() {
        return Ok(());
    }
    let containers = engine.call(ListContainers { filters: Vec::new() }).await?.containers;
    for (dir, making) in unfinished {
        if containers.iter().any(|container| dir.ends_with(&container.id)) {
            Making::done(&dir)?;
            continue;
        }
        making.volumes.iter().try_for_each(|name| absent_is_fine(volume::remove(disk, name)))?;
        disk::remove_dir(&dir)?;
    }
    Ok(())
}

fn absent_is_fine(removed: Result<()>) -> Result<()> {
    match removed {
        Err(err) if err.kind() == Kind::NotFound => Ok(()),
        removed => removed,
    }
}
