//! `config`: its flags, and what is meant by them.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};

use super::typed::{Typed, flag, value};
use crate::model::request::Without;

/// What of the project is printed, and where to.
#[derive(Debug)]
pub struct Options {
    /// What is printed.
    pub what: What,
    /// How: names are one a line in YAML.
    pub format: Format,
    /// The file to write. None: standard output.
    pub output: Option<PathBuf>,
    /// Only these services, and what they depend on. Empty: all.
    pub services: Vec<String>,
    /// What isn't done before.
    pub without: Without,
    /// Whether images are named by their digests.
    pub digests: Digests,
}

/// What is printed.
#[derive(Debug)]
pub enum What {
    /// The whole project.
    Project,
    /// Nothing: only errors are of interest.
    Nothing,
    /// Names, one a line.
    Services,
    Networks,
    Volumes,
    Profiles,
    Images,
    Models,
    /// The variables that there are.
    Environment,
    /// The variables that the files ask for.
    Variables,
    /// The hashes of services: `*`, or names between commas.
    Hashes(String),
}

/// How the project is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    Yaml,
    Json,
}

/// Which images are named by their digests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Digests {
    /// Images that have one in the files.
    AsWritten,
    /// All.
    Resolved,
    /// All, and nothing else is printed of the project.
    Locked,
}

/// The command.
pub fn command() -> Command {
    Command::new("config")
        .visible_alias("convert")
        .about("Print the project as it is understood")
        .after_help("Example: config --lock-image-digests -o compose.lock.yaml")
        .arg(
            value("format", "FORMAT", "yaml or json")
                .value_parser(PossibleValuesParser::new(["yaml", "json"])),
        )
        .arg(value("output", "FILE", "Write into this file").short('o'))
        .arg(flag("quiet", "Print nothing, tell only what is wrong").short('q'))
        .arg(flag("services", "Print the names of services"))
        .arg(flag("networks", "Print the names of networks"))
        .arg(flag("volumes", "Print the names of volumes"))
        .arg(flag("profiles", "Print the names of profiles"))
        .arg(flag("images", "Print the names of images"))
        .arg(flag("models", "Print the names of language models"))
        .arg(flag("environment", "Print the variables that a file may use"))
        .arg(flag("variables", "Print the variables that the files ask for, and their defaults"))
        .arg(value("hash", "SERVICES", "Print the hashes of services: * for all, or names between commas"))
        .arg(flag("no-interpolate", "Leave variables as they are written"))
        .arg(flag("no-normalize", "Leave names, default networks and the like unsaid"))
        .arg(flag("no-path-resolution", "Leave relative paths relative"))
        .arg(flag("no-consistency", "Don't look if all fits together"))
        .arg(flag("no-env-resolution", "Leave files of variables unread"))
        .arg(flag("resolve-image-digests", "Name images by the digests of those that are here"))
        .arg(flag(
            "lock-image-digests",
            "Print only the images, by their digests: a file to lay over the others",
        ))
        .arg(
            Arg::new("service")
                .value_name("SERVICE")
                .num_args(0..)
                .help("Only these, and what they depend on"),
        )
}

/// What is meant by it.
pub fn options(typed: &Typed) -> Options {
    let what = [
        ("services", What::Services),
        ("networks", What::Networks),
        ("volumes", What::Volumes),
        ("profiles", What::Profiles),
        ("images", What::Images),
        ("models", What::Models),
        ("environment", What::Environment),
        ("variables", What::Variables),
        ("quiet", What::Nothing),
    ];
    let asked = what.into_iter().find(|(flag, _)| typed.flag(flag)).map(|(_, what)| what);
    let hashes = typed.text("hash").map(What::Hashes);
    Options {
        what: hashes.or(asked).unwrap_or(What::Project),
        format: match typed.text("format").as_deref() {
            Some("json") => Format::Json,
            _ => Format::Yaml,
        },
        output: typed.text("output").map(PathBuf::from),
        services: typed.texts("service"),
        without: Without {
            interpolation: typed.flag("no-interpolate"),
            normalization: typed.flag("no-normalize"),
            path_resolution: typed.flag("no-path-resolution"),
            consistency: typed.flag("no-consistency"),
            env_resolution: typed.flag("no-env-resolution"),
        },
        digests: match (typed.flag("lock-image-digests"), typed.flag("resolve-image-digests")) {
            (true, _) => Digests::Locked,
            (false, true) => Digests::Resolved,
            (false, false) => Digests::AsWritten,
        },
    }
}
