//! The firewall as it is now: what all endpoints need, performed if it differs from the last time.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::network::Publisher;
use super::{forward, nft};
use crate::disk;
use crate::error::Result;

/// What was done the last time.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
struct Firewall {
    /// The network namespace, by its inode.
    place: u64,
    /// The script that `nft` has performed.
    script: String,
    /// The bridges whose packets pass the chain of others.
    bridges: BTreeSet<String>,
}

/// What publishes ports on this host.
pub fn publisher() -> Publisher {
    match nft::program() {
        Some(_) => Publisher::Nft,
        None => Publisher::Plugins,
    }
}

/// Makes the firewall what the endpoints need, whatever it is now: somebody may have flushed it.
pub fn renew() -> Result<()> {
    let lock = disk::lock_host("firewall")?;
    let (last, wanted) = (Firewall::last(), Firewall::wanted()?);
    let gone = last.bridges.difference(&wanted.bridges).cloned().collect();
    wanted.perform(&Firewall { bridges: gone, ..Firewall::default() }, &lock)
}

/// Makes the firewall what the endpoints need, if that is something else than the last time. Of many containers that
/// start at once, most find that somebody has done it for them while they waited.
pub fn follow() -> Result<()> {
    let lock = disk::lock_host("firewall")?;
    let (last, wanted) = (Firewall::last(), Firewall::wanted()?);
    if last == wanted { Ok(()) } else { wanted.perform(&last, &lock) }
}

/// Makes the firewall what the endpoints need, if it is something else, or if somebody has flushed the tables.
pub fn heal() -> Result<()> {
    let is_flushed = Firewall::last().script.contains(nft::BEGINNING) && !nft::has_table();
    if is_flushed { renew() } else { follow() }
}

impl Firewall {
    fn wanted() -> Result<Firewall> {
        let endpoints = Endpoint::list_all()?;
        let place = fs::metadata("/proc/self/ns/net").map_or(0, |metadata| metadata.ino());
        let script = match publisher() {
            Publisher::Nft => nft::render(&endpoints),
            Publisher::Plugins => String::new(),
        };
        let bridges = endpoints.into_iter().filter_map(|endpoint| endpoint.bridge).collect();
        Ok(Firewall { place, script, bridges })
    }

    /// What can't be read was not done.
    fn last() -> Firewall {
        disk::read_json(&record()).ok().flatten().unwrap_or_default()
    }

    fn perform(&self, last: &Firewall, lock: &File) -> Result<()> {
        // Forgotten first: a process that is killed in between must not leave a lie.
        disk::remove_file(&record())?;
        self.bridges.difference(&last.bridges).for_each(|bridge| forward::permit(bridge));
        last.bridges.difference(&self.bridges).for_each(|bridge| forward::revoke(bridge));
        if !self.script.is_empty() {
            // `nft` holds the lock too: if this process is killed, nobody is to be faster than what it has started.
            nft::perform(&self.script, lock.try_clone()?.into())?;
        }
        disk::write_json(&record(), self)
    }
}

fn record() -> PathBuf {
    disk::of_host("firewall.json")
}
