//! The firewall as it is now: the table of all endpoints, performed if anything in it has changed.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::endpoint::Endpoint;
use super::network::Publisher;
use super::nft;
use crate::disk;
use crate::error::Result;

/// The script that was performed last.
const PERFORMED: &str = "performed.nft";

/// What publishes ports on this host.
pub fn publisher() -> Publisher {
    match nft::program() {
        Some(_) => Publisher::Nft,
        None => Publisher::Plugins,
    }
}

/// Makes the table what the endpoints need, whatever it is now: somebody may have flushed it.
pub fn renew() -> Result<()> {
    let _lock = disk::lock_host("firewall")?;
    perform(&nft::render(&Endpoint::list_all()?))
}

/// Makes the table what the endpoints need, if they need another one than the last. Of many containers that start at
/// once, most find that somebody has done it for them while they waited.
pub fn follow() -> Result<()> {
    let _lock = disk::lock_host("firewall")?;
    let script = nft::render(&Endpoint::list_all()?);
    let performed = fs::read_to_string(disk::of_host(PERFORMED)).unwrap_or_default();
    if performed == format!("{}{script}", place()) { Ok(()) } else { perform(&script) }
}

fn perform(script: &str) -> Result<()> {
    if publisher() == Publisher::Plugins {
        return Ok(());
    }
    // Forgotten first: a process that is killed in between must not leave a lie.
    disk::remove_file(&disk::of_host(PERFORMED))?;
    nft::perform(script)?;
    disk::write(&disk::of_host(PERFORMED), format!("{}{script}", place()).as_bytes())
}

/// The network namespace that the script was performed in.
fn place() -> String {
    let inode = fs::metadata("/proc/self/ns/net").map_or(0, |metadata| metadata.ino());
    format!("# net:[{inode}]\n")
}
