//! `config`: its flags, and what is meant by them.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};

use super::typed::{Typed, flag, value};

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

/// The command.
pub fn command() -> Command {
    Command::new("config")
        .visible_alias("convert")
        .about("Print the project as it is understood")
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
        .arg(flag("environment", "Print the variables that a file may use"))
        .arg(value("hash", "SERVICES", "Print the hashes of services: * for all, or names between commas"))
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
        ("environment", What::Environment),
        ("quiet", What::Nothing),
    ];
    let asked = what.into_iter().find(|(flag, _)| typed.flag(flag)).map(|(_, what)| what);
    let format = match typed.text("format").as_deref() {
        Some("json") => Format::Json,
        _ => Format::Yaml,
    };
    let hashes = typed.text("hash").map(What::Hashes);
    Options {
        what: hashes.or(asked).unwrap_or(What::Project(format)),
        output: typed.text("output").map(PathBuf::from),
        services: typed.texts("service"),
    }
}
