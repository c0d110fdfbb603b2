//! Which containers a command is for, and the commands that take a container and nothing else.

use regex_lite::Regex;

use super::Args;
use super::low::LowArgs;
use super::table::id as id_argument;
use crate::error::{Error, Result};
use crate::state::ContainerId;

/// The arguments of a command that takes a container and nothing else.
#[derive(Debug)]
pub struct IdArgs {
    /// The container.
    pub id: ContainerId,
}

/// Which containers a command is for.
#[derive(Debug)]
pub enum Which {
    /// One, by its name.
    One(ContainerId),
    /// `--regex`: all whose names have a match.
    Matching(Regex),
}

pub(super) fn start(table: clap::Command) -> clap::Command {
    table.about("Run the program of a created container").arg(id_argument("The name of the container"))
}

pub(super) fn state(table: clap::Command) -> clap::Command {
    table.about("Print the state of a container as JSON").arg(id_argument("The name of the container"))
}

pub(super) fn pause(table: clap::Command) -> clap::Command {
    table.about("Freeze all processes of a container").arg(id_argument("The name of the container"))
}

pub(super) fn resume(table: clap::Command) -> clap::Command {
    table.about("Let the processes of a paused container go on").arg(id_argument("The name of the container"))
}

impl Args for IdArgs {
    fn read(low: &mut LowArgs) -> Result<IdArgs> {
        Ok(IdArgs { id: id(low)? })
    }

    fn container(&self) -> Option<&ContainerId> {
        Some(&self.id)
    }
}

impl Which {
    pub(super) fn read(low: &mut LowArgs) -> Result<Which> {
        if !low.flag("regex") {
            return id(low).map(Which::One);
        }
        let pattern = low.text("id")?.unwrap_or_default();
        let regex = Regex::new(&pattern);
        regex.map(Which::Matching).map_err(|err| Error::invalid(format!("--regex: {pattern:?}: {err}")))
    }

    /// The container, if it is named and not matched.
    pub(super) fn one(&self) -> Option<&ContainerId> {
        match self {
            Which::One(id) => Some(id),
            Which::Matching(_) => None,
        }
    }
}

pub(super) fn id(low: &mut LowArgs) -> Result<ContainerId> {
    ContainerId::parse(low.take("id").unwrap_or_default())
}
