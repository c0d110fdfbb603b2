//! What is there of a project: containers by one List each, networks and volumes from the disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::apply::{joined, keeper, volume};
use crate::disk::{self, Disk};
use crate::engine::Engine;
use crate::error::Result;
use crate::keep;
use crate::model::network_mode::{self, DEFAULT_NETWORK};
use crate::model::types::Project;
use crate::net::network::Network;
use crate::observe::{self, Observed};
use crate::plan::actual::{Actual, Container, Health, Hook, Object, State};
use crate::plan::wanted::containers_asked;
use crate::record::member;

/// What is there of a project, and its containers as they were seen.
pub async fn of(engine: &Engine, disk: &Disk, project: &Project) -> Result<(Actual, Vec<Observed>)> {
    let all = observe::containers(engine).await?;
    let asked = project.services.values().flat_map(containers_asked);
    let asked = asked.filter(|name| observe::find(&all, name).is_ok()).map(str::to_owned).collect();
    let outlived = |one| Some((Observed::id(one).to_owned(), joined::outlived(one, &all)?.to_owned()));
    let mut outlived: BTreeMap<String, String> = all.iter().filter_map(outlived).collect();
    let observed = of_project(all, &project.name);
    let mut containers: Vec<Container> = observed.iter().filter_map(container).collect();
    containers.iter_mut().for_each(|one| one.outlived = outlived.remove(&one.id));
    let by_mode = project.services.values().filter_map(network_mode::network);
    let named = project.networks.values().map(|network| network.name.as_str()).chain(by_mode);
    let named: BTreeSet<&str> = named.collect();
    if named.contains(DEFAULT_NETWORK) {
        // If it can't be made, it isn't there.
        drop(keeper::ensure_network(disk, DEFAULT_NETWORK));
    }
    let networks = Network::list(disk)?.into_iter();
    let networks = networks.filter(|network| {
        named.contains(network.name.as_str()) || member::is_of(&project.name, &network.labels)
    });
    let networks = networks.map(|network| {
        let hash = member::hash_of(&project.name, &network.labels);
        (network.name, Object { id: network.id, hash })
    });
    let mut volumes = Vec::new();
    for path in disk::list(&disk.volumes())? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let is_named = project.volumes.values().any(|volume| volume.name == name);
        let Some(found) = volume::find(disk, &name)? else { continue };
        if is_named || member::is_of(&project.name, &found.labels) {
            let hash = member::hash_of(&project.name, &found.labels);
            volumes.push((name, Object { id: found.created, hash }));
        }
    }
    let (networks, volumes) = (networks.collect(), volumes.into_iter().collect());
    Ok((Actual { containers, networks, volumes, asked }, observed))
}

/// The containers of a project, by service and number.
pub async fn members(engine: &Engine, project: &str) -> Result<Vec<Observed>> {
    Ok(of_project(observe::containers(engine).await?, project))
}

fn of_project(mut observed: Vec<Observed>, project: &str) -> Vec<Observed> {
    observed.retain(|one| member_of(one).is_some_and(|member| member.project == project));
    observed.sort_by_key(|one| member_of(one).map(|member| (member.service.clone(), member.number)));
    observed
}

/// Which container of which project it is.
pub fn member_of(one: &Observed) -> Option<&member::Member> {
    one.record.as_ref().and_then(|record| record.member.as_ref())
}

fn container(one: &Observed) -> Option<Container> {
    let record = one.record.as_ref()?;
    let member = record.member.as_ref()?;
    let is_anonymous = |volume: &String| record.anonymous_volumes.contains(volume);
    let anonymous = record.volumes.iter().filter(|(_, volume)| is_anonymous(volume));
    Some(Container {
        id: one.id().to_owned(),
        name: one.name().to_owned(),
        service: member.service.clone(),
        number: member.number,
        one_off: member.one_off,
        hook: member.hook_of.map(|command| match one.state {
            // Whoever looks at it finds why it has failed.
            observe::State::Exited { code: 1.., .. } => Hook::Wanted,
            _ if command.is_alive() => Hook::Wanted,
            _ => Hook::Abandoned,
        }),
        generation: member.generation,
        state: match one.state {
            observe::State::Created => State::Created,
            observe::State::Running => State::Running,
            observe::State::Paused => State::Paused,
            observe::State::Restarting { .. } => State::Restarting,
            observe::State::Exited { code, .. } => State::Exited(code),
        },
        health: one.kept.health.as_ref().filter(|_| one.state.is_up()).map(|health| match health.status {
            keep::Status::Starting => Health::Starting,
            keep::Status::Healthy => Health::Healthy,
            keep::Status::Unhealthy => Health::Unhealthy,
        }),
        made_of: member.made_of.clone(),
        outlived: None,
        anonymous_volumes: anonymous.map(|(target, volume)| (target.clone(), volume.clone())).collect(),
    })
}
