//! The project's name: `-p`, else `COMPOSE_PROJECT_NAME`, else `name:`, else the directory's.

use super::load::{Layers, Loader};
use super::node::{Node, Path};
use super::request::Request;
use crate::error::{Error, Result};

/// The name of the project that the request means.
///
/// Errors: a name of other characters than `[a-z0-9][a-z0-9_-]*`, where it is the user's own.
pub fn of_project(loader: &mut Loader, request: &Request, layers: &Layers) -> Result<String> {
    let variable = layers.environment.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
    let given = request.name.as_ref().filter(|name| !name.is_empty());
    let given =
        given.map(|name| ("--project-name", name)).or(variable.map(|name| ("COMPOSE_PROJECT_NAME", name)));
    if let Some((from, name)) = given {
        return if lowered(name) == *name { Ok(name.clone()) } else { Err(bad(from, name)) };
    }
    let mut name = String::new();
    for file in &layers.files {
        for document in loader.raw(file, None)?.iter() {
            let Some(text) = document.get("name").and_then(Node::as_text) else { continue };
            let path = Path::of(&["name"]);
            let text = loader.expand(text, &layers.environment);
            name = lowered(&text.map_err(|what| document.locate(&path).wrong(&path, what))?);
        }
    }
    if name.is_empty() {
        let directory = layers.directory.file_name().unwrap_or_default();
        name = lowered(&directory.to_string_lossy());
    }
    if name.is_empty() {
        let directory = layers.directory.display();
        return Err(Error::new(format!("{directory}: gives the project no name: say one by --project-name")));
    }
    Ok(name)
}

/// The name with what can't be in one left out.
fn lowered(text: &str) -> String {
    let is_part = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let name: String = text.to_lowercase().chars().filter(is_part).collect();
    name.trim_start_matches(['_', '-']).to_owned()
}

fn bad(from: &str, name: &str) -> Error {
    Error::new(format!("{from}: {name:?} must be of a-z, 0-9, `-`, `_`, and begin with a letter or a digit"))
}
