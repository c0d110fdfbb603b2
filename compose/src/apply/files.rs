//! A container's own `hosts`, `resolv.conf` and `hostname`, which are mounted over the image's.

use std::fs;
use std::path::Path;

use crate::disk;
use crate::error::Result;
use crate::model::types::Service;

const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Writes them into the container's directory.
pub fn write(dir: &Path, service: &Service, hostname: &str) -> Result<()> {
    let extra = service.extra_hosts.iter().filter_map(|host| host.split_once('='));
    let extra = extra.map(|(name, address)| format!("{address}\t{name}\n"));
    let hosts = extra.fold(LOCAL_HOSTS.to_owned(), |hosts, line| hosts + &line);
    let servers = service.dns.iter().map(|server| format!("nameserver {server}\n")).collect::<String>();
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let resolv_conf = if servers.is_empty() { host } else { servers };
    for (name, text) in
        [("hosts", hosts), ("resolv.conf", resolv_conf), ("hostname", format!("{hostname}\n"))]
    {
        disk::write_in_place(&dir.join(name), text.as_bytes())?;
    }
    Ok(())
}
