//! `ps`: the containers of a project.

use serde_json::{Value, json};

use super::Session;
use crate::actual::{member_of, members};
use crate::cli::compose::Ps;
use crate::commands::{Ended, print, say};
use crate::model::types::Project;
use crate::observe::Observed;
use crate::plan::selection;
use crate::view::table::{self, Column};
use crate::{time, view};

const COLUMNS: [Column; 7] = [
    ("Name", "NAME"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("Service", "SERVICE"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
];

/// The containers of the services, those that run unless `all`.
pub async fn ps(session: &Session, project: &Project, asked: &Ps) -> Ended {
    let selected = selection::named(project, &asked.services)?;
    let mut containers = members(&session.engine, &project.name).await?;
    // Containers of `run` are none of the service's own.
    let is_own = |one: &Observed| member_of(one).is_some_and(|member| !member.one_off);
    containers.retain(|one| asked.all || (one.state.is_up() && is_own(one)));
    containers.retain(|one| {
        let service = member_of(one).map(|member| member.service.as_str()).unwrap_or_default();
        asked.services.is_empty() || selected.contains(service)
    });
    if asked.quiet {
        containers.iter().for_each(|one| say(one.id()));
        return Ok(0);
    }
    let rows: Vec<Value> = containers.iter().map(row).collect();
    match asked.format.as_deref() {
        Some("json") => rows.iter().for_each(say),
        format => {
            print(&table::list(&rows, &COLUMNS, &COLUMNS, format.filter(|format| *format != "table"))?)?
        }
    }
    Ok(0)
}

fn row(one: &Observed) -> Value {
    let mut row = view::ps::row(one, time::now(), false);
    let member = member_of(one).cloned().unwrap_or_default();
    row["Name"] = json!(one.name());
    row["Service"] = json!(member.service);
    row["Project"] = json!(member.project);
    row["Health"] = json!(
        one.kept
            .health
            .as_ref()
            .map(|health| format!("{:?}", health.status).to_lowercase())
            .unwrap_or_default()
    );
    row["ExitCode"] = match one.state {
        crate::observe::State::Exited { code, .. } => json!(code),
        _ => json!(0),
    };
    row
}
