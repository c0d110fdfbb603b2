//! Docker's flags for networks: `--network` and what the container is on the first of them.

use super::mounts::fields;
use super::typed::Typed;
use crate::error::{Error, Kind, Result};
use crate::model::network_mode::{DEFAULT_NETWORK, is_built_in};
use crate::model::types::{Attachment, Map};

/// The mode, or the networks.
///
/// Errors: a mode beside another network, a network that is named twice, what is said of one in two places.
pub fn networks(typed: &Typed) -> Result<(Option<String>, Map<Attachment>)> {
    let mut named = typed.texts("network").iter().map(|text| network(text)).collect::<Result<Vec<_>>>()?;
    if named.is_empty() {
        named.push((DEFAULT_NETWORK.to_owned(), Attachment::default()));
    }
    add_flags(typed, &mut named[0].1)?;
    if let Some((mode, _)) = named.iter().find(|(name, _)| is_mode(name)) {
        return match named.len() {
            1 => Ok((Some(mode.clone()), Map::new())),
            _ => Err(Error::new(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            )),
        };
    }
    let mut networks = Map::new();
    for (name, attachment) in named {
        let name = if name == "default" { DEFAULT_NETWORK.to_owned() } else { name };
        if networks.contains_key(&name) {
            return Err(Error::new(format!("network \"{name}\" is specified multiple times")));
        }
        networks.insert(name, attachment);
    }
    Ok((None, networks))
}

fn is_mode(name: &str) -> bool {
    is_built_in(name) || name.starts_with("container:")
}

/// Flags of a container are for its first network.
fn add_flags(typed: &Typed, first: &mut Attachment) -> Result<()> {
    let twice = |flag: &str, key: &str| {
        Error::new(format!("conflicting options: cannot specify both --{flag} and per-network {key}"))
    };
    let aliases = typed.texts("network-alias");
    if !aliases.is_empty() && !first.aliases.is_empty() {
        return Err(twice("network-alias", "alias"));
    }
    first.aliases.extend(aliases);
    let local = typed.texts("link-local-ip");
    if !local.is_empty() && !first.link_local_ips.is_empty() {
        return Err(twice("link-local-ip", "link-local IP addresses"));
    }
    first.link_local_ips.extend(local);
    for (flag, key, of_network) in
        [("ip", "IPv4 address", &mut first.ipv4_address), ("ip6", "IPv6 address", &mut first.ipv6_address)]
    {
        match typed.text(flag) {
            Some(_) if of_network.is_some() => return Err(twice(flag, key)),
            Some(address) => *of_network = Some(address),
            None => {}
        }
    }
    Ok(())
}

/// `NETWORK`, or `name=NETWORK,alias=NAME,ip=ADDRESS,…`
fn network(text: &str) -> Result<(String, Attachment)> {
    let wrong = |why: String| {
        Error::of_kind(Kind::Usage, format!("invalid argument \"{text}\" for \"--network\" flag: {why}"))
    };
    let (mut name, mut attachment) = (String::new(), Attachment::default());
    if !text.contains('=') {
        return Ok((text.to_owned(), attachment));
    }
    for field in fields(text).map_err(|why| wrong(why.to_owned()))? {
        let (key, value) = field.split_once('=').unwrap_or((&field, ""));
        let (key, value) = (key.trim().to_lowercase(), value.trim().to_owned());
        if value.is_empty() {
            return Err(wrong(format!("invalid field {field}")));
        }
        match key.as_str() {
            "name" => name = value,
            "alias" => attachment.aliases.push(value),
            "ip" => attachment.ipv4_address = Some(value),
            "ip6" => attachment.ipv6_address = Some(value),
            "link-local-ip" => attachment.link_local_ips.push(value),
            "mac-address" => attachment.mac_address = Some(value),
            "gw-priority" => {
                let priority = value.parse().map_err(|_| wrong(format!("invalid gw-priority: {value}")))?;
                attachment.gw_priority = Some(priority);
            }
            _ => return Err(wrong(format!("invalid field key {key}"))),
        }
    }
    if name.is_empty() {
        return Err(wrong("network name/id is not specified".to_owned()));
    }
    Ok((name, attachment))
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::cli::container::flags;

    fn meant(line: &str) -> Result<(Option<String>, Map<Attachment>)> {
        let line = line.split(' ').chain(["image"]);
        let matches = flags(Command::new("run")).try_get_matches_from(["run"].into_iter().chain(line));
        networks(&Typed(&matches.map_err(|err| Error::new(err.to_string()))?))
    }

    #[test]
    fn there_may_be_several_networks_or_a_mode() {
        let second = "name=b,alias=x,alias=y,ip=10.0.0.2,link-local-ip=169.254.1.2";
        let (mode, networks) = meant(&format!("--network a --network {second} --network-alias z")).unwrap();
        assert_eq!(networks["b"].link_local_ips, ["169.254.1.2"]);
        assert_eq!(mode, None);
        assert_eq!(networks.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(networks["a"].aliases, ["z"]);
        assert_eq!(networks["b"].aliases, ["x", "y"]);
        assert_eq!(networks["b"].ipv4_address.as_deref(), Some("10.0.0.2"));
        assert_eq!(meant("--net name=host").unwrap().0.as_deref(), Some("host"));
        assert_eq!(meant("--init").unwrap().1.keys().collect::<Vec<_>>(), ["bridge"]);
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        for wrong in [
            "--network a --network a",
            "--network default --network bridge",
            "--network a --network none",
            "--network name=a,alias=x --network-alias y",
            "--network name=a,link-local-ip=169.254.1.2 --link-local-ip 169.254.1.3",
            "--network name=a,ip=10.0.0.2 --ip 10.0.0.3",
            "--network alias=x",
            "--network name=a,what=x",
            "--network name=a,ip=",
        ] {
            assert!(meant(wrong).is_err(), "{wrong}");
        }
    }
}
