//! `extends`: a service that begins as a copy of another one, of the same file or of another file.

use super::load::Loader;
use super::merge::{merge, settled};
use super::node::{Mapping, Node, Path, Place};
use super::paths::{Base, is_elsewhere};
use super::types::Map;
use crate::error::Result;
use std::collections::HashMap;
use std::path::PathBuf;

/// Services that extend each other in a row at most, so that no stack overflows.
const DEPTH_MAX: usize = 64;

/// The services of a file.
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// Where its relative paths begin.
    pub directory: PathBuf,
    /// Its services, as it has them.
    pub services: Mapping,
}

/// Finds what services extend, and reads each file once.
pub struct Extender<'a, 'files> {
    loader: &'a mut Loader<'files>,
    environment: &'a Map<String>,
    others: HashMap<PathBuf, Mapping>,
}

impl<'a, 'files> Extender<'a, 'files> {
    /// With variables of this environment in other files.
    pub fn new(loader: &'a mut Loader<'files>, environment: &'a Map<String>) -> Extender<'a, 'files> {
        Extender { loader, environment, others: HashMap::new() }
    }

    /// Replaces, in the file's tree, each service that extends another by what both say together.
    ///
    /// Errors: services and files that aren't there, and services that extend each other in a circle.
    pub fn apply(&mut self, tree: &mut Node, source: &Source) -> Result<()> {
        let Some(services) = tree.as_mapping_mut().and_then(|mapping| mapping.get_mut("services")) else {
            return Ok(());
        };
        let Some(services) = services.node.as_mapping_mut() else { return Ok(()) };
        for (name, entry) in services.iter_mut() {
            if entry.node.get("extends").is_some() {
                entry.node = self.extended(name, &entry.node, source, &mut Vec::new())?;
            }
        }
        Ok(())
    }

    /// The service with what it extends.
    fn extended(
        &mut self,
        name: &str,
        service: &Node,
        source: &Source,
        trail: &mut Vec<(PathBuf, String)>,
    ) -> Result<Node> {
        let Some(extends) = service.get("extends") else { return Ok(service.clone()) };
        let path = Path::of(&["services", name, "extends"]);
        let this = (source.file.clone(), name.to_owned());
        if trail.len() >= DEPTH_MAX {
            return Err(extends.place.wrong(&path, format_args!("is more than {DEPTH_MAX} services deep")));
        }
        if trail.contains(&this) {
            let names: Vec<&str> = trail.iter().map(|(_, name)| name.as_str()).chain([name]).collect();
            return Err(extends
                .place
                .wrong(&path, format_args!("goes round in a circle: {}", names.join(" → "))));
        }
        trail.push(this);
        let Some(base) = extends.get("service").and_then(Node::as_text) else {
            return Err(extends.place.wrong(&path, "must be a service, or a mapping with `service`"));
        };
        let file = extends.get("file").filter(|file| file.as_text() != Some(""));
        let base = match file.map(|file| (file, file.as_text())) {
            Some((node, Some(file))) if is_elsewhere(file) => {
                return Err(node.place.wrong(&path.key("file"), "is no file here, and isn't fetched"));
            }
            Some((_, Some(file))) => {
                let other = self.other(file, source, &extends.place, &path)?;
                self.base(base, &other, extends, &path, trail)?
            }
            Some((file, None)) => return Err(file.place.wrong(&path.key("file"), "must be a path")),
            None => self.base(base, source, extends, &path, trail)?,
        };
        let mut merged = merge(settled(base), service.clone(), &Path::of(&["services", name]))?;
        merged.as_mapping_mut().map(|mapping| mapping.remove("extends"));
        Ok(merged)
    }

    fn base(
        &mut self,
        name: &str,
        source: &Source,
        extends: &Node,
        path: &Path,
        trail: &mut Vec<(PathBuf, String)>,
    ) -> Result<Node> {
        match source.services.get(name) {
            Some(entry) => self.extended(name, &entry.node, source, trail),
            None => {
                let file = source.file.display();
                Err(extends.place.wrong(path, format_args!("there is no service {name:?} in {file}")))
            }
        }
    }

    /// The services of another file, whose paths begin at its directory.
    fn other(&mut self, file: &str, source: &Source, place: &Place, path: &Path) -> Result<Source> {
        let home = self.environment.get("HOME").map(String::as_str);
        let file = self.loader.name_of_file(file, self.environment);
        let file = file.map_err(|what| place.wrong(&path.key("file"), what))?;
        let file = PathBuf::from(Base { directory: &source.directory, home }.absolute(&file));
        let directory = file.parent().unwrap_or(&file).to_owned();
        if let Some(services) = self.others.get(&file) {
            return Ok(Source { services: services.clone(), file, directory });
        }
        let documents = self.loader.documents(&file, self.environment, Some((place, path)))?;
        let mut services = Mapping::new();
        for mut tree in documents {
            self.loader.resolve_paths(&mut tree, Base { directory: &directory, home });
            services.extend(tree.get("services").and_then(Node::as_mapping).cloned().unwrap_or_default());
        }
        self.others.insert(file.clone(), services.clone());
        Ok(Source { file, directory, services })
    }
}
