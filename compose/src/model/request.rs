//! What is asked for → which files, where their paths begin, which variables and profiles.

use super::load::{Layers, Loader};
use super::paths;
use super::types::Map;
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// What a project is loaded from, in the words of the command line.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Where the user is: an absolute directory.
    pub here: PathBuf,
    /// The environment of the process.
    pub environment: Map<String>,
    /// `--file`.
    pub files: Vec<String>,
    /// `--env-file`.
    pub env_files: Vec<String>,
    /// `--project-directory`.
    pub directory: Option<String>,
    /// `--project-name`.
    pub name: Option<String>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// The services that the command names: they are on whatever their profiles, and their profiles with them.
    pub services: Vec<String>,
    /// Whether the named services go without those that they depend on and that are off.
    pub no_deps: bool,
    /// What isn't done on the way from files to a project.
    pub without: Without,
}

/// What `config` may leave out on the way from files to a project.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Without {
    /// Whether variables stay as they are written.
    pub interpolation: bool,
    /// Whether names, default networks and the like stay unsaid.
    pub normalization: bool,
    /// Whether relative paths stay relative.
    pub path_resolution: bool,
    /// Whether nobody looks if all fits together.
    pub consistency: bool,
    /// Whether files of variables stay unread.
    pub env_resolution: bool,
}

/// The names of a project's file, where a directory has one.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

impl Request {
    /// The files, where their relative paths begin, and the variables.
    ///
    /// Variables are sought where the user is, for they may name the files, and then where the files are.
    pub fn layers(&self, loader: &mut Loader) -> Result<Layers> {
        let mut environment = self.environment.clone();
        let mut files: Vec<PathBuf> = self.files.iter().map(|file| self.absolute(file)).collect();
        let first = self.directory_of(&files);
        self.add_variables(loader, &first, &mut environment)?;
        if files.is_empty() {
            files = self.named_files(&environment);
        }
        if files.is_empty() {
            files = default_files(loader, &first)?;
        }
        let directory = self.directory_of(&files);
        if directory != first {
            self.add_variables(loader, &directory, &mut environment)?;
        }
        Ok(Layers { files, directory, environment, including: Vec::new() })
    }

    fn absolute(&self, text: &str) -> PathBuf {
        if text == "-" {
            return text.into();
        }
        paths::clean(&self.here.join(text).to_string_lossy()).into()
    }

    /// The project's directory: what the user says, else where the first file is.
    fn directory_of(&self, files: &[PathBuf]) -> PathBuf {
        let first = files.iter().find(|file| file.as_os_str() != "-").and_then(|file| file.parent());
        let said = self.directory.as_deref().map(|directory| self.absolute(directory));
        said.unwrap_or_else(|| first.unwrap_or(&self.here).to_owned())
    }

    /// Adds the variables of `--env-file`, or else of the directory's `.env`, to those that are there.
    fn add_variables(
        &self,
        loader: &mut Loader,
        directory: &Path,
        environment: &mut Map<String>,
    ) -> Result<()> {
        let disabled = self.environment.get("COMPOSE_DISABLE_ENV_FILE").is_some_and(|value| is_true(value));
        let files: Vec<PathBuf> = self.env_files.iter().map(|file| self.absolute(file)).collect();
        let more = match (files.is_empty(), disabled) {
            (false, _) => loader.variables(&files, environment)?,
            (true, true) => Map::new(),
            (true, false) => loader.default_variables(directory, environment)?,
        };
        for (name, value) in more {
            environment.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// The files that a variable names.
    fn named_files(&self, environment: &Map<String>) -> Vec<PathBuf> {
        let separator = environment.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty());
        let separator = separator.map_or(":", String::as_str);
        let names = environment.get("COMPOSE_FILE").into_iter().flat_map(|names| names.split(separator));
        names.filter(|name| !name.is_empty()).map(|name| self.absolute(name)).collect()
    }

    /// The name of a project that may be known by its containers alone, because no file is named.
    pub fn name_without_files(&self) -> Option<&str> {
        let variable =
            |name: &str| self.environment.get(name).filter(|text| !text.is_empty()).map(String::as_str);
        let names_files = !self.files.is_empty() || variable("COMPOSE_FILE").is_some();
        let name = self.name.as_deref().filter(|name| !name.is_empty());
        name.or(variable("COMPOSE_PROJECT_NAME")).filter(|_| !names_files)
    }

    /// The profiles that are on: those of the command line, else those of the variable.
    pub fn active_profiles(&self, environment: &Map<String>) -> Vec<String> {
        let named = environment.get("COMPOSE_PROFILES").filter(|_| self.profiles.is_empty());
        let named = named.into_iter().flat_map(|text| text.split(',')).map(|name| name.trim().to_owned());
        named.chain(self.profiles.iter().cloned()).filter(|name| !name.is_empty()).collect()
    }
}

/// The files of the nearest directory that has any, upwards.
fn default_files(loader: &Loader, directory: &Path) -> Result<Vec<PathBuf>> {
    for directory in directory.ancestors() {
        let found = |names: [&str; 4]| {
            names.map(|name| directory.join(name)).into_iter().find(|file| loader.is_there(file))
        };
        if let Some(file) = found(NAMES) {
            return Ok([Some(file), found(OVERRIDES)].into_iter().flatten().collect());
        }
    }
    let directory = directory.display();
    let nowhere = |line| Error::of_kind(Kind::NotFound, line);
    Err(nowhere(format!("{directory}: neither this directory nor one above it has a {}", NAMES[0])))
}

fn is_true(text: &str) -> bool {
    ["1", "t", "true"].contains(&text.to_ascii_lowercase().as_str())
}
