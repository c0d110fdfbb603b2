//! The images of a project's services: found, or pulled before anything is planned.

use std::collections::{BTreeMap, BTreeSet};

use super::Session;
use crate::apply::image::{self, Image, Shows, When};
use crate::commands::Ended;
use crate::error::{Error, Kind, Result};
use crate::model::types::{Project, Service};
use crate::model::values::PullPolicy;

/// The image of each of the services, pulled where its policy or `always` says so.
pub async fn ensure(
    session: &Session,
    project: &Project,
    services: &BTreeSet<String>,
    policy: Option<When>,
) -> Result<BTreeMap<String, Image>> {
    let shows = if session.quiet_pull { Shows::Nothing } else { Shows::Progress };
    let mut images = BTreeMap::new();
    for (name, service) in project.services.iter().filter(|(name, _)| services.contains(*name)) {
        let typed = name_of(project, name, service);
        let when = policy.unwrap_or(when(service));
        let platform = service.platform.as_deref();
        let found = image::ensure(&session.engine, &typed, when, platform, shows).await;
        let image = found.map_err(|err| match (&service.build, err.kind()) {
            (Some(_), Kind::NotFound) => Error::new(format!(
                "services.{name}: {typed} isn't there, and is to be built: building can't be done here yet"
            )),
            _ => Error::of_kind(err.kind(), format!("services.{name}: {err}")),
        })?;
        images.insert(name.clone(), image);
    }
    Ok(images)
}

/// The image's name as the service has it, or the name of what it builds.
pub fn name_of(project: &Project, name: &str, service: &Service) -> String {
    service.image.clone().unwrap_or_else(|| format!("{}-{name}", project.name))
}

fn when(service: &Service) -> When {
    match service.pull_policy {
        Some(PullPolicy::Always | PullPolicy::Every(_)) => When::Always,
        Some(PullPolicy::Never | PullPolicy::Build) => When::Never,
        Some(PullPolicy::Missing) | None if service.build.is_some() => When::Never,
        Some(PullPolicy::Missing) | None => When::Missing,
    }
}

/// `pull`
pub async fn pull(session: &Session, project: &Project, services: &[String]) -> Ended {
    let selected = crate::plan::selection::named(project, services)?;
    let pulled: BTreeSet<String> =
        selected.into_iter().filter(|name| project.services[name].build.is_none()).collect();
    ensure(session, project, &pulled, Some(When::Always)).await.map(|_| 0)
}
