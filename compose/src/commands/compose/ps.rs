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
use crate::view::template;
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

/// The containers of the services: those that run, unless `all` or a state is asked for.
pub async fn ps(session: &Session, project: &Project, asked: &Ps) -> Ended {
    let selected = selection::named(project, &asked.services)?;
    let mut containers = members(&session.engine, &project.name).await?;
    // Containers of `run` are none of the service's own.
    let is_own = |one: &Observed| member_of(one).is_some_and(|member| !member.one_off);
    let is_of_all = asked.all || !asked.statuses.is_empty();
    containers.retain(|one| is_of_all || (one.state.is_listed() && is_own(one)));
    let has_status = |one: &Observed| asked.statuses.iter().any(|status| status == one.state.name());
    containers.retain(|one| asked.statuses.is_empty() || has_status(one));
    containers.retain(|one| {
        let is_any = asked.services.is_empty() && asked.orphans;
        is_any || selected.contains(service_of(one))
    });
    containers.sort_by(|one, other| one.name().cmp(other.name()));
    if asked.quiet {
        containers.iter().for_each(|one| say(one.id()));
        return Ok(0);
    }
    if asked.names {
        let mut names: Vec<&str> = Vec::new();
        for service in containers.iter().map(service_of) {
            if !names.contains(&service) {
                names.push(service);
            }
        }
        // As docker compose has it, there is a line even for none.
        say(names.join("\n"));
        return Ok(0);
    }
    let rows: Vec<Value> = containers.iter().map(|one| row(one, asked.no_trunc)).collect();
    match asked.format.as_deref() {
        Some("json") => rows.iter().map(template::shown).for_each(say),
        format => {
            print(&table::list(&rows, &COLUMNS, &COLUMNS, format.filter(|format| *format != "table"))?)?
        }
    }
    Ok(0)
}

fn service_of(one: &Observed) -> &str {
    member_of(one).map(|member| member.service.as_str()).unwrap_or_default()
}

fn row(one: &Observed, no_trunc: bool) -> Value {
    let mut row = view::ps::row(one, time::now(), no_trunc);
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
