//! Files → Model: which files, in which order, and every step from text to a project that fits together.

use super::complete;
use super::extends::{Extender, Source};
use super::interpolate::Variables;
use super::merge::{merge, settled, unique};
use super::node::{Mapping, Node, Path, Place, unknown_key};
use super::paths::Base;
use super::request::{Request, Without};
use super::types::{Config, Extensions, LanguageModel, Map, Network, Project, Secret, Service, Volume};
use super::unsupported::Weight;
use super::{
    as_written, canonical, check, dotenv, environment, include, name, read, required, unsupported, yaml,
};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::rc::Rc;

/// What reads files: the disk for programs, a map for tests.
pub trait Files {
    /// The text of a file, or of standard input if it is `-`.
    fn read(&self, file: &FilePath) -> io::Result<String>;
}

/// A project, and what its user should know of it.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What is doubtful, a line each.
    pub warnings: Vec<String>,
    /// What whoever carries the project out makes do without, a line each.
    pub left_alone: Vec<String>,
    /// What we can't run without: it could mean less security, or lost data.
    pub refusals: Vec<Refusal>,
    /// The files of variables and labels that can't be read. Who makes no container of the service needs none.
    pub unread: Vec<Refusal>,
}

/// Why something can't be made.
#[derive(Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The service whose containers can't be made. None: nothing of the project can.
    pub service: Option<String>,
    /// Why, with the place in the file.
    pub line: String,
}

impl Refusal {
    fn at(path: &Path, line: &Error) -> Refusal {
        Refusal { service: path.service().map(str::to_owned), line: line.to_string() }
    }
}

/// Loads the project that the request means.
///
/// Errors: `FILE:LINE:COLUMN: FIELD: what is wrong`.
pub fn load(files: &dyn Files, request: &Request) -> Result<Loaded> {
    let without = request.without;
    let mut loader = Loader::new(files, request);
    let (layers, name) = loader.surroundings(request)?;
    let mut tree = loader.layers(&layers, None)?;
    let kept = if without.env_resolution { environment::take_files(&mut tree) } else { Map::new() };
    let unread = environment::read_files(&mut loader, &mut tree, &layers)?;
    required::check(&tree, &Path::default())?;
    let mut project = read_project(&tree, name)?;
    project.directory = layers.directory;
    project.files = layers.files;
    project.environment = layers.environment;
    complete::set_defaults(&mut project);
    if !without.normalization {
        complete::normalize(&mut project);
    }
    environment::put_back(&mut project, kept);
    project.switch_off(&request.active_profiles(&project.environment), &request.services);
    if request.no_deps {
        project.forget_what_is_off(&request.services);
    }
    let problem = if without.consistency { None } else { check::check(&project) };
    if let Some((path, what)) = problem {
        return Err(tree.locate(&path).wrong(&path, what));
    }
    let unread = unread.iter().map(|(path, line)| Refusal::at(path, line)).collect();
    let mut loaded = Loaded { project, unread, ..Loaded::default() };
    let unset = loader.unset.iter();
    loaded.warnings.extend(unset.map(|name| format!("the variable {name} isn't set, and is taken as empty")));
    for unsupported in unsupported::unsupported(&tree) {
        let line = tree.locate(&unsupported.path).wrong(&unsupported.path, unsupported.what);
        match unsupported.weight {
            Weight::Doubtful => loaded.warnings.push(line.to_string()),
            Weight::LeftAlone => loaded.left_alone.push(line.to_string()),
            Weight::Refused => loaded.refusals.push(Refusal::at(&unsupported.path, &line)),
        }
    }
    for (path, what) in check::check_to_run(&loaded.project) {
        loaded.refusals.push(Refusal::at(&path, &tree.locate(&path).wrong(&path, what)));
    }
    Ok(loaded)
}

/// The tree of the project that the request means, in which variables stand as they are written, and its name.
///
/// Errors: as of [`load`].
pub fn load_as_written(files: &dyn Files, request: &Request) -> Result<(Node, String)> {
    let mut loader = Loader::new(files, request);
    loader.without.interpolation = true;
    let (layers, name) = loader.surroundings(request)?;
    let mut tree = loader.layers(&layers, None)?;
    check_as_written(&tree)?;
    as_written::set_name(&mut tree, &name);
    as_written::set_defaults(&mut tree);
    if !request.without.normalization {
        as_written::normalize(&mut tree, &name, &layers.directory);
    }
    Ok((tree, name))
}

/// Whether a tree in which variables stand as they are written has the keys and types of a project.
fn check_as_written(tree: &Node) -> Result<()> {
    let mut closed = tree.clone();
    as_written::without_variables(&mut closed);
    let mut closed = canonical::canonical(&closed)?;
    environment::pass_files(&mut closed)?;
    read_project(&closed, String::new()).map(drop)
}

/// Files that are merged into one project, an included one or the whole.
pub struct Layers {
    /// The files, absolute, a later one over an earlier one.
    pub files: Vec<PathBuf>,
    /// Where their relative paths begin.
    pub directory: PathBuf,
    /// The variables.
    pub environment: Map<String>,
    /// The files by whose `include` we came here.
    pub including: Vec<PathBuf>,
}

/// What reads and keeps files while a project is loaded.
pub struct Loader<'files> {
    files: &'files dyn Files,
    here: &'files FilePath,
    /// The documents of each file, as they are in it.
    known: HashMap<PathBuf, Rc<Vec<Node>>>,
    /// The variables that were asked for in vain.
    unset: BTreeSet<String>,
    /// How many projects were included.
    pub included: usize,
    /// What isn't done.
    without: Without,
}

/// Who asks for a file, so that the user learns why it is read.
type Asked<'a> = Option<(&'a Place, &'a Path)>;

impl<'files> Loader<'files> {
    fn new(files: &'files dyn Files, request: &'files Request) -> Loader<'files> {
        let (here, without) = (&request.here, request.without);
        Loader { files, here, known: HashMap::new(), unset: BTreeSet::new(), included: 0, without }
    }

    /// The files with their variables, and the project's name.
    fn surroundings(&mut self, request: &Request) -> Result<(Layers, String)> {
        let mut layers = request.layers(self)?;
        let name = name::of_project(self, request, &layers)?;
        layers.environment.entry("COMPOSE_PROJECT_NAME".to_owned()).or_insert_with(|| name.clone());
        Ok((layers, name))
    }

    /// Reads files into one tree in its long form, with absolute paths.
    pub fn layers(&mut self, layers: &Layers, asked: Asked) -> Result<Node> {
        let mut whole: Option<Node> = None;
        let home = layers.environment.get("HOME").map(String::as_str);
        for file in &layers.files {
            for mut tree in self.documents(file, &layers.environment, asked)? {
                let services = tree.get("services").and_then(Node::as_mapping).cloned().unwrap_or_default();
                let source = Source { file: file.clone(), directory: layers.directory.clone(), services };
                Extender::new(self, &layers.environment).apply(&mut tree, &source)?;
                self.resolve_paths(&mut tree, Base { directory: &layers.directory, home });
                include::apply(self, &mut tree, layers)?;
                whole = Some(match whole {
                    Some(whole) => settled(merge(whole, tree, &Path::default())?),
                    None => settled(tree),
                });
            }
        }
        let file = layers.files.first().map(|file| self.told(file)).unwrap_or_default();
        let mut whole = whole.ok_or_else(|| Error::new(format!("{file}: says nothing")))?;
        known_sections(&whole)?;
        unique(&mut whole, &Path::default());
        if !self.without.interpolation {
            environment::resolve(&mut whole, &layers.environment, self.without);
        }
        Ok(whole)
    }

    /// Makes the paths of a tree absolute, unless they are to stay as they are.
    pub fn resolve_paths(&self, tree: &mut Node, base: Base) {
        if !self.without.path_resolution {
            base.apply(tree, &Path::default());
        }
    }

    /// The documents of a file in their long form, with values in place of variables.
    pub fn documents(
        &mut self,
        file: &FilePath,
        environment: &Map<String>,
        asked: Asked,
    ) -> Result<Vec<Node>> {
        let lookup = |name: &str| environment.get(name).cloned();
        let mut variables = Variables::new(&lookup);
        let mut documents = Vec::new();
        for document in self.raw(file, asked)?.iter() {
            let mut document = document.clone();
            if self.without.interpolation {
                documents.push(canonical::as_written(&document)?);
                continue;
            }
            variables.fill(&mut document, &Path::default())?;
            documents.push(canonical::canonical(&document)?);
        }
        self.unset.append(&mut variables.unset);
        Ok(documents)
    }

    /// The documents of a file as they are in it.
    pub fn raw(&mut self, file: &FilePath, asked: Asked) -> Result<Rc<Vec<Node>>> {
        if let Some(known) = self.known.get(file) {
            return Ok(known.clone());
        }
        let name = self.told(file);
        let text = self.files.read(file).map_err(|error| {
            let line = format!("{name}: {}", words(&error));
            asked.map_or_else(|| Error::new(line.clone()), |(place, path)| place.wrong(path, &line))
        })?;
        let documents = yaml::parse(&name, &text)?;
        for document in &documents {
            if document.as_mapping().is_none() {
                return Err(document.place.wrong(&Path::default(), "must be a mapping"));
            }
        }
        let documents = Rc::new(documents);
        self.known.insert(file.to_owned(), documents.clone());
        Ok(documents)
    }

    /// Puts values in place of the variables of a text.
    pub fn expand(&mut self, text: &str, environment: &Map<String>) -> Result<String, String> {
        let lookup = |name: &str| environment.get(name).cloned();
        let mut variables = Variables::new(&lookup);
        let expanded = variables.expand(text);
        self.unset.append(&mut variables.unset);
        expanded
    }

    /// A text that says which file is read: its variables have their values, even where others stay as they are.
    pub fn name_of_file(&mut self, text: &str, environment: &Map<String>) -> Result<String, String> {
        if self.without.interpolation { self.expand(text, environment) } else { Ok(text.to_owned()) }
    }

    /// The variables of files, whose own variables are those of `outside`, and of the files before.
    pub fn variables(&mut self, files: &[PathBuf], outside: &Map<String>) -> Result<Map<String>> {
        let mut found: Map<String> = Map::new();
        for file in files {
            let known = |name: &str| outside.get(name).or_else(|| found.get(name)).cloned();
            let file = environment::File { path: file.to_string_lossy().into_owned(), ..Default::default() };
            let more = self.variables_of(&file, &known).map_err(Error::new)?;
            found.extend(more);
        }
        Ok(found)
    }

    /// The variables of a directory's `.env`, if it has one.
    pub fn default_variables(&mut self, directory: &FilePath, outside: &Map<String>) -> Result<Map<String>> {
        let file = directory.join(".env").to_string_lossy().into_owned();
        let file = environment::File { path: file, required: false, format: None };
        self.variables_of(&file, &|name| outside.get(name).cloned()).map_err(Error::new)
    }

    /// The variables of a file.
    ///
    /// Errors: `FILE:LINE: what is wrong`.
    pub fn variables_of(
        &mut self,
        file: &environment::File,
        outside: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Map<String>, String> {
        let name = self.told(FilePath::new(&file.path));
        let text = match self.files.read(FilePath::new(&file.path)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !file.required => return Ok(Map::new()),
            Err(error) => return Err(format!("{name}: {}", words(&error))),
        };
        match file.format.as_deref() {
            None => dotenv::parse(&text, outside).map_err(|what| format!("{name}:{what}")),
            Some("raw") => Ok(dotenv::parse_raw(&text)),
            Some(format) => Err(format!("{name}: has the format {format:?}, which isn't known")),
        }
    }

    /// Tells whether a file is there and can be read.
    pub fn is_there(&self, file: &FilePath) -> bool {
        self.files.read(file).is_ok()
    }

    /// A file as the user is told of it: from where the user is, if it is below.
    pub fn told(&self, file: &FilePath) -> String {
        file.strip_prefix(self.here).unwrap_or(file).display().to_string()
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::InvalidData => "isn't UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}

/// A whole file.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    services: Map<Service>,
    networks: Map<Network>,
    volumes: Map<Volume>,
    secrets: Map<Secret>,
    configs: Map<Config>,
    models: Map<LanguageModel>,
    #[serde(rename = "x-*")]
    extensions: Extensions,
    // What else a file may say is already seen to.
    #[allow(dead_code)]
    name: Option<serde::de::IgnoredAny>,
    #[allow(dead_code)]
    version: Option<serde::de::IgnoredAny>,
}

/// Tells of keys that no file has, of an included one too.
fn known_sections(tree: &Node) -> Result<()> {
    const SECTIONS: [&str; 9] =
        ["configs", "include", "models", "name", "networks", "secrets", "services", "version", "volumes"];
    let unknown = |key: &&String| !SECTIONS.contains(&key.as_str()) && !key.starts_with("x-");
    let mapping = tree.as_mapping().into_iter();
    match mapping.flat_map(Mapping::iter).find(|(key, _)| unknown(key)) {
        Some((key, entry)) => Err(entry.key.wrong(&Path::of(&[key]), unknown_key(key, &SECTIONS))),
        None => Ok(()),
    }
}

fn read_project(tree: &Node, name: String) -> Result<Project> {
    let document: Document = read::read(tree, &Path::default())?;
    Ok(Project {
        name,
        services: document.services,
        networks: document.networks,
        volumes: document.volumes,
        secrets: document.secrets,
        configs: document.configs,
        models: document.models,
        extensions: document.extensions,
        ..Project::default()
    })
}
