//! Which container of a service a command is for.

use super::Session;
use crate::actual::{member_of, members};
use crate::error::{Error, Result};
use crate::model::types::Project;
use crate::observe::Observed;

/// The container of a service that runs: of that number, or the first one. Containers of `run` come last.
///
/// Errors: in docker compose's words.
pub async fn running(
    session: &Session,
    project: &Project,
    service: &str,
    index: Option<u32>,
) -> Result<Observed> {
    let containers = of_service(session, project, service, true).await?.into_iter();
    let is_meant = |one: &Observed| one.state.is_up() && is_number(one, index);
    containers.into_iter().find(is_meant).ok_or_else(|| {
        Error::new(match index {
            Some(index) => format!("service {service:?} is not running container #{index}"),
            None => format!("service {service:?} is not running"),
        })
    })
}

/// The containers of a service by their numbers, and then those of `run` if `all`.
///
/// Errors: there is no such service.
pub async fn of_service(
    session: &Session,
    project: &Project,
    service: &str,
    all: bool,
) -> Result<Vec<Observed>> {
    if !project.services.contains_key(service) {
        return Err(Error::new(format!("no such service: {service}")));
    }
    let mut containers = members(&session.engine, &project.name).await?;
    containers.retain(|one| {
        member_of(one).is_some_and(|member| member.service == service && (all || !member.one_off))
    });
    containers.sort_by_key(|one| member_of(one).map(|member| (member.one_off, member.number)));
    Ok(containers)
}

/// Whether a container has the number, or none is asked for.
pub fn is_number(one: &Observed, index: Option<u32>) -> bool {
    index.is_none_or(|index| member_of(one).is_some_and(|member| !member.one_off && member.number == index))
}
