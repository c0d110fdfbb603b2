//! Which services take part: by profiles, by names on the command line, and what they use.

use super::types::{Map, Project, Service};
use crate::error::{Error, Result};
use std::collections::BTreeSet;

impl Project {
    /// Switches off the services that have profiles and none of the active ones. `*` is every profile. A service of
    /// `named` is on, and makes its profiles active.
    pub fn switch_off(&mut self, active: &[String], named: &[String]) {
        let mut active = active.to_vec();
        for service in named.iter().filter_map(|name| self.services.get(name)) {
            active.extend(service.profiles.iter().cloned());
        }
        let services =
            std::mem::take(&mut self.services).into_iter().chain(std::mem::take(&mut self.disabled));
        let is_on = |service: &Service| {
            let listed = |profile: &String| profile == "*" || service.profiles.contains(profile);
            service.profiles.is_empty() || active.iter().any(listed)
        };
        (self.services, self.disabled) = services.partition(|(_, service)| is_on(service));
    }

    /// Lets the services of these names depend on none that is switched off.
    pub fn forget_what_is_off(&mut self, names: &[String]) {
        let off = &self.disabled;
        for (_, service) in self.services.iter_mut().filter(|(name, _)| names.contains(name)) {
            service.depends_on.retain(|name, _| !off.contains_key(name));
        }
    }

    /// Leaves on the services of these names, and those that go before them.
    ///
    /// Errors: names and dependencies of no service, and dependencies that are switched off.
    pub fn select(&mut self, names: &[String], with_dependencies: bool) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            if !self.services.contains_key(name) {
                return Err(Error::new(format!("{name}: no such service")));
            }
        }
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = names.to_vec();
        while let Some(name) = open.pop() {
            let Some(service) = self.services.get(&name) else { continue };
            let before = service.depends_on.iter().filter(|_| with_dependencies);
            for (other, dependency) in before {
                if self.services.contains_key(other) {
                    open.extend((!wanted.contains(other)).then(|| other.clone()));
                } else if dependency.required {
                    let why =
                        if self.disabled.contains_key(other) { "is switched off" } else { "isn't defined" };
                    return Err(Error::new(format!(
                        "services.{name}.depends_on.{other}: is a service that {why}"
                    )));
                }
            }
            wanted.insert(name);
        }
        let services = std::mem::take(&mut self.services);
        let (on, off): (Map<Service>, Map<Service>) =
            services.into_iter().partition(|(name, _)| wanted.contains(name));
        self.services = on;
        self.disabled.extend(off);
        Ok(())
    }

    /// Drops networks, volumes, secrets, configs and models that no service uses.
    pub fn drop_unused(&mut self) {
        let services = || self.services.values();
        let builds = || services().filter_map(|service| service.build.as_ref());
        let sources = |mount: &super::types::Mount| mount.source.clone();
        let networks: BTreeSet<String> =
            services().flat_map(|service| service.networks.keys().cloned()).collect();
        let models: BTreeSet<String> =
            services().flat_map(|service| service.models.keys().cloned()).collect();
        let volumes: BTreeSet<String> =
            services().flat_map(|s| s.volumes.iter().filter_map(sources)).collect();
        let configs: BTreeSet<String> =
            services().flat_map(|s| s.configs.iter().map(|f| f.source.clone())).collect();
        let secrets =
            services().flat_map(|service| &service.secrets).chain(builds().flat_map(|build| &build.secrets));
        let secrets: BTreeSet<String> = secrets.map(|file| file.source.clone()).collect();
        self.networks.retain(|name, _| networks.contains(name));
        self.volumes.retain(|name, _| volumes.contains(name));
        self.secrets.retain(|name, _| secrets.contains(name));
        self.configs.retain(|name, _| configs.contains(name));
        self.models.retain(|name, _| models.contains(name));
    }
}
