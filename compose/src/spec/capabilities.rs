//! Which capabilities a container has.

use super::wrong;
use crate::error::Result;
use crate::model::types::Service;

/// By their numbers. Source: `linux/capability.h`.
const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What Docker gives to every container.
const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The capabilities of a service, of those that are `held`, a bit for each number.
///
/// Errors: a name in `cap_add` or `cap_drop` that nobody knows; one in `cap_add` that isn't held.
pub fn granted(service: &Service, held: u64) -> Result<Vec<String>> {
    let is_held =
        |name: &str| ALL.iter().position(|known| *known == name).is_some_and(|bit| held >> bit & 1 == 1);
    let all = || ALL.iter().filter(|name| is_held(name)).map(|&name| name.to_owned());
    if service.privileged {
        return Ok(all().collect());
    }
    let added = names("cap_add", &service.cap_add)?;
    let dropped = names("cap_drop", &service.cap_drop)?;
    if let Some(name) = added.iter().find(|name| *name != "ALL" && !is_held(name)) {
        let what = "capability not supported by your kernel or not available in the current environment";
        return Err(wrong("cap_add", format!("{what}: {name:?}")));
    }
    let everything = |names: &[String]| names.iter().any(|name| name == "ALL");
    let keeps = |name: &String| !dropped.contains(name);
    Ok(if everything(&added) {
        all().filter(keeps).collect()
    } else if everything(&dropped) {
        added
    } else {
        let defaults = DEFAULT.iter().filter(|name| is_held(name)).map(|&name| name.to_owned()).filter(keeps);
        let mut granted: Vec<String> = defaults.collect();
        granted.extend(added.into_iter().filter(|name| keeps(name)));
        granted.sort_unstable();
        granted.dedup();
        granted
    })
}

/// Full names: `net_admin` is `CAP_NET_ADMIN`.
fn names(field: &str, typed: &[String]) -> Result<Vec<String>> {
    let full = |name: &String| {
        let upper = name.to_ascii_uppercase();
        let full = if upper == "ALL" || upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        if full == "ALL" || ALL.contains(&full.as_str()) {
            Ok(full)
        } else {
            Err(wrong(field, format!("{name:?}: no such capability")))
        }
    };
    typed.iter().map(full).collect()
}
