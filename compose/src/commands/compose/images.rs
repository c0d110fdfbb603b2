//! The images of a project's services: found, pulled or built before anything is planned.

use std::collections::{BTreeMap, BTreeSet};

use super::{Session, build};
use crate::apply::image::{self, Image, Shows, When};
use crate::build::Progress;
use crate::build::from_model::Options;
use crate::cli::compose::{Building, ImagesOfDown};
use crate::cli::pull::Pull;
use crate::client_config::proxies;
use crate::commands::{Ended, say};
use crate::error::{self, Error, Kind, Result};
use crate::model::effective::image_name;
use crate::model::types::{Project, Service};
use crate::model::values::PullPolicy;
use crate::observe::{self, Observed};
use crate::plan::selection;

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
    build::services(session, project, &wanted, &options, &Progress::of(None, session.quiet_build)).await?;
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
pub async fn pull(session: &Session, project: &Project, asked: &Pull) -> Ended {
    let mut selected = selection::named(project, &asked.services)?;
    if asked.with_dependencies {
        selected = selection::with_dependencies(project, selected);
    }
    selected.retain(|name| project.services[name].build.is_none());
    let policy = Some(asked.when.unwrap_or(When::Always));
    if !asked.ignores_failures {
        return ensure(session, project, &selected, policy).await.map(|_| 0);
    }
    for name in selected {
        if let Err(err) = ensure(session, project, &BTreeSet::from([name]), policy).await {
            error::tell(format_args!("warning: {err}"));
        }
    }
    Ok(0)
}

/// Removes the images of services after `down`, but for those that a container still needs.
pub async fn remove(session: &Session, project: &Project, which: ImagesOfDown) -> Result<()> {
    let services = project.services.iter().filter(|(_, service)| match which {
        ImagesOfDown::None => false,
        ImagesOfDown::Local => service.image.is_none(),
        ImagesOfDown::All => true,
    });
    let names: BTreeSet<String> =
        services.map(|(name, service)| image_name(project, name, service)).collect();
    for typed in names {
        let found = match image::find(&session.engine, &typed, None).await {
            Err(err) if err.kind() == Kind::NotFound => {
                error::tell(format_args!(" Image {typed}  Warning: No resource found to remove"));
                continue;
            }
            found => found?,
        };
        if session.dry_run {
            say(format_args!("   remove image {typed}"));
            continue;
        }
        let containers = observe::containers(&session.engine).await?;
        let uses = |one: &Observed| one.record.as_ref().is_some_and(|record| record.image_id == found.id);
        if containers.iter().any(uses) {
            error::tell(format_args!(" Image {typed}  Resource is still in use"));
            continue;
        }
        error::tell(format_args!(" Image {typed}  Removing"));
        image::remove(&session.engine, &found.name).await?;
        error::tell(format_args!(" Image {typed}  Removed"));
    }
    Ok(())
}
