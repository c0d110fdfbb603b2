//! `config`: the project as it is understood.

use super::project;
use crate::cli::config::{Format, Options, What};
use crate::error::{Context, Error, Result};
use crate::model::load::Refusal;
use crate::model::request::Request;
use crate::model::types::Project;
use crate::model::{hash, print};
use std::collections::BTreeSet;
use std::io::Write;

/// Prints what is asked for.
pub fn run(request: &Request, options: &Options) -> Result<()> {
    let loaded = project::look_at(request)?;
    let mut project = loaded.project;
    project.select(&options.services, true)?;
    let shows_variables = matches!(options.what, What::Project(_) | What::Nothing | What::Hashes(_));
    let is_meant = |refusal: &&Refusal| {
        shows_variables && refusal.service.as_ref().is_some_and(|name| project.services.contains_key(name))
    };
    if let Some(unread) = loaded.unread.iter().find(is_meant) {
        return Err(Error::new(&unread.line));
    }
    let text = text(&mut project, &options.what)?;
    match &options.output {
        Some(file) => std::fs::write(file, text).at(file.display()),
        None => std::io::stdout().write_all(text.as_bytes()).at("standard output"),
    }
}

fn text(project: &mut Project, what: &What) -> Result<String> {
    match what {
        What::Project(format) => {
            project.drop_unused();
            match format {
                Format::Yaml => print::yaml(project),
                Format::Json => print::json(project),
            }
        }
        What::Nothing => Ok(String::new()),
        What::Services => Ok(lines(project.services.keys().cloned())),
        What::Networks => Ok(lines(project.networks.keys().cloned())),
        What::Volumes => Ok(lines(project.volumes.keys().cloned())),
        What::Profiles => Ok(lines(profiles(project))),
        What::Images => Ok(lines(project.services.iter().filter_map(|(name, service)| {
            let built = || service.build.as_ref().map(|_| format!("{}-{name}", project.name));
            service.image.clone().or_else(built)
        }))),
        What::Environment => {
            Ok(lines(project.environment.iter().map(|(name, value)| format!("{name}={value}"))))
        }
        What::Hashes(names) => hashes(project, names),
    }
}

fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

fn profiles(project: &Project) -> BTreeSet<String> {
    let services = project.services.values().chain(project.disabled.values());
    services.flat_map(|service| service.profiles.iter().cloned()).collect()
}

fn hashes(project: &Project, names: &str) -> Result<String> {
    let names: Vec<&str> = match names {
        "*" => project.services.keys().map(String::as_str).collect(),
        names => names.split(',').map(str::trim).collect(),
    };
    let line = |name: &str| {
        let service =
            project.services.get(name).ok_or_else(|| Error::new(format!("{name}: no such service")))?;
        Ok(format!("{name} {}", hash::service(service)?))
    };
    Ok(lines(names.into_iter().map(line).collect::<Result<Vec<_>>>()?))
}
