//! `config`: the project as it is understood.

use super::project;
use crate::apply::image;
use crate::cli::config::{Digests, Format, Options, What};
use crate::engine::Engine;
use crate::error::{Context, Error, Kind, Result};
use crate::model::interpolate::{Asked, asked};
use crate::model::load::Refusal;
use crate::model::node::Node;
use crate::model::request::Request;
use crate::model::types::{Project, Service};
use crate::model::{as_written, hash, print};
use crate::reference::Reference;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// Prints what is asked for.
pub fn run(request: &Request, options: &Options) -> Result<()> {
    let text = match &options.what {
        What::Variables => variables(&project::as_written(request)?.0, options.format)?,
        // What the machine has to say is the same either way.
        What::Environment | What::Hashes(_) => text(&mut loaded(request, options)?, options)?,
        _ if options.without.interpolation => {
            let (tree, name) = project::as_written(request)?;
            text_as_written(&tree, &name, options)?
        }
        _ => text(&mut loaded(request, options)?, options)?,
    };
    write(&text, options)
}

/// The same, with the digests of the images that are here.
pub async fn run_with_digests(request: &Request, options: &Options, engine: &Engine) -> Result<()> {
    let mut project = loaded(request, options)?;
    for (name, service) in &mut project.services {
        let Some(typed) = &service.image else { continue };
        let reference = Reference::parse(typed)?;
        if reference.digest().is_none() {
            let found = image::find(engine, typed, None).await.map_err(|err| match err.kind() {
                Kind::NotFound => {
                    let why = "isn't here, so its digest isn't known: pull it first";
                    Error::new(format!("services.{name}.image: {}: {why}", reference.familiar()))
                }
                _ => err,
            });
            service.image = Some(format!("{}@{}", reference.full(), found?.target));
        }
    }
    if options.digests == Digests::Locked {
        let only = |service: Service| Service { image: service.image, ..Service::default() };
        let services = project.services.into_iter().map(|(name, service)| (name, only(service))).collect();
        project = Project { services, ..Project::default() };
    }
    write(&text(&mut project, options)?, options)
}

/// The project, of the services that are asked for.
fn loaded(request: &Request, options: &Options) -> Result<Project> {
    let loaded = project::look_at(request)?;
    let mut project = loaded.project;
    project.select(&options.services, true)?;
    let shows_variables = matches!(options.what, What::Project | What::Nothing | What::Hashes(_));
    let is_meant = |refusal: &&Refusal| {
        shows_variables && refusal.service.as_ref().is_some_and(|name| project.services.contains_key(name))
    };
    match loaded.unread.iter().find(is_meant) {
        Some(unread) => Err(Error::new(&unread.line)),
        None => Ok(project),
    }
}

fn write(text: &str, options: &Options) -> Result<()> {
    match &options.output {
        Some(file) => std::fs::write(file, text).at(file.display()),
        None => std::io::stdout().write_all(text.as_bytes()).at("standard output"),
    }
}

fn text(project: &mut Project, options: &Options) -> Result<String> {
    match &options.what {
        What::Project => {
            project.drop_unused();
            match options.format {
                Format::Yaml => print::yaml(project),
                Format::Json => print::json(project),
            }
        }
        What::Nothing | What::Variables => Ok(String::new()),
        What::Services => Ok(lines(project.services.keys().cloned())),
        What::Networks => Ok(lines(project.networks.keys().cloned())),
        What::Volumes => Ok(lines(project.volumes.keys().cloned())),
        What::Models => Ok(lines(project.models.keys().cloned())),
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

/// The same of a project whose variables stand as they are written: all its services.
fn text_as_written(tree: &Node, name: &str, options: &Options) -> Result<String> {
    match &options.what {
        What::Project => match options.format {
            Format::Yaml => print::yaml_as_written(tree),
            Format::Json => print::json_as_written(tree),
        },
        What::Services => Ok(lines(as_written::names(tree, "services"))),
        What::Networks => Ok(lines(as_written::names(tree, "networks"))),
        What::Volumes => Ok(lines(as_written::names(tree, "volumes"))),
        What::Models => Ok(lines(as_written::names(tree, "models"))),
        What::Profiles => Ok(lines(as_written::profiles(tree))),
        What::Images => Ok(lines(as_written::images(tree, name))),
        What::Nothing | What::Environment | What::Variables | What::Hashes(_) => Ok(String::new()),
    }
}

/// The variables that a tree asks for. Of one that is asked for in several ways all is told that is said.
fn variables(tree: &Node, format: Format) -> Result<String> {
    const WIDTH_MIN: usize = 20;
    const GAP: usize = 3;
    let mut texts = Vec::new();
    as_written::texts(tree, &mut texts);
    let mut found: BTreeMap<String, Asked> = BTreeMap::new();
    for one in texts.iter().flat_map(|text| asked(text)) {
        let known = found.entry(one.name.clone()).or_insert_with(|| one.clone());
        known.required |= one.required;
        for (known, more) in
            [(&mut known.default_value, one.default_value), (&mut known.presence_value, one.presence_value)]
        {
            if known.is_empty() {
                *known = more;
            }
        }
    }
    if format == Format::Json {
        return serde_json::to_string_pretty(&found).map(|text| text + "\n").at("print the variables");
    }
    let heading = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
    let cells = |one: Asked| [one.name, one.required.to_string(), one.default_value, one.presence_value];
    let rows: Vec<[String; 4]> = [heading].into_iter().chain(found.into_values().map(cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count() + GAP).max().unwrap_or(0);
    let widths = [0, 1, 2].map(|column| width(column).max(WIDTH_MIN));
    Ok(lines(rows.iter().map(|[name, required, default, alternate]| {
        let [first, second, third] = widths;
        format!("{name:first$}{required:second$}{default:third$}{alternate}")
    })))
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
