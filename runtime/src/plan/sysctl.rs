//! `linux.sysctl`: only what a namespace of the container's own confines.
//!
//! Any other sysctl would change the host, so it is refused whatever its value.

use super::{ForPreparer, Step};
use crate::error::{Error, Result};
use crate::spec::{Namespace, Namespaces, Spec};

/// One sysctl and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// Its file below /proc/sys.
    pub path: String,
    /// What is written.
    pub value: String,
}

impl Sysctl {
    /// The namespace that confines it.
    pub(super) fn owner(&self) -> Option<Namespace> {
        owner(&self.path)
    }
}

const IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

pub(super) fn steps(spec: &Spec) -> Result<Vec<Step>> {
    let Some(sysctl) = spec.linux().and_then(|linux| linux.sysctl().as_ref()) else { return Ok(Vec::new()) };
    let mut all: Vec<(&String, &String)> = sysctl.iter().collect();
    all.sort();
    all.into_iter()
        .map(|(key, value)| {
            let field = format!("linux.sysctl[{key:?}]");
            let path = path_of(key);
            check(&path, spec.namespaces(), &field)?;
            Ok(Step::of(field, ForPreparer::WriteSysctl(Sysctl { path, value: value.clone() })))
        })
        .collect()
}

/// `net.ipv4.ip_forward` and `net/ipv4/ip_forward` are the same name. The separator that comes first counts, so that
/// `net/ipv4/conf/eth0.1/forwarding` keeps the dot of its device.
fn path_of(key: &str) -> String {
    let by_dots = match (key.find('.'), key.find('/')) {
        (Some(dot), Some(slash)) => dot < slash,
        (Some(_), None) => true,
        _ => false,
    };
    if !by_dots {
        return key.to_string();
    }
    key.chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect()
}

fn check(path: &str, namespaces: &Namespaces, field: &str) -> Result<()> {
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(Error::invalid(format!("{field}: is no sysctl")));
    }
    if path == "kernel/hostname" {
        return Err(Error::invalid(format!("{field}: is what `hostname` sets")));
    }
    let Some(owner) = owner(path) else {
        return Err(Error::invalid(format!(
            "{field}: is not confined to a namespace, so it would change the host"
        )));
    };
    if namespaces.is_private(owner) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{field}: would change the host: the container has no {} namespace of its own",
        owner.name()
    )))
}

/// The namespace that confines a sysctl.
fn owner(path: &str) -> Option<Namespace> {
    if IPC.contains(&path) || path.starts_with("fs/mqueue/") {
        Some(Namespace::Ipc)
    } else if path.starts_with("net/") {
        Some(Namespace::Network)
    } else if path == "kernel/domainname" {
        Some(Namespace::Uts)
    } else if path.starts_with("user/") {
        Some(Namespace::User)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn the_first_separator_tells_the_spelling() {
        assert_eq!(path_of("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path_of("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path_of("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
    }
}
