//! `list` and `ps`: what there is, as a table or as JSON.

use std::ffi::OsString;

use super::container::id;
use super::low::LowArgs;
use super::table::{self, flag, value, words};
use super::{Args, NAME};
use crate::error::{Error, Result};
use crate::state::ContainerId;

/// `list`
#[derive(Debug)]
pub struct ListArgs {
    /// `--format`
    pub format: ListFormat,
    /// `--quiet`
    pub quiet: bool,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// `ps`
#[derive(Debug)]
pub struct PsArgs {
    /// The container.
    pub id: ContainerId,
    /// `--format`
    pub format: ListFormat,
    /// The options for ps(1).
    pub options: Vec<OsString>,
}

pub(super) fn list(table: clap::Command) -> clap::Command {
    table
        .about("List the containers")
        .arg(value("format", "FORMAT").short('f').help("Print a 'table' or 'json' [default: table]"))
        .arg(flag("quiet").short('q').help("Print nothing but names"))
}

pub(super) fn ps(table: clap::Command) -> clap::Command {
    table
        .about("List the processes of a container")
        .override_usage(format!("{NAME} ps [flags] ID [PS OPTIONS]"))
        .arg(
            value("format", "FORMAT")
                .short('f')
                .help("Print a 'table', which ps(1) makes, or the pids as 'json' [default: table]"),
        )
        .arg(table::id("The name of the container"))
        .arg(words("args", "PS OPTIONS").help("Options of ps(1) [default: -ef]"))
}

impl Args for ListArgs {
    fn read(low: &mut LowArgs) -> Result<ListArgs> {
        Ok(ListArgs { format: ListFormat::read(low)?, quiet: low.flag("quiet") })
    }
}

impl Args for PsArgs {
    fn read(low: &mut LowArgs) -> Result<PsArgs> {
        Ok(PsArgs { format: ListFormat::read(low)?, options: low.take_all("args"), id: id(low)? })
    }

    fn container(&self) -> Option<&ContainerId> {
        Some(&self.id)
    }
}

impl ListFormat {
    fn read(low: &mut LowArgs) -> Result<ListFormat> {
        let format = low.value("format", |text| match text {
            "table" => Ok(ListFormat::Table),
            "json" => Ok(ListFormat::Json),
            _ => Err(Error::invalid(format!("invalid format option: {text:?} is neither table nor json"))),
        })?;
        Ok(format.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::testing::{command, error};
    use super::*;

    #[test]
    fn format_and_options_of_ps() {
        let Command::Ps(ps) = command("ps --format json c1") else { panic!("not ps") };
        assert_eq!(ps.format, ListFormat::Json);
        let Command::Ps(ps) = command("ps c1 -e -x") else { panic!("not ps") };
        assert_eq!(ps.options, ["-e", "-x"]);
        assert!(error("list --format xml").contains("invalid format option"));
    }
}
