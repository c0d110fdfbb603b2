//! `build`, and what `up` builds.

use std::collections::BTreeSet;

use super::Session;
use crate::build::Progress;
use crate::build::buildctl::Buildctl;
use crate::build::from_model::{self, Options};
use crate::cli::build::BuildServices;
use crate::commands::{Ended, say};
use crate::error::{self, Context, Result, tell_lines};
use crate::model::effective::image_name;
use crate::model::types::Project;
use crate::plan::selection;

/// Builds the images of services.
pub async fn build(session: &Session, project: &Project, asked: &BuildServices) -> Ended {
    let mut selected = selection::named(project, &asked.services)?;
    if asked.with_dependencies {
        selected = selection::with_dependencies(project, selected);
    }
    selected.retain(|name| project.services[name].build.is_some());
    if selected.is_empty() {
        tell_lines(format_args!("No services to build"));
        return Ok(0);
    }
    services(session, project, &selected, &asked.options, &asked.progress).await?;
    Ok(0)
}

/// Builds these services, those first whose images they are built from. With `--dry-run` says how.
pub async fn services(
    session: &Session,
    project: &Project,
    wanted: &BTreeSet<String>,
    options: &Options,
    progress: &Progress,
) -> Result<()> {
    let mut requests = Vec::new();
    for name in from_model::in_order(project, wanted)? {
        let service = &project.services[&name];
        let Some(build) = &service.build else { continue };
        let request = from_model::request(project, &name, service, build, options);
        let at = format!("services.{name}.build");
        requests.push((image_name(project, &name, service), request.at(&at)?, at));
    }
    if requests.is_empty() {
        return Ok(());
    }
    if session.dry_run {
        for (image, request, _) in &requests {
            say(format_args!("     build {image}: {}", Buildctl::explain(request)?));
        }
        return Ok(());
    }
    let buildctl = Buildctl::find(&session.engine).await?;
    for (image, request, at) in &requests {
        let tell = |what: &str| {
            if !progress.is_quiet() {
                error::tell(format_args!(" Image {image}  {what}"));
            }
        };
        tell("Building");
        let built = buildctl.build(&session.engine, &session.disk, request, progress).await;
        built.inspect_err(|_| tell("Error")).at(at)?;
        tell("Built");
    }
    Ok(())
}
