//! What a container may not do: system calls, paths, new privileges, labels.

use super::{Host, profile, seccomp, wrong};
use crate::error::{Context, Result};
use crate::model::types::Service;

/// Paths that tell of the host, or reach it.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths that would change the host.
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What `security_opt` and `privileged` come to.
#[derive(Debug)]
pub struct Security {
    pub no_new_privileges: bool,
    pub apparmor_profile: String,
    pub seccomp: Option<serde_json::Value>,
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
}

/// Errors: an option that isn't known, or can't be on this host. To pass it over would weaken the container.
pub fn of(service: &Service, capabilities: &[String], host: &Host) -> Result<Security> {
    let mut security = if service.privileged { privileged() } else { confined(capabilities) };
    for option in &service.security_opt {
        let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => security.no_new_privileges = false,
            ("seccomp", "unconfined") => security.seccomp = None,
            ("seccomp", "builtin") => security.seccomp = Some(seccomp::default_profile(capabilities)),
            // The text of a file: whoever reads the user's files has put it there.
            ("seccomp", text) if text.starts_with('{') => {
                security.seccomp = profile::of(text, capabilities, host.kernel).at("security_opt")?;
            }
            // Without AppArmor there is nothing to switch off, nor Docker's own profile.
            ("apparmor", "unconfined" | "docker-default") if !host.apparmor => {}
            ("apparmor", profile) if !profile.is_empty() && !host.apparmor => {
                return Err(wrong("security_opt", format!("apparmor={profile}: this host has no AppArmor")));
            }
            ("apparmor", profile) if !profile.is_empty() => security.apparmor_profile = profile.to_owned(),
            ("systempaths", "unconfined") => {
                security.masked_paths.clear();
                security.readonly_paths.clear();
            }
            // Without SELinux there is nothing to switch off.
            ("label", "disable") => {}
            _ => return Err(wrong("security_opt", format!("{option:?}: can't be done here"))),
        }
    }
    Ok(security)
}

fn confined(capabilities: &[String]) -> Security {
    Security {
        seccomp: Some(seccomp::default_profile(capabilities)),
        masked_paths: MASKED.map(str::to_owned).to_vec(),
        readonly_paths: READONLY.map(str::to_owned).to_vec(),
        ..privileged()
    }
}

fn privileged() -> Security {
    Security {
        no_new_privileges: false,
        apparmor_profile: String::new(),
        seccomp: None,
        masked_paths: Vec::new(),
        readonly_paths: Vec::new(),
    }
}
