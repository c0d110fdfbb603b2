//! `exec`: one more process in a service's container.

use super::{Session, chosen};
use crate::cli::inside::ExecService;
use crate::commands::{Ended, code_of, exec};
use crate::error::tell_lines;
use crate::model::types::Project;

pub async fn exec(session: &Session, project: &Project, asked: &ExecService) -> Ended {
    let one = chosen::running(session, project, &asked.service, asked.index).await?;
    exec::ready(&one, &asked.exec)?;
    exec::within(&session.of_one(), &one, &asked.exec).await.or_else(|err| {
        tell_lines(format_args!("{err}"));
        Ok(code_of(&err))
    })
}
