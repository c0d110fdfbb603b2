//! What containers have left that have no process any more: addresses, names, rules. The runtime's last hook takes it
//! back as a rule; whatever was killed before it did, the next command does.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::cni::Client;
use super::endpoint::Endpoints;
use super::firewall;
use super::hook::Container;
use super::network::{self, ADDRESSES, Network};
use crate::disk::{self, Disk};
use crate::error::{Context, Result};

/// How much is looked at. All of it finds what dead containers have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// The firewall is made anew if somebody has changed it.
    Quick,
    /// The same, and of containers that others have removed nothing is looked for.
    Checked,
    /// The firewall is made anew.
    Anew,
}

/// Takes back what containers of the namespace have that have no process any more, and addresses of the host's that
/// nobody has.
///
/// Errors: the first one. All containers are tried nevertheless.
pub fn sweep(disk: &Disk, care: Care) -> Result<()> {
    let mut swept = Ok(());
    for id in containers(disk)? {
        swept = swept.and(release(disk, &id).map(drop));
    }
    forget_names(disk)?;
    forget_addresses()?;
    forget_gone_networks()?;
    let healed = match care {
        Care::Quick | Care::Checked => firewall::follow(),
        Care::Anew => firewall::renew(),
    };
    swept.and(healed)
}

/// Takes back what a container has, if its process has ended. Returns whether it has nothing any more.
pub fn release(disk: &Disk, id: &str) -> Result<bool> {
    let has_ended = || Endpoints::load(disk, id).map(|list| list.map(|list| !list.init.is_alive()));
    match has_ended()? {
        None => return Ok(true),
        Some(false) => return Ok(false),
        Some(true) => {}
    }
    let container = Container { disk: disk.clone(), id: id.to_owned(), client: Client::new() };
    // Whoever holds the lock starts the container or takes back what it has.
    let Some(_lock) = disk.try_lock(&container.lock_name())? else { return Ok(false) };
    match has_ended()? {
        // It was started since.
        Some(false) => Ok(false),
        None => Ok(true),
        Some(true) => container.take_back().at(format_args!("network of {id}")).map(|()| true),
    }
}

/// Who may have a list: the namespace's locks are files beside the containers' directories.
pub fn containers(disk: &Disk) -> Result<Vec<String>> {
    let dirs = disk::list(&disk.all_running())?.into_iter().filter(|dir| dir.is_dir());
    Ok(dirs.filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned())).collect())
}

/// Takes the names of containers off that have no list: the list is written first and removed last.
fn forget_names(disk: &Disk) -> Result<()> {
    for network in disk::list(&disk.endpoints())? {
        for record in disk::list(&network)? {
            let id = record.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if Endpoints::load(disk, id)?.is_none() {
                disk::remove_file(&record)?;
            }
        }
    }
    Ok(())
}

/// Frees the addresses of containers that have no list. The plugin `host-local` has a file for each address, whose
/// first line is the container's id.
fn forget_addresses() -> Result<()> {
    let mut addresses = Vec::new();
    for network in disk::list(&disk::of_host(ADDRESSES))? {
        addresses.extend(addresses_of(&network)?);
    }
    if addresses.is_empty() {
        return Ok(());
    }
    // Before the lists are looked at: who has a file by now has its list already.
    let files: Vec<_> =
        addresses.iter().map(|file| (file, fs::read_to_string(file).unwrap_or_default())).collect();
    let mut known = BTreeSet::new();
    for disk in disk::namespaces()? {
        for id in containers(&disk)? {
            if Endpoints::load(&disk, &id)?.is_some() {
                known.insert(id);
            }
        }
    }
    for (file, text) in files {
        let owner = owner(&text);
        // A file without an owner is just being written.
        if !owner.is_empty() && !known.contains(owner) {
            free(file, owner)?;
        }
    }
    Ok(())
}

/// The files of the addresses that are taken in a network.
fn addresses_of(network: &Path) -> Result<impl Iterator<Item = PathBuf> + use<>> {
    let is_address = |file: &Path| {
        let name = file.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.parse::<IpAddr>().is_ok())
    };
    Ok(disk::list(network)?.into_iter().filter(move |file| is_address(file)))
}

/// Removes what the plugin has noted of networks that are gone. What a container still has there, its list takes back
/// first.
fn forget_gone_networks() -> Result<()> {
    if gone_networks()?.is_empty() {
        return Ok(());
    }
    // Under the lock no network is made, so those that are gone stay gone.
    let _lock = disk::lock_host(network::LOCK)?;
    for dir in gone_networks()? {
        if addresses_of(&dir)?.next().is_none() {
            disk::remove_dir(&dir)?;
        }
    }
    Ok(())
}

/// The directories of addresses that are of no network any more.
fn gone_networks() -> Result<Vec<PathBuf>> {
    let mut dirs = disk::list(&disk::of_host(ADDRESSES))?;
    for disk in disk::namespaces()? {
        for network in Network::list(&disk)? {
            dirs.retain(|dir| dir.file_name().is_none_or(|name| name != network.id.as_str()));
        }
    }
    Ok(dirs)
}

fn owner(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim()
}

/// Frees an address under the plugin's own lock, unless somebody else has got it meanwhile.
fn free(file: &Path, former: &str) -> Result<()> {
    let _lock = disk::lock_at(&file.with_file_name("lock"))?;
    let text = fs::read_to_string(file).unwrap_or_default();
    if owner(&text) == former { disk::remove_file(file) } else { Ok(()) }
}
