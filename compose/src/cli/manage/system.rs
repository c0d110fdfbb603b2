//! `system …`, `builder …`, `info`, `doctor`.

use clap::Command;

use super::{Local, Managed, PruneOf, group, prune, prune_command};
use crate::cli::docker::{self, Verb};
use crate::cli::typed::{Typed, flag, value};
use crate::error::{Error, Result};

pub fn tree() -> Command {
    group("system", "Manage what is on this host").subcommands([
        Command::new("df")
            .about("Show how much room all takes")
            .arg(flag("verbose", "Each thing").short('v'))
            .arg(docker::format()),
        prune_command("Remove all that nobody uses", "until=10m, label=KEY=VALUE")
            .arg(flag("all", "Also images that have names").short('a'))
            .arg(flag("volumes", "Also anonymous volumes")),
        info(),
    ])
}

pub fn builder() -> Command {
    group("builder", "Manage builds").subcommand(
        prune_command("Remove the build cache, by buildctl", "what buildctl takes")
            .arg(flag("all", "All of it").short('a'))
            .arg(value("keep-storage", "BYTES", "How much stays")),
    )
}

/// What has no group.
pub fn alone() -> Vec<Command> {
    vec![
        info(),
        Command::new("doctor")
            .about("Say what this host lacks, and how to get it")
            .after_help("Ends with 1 if something is missing without which no container runs."),
    ]
}

fn info() -> Command {
    Command::new("info").about("Show what is at work").arg(docker::format().short('f'))
}

pub fn managed(name: &str, typed: &Typed) -> Result<Managed> {
    Ok(match name {
        "df" => Managed::DiskUsage { verbose: typed.flag("verbose"), format: typed.text("format") },
        "prune" => Managed::Prune(prune(PruneOf::System, typed)?),
        "info" => Managed::Info { format: typed.text("format") },
        other => return Err(Error::new(format!("system {other}: no such command"))),
    })
}

pub fn verb(name: &str, typed: &Typed) -> Result<Verb> {
    match name {
        "doctor" => Ok(Verb::Local(Local::Doctor)),
        _ => managed(name, typed).map(Verb::Managed),
    }
}
