//! What runs: arguments, environment, directory, user, limits.

use super::security::Security;
use super::{Inputs, image, oci, wrong};
use crate::error::{Error, Result};
use crate::model::types::{Service, Ulimit};

/// Where programs are if the image doesn't say.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where the init is in the container, if there is one.
pub const INIT: &str = "/sbin/docker-init";

pub fn of(inputs: &Inputs, capabilities: &[String], security: &Security) -> Result<oci::Process> {
    let service = inputs.service;
    Ok(oci::Process {
        terminal: service.tty,
        user: inputs.user.clone(),
        args: args(inputs)?,
        env: environment(inputs),
        cwd: directory(inputs),
        capabilities: held_by(&inputs.user, capabilities),
        rlimits: rlimits(inputs),
        no_new_privileges: security.no_new_privileges,
        apparmor_profile: security.apparmor_profile.clone(),
        selinux_label: String::new(),
        oom_score_adj: Some(service.oom_score_adj.unwrap_or(0)),
    })
}

/// The image's CMD belongs to the image's ENTRYPOINT: it goes when the service has an entrypoint of its own.
pub fn command(service: &Service, image: &image::Config) -> Vec<String> {
    let (entrypoint, default) = match &service.entrypoint {
        Some(entrypoint) => (entrypoint, &[][..]),
        None => (&image.entrypoint, &image.cmd[..]),
    };
    entrypoint.iter().chain(service.command.as_deref().unwrap_or(default)).cloned().collect()
}

fn args(inputs: &Inputs) -> Result<Vec<String>> {
    let command = command(inputs.service, inputs.image);
    if command.is_empty() {
        return Err(Error::new("no command specified"));
    }
    if inputs.service.init != Some(true) {
        return Ok(command);
    }
    if inputs.host.init.is_none() {
        return Err(wrong("init", "neither docker-init nor tini nor catatonit is installed"));
    }
    Ok([INIT.to_owned(), "--".to_owned()].into_iter().chain(command).collect())
}

/// The engine's variables, then the image's, then the service's. A later one takes the place of an earlier one.
fn environment(inputs: &Inputs) -> Vec<String> {
    let service = inputs.service;
    let mut environment = vec![PATH.to_owned(), format!("HOSTNAME={}", inputs.hostname)];
    if service.tty {
        environment.push("TERM=xterm".to_owned());
    }
    for variable in &inputs.image.env {
        set(&mut environment, variable.clone());
    }
    for (name, value) in &service.environment {
        match value {
            Some(value) => set(&mut environment, format!("{name}={value}")),
            None => environment.retain(|set| name_of(set) != name),
        }
    }
    environment
}

/// Sets a variable in a list of `NAME=VALUE`.
pub fn set(environment: &mut Vec<String>, variable: String) {
    match environment.iter_mut().find(|set| name_of(set) == name_of(&variable)) {
        Some(set) => *set = variable,
        None => environment.push(variable),
    }
}

fn name_of(variable: &str) -> &str {
    variable.split_once('=').map_or(variable, |(name, _)| name)
}

fn directory(inputs: &Inputs) -> String {
    let directory = inputs.service.working_dir.as_deref().unwrap_or(&inputs.image.working_dir);
    if directory.starts_with('/') { directory.to_owned() } else { format!("/{directory}") }
}

/// As execve(2) has it: a user that isn't root holds none, and can get at them by a set-user-id program at most.
pub(super) fn held_by(user: &oci::User, capabilities: &[String]) -> oci::Capabilities {
    let held = if user.uid == 0 { capabilities.to_vec() } else { Vec::new() };
    oci::Capabilities { bounding: capabilities.to_vec(), effective: held.clone(), permitted: held }
}

fn rlimits(inputs: &Inputs) -> Vec<oci::Rlimit> {
    // -1 is no limit, which the kernel writes with all bits set.
    let value = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
    let limits = inputs.service.ulimits.iter();
    let rlimit = |(name, limit): (&String, &Ulimit)| oci::Rlimit {
        kind: format!("RLIMIT_{}", name.to_ascii_uppercase()),
        soft: value(limit.soft),
        hard: value(limit.hard),
    };
    limits.map(rlimit).collect()
}
