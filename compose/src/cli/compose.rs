//! `corten-compose`: docker compose's commands and flags.

use crate::commands::config::{self, Format, What};
use crate::model::request::Request;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::path::PathBuf;

/// What the user asks for.
#[derive(Debug)]
pub enum Asked {
    /// `config`.
    Config(Request, config::Options),
}

/// The commands and their flags.
pub fn command() -> Command {
    Command::new("corten-compose")
        .about("Compose projects on containerd")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(project())
        .subcommand(config())
}

/// What the arguments mean, in a process that is at `here` with this environment.
pub fn asked(
    matches: &ArgMatches,
    here: PathBuf,
    environment: impl Iterator<Item = (String, String)>,
) -> Option<Asked> {
    let request = Request {
        here,
        environment: environment.collect(),
        files: texts(matches, "file"),
        env_files: texts(matches, "env-file"),
        directory: matches.get_one("project-directory").cloned(),
        name: matches.get_one("project-name").cloned(),
        profiles: texts(matches, "profile"),
    };
    match matches.subcommand() {
        Some(("config", matches)) => Some(Asked::Config(request, config_options(matches))),
        _ => None,
    }
}

fn texts(matches: &ArgMatches, id: &str) -> Vec<String> {
    matches.get_many(id).into_iter().flatten().cloned().collect()
}

fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// The flags that say which project is meant.
fn project() -> [Arg; 5] {
    [
        value("file", "FILE", "Read this Compose file; may be given several times; - is standard input")
            .short('f')
            .action(ArgAction::Append),
        value("project-name", "NAME", "Call the project so").short('p'),
        value("profile", "NAME", "Switch on the services of this profile; may be given several times")
            .action(ArgAction::Append),
        value(
            "env-file",
            "FILE",
            "Take variables from this file in place of .env; may be given several times",
        )
        .action(ArgAction::Append),
        value("project-directory", "DIR", "Begin relative paths here; by default, where the first file is"),
    ]
}

fn config() -> Command {
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

fn config_options(matches: &ArgMatches) -> config::Options {
    let what = [
        ("services", What::Services),
        ("networks", What::Networks),
        ("volumes", What::Volumes),
        ("profiles", What::Profiles),
        ("images", What::Images),
        ("environment", What::Environment),
        ("quiet", What::Nothing),
    ];
    let asked = what.into_iter().find(|(flag, _)| matches.get_flag(flag)).map(|(_, what)| what);
    let format = match matches.get_one::<String>("format").map(String::as_str) {
        Some("json") => Format::Json,
        _ => Format::Yaml,
    };
    let hashes = matches.get_one::<String>("hash").map(|names| What::Hashes(names.clone()));
    config::Options {
        what: hashes.or(asked).unwrap_or(What::Project(format)),
        output: matches.get_one::<String>("output").map(PathBuf::from),
        services: texts(matches, "service"),
    }
}
