//! A container's lock: one user at a time starts a container, tells it to end, or removes it. Whoever only waits for
//! its end doesn't hold it. Who has the project's lock may wait for this one, and never the other way round.

use std::fs::File;

use nix::fcntl::Flock;

use crate::disk::{self, Disk};
use crate::error::{Context, Error, Result};

/// The lock, until it is dropped. A container that we didn't make has none.
pub struct Hold {
    _lock: Option<Flock<File>>,
}

/// Waits until nobody else holds the container.
pub async fn hold(disk: &Disk, id: &str) -> Result<Hold> {
    let dir = disk.container(id);
    let held = tokio::task::spawn_blocking(move || disk::hold(&dir)).await;
    let held = held.map_err(|err| Error::new(err.to_string())).at("the lock of a container")?;
    held.map(|_lock| Hold { _lock })
}
