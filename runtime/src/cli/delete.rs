//! `delete`: the end of a container.

use super::low::LowArgs;
use super::table::{self, flag};
use super::{Args, Which};
use crate::error::Result;
use crate::state::ContainerId;

/// `delete`
#[derive(Debug)]
pub struct DeleteArgs {
    /// The container, or containers.
    pub which: Which,
    /// `--force`
    pub force: bool,
}

pub(super) fn table(table: clap::Command) -> clap::Command {
    table
        .about("Delete a container that has stopped or was never started, and all that is left of it")
        .arg(flag("force").short('f').help("Kill a container that runs; be content if there is none"))
        .arg(table::regex())
        .arg(table::id("The name of the container"))
}

impl Args for DeleteArgs {
    fn read(low: &mut LowArgs) -> Result<DeleteArgs> {
        Ok(DeleteArgs { which: Which::read(low)?, force: low.flag("force") })
    }

    fn container(&self) -> Option<&ContainerId> {
        self.which.one()
    }
}
