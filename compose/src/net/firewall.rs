//! The firewall as it is now: what all endpoints need, performed if it differs from the last time, or if anybody has
//! changed anything of the ruleset since.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::network::Publisher;
use super::{forward, generation, nft};
use crate::disk;
use crate::error::Result;

/// What was done the last time.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
struct Firewall {
    /// The network namespace, by its inode.
    place: u64,
    /// The script that `nft` has performed.
    script: String,
    /// The number of the ruleset since. None: the kernel doesn't tell it, or others changed it at the same moment.
    #[serde(default)]
    generation: Option<u32>,
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

/// Makes the firewall what the endpoints need, if that is something else than the last time, or if somebody else has
/// changed the ruleset. Of many containers that start at once, most find that somebody has done it for them while they
/// waited.
pub fn follow() -> Result<()> {
    let lock = disk::lock_host("firewall")?;
    let (mut last, wanted) = (Firewall::last(), Firewall::wanted()?);
    if last == wanted {
        return Ok(());
    }
    if last.generation != wanted.generation {
        // The rules of the bridges may be gone too.
        last.bridges.retain(|bridge| !wanted.bridges.contains(bridge));
    }
    wanted.perform(&last, &lock)
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
        // What the plugins do by iptables changes it too.
        let generation = if script.is_empty() { None } else { generation::current() };
        Ok(Firewall { place, script, generation, bridges })
    }

    /// What can't be read was not done.
    fn last() -> Firewall {
        disk::read_json(&record()).ok().flatten().unwrap_or_default()
    }

    fn perform(&self, last: &Firewall, lock: &File) -> Result<()> {
        // Forgotten first: a process that is killed in between must not leave a lie.
        disk::remove_file(&record())?;
        forward::permit(self.bridges.difference(&last.bridges));
        forward::revoke(last.bridges.difference(&self.bridges));
        let mut done = Firewall {
            generation: None,
            script: self.script.clone(),
            bridges: self.bridges.clone(),
            ..*self
        };
        if !self.script.is_empty() {
            let before = generation::current();
            // `nft` holds the lock too: if this process is killed, nobody is to be faster than what it has started.
            nft::perform(&self.script, lock.try_clone()?.into())?;
            // What others change in between must be found the next time. No ruleset has the number 0.
            let next = |number: u32| number.checked_add(1).unwrap_or(1);
            done.generation = generation::current().filter(|number| before.map(next) == Some(*number));
        }
        disk::write_json(&record(), &done)
    }
}

fn record() -> PathBuf {
    disk::of_host("firewall.json")
}
