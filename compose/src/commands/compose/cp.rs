//! `cp`: files between a service's containers and the host.

use super::{Session, chosen};
use crate::apply::copy::{Copying, Host};
use crate::cli::inside::CopyServices;
use crate::commands::Ended;
use crate::commands::cp::{Sides, copied, meant};
use crate::error::{Context, Error, tell};
use crate::model::types::Project;

/// From the first of the containers, or to all of them, unless one is meant.
pub async fn cp(session: &Session, project: &Project, asked: &CopyServices) -> Ended {
    let (service, copying) = meant(&asked.copy)?.map_err(|sides| {
        Error::new(match sides {
            Sides::Both => "copying between services is not supported",
            Sides::None => "unknown copy direction",
        })
    })?;
    let mut containers = chosen::of_service(session, project, &service, asked.all).await?;
    containers.retain(|one| chosen::is_number(one, asked.index));
    if containers.is_empty() {
        return Err(Error::new(match asked.index {
            Some(index) => format!("service {service:?} has no container #{index}"),
            None => format!("no container found for service {service:?}"),
        }));
    }
    match copying {
        Copying::Out { .. } => containers.truncate(1),
        Copying::In { from: Host::Tar, .. } if containers.len() > 1 => {
            return Err(Error::new(
                "standard input can be copied to one container alone: say which by --index",
            ));
        }
        Copying::In { .. } => {}
    }
    for one in &containers {
        tell(format_args!(" Container {}  Copying", one.name()));
        copied(&session.of_one(), one, one.name(), copying.clone(), &asked.copy).await.at(one.name())?;
        tell(format_args!(" Container {}  Copied", one.name()));
    }
    Ok(0)
}
