//! What `config` is asked to print.

use std::path::PathBuf;

/// What of the project is printed, and where to.
#[derive(Debug)]
pub struct Options {
    /// What is printed.
    pub what: What,
    /// The file to write. None: standard output.
    pub output: Option<PathBuf>,
    /// Only these services, and what they depend on. Empty: all.
    pub services: Vec<String>,
}

/// What is printed.
#[derive(Debug)]
pub enum What {
    /// The whole project.
    Project(Format),
    /// Nothing: only errors are of interest.
    Nothing,
    /// Names, one a line.
    Services,
    Networks,
    Volumes,
    Profiles,
    Images,
    /// The variables that files may use.
    Environment,
    /// The hashes of services: `*`, or names between commas.
    Hashes(String),
}

/// How the project is written.
#[derive(Debug)]
pub enum Format {
    Yaml,
    Json,
}
