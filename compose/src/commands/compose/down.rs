//! `down`.

use std::collections::BTreeMap;

use super::{Session, images, progress};
use crate::apply::sweep::sweep;
use crate::cli::compose::Down;
use crate::commands::Ended;
use crate::model::types::Project;
use crate::net::sweep::Care;
use crate::plan::down::down as planned;
use crate::plan::wanted::Facts;

/// Removes what the project has made.
pub async fn down(session: &Session, project: &Project, asked: &Down) -> Ended {
    let held = session.lock(project).await?;
    if !session.dry_run {
        sweep(&session.engine, &session.disk, Care::Anew).await?;
    }
    let actual = session.actual(project).await?;
    let plan = planned(project, &actual, &asked.plan)?;
    if plan.is_empty() && !session.dry_run {
        eprintln!("Warning: No resource found to remove for project {:?}.", project.name);
    }
    if !session.dry_run {
        progress::tell_stopped(session.telling, &plan.removed_at_rest());
    }
    session
        .carry_out(held.clone(), project, &Facts::default(), &BTreeMap::new(), &plan, asked.stop_seconds)
        .await?;
    images::remove(session, project, asked.images).await?;
    if !session.dry_run && asked.plan.services.is_empty() {
        crate::disk::remove_dir(&session.disk.project(&project.name))?;
    }
    Ok(0)
}
