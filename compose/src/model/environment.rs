//! Variables and labels of services: those of files, and those whose value is somebody else's.

use super::load::Loader;
use super::node::{Entry, Mapping, Node, Path, Value};
use super::types::Map;
use crate::error::{Error, Result};

/// Gives variables without a value the value that they have in this environment, if they have one there.
pub fn resolve(tree: &mut Node, environment: &Map<String>) {
    let Some(services) = tree.as_mapping_mut().and_then(|mapping| mapping.get_mut("services")) else {
        return;
    };
    for entry in services.node.as_mapping_mut().into_iter().flat_map(Mapping::values_mut) {
        let Some(service) = entry.node.as_mapping_mut() else { continue };
        if let Some(variables) = service.get_mut("environment") {
            fill(&mut variables.node, environment);
        }
        if let Some(arguments) =
            service.get_mut("build").and_then(|build| build.node.as_mapping_mut()?.get_mut("args"))
        {
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

/// Fields with what is wrong with them.
type Wrong = Vec<(Path, Error)>;

/// Reads the `env_file` and `label_file` of each service into its `environment` and `labels`, which go first. Gives the
/// files that aren't there or can't be read.
///
/// Errors: what names no files.
pub fn read_files(loader: &mut Loader, tree: &mut Node, environment: &Map<String>) -> Result<Wrong> {
    let mut unread = Vec::new();
    let Some(services) = tree.as_mapping_mut().and_then(|mapping| mapping.get_mut("services")) else {
        return Ok(unread);
    };
    for (name, entry) in services.node.as_mapping_mut().into_iter().flatten() {
        let path = Path::of(&["services", name]);
        for fields in [("env_file", "environment"), ("label_file", "labels")] {
            unread.extend(read_file(loader, &mut entry.node, &path, fields, environment)?);
        }
    }
    Ok(unread)
}

fn read_file(
    loader: &mut Loader,
    service: &mut Node,
    path: &Path,
    (from, into): (&str, &str),
    environment: &Map<String>,
) -> Result<Wrong> {
    let mut unread = Vec::new();
    let Some(mapping) = service.as_mapping_mut() else { return Ok(unread) };
    let Some(files) = mapping.remove(from) else { return Ok(unread) };
    let path = path.key(from);
    let Some(items) = files.node.as_list() else {
        return Err(files
            .node
            .place
            .wrong(&path, format_args!("must be a path or a list, not {}", files.node.kind())));
    };
    let mut found: Map<String> = Map::new();
    for (index, item) in items.iter().enumerate() {
        let file: File = match &item.value {
            Value::Text(text) => File { path: text.clone(), ..File::default() },
            _ => super::read::read(item, &path.index(index))?,
        };
        // What is already there is known to the lines of the next file.
        let known = |name: &str| found.get(name).or_else(|| environment.get(name)).cloned();
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
