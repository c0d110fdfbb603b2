//! `include`: other projects, whose services, networks, volumes, secrets and configs become this one's.

use super::load::{Layers, Loader};
use super::node::{Entry, Node, Path, Value, unknown_key};
use super::paths::{Base, is_elsewhere};
use crate::error::Result;
use std::path::PathBuf;

/// What is taken over from an included project.
const SECTIONS: [&str; 6] = ["services", "networks", "volumes", "secrets", "configs", "models"];

/// Projects that include each other in a row at most, so that no stack overflows.
const DEPTH_MAX: usize = 32;
/// Included projects at most, one that is included twice counted twice.
const INCLUDED_MAX: usize = 1000;

/// Takes over, into the file's tree, what the projects have that it includes.
///
/// Errors: projects that include each other in a circle, and two things of one name that aren't the same.
pub fn apply(loader: &mut Loader, tree: &mut Node, layers: &Layers) -> Result<()> {
    let Some(include) = tree.as_mapping_mut().and_then(|mapping| mapping.remove("include")) else {
        return Ok(());
    };
    let path = Path::of(&["include"]);
    let Value::List(items) = &include.node.value else {
        return Err(include.node.place.wrong(&path, "must be a list"));
    };
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        loader.included += 1;
        if loader.included > INCLUDED_MAX {
            return Err(item.place.wrong(&path, format_args!("is more than the {INCLUDED_MAX}th project")));
        }
        let included = layers_of(loader, item, &path, layers)?;
        let other = loader.layers(&included, Some((&item.place, &path)))?;
        import(tree, other)?;
    }
    Ok(())
}

/// The files, directory and environment of an included project.
fn layers_of(loader: &mut Loader, item: &Node, path: &Path, outer: &Layers) -> Result<Layers> {
    let base = Base { directory: &outer.directory, home: outer.environment.get("HOME").map(String::as_str) };
    let mut texts = |key: &str| -> Result<Vec<PathBuf>> {
        let Some(node) = item.get(key) else { return Ok(Vec::new()) };
        let wrong = || node.place.wrong(&path.key(key), "must be a path, or a list of paths");
        let texts = node.as_list().map(|items| items.iter().map(Node::as_text).collect::<Option<Vec<_>>>());
        let texts = texts.flatten().ok_or_else(wrong)?;
        if texts.iter().any(|text| is_elsewhere(text)) {
            return Err(node.place.wrong(&path.key(key), "is no file here, and isn't fetched"));
        }
        let file = |text| match loader.name_of_file(text, &outer.environment) {
            Ok(text) => Ok(base.absolute(&text).into()),
            Err(what) => Err(node.place.wrong(&path.key(key), what)),
        };
        texts.into_iter().map(file).collect()
    };
    known_keys(item, path)?;
    let files = texts("path")?;
    let Some(main) = files.first() else { return Err(item.place.wrong(path, "has no `path`")) };
    let including: Vec<PathBuf> = outer.including.iter().chain(outer.files.first()).cloned().collect();
    if including.len() >= DEPTH_MAX {
        return Err(item.place.wrong(path, format_args!("is more than {DEPTH_MAX} projects deep")));
    }
    if including.contains(main) {
        let files: Vec<String> =
            including.iter().chain([main]).map(|file| file.display().to_string()).collect();
        return Err(item.place.wrong(path, format_args!("goes round in a circle: {}", files.join(" → "))));
    }
    let directory = match item.get("project_directory").map(|node| (node, node.as_text())) {
        Some((_, Some(directory))) => base.absolute(directory).into(),
        Some((node, None)) => return Err(node.place.wrong(&path.key("project_directory"), "must be a path")),
        None => main.parent().unwrap_or(main).to_owned(),
    };
    let named = texts("env_file")?;
    let variables = if named.is_empty() {
        loader.default_variables(&directory, &outer.environment)?
    } else {
        loader.variables(&named, &outer.environment)?
    };
    let environment = variables.into_iter().chain(outer.environment.clone()).collect();
    Ok(Layers { files, directory, environment, including })
}

fn known_keys(item: &Node, path: &Path) -> Result<()> {
    let Some(mapping) = item.as_mapping() else {
        return Err(item.place.wrong(path, format_args!("must be a path or a mapping, not {}", item.kind())));
    };
    const KEYS: [&str; 3] = ["path", "project_directory", "env_file"];
    match mapping.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) {
        Some((key, entry)) => Err(entry.key.wrong(&path.key(key), unknown_key(key, &KEYS))),
        None => Ok(()),
    }
}

fn import(tree: &mut Node, other: Node) -> Result<()> {
    let place = tree.part(Value::Null);
    let Value::Mapping(other) = other.value else { return Ok(()) };
    let Some(tree) = tree.as_mapping_mut() else { return Ok(()) };
    for (section, from) in other.into_iter().filter(|(section, _)| SECTIONS.contains(&section.as_str())) {
        let Value::Mapping(from_here) = from.node.value else { continue };
        let empty = || Entry { key: from.key.clone(), node: place.mapping::<String>([]) };
        let Some(into) = tree.entry(section.clone()).or_insert_with(empty).node.as_mapping_mut() else {
            continue;
        };
        for (name, entry) in from_here {
            match into.get(&name) {
                None => drop(into.insert(name, entry)),
                Some(same) if *same == entry => {}
                Some(own) => {
                    let path = Path::of(&[&section, &name]);
                    return Err(own.key.wrong(&path, format_args!("is another one than {} has", entry.key)));
                }
            }
        }
    }
    Ok(())
}
