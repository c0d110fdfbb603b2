//! `spec`, `plan` and `features`: what needs no container.

use std::path::PathBuf;

use super::Args;
use super::create::bundle;
use super::low::LowArgs;
use super::table::{self, flag, positional, value};
use crate::error::Result;
use crate::state::ContainerId;

/// `spec`
#[derive(Debug)]
pub struct SpecArgs {
    /// `--bundle`
    pub bundle: PathBuf,
    /// `--rootless`
    pub rootless: bool,
}

/// `plan`
#[derive(Debug)]
pub struct PlanArgs {
    /// The container's name.
    pub id: ContainerId,
    /// The bundle, as it was typed.
    pub bundle: PathBuf,
    /// `--no-pivot`
    pub no_pivot: bool,
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
    /// `--steps`: only the names of the steps.
    pub steps: bool,
}

/// The arguments of a command that takes none.
#[derive(Debug)]
pub struct NoArgs;

pub(super) fn spec(table: clap::Command) -> clap::Command {
    table
        .about("Write a config.json to begin with")
        .arg(table::bundle())
        .arg(flag("rootless").help("Write one for a user who isn't root"))
}

pub(super) fn plan(table: clap::Command) -> clap::Command {
    table
        .about("Print what `create` would do with a bundle, step by step, and do nothing")
        .arg(value("id", "ID").help("Plan for a container of this name [default: plan]"))
        .arg(flag("no-pivot").help("As with `create`"))
        .arg(flag("no-new-keyring").help("As with `create`"))
        .arg(flag("steps").help("Print only the names of the steps, one a line"))
        .arg(positional("bundle", "BUNDLE").help("The bundle's directory [default: .]"))
}

pub(super) fn features(table: clap::Command) -> clap::Command {
    table.about("Print what this runtime can do, as JSON")
}

impl Args for SpecArgs {
    fn read(low: &mut LowArgs) -> Result<SpecArgs> {
        Ok(SpecArgs { rootless: low.flag("rootless"), bundle: bundle(low) })
    }
}

impl Args for PlanArgs {
    fn read(low: &mut LowArgs) -> Result<PlanArgs> {
        let id = low.take("id").unwrap_or_else(|| "plan".into());
        Ok(PlanArgs {
            id: ContainerId::parse(id)?,
            bundle: bundle(low),
            no_pivot: low.flag("no-pivot"),
            no_new_keyring: low.flag("no-new-keyring"),
            steps: low.flag("steps"),
        })
    }
}

impl Args for NoArgs {
    fn read(_: &mut LowArgs) -> Result<NoArgs> {
        Ok(NoArgs)
    }
}
