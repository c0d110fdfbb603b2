//! The images of a project's services: found, pulled or built before anything is planned.

use std::collections::{BTreeMap, BTreeSet};

use super::{Session, build};
use crate::apply::image::{self, Image, Shows, When};
use crate::build::Progress;
use crate::build::from_model::Options;
use crate::cli::compose::Building;
use crate::client_config::proxies;
use crate::commands::{Ended, say};
use crate::error::{Error, Kind, Result};
use crate::model::effective::image_name;
use crate::model::types::{Project, Service};
use crate::model::values::PullPolicy;

/// The image of each of the services, pulled or built where its policy or `policy` says so, or where it isn't there.
pub async fn ensure(
    session: &Session,
    project: &Project,
    services: &BTreeSet<String>,
    policy: Option<When>,
) -> Result<BTreeMap<String, Image>> {
    ensure_built(session, project, services, policy, Building::Missing).await
}

/// The same, where `building` says what is built.
pub async fn ensure_built(
    session: &Session,
    project: &Project,
    services: &BTreeSet<String>,
    policy: Option<When>,
    building: Building,
) -> Result<BTreeMap<String, Image>> {
    let mut wanted = BTreeSet::new();
    for (name, service) in project.services.iter().filter(|(name, _)| services.contains(*name)) {
        if service.build.is_some() && is_to_build(session, project, (name, service), policy, building).await?
        {
            wanted.insert(name.clone());
        }
    }
    let options = Options { proxies: proxies::variables(), ..Options::default() };
    build::services(session, project, &wanted, &options, &Progress::of(None, false)).await?;
    let shows = if session.quiet_pull { Shows::Nothing } else { Shows::Progress };
    let mut images = BTreeMap::new();
    for (name, service) in project.services.iter().filter(|(name, _)| services.contains(*name)) {
        let typed = image_name(project, name, service);
        let when = if service.build.is_some() { When::Never } else { policy.unwrap_or(when(service)) };
        let when = if session.dry_run { When::Never } else { when };
        let platform = service.platform.as_deref();
        let found = image::ensure(&session.engine, &typed, when, platform, shows).await;
        match found {
            Ok(image) => drop(images.insert(name.clone(), image)),
            Err(err) if session.dry_run && err.kind() == Kind::NotFound => {
                if service.build.is_none() {
                    say(format_args!("     pull {typed}  (not there)"));
                }
            }
            Err(err) => return Err(Error::of_kind(err.kind(), format!("services.{name}: {err}"))),
        }
    }
    Ok(images)
}

/// Whether a service that can be built has to be.
async fn is_to_build(
    session: &Session,
    project: &Project,
    (name, service): (&str, &Service),
    policy: Option<When>,
    building: Building,
) -> Result<bool> {
    let is_asked = building == Building::All || service.pull_policy == Some(PullPolicy::Build);
    if building == Building::None || is_asked {
        return Ok(building != Building::None);
    }
    let typed = image_name(project, name, service);
    let platform = service.platform.as_deref();
    let is_pulled = service.image.is_some() && policy.unwrap_or(when(service)) == When::Always;
    let when = if is_pulled && !session.dry_run { When::Always } else { When::Never };
    match image::ensure(&session.engine, &typed, when, platform, Shows::Progress).await {
        Ok(_) => Ok(false),
        // As docker compose does: what can't be pulled is built.
        Err(err) if is_pulled || err.kind() == Kind::NotFound => Ok(true),
        Err(err) => Err(err),
    }
}

fn when(service: &Service) -> When {
    match service.pull_policy {
        Some(PullPolicy::Always | PullPolicy::Every(_)) => When::Always,
        Some(PullPolicy::Never | PullPolicy::Build) => When::Never,
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
