//! Variables and labels of services: those of files, and those whose value is somebody else's.

use super::load::{Layers, Loader};
use super::node::{Entry, Mapping, Merging, Node, Path, Value};
use super::paths::Base;
use super::print;
use super::request::Without;
use super::types::{Map, Project};
use crate::error::{Error, Result};

/// Gives variables without a value the value that they have in this environment, if they have one there.
pub fn resolve(tree: &mut Node, environment: &Map<String>, without: Without) {
    let Some(services) = tree.as_mapping_mut().and_then(|mapping| mapping.get_mut("services")) else {
        return;
    };
    for entry in services.node.as_mapping_mut().into_iter().flat_map(Mapping::values_mut) {
        let Some(service) = entry.node.as_mapping_mut() else { continue };
        if let Some(variables) = service.get_mut("environment").filter(|_| !without.env_resolution) {
            fill(&mut variables.node, environment);
        }
        let build = service.get_mut("build").filter(|_| !without.normalization);
        if let Some(arguments) = build.and_then(|build| build.node.as_mapping_mut()?.get_mut("args")) {
            fill(&mut arguments.node, environment);
        }
    }
}

fn fill(variables: &mut Node, environment: &Map<String>) {
    for (name, entry) in variables.as_mapping_mut().into_iter().flatten() {
        if let (Value::Null, Some(value)) = (&entry.node.value, environment.get(name)) {
            entry.node.value = Value::Text(value.clone());
        }
    }
}

/// The `env_file` of services that stays unread.
type Kept = Map<serde_json::Value>;

/// Takes the `env_file` out of each service.
pub fn take_files(tree: &mut Node) -> Kept {
    let mut kept = Kept::new();
    let services = tree.as_mapping_mut().and_then(|mapping| mapping.get_mut("services"));
    let services = services.and_then(|services| services.node.as_mapping_mut());
    for (name, entry) in services.into_iter().flatten() {
        let Some(mapping) = entry.node.as_mapping_mut() else { continue };
        if let Some(files) = mapping.remove("env_file") {
            let mut files = print::value(&files.node);
            for file in files.as_array_mut().into_iter().flatten().filter_map(|file| file.as_object_mut()) {
                file.entry("required").or_insert(true.into());
            }
            kept.insert(name.clone(), files);
        }
    }
    kept
}

/// Puts among the fields of the services what was taken out.
pub fn put_back(project: &mut Project, kept: Kept) {
    for (name, files) in kept {
        if let Some(service) = project.services.get_mut(&name) {
            service.extensions.insert("env_file".to_owned(), files);
        }
    }
}

/// Fields with what is wrong with them.
type Wrong = Vec<(Path, Error)>;

/// Reads the `env_file` and `label_file` of each service into its `environment` and `labels`, which go first. Gives the
/// files that aren't there or can't be read.
///
/// Errors: what names no files.
pub fn read_files(loader: &mut Loader, tree: &mut Node, layers: &Layers) -> Result<Wrong> {
    let mut unread = Vec::new();
    let Some(services) = tree.as_mapping_mut().and_then(|mapping| mapping.get_mut("services")) else {
        return Ok(unread);
    };
    for (name, entry) in services.node.as_mapping_mut().into_iter().flatten() {
        let path = Path::of(&["services", name]);
        for fields in [("env_file", "environment"), ("label_file", "labels")] {
            unread.extend(read_file(loader, &mut entry.node, &path, fields, layers)?);
        }
    }
    Ok(unread)
}

fn read_file(
    loader: &mut Loader,
    service: &mut Node,
    path: &Path,
    (from, into): (&str, &str),
    layers: &Layers,
) -> Result<Wrong> {
    let mut unread = Vec::new();
    let home = layers.environment.get("HOME").map(String::as_str);
    let base = Base { directory: &layers.directory, home };
    let Some(mapping) = service.as_mapping_mut() else { return Ok(unread) };
    let Some(files) = mapping.remove(from) else { return Ok(unread) };
    let path = path.key(from);
    let mut found: Map<String> = Map::new();
    for (index, (item, mut file)) in named(&files.node, &path)?.into_iter().enumerate() {
        // Paths that are printed as they are written are read all the same.
        file.path = base.absolute(&file.path);
        // What is already there is known to the lines of the next file.
        let known = |name: &str| found.get(name).or_else(|| layers.environment.get(name)).cloned();
        match loader.variables_of(&file, &known) {
            Ok(more) => found.extend(more),
            Err(what) => {
                let path = path.index(index);
                let wrong = item.place.wrong(&path, what);
                unread.push((path, wrong));
            }
        }
    }
    let entry = |(name, text): (String, String)| {
        (name, Entry { key: files.key.clone(), node: files.node.text(text) })
    };
    let mut entries: Mapping = found.into_iter().map(entry).collect();
    let own = mapping.entry(into.to_owned());
    let own = own.or_insert_with(|| Entry { key: files.key.clone(), node: files.node.mapping::<String>([]) });
    if let Some(own) = own.node.as_mapping_mut() {
        entries.append(own);
        *own = entries;
    }
    Ok(unread)
}

/// The files that a field names, with where it does.
fn named<'a>(files: &'a Node, path: &Path) -> Result<Vec<(&'a Node, File)>> {
    let what = || format!("must be a path or a list, not {}", files.kind());
    let items = files.as_list().ok_or_else(|| files.place.wrong(path, what()))?;
    let read = |(index, item): (usize, &'a Node)| match &item.value {
        Value::Text(text) => Ok((item, File { path: text.clone(), ..File::default() })),
        _ => super::read::read(item, &path.index(index)).map(|file| (item, file)),
    };
    items.iter().enumerate().map(read).collect()
}

/// Takes the `env_file` and `label_file` out of each service, and reads none of the files.
///
/// Errors: what names no files.
pub fn pass_files(tree: &mut Node) -> Result<()> {
    let services = tree.as_mapping_mut().and_then(|mapping| mapping.get_mut("services"));
    for (name, entry) in services.and_then(|services| services.node.as_mapping_mut()).into_iter().flatten() {
        let Some(service) = entry.node.as_mapping_mut() else { continue };
        for field in ["env_file", "label_file"] {
            let files = service.remove(field).map(|files| files.node);
            if let Some(files) = files.filter(|files| files.merging != Merging::Reset) {
                named(&files, &Path::of(&["services", name, field]))?;
            }
        }
    }
    Ok(())
}

/// An item of `env_file`.
#[derive(Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Whether it has to be there.
    pub required: bool,
    /// `raw`: values are taken as they are.
    pub format: Option<String>,
}

impl Default for File {
    fn default() -> File {
        File { path: String::new(), required: true, format: None }
    }
}
