//! `start`, `stop`, `restart`.

use std::collections::BTreeMap;

use super::Session;
use crate::cli::compose::StopServices;
use crate::commands::Ended;
use crate::model::types::Project;
use crate::plan::graph::Plan;
use crate::plan::lifecycle;
use crate::plan::wanted::Facts;

pub async fn start(session: &Session, project: &Project, services: &[String]) -> Ended {
    let _lock = session.lock(project).await?;
    let plan = lifecycle::start(project, &session.actual(project).await?, services)?;
    carry_out(session, project, &plan, None).await
}

pub async fn stop(session: &Session, project: &Project, asked: &StopServices) -> Ended {
    let _lock = session.lock(project).await?;
    let plan = lifecycle::stop(project, &session.actual(project).await?, &asked.services)?;
    carry_out(session, project, &plan, asked.seconds).await
}

pub async fn restart(session: &Session, project: &Project, asked: &StopServices, no_deps: bool) -> Ended {
    let _lock = session.lock(project).await?;
    let plan = lifecycle::restart(project, &session.actual(project).await?, &asked.services, no_deps)?;
    carry_out(session, project, &plan, asked.seconds).await
}

async fn carry_out(session: &Session, project: &Project, plan: &Plan, seconds: Option<i64>) -> Ended {
    session.carry_out(project, &Facts::default(), &BTreeMap::new(), plan, seconds).await.map(|()| 0)
}
