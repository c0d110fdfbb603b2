//! `ls`: the projects of the namespace.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Session;
use crate::actual::member_of;
use crate::cli::compose::Ls;
use crate::commands::{Ended, print, say};
use crate::observe;
use crate::view::table::{self, Column};

const COLUMNS: [Column; 3] = [("Name", "NAME"), ("Status", "STATUS"), ("ConfigFiles", "CONFIG FILES")];

/// The projects that have containers, those of which one runs unless `all`.
pub async fn ls(session: &Session, asked: &Ls) -> Ended {
    let mut projects: BTreeMap<String, (BTreeMap<&str, usize>, String)> = BTreeMap::new();
    let containers = observe::containers(&session.engine).await?;
    for one in &containers {
        let Some(member) = member_of(one) else { continue };
        let (states, files) = projects.entry(member.project.clone()).or_default();
        *states.entry(one.state.name()).or_default() += 1;
        files.clone_from(&member.files);
    }
    projects.retain(|_, (states, _)| asked.all || states.contains_key("running"));
    projects.retain(|name, _| asked.named.as_ref().is_none_or(|part| name.contains(part)));
    if asked.quiet {
        projects.keys().for_each(say);
        return Ok(0);
    }
    let rows: Vec<Value> = projects
        .iter()
        .map(|(name, (states, files))| {
            let states: Vec<String> =
                states.iter().map(|(state, count)| format!("{state}({count})")).collect();
            json!({"Name": name, "Status": states.join(", "), "ConfigFiles": files})
        })
        .collect();
    match asked.format.as_deref() {
        Some("json") => say(Value::from(rows)),
        format => {
            print(&table::list(&rows, &COLUMNS, &COLUMNS, format.filter(|format| *format != "table"))?)?
        }
    }
    Ok(0)
}
