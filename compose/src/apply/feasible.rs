//! What a project asks for and can't be had here is told before anything is made.

use super::volume::{self, Volume};
use super::{keeper, resolved};
use crate::disk::Disk;
use crate::error::{Context, Result};
use crate::model::network_mode::is_built_in;
use crate::model::types::{Network as Defined, Project};
use crate::net::network::{Network, Wanted};
use crate::plan::graph::Action;

/// Whether a step of a plan can be done, as far as that is known before.
///
/// Errors: in Docker's words, behind the name of the network, the volume or the service.
pub fn check(disk: &Disk, project: &Project, action: &Action) -> Result<()> {
    match action {
        Action::Create(creation) => service(disk, project, &creation.target.service),
        Action::CreateNetwork(named) => match project.networks.get(&named.key) {
            Some(network) => {
                let wanted = Wanted::of(network, String::new()).and_then(|wanted| wanted.check());
                wanted.at(format_args!("network {}", named.name))
            }
            None => Ok(()),
        },
        Action::CreateVolume(named) => match project.volumes.get(&named.key) {
            Some(definition) => volume::check_kind(&Volume::of(definition)),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether a service's containers can be made, as far as that is known before.
pub fn service(disk: &Disk, project: &Project, name: &str) -> Result<()> {
    let Some(service) = project.services.get(name) else { return Ok(()) };
    let networks =
        service.networks.iter().filter_map(|(key, asked)| Some((project.networks.get(key)?, asked)));
    let mut external = networks.filter(|(network, _)| network.external && !is_built_in(&network.name));
    let on_networks = |(network, asked): (&Defined, _)| {
        keeper::ensure_network(disk, &network.name)?;
        Network::load(disk, &network.name)?.check_addresses(asked)
    };
    let fits = resolved::check(project, name, service).and_then(|()| external.try_for_each(on_networks));
    fits.at(format_args!("service {name:?}"))
}
