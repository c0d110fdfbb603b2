//! `logs`: the output of a project's containers, each line behind its container's name.

use std::time::Duration;

use super::Session;
use crate::actual::{member_of, members};
use crate::cli::compose::Logs;
use crate::commands::Ended;
use crate::commands::logs::{Log, Show};
use crate::error::Result;
use crate::keep;
use crate::model::types::Project;
use crate::observe::Observed;
use crate::plan::selection;

/// How often logs that are followed are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Shows the output, and if it is followed until no container is left that can write more.
pub async fn logs(session: &Session, project: &Project, asked: &Logs) -> Ended {
    let selected = selection::named(project, &asked.services)?;
    let is_meant = |one: &Observed| {
        member_of(one).is_some_and(|member| !member.one_off && selected.contains(&member.service))
    };
    let mut shown: Vec<(String, Log)> = Vec::new();
    let mut tail = asked.logs.tail;
    loop {
        let containers = members(&session.engine, &project.name).await?;
        let containers: Vec<&Observed> = containers.iter().filter(|one| is_meant(one)).collect();
        let width = containers.iter().map(|one| label(one).len()).max().unwrap_or_default();
        for one in &containers {
            let known = shown.iter().position(|(id, _)| id == one.id());
            let at = known.unwrap_or_else(|| {
                let log = Log::of(keep::log_path(&session.disk.container(one.id())));
                shown.push((one.id().to_owned(), log));
                shown.len() - 1
            });
            let prefix = if asked.no_prefix { String::new() } else { format!("{:width$}  | ", label(one)) };
            show(asked, &prefix, &mut shown[at].1, tail.filter(|_| known.is_none()), known.is_none())?;
        }
        let is_over = !containers.iter().any(|one| one.state.is_up() || one.kept.next_restart.is_some());
        if !asked.logs.follow || is_over {
            return Ok(0);
        }
        tail = None;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What docker compose puts before a line: the name without the project.
fn label(one: &Observed) -> String {
    member_of(one).map(|member| format!("{}-{}", member.service, member.number)).unwrap_or_default()
}

fn show(asked: &Logs, prefix: &str, log: &mut Log, tail: Option<usize>, is_new: bool) -> Result<()> {
    let entries = if is_new { log.all()? } else { log.rest()? };
    Show::of(&asked.logs)?.last_behind(prefix, &entries, tail);
    Ok(())
}
