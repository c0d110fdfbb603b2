//! `down`.

use std::collections::BTreeMap;

use super::{Session, images, progress};
use crate::actual::members;
use crate::apply::sweep::sweep;
use crate::cli::compose::Down;
use crate::commands::Ended;
use crate::disk;
use crate::error::tell_lines;
use crate::model::types::Project;
use crate::net;
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
        tell_lines(format_args!("Warning: No resource found to remove for project {:?}.", project.name));
    }
    if !session.dry_run {
        progress::tell_stopped(session.telling, &plan.removed_at_rest());
    }
    session.carry_out(held, project, &Facts::default(), &BTreeMap::new(), &plan, asked.stop_seconds).await?;
    images::remove(session, project, asked.images).await?;
    if session.dry_run {
        return Ok(0);
    }
    // What a command that was killed meanwhile has left of its containers' networks.
    if let Err(err) = net::sweep::sweep(&session.disk, Care::Quick) {
        tell_lines(format_args!("warning: {err}"));
    }
    if asked.plan.services.is_empty() {
        let _held = session.lock(project).await?;
        // While containers were stopped another command may have brought the project up again.
        if members(&session.engine, &project.name).await?.is_empty() {
            disk::remove_dir(&session.disk.project(&project.name))?;
        }
    }
    Ok(0)
}
