//! `export`, `commit`: what is in a service's container, as an archive or as an image.

use std::io::{IsTerminal, stdout};

use super::{Session, chosen};
use crate::cli::observe::Commit;
use crate::commands::{Ended, commit, diff};
use crate::error::{Error, Result, tell};
use crate::model::types::Project;
use crate::observe::{self, Observed};

/// The container of a service that is meant: of that number, or the first one, whether it runs or not.
async fn one(
    session: &Session,
    project: &Project,
    (service, index): (&str, Option<u32>),
) -> Result<Observed> {
    let containers = chosen::of_service(session, project, service, true).await?;
    containers.into_iter().find(|one| chosen::is_number(one, index)).ok_or_else(|| {
        Error::new(match index {
            Some(index) => format!("service {service:?} has no container #{index}"),
            None => format!("no container found for service {service:?}"),
        })
    })
}

pub async fn export(
    session: &Session,
    project: &Project,
    meant: (&str, Option<u32>),
    output: Option<&str>,
) -> Ended {
    if output.is_none() && stdout().is_terminal() {
        return Err(Error::new("output option is required when exporting to terminal"));
    }
    let one = one(session, project, meant).await?;
    tell(format_args!(" Container {}  Exporting", one.name()));
    diff::exported(&session.of_one(), &one, output).await?;
    tell(format_args!(" Container {}  Exported", one.name()));
    Ok(0)
}

pub async fn commit(
    session: &Session,
    project: &Project,
    meant: (&str, Option<u32>),
    asked: &Commit,
) -> Ended {
    let one = one(session, project, meant).await?;
    let containers = observe::containers(&session.engine).await?;
    tell(format_args!(" Container {}  Committing", one.name()));
    let id = commit::committed(&session.of_one(), (&one, &containers), asked).await?;
    tell(format_args!(" Container {}  Committed as {id}", one.name()));
    Ok(0)
}
