//! `start`, `stop`, `restart`.

use std::collections::BTreeMap;

use super::{Session, facts, images};
use crate::cli::compose::StopServices;
use crate::commands::Ended;
use crate::model::types::Project;
use crate::plan::graph::Plan;
use crate::plan::wanted::Facts;
use crate::plan::{lifecycle, selection};

pub async fn start(session: &Session, project: &Project, services: &[String]) -> Ended {
    let _lock = session.lock(project).await?;
    let plan = lifecycle::start(project, &session.actual(project).await?, services)?;
    // Hooks before the start run in containers of their own, which are made of images.
    let mut hooked = selection::named(project, services)?;
    hooked.retain(|name| !project.services[name].pre_start.is_empty());
    let images = images::ensure(session, project, &hooked, None).await?;
    let facts = facts::of(project, &images)?;
    session.carry_out(project, &facts, &images, &plan, None).await.map(|()| 0)
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
