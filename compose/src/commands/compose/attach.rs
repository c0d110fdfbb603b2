//! `attach`: our streams and those of a service's container.

use super::{Session, chosen};
use crate::cli::inside::Attach;
use crate::commands::{Ended, attach};
use crate::model::types::Project;

pub async fn attach(session: &Session, project: &Project, asked: &Attach) -> Ended {
    let one = chosen::running(session, project, &asked.name, asked.index).await?;
    attach::tied(&session.of_one(), &one, asked).await
}
