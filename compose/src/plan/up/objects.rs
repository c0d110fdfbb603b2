//! What `up` makes and needs beside containers: networks, volumes, containers of others.

use std::collections::BTreeSet;

use super::super::actual::Container;
use super::super::graph::{Action, AnonymousVolumes, Cause, Named, StepId};
use super::super::wanted::{containers_asked, mode_by_network, service_of};
use super::Up;
use crate::error::{Error, Result};
use crate::model::network_mode::{self, is_built_in};
use crate::model::types::Service;

impl Up<'_> {
    pub(super) fn networks(&mut self) -> Result<()> {
        self.select_all_on_changed_networks();
        for (key, network) in &self.wanted.project.networks {
            if !self.is_used(key) {
                continue;
            }
            let named = Named { key: key.clone(), name: network.name.clone() };
            let (cause, after) = match self.actual.networks.get(&network.name) {
                None if network.external && is_built_in(&network.name) => continue,
                None if network.external => {
                    let line =
                        format!("network {} declared as external, but could not be found", network.name);
                    return Err(Error::new(line));
                }
                None => (Cause::Missing, None),
                Some(_) if self.has_changed(key) => (Cause::ConfigChanged, Some(self.remove_network(&named))),
                Some(_) => continue,
            };
            let step = self.plan.add(Action::CreateNetwork(named), cause, after);
            self.made.insert(network.name.clone(), step);
        }
        self.selected.iter().filter_map(|name| self.wanted.project.services.get(name)).try_for_each(
            |service| {
                self.refuse_mixed(service)?;
                match network_mode::network(service) {
                    Some(name)
                        if !self.actual.networks.contains_key(name) && !self.made.contains_key(name) =>
                    {
                        Err(Error::new(format!("network {name} not found")))
                    }
                    _ => Ok(()),
                }
            },
        )
    }

    /// Whoever is in the host's network, or in none, is in no other.
    fn refuse_mixed(&self, service: &Service) -> Result<()> {
        match mode_by_network(self.wanted.project, service) {
            Some(_) if service.networks.len() > 1 => Err(Error::new(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            )),
            _ => Ok(()),
        }
    }

    /// Containers that services ask for are there, or will be.
    pub(super) fn others(&self) -> Result<()> {
        let project = self.wanted.project;
        let services = self.selected.iter().filter_map(|name| project.services.get(name));
        let will_be = |name: &str| service_of(project, name).is_some_and(|key| self.selected.contains(key));
        let missing = services
            .flat_map(containers_asked)
            .find(|name| !self.actual.asked.contains(*name) && !will_be(name));
        missing.map_or(Ok(()), |name| Err(Error::new(format!("No such container: {name}"))))
    }

    fn is_used(&self, network: &str) -> bool {
        let services = self.selected.iter().filter_map(|name| self.wanted.project.services.get(name));
        services.into_iter().any(|service| service.networks.contains_key(network))
    }

    /// Whether the project has made the network by another definition.
    fn has_changed(&self, key: &str) -> bool {
        let Some(network) = self.wanted.project.networks.get(key) else { return false };
        let Some(found) = self.actual.networks.get(&network.name) else { return false };
        let wanted = self.wanted.facts.networks.get(key);
        !network.external && !found.hash.is_empty() && wanted.is_some_and(|hash| *hash != found.hash)
    }

    /// Containers on a network that is made anew are made anew, whose ever they are.
    fn select_all_on_changed_networks(&mut self) {
        let project = self.wanted.project;
        loop {
            let changed =
                project.networks.iter().filter(|(key, _)| self.is_used(key) && self.has_changed(key));
            let changed: Vec<&str> = changed.map(|(_, network)| network.name.as_str()).collect();
            let is_on_one = |container: &&Container| {
                changed.iter().any(|name| container.made_of.networks.contains_key(*name))
            };
            let before = self.selected.len();
            let on_one = self.actual.containers.iter().filter(is_on_one).map(|container| &container.service);
            self.selected.extend(on_one.filter(|name| project.services.contains_key(*name)).cloned());
            if self.selected.len() == before {
                return;
            }
        }
    }

    /// A network goes behind all containers that are on it.
    fn remove_network(&mut self, network: &Named) -> StepId {
        let actual = self.actual;
        let on_it = actual.containers.iter();
        let on_it = on_it.filter(|container| container.made_of.networks.contains_key(&network.name));
        let cause = || Cause::NetworkChanged(network.name.clone());
        let after: Vec<StepId> =
            on_it.map(|container| self.remove_once(container, cause(), AnonymousVolumes::Keep)).collect();
        self.plan.add(Action::RemoveNetwork(network.clone()), Cause::ConfigChanged, after)
    }

    pub(super) fn volumes(&mut self) -> Result<()> {
        let services = self.selected.iter().filter_map(|name| self.wanted.project.services.get(name));
        let used: BTreeSet<&str> = services
            .flat_map(|service| &service.volumes)
            .filter_map(|mount| mount.source.as_deref())
            .collect();
        for (key, volume) in self.wanted.project.volumes.iter().filter(|(key, _)| used.contains(key.as_str()))
        {
            let wanted = self.wanted.facts.volumes.get(key).cloned().unwrap_or_default();
            match self.actual.volumes.get(&volume.name) {
                None if volume.external => {
                    return Err(Error::new(format!("external volume {:?} not found", volume.name)));
                }
                None => {
                    let named = Named { key: key.clone(), name: volume.name.clone() };
                    let step = self.plan.add(Action::CreateVolume(named), Cause::Missing, []);
                    self.made.insert(volume.name.clone(), step);
                }
                Some(found) if volume.external || found.hash.is_empty() || found.hash == wanted => {}
                // What is in it is worth more than what is written about it.
                Some(_) => self.plan.warnings.push(format!(
                    "volume {}: its definition has changed; it stays as it is until it is removed",
                    volume.name
                )),
            }
        }
        Ok(())
    }
}
