//! Plans as text, and properties of plans on random projects, carried out in any order that a plan allows.

mod others;
mod properties;
mod texts;
mod world;

use std::collections::BTreeMap;

use super::wanted::Facts;
use crate::model::types::{Attachment, Dependency, Healthcheck, Mount, Network, Project, Service, Volume};
use crate::model::values::{Condition, MountKind};

/// A project of that name with the services.
fn project(services: impl IntoIterator<Item = (&'static str, Service)>) -> Project {
    let services: BTreeMap<String, Service> =
        services.into_iter().map(|(name, service)| (name.to_owned(), service)).collect();
    let named = |key: &str| format!("p_{key}");
    let networks =
        ["back", "front"].map(|key| (key.to_owned(), Network { name: named(key), ..Network::default() }));
    let volumes =
        ["data", "more"].map(|key| (key.to_owned(), Volume { name: named(key), ..Volume::default() }));
    Project {
        name: "p".into(),
        services,
        networks: networks.into(),
        volumes: volumes.into(),
        ..Project::default()
    }
}

fn service() -> Service {
    Service::default()
}

impl Service {
    fn after(mut self, name: &str, condition: Condition) -> Service {
        self.depends_on.insert(name.into(), Dependency { condition, ..Dependency::default() });
        self
    }

    fn restarting_with(mut self, name: &str) -> Service {
        let dependency = Dependency { restart: true, ..Dependency::default() };
        self.depends_on.insert(name.into(), dependency);
        self
    }

    fn on(mut self, network: &str) -> Service {
        self.networks.insert(network.into(), Attachment::default());
        self
    }

    fn mounting(mut self, volume: &str) -> Service {
        self.volumes.push(Mount {
            kind: MountKind::Volume,
            source: (!volume.is_empty()).then(|| volume.into()),
            target: format!("/{volume}"),
            ..Mount::default()
        });
        self
    }

    fn checked(mut self) -> Service {
        self.healthcheck = Some(Healthcheck::default());
        self
    }

    fn times(mut self, count: u32) -> Service {
        self.scale = Some(count);
        self
    }
}

/// Facts in which each definition's hash tells which edition it is of.
fn facts(project: &Project, edition: impl Fn(&str) -> u32) -> Facts {
    let hash = |key: &String| (key.clone(), format!("{key}:{}", edition(key)));
    let of_service = |(key, service): (&String, &Service)| {
        let alone = Service { depends_on: BTreeMap::new(), scale: None, ..service.clone() };
        (key.clone(), format!("{}:{}", edition(key), serde_json::to_string(&alone).unwrap()))
    };
    Facts {
        services: project.services.iter().map(of_service).collect(),
        images: project.services.keys().map(|key| (key.clone(), "image".into())).collect(),
        files: BTreeMap::new(),
        networks: project.networks.keys().map(hash).collect(),
        volumes: project.volumes.keys().map(hash).collect(),
    }
}
