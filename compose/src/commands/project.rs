//! The project that a command is for.

use crate::error::{Error, Result, tell};
use crate::input;
use crate::model::load::{Files, Loaded, Refusal, load, load_as_written};
use crate::model::node::Node;
use crate::model::request::Request;
use crate::plan::selection::with_dependencies;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// The files of the disk, and standard input as `-`.
struct OnDisk;

impl Files for OnDisk {
    fn read(&self, file: &Path) -> io::Result<String> {
        if file == Path::new("-") { input::text_of_stdin() } else { input::text(file) }
    }
}

/// Loads the project for a command that only looks at it, and tells the user what to know of it.
pub fn look_at(request: &Request) -> Result<Loaded> {
    let loaded = load(&OnDisk, request)?;
    loaded.warnings.iter().for_each(|warning| tell(format_args!("warning: {warning}")));
    Ok(loaded)
}

/// Loads the project's tree, in which variables stand as they are written, and its name.
pub fn as_written(request: &Request) -> Result<(Node, String)> {
    load_as_written(&OnDisk, request)
}

/// Loads the project for a command that makes all of it, and tells the user what isn't made.
///
/// Errors: what the project asks for and can't be had, and files of variables that can't be read.
pub fn to_carry_out(request: &Request) -> Result<Loaded> {
    let loaded = to_run(request)?;
    refuse(&loaded, &loaded.unread, request)?;
    loaded.left_alone.iter().for_each(|warning| tell(format_args!("warning: {warning}")));
    Ok(loaded)
}

/// Loads the project for a command that does something with what is made of it.
///
/// Errors: what the project asks for and can't be had.
pub fn to_run(request: &Request) -> Result<Loaded> {
    let loaded = look_at(request)?;
    refuse(&loaded, &loaded.refusals, request)?;
    Ok(loaded)
}

/// Tells why the services can't be made that the request is for, a line each.
fn refuse(loaded: &Loaded, refusals: &[Refusal], request: &Request) -> Result<()> {
    let project = &loaded.project;
    let named = request.services.iter().filter(|name| project.services.contains_key(*name)).cloned();
    let mut services: BTreeSet<String> = named.collect();
    if request.services.is_empty() {
        services = project.services.keys().cloned().collect();
    } else if !request.no_deps {
        services = with_dependencies(project, services);
    }
    let is_meant = |refusal: &&Refusal| refusal.service.as_ref().is_none_or(|name| services.contains(name));
    let lines: Vec<&str> = refusals.iter().filter(is_meant).map(|refusal| refusal.line.as_str()).collect();
    match lines.split_last() {
        None => Ok(()),
        Some((last, others)) => {
            others.iter().for_each(tell);
            Err(Error::new(*last))
        }
    }
}
